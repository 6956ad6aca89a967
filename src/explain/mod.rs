//! `gw explain`: a recorded walk through the decision code, without effects.
//!
//! Counters are fresh ones, nothing is sent, and who calls may be said with `--as`. Everything else is what `serve` does.

mod choice;
mod human;
mod record;
mod url;

pub use human::human;
pub use record::{Asked, Step};

use crate::decide::path::{Target, normalise};
use crate::decide::{BodyFailure, Decided, Forward, Head, HeadWriter, Outcome, Refusal, World, decide, upgrade};
use crate::load::materials::Materials;
use crate::model::ast::UpstreamProtocol;
use crate::model::table::TableData;
use crate::model::value::{Value, duration_text};
use crate::plan::router::nearest;
use crate::plan::{
    AuthId, Listener, Plan, Protocols, Route, Server, TableId, TimeoutParts, Upstream, UpstreamId, defaults,
};
use crate::policy::auth::{Caller, Failure, claims};
use crate::policy::forwarded;
use crate::policy::grpc;
use crate::policy::heads::{self, LONG_HEAD, MAX_FIELDS, Refused, TOO_MANY_FIELDS};
use crate::policy::limit::{Check, Verdict};
use crate::policy::problem::FailureKind;
use crate::state::memory::MemoryCounters;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Version};
use jiff::Timestamp;
use record::Recorder;
use serde::Serialize;
use serde_json::{Map, Value as Json};
use smol_str::SmolStr;
use std::net::IpAddr;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

/// A request to be explained.
#[derive(Debug, Clone)]
pub struct Request {
    /// Its method.
    pub method: Method,
    /// `http://host:port/path?query`, or a path alone.
    pub url: String,
    /// Its header fields.
    pub headers: HeaderMap,
    /// Its body.
    pub body: Bytes,
    /// `--as AUTH[:claims]`: whom to take the caller for.
    pub caller: Option<(SmolStr, Json)>,
    /// The peer's address; where the PROXY protocol is trusted, what its header says.
    pub ip: IpAddr,
    /// The subject of the client's certificate.
    pub certificate: Option<String>,
    /// When it comes.
    pub at: Timestamp,
    /// Explain the last of so many at the same moment.
    pub times: u32,
}

/// What `gw explain --format json` prints (language.md, section 11).
#[derive(Debug, Clone, Serialize)]
pub struct Explanation {
    /// The request as it was taken.
    pub request: Taken,
    /// What happens.
    pub outcome: Ends,
    /// The listener.
    pub listener: Listens,
    /// The routes in the order they are asked.
    pub candidates: Vec<Asked>,
    /// Where no route fits: the nearest, and what each would have needed.
    pub nearest: Vec<Near>,
    /// The route's parameters.
    pub params: Map<String, Json>,
    /// The statements that ran, in order.
    pub steps: Vec<Step>,
    /// The request as the upstream gets it.
    pub sent: Option<Sent>,
    /// What the gateway does to the answer, or says itself.
    pub response: Answered,
    /// How long it may take at worst.
    pub budget: Option<Budget>,
}

/// The request as it was taken.
#[derive(Debug, Clone, Serialize)]
#[allow(missing_docs)]
pub struct Taken {
    pub method: String,
    pub host: String,
    pub path: String,
    pub query: Option<String>,
    pub client: String,
}

/// How it ends.
#[derive(Debug, Clone, Serialize)]
pub struct Ends {
    /// `forward`, `respond`, `redirect` or `refuse`.
    pub kind: &'static str,
    /// The status that the gateway answers with itself.
    pub status: Option<u16>,
    /// The kind of failure.
    pub error: Option<&'static str>,
    /// More about it.
    pub detail: Option<String>,
    /// The route.
    pub route: Option<String>,
    /// The upstream.
    pub upstream: Option<String>,
    /// The server that is shown; which is asked, the balance decides.
    pub server: Option<String>,
    /// The servers that it may go to, as the program has them: a name stands for each of its addresses.
    pub servers: Vec<String>,
    /// How one of them is chosen.
    pub choice: Option<String>,
}

