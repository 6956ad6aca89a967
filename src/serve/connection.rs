//! A client's connection, from its accept to its end.

use super::answers::Answers;
use super::client::{Client, Waits};
use super::listen::{Port, Speaks};
use super::stream::{Lent, Stream};
use super::tls::Failed;
use super::transport::Transport;
use super::worker::Worker;
use super::{http2, proxy_protocol, tls, tunnel};
use crate::policy::forwarded::Field;
use bytes::Bytes;
use hyper::server::conn::http1::Parts;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;

/// How long a client that is not done sending is listened to after its answer. Closing at once would
/// reset the connection, and the answer might be lost (RFC 9112, 9.6).
pub const LINGER: Duration = Duration::from_secs(1);
/// And how much of it is taken.
const LINGER_BYTES: usize = 4 * 1024 * 1024;
/// How long a connection without a request has to bring one when its listener closes: it may be on its way.
pub const LAST_CHANCE: Duration = Duration::from_millis(500);

/// How long a connection is idle before it gives back what it needs for requests.
pub const REST: Duration = Duration::from_millis(20);
/// The same for one that was woken sooner than this after it was put to rest: resting and waking costs a tenth of a request.
pub const SOON: Duration = Duration::from_secs(1);

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

/// What a client hears that speaks HTTP without TLS where TLS is spoken.
const PLAIN: &[u8] = b"HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-type: text/plain; charset=utf-8\r\ncontent-length: 25\r\n\r\nThis port speaks https.\r\n";

/// Serves a connection until it ends.
pub async fn serve(worker: Rc<Worker>, port: Rc<Port>, tcp: TcpStream, peer: SocketAddr) {
    let client = Rc::new(Client::new(peer, port, worker));
    client.worker.enrol(&client);
    let mut transport = match client.port.is_plain() {
        true => Transport::Tcp(tcp),
        // Boxed: what shaking hands needs is not kept for as long as the connection lives.
        false => match Box::pin(open(tcp, &client)).await {
            Some(transport) => {
                client.wait_on(Waits::Request);
                transport
            }
            None => return,
        },
    };
    let mut early = Bytes::new();
    let protocols = client.port.protocols();
    if protocols.h2 {
        let is_h2 = match transport.alpn() {
            Some(protocol) => protocol == b"h2",
            None if protocols.h1 => {
                let Some((is_h2, came)) = sniff(&mut transport, &client).await else {
                    return transport.end().await;
                };
                early = came;
                is_h2
            }
            None => true,
        };
        if is_h2 {
            return Box::pin(http2::serve(transport, early, &client)).await;
        }
    }
    serve_http1(transport, early, client).await;
}

/// What comes before the first request: the PROXY protocol's header, then the TLS handshake. All of it counts into
/// `timeout header`, together with the wait for the first request.
async fn open(mut tcp: TcpStream, client: &Client) -> Option<Transport> {
    client.wait(Waits::Head, client.port.patience().header);
    if client.port.expects_proxy_header()
        && let Err(why) = read_proxy_header(&mut tcp, client).await
    {
        tracing::info!(listener = %client.port.name(), client = %client.ip(), "PROXY protocol: {why}");
        return None;
    }
    let endpoint = match client.port.speaks() {
        Speaks::Http => return Some(Transport::Tcp(tcp)),
        Speaks::Tls(endpoint) => endpoint,
        Speaks::Nothing => return None,
    };
    let failed = match in_time(client, Waits::Head, tls::accept(tcp, &endpoint, &client.worker.challenges)).await {
        Some(Ok(transport)) => {
            client.secure.set(true);
            let certificates = transport.tls().and_then(|tls| tls.peer_certificates());
            if let Some(subject) = certificates.and_then(|chain| tls::subject(chain.first()?)) {
                // It is set once: here.
                let _ = client.certificate.set(subject.into());
            }
            return Some(transport);
        }
        Some(Err(failed)) => failed,
        None => {
            tracing::debug!(listener = %client.port.name(), client = %client.ip(), "TLS: no handshake in time");
            return None;
        }
    };
    match &failed {
        // Nobody's mistake, and what every scan does.
        Failed::Gone | Failed::Plain(_) | Failed::Challenge => {
            tracing::debug!(listener = %client.port.name(), client = %client.ip(), "TLS: {failed}");
        }
        Failed::Refused(..) => {
            tracing::info!(listener = %client.port.name(), client = %client.ip(), "TLS: {failed}");
        }
    }
    let tcp = match failed {
        Failed::Plain(mut tcp) => {
            // Best effort: the client may be gone.
            let _ = tcp.write_all(PLAIN).await;
            Some(tcp)
        }
        Failed::Refused(_, tcp) => tcp,
        Failed::Gone | Failed::Challenge => None,
    };
    if let Some(mut tcp) = tcp {
        // What it was told must arrive.
        let _ = tcp.shutdown().await;
        linger(&mut tcp, client).await;
    }
    None
}

