//! The client against servers that are scripted byte by byte.

mod differential;
mod exchange;
mod failure;
mod frames;
mod framing;
mod multiplexed;
mod peer;
mod pooling;
mod secure;
mod upload;

use super::balance::Tried;
use super::config::{self, Balance, Config, Host, Scheme, Server, Timeouts};
use super::timer::Timer;
use super::{Answer, ErrorKind, ExchangeError, Picked, Request, Shared, Upstream, UpstreamBody, resolve};
use bytes::Bytes;
use http::{HeaderMap, Method, Response};
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;
use std::cell::Cell;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

/// Runs `test` in a worker's runtime, for ten seconds at most.
pub(super) fn local<T>(test: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build_local(tokio::runtime::LocalOptions::default())
        .unwrap();
    runtime.block_on(async { tokio::time::timeout(Duration::from_secs(10), test).await.expect("too slow") })
}

const MS: Duration = Duration::from_millis(1);

/// A server that does `script` with its n-th connection, and how many it had.
struct Scripted {
    address: SocketAddr,
    connections: Rc<Cell<usize>>,
}

async fn server<F: Future<Output = ()> + 'static>(script: impl Fn(usize, TcpStream) -> F + 'static) -> Scripted {
    let listener = TcpListener::bind("0.0.0.0:0").await.unwrap();
    let scripted = Scripted {
        address: ([127, 0, 0, 1], listener.local_addr().unwrap().port()).into(),
        connections: Rc::default(),
    };
    let connections = scripted.connections.clone();
    tokio::task::spawn_local(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let n = connections.get();
            connections.set(n + 1);
            tokio::task::spawn_local(script(n, stream));
        }
    });
    scripted
}

/// A server that answers every request head with `text` and stays.
async fn answering(text: impl Into<Vec<u8>>) -> Scripted {
    let text: Rc<[u8]> = text.into().into();
    server(move |_, mut stream| {
        let text = text.clone();
        async move {
            while head(&mut stream).await.is_some() {
                stream.write_all(&text).await.unwrap();
            }
        }
    })
    .await
}

/// Reads a request head; `None` at the end of the stream.
async fn head(stream: &mut TcpStream) -> Option<String> {
    let mut text = Vec::new();
    while !text.ends_with(b"\r\n\r\n") {
        text.push(stream.read_u8().await.ok()?);
    }
    Some(String::from_utf8(text).unwrap())
}

async fn exactly(stream: &mut TcpStream, n: usize) -> Vec<u8> {
    let mut bytes = vec![0; n];
    stream.read_exact(&mut bytes).await.unwrap();
    bytes
}

pub fn config(address: SocketAddr) -> Config {
    Config {
        name: "test".into(),
        servers: vec![Server {
            scheme: Scheme::Http,
            host: Host::Ip(address.ip()),
            port: address.port(),
            prefix: String::new(),
            weight: 1,
            backup: false,
        }],
        balance: Balance::P2c,
        pool: config::Pool::default(),
        tls: config::Tls::default(),
        budget: Default::default(),
        health: None,
        eject: None,
        oauth: None,
    }
}

fn upstream(config: Config) -> Upstream {
    let shared = Shared::new(config, 1, None).unwrap();
    let resolver = Rc::new(resolve::Resolver::new(None));
    for (at, server) in shared.config.servers.iter().enumerate() {
        if !matches!(server.host, Host::Ip(_)) {
            tokio::task::spawn_local(resolve::follow(shared.clone(), at, resolver.clone()));
        }
    }
    Upstream::new(shared, &Timer::new())
}

impl Upstream {
    /// An endpoint by its place.
    fn at(&self, at: usize) -> Picked {
        Picked { pool: self.members.borrow().pools[at].clone(), trial: false }
    }

    /// Connections to an endpoint, idle or in use.
    fn connections(&self, at: usize) -> usize {
        self.at(at).connections()
    }

    /// The endpoint that a request would go to.
    async fn somewhere(&self, tried: &Tried) -> Result<Picked, ExchangeError> {
        loop {
            match self.pick(0, None, tried) {
                Some(picked) => return Ok(picked),
                None => self.settle(MS * 5000).await?,
            }
        }
    }
}

/// A client of one scripted server.
fn client(server: &Scripted) -> Upstream {
    upstream(config(server.address))
}

/// A request body that the test feeds.
struct Feed {
    frames: UnboundedReceiver<io::Result<Frame<Bytes>>>,
    length: Option<u64>,
}

#[derive(Clone)]
struct Feeder(UnboundedSender<io::Result<Frame<Bytes>>>);

impl Feeder {
    fn data(&self, data: impl Into<Bytes>) -> bool {
        self.0.send(Ok(Frame::data(data.into()))).is_ok()
    }
}

fn feed(length: Option<u64>) -> (Feeder, Feed) {
    let (sender, frames) = unbounded_channel();
    (Feeder(sender), Feed { frames, length })
}

/// A complete body of known or unknown length.
fn body(data: &[u8], known: bool) -> Option<Feed> {
    let (feeder, feed) = feed(known.then_some(data.len() as u64));
    feeder.data(data.to_vec());
    Some(feed)
}

impl Body for Feed {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        self.frames.poll_recv(cx)
    }

    fn size_hint(&self) -> SizeHint {
        self.length.map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}

/// A response with its body read to the end.
#[derive(Debug)]
struct Whole {
    status: u16,
    headers: HeaderMap,
    body: Vec<u8>,
    trailers: Option<HeaderMap>,
}

async fn whole(response: Response<UpstreamBody<Feed>>) -> Result<Whole, ExchangeError> {
    let (parts, body) = response.into_parts();
    let body = body.collect().await?;
    let trailers = body.trailers().cloned();
    Ok(Whole { status: parts.status.as_u16(), headers: parts.headers, body: body.to_bytes().to_vec(), trailers })
}

fn response(answer: Answer<Feed>) -> Response<UpstreamBody<Feed>> {
    match answer {
        Answer::Response(response) => response,
        Answer::Upgrade(_) => panic!("an upgrade"),
    }
}

async fn exchange(up: &Upstream, request: &mut Request<'_>, body: &mut Option<Feed>) -> Result<Whole, ExchangeError> {
    let line = format!("{} /x HTTP/1.1\r\nhost: test\r\n", request.method);
    let mut tried = Tried::default();
    let mut picked = up.somewhere(&tried).await?;
    loop {
        let head = |out: &mut Vec<u8>| out.extend_from_slice(line.as_bytes());
        match up.exchange(&picked, request, head, body).await {
            Ok(answer) => return whole(response(answer)).await,
            Err(error) if error.kind == ErrorKind::Refused => {
                tried.add(picked.endpoint().id);
                picked = up.sibling(&picked, &tried).ok_or(error)?;
            }
            Err(error) => return Err(error),
        }
    }
}

async fn get(up: &Upstream) -> Result<Whole, ExchangeError> {
    exchange(up, &mut Request::new(&Method::GET), &mut None).await
}

async fn post(up: &Upstream, body: Option<Feed>) -> Result<Whole, ExchangeError> {
    exchange(up, &mut Request::new(&Method::POST), &mut { body }).await
}

fn timeouts(ms: u32) -> Timeouts {
    Timeouts { connect: MS * ms, response: MS * ms, idle: MS * ms }
}
