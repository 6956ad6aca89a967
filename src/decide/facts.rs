//! What is known of a request while it is decided, and how expressions read it.

use super::world::{Trace, World};
use crate::model::eval::Facts;
use crate::model::facts::Fact;
use crate::model::percent::{self, Octet};
use crate::model::table::TableData;
use crate::model::value::{Json, NameKind, Value};
use crate::plan::router::Captures;
use crate::plan::{AuthId, Plan, Route, RouteId, TableId, UpstreamId};
use crate::policy::auth::Caller;
use crate::policy::cookies;
use crate::policy::grpc;
use crate::policy::problem::FailureKind;
use bytes::Bytes;
use http::header::{CONNECTION, UPGRADE};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Version};
use jiff::Timestamp;
use smol_str::SmolStr;
use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// The head of a request as it was read, its path normalised.
#[derive(Debug)]
pub struct Head<'r> {
    /// Its method.
    pub method: &'r Method,
    /// The HTTP that it came in.
    pub version: Version,
    /// `http` or `https`: what the client used.
    pub scheme: &'static str,
    /// The host it asks for: lower case, without port or trailing dot.
    pub host: &'r str,
    /// Host as the client wrote it, with its port.
    pub authority: &'r str,
    /// The normalised path.
    pub path: &'r str,
    /// Behind the `?`.
    pub query: Option<&'r str>,
    /// The header fields.
    pub headers: &'r HeaderMap,
    /// The client's address, behind trusted proxies.
    pub client: IpAddr,
    /// The address of the connection's other end.
    pub peer: IpAddr,
    /// The peer is a trusted proxy, so what it forwards counts.
    pub trusted: bool,
    /// The subject of the client's certificate, if it showed one.
    pub certificate: Option<&'r str>,
    /// An index into [`Plan::listeners`].
    pub listener: usize,
    /// Its id, as in `X-Request-Id`.
    pub id: &'r str,
    /// When it arrived.
    pub time: Timestamp,
    /// The length of its body: `Some(0)` for none, nothing where it is not said.
    pub body_length: Option<u64>,
    /// It asks for another protocol: the value of `Upgrade`.
    pub upgrade: Option<&'r HeaderValue>,
}

/// The protocol that a request asks for: the value of `Upgrade`, where `Connection` says that it is meant and no body
/// follows. Never another HTTP or TLS (`h2c`, `HTTP/2.0`, `TLS/1.0`): it would carry requests past every check.
pub fn upgrade(headers: &HeaderMap, body_length: Option<u64>) -> Option<&HeaderValue> {
    headers.get(UPGRADE)?;
    let mut lines = headers.get_all(UPGRADE).iter();
    let (protocol, None) = (lines.next().filter(|_| body_length == Some(0))?, lines.next()) else { return None };
    let asked = headers.get_all(CONNECTION).iter().filter_map(|line| line.to_str().ok());
    let asked = asked.flat_map(|line| line.split(',')).any(|option| option.trim().eq_ignore_ascii_case("upgrade"));
    let carries_requests = |protocol: &str| {
        let name = protocol.trim().split('/').next().unwrap_or_default();
        ["h2c", "h2", "h3", "http", "https", "tls"].iter().any(|p| name.eq_ignore_ascii_case(p))
    };
    let sound = protocol.to_str().is_ok_and(|list| !list.split(',').any(carries_requests));
    (asked && sound).then_some(protocol)
}

/// A 101 goes to one of the protocols that were asked for.
pub fn is_offered(asked: &HeaderValue, answer: &HeaderMap) -> bool {
    let mut chosen = answer.get_all(UPGRADE).iter().map(HeaderValue::as_bytes);
    let (Some(chosen), None) = (chosen.next(), chosen.next()) else { return false };
    asked.as_bytes().split(|b| *b == b',').any(|one| one.trim_ascii().eq_ignore_ascii_case(chosen.trim_ascii()))
}

