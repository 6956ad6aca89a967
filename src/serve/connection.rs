//! A client's connection, from its accept to its end.

use super::client::{Client, Waits};
use super::listen::Port;
use super::stream::Stream;
use super::transport::Transport;
use super::worker::Worker;
use super::{request, tunnel};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

/// How long a client that is not done sending is listened to after its answer. Closing at once would
/// reset the connection, and the answer might be lost (RFC 9112, 9.6).
const LINGER: Duration = Duration::from_secs(1);
/// And how much of it is taken.
const LINGER_BYTES: usize = 4 * 1024 * 1024;
/// How long a connection without a request has to bring one when its listener closes: it may be on its way.
const LAST_CHANCE: Duration = Duration::from_millis(500);

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
    let transport = Transport::Tcp(tcp);
    serve_http1(transport, client).await;
}

/// Speaks HTTP/1.1 until the connection ends.
async fn serve_http1(transport: Transport, client: Rc<Client>) {
    let header_max = client.port.header_max();
    let stream = Stream::new(transport, client.clone(), header_max);
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
        client.wait(Waits::Request, LINGER);
        linger(transport.tcp_mut(), &client).await;
    }
}

/// Takes what the client still sends, for a while.
async fn linger(tcp: &mut TcpStream, client: &Client) {
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
