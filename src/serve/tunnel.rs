//! A connection after 101: bytes both ways, as long as any move.

use super::client::{Client, Tunnel};
use super::transport::Transport;
use crate::upstream::Upgraded;
use crate::upstream::timer::Deadline;
use bytes::Bytes;
use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf, copy_bidirectional};

/// Runs until both sides have ended, one fails, or nothing has moved for too long. `early` was read of the client already.
pub async fn run(mut transport: Transport, early: [Bytes; 2], tunnel: Tunnel, client: &Client) {
    let Tunnel { mut upstream, idle, mut end } = tunnel;
    let deadline = client.worker.patience.deadline();
    let (sent, _) = copy(&mut transport, early, &mut upstream, &deadline, idle).await;
    if let Some(record) = &mut end.record {
        record.sent = sent;
    }
}

/// Copies both ways: bytes that the client got, and whether both sides have ended as they should.
pub async fn copy<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut S,
    early: [Bytes; 2],
    upstream: &mut Upgraded,
    deadline: &Deadline,
    idle: Duration,
) -> (u64, bool) {
    deadline.arm(idle);
    let mut watched = Watched { stream, deadline, idle, written: 0 };
    let done = {
        let mut copy = pin!(async {
            for bytes in early {
                upstream.write_all(&bytes).await?;
            }
            copy_bidirectional(&mut watched, upstream).await
        });
        poll_fn(|cx| match copy.as_mut().poll(cx) {
            Poll::Pending if deadline.poll_expired(cx) => Poll::Ready(false),
            Poll::Pending => Poll::Pending,
            Poll::Ready(done) => Poll::Ready(done.is_ok()),
        })
        .await
    };
    (watched.written, done)
}

/// The client's side, which all bytes pass in one direction or the other.
struct Watched<'a, S> {
    stream: &'a mut S,
    deadline: &'a Deadline,
    idle: Duration,
    written: u64,
}

impl<S> Watched<'_, S> {
    fn moved(&self) {
        self.deadline.arm(self.idle);
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<'_, S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let read = Pin::new(&mut *this.stream).poll_read(cx, buf);
        if read.is_ready() {
            this.moved();
        }
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<'_, S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut *this.stream).poll_write(cx, bytes);
        if let Poll::Ready(Ok(n)) = &written {
            this.written = this.written.saturating_add(*n as u64);
            this.moved();
        }
        written
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.get_mut().stream).poll_shutdown(cx)
    }
}
