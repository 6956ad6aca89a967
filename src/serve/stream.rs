//! A client's socket as hyper uses it: guarded reads, and small writes that go out in one burst with those of other clients.

use super::client::{Client, Waits};
use super::guard::{Broken, Guard};
use super::pace::Pace;
use super::refused::Traces;
use super::transport::Transport;
use crate::upstream::burst::{self, Queued};
use bytes::{Buf, Bytes, BytesMut};
use std::cell::RefCell;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Writes up to this size wait for the end of the turn, joined: one `send` of a copy is cheaper than `writev`, and a client that is
/// awake already need not be woken for each.
const JOIN: usize = 4 * 1024;
/// The bytes that a client must take for its patience to begin anew.
pub const STEP: usize = 4 * 1024;
/// What is read of a client whose request is being answered, to hear whether it is still there.
const LOOK: usize = 4 * 1024;
/// What is kept of that which follows a request for another protocol, until it is answered.
const EARLY: usize = 64 * 1024;
/// What hyper gets for a request that was refused: the service knows by its number what to answer.
const STAND_IN: &[u8] = b"GET / HTTP/1.1\r\nhost: refused\r\n\r\n";

/// A client's socket.
pub struct Stream {
    transport: Transport,
    /// What was read before it was known to be HTTP/1.
    early: Bytes,
    client: Rc<Client>,
    guard: Guard,
    /// The beginning of a head, or what follows a request for another protocol.
    held: BytesMut,
    /// What may go on and has not found room.
    ready: Bytes,
    refused: bool,
    pace: Pace,
    /// What hyper has written and the transport has not taken.
    outbox: Vec<u8>,
    /// It goes out at the end of this turn of the event loop; see [`Burst`](crate::upstream::burst::Burst).
    queued: bool,
    /// Why that failed.
    broken: Option<io::Error>,
}

impl Stream {
    /// A socket whose heads have at most `header_max` bytes, of which `early` was read already.
    pub fn new(transport: Transport, early: Bytes, client: Rc<Client>, header_max: usize) -> Stream {
        Stream {
            transport,
            early,
            client,
            guard: Guard::new(header_max),
            held: BytesMut::new(),
            ready: Bytes::new(),
            refused: false,
            pace: Pace::default(),
            outbox: Vec::new(),
            queued: false,
            broken: None,
        }
    }

    /// The client has sent no more than whole requests.
    pub fn is_between_requests(&self) -> bool {
        self.guard.between_requests() && !self.refused && self.held.is_empty()
    }

    /// What carries it, and what was read of that and not handed on.
    pub fn into_parts(self) -> (Transport, Bytes) {
        let mut rest = BytesMut::from(&self.ready[..]);
        rest.extend_from_slice(&self.held);
        rest.extend_from_slice(&self.early);
        (self.transport, rest.freeze())
    }

    /// Whether a client whose request is being answered has gone; if not, the task is woken when something comes of it. hyper would
    /// look by reading into a buffer of its own, which takes new memory for each request.
    #[inline]
    pub fn is_gone(&mut self, cx: &mut Context<'_>) -> bool {
        // The rest of the request's body is hyper's to read, and its end with it.
        if self.guard.is_in_body() && !self.client.is_ahead() {
            return false;
        }
        // What comes of further requests is kept, while there is room for it.
        while self.early.len() < LOOK && self.transport.poll_readable(cx).is_ready() {
            match self.look(cx) {
                Poll::Ready(true) => {}
                Poll::Ready(false) => return true,
                Poll::Pending => return false,
            }
        }
        false
    }

    /// Whether the client has said something more.
    #[cold]
    fn look(&mut self, cx: &mut Context<'_>) -> Poll<bool> {
        let mut buf = [0; LOOK];
        let mut came = ReadBuf::new(&mut buf);
        if ready!(Pin::new(&mut self.transport).poll_read(cx, &mut came)).is_err() || came.filled().is_empty() {
            return Poll::Ready(false);
        }
        self.early = [&self.early, came.filled()].concat().into();
        Poll::Ready(true)
    }

    /// Nothing came: what is waited for?
    fn nothing_came(&self) {
        let client = &self.client;
        // It has, for its answer.
        if client.is_answering() {
            return;
        }
        let listener = client.port.patience();
        if self.guard.is_in_head() {
            // From the first byte of the head, however many pieces it comes in.
            if !matches!(client.waits(), Waits::Head) {
                client.wait(Waits::Head, listener.header);
            }
        } else if self.guard.between_requests() && client.waits() == Waits::Nothing {
            match client.is_new() {
                true => client.wait(Waits::Request, listener.header),
                false if listener.idle > client.awake() => client.wait_awake(),
                false => client.wait(Waits::Request, listener.idle),
            }
        }
    }

