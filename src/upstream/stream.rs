//! The transport to a server: TCP or TLS over it.

use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

/// How long a connection is silent before the kernel asks whether the other machine is there.
const PROBE_AFTER: Duration = Duration::from_secs(15);

/// A connected transport.
#[derive(Debug)]
pub enum Stream {
    /// Plain TCP.
    Tcp(TcpStream),
    /// TLS over TCP.
    Tls(Box<TlsStream<TcpStream>>),
}

impl Stream {
    /// Whether an unused connection is still open and silent, as far as the event loop has heard: no
    /// system call unless something happened to it. With `ask`, the kernel is asked in any case.
    pub(super) fn is_quiet(&mut self, ask: bool) -> bool {
        let mut byte = [0];
        let quiet = match self {
            Self::Tcp(tcp) => would_block(tcp.try_read(&mut byte)),
            // Tickets for later sessions may come at any time: TLS must look at what came.
            Self::Tls(tls) => {
                let mut cx = Context::from_waker(std::task::Waker::noop());
                Pin::new(tls.as_mut()).poll_read(&mut cx, &mut ReadBuf::new(&mut byte)).is_pending()
            }
        };
        quiet && (!ask || would_block(socket2::SockRef::from(self.tcp()).peek(&mut [MaybeUninit::uninit()])))
    }

    /// The protocol that TLS agreed on.
    pub(super) fn protocol(&self) -> Option<&[u8]> {
        match self {
            Self::Tcp(_) => None,
            Self::Tls(tls) => tls.get_ref().1.alpn_protocol(),
        }
    }

    /// Lets the kernel find out when the other machine is gone, for connections that may be silent for long.
    pub(super) fn keep_alive(&self) {
        let probes = socket2::TcpKeepalive::new().with_time(PROBE_AFTER).with_interval(PROBE_AFTER / 3).with_retries(3);
        // Without it, it takes longer to find out.
        let _ = socket2::SockRef::from(self.tcp()).set_tcp_keepalive(&probes);
    }

    /// TCP hands every write to the kernel at once; TLS may keep some of it.
    pub(super) fn needs_flush(&self) -> bool {
        matches!(self, Self::Tls(_))
    }

    fn tcp(&self) -> &TcpStream {
        match self {
            Self::Tcp(tcp) => tcp,
            Self::Tls(tls) => tls.get_ref().0,
        }
    }
}

fn would_block(result: io::Result<usize>) -> bool {
    matches!(result, Err(error) if error.kind() == io::ErrorKind::WouldBlock)
}

impl AsyncRead for Stream {
    #[inline]
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(tcp) => Pin::new(tcp).poll_read(cx, buf),
            Self::Tls(tls) => Pin::new(tls.as_mut()).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Stream {
    #[inline]
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(tcp) => Pin::new(tcp).poll_write(cx, buf),
            Self::Tls(tls) => Pin::new(tls.as_mut()).poll_write(cx, buf),
        }
    }

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

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(tcp) => Pin::new(tcp).poll_flush(cx),
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
