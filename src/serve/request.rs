//! One request: its head as the decision code wants it, what was decided, and the answer.

use super::body::{End, RequestBody, ResponseBody, strip_hop_by_hop};
use super::client::{Client, Interim, Tunnel};
use super::exchange::{self, Failure, Reached};
use super::host;
use super::world::Live;
use crate::decide::path::{self, Normalised, PathError};
use crate::decide::{self, Decided, Head, Outcome};
use crate::observe::access::{Record, Target};
use crate::policy::forwarded;
use crate::policy::heads::Refused;
use crate::policy::problem::FailureKind;
use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, HOST, SEC_WEBSOCKET_ACCEPT, UPGRADE};
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, Version, request, response};
use http_body::Body;
use hyper::body::Incoming;
use jiff::Timestamp;
use smol_str::SmolStr;
use std::cell::RefCell;
use std::rc::Rc;
use std::time::Instant;

/// A request as its connection hands it over.
pub struct Asked<'a> {
    /// Whose it is.
    pub client: &'a Rc<Client>,
    /// Its head.
    pub parts: &'a request::Parts,
    /// What follows the head.
    pub body: Option<RequestBody>,
    /// Its length: `Some(0)` for none, nothing where it is not said.
    pub body_length: Option<u64>,
    /// It asks for another protocol.
    pub upgrade: Option<&'a HeaderValue>,
    /// What the server of a WebSocket must answer to the key that the gateway has made.
    pub accept: Option<HeaderValue>,
    /// How interim responses go out.
    pub interim: Interim<'a>,
    /// It stands in for one that must be refused.
    pub refused: Option<Refused>,
}

/// Answers a request that came over HTTP/1.
pub async fn answer(client: &Rc<Client>, request: Request<Incoming>) -> Response<ResponseBody> {
    let refused = client.next_request();
    let (parts, incoming) = request.into_parts();
    let body_length = if incoming.is_end_stream() { Some(0) } else { incoming.size_hint().exact() };
    let is_11 = parts.version == Version::HTTP_11;
    let asked = Asked {
        client,
        parts: &parts,
        body: (body_length != Some(0)).then(|| RequestBody::streaming(incoming, client.clone())),
        body_length,
        upgrade: decide::upgrade(&parts.headers, body_length).filter(|_| is_11),
        accept: None,
        interim: if is_11 { Interim::Http1(client) } else { Interim::Unknown },
        refused,
    };
    let mut ready = serve(asked).await;
    if (ready.doubtful || client.is_closing()) && ready.parts.status != StatusCode::SWITCHING_PROTOCOLS {
        ready.parts.headers.insert(CONNECTION, HeaderValue::from_static("close"));
    }
    ready.parts.version = Version::HTTP_11;
    let body = match ready.body {
        Source::Whole(bytes) => ResponseBody::whole(bytes, ready.end),
        Source::Upstream(streaming) => {
            client.answer_within(streaming.total.clone());
            ResponseBody::upstream(streaming, ready.end)
        }
        Source::Tunnel(upstream, idle) => {
            client.tunnel.replace(Some(Tunnel { upstream: *upstream, idle, end: ready.end }));
            ResponseBody::whole(Bytes::new(), End::new(client.clone()))
        }
    };
    Response::from_parts(ready.parts, body)
}