    /// Looks at what lies in `buf` behind `from`, and takes back what may not go on yet.
    fn admit(&mut self, buf: &mut ReadBuf<'_>, from: usize) -> io::Result<()> {
        let came = buf.filled().get(from..).unwrap_or_default();
        let passed = if self.held.is_empty() {
            let passed = self.guard.pass(came);
            self.held.extend_from_slice(came.get(passed.bytes..).unwrap_or_default());
            buf.set_filled(from.saturating_add(passed.bytes));
            passed
        } else {
            self.held.extend_from_slice(came);
            buf.set_filled(from);
            let passed = self.guard.pass(&self.held);
            self.ready = self.held.split_to(passed.bytes.min(self.held.len())).freeze();
            passed
        };
        if passed.heads > 0 {
            self.client.head_came();
        }
        match passed.refused {
            None => self.client.heads_passed(passed.heads, None),
            Some(Broken::Head(refused)) => {
                self.client.heads_passed(passed.heads.saturating_add(1), Some(refused));
                self.client.head_came();
                if self.client.worker.access_log {
                    self.client.leave_traces(Traces::of(&self.held));
                }
                self.held.clear();
                self.refused = true;
                let mut ready = BytesMut::from(&self.ready[..]);
                ready.extend_from_slice(STAND_IN);
                self.ready = ready.freeze();
            }
            Some(Broken::Body(refused)) => return Err(io::Error::new(io::ErrorKind::InvalidData, refused.why)),
        }
        Ok(())
    }

    /// Takes what a refused client still sends, so that closing does not reset what it is told.
    fn poll_discard(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut scratch = [0; 4096];
        for _ in 0..16 {
            let mut buf = ReadBuf::new(&mut scratch);
            ready!(Pin::new(&mut self.transport).poll_read(cx, &mut buf))?;
            if buf.filled().is_empty() {
                return Poll::Ready(Ok(()));
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

/// The stream in hyper's hands, until it is taken back.
#[derive(Clone)]
pub struct Lent(Rc<RefCell<Option<Stream>>>);

impl Lent {
    /// Lends a stream.
    pub fn new(stream: Stream) -> Lent {
        Lent(Rc::new(RefCell::new(Some(stream))))
    }

    /// [`Stream::is_gone`].
    #[inline]
    pub fn is_gone(&self, cx: &mut Context<'_>) -> bool {
        self.0.borrow_mut().as_mut().is_none_or(|stream| stream.is_gone(cx))
    }

    /// Takes it back.
    pub fn back(&self) -> Option<Stream> {
        let mut stream = self.0.borrow_mut().take();
        stream.send_queued();
        stream
    }

    #[inline]
    fn with<T>(&self, work: impl FnOnce(Pin<&mut Stream>) -> Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        match &mut *self.0.borrow_mut() {
            Some(stream) => work(Pin::new(stream)),
            None => Poll::Ready(Err(io::ErrorKind::NotConnected.into())),
        }
    }
}

impl AsyncRead for Lent {
    #[inline]
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.with(|stream| stream.poll_read(cx, buf))
    }
}

impl AsyncWrite for Lent {
    #[inline]
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(buf)])
    }

    #[inline]
    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let mut begins = None;
        let written = self.with(|stream| {
            let stream = stream.get_mut();
            let total: usize = bufs.iter().map(|buf| buf.len()).sum();
            if !stream.has_room(total) {
                return Pin::new(stream).poll_write_vectored(cx, bufs);
            }
            bufs.iter().for_each(|buf| stream.outbox.extend_from_slice(buf));
            stream.client.set_writing(true);
            if !std::mem::replace(&mut stream.queued, true) {
                begins = Some(stream.client.clone());
            }
            Poll::Ready(Ok(total))
        });
        if let Some(client) = begins {
            client.worker.answers.add(&self.0);
        }
        written
    }

    #[inline]
    fn is_write_vectored(&self) -> bool {
        true
    }

    #[inline]
    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.with(|stream| stream.poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.with(|stream| stream.poll_shutdown(cx))
    }
}