/// Everything that is known of a request so far.
pub struct Context<'r> {
    /// The plan it is decided by.
    pub plan: &'r Plan,
    /// Its head.
    pub head: &'r Head<'r>,
    /// The route it met.
    pub route: Option<(RouteId, &'r Route)>,
    /// The route's parameters.
    pub captures: Option<Captures<'r>>,
    /// Who calls, and which auth vouches.
    pub caller: Option<(AuthId, Arc<Caller>)>,
    /// The body, where it was buffered.
    pub body: Option<Bytes>,
    pub(super) json: OnceLock<Option<serde_json::Value>>,
    /// Where it goes.
    pub upstream: Option<UpstreamId>,
    /// The server that was asked.
    pub server: Option<SmolStr>,
    /// From sending the request to the first byte of the answer.
    pub upstream_time: Option<Duration>,
    /// What went wrong.
    pub failure: Option<Failed>,
}

/// What went wrong, as expressions and the log see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failed {
    /// Which kind.
    pub kind: FailureKind,
    /// Its status.
    pub status: u16,
    /// The statement's own title, if it has one.
    pub title: Option<SmolStr>,
    /// Why authentication failed: `missing`, `invalid` or `expired`.
    pub reason: Option<&'static str>,
    /// More for explain and the log, never for the client.
    pub detail: String,
}

/// Reads the facts of a context; whoever watches hears of each.
pub(super) struct Reader<'a, W, T> {
    pub cx: &'a Context<'a>,
    pub world: &'a W,
    pub trace: &'a T,
    /// The answer, once it is there.
    pub response: Option<(StatusCode, &'a HeaderMap)>,
}

impl<'a, W: World, T: Trace> Facts<'a> for Reader<'a, W, T> {
    fn fact(&self, fact: &'a Fact) -> Value<'a> {
        let value = self.read(fact);
        self.trace.read(|| name(fact), || shown(&value));
        value
    }

    fn param(&self, slot: u16) -> Value<'a> {
        let value = self.value_of(slot);
        self.trace.read(|| self.name_of(slot), || shown(&value));
        value
    }

    fn table(&self, id: u32) -> Arc<TableData> {
        let table = self.world.table(TableId(id));
        self.trace.read(
            || self.cx.plan.tables.get(id as usize).map_or_else(String::new, |t| t.name.to_string()),
            || match table.len() {
                1 => "1 entry".into(),
                n => format!("{n} entries"),
            },
        );
        table
    }

    fn now(&self) -> Timestamp {
        self.world.now()
    }

    fn random(&self) -> u128 {
        self.world.random()
    }
}

