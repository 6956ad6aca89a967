//! A connection after 101: bytes both ways, as long as any move.

use super::client::{Client, Tunnel, Waits};
use super::transport::Transport;
use bytes::Bytes;
use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf, copy_bidirectional};

/// Runs until both sides have ended, one fails, or nothing has moved for too long. `early` was read of the client already.
pub async fn run(transport: Transport, early: [Bytes; 2], tunnel: Tunnel, client: &Client) {
    let Tunnel { mut upstream, idle, mut end } = tunnel;
    client.wait(Waits::Body, idle);
    let mut watched = Watched { transport, client, idle, written: 0 };
    {
        let mut copy = pin!(async {
            for bytes in early {
                upstream.write_all(&bytes).await?;
            }
            copy_bidirectional(&mut watched, &mut upstream).await
        });
        poll_fn(|cx| match copy.as_mut().poll(cx) {
            Poll::Pending if client.is_late(cx) => Poll::Ready(()),
            Poll::Pending => Poll::Pending,
            Poll::Ready(_) => Poll::Ready(()),
        })
        .await;
    }
    if let Some(record) = &mut end.record {
        record.sent = watched.written;
    }
}

/// The client's side, which all bytes pass in one direction or the other.
struct Watched<'a> {
    transport: Transport,
    client: &'a Client,
    idle: Duration,
    written: u64,
}

impl Watched<'_> {
    fn moved(&self) {
        self.client.wait(Waits::Body, self.idle);
    }
}

impl AsyncRead for Watched<'_> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let read = Pin::new(&mut this.transport).poll_read(cx, buf);
        if read.is_ready() {
            this.moved();
        }
        read
    }
}

impl AsyncWrite for Watched<'_> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.transport).poll_write(cx, bytes);
        if let Poll::Ready(Ok(n)) = &written {
            this.written = this.written.saturating_add(*n as u64);
            this.moved();
        }
        written
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().transport).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().transport).poll_shutdown(cx)
    }
}
