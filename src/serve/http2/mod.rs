//! HTTP/2 towards clients.
//!
//! `h2` is used without hyper above it: hyper's server has no interim responses, and takes a response's body only when
//! the client gives it room, so that nobody could see that a client has stopped reading.
//!
//! A connection is one task, each of its streams another of the same thread. The connection's deadline is for its client
//! as a whole (a head, the next request, bytes that are not taken); what concerns one request is its stream's own.

mod desks;
mod head;
mod scan;
mod stream;
mod tunnel;
mod wire;

pub use desks::Desks;
pub use scan::PREFACE;

use super::client::{Client, Waits};
use super::connection::{LAST_CHANCE, LINGER, begin, linger};
use super::pace::Pace;
use super::stream::STEP;
use super::transport::Transport;
use bytes::Bytes;
use h2::server::{Builder, Connection};
use h2::{Reason, server};
use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use wire::Shared;
pub use wire::Wire;

/// Requests of a connection at once.
pub const STREAMS: u32 = 128;
/// Bytes of a request's body that its connection takes before they have gone on.
pub const STREAM_WINDOW: u32 = 256 * 1024;
/// Bytes of all bodies of a connection together.
pub const CONNECTION_WINDOW: u32 = 1024 * 1024;
/// Bytes of an answer that wait for its connection.
pub const SEND_BUFFER: usize = 64 * 1024;
/// Mistakes in streams that a client may make.
const STREAM_ERRORS: usize = 64;

/// How connections are served.
pub fn builder() -> Builder {
    let mut builder = server::Builder::new();
    builder
        .max_concurrent_streams(STREAMS)
        .initial_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_send_buffer_size(SEND_BUFFER)
        .max_local_error_reset_streams(Some(STREAM_ERRORS))
        .enable_connect_protocol();
    builder
}

/// What the streams of a connection share with it.
pub struct Session {
    client: Rc<Client>,
    wire: Rc<RefCell<Wire>>,
    /// Streams under way.
    open: Cell<u32>,
    /// The connection's task.
    task: RefCell<Option<Waker>>,
}

/// A stream counts until this is dropped.
struct Open(Rc<Session>);

impl Open {
    fn new(session: &Rc<Session>) -> Open {
        session.open.set(session.open.get().saturating_add(1));
        Open(session.clone())
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        let open = self.0.open.get().saturating_sub(1);
        self.0.open.set(open);
        if open == 0
            && let Some(task) = self.0.task.take()
        {
            // From now on it waits for the next request.
            task.wake();
        }
    }
}

/// Serves a connection, of which `early` was read already, until it ends.
pub async fn serve(transport: Transport, early: Bytes, client: &Rc<Client>) {
    let wire = Rc::new(RefCell::new(Wire::new(transport, early, client.clone())));
    let session =
        Rc::new(Session { client: client.clone(), wire: wire.clone(), open: Cell::new(0), task: RefCell::default() });
    let mut turns =
        Turns { session: &session, ending: false, asked: false, frames: 0, taken: 0, pace: Pace::default() };
    begin(client, Waits::Head);
    // Boxed: what shaking hands needs is not kept for as long as the connection lives.
    let mut connection = Box::pin(greet(&mut turns)).await;
    if let Some(connection) = &mut connection {
        poll_fn(|cx| {
            loop {
                match connection.poll_accept(cx) {
                    Poll::Ready(Some(Ok((request, respond)))) => {
                        client.worker.desks.serve((Open::new(&session), request, respond));
                        continue;
                    }
                    Poll::Ready(_) => return Poll::Ready(()),
                    Poll::Pending => {}
                }
                match turns.end(cx) {
                    End::Fine => {}
                    End::Flood => {
                        tracing::debug!(client = %client.ip(), "too many HTTP/2 frames without use");
                        connection.abrupt_shutdown(Reason::ENHANCE_YOUR_CALM);
                        continue;
                    }
                    End::Idle if !turns.ending => {
                        turns.ending = true;
                        connection.graceful_shutdown();
                        // For the last streams that are on their way (RFC 9113, 6.8).
                        client.came(Waits::Request);
                        continue;
                    }
                    End::Idle | End::Over => return Poll::Ready(()),
                }
                if turns.ending || !client.poll_closing(cx) {
                    return Poll::Pending;
                }
                turns.ending = true;
                connection.graceful_shutdown();
                client.came(Waits::Request);
            }
        })
        .await;
    }
    drop(connection);
    // A client that still sends would have its connection reset, and what it is told might be lost.
    client.wait(Waits::Write, LINGER);
    poll_fn(|cx| match wire.borrow_mut().poll_flush(cx) {
        Poll::Pending if client.is_late(cx) => Poll::Ready(()),
        flushed => flushed.map(drop),
    })
    .await;
    wire.borrow_mut().ended = true;
    linger(Shared(wire), client).await;
}