impl<'a, W: World, T: Trace> Reader<'a, W, T> {
    /// The text of a parameter, without making it a value first.
    pub fn param_text(&self, slot: u16) -> Option<Cow<'a, str>> {
        self.trace.read(|| self.name_of(slot), || shown(&self.value_of(slot)));
        self.cx.captures.as_ref()?.text(usize::from(slot))
    }

    fn value_of(&self, slot: u16) -> Value<'a> {
        let captures = self.cx.captures.as_ref();
        captures.and_then(|c| c.value(usize::from(slot))).unwrap_or(Value::Null)
    }

    fn name_of(&self, slot: u16) -> String {
        let captures = self.cx.captures.as_ref();
        captures.and_then(|c| c.name(usize::from(slot))).unwrap_or("?").to_owned()
    }

    fn read(&self, fact: &'a Fact) -> Value<'a> {
        let cx = self.cx;
        let head = cx.head;
        match fact {
            Fact::Method => Value::Method(head.method.clone()),
            Fact::Scheme => Value::str(head.scheme),
            Fact::Host => Value::str(head.host),
            Fact::Path => Value::str(head.path),
            Fact::Query(name) => query(head.query, name).map_or(Value::Null, Value::Str),
            Fact::Header(name) => header(head.headers, name),
            Fact::Headers(name) => {
                let all = head.headers.get_all(name).iter().map(|v| text(v).into_static());
                Value::List(Cow::Owned(all.collect()))
            }
            Fact::Cookie(name) => cookie(head.headers, name).map_or(Value::Null, Value::str),
            Fact::Body => cx.json().map_or(Value::Null, |j| Value::Json(Json::Borrowed(j))),
            Fact::ClientIp => Value::Ip(head.client),
            Fact::ClientCertificate => head.certificate.map_or(Value::Null, Value::str),
            Fact::Version | Fact::ResponseBody | Fact::Route(_) => Value::Null,
            Fact::RequestId => Value::str(head.id),
            Fact::RequestTime => Value::Time(head.time),
            Fact::RequestUri => match head.query {
                None => Value::str(head.path),
                Some(q) => Value::Str(Cow::Owned(format!("{}?{q}", head.path))),
            },
            Fact::RouteName => cx.route.map_or(Value::Null, |(_, r)| Value::Name(NameKind::Route, r.name.clone())),
            Fact::Instance => Value::str(self.world.instance()),
            Fact::Caller => match &cx.caller {
                None => Value::Null,
                Some((auth, caller)) => Value::Map(Cow::Owned(caller_map(cx.plan, *auth, caller))),
            },
            Fact::CallerKey => match &cx.caller {
                None => Value::Null,
                Some((_, c)) => Value::Str(Cow::Owned(format!("{}:{}", c.via, c.id))),
            },
            Fact::CallerId => cx.caller.as_ref().map_or(Value::Null, |(_, c)| Value::str(&c.id)),
            Fact::CallerVia => {
                cx.caller.as_ref().map_or(Value::Null, |(_, c)| Value::Name(NameKind::Auth, c.via.clone()))
            }
            Fact::CallerScopes => match &cx.caller {
                Some((_, c)) => Value::List(Cow::Borrowed(c.scopes.as_deref().unwrap_or_default())),
                None => Value::Null,
            },
            Fact::Claim(name) => claim(cx, name),
            Fact::UpstreamName => match cx.upstream.and_then(|u| cx.plan.upstream(u)) {
                Some(u) => Value::Name(NameKind::Upstream, u.name.clone()),
                None => Value::Null,
            },
            Fact::UpstreamServer => cx.server.as_deref().map_or(Value::Null, Value::str),
            Fact::UpstreamTime => cx.upstream_time.map_or(Value::Null, Value::Duration),
            Fact::ResponseStatus => self.response.map_or(Value::Null, |(s, _)| Value::Status(s.as_u16())),
            Fact::ResponseHeader(name) => self.response.map_or(Value::Null, |(_, h)| header(h, name)),
            Fact::ErrorKind => cx.failure.as_ref().map_or(Value::Null, |f| Value::str(f.kind.name())),
            Fact::ErrorStatus => cx.failure.as_ref().map_or(Value::Null, |f| Value::Status(f.status)),
            Fact::ErrorTitle => {
                cx.failure.as_ref().map_or(Value::Null, |f| Value::str(f.title.as_deref().unwrap_or(f.kind.title())))
            }
            Fact::ErrorReason => cx.failure.as_ref().and_then(|f| f.reason).map_or(Value::Null, Value::str),
        }
    }
}

impl<'r> Context<'r> {
    /// Before anything is known but the head.
    pub fn new(plan: &'r Plan, head: &'r Head<'r>) -> Context<'r> {
        Context {
            plan,
            head,
            route: None,
            captures: None,
            caller: None,
            body: None,
            json: OnceLock::new(),
            upstream: None,
            server: None,
            upstream_time: None,
            failure: None,
        }
    }

    /// The request is a gRPC call.
    pub fn is_grpc(&self) -> bool {
        grpc::is_call(self.head.method, self.head.headers)
    }

    /// The body as JSON; none where it is not there or is something else.
    pub(super) fn json(&self) -> Option<&serde_json::Value> {
        let parsed = || self.body.as_ref().and_then(|b| serde_json::from_slice(b).ok());
        self.json.get_or_init(parsed).as_ref()
    }
}

fn claim<'a>(cx: &'a Context<'a>, name: &str) -> Value<'a> {
    let Some((auth, caller)) = &cx.caller else { return Value::Null };
    let specs = cx.plan.auths.get(auth.index()).map(|a| &a.claims);
    let slot = specs.and_then(|c| c.iter().position(|(n, _, _)| n == name));
    slot.and_then(|i| caller.claims.get(i)).map_or(Value::Null, Value::borrowed)
}

fn caller_map(plan: &Plan, auth: AuthId, caller: &Caller) -> Vec<(SmolStr, Value<'static>)> {
    let mut map = vec![
        ("id".into(), Value::Str(Cow::Owned(caller.id.to_string()))),
        ("via".into(), Value::Str(Cow::Owned(caller.via.to_string()))),
    ];
    if let Some(scopes) = &caller.scopes {
        map.push(("scopes".into(), Value::List(Cow::Owned(scopes.clone()))));
    }
    let names = plan.auths.get(auth.index()).map(|a| a.claims.iter()).into_iter().flatten();
    map.extend(names.zip(&caller.claims).map(|((n, _, _), v)| (n.clone(), v.clone())));
    map
}

fn text(value: &HeaderValue) -> Value<'_> {
    // Seeing that it is text takes far fewer steps than replacing what is not.
    match std::str::from_utf8(value.as_bytes()) {
        Ok(text) => Value::Str(Cow::Borrowed(text)),
        Err(_) => Value::Str(String::from_utf8_lossy(value.as_bytes())),
    }
}

