//! What carries a client's connection: TCP, or TLS over it.

use bytes::Bytes;
use rustls::ServerConnection;
use std::cell::RefCell;
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

/// A client's connection, below HTTP.
#[derive(Debug)]
pub enum Transport {
    /// Plain TCP.
    Tcp(TcpStream),
    /// TLS whose handshake is done.
    Tls(Box<TlsStream<Socket>>),
}

/// A socket under TLS.
///
/// rustls asks for 4 KiB at a time, a quarter of a record: more is read at once, and kept until it asks again. It gives
/// what it has encrypted as a list, most often of one record, for which `send` is cheaper than `writev`.
#[derive(Debug)]
pub struct Socket {
    tcp: TcpStream,
    ahead: Bytes,
}

/// How much is read at once.
const AHEAD: usize = 64 * 1024;

thread_local! {
    static SCRATCH: RefCell<Vec<u8>> = RefCell::new(vec![0; AHEAD]);
}

impl Socket {
    /// Nothing is read yet.
    pub fn new(tcp: TcpStream) -> Socket {
        Socket { tcp, ahead: Bytes::new() }
    }

    /// The socket itself. What was read ahead of it is lost.
    pub fn into_tcp(self) -> TcpStream {
        self.tcp
    }
}

impl AsyncRead for Socket {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.ahead.is_empty() {
            return SCRATCH.with_borrow_mut(|scratch| {
                let mut came = ReadBuf::new(scratch);
                ready!(Pin::new(&mut this.tcp).poll_read(cx, &mut came))?;
                let (now, later) = came.filled().split_at(came.filled().len().min(buf.remaining()));
                buf.put_slice(now);
                if !later.is_empty() {
                    this.ahead = Bytes::copy_from_slice(later);
                }
                Poll::Ready(Ok(()))
            });
        }
        let now = this.ahead.split_to(this.ahead.len().min(buf.remaining()));
        buf.put_slice(&now);
        if this.ahead.is_empty() {
            this.ahead = Bytes::new();
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Socket {
    #[inline]
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().tcp).poll_write(cx, buf)
    }

    #[inline]
    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let tcp = Pin::new(&mut self.get_mut().tcp);
        match bufs {
            [one] => tcp.poll_write(cx, one),
            several => tcp.poll_write_vectored(cx, several),
        }
    }

    #[inline]
    fn is_write_vectored(&self) -> bool {
        true
    }

    #[inline]
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().tcp).poll_shutdown(cx)
    }
}

impl Transport {
    /// The socket, past TLS: to hear that something came.
    pub fn tcp(&self) -> &TcpStream {
        match self {
            Self::Tcp(tcp) => tcp,
            Self::Tls(tls) => &tls.get_ref().0.tcp,
        }
    }

    /// Whether a read would tell something; if not, the task is woken when something comes. What TLS has read ahead, or has heard of
    /// the end, does not make the socket readable.
    #[inline]
    pub fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<()> {
        if let Self::Tls(tls) = self
            && let (socket, state) = tls.get_ref()
            && (!socket.ahead.is_empty() || !state.wants_read())
        {
            return Poll::Ready(());
        }
        self.tcp().poll_read_ready(cx).map(drop)
    }

    /// The socket, past TLS: for bytes that nobody will understand.
    pub fn tcp_mut(&mut self) -> &mut TcpStream {
        match self {
            Self::Tcp(tcp) => tcp,
            Self::Tls(tls) => &mut tls.get_mut().0.tcp,
        }
    }

    /// TLS's state: what was agreed upon, and who the client is.
    pub fn tls(&self) -> Option<&ServerConnection> {
        match self {
            Self::Tcp(_) => None,
            Self::Tls(tls) => Some(tls.get_ref().1),
        }
    }

    /// The protocol that client and listener agreed upon (RFC 7301).
    pub fn alpn(&self) -> Option<&[u8]> {
        self.tls()?.alpn_protocol()
    }

    /// Says in TLS that nothing more comes, as far as the client takes it at once.
    pub async fn end(&mut self) {
        if let Self::Tls(tls) = self {
            let tls = tls.as_mut();
            // Best effort: the client may be gone, or take nothing.
            let _ = poll_fn(|cx| Poll::Ready(Pin::new(&mut *tls).poll_shutdown(cx))).await;
        }
    }

    /// TCP hands every write to the kernel at once; TLS keeps what the kernel does not take.
    #[inline]
    pub fn needs_flush(&self) -> bool {
        matches!(self, Self::Tls(_))
    }
}

impl AsyncRead for Transport {
    #[inline]
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(tcp) => Pin::new(tcp).poll_read(cx, buf),
            Self::Tls(tls) => Pin::new(tls.as_mut()).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Transport {
    #[inline]
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(tcp) => Pin::new(tcp).poll_write(cx, buf),
            Self::Tls(tls) => Pin::new(tls.as_mut()).poll_write(cx, buf),
        }
    }

    /// rustls makes one record of pieces that fit into one.
    #[inline]
    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(tcp) => Pin::new(tcp).poll_write_vectored(cx, bufs),
            Self::Tls(tls) => Pin::new(tls.as_mut()).poll_write_vectored(cx, bufs),
        }
    }

    #[inline]
    fn is_write_vectored(&self) -> bool {
        true
    }

    #[inline]
    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(_) => Poll::Ready(Ok(())),
            Self::Tls(tls) => Pin::new(tls.as_mut()).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(tcp) => Pin::new(tcp).poll_shutdown(cx),
            Self::Tls(tls) => Pin::new(tls.as_mut()).poll_shutdown(cx),
        }
    }
}