impl Ends {
    /// The request reaches its target.
    pub fn is_good(&self) -> bool {
        self.kind != "refuse"
    }
}

/// A listener.
#[derive(Debug, Clone, Serialize)]
#[allow(missing_docs)]
pub struct Listens {
    pub name: String,
    pub address: String,
    pub scheme: &'static str,
    pub file: String,
    pub line: u32,
}

/// A route that came near.
#[derive(Debug, Clone, Serialize)]
#[allow(missing_docs)]
pub struct Near {
    pub route: String,
    pub pattern: String,
    pub reason: String,
    pub file: String,
    pub line: u32,
}

/// The request as the upstream gets it.
#[derive(Debug, Clone, Serialize)]
pub struct Sent {
    /// Its method.
    pub method: String,
    /// Scheme, server and target.
    pub url: String,
    /// `HTTP/1.1`, `HTTP/2`, or both where the server chooses in the TLS handshake.
    pub protocol: &'static str,
    /// Its fields; ids that are new for each request are shown as zeros.
    pub headers: Vec<(String, String)>,
    /// The body is read whole before it is sent, because of this line.
    pub buffered: Option<String>,
}

/// What the gateway does to the answer, or says itself.
#[derive(Debug, Clone, Serialize)]
pub struct Answered {
    /// The status, where the gateway answers.
    pub status: Option<u16>,
    /// The fields that the gateway adds or writes.
    pub headers: Vec<(String, String)>,
    /// The body, where the gateway answers.
    pub body: Option<String>,
}

/// How long it may take at worst.
#[derive(Debug, Clone, Serialize)]
pub struct Budget {
    /// Until the answer begins, in milliseconds.
    pub worst_case_ms: u64,
    /// How often an upstream may be asked.
    pub attempts: u32,
    /// The arithmetic.
    pub how: String,
}