/// Takes the header off, and believes it if that is configured.
async fn read_proxy_header(tcp: &mut TcpStream, client: &Client) -> Result<(), String> {
    let (local, _) = client.port.current();
    let trust = local.generation.trust.as_ref().filter(|trust| trust.field == Field::ProxyProtocol);
    if trust.is_some_and(|trust| !trust.trusts(client.ip())) {
        return Err("the peer is none of `trust proxies`".into());
    }
    let header = in_time(client, Waits::Head, proxy_protocol::read(tcp)).await.ok_or("no header in time")?;
    let source = header.map_err(|bad| bad.to_string())?;
    if let (Some(source), Some(_)) = (source, trust) {
        client.peer.set(source);
    }
    Ok(())
}

/// Works until the client's deadline; when the listener closes, not much longer.
async fn in_time<T>(client: &Client, what: Waits, work: impl Future<Output = T>) -> Option<T> {
    let mut work = pin!(work);
    let mut closing = false;
    let done = poll_fn(|cx| {
        loop {
            if let Poll::Ready(done) = work.as_mut().poll(cx) {
                return Poll::Ready(Some(done));
            }
            if client.is_late(cx) {
                return Poll::Ready(None);
            }
            if closing || !client.poll_closing(cx) {
                return Poll::Pending;
            }
            closing = true;
            client.wait(what, LAST_CHANCE);
        }
    });
    done.await
}

/// What became of a connection that hyper had.
enum Outcome {
    /// It has ended as it should.
    Done,
    /// It is broken, or too slow.
    Broken,
    /// It has been idle for a while.
    Idle,
}

/// Speaks HTTP/1.1 until the connection ends. `early` was read of it already.
///
/// hyper and the room for a request take 20 kB. A connection that is idle gives them back and waits with its socket alone.
async fn serve_http1(mut transport: Transport, mut early: Bytes, client: Rc<Client>) {
    begin(&client, Waits::Request);
    // What TLS has read already would not make the socket readable.
    if early.is_empty() && transport.tls().is_none() && !rest(&transport, &client).await {
        return;
    }
    // Boxed: a connection that rests has none of it.
    while let Some(idle) = Box::pin(converse(transport, early, &client)).await {
        (transport, early) = (idle, Bytes::new());
        client.worker.rested.notify_one();
        let since = client.worker.patience.exact();
        client.wait(Waits::Request, client.port.patience().idle.saturating_sub(client.awake()));
        if !rest(&transport, &client).await {
            return transport.end().await;
        }
        client.rested(client.worker.patience.exact().saturating_sub(since));
    }
}

