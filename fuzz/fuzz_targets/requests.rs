//! What the guard lets through, hyper's server and httparse read as the guard does: as many requests, the same heads, the
//! same bodies. The pieces in which the bytes come change nothing.
//!
//! The first byte says how large the pieces are, the rest is what a client sends.
#![no_main]
#![allow(dead_code)]

use bytes::{Bytes, BytesMut};
use guard::{Broken, Guard};
// For the files of `src/serve`, to which it is a room of the crate.
use gw::policy;
use gw::upstream::chunked::Event;
use gw::upstream::decode::Decoder;
use gw::upstream::head::Framing;
use http::{HeaderMap, Method, Request, Response, Version};
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper::service::service_fn;
use libfuzzer_sys::fuzz_target;
use std::cell::RefCell;
use std::convert::Infallible;
use std::io;
use std::ops::Range;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};

#[path = "../../src/serve/chunks.rs"]
mod chunks;
#[path = "../../src/serve/guard.rs"]
mod guard;
#[path = "../../src/serve/host.rs"]
mod host;

/// As few bytes as `header max` may say, so that the limit is met.
const MAX: usize = 1024;

/// What a guard makes of bytes that come in pieces; every request for another protocol is answered in HTTP.
struct Followed {
    /// How far they passed.
    passed: usize,
    /// Where each head was, if the pieces were single bytes.
    heads: Vec<Range<usize>>,
    count: u64,
    /// 0: nothing is wrong. 1: in a head. 2: in a body.
    broken: u8,
}

fn follow(text: &[u8], step: usize) -> Followed {
    let mut guard = Guard::new(MAX);
    let mut all = Followed { passed: 0, heads: Vec::new(), count: 0, broken: 0 };
    let mut end = 0;
    loop {
        let passed = guard.pass(&text[all.passed..end]);
        assert!(passed.bytes <= end - all.passed);
        if passed.heads > 0 {
            all.heads.push(all.passed..all.passed + passed.bytes);
        }
        all.passed += passed.bytes;
        all.count += passed.heads;
        if let Some(broken) = passed.refused {
            all.broken = if let Broken::Head(_) = broken { 1 } else { 2 };
            return all;
        }
        if guard.is_asked() {
            guard.answered();
        } else if end == text.len() {
            return all;
        } else {
            assert!(end - all.passed <= MAX, "no more is held than a head");
            end = (end + step).min(text.len());
        }
    }
}

/// A request as hyper hands it over; its body is nothing where it broke off.
struct Seen {
    method: Method,
    target: String,
    headers: HeaderMap,
    body: Option<Bytes>,
}

fn hyper_reads(text: &[u8], step: usize) -> Vec<Seen> {
    let seen = RefCell::new(Vec::new());
    let service = service_fn(|request: Request<Incoming>| async {
        let (parts, body) = request.into_parts();
        assert!(matches!(parts.version, Version::HTTP_10 | Version::HTTP_11));
        if let Ok(Some((host, _))) = host::of(&parts.uri, &parts.headers, "http") {
            let sound = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-._:".contains(&b);
            assert!(!host.is_empty() && host.bytes().all(sound), "{host:?} is no host");
        }
        let at = seen.borrow().len();
        seen.borrow_mut().push(Seen {
            method: parts.method,
            target: parts.uri.to_string(),
            headers: parts.headers,
            body: None,
        });
        let body = body.collect().await.ok().map(|body| body.to_bytes());
        seen.borrow_mut()[at].body = body;
        Ok::<_, Infallible>(Response::new(Empty::<Bytes>::new()))
    });
    let mut http = hyper::server::conn::http1::Builder::new();
    http.half_close(true).header_read_timeout(None).max_buf_size(MAX + 16 * 1024);
    let client = Client { text: text.to_vec(), at: 0, step };
    let mut connection = pin!(http.serve_connection(client, service).with_upgrades());
    let ended =
        (0..text.len() + 16).any(|_| connection.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready());
    assert!(ended, "hyper waits, where all has come");
    seen.take()
}

/// Sends a text in pieces and then no more; takes everything.
struct Client {
    text: Vec<u8>,
    at: usize,
    step: usize,
}

