//! One request: its head as the decision code wants it, what was decided, and the answer.

use super::body::{End, RequestBody, ResponseBody, strip_hop_by_hop};
use super::client::{Client, Tunnel};
use super::exchange::{self, Failure, Reached};
use super::generation::Local;
use super::guard::Refused;
use super::host;
use super::world::Live;
use crate::decide::path::{self, Normalised, PathError};
use crate::decide::{self, Decided, Head, Outcome};
use crate::observe::access::Record;
use crate::policy::forwarded;
use crate::policy::problem::FailureKind;
use bytes::Bytes;
use http::header::{CONNECTION, HOST, UPGRADE};
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, Version, request, response};
use http_body::Body;
use hyper::body::Incoming;
use jiff::Timestamp;
use smol_str::SmolStr;
use std::cell::RefCell;
use std::convert::Infallible;
use std::rc::Rc;
use std::time::Instant;

/// Answers a request.
pub async fn answer(client: Rc<Client>, request: Request<Incoming>) -> Result<Response<ResponseBody>, Infallible> {
    let refused = client.next_request();
    let (local, listener) = client.port.current();
    let (parts, incoming) = request.into_parts();
    let mut end = End::new(client.clone());
    let id = RequestId::new(&parts.headers, is_trusted(&local, &client));
    if client.worker.access_log {
        end.record = Some(Box::new(record(&client, &parts, &incoming, id.as_str())));
    }
    Ok(serve(&client, &local, listener, &parts, incoming, id.as_str(), refused, end).await)
}

#[allow(clippy::too_many_arguments, reason = "the parts of one request")]
async fn serve(
    client: &Rc<Client>,
    local: &Local,
    listener: usize,
    parts: &request::Parts,
    incoming: Incoming,
    id: &str,
    refused: Option<Refused>,
    mut end: End,
) -> Response<ResponseBody> {
    let now = Timestamp::now();
    let generation = &*local.generation;
    let trusted = is_trusted(local, client);
    let local_name;
    let (host, authority, refused) = match host::of(&parts.uri, &parts.headers) {
        _ if refused.is_some() => ("".into(), "", refused),
        Ok(Some((host, authority))) => (host, authority, None),
        Ok(None) => {
            // HTTP/1.0 may leave it out.
            local_name = client.port.address.to_string();
            (client.port.address.ip().to_string().into(), local_name.as_str(), None)
        }
        Err(why) => ("".into(), "", Some(Refused { status: 400, why })),
    };
    let raw_path = parts.uri.path();
    let normalised = path::normalise(raw_path);
    let body_length = if incoming.is_end_stream() { Some(0) } else { incoming.size_hint().exact() };
    let head = Head {
        method: &parts.method,
        scheme: "http",
        host: &host,
        authority,
        path: normalised.as_ref().map_or(raw_path, Normalised::as_str),
        query: parts.uri.query(),
        headers: &parts.headers,
        client: if trusted {
            forwarded::client(client.ip(), generation.trust.as_ref(), &parts.headers)
        } else {
            client.ip()
        },
        peer: client.ip(),
        trusted,
        listener,
        id,
        time: now,
        body_length,
        upgrade: decide::upgrade(&parts.headers, body_length).filter(|_| parts.version == Version::HTTP_11),
    };
    let world = Live {
        worker: &client.worker,
        local,
        now,
        interim: parts.version == Version::HTTP_11,
        body: RefCell::new((body_length != Some(0)).then(|| RequestBody::streaming(incoming, client.clone()))),
    };
    let decided = match refused {
        None => {
            decide::decide(local.plan(), &head, normalised.as_ref().map_err(|error: &PathError| *error), &world, &())
                .await
        }
        Some(refused) => refuse(local, &head, refused),
    };
    let close = refused.is_some();
    respond(decided, &world, client, &mut end, close).await.map_end(end)
}

/// A decision that the head cannot be understood.
fn refuse<'r>(local: &'r Local, head: &'r Head<'r>, refused: Refused) -> Decided<'r> {
    let mut decided = Decided {
        cx: decide::Context::new(local.plan(), head),
        outcome: Outcome::Refuse(Vec::new()),
        holds: Vec::new(),
        rate_limits: None,
        cors: None,
    };
    decided.fail(FailureKind::BadRequest, refused.why);
    if let Some(failure) = &mut decided.cx.failure {
        failure.status = refused.status;
    }
    decided
}

/// An answer whose body is not yet bound to the end of the request.
struct Ready {
    parts: response::Parts,
    body: Source,
}

enum Source {
    Whole(Bytes),
    Upstream(exchange::Streaming),
    Tunnel(Box<crate::upstream::Upgraded>, std::time::Duration, Rc<Client>),
}

impl Ready {
    fn map_end(self, end: End) -> Response<ResponseBody> {
        let body = match self.body {
            Source::Whole(bytes) => ResponseBody::whole(bytes, end),
            Source::Upstream(streaming) => ResponseBody::upstream(streaming, end),
            Source::Tunnel(upstream, idle, client) => {
                client.tunnel.replace(Some(Tunnel { upstream: *upstream, idle, end }));
                ResponseBody::whole(Bytes::new(), End::new(client))
            }
        };
        Response::from_parts(self.parts, body)
    }
}