/// Explains a request.
///
/// # Errors
/// A sentence that says what is wrong with the request as it was given.
pub fn explain(plan: &Plan, materials: &Materials, request: &Request) -> Result<Explanation, String> {
    let url = url::split(&request.url)?;
    let target = Target::parse(url.target).map_err(|e| format!("`{}`: {e}", request.url))?;
    let (index, listener) = url::listener(plan, &url)?;
    let normal = normalise(target.path);
    let mut headers = request.headers.clone();
    if !headers.contains_key(http::header::HOST) {
        let value = url.authority.parse().map_err(|_| format!("`{}` is no host", url.authority))?;
        headers.insert(http::header::HOST, value);
    }
    // A `Host` that is said goes before that of the URL, as with curl.
    let authority = request.headers.get(http::header::HOST).and_then(|h| h.to_str().ok()).unwrap_or(url.authority);
    let host = heads::host(authority);
    let trust = plan.trust.as_ref().map(forwarded::Trust::from);
    let trusted = trust.as_ref().is_some_and(|t| t.trusts_fields_of(request.ip));
    let id = forwarded::request_id(&headers).filter(|_| trusted).map_or_else(|| "0".repeat(32), str::to_owned);
    let head = Head {
        method: &request.method,
        version: version(listener, request),
        scheme: listener.scheme(),
        host: host.as_deref().unwrap_or_default(),
        authority: if host.is_some() { authority } else { "" },
        path: normal.as_ref().map_or(target.path, |n| n.as_str()),
        query: target.query,
        headers: &headers,
        client: forwarded::client(request.ip, trust.as_ref(), &headers),
        peer: request.ip,
        trusted,
        certificate: certificate(listener, request)?,
        listener: index,
        id: &id,
        time: request.at,
        body_length: Some(request.body.len() as u64),
        upgrade: upgrade(&headers, Some(request.body.len() as u64)),
    };
    let world = Imagined {
        materials,
        request,
        caller: as_caller(plan, request.caller.as_ref())?,
        counters: MemoryCounters::new(1024),
    };
    let listens = Listens {
        name: listener.name.to_string(),
        address: listener.address.to_string(),
        scheme: listener.scheme(),
        file: plan.file(&listener.origin).to_owned(),
        line: listener.origin.line,
    };
    let taken = Taken {
        method: request.method.to_string(),
        host: host.as_deref().unwrap_or(authority).to_owned(),
        path: head.path.to_owned(),
        query: target.query.map(str::to_owned),
        client: head.client.to_string(),
    };
    let path = || normal.as_ref().map_err(|e| *e);
    let mut earlier = Vec::new();
    for _ in 1..request.times {
        // Kept, so that what concurrent limits hold stays held.
        earlier.push(at_once(decide(plan, &head, path(), &world, &())).holds);
    }
    let recorder = Recorder::new(plan);
    // Of a head that is refused no more is known than that.
    let (unread_method, unread_fields) = (Method::GET, HeaderMap::new());
    let unread = Head {
        method: &unread_method,
        host: "",
        authority: "",
        path: "/",
        query: None,
        headers: &unread_fields,
        client: request.ip,
        body_length: Some(0),
        upgrade: None,
        ..head
    };
    let refused = refused(request, url.target, &headers, listener);
    let mut decided = match &refused {
        Ok(()) if host.is_none() => {
            let mut decided = Decided::new(plan, &head);
            decided.refuse(400, heads::NO_HOST);
            decided
        }
        Ok(()) => at_once(decide(plan, &head, path(), &world, &recorder)),
        Err((status, why)) => {
            let mut decided = Decided::new(plan, &unread);
            decided.refuse(*status, why);
            decided
        }
    };
    let route = decided.cx.route.map(|(_, r)| r);
    let params = decided.cx.captures.iter().flat_map(|c| c.iter()).map(|(n, v)| (n.to_owned(), Json::from(v.as_ref())));
    let params = params.collect();
    let failed = decided.cx.failure.clone();
    let nearest = match &failed {
        // A path that was refused for the sake of a route that it met lacks nothing.
        Some(failed) if failed.kind == FailureKind::BadRequest && recorder.has_met() => Vec::new(),
        Some(_) if route.is_none() && refused.is_ok() && host.is_some() => near_routes(plan, listener, &head),
        _ => Vec::new(),
    };
    let mut ends = Ends {
        kind: "refuse",
        status: None,
        error: failed.as_ref().map(|f| f.kind.name()),
        detail: failed.map(|f| f.detail).filter(|d| !d.is_empty()),
        route: route.map(|r| r.name.to_string()),
        upstream: None,
        server: None,
        servers: Vec::new(),
        choice: None,
    };
    let (mut sent, mut budget) = (None, None);
    let response = match &decided.outcome {
        Outcome::Forward(forward) => {
            ends.kind = "forward";
            let upstream = plan.upstream(forward.upstream);
            ends.upstream = upstream.map(|u| u.name.to_string());
            let server = upstream.and_then(|u| u.servers.iter().find(|s| !s.backup).or(u.servers.first()));
            ends.server = server.map(|s| s.authority.to_string());
            if let Some(upstream) = upstream {
                ends.servers = upstream.servers.iter().map(|s| s.authority.to_string()).collect();
                ends.choice = choice::among(upstream, forward.sticky.is_some());
            }
            let echo = upstream.map(|u| Server::echo(&u.name));
            let server = server.or(echo.as_ref());
            sent = server.map(|server| outgoing(&decided, forward, server, route));
            let server = server.map(|server| server.authority.clone());
            budget = Some(worst_case(forward, upstream));
            decided.cx.server = server;
            // What the gateway would add to a plain 200 of the upstream.
            let (mut parts, ()) = http::Response::new(()).into_parts();
            if forward.sticky.is_none() {
                decided.stick(0, &mut parts.headers);
            }
            decided.respond(&mut parts, &world, &recorder);
            Answered { status: None, headers: fields(&parts.headers), body: None }
        }
        outcome => {
            if let Outcome::Answer(a) = outcome {
                ends.kind = if matches!(a.status, 301..=303 | 307 | 308) { "redirect" } else { "respond" };
            }
            let (parts, body) = decided.answer(&world, &recorder);
            ends.status = Some(parts.status.as_u16());
            let body = Some(String::from_utf8_lossy(&body).into_owned()).filter(|b| !b.is_empty());
            let mut headers = fields(&parts.headers);
            let doubtful = route.is_none() && ends.error == Some(FailureKind::BadRequest.name());
            if doubtful && head.version != Version::HTTP_2 {
                headers.push(("connection".to_owned(), "close".to_owned()));
            }
            Answered { status: ends.status, headers, body }
        }
    };
    let (candidates, steps) = recorder.into_parts();
    Ok(Explanation {
        request: taken,
        outcome: ends,
        listener: listens,
        candidates,
        nearest,
        params,
        steps,
        sent,
        response,
        budget,
    })
}

