//! The connection after 101: bytes both ways.

use super::conn::Conn;
use bytes::Buf;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// An upgraded connection. What the server sent right behind its 101 is read first. Dropping it closes the
/// connection. How long it may be idle is the caller's to watch.
pub struct Upgraded(Conn);

impl Upgraded {
    pub(super) fn new(conn: Conn) -> Self {
        Self(conn)
    }
}

impl AsyncRead for Upgraded {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let wire = &mut *self.0.wire();
        if wire.read.is_empty() {
            return Pin::new(&mut wire.stream).poll_read(cx, buf);
        }
        let n = wire.read.len().min(buf.remaining());
        buf.put_slice(wire.read.get(..n).unwrap_or_default());
        wire.read.advance(n);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Upgraded {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0.wire().stream).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0.wire().stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0.wire().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0.wire().stream).poll_shutdown(cx)
    }
}