/// Answers a request, whichever way it came.
pub async fn serve(asked: Asked<'_>) -> Ready {
    let Asked { client, parts, body, body_length, upgrade, accept, interim, refused } = asked;
    let (local, listener) = client.port.current();
    let local = &*local;
    let mut end = End::new(client.clone());
    let trusted = local.generation.trusts_fields_of(client.ip());
    let id = RequestId::new(&parts.headers, trusted);
    let id = id.as_str();
    if client.worker.access_log {
        end.record = Some(Box::new(record(client, parts, refused, body_length, id)));
    }
    let now = Timestamp::now();
    if let Some(proof) = client.worker.challenges.token(parts.uri.path())
        && refused.is_none()
    {
        return prove(&proof, end, now);
    }
    let generation = &*local.generation;
    let local_name;
    let (host, authority, refused) = match host::of(&parts.uri, &parts.headers, client.scheme()) {
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
    let head = Head {
        method: &parts.method,
        version: parts.version,
        scheme: client.scheme(),
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
        certificate: client.certificate.get().map(|subject| &**subject),
        listener,
        id,
        time: now,
        body_length,
        upgrade,
    };
    let world = Live { worker: &client.worker, local, now, interim, body: RefCell::new(body) };
    let mut decided = Decided::new(local.plan(), &head);
    match refused {
        None => {
            let path = normalised.as_ref().map_err(|error: &PathError| *error);
            decide::decide_in(&mut decided, path, &world, &()).await;
        }
        Some(refused) => decided.refuse(refused.status, refused.why),
    }
    // Whoever writes heads or paths that readers understand differently says no more.
    let doubtful = decided.cx.route.is_none()
        && decided.cx.failure.as_ref().is_some_and(|failed| failed.kind == FailureKind::BadRequest);
    let (parts, body) = respond(&mut decided, &world, client, &mut end, accept).await;
    Ready { parts, body, end, now, doubtful }
}

/// Answers a CA that wants to see whose host this is (RFC 8555, 8.3), before anything is routed.
#[cold]
fn prove(proof: &str, mut end: End, now: Timestamp) -> Ready {
    if let Some(record) = &mut end.record {
        record.status = 200;
    }
    let (mut parts, ()) = Response::new(()).into_parts();
    parts.headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    Ready { parts, body: Source::Whole(Bytes::copy_from_slice(proof.as_bytes())), end, now, doubtful: false }
}

/// An answer on its way to its connection.
pub struct Ready {
    /// Its head.
    pub parts: response::Parts,
    /// Its body.
    pub body: Source,
    /// What it holds until it is over.
    pub end: End,
    /// When the request came.
    pub now: Timestamp,
    /// Its head or path was refused.
    pub doubtful: bool,
}

/// Where the body of an answer comes from.
pub enum Source {
    /// All of it.
    Whole(Bytes),
    /// An upstream.
    Upstream(exchange::Streaming),
    /// 101: there is none, and how long nothing may move.
    Tunnel(Box<crate::upstream::Upgraded>, std::time::Duration),
}

async fn respond(
    decided: &mut Decided<'_>,
    world: &Live<'_>,
    client: &Rc<Client>,
    end: &mut End,
    accept: Option<HeaderValue>,
) -> (response::Parts, Source) {
    end.holds = std::mem::take(&mut decided.holds);
    let reached = match &decided.outcome {
        Outcome::Forward(forward) => Some(exchange::forward(decided, forward, world, client, end).await),
        _ => None,
    };
    let is_websocket = accept.is_some();
    let (mut parts, mut body) = match reached {
        None => own(decided, world),
        Some(Err(failure)) => failed(decided, failure, world),
        Some(Ok(reached)) => {
            decided.cx.server = Some(reached.server);
            decided.cx.upstream_time = reached.time;
            match (&reached.answer, accept) {
                (Reached::Upgrade(parts, ..), Some(accept))
                    if parts.headers.get(SEC_WEBSOCKET_ACCEPT) != Some(&accept) =>
                {
                    let why = "the server's `Sec-WebSocket-Accept` is not that of the key";
                    failed(decided, Failure::new(FailureKind::UpstreamReset, why), world)
                }
                _ => forwarded_answer(decided, reached.endpoint, reached.answer, world),
            }
        }
    };
    if is_websocket && parts.status.is_success() {
        // To Extended CONNECT it would say that there is a tunnel (RFC 8441, 5).
        let kind = if decided.cx.server.is_some() { FailureKind::UpstreamReset } else { FailureKind::BadRequest };
        let why = format!("a WebSocket was asked for, and the answer is {}", parts.status.as_u16());
        (parts, body) = failed(decided, Failure::new(kind, why), world);
        if parts.status.is_success() {
            parts.status = StatusCode::BAD_REQUEST;
        }
    }
    if end.record.is_some() {
        note(decided, &parts, world, end);
    }
    (parts, body)
}

/// What the gateway says itself.
fn own(decided: &mut Decided<'_>, world: &Live<'_>) -> (response::Parts, Source) {
    let (parts, body) = decided.answer(world, &());
    (parts, Source::Whole(body))
}

fn failed(decided: &mut Decided<'_>, failure: Failure, world: &Live<'_>) -> (response::Parts, Source) {
    decided.fail(failure.kind, failure.detail);
    if let (Some(status), Some(failed)) = (failure.status, &mut decided.cx.failure) {
        failed.status = status;
    }
    own(decided, world)
}

/// What the upstream said.
fn forwarded_answer(
    decided: &Decided<'_>,
    endpoint: u64,
    answer: Reached,
    world: &Live<'_>,
) -> (response::Parts, Source) {
    match answer {
        Reached::Response(mut parts, streaming) => {
            strip_hop_by_hop(&mut parts.headers);
            decided.stick(endpoint, &mut parts.headers);
            if parts.status == StatusCode::NO_CONTENT {
                // It has no length (RFC 9110, 8.6); readers might wait for one.
                parts.headers.remove(CONTENT_LENGTH);
            }
            let replaced = decided.respond(&mut parts, world, &());
            let body = replaced.map_or(Source::Upstream(streaming), Source::Whole);
            (parts, body)
        }
        Reached::Whole(mut parts, bytes) => {
            let replaced = decided.respond(&mut parts, world, &());
            (parts, Source::Whole(replaced.unwrap_or(bytes)))
        }
        Reached::Upgrade(mut parts, upstream, idle) => {
            let protocol = parts.headers.get(UPGRADE).cloned();
            strip_hop_by_hop(&mut parts.headers);
            // A tunnel is no answer that could be replaced: the upstream has already changed over.
            decided.stick(endpoint, &mut parts.headers);
            let mut edited = parts.clone();
            decided.respond(&mut edited, world, &());
            edited.status = StatusCode::SWITCHING_PROTOCOLS;
            edited.headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
            if let Some(protocol) = protocol.or_else(|| decided.cx.head.upgrade.cloned()) {
                edited.headers.insert(UPGRADE, protocol);
            }
            (edited, Source::Tunnel(upstream, idle))
        }
    }
}

fn record(
    client: &Client,
    parts: &request::Parts,
    refused: Option<Refused>,
    received: Option<u64>,
    id: &str,
) -> Record {
    let (method, target, host) = match refused.and_then(|_| client.traces()) {
        Some(traces) => (traces.method, Target::Refused(traces.path), traces.host),
        None => {
            let host = parts.headers.get(HOST).cloned();
            let host = host.or_else(|| HeaderValue::try_from(parts.uri.authority()?.as_str()).ok());
            (Some(parts.method.clone()), Target::Uri(parts.uri.clone()), host)
        }
    };
    Record {
        id: SmolStr::new(id),
        method,
        target,
        host,
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
        received,
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

/// The id of a request: a trusted proxy's, or 32 hex digits.
struct RequestId<'h>(Result<&'h str, [u8; 32]>);

impl RequestId<'_> {
    fn new(headers: &HeaderMap, trusted: bool) -> RequestId<'_> {
        if let Some(id) = if trusted { forwarded::request_id(headers) } else { None } {
            return RequestId(Ok(id));
        }
        RequestId(Err(decide::hex(fastrand::u128(..))))
    }

    fn as_str(&self) -> &str {
        match &self.0 {
            Ok(given) => given,
            Err(digits) => std::str::from_utf8(digits).unwrap_or_default(),
        }
    }
}