/// Why a request is refused whatever the program says, if it is, and with which status: as in `serve`, where nothing more is read of
/// such a head.
fn refused(request: &Request, target: &str, headers: &HeaderMap, listener: &Listener) -> Result<(), (u16, String)> {
    let bare = |refused: Refused| (refused.status, refused.why.to_owned());
    heads::line(&request.method, target).map_err(bare)?;
    for (before, (name, value)) in headers.iter().enumerate() {
        if before == MAX_FIELDS {
            return Err(bare(TOO_MANY_FIELDS));
        }
        heads::field(name, value).map_err(|refused| (refused.status, format!("{}: `{name}`", refused.why)))?;
    }
    if headers.get_all(http::header::HOST).iter().count() > 1 {
        return Err((400, "`Host` is there twice".to_owned()));
    }
    let fields: usize = headers.iter().map(|(name, value)| name.as_str().len() + value.len() + ": \r\n".len()).sum();
    let line = request.method.as_str().len() + target.len() + "  HTTP/1.1\r\n".len();
    match line + fields + "\r\n".len() > listener.header_max {
        true => Err(bare(LONG_HEAD)),
        false => Ok(()),
    }
}

/// The HTTP that it would come in: clients of listeners for both choose HTTP/2 for gRPC, which needs it.
fn version(listener: &Listener, request: &Request) -> Version {
    let Protocols { h1, h2 } = listener.protocols;
    match h2 && (!h1 || grpc::is_call(&request.method, &request.headers)) {
        true => Version::HTTP_2,
        false => Version::HTTP_11,
    }
}

/// The subject of the client's certificate, if the listener would take it.
fn certificate<'r>(listener: &Listener, request: &'r Request) -> Result<Option<&'r str>, String> {
    let clients = listener.tls.as_ref().and_then(|tls| tls.clients.as_ref());
    let name = &listener.name;
    match (clients, &request.certificate) {
        (None, Some(_)) => Err(format!("the listener `{name}` asks for no client certificates")),
        (Some(clients), None) if clients.required => Err(format!(
            "the listener `{name}` takes no client without a certificate: give its subject, --client-certificate CN=NAME"
        )),
        (_, certificate) => Ok(certificate.as_deref()),
    }
}

/// The nearest routes, those of other listeners too.
fn near_routes(plan: &Plan, listener: &Listener, head: &Head<'_>) -> Vec<Near> {
    let of = |router: usize, on: Option<&str>| match plan.routers.get(router) {
        Some(router) => nearest(router, head.host, head.method, head.path, on),
        None => Vec::new(),
    };
    let mut near = of(listener.router, None);
    for other in plan.listeners.iter().filter(|l| l.router != listener.router && l.redirect_https.is_none()) {
        near.extend(of(other.router, Some(&other.name)));
    }
    near.sort_by_key(|n| n.cost);
    let mut shown: Vec<u32> = Vec::new();
    near.retain(|n| !shown.contains(&n.route) && (shown.push(n.route), shown.len() <= 5).1);
    near.into_iter()
        .filter_map(|n| {
            let r = plan.routes.get(n.route as usize)?;
            Some(Near {
                route: r.name.to_string(),
                pattern: r.pattern.to_string(),
                reason: n.reason,
                file: plan.file(&r.origin).to_owned(),
                line: r.origin.line,
            })
        })
        .collect()
}

