//! One connection to a server: its transport and buffers, and how it is made.

use super::burst::{self, Burst, Queued};
use super::endpoint::Endpoint;
use super::error::{ErrorKind, ExchangeError};
use super::pool::Slot;
use super::stream::Stream;
use super::timer::{Deadline, Timer};
use super::tls::{Offer, Tls};
use bytes::BytesMut;
use rustls::pki_types::ServerName;
use std::cell::{RefCell, RefMut};
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;
use tokio::io::AsyncWrite;
use tokio::net::TcpStream;
use tokio::time::Instant;

/// What a read for a response head makes room for; most small responses need one read.
pub(super) const HEAD_ROOM: usize = 8 * 1024;

/// A connection that is used for one exchange. Dropping it closes it.
pub struct Conn {
    wire: Rc<RefCell<Wire>>,
    slot: Slot,
}

impl Conn {
    pub(super) fn new(wire: Rc<RefCell<Wire>>, slot: Slot) -> Self {
        Self { wire, slot }
    }

    #[inline]
    pub(super) fn wire(&self) -> RefMut<'_, Wire> {
        self.wire.borrow_mut()
    }

    /// What stands in the write buffer goes out with what else is ready in this turn of the event loop.
    #[inline]
    pub(super) fn send_in_burst(&self) {
        self.slot.pool().connector.burst.add(&self.wire);
    }

    /// Gives a connection back after a complete and clean exchange.
    pub(super) fn put_back(self) {
        let Self { wire, slot } = self;
        slot.put_back(wire);
    }
}

/// A connection, whoever it belongs to.
pub(super) struct Wire {
    pub(super) stream: Stream,
    /// What came and was not yet taken.
    pub(super) read: BytesMut,
    /// What is to be written next; see `Upload`.
    pub(super) write: Vec<u8>,
    /// It is written at the end of this turn of the event loop; see `Burst`.
    pub(super) queued: bool,
    /// That took longer than a call, or failed: the request's own task goes on with it.
    pub(super) stuck: bool,
    /// Why it failed.
    pub(super) broken: Option<io::Error>,
    pub(super) deadline: Deadline,
    /// It has served before.
    pub(super) reused: bool,
    /// When it was last put back, on the worker's timer.
    pub(super) since: Duration,
}

impl Wire {
    pub(super) fn new(stream: Stream, deadline: Deadline) -> Self {
        Self {
            stream,
            read: BytesMut::new(),
            write: Vec::with_capacity(1024),
            queued: false,
            stuck: false,
            broken: None,
            deadline,
            reused: false,
            since: Duration::ZERO,
        }
    }

    /// Reads what there is, at least `room` bytes if so many are there. 0 is the end of the stream.
    #[inline]
    pub(super) fn poll_fill(&mut self, cx: &mut Context<'_>, room: usize) -> Poll<io::Result<usize>> {
        self.read.reserve(room);
        tokio_util::io::poll_read_buf(Pin::new(&mut self.stream), cx, &mut self.read)
    }

    /// Writes what stands in the write buffer.
    fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(burst::poll_drain(&mut self.write, &mut self.stream, cx))?;
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    /// Makes an idle connection cheap to keep.
    pub(super) fn shrink(&mut self) {
        self.read = BytesMut::new();
        self.write = Vec::new();
    }
}

impl Queued for Wire {
    fn send_queued(&mut self) {
        if !std::mem::take(&mut self.queued) {
            return;
        }
        let mut cx = Context::from_waker(Waker::noop());
        match self.poll_write(&mut cx) {
            Poll::Ready(Ok(())) => return,
            Poll::Ready(Err(error)) => self.broken = Some(error),
            Poll::Pending => {}
        }
        self.stuck = true;
        self.deadline.wake();
    }
}

/// How connections to one endpoint are made.
pub(super) struct Connector {
    pub(super) endpoint: Arc<Endpoint>,
    pub(super) tls: Option<(Tls, ServerName<'static>)>,
    pub(super) timer: Timer,
    pub(super) burst: Burst<Wire>,
}

impl Connector {
    /// Connects and shakes hands before `end`, and remembers whether that went well.
    pub(super) async fn connect(&self, end: Instant, offer: Offer) -> Result<(Stream, Deadline), ExchangeError> {
        let deadline = self.timer.deadline();
        let left = end.saturating_duration_since(Instant::now());
        let opened = deadline.timeout(left, self.open(self.endpoint.address, offer)).await;
        match opened.unwrap_or_else(|| Err(ExchangeError::new(ErrorKind::ConnectTimeout))) {
            Ok(stream) => {
                self.endpoint.accepted();
                Ok((stream, deadline))
            }
            Err(error) => {
                if error.kind != ErrorKind::Overloaded {
                    self.endpoint.refused();
                }
                Err(error)
            }
        }
    }

    /// Whether the server speaks TLS.
    pub(super) fn is_tls(&self) -> bool {
        self.tls.is_some()
    }

    async fn open(&self, address: SocketAddr, offer: Offer) -> Result<Stream, ExchangeError> {
        let tcp = TcpStream::connect(address).await.map_err(|error| {
            let kind = match error.kind() {
                _ if has_no_file(&error) => ErrorKind::Overloaded,
                io::ErrorKind::ConnectionRefused => ErrorKind::Refused,
                io::ErrorKind::TimedOut => ErrorKind::ConnectTimeout,
                _ => ErrorKind::Connect,
            };
            ExchangeError::because(kind, error)
        })?;
        tcp.set_nodelay(true).map_err(|error| ExchangeError::because(ErrorKind::Connect, error))?;
        let Some((tls, name)) = &self.tls else {
            return Ok(Stream::Tcp(tcp));
        };
        let tls = tokio_rustls::TlsConnector::from(tls.config(offer)).connect(name.clone(), tcp);
        let tls = Box::pin(tls).await.map_err(|error| ExchangeError::because(ErrorKind::Tls, error))?;
        Ok(Stream::Tls(Box::new(tls)))
    }
}

/// This process, or the system, has as many files open as it may: nothing that the server could help.
fn has_no_file(error: &io::Error) -> bool {
    // EMFILE, ENFILE
    matches!(error.raw_os_error(), Some(24 | 23))
}