/// Speaks HTTP/1.1 until the connection has been idle for a while: then it is given back. None if it has ended.
async fn converse(transport: Transport, early: Bytes, client: &Rc<Client>) -> Option<Transport> {
    let header_max = client.port.header_max();
    let stream = Lent::new(Stream::new(transport, early, client.clone(), header_max));
    let answers = Answers::new(client.clone());
    let service = service_fn(move |request| answers.to(request));
    let mut http = client.worker.http.clone();
    // The guard has seen each head whole, so hyper must have room for one.
    http.max_buf_size(header_max.saturating_add(16 * 1024));
    let mut connection = http.serve_connection(TokioIo::new(stream.clone()), service);
    let mut closing = Closing::Not;
    let outcome = poll_fn(|cx| {
        loop {
            if let Poll::Ready(outcome) = Pin::new(&mut connection).poll(cx) {
                return Poll::Ready(if outcome.is_ok() { Outcome::Done } else { Outcome::Broken });
            }
            if client.is_busy() && stream.is_gone(cx) {
                return Poll::Ready(Outcome::Broken);
            }
            if client.is_overdue(cx) {
                return Poll::Ready(Outcome::Broken);
            }
            if client.is_late(cx) {
                return Poll::Ready(if client.waits() == Waits::Rest { Outcome::Idle } else { Outcome::Broken });
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
    let outcome = outcome.await;
    let is_answering = client.is_busy();
    let Parts { io, read_buf, service, .. } = connection.into_parts();
    // The room for a request.
    drop(service);
    drop(io);
    let stream = stream.back()?;
    let clean = stream.is_between_requests();
    let (mut back, unread) = stream.into_parts();
    match outcome {
        Outcome::Broken => {
            // Nothing may be under way that could be taken for whole.
            if client.waits() == Waits::Request && !is_answering {
                back.end().await;
            }
            return None;
        }
        Outcome::Idle => {
            // It has brought nothing that is not handled.
            let is_done = clean && read_buf.is_empty() && unread.is_empty();
            return is_done.then_some(back);
        }
        Outcome::Done => {}
    }
    let tunnel = client.tunnel.borrow_mut().take();
    if let Some(tunnel) = tunnel {
        Box::pin(tunnel::run(back, [read_buf, unread], tunnel, client)).await;
    } else if !clean {
        Box::pin(linger(back.tcp_mut(), client)).await;
    }
    None
}

/// Waits for the first of a client's own bytes, with what came before them: `timeout header` is for all of it.
pub fn begin(client: &Client, what: Waits) {
    match client.waits() {
        Waits::Nothing => client.wait(what, client.port.patience().header),
        _ => client.wait_on(what),
    }
}

/// Waits until something comes. False when it is time to close.
async fn rest(transport: &Transport, client: &Client) -> bool {
    // Broken is readable, too: whoever reads hears of it.
    let came = poll_fn(|cx| transport.tcp().poll_read_ready(cx));
    in_time(client, Waits::Request, came).await.is_some()
}

/// Whether a client speaks HTTP/2, and what was read to find out: HTTP/2 begins with a preface that is no HTTP/1.1
/// (RFC 9113, 3.4). None if that does not come in time.
async fn sniff(transport: &mut Transport, client: &Client) -> Option<(bool, Bytes)> {
    begin(client, Waits::Head);
    let mut buf = [0; http2::PREFACE.len()];
    let mut came = ReadBuf::new(&mut buf);
    let mut last_chance = false;
    let is_h2 = poll_fn(|cx| {
        loop {
            if !http2::PREFACE.starts_with(came.filled()) {
                return Poll::Ready(Some(false));
            }
            let before = came.filled().len();
            if came.remaining() == 0 {
                return Poll::Ready(Some(true));
            }
            match Pin::new(&mut *transport).poll_read(cx, &mut came) {
                Poll::Ready(Ok(())) if came.filled().len() > before => {}
                Poll::Ready(_) => return Poll::Ready(Some(false)),
                Poll::Pending if client.is_late(cx) => return Poll::Ready(None),
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
    let is_h2 = is_h2.await?;
    client.came(Waits::Head);
    Some((is_h2, Bytes::copy_from_slice(came.filled())))
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
