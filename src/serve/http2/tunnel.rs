//! A WebSocket on a stream (RFC 8441): the stream's data is the tunnel's.

use super::super::body::End;
use super::super::tunnel;
use super::Session;
use crate::upstream::Upgraded;
use bytes::{Buf, Bytes};
use h2::{Reason, RecvStream, SendStream};
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Runs until both sides have ended, one fails, or nothing has moved for too long.
pub async fn run(
    session: &Session,
    send: SendStream<Bytes>,
    recv: RecvStream,
    mut upstream: Upgraded,
    idle: Duration,
    end: &mut End,
) {
    let deadline = session.client.worker.patience.deadline();
    let mut stream = Stream { session, send, recv, rest: Bytes::new() };
    let (sent, done) = tunnel::copy(&mut stream, [Bytes::new(), Bytes::new()], &mut upstream, &deadline, idle).await;
    if !done {
        stream.send.send_reset(Reason::CANCEL);
    }
    if let Some(record) = &mut end.record {
        record.sent = sent;
    }
}

/// A stream's data in both directions, as bytes.
struct Stream<'a> {
    session: &'a Session,
    send: SendStream<Bytes>,
    recv: RecvStream,
    rest: Bytes,
}

fn broken(error: h2::Error) -> io::Error {
    error.into_io().unwrap_or_else(|| io::ErrorKind::ConnectionReset.into())
}

impl AsyncRead for Stream<'_> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        while this.rest.is_empty() {
            match ready!(this.recv.poll_data(cx)) {
                None => return Poll::Ready(Ok(())),
                Some(data) => this.rest = data.map_err(broken)?,
            }
        }
        let n = this.rest.len().min(buf.remaining());
        buf.put_slice(this.rest.get(..n).unwrap_or_default());
        this.rest.advance(n);
        this.recv.flow_control().release_capacity(n).map_err(broken)?;
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Stream<'_> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if this.send.poll_reset(cx).is_ready() {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        this.send.reserve_capacity(bytes.len());
        let room = match this.send.capacity() {
            0 => match ready!(this.send.poll_capacity(cx)) {
                Some(room) => room.map_err(broken)?,
                None => return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
            },
            room => room,
        };
        let n = room.min(bytes.len());
        this.session.wire.borrow_mut().scan.earn(3);
        let piece = Bytes::copy_from_slice(bytes.get(..n).unwrap_or_default());
        this.send.send_data(piece, false).map_err(broken)?;
        Poll::Ready(Ok(n))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        // It may be reset already.
        let _ = self.get_mut().send.send_data(Bytes::new(), true);
        Poll::Ready(Ok(()))
    }
}