async fn respond(mut decided: Decided<'_>, world: &Live<'_>, client: &Rc<Client>, end: &mut End, close: bool) -> Ready {
    end.holds = std::mem::take(&mut decided.holds);
    let reached = match &decided.outcome {
        Outcome::Forward(forward) => Some(exchange::forward(&decided, forward, world, client, end).await),
        _ => None,
    };
    let mut ready = match reached {
        None => own(&mut decided, world),
        Some(Err(failure)) => failed(&mut decided, failure, world),
        Some(Ok(reached)) => {
            decided.cx.server = Some(reached.server);
            decided.cx.upstream_time = Some(reached.time);
            forwarded_answer(&decided, reached.answer, world, client)
        }
    };
    if (close || client.is_closing()) && ready.parts.status != StatusCode::SWITCHING_PROTOCOLS {
        ready.parts.headers.insert(CONNECTION, HeaderValue::from_static("close"));
    }
    if end.record.is_some() {
        note(&decided, &ready.parts, world, end);
    }
    ready.parts.version = Version::HTTP_11;
    ready
}

/// What the gateway says itself.
fn own(decided: &mut Decided<'_>, world: &Live<'_>) -> Ready {
    let (parts, body) = decided.answer(world, &());
    Ready { parts, body: Source::Whole(body) }
}

fn failed(decided: &mut Decided<'_>, failure: Failure, world: &Live<'_>) -> Ready {
    decided.fail(failure.kind, failure.detail);
    if let (Some(status), Some(failed)) = (failure.status, &mut decided.cx.failure) {
        failed.status = status;
    }
    own(decided, world)
}

/// What the upstream said.
fn forwarded_answer(decided: &Decided<'_>, answer: Reached, world: &Live<'_>, client: &Rc<Client>) -> Ready {
    match answer {
        Reached::Response(mut parts, streaming) => {
            strip_hop_by_hop(&mut parts.headers);
            let replaced = decided.respond(&mut parts, world, &());
            let body = replaced.map_or(Source::Upstream(streaming), Source::Whole);
            Ready { parts, body }
        }
        Reached::Whole(mut parts, bytes) => {
            let replaced = decided.respond(&mut parts, world, &());
            Ready { parts, body: Source::Whole(replaced.unwrap_or(bytes)) }
        }
        Reached::Upgrade(mut parts, upstream, idle) => {
            let protocol = parts.headers.get(UPGRADE).cloned();
            strip_hop_by_hop(&mut parts.headers);
            // A tunnel is no answer that could be replaced: the upstream has already changed over.
            let mut edited = parts.clone();
            decided.respond(&mut edited, world, &());
            edited.status = StatusCode::SWITCHING_PROTOCOLS;
            edited.headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
            if let Some(protocol) = protocol.or_else(|| decided.cx.head.upgrade.cloned()) {
                edited.headers.insert(UPGRADE, protocol);
            }
            Ready { parts: edited, body: Source::Tunnel(upstream, idle, client.clone()) }
        }
    }
}

fn record(client: &Client, parts: &request::Parts, incoming: &Incoming, id: &str) -> Record {
    Record {
        id: SmolStr::new(id),
        method: parts.method.clone(),
        uri: parts.uri.clone(),
        host: parts.headers.get(HOST).cloned(),
        client: client.ip(),
        began: Instant::now(),
        route: SmolStr::default(),
        via: SmolStr::default(),
        status: 0,
        upstream: SmolStr::default(),
        server: SmolStr::default(),
        attempts: 0,
        failed: Vec::new(),
        upstream_time: None,
        received: incoming.size_hint().exact(),
        sent: 0,
        error: None,
        detail: String::new(),
        tags: Vec::new(),
    }
}

/// What the decision says for the log.
fn note(decided: &Decided<'_>, parts: &response::Parts, world: &Live<'_>, end: &mut End) {
    let Some(tags) = decided.record(parts.status, &parts.headers, world) else {
        end.record = None;
        return;
    };
    let Some(record) = &mut end.record else { return };
    let cx = &decided.cx;
    record.client = cx.head.client;
    record.status = parts.status.as_u16();
    record.route = cx.route.map(|(_, route)| route.name.clone()).unwrap_or_default();
    record.via = cx.caller.as_ref().map(|(_, caller)| caller.via.clone()).unwrap_or_default();
    record.upstream = cx.upstream.and_then(|id| cx.plan.upstream(id)).map(|u| u.name.clone()).unwrap_or_default();
    record.upstream_time = cx.upstream_time;
    record.error = cx.failure.as_ref().map(|failure| failure.kind.name());
    record.detail = cx.failure.as_ref().map(|failure| failure.detail.to_string()).unwrap_or_default();
    record.tags = tags;
}

fn is_trusted(local: &Local, client: &Client) -> bool {
    let trust = local.generation.trust.as_ref();
    trust.is_some_and(|trust| trust.trusts(client.ip()))
}

/// The id of a request: a trusted proxy's, or 32 hex digits.
struct RequestId<'h>(Result<&'h str, [u8; 32]>);

impl RequestId<'_> {
    fn new(headers: &HeaderMap, trusted: bool) -> RequestId<'_> {
        let given = || headers.get("x-request-id").and_then(|value| value.to_str().ok());
        let sound = |id: &&str| !id.is_empty() && id.len() <= 128 && id.bytes().all(|b| b.is_ascii_graphic());
        if let Some(id) = if trusted { given().filter(sound) } else { None } {
            return RequestId(Ok(id));
        }
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let mut bits = fastrand::u128(..);
        RequestId(Err(std::array::from_fn(|_| {
            let digit = DIGITS.get((bits & 15) as usize).copied().unwrap_or(b'0');
            bits >>= 4;
            digit
        })))
    }

    fn as_str(&self) -> &str {
        match &self.0 {
            Ok(given) => given,
            Err(digits) => std::str::from_utf8(digits).unwrap_or_default(),
        }
    }
}
