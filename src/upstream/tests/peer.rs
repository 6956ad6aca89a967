//! hyper's client as a second opinion on a response; also used by the fuzz target.

use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper::rt::{Read, ReadBufCursor, Write};
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

/// What hyper makes of `text` as the whole answer to a request: status and body; `None` if it refuses.
pub fn read_response(method: &http::Method, text: &[u8], step: usize) -> Option<(u16, Vec<u8>)> {
    let runtime = tokio::runtime::Builder::new_current_thread().build().ok()?;
    runtime.block_on(async {
        let canned = Canned { text: text.to_vec(), at: 0, step: step.max(1), asked: false, waker: None };
        let (mut sender, connection) = hyper::client::conn::http1::handshake(canned).await.ok()?;
        let request = http::Request::builder().method(method).uri("/").header("host", "x");
        let exchange = async {
            let response = sender.send_request(request.body(Empty::<Bytes>::new()).ok()?).await.ok()?;
            let status = response.status().as_u16();
            Some((status, response.into_body().collect().await.ok()?.to_bytes().to_vec()))
        };
        let exchange = std::pin::pin!(exchange);
        let connection = std::pin::pin!(connection.with_upgrades());
        // The connection is driven until the exchange is over, and the exchange after its end.
        let mut connection = Some(connection);
        let mut exchange = exchange;
        std::future::poll_fn(|cx| {
            if let Some(running) = &mut connection
                && running.as_mut().poll(cx).is_ready()
            {
                connection = None;
            }
            exchange.as_mut().poll(cx)
        })
        .await
    })
}

/// A transport that answers the first request with a text, in pieces, and ends.
struct Canned {
    text: Vec<u8>,
    at: usize,
    step: usize,
    asked: bool,
    waker: Option<Waker>,
}

impl Read for Canned {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, mut buf: ReadBufCursor<'_>) -> Poll<io::Result<()>> {
        if !self.asked {
            self.waker = Some(cx.waker().clone());
            return Poll::Pending;
        }
        let n = self.step.min(buf.remaining()).min(self.text.len() - self.at);
        buf.put_slice(&self.text[self.at..self.at + n]);
        self.at += n;
        Poll::Ready(Ok(()))
    }
}

impl Write for Canned {
    fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.asked = true;
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
        Poll::Ready(Ok(buf.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