/// Whom `--as` says.
fn as_caller(plan: &Plan, said: Option<&(SmolStr, Json)>) -> Result<Option<(AuthId, Arc<Caller>)>, String> {
    let Some((name, json)) = said else { return Ok(None) };
    let Some((index, auth)) = plan.auths.iter().enumerate().find(|(_, a)| a.name == *name) else {
        let names: Vec<&str> = plan.auths.iter().map(|a| a.name.as_str()).collect();
        return Err(match names.is_empty() {
            true => format!("--as {name}: the program declares no auth"),
            false => format!("--as {name}: no auth is called so; there is {}", names.join(", ")),
        });
    };
    let mut values = Vec::new();
    for (claim, ty, _) in &auth.claims {
        let given = json.get(claim.as_str()).unwrap_or(&Json::Null);
        let value = claims::typed(ty, given).ok_or_else(|| {
            format!(
                "--as {name}: the claim `{claim}` must be {ty}, and is {given}; give it as {name}:{{\"{claim}\": …}}"
            )
        })?;
        values.push(value);
    }
    let id = match json.get("id").or_else(|| json.get("sub")) {
        None => SmolStr::new_static("explain"),
        Some(Json::String(s)) => SmolStr::new(s),
        Some(other) => return Err(format!("--as {name}: `id` must be a text, and is {other}")),
    };
    let scopes = json.get("scopes").and_then(Json::as_array).into_iter().flatten();
    let scopes = scopes.filter_map(|s| Some(Value::Str(s.as_str()?.to_owned().into()))).collect();
    let caller = Caller { id, via: name.clone(), claims: values, scopes: Some(scopes), expires: None };
    Ok(Some((AuthId(index as u32), Arc::new(caller))))
}

fn outgoing(decided: &Decided<'_>, forward: &Forward, server: &Server, route: Option<&Route>) -> Sent {
    let mut shown = Shown::default();
    decided.outgoing(forward, server, 0, &mut shown);
    for (_, value) in &mut shown.headers {
        for secret in &decided.cx.plan.secrets {
            *value = value.replace(secret.expose(), &secret.to_string());
        }
    }
    let scheme = if server.tls { "https" } else { "http" };
    let spoken = decided.cx.plan.upstream(forward.upstream).and_then(|upstream| upstream.protocol);
    let upgrade = decided.cx.head.upgrade.is_some();
    let protocol = match spoken.unwrap_or(UpstreamProtocol::Auto) {
        UpstreamProtocol::H2 | UpstreamProtocol::H2c => "HTTP/2",
        UpstreamProtocol::Auto if server.tls && !upgrade => "HTTP/2 or HTTP/1.1",
        UpstreamProtocol::Auto | UpstreamProtocol::H1 => "HTTP/1.1",
    };
    if protocol == "HTTP/2" {
        // It has no fields of the connection.
        shown.headers.retain(|(name, _)| !matches!(name.as_str(), "connection" | "upgrade"));
    }
    let because = route.and_then(|r| r.inbound.buffer_body.as_ref());
    Sent {
        method: shown.method,
        url: format!("{scheme}://{}{}", server.authority, shown.target),
        protocol,
        headers: shown.headers,
        buffered: because.map(|o| format!("{}:{} {}", decided.cx.plan.file(o), o.line, o.text)),
    }
}

#[derive(Default)]
struct Shown {
    method: String,
    target: String,
    headers: Vec<(String, String)>,
}

