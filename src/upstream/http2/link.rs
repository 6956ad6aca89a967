//! One HTTP/2 connection: the task that drives it, and its pulse.

use super::not_sent;
use crate::upstream::config::Http2;
use crate::upstream::error::{ErrorKind, ExchangeError};
use crate::upstream::stream::Stream;
use crate::upstream::timer::{Deadline, Timer};
use bytes::Bytes;
use h2::client::{Connection, ResponseFuture, SendRequest};
use h2::{Ping, PingPong, SendStream};
use http::Request;
use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

/// What a server may send ahead on one stream: as much as a client that reads slowly makes the gateway hold.
const STREAM_WINDOW: u32 = 256 * 1024;
/// And on all streams: none is stopped by another that nobody reads.
const STREAMS: u32 = 256;
/// What a stream holds of a request body that the server does not take.
const SEND_BUFFER: usize = 128 * 1024;

/// A connection, shared by the requests on it. With its last user and its place among the [`Links`](super::Links)
/// it closes.
pub(super) struct Link {
    sender: RefCell<SendRequest<Bytes>>,
    pulse: Rc<Pulse>,
    /// Streams in use.
    active: Cell<usize>,
    /// When the last stream ended, on the worker's timer.
    pub(super) since: Cell<Duration>,
    /// A response came on it.
    served: Cell<bool>,
    most: usize,
    /// Those of requests that are over.
    deadlines: RefCell<Vec<Deadline>>,
    timer: Timer,
    tls: bool,
}

impl Link {
    /// Begins HTTP/2 on a transport. Gives the connection and the task that must be run for it.
    pub(super) async fn begin(
        stream: Stream,
        timer: &Timer,
        config: &Http2,
    ) -> Result<(Rc<Link>, impl Future<Output = ()> + use<>), ExchangeError> {
        let tls = matches!(stream, Stream::Tls(_));
        let pulse = Rc::new(Pulse::default());
        let transport = Transport { stream, pulse: pulse.clone() };
        let mut builder = h2::client::Builder::new();
        builder
            .enable_push(false)
            .initial_window_size(STREAM_WINDOW)
            .initial_connection_window_size(STREAM_WINDOW * STREAMS)
            .max_header_list_size(config.head)
            .max_send_buffer_size(SEND_BUFFER)
            .initial_max_send_streams(config.streams.min(100));
        let (sender, mut connection) = builder.handshake(transport).await.map_err(super::failure)?;
        let pings = connection.ping_pong();
        let link = Link {
            sender: RefCell::new(sender),
            pulse: pulse.clone(),
            active: Cell::new(0),
            since: Cell::new(timer.coarse()),
            served: Cell::new(false),
            most: config.streams.min(STREAMS as usize),
            deadlines: RefCell::default(),
            timer: timer.clone(),
            tls,
        };
        let task = drive(connection, pings, pulse, timer.deadline(), config.clone());
        Ok((Rc::new(link), task))
    }

    /// It takes requests still.
    pub(super) fn is_open(&self) -> bool {
        let mut cx = Context::from_waker(Waker::noop());
        let refused = |ready| matches!(ready, Poll::Ready(Err(_)));
        !self.pulse.over.get() && !refused(self.sender.borrow_mut().poll_ready(&mut cx))
    }

    /// It could take another request now.
    pub(super) fn has_room(&self) -> bool {
        let most = self.sender.borrow().current_max_send_streams().min(self.most);
        let mut cx = Context::from_waker(Waker::noop());
        self.active.get() < most
            && !self.pulse.doubted.get()
            && matches!(self.sender.borrow_mut().poll_ready(&mut cx), Poll::Ready(Ok(())))
    }

    pub(super) fn is_idle(&self) -> bool {
        self.active.get() == 0
    }

    pub(super) fn was_used(&self) -> bool {
        self.served.get()
    }

    pub(super) fn is_tls(&self) -> bool {
        self.tls
    }

    pub(super) fn answered(&self) {
        self.served.set(true);
    }

    pub(super) fn send(
        &self,
        request: Request<()>,
        end: bool,
    ) -> Result<(ResponseFuture, SendStream<Bytes>), ExchangeError> {
        self.sender.borrow_mut().send_request(request, end).map_err(|error| {
            // What h2 itself does not like will not be better on another connection.
            let fatal = !error.is_io() && error.reason().is_none();
            if fatal { ExchangeError::because(ErrorKind::Unsendable, error) } else { not_sent(error) }
        })
    }