fn header<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Value<'a> {
    headers.get(name).map_or(Value::Null, text)
}

/// The first value of a query parameter, decoded.
pub fn query<'r>(query: Option<&'r str>, name: &str) -> Option<Cow<'r, str>> {
    query?.split('&').find_map(|pair| {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        (decode(key) == name).then(|| decode(value))
    })
}

/// A cookie of the request.
pub fn cookie<'r>(headers: &'r HeaderMap, name: &str) -> Option<&'r str> {
    cookies::values(headers, name).find_map(|value| std::str::from_utf8(value).ok())
}

/// Percent-decoding with `+` as a space, as forms write queries; what is not UTF-8 is replaced.
pub(super) fn decode(text: &str) -> Cow<'_, str> {
    if !text.contains(['%', '+']) {
        return Cow::Borrowed(text);
    }
    let bytes: Vec<u8> = percent::form(text).map(Octet::byte).collect();
    Cow::Owned(String::from_utf8_lossy(&bytes).into_owned())
}

/// A fact as a program writes it.
fn name(fact: &Fact) -> String {
    match fact {
        Fact::Method => "method".into(),
        Fact::Scheme => "scheme".into(),
        Fact::Host => "host".into(),
        Fact::Path => "path".into(),
        Fact::Query(n) => format!("query.{n}"),
        Fact::Header(n) => format!("header.{n}"),
        Fact::Headers(n) => format!("headers(\"{n}\")"),
        Fact::Cookie(n) => format!("cookie.{n}"),
        Fact::Body => "body".into(),
        Fact::ClientIp => "client.ip".into(),
        Fact::ClientCertificate => "client.certificate".into(),
        Fact::RequestId => "request.id".into(),
        Fact::RequestTime => "request.time".into(),
        Fact::RequestUri => "request.uri".into(),
        Fact::Version => "version".into(),
        Fact::RouteName => "route.name".into(),
        Fact::Instance => "instance".into(),
        Fact::Caller | Fact::CallerKey => "caller".into(),
        Fact::CallerId => "caller.id".into(),
        Fact::CallerVia => "caller.via".into(),
        Fact::CallerScopes => "caller.scopes".into(),
        Fact::Claim(n) => format!("caller.{n}"),
        Fact::UpstreamName => "upstream.name".into(),
        Fact::UpstreamServer => "upstream.server".into(),
        Fact::UpstreamTime => "upstream.time".into(),
        Fact::ResponseStatus => "response.status".into(),
        Fact::ResponseHeader(n) => format!("response.header.{n}"),
        Fact::ResponseBody => "response.body".into(),
        Fact::ErrorKind => "error.kind".into(),
        Fact::ErrorStatus => "error.status".into(),
        Fact::ErrorTitle => "error.title".into(),
        Fact::ErrorReason => "error.reason".into(),
        Fact::Route(_) => "route".into(),
    }
}

/// A value for a person; credentials that a header may carry are cut.
fn shown(value: &Value<'_>) -> String {
    let text = match value {
        Value::Null => return "null".into(),
        Value::Str(s) => serde_json::Value::from(s.as_ref()).to_string(),
        other => other.to_json().to_string(),
    };
    match text.char_indices().nth(200) {
        Some((i, _)) => format!("{}…", text.get(..i).unwrap_or_default()),
        None => text,
    }
}

/// `image/*` fits `image/png; q=1`.
pub(super) fn media_type_fits(pattern: &str, sent: &str) -> bool {
    let sent = sent.split(';').next().unwrap_or_default().trim();
    match pattern.strip_suffix("/*") {
        Some("*") => true,
        Some(kind) => sent.split_once('/').is_some_and(|(k, _)| k.eq_ignore_ascii_case(kind)),
        None => sent.eq_ignore_ascii_case(pattern),
    }
}