impl Read for Client {
    fn poll_read(mut self: Pin<&mut Self>, _: &mut Context<'_>, mut buf: ReadBufCursor<'_>) -> Poll<io::Result<()>> {
        let n = self.step.min(buf.remaining()).min(self.text.len() - self.at);
        buf.put_slice(&self.text[self.at..self.at + n]);
        self.at += n;
        Poll::Ready(Ok(()))
    }
}

impl Write for Client {
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

/// The connection ends behind this request.
fn closes(request: &httparse::Request<'_, '_>) -> bool {
    let says = |option: &str| {
        let fields = request.headers.iter().filter(|field| field.name.eq_ignore_ascii_case("connection"));
        fields
            .flat_map(|field| field.value.split(|b| *b == b','))
            .any(|one| one.trim_ascii().eq_ignore_ascii_case(option.as_bytes()))
    };
    says("close") || request.version == Some(0) && !says("keep-alive")
}

/// A body as what stands behind the head says it is: nothing where it is not complete.
fn decoded(request: &httparse::Request<'_, '_>, text: &[u8]) -> Option<Vec<u8>> {
    let field = |name: &str| request.headers.iter().find(|field| field.name.eq_ignore_ascii_case(name));
    let framing = match (field("transfer-encoding"), field("content-length")) {
        (Some(_), None) => Framing::Chunked,
        (None, Some(length)) => {
            Framing::Length(std::str::from_utf8(length.value).expect("digits").parse().expect("a number"))
        }
        (None, None) => Framing::Length(0),
        (Some(_), Some(_)) => panic!("two lengths"),
    };
    let (mut decoder, mut text, mut body) = (Decoder::new(framing, usize::MAX), BytesMut::from(text), Vec::new());
    loop {
        match decoder.decode(&mut text).ok()?? {
            Event::Data(data) => body.extend_from_slice(&data),
            Event::End(_) => {
                assert!(text.is_empty(), "the next head begins elsewhere");
                return Some(body);
            }
        }
    }
}

fuzz_target!(|input: &[u8]| {
    let [first, text @ ..] = input else { return };
    let step = usize::from(first % 64) + 1;
    let bytewise = follow(text, 1);
    for step in [step, text.len().max(1)] {
        let pieces = follow(text, step);
        assert_eq!((pieces.count, pieces.broken), (bytewise.count, bytewise.broken), "pieces of {step}");
        // Where a body breaks, what came of it before went on.
        assert!(pieces.passed == bytewise.passed || pieces.broken == 2 && pieces.passed <= bytewise.passed);
    }

    let text = &text[..bytewise.passed];
    assert_eq!(bytewise.heads.len() as u64, bytewise.count);
    let seen = hyper_reads(text, step);
    assert!(seen.len() <= bytewise.heads.len(), "hyper sees more requests");
    for (n, head) in bytewise.heads.iter().enumerate() {
        let mut fields = [httparse::EMPTY_HEADER; policy::heads::MAX_FIELDS];
        let mut request = httparse::Request::new(&mut fields);
        let parsed = request.parse(&text[head.clone()]);
        assert_eq!(parsed, Ok(httparse::Status::Complete(head.len())));
        let end = bytewise.heads.get(n + 1).map_or(text.len(), |next| next.start);
        let body = decoded(&request, &text[head.end..end]);
        let is_last = n + 1 == bytewise.heads.len();
        assert!(is_last || body.is_some(), "a body that is not complete");
        let Some(seen) = seen.get(n) else { panic!("hyper does not see request {n}") };
        assert_eq!(Some(seen.method.as_str()), request.method);
        let target = request.path.unwrap_or_default();
        // A URL's scheme and host are in lower case then, and its path is never empty.
        let same = |target: &str| seen.target.eq_ignore_ascii_case(target);
        assert!(same(target) || same(&format!("{target}/")) || !target.starts_with('/'), "{target} is {}", seen.target);
        assert_eq!(seen.headers.len(), request.headers.len());
        for field in request.headers.iter() {
            assert!(seen.headers.get_all(field.name).iter().any(|value| value.as_bytes() == field.value));
        }
        assert_eq!(seen.body.as_deref(), body.as_deref());
        if closes(&request) {
            return;
        }
    }
});
