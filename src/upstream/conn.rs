//! One connection to a server: its transport and buffers, and how it is made.

use super::endpoint::Endpoint;
use super::error::{ErrorKind, ExchangeError};
use super::pool::Slot;
use super::stream::Stream;
use super::timer::{Deadline, Timer};
use super::tls::{Offer, Tls};
use bytes::BytesMut;
use rustls::pki_types::ServerName;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::Instant;

/// What a read for a response head makes room for; most small responses need one read.
pub(super) const HEAD_ROOM: usize = 8 * 1024;

/// A connection that is used for one exchange. Dropping it closes it.
pub struct Conn {
    pub(super) wire: Box<Wire>,
    slot: Slot,
}

impl Conn {
    pub(super) fn new(wire: Box<Wire>, slot: Slot) -> Self {
        Self { wire, slot }
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

    /// Makes an idle connection cheap to keep.
    pub(super) fn shrink(&mut self) {
        self.read = BytesMut::new();
        self.write = Vec::new();
    }
}

/// How connections to one endpoint are made.
pub(super) struct Connector {
    pub(super) endpoint: Arc<Endpoint>,
    pub(super) tls: Option<(Tls, ServerName<'static>)>,
    pub(super) timer: Timer,
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
                self.endpoint.refused();
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