/// Waits for the client's preface.
async fn greet(turns: &mut Turns<'_>) -> Option<Connection<Shared, Bytes>> {
    let Session { client, wire, .. } = turns.session;
    let mut builder = client.worker.http2.clone();
    builder.max_header_list_size(u32::try_from(client.port.header_max()).unwrap_or(u32::MAX));
    let mut handshake = builder.handshake(Shared(wire.clone()));
    poll_fn(|cx| match Pin::new(&mut handshake).poll(cx) {
        Poll::Ready(connection) => Poll::Ready(connection.ok()),
        Poll::Pending => {
            if client.poll_closing(cx) && client.waits() != Waits::Head {
                client.wait(Waits::Head, LAST_CHANCE);
            }
            if turns.end(cx) == End::Fine { Poll::Pending } else { Poll::Ready(None) }
        }
    })
    .await
}

/// What a turn of a connection ends with.
#[derive(PartialEq, Eq)]
enum End {
    /// It waits.
    Fine,
    /// Too many frames.
    Flood,
    /// No request for too long.
    Idle,
    /// The client is too slow, or gone.
    Over,
}

struct Turns<'a> {
    session: &'a Session,
    /// The client was told to go.
    ending: bool,
    /// A request has come.
    asked: bool,
    /// So many frames had come when the wait for a head began.
    frames: u64,
    /// So many bytes the client had taken when it was last waited for, and how fast it takes them.
    taken: u64,
    pace: Pace,
}

impl Turns<'_> {
    /// `h2` has nothing more to do: what it has written goes out, and the client is waited for.
    fn end(&mut self, cx: &mut Context<'_>) -> End {
        let session = self.session;
        let client = &session.client;
        let mut wire = session.wire.borrow_mut();
        if wire.flooded && !std::mem::replace(&mut wire.told, true) {
            return End::Flood;
        }
        let patience = client.port.patience();
        let left = wire.leave(&session.wire);
        match if left { Poll::Ready(Ok(())) } else { wire.poll_flush(cx) } {
            Poll::Ready(Err(_)) => return End::Over,
            Poll::Ready(Ok(())) => self.pace.came(client, Waits::Write, STEP, STEP),
            Poll::Pending => {
                let taken = wire.taken.wrapping_sub(self.taken);
                if client.waits() != Waits::Write || taken > 0 {
                    self.taken = wire.taken;
                    self.pace.came(client, Waits::Write, usize::try_from(taken).unwrap_or(STEP), STEP);
                    if !self.pace.wait(client, Waits::Write, patience.idle) {
                        return End::Over;
                    }
                }
            }
        }
        let open = session.open.get();
        if client.waits() != Waits::Write {
            if wire.scan.is_in_head() {
                if client.waits() != Waits::Head || wire.scan.frames() != self.frames {
                    self.frames = wire.scan.frames();
                    client.wait(Waits::Head, patience.header);
                }
            } else if open > 0 {
                self.asked = true;
                client.came(client.waits());
            } else if client.waits() != Waits::Request && !self.asked && !self.ending {
                begin(client, Waits::Request);
            } else if client.waits() != Waits::Request {
                // One that was told to go has that long to say that it has heard.
                client.wait(Waits::Request, if self.ending { patience.header } else { patience.idle });
            }
        }
        wire.open = open;
        if open == 0 {
            session.task.replace(None);
        } else if !session.task.borrow().as_ref().is_some_and(|task| task.will_wake(cx.waker())) {
            session.task.replace(Some(cx.waker().clone()));
        }
        match client.is_late(cx) {
            false => End::Fine,
            true if client.waits() == Waits::Request => End::Idle,
            true => End::Over,
        }
    }
}