impl Queued for Option<Stream> {
    fn send_queued(&mut self) {
        let Some(stream) = self.as_mut().filter(|stream| stream.queued) else { return };
        let mut cx = Context::from_waker(Waker::noop());
        match stream.poll_send(&mut cx) {
            Poll::Ready(Ok(())) => return,
            Poll::Ready(Err(error)) => stream.broken = Some(error),
            Poll::Pending => {}
        }
        // The connection's task goes on with it.
        stream.client.set_writing(true);
        stream.client.wake();
    }
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        loop {
            if !this.ready.is_empty() {
                let n = this.ready.len().min(buf.remaining());
                buf.put_slice(this.ready.get(..n).unwrap_or_default());
                this.ready.advance(n);
                return Poll::Ready(Ok(()));
            }
            if this.refused {
                return this.poll_discard(cx);
            }
            let from = buf.filled().len();
            if this.guard.is_asked() {
                if !this.client.is_answering() {
                    this.guard.answered();
                    this.admit(buf, from)?;
                    continue;
                }
                // hyper takes it that nothing is there, and does not ask again by itself.
                this.client.hold(cx);
                if this.held.len() >= EARLY {
                    return Poll::Pending;
                }
            }
            let came = if this.early.is_empty() {
                Pin::new(&mut this.transport).poll_read(cx, buf)
            } else {
                let n = this.early.len().min(buf.remaining());
                buf.put_slice(this.early.get(..n).unwrap_or_default());
                this.early.advance(n);
                Poll::Ready(Ok(()))
            };
            match came {
                Poll::Ready(Ok(())) if buf.filled().len() == from => return Poll::Ready(Ok(())),
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => {
                    this.nothing_came();
                    return Poll::Pending;
                }
            }
            this.admit(buf, from)?;
            if buf.filled().len() > from {
                return Poll::Ready(Ok(()));
            }
        }
    }
}

impl Stream {
    /// So many bytes more may wait for the end of this turn.
    #[inline]
    fn has_room(&self, more: usize) -> bool {
        self.outbox.len().saturating_add(more) <= JOIN
            && (self.outbox.is_empty() || self.queued)
            && self.broken.is_none()
            && self.client.interim().borrow().is_empty()
            // Whoever has it next writes at once.
            && self.client.tunnel.borrow().is_none()
    }

    /// Writes what waits.
    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.queued = false;
        ready!(burst::poll_drain(&mut self.outbox, &mut self.transport, cx))?;
        Pin::new(&mut self.transport).poll_flush(cx)
    }

    /// Writes what comes before anything else.
    #[inline]
    fn poll_clear(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if let Some(error) = self.broken.take() {
            return Poll::Ready(Err(error));
        }
        if self.outbox.is_empty() && self.client.interim().borrow().is_empty() {
            return Poll::Ready(Ok(()));
        }
        let cleared = match self.poll_send(cx) {
            Poll::Ready(Ok(())) => self.poll_interim(cx),
            sent => sent,
        };
        self.wrote(cleared.map_ok(|()| STEP)).map_ok(drop)
    }

    /// Writes interim responses.
    fn poll_interim(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut interim = self.client.interim().borrow_mut();
        if !interim.is_empty() {
            ready!(burst::poll_drain(&mut interim, &mut self.transport, cx))?;
            ready!(Pin::new(&mut self.transport).poll_flush(cx))?;
        }
        Poll::Ready(Ok(()))
    }

    /// The client takes nothing, or took something.
    #[inline]
    fn wrote(&mut self, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        match &written {
            Poll::Pending if self.client.waits() != Waits::Write => {
                if !self.pace.wait(&self.client, Waits::Write, self.client.port.patience().idle) {
                    return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
                }
            }
            Poll::Ready(written) => {
                let taken = written.as_ref().copied().unwrap_or_default();
                self.pace.came(&self.client, Waits::Write, taken, STEP);
            }
            Poll::Pending => {}
        }
        written
    }
}

impl AsyncWrite for Stream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        ready!(self.poll_clear(cx))?;
        self.client.set_writing(true);
        let written = Pin::new(&mut self.transport).poll_write(cx, buf);
        self.wrote(written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_clear(cx))?;
        self.client.set_writing(true);
        let written = match bufs {
            [one] => Pin::new(&mut self.transport).poll_write(cx, one),
            several => Pin::new(&mut self.transport).poll_write_vectored(cx, several),
        };
        self.wrote(written)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    /// Called when hyper has nothing left to write.
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.queued && self.client.interim().borrow().is_empty() {
            // It is as good as written.
        } else {
            ready!(self.poll_clear(cx))?;
            if self.transport.needs_flush() {
                let flushed = Pin::new(&mut self.transport).poll_flush(cx);
                ready!(self.wrote(flushed.map_ok(|()| STEP)))?;
            }
        }
        let this = &mut *self;
        this.client.set_writing(false);
        // It has taken everything.
        this.pace.came(&this.client, Waits::Write, STEP, STEP);
        // Where it has found nothing to read, hyper does not try again.
        this.nothing_came();
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_clear(cx))?;
        let ended = Pin::new(&mut self.transport).poll_shutdown(cx);
        self.wrote(ended.map_ok(|()| STEP)).map_ok(drop)
    }
}
