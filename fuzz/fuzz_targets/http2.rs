//! HTTP/2 from a client: the scan of frames agrees with a plain reading of them, in whatever pieces they come, and what
//! `h2` and the check of heads let through would have passed the guard of HTTP/1.
//!
//! The first byte says how large the pieces are, and whether preface and settings are put before the rest.
#![no_main]
#![allow(dead_code)]

use bytes::Bytes;
use guard::Guard;
// For the files of `src/serve`, to which it is a room of the crate.
use gw::policy;
use h2::server;
use http::{HeaderMap, Response, request};
use http2::head;
use http2::scan::{Moment, PREFACE, Scan};
use libfuzzer_sys::fuzz_target;
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

#[path = "../../src/serve/chunks.rs"]
mod chunks;
#[path = "../../src/serve/guard.rs"]
mod guard;
#[path = "../../src/serve/host.rs"]
mod host;
#[path = "../../src/serve/http2"]
mod http2 {
    pub mod head;
    pub mod scan;
}

/// As in `scan.rs`.
const BUDGET: usize = 48;

/// A plain reading of frames.
#[derive(Default)]
struct Plain {
    whole: u64,
    headers: usize,
    /// Those that a client has no need to send often.
    idle: usize,
    in_head: bool,
}

fn plain(text: &[u8]) -> Plain {
    let mut plain = Plain { in_head: text.len() < PREFACE.len(), ..Plain::default() };
    let (mut block, mut settings) = (false, false);
    let mut rest = text.get(PREFACE.len()..).unwrap_or_default();
    while let [a, b, c, kind, flags, _, _, _, _, behind @ ..] = rest {
        let length = u32::from_be_bytes([0, *a, *b, *c]) as usize;
        match kind {
            0 if flags & 1 != 0 || length > if flags & 8 != 0 { 256 } else { 0 } => {}
            1 => {
                plain.headers += 1;
                block = flags & 4 == 0;
            }
            5 => {}
            4 if flags & 1 == 0 && !settings => settings = true,
            kind => {
                plain.idle += 1;
                block &= *kind != 9 || flags & 4 == 0;
            }
        }
        match behind.get(length..) {
            Some(more) => {
                plain.whole += 1;
                rest = more;
            }
            None => {
                plain.in_head |= block || *kind != 0;
                return plain;
            }
        }
    }
    plain.in_head |= block || !rest.is_empty();
    plain
}

/// Bytes that pass, and what the scan has come to.
fn scan(text: &[u8], step: usize) -> (bool, Scan) {
    let mut scan = Scan::new();
    let passes = text.chunks(step).all(|piece| scan.pass(piece, || Moment { tick: 0, open: 0 }).is_ok());
    (passes, scan)
}

/// A request that was let through, written for HTTP/1.
fn as_http1(parts: &request::Parts) -> Vec<u8> {
    let path = parts.uri.path_and_query().map_or("", |path| path.as_str());
    let authority = parts.uri.authority().map(|authority| authority.as_str().as_bytes());
    let host = authority.or(parts.headers.get("host").map(|host| host.as_bytes())).unwrap_or_default();
    let mut out = format!("{} {path} HTTP/1.1\r\nhost: ", parts.method).into_bytes();
    out.extend_from_slice(host);
    out.extend_from_slice(b"\r\n");
    for (name, value) in parts.headers.iter().filter(|(name, _)| *name != "host") {
        out.extend_from_slice(name.as_str().as_bytes());
        out.extend_from_slice(b": ");
        out.extend_from_slice(value.as_bytes());
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(b"\r\n");
    out
}

fn ask(request: http::Request<h2::RecvStream>, respond: &mut server::SendResponse<Bytes>) {
    let (mut parts, mut body) = request.into_parts();
    let socket = head::websocket(&mut parts);
    let good = socket.is_ok() && head::check(&mut parts, "http", || true).is_ok();
    if good && host::of(&parts.uri, &parts.headers, "http").is_ok() {
        let text = as_http1(&parts);
        let passed = Guard::new(usize::MAX).pass(&text);
        let shown = text.escape_ascii().to_string();
        assert_eq!((passed.bytes, passed.heads, passed.refused), (text.len(), 1, None), "{shown}");
    }
    let context = &mut Context::from_waker(Waker::noop());
    while let Poll::Ready(Some(Ok(data))) = body.poll_data(context) {
        let _ = body.flow_control().release_capacity(data.len());
    }
    if let Poll::Ready(Ok(Some(trailers))) = body.poll_trailers(context) {
        let _: HeaderMap = trailers;
    }
    let _ = respond.send_response(Response::new(()), true);
}

/// Sends a text in pieces, a rest behind each, and then no more; takes everything.
struct Client {
    text: Vec<u8>,
    at: usize,
    step: usize,
    rests: bool,
}

impl AsyncRead for Client {
    fn poll_read(mut self: Pin<&mut Self>, _: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        // h2 hands requests over when nothing more comes, and none when the connection has ended.
        self.rests = !self.rests;
        if self.rests {
            return Poll::Pending;
        }
        let n = self.step.min(buf.remaining()).min(self.text.len() - self.at);
        buf.put_slice(&self.text[self.at..self.at + n]);
        self.at += n;
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Client {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(buf.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// All requests, until the connection ends.
fn serve(text: &[u8], step: usize) -> usize {
    let context = &mut Context::from_waker(Waker::noop());
    let mut builder = server::Builder::new();
    builder.max_concurrent_streams(128).max_local_error_reset_streams(Some(64)).enable_connect_protocol();
    builder.max_header_list_size(64 * 1024);
    let mut handshake = pin!(builder.handshake(Client { text: text.to_vec(), at: 0, step, rests: false }));
    let turns = 2 * text.len() + 1024;
    let connection = (0..turns).find_map(|_| match handshake.as_mut().poll(context) {
        Poll::Ready(connection) => Some(connection),
        Poll::Pending => None,
    });
    let Ok(mut connection) = connection.expect("the preface has come or not") else { return 0 };
    let mut requests = 0;
    for _ in 0..turns {
        match connection.poll_accept(context) {
            Poll::Ready(Some(Ok((request, mut respond)))) => {
                requests += 1;
                ask(request, &mut respond);
            }
            Poll::Ready(_) => return requests,
            Poll::Pending => {}
        }
    }
    panic!("h2 waits, where all has come");
}

fuzz_target!(|input: &[u8]| {
    let [first, frames @ ..] = input else { return };
    let step = usize::from(first % 128) + 1;
    let begin = [PREFACE, &[0, 0, 0, 4, 0, 0, 0, 0, 0]].concat();
    let text = if first & 128 == 0 { [&begin, frames].concat() } else { frames.to_vec() };

    let (passes, whole) = scan(&text, text.len().max(1));
    let (also, pieces) = scan(&text, step);
    assert_eq!((passes, format!("{whole:?}")), (also, format!("{pieces:?}")), "pieces of {step}");
    let plain = plain(&text);
    assert_eq!(passes, plain.idle <= BUDGET);
    if passes {
        assert_eq!((whole.frames(), whole.is_in_head()), (plain.whole, plain.in_head));
        assert!(serve(&text, step) <= plain.headers);
    }
});