    /// A stream begins.
    pub(super) fn enter(&self) -> Deadline {
        self.active.set(self.active.get() + 1);
        self.pulse.streams.set(self.active.get());
        self.deadlines.borrow_mut().pop().unwrap_or_else(|| self.timer.deadline())
    }

    /// A stream is over.
    pub(super) fn leave(&self, deadline: Deadline) {
        self.active.set(self.active.get().saturating_sub(1));
        self.pulse.streams.set(self.active.get());
        self.since.set(self.timer.coarse());
        deadline.disarm();
        self.deadlines.borrow_mut().push(deadline);
    }

    /// A request had to wait for too long. If nothing else was heard in the meantime: is anybody there? Until that
    /// is known, no request goes out on it.
    pub(super) fn waited(&self, patience: Duration) {
        if self.pulse.last.get().is_some_and(|last| last.elapsed() < patience / 2) {
            return;
        }
        self.pulse.doubted.set(true);
        if let Some(task) = self.pulse.task.borrow_mut().take() {
            task.wake();
        }
    }
}

/// What is known of the other end.
#[derive(Default)]
struct Pulse {
    /// Reads that brought something, and when the last one was.
    heard: Cell<u64>,
    last: Cell<Option<Instant>>,
    /// Streams in use.
    streams: Cell<usize>,
    /// Nobody knows whether the server is there.
    doubted: Cell<bool>,
    /// The connection has ended.
    over: Cell<bool>,
    task: RefCell<Option<Waker>>,
}

/// What the driver waits for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Beat {
    /// For nothing: no stream is in use.
    Rest,
    /// For anything from the server.
    Listen,
    /// For the answer to a ping.
    Asked,
    /// For anything; it answered the ping, and is not asked twice: servers count pings in silence (gRPC allows two).
    Trust,
}

/// Drives a connection to its end.
async fn drive(
    mut connection: Connection<Transport, Bytes>,
    mut pings: Option<PingPong>,
    pulse: Rc<Pulse>,
    deadline: Deadline,
    config: Http2,
) {
    let mut beat = Beat::Rest;
    let mut heard = 0;
    poll_fn(|cx| {
        if Pin::new(&mut connection).poll(cx).is_ready() {
            return Poll::Ready(());
        }
        keep_waker(&pulse.task, cx);
        let ponged = pings.as_mut().is_some_and(|pings| pings.poll_pong(cx).is_ready());
        if std::mem::replace(&mut heard, pulse.heard.get()) != heard {
            pulse.doubted.set(false);
            beat = if ponged { Beat::Trust } else { Beat::Listen };
            deadline.arm(config.silence);
        }
        loop {
            match beat {
                Beat::Rest | Beat::Listen | Beat::Trust if pulse.doubted.get() => {
                    if !ask(&mut pings) {
                        return Poll::Ready(());
                    }
                    beat = Beat::Asked;
                    deadline.arm(config.answer);
                }
                Beat::Listen | Beat::Trust if pulse.streams.get() == 0 => {
                    beat = Beat::Rest;
                    deadline.disarm();
                }
                Beat::Rest if pulse.streams.get() > 0 => {
                    beat = Beat::Listen;
                    deadline.arm(config.silence);
                }
                Beat::Rest => return Poll::Pending,
                _ if !deadline.poll_expired(cx) => return Poll::Pending,
                Beat::Asked => return Poll::Ready(()),
                Beat::Trust => deadline.arm(config.silence),
                Beat::Listen => {
                    if !ask(&mut pings) {
                        return Poll::Ready(());
                    }
                    beat = Beat::Asked;
                    deadline.arm(config.answer);
                }
            }
        }
    })
    .await;
    // What is still under way ends with the connection.
    pulse.over.set(true);
}

fn keep_waker(place: &RefCell<Option<Waker>>, cx: &Context<'_>) {
    let mut waker = place.borrow_mut();
    if !waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
        *waker = Some(cx.waker().clone());
    }
}

/// Sends a ping. The connection's task is woken by it.
fn ask(pings: &mut Option<PingPong>) -> bool {
    pings.as_mut().is_none_or(|pings| pings.send_ping(Ping::opaque()).is_ok())
}

/// The transport under h2, which says when something was heard.
struct Transport {
    stream: Stream,
    pulse: Rc<Pulse>,
}

impl AsyncRead for Transport {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buf.filled().len();
        let read = Pin::new(&mut this.stream).poll_read(cx, buf);
        if buf.filled().len() > before {
            this.pulse.heard.set(this.pulse.heard.get().wrapping_add(1));
            this.pulse.last.set(Some(Instant::now()));
        }
        read
    }
}

impl AsyncWrite for Transport {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}
