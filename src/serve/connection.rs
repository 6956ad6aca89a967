//! A client's connection, from its accept to its end.

use super::client::{Client, Waits};
use super::listen::Port;
use super::stream::Stream;
use super::transport::Transport;
use super::worker::Worker;
use super::{http2, request, tunnel};
use bytes::Bytes;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, ReadBuf};
use tokio::net::TcpStream;

/// How long a client that is not done sending is listened to after its answer. Closing at once would
/// reset the connection, and the answer might be lost (RFC 9112, 9.6).
pub const LINGER: Duration = Duration::from_secs(1);
/// And how much of it is taken.
const LINGER_BYTES: usize = 4 * 1024 * 1024;
/// How long a connection without a request has to bring one when its listener closes: it may be on its way.
pub const LAST_CHANCE: Duration = Duration::from_millis(500);

/// How far a connection is on its way to a graceful end.
#[derive(Clone, Copy, Debug)]
enum Closing {
    /// It stays.
    Not,
    /// It may bring one more request.
    AfterOne,
    /// hyper ends it after the request in flight.
    Told,
}

/// Serves a connection until it ends.
pub async fn serve(worker: Rc<Worker>, port: Rc<Port>, tcp: TcpStream, peer: SocketAddr) {
    let client = Rc::new(Client::new(peer, port, worker));
    client.worker.enrol(&client);
    let mut transport = Transport::Tcp(tcp);
    let mut early = Bytes::new();
    let protocols = client.port.protocols();
    if protocols.h2 {
        let (is_h2, came) = if protocols.h1 { sniff(&mut transport, &client).await } else { (true, early) };
        if is_h2 {
            return http2::serve(transport, came, &client).await;
        }
        early = came;
    }
    serve_http1(transport, early, client).await;
}

/// Speaks HTTP/1.1 until the connection ends. `early` was read of it already.
async fn serve_http1(transport: Transport, early: Bytes, client: Rc<Client>) {
    let header_max = client.port.header_max();
    let stream = Stream::new(transport, early, client.clone(), header_max);
    let service = {
        let client = client.clone();
        service_fn(move |request| request::answer(client.clone(), request))
    };
    let mut http = client.worker.http.clone();
    // The guard has seen each head whole, so hyper must have room for one.
    http.max_buf_size(header_max.saturating_add(16 * 1024));
    let mut connection = http.serve_connection(TokioIo::new(stream), service);
    let mut closing = Closing::Not;
    let done = poll_fn(|cx| {
        loop {
            if let Poll::Ready(outcome) = Pin::new(&mut connection).poll(cx) {
                return Poll::Ready(outcome.is_ok());
            }
            if client.is_late(cx) {
                return Poll::Ready(false);
            }
            match closing {
                Closing::Not if !client.poll_closing(cx) => return Poll::Pending,
                Closing::Told => return Poll::Pending,
                // hyper would close an idle connection at once.
                Closing::Not | Closing::AfterOne if client.is_busy() => {
                    Pin::new(&mut connection).graceful_shutdown();
                    closing = Closing::Told;
                }
                Closing::Not => {
                    if client.waits() != Waits::Head {
                        client.wait(Waits::Request, LAST_CHANCE);
                    }
                    closing = Closing::AfterOne;
                }
                Closing::AfterOne => return Poll::Pending,
            }
        }
    });
    if !done.await {
        return;
    }
    let parts = connection.into_parts();
    let clean = parts.io.inner().is_between_requests();
    let (mut transport, rest) = parts.io.into_inner().into_parts();
    let tunnel = client.tunnel.borrow_mut().take();
    if let Some(tunnel) = tunnel {
        tunnel::run(transport, [parts.read_buf, rest], tunnel, &client).await;
    } else if !clean {
        linger(transport.tcp_mut(), &client).await;
    }
}

/// Whether a client speaks HTTP/2, and what was read to find out: HTTP/2 begins with a preface that is no HTTP/1.1
/// (RFC 9113, 3.4).
async fn sniff(transport: &mut Transport, client: &Client) -> (bool, Bytes) {
    client.wait(Waits::Head, client.port.patience().header);
    let mut buf = [0; http2::PREFACE.len()];
    let mut came = ReadBuf::new(&mut buf);
    let mut last_chance = false;
    let is_h2 = poll_fn(|cx| {
        loop {
            if !http2::PREFACE.starts_with(came.filled()) {
                return Poll::Ready(false);
            }
            let before = came.filled().len();
            if came.remaining() == 0 {
                return Poll::Ready(true);
            }
            match Pin::new(&mut *transport).poll_read(cx, &mut came) {
                Poll::Ready(Ok(())) if came.filled().len() > before => {}
                Poll::Ready(_) => return Poll::Ready(false),
                Poll::Pending if client.is_late(cx) => return Poll::Ready(false),
                Poll::Pending => {
                    if last_chance || !client.poll_closing(cx) {
                        return Poll::Pending;
                    }
                    last_chance = true;
                    client.wait(Waits::Head, LAST_CHANCE);
                }
            }
        }
    });
    let is_h2 = is_h2.await;
    client.came(Waits::Head);
    (is_h2, Bytes::copy_from_slice(came.filled()))
}

/// Takes what the client still sends, for a while.
pub async fn linger(mut tcp: impl AsyncRead + Unpin, client: &Client) {
    client.wait(Waits::Request, LINGER);
    let mut scratch = vec![0; 16 * 1024];
    let mut taken = 0usize;
    while taken < LINGER_BYTES {
        let mut read = std::pin::pin!(tcp.read(&mut scratch));
        let came = poll_fn(|cx| match read.as_mut().poll(cx) {
            Poll::Ready(came) => Poll::Ready(came.unwrap_or(0)),
            Poll::Pending if client.is_late(cx) => Poll::Ready(0),
            Poll::Pending => Poll::Pending,
        });
        match came.await {
            0 => return,
            n => taken = taken.saturating_add(n),
        }
    }
}
