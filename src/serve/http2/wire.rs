//! The transport of an HTTP/2 connection as `h2` uses it: reads are looked at, and what is written in one turn of the
//! connection goes out together.
//!
//! `h2` writes and flushes after each larger frame. Here its flush does nothing: the connection's task does it, when
//! `h2` has nothing more to do ([`Wire::poll_flush`]), and leaves little to the end of the turn of the event loop
//! ([`Wire::leave`]). So the answers of many streams cost one system call.

use super::super::client::Client;
use super::super::transport::Transport;
use super::scan::{Moment, Scan};
use crate::upstream::burst::Queued;
use bytes::{Buf, Bytes};
use std::cell::RefCell;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// What is gathered at most before it is written.
const GATHER: usize = 64 * 1024;
/// What waits at most for the end of the turn.
const LITTLE: usize = 16 * 1024;
/// Buffers that were larger are not kept for the next connection.
const SPARE: usize = 2 * GATHER;

/// A transport, its frames and what waits to be written.
pub struct Wire {
    transport: Transport,
    /// What was read before it was known to be HTTP/2.
    early: Bytes,
    /// The frames that come in.
    pub scan: Scan,
    client: Rc<Client>,
    /// Streams under way.
    pub open: u32,
    /// Too many frames came: nothing is read any more.
    pub flooded: bool,
    /// And the client is being told so.
    pub told: bool,
    /// Nothing is understood any more.
    pub ended: bool,
    out: Vec<u8>,
    written: usize,
    /// It goes out at the end of this turn of the event loop; see [`Burst`](crate::upstream::burst::Burst).
    queued: bool,
    /// That took longer, or failed: the connection's task goes on with it.
    stuck: bool,
    /// Why it failed.
    broken: Option<io::Error>,
    /// All bytes that the transport took.
    pub taken: u64,
}

thread_local! {
    /// Connections that rest have no buffer.
    static FREE: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

impl Wire {
    /// A transport of which `early` was read already.
    pub fn new(transport: Transport, early: Bytes, client: Rc<Client>) -> Wire {
        Wire {
            transport,
            early,
            scan: Scan::new(),
            client,
            open: 0,
            flooded: false,
            told: false,
            ended: false,
            out: Vec::new(),
            written: 0,
            queued: false,
            stuck: false,
            broken: None,
            taken: 0,
        }
    }

    /// Leaves what was gathered to the end of the turn, if it is little and nothing is in its way.
    pub fn leave(&mut self, this: &Rc<RefCell<Wire>>) -> bool {
        let little = (1..=LITTLE).contains(&self.out.len()) && !self.stuck;
        if little && !std::mem::replace(&mut self.queued, true) {
            self.client.worker.frames.add(this);
        }
        little
    }

    /// Writes what was gathered.
    pub fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if let Some(error) = self.broken.take() {
            return Poll::Ready(Err(error));
        }
        self.queued = false;
        if self.out.is_empty() {
            return Poll::Ready(Ok(()));
        }
        self.stuck = true;
        while let Some(rest) = self.out.get(self.written..).filter(|rest| !rest.is_empty()) {
            match ready!(Pin::new(&mut self.transport).poll_write(cx, rest))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                n => {
                    self.written = self.written.saturating_add(n);
                    self.taken = self.taken.wrapping_add(n as u64);
                }
            }
        }
        ready!(Pin::new(&mut self.transport).poll_flush(cx))?;
        self.stuck = false;
        self.written = 0;
        self.out.clear();
        if self.out.capacity() <= SPARE {
            FREE.set(std::mem::take(&mut self.out));
        } else {
            self.out = Vec::new();
        }
        Poll::Ready(Ok(()))
    }

    fn poll_write(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if self.out.len() >= GATHER {
            ready!(self.poll_flush(cx))?;
        }
        if self.out.capacity() == 0 {
            self.out = FREE.take();
        }
        self.out.extend_from_slice(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_read(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.ended {
            return Pin::new(self.transport.tcp_mut()).poll_read(cx, buf);
        }
        if self.flooded {
            // Whoever sees this ends the connection.
            return Poll::Pending;
        }
        let from = buf.filled().len();
        if self.early.is_empty() {
            ready!(Pin::new(&mut self.transport).poll_read(cx, buf))?;
        } else {
            let n = self.early.len().min(buf.remaining());
            buf.put_slice(self.early.get(..n).unwrap_or_default());
            self.early.advance(n);
        }
        let (timer, open) = (&self.client.worker.patience, self.open);
        let now = || Moment { tick: u64::try_from(timer.exact().as_millis() / 100).unwrap_or(u64::MAX), open };
        if self.scan.pass(buf.filled().get(from..).unwrap_or_default(), now).is_err() {
            buf.set_filled(from);
            self.flooded = true;
            return Poll::Pending;
        }
        Poll::Ready(Ok(()))
    }
}

impl Queued for Wire {
    fn send_queued(&mut self) {
        if !self.queued {
            return;
        }
        match self.poll_flush(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(Ok(())) => return,
            Poll::Ready(Err(error)) => self.broken = Some(error),
            Poll::Pending => {}
        }
        self.client.wake();
    }
}

/// A wire in two hands: `h2` reads and writes, the connection's task flushes.
pub struct Shared(pub Rc<RefCell<Wire>>);

impl AsyncRead for Shared {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.0.borrow_mut().poll_read(cx, buf)
    }
}

impl AsyncWrite for Shared {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.0.borrow_mut().poll_write(cx, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    /// Writes the rest; the transport itself is closed by who owns it.
    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.borrow_mut().poll_flush(cx)
    }
}