impl HeadWriter for Shown {
    fn line(&mut self, method: &str, prefix: &str, path: &str, query: Option<&str>) {
        self.method = method.to_owned();
        self.target = format!("{prefix}{path}{}{}", if query.is_some() { "?" } else { "" }, query.unwrap_or_default());
    }

    fn field(&mut self, name: &str, value: &[u8]) {
        self.headers.push((name.to_owned(), String::from_utf8_lossy(value).into_owned()));
    }
}

fn fields(headers: &HeaderMap) -> Vec<(String, String)> {
    headers.iter().map(|(n, v)| (n.to_string(), String::from_utf8_lossy(v.as_bytes()).into_owned())).collect()
}

fn worst_case(forward: &Forward, upstream: Option<&Upstream>) -> Budget {
    let attempts = forward.retries().saturating_add(1);
    let TimeoutParts { total, connect, response, .. } = forward.timeouts;
    let (connect, response) = (connect.unwrap_or(defaults::CONNECT), response.unwrap_or(defaults::RESPONSE));
    let pause = forward.retry.backoff.unwrap_or(defaults::BACKOFF).1;
    let pauses = pause.saturating_mul(attempts - 1);
    // For one of `max requests`.
    let in_line = upstream.is_some_and(|u| u.max_requests.is_some() && u.max_pending.is_some_and(|n| n > 0));
    let in_line = if in_line { connect } else { Duration::ZERO };
    let all = connect.saturating_add(response).saturating_mul(attempts).saturating_add(pauses).saturating_add(in_line);
    let worst = total.map_or(all, |t| t.min(all));
    let one = format!("{} connect + {} response", duration_text(connect), duration_text(response));
    let mut how = if attempts == 1 { one } else { format!("{attempts} × ({one})") };
    if !in_line.is_zero() {
        how.insert_str(0, &format!("{} in line + ", duration_text(in_line)));
    }
    if !pauses.is_zero() {
        how.push_str(&format!(" + {} of pauses", duration_text(pauses)));
    }
    if let Some(t) = total.filter(|t| *t < all) {
        how.push_str(&format!(" = {}, cut at the total of {}", duration_text(all), duration_text(t)));
    }
    Budget { worst_case_ms: u64::try_from(worst.as_millis()).unwrap_or(u64::MAX), attempts, how }
}

/// The world of a request that is only imagined: it reads, and spends nothing that lasts.
struct Imagined<'a> {
    materials: &'a Materials,
    request: &'a Request,
    caller: Option<(AuthId, Arc<Caller>)>,
    counters: MemoryCounters,
}

impl World for Imagined<'_> {
    fn now(&self) -> Timestamp {
        self.request.at
    }

    fn random(&self) -> u128 {
        0
    }

    fn instance(&self) -> &str {
        "explain"
    }

    fn table(&self, id: TableId) -> Arc<TableData> {
        self.materials.table(id)
    }

    fn authenticate(&self, auth: AuthId, headers: &HeaderMap, query: Option<&str>) -> Result<Arc<Caller>, Refusal> {
        match &self.caller {
            Some((id, caller)) if *id == auth => Ok(caller.clone()),
            Some(_) => Err(Refusal::Credential(Failure::Missing)),
            None => self.materials.authenticate(auth, headers, query, || self.request.at),
        }
    }

    fn take<'a>(&'a self, checks: &'a [Check<'a>]) -> impl Future<Output = Verdict> + 'a {
        std::future::ready(self.counters.take_now(checks, self.request.at))
    }

    async fn token(&self, _: UpstreamId, _: Duration) -> Result<HeaderValue, String> {
        Ok(HeaderValue::from_static("Bearer <token of oauth>"))
    }

    async fn body(&self, max: u64) -> Result<Bytes, BodyFailure> {
        match self.request.body.len() as u64 > max {
            true => Err(BodyFailure::TooLarge),
            false => Ok(self.request.body.clone()),
        }
    }
}

/// Runs a future that never waits: nothing in an imagined world does.
fn at_once<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(out) = future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            return out;
        }
    }
}
