//! Any request to a gateway with everything in it: nothing panics, a trace changes nothing, and what leaves is sound.
//!
//! The input is `METHOD TARGET`, a line each for the fields (`Name: value`), an empty line and the body.
#![no_main]

use gw::check::Inputs;
use gw::decide::path::{Normalised, normalise};
use gw::decide::route::Verdict as Asked;
use gw::decide::{BodyFailure, Decided, Head, Outcome, Refusal, Trace, World, decide};
use gw::explain::{self, explain};
use gw::load::{self, MemoryFiles, materials::Materials};
use gw::model::table::TableData;
use gw::plan::{AuthId, Origin, Plan, Server, TableId};
use gw::policy::auth::{Caller, claims};
use gw::policy::limit::{Check, Verdict};
use gw::state::memory::MemoryCounters;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri, Version};
use jiff::Timestamp;
use libfuzzer_sys::fuzz_target;
use std::net::IpAddr;
use std::path::Path;
use std::pin::pin;
use std::sync::{Arc, LazyLock};
use std::task::{Context, Poll, Waker};

static PROGRAMS: LazyLock<[(Plan, Materials); 2]> =
    LazyLock::new(|| [include_str!("../programs/shop.gw"), include_str!("../programs/plain.gw")].map(compile));

fn compile(text: &str) -> (Plan, Materials) {
    let mut inputs = Inputs::default();
    for name in ["jwt-secret", "partner-key"].into_iter().filter(|name| text.contains(name)) {
        inputs.bind(name, "a-development-secret-of-32-bytes".into(), "fuzz".into());
    }
    let checked = load::check(&MemoryFiles::default(), Path::new("gateway.gw"), text.as_bytes().to_vec(), &inputs);
    let plan = checked.plan.unwrap_or_else(|| panic!("{:#?}", checked.diagnostics));
    let (materials, problems) = Materials::read(&plan, None);
    assert_eq!(problems, []);
    (plan, materials)
}

/// A request as a client sent it.
struct Sent<'i> {
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: &'i [u8],
}

fn read(input: &[u8]) -> Option<Sent<'_>> {
    let (mut rest, mut headers) = (input, HeaderMap::new());
    let mut line = || {
        let end = rest.iter().position(|b| *b == b'\n');
        let (line, more) = end.map_or((rest, &b""[..]), |at| (&rest[..at], &rest[at + 1..]));
        rest = more;
        line.strip_suffix(b"\r").unwrap_or(line)
    };
    let first = line();
    let space = first.iter().position(|b| *b == b' ')?;
    let method = Method::from_bytes(&first[..space]).ok()?;
    let uri = Uri::try_from(&first[space + 1..]).ok()?;
    loop {
        let field = line();
        let Some(colon) = field.iter().position(|b| *b == b':') else { break };
        let value = HeaderValue::from_bytes(field[colon + 1..].trim_ascii()).ok()?;
        headers.append(HeaderName::from_bytes(&field[..colon]).ok()?, value);
    }
    Some(Sent { method, uri, headers, body: rest })
}

/// Takes `Bearer {json}` for a verified token; the rest is verified.
struct Imagined<'a> {
    plan: &'a Plan,
    materials: &'a Materials,
    counters: MemoryCounters,
    body: &'a [u8],
}

impl World for Imagined<'_> {
    fn now(&self) -> Timestamp {
        Timestamp::UNIX_EPOCH
    }

    fn random(&self) -> u128 {
        u128::MAX / 3
    }

    fn instance(&self) -> &str {
        "fuzz"
    }

    fn table(&self, id: TableId) -> Arc<TableData> {
        self.materials.table(id)
    }

    fn authenticate(&self, id: AuthId, headers: &HeaderMap, query: Option<&str>) -> Result<Arc<Caller>, Refusal> {
        let token = headers.get("authorization").and_then(|v| v.as_bytes().strip_prefix(b"Bearer "));
        let json: Option<serde_json::Value> = token.and_then(|t| serde_json::from_slice(t).ok());
        let auth = self.plan.auths.get(id.index());
        if let (Some(json), Some(auth)) = (json, auth)
            && let Some(values) = auth.claims.iter().map(|(name, ty, _)| claims::typed(ty, &json[name.as_str()])).collect()
        {
            let id = json["sub"].as_str().unwrap_or("somebody").into();
            return Ok(Arc::new(Caller { id, via: auth.name.clone(), claims: values, scopes: None, expires: None }));
        }
        self.materials.authenticate(id, headers, query, || self.now())
    }

    fn take<'a>(&'a self, checks: &'a [Check<'a>]) -> impl Future<Output = Verdict> + 'a {
        std::future::ready(self.counters.take_now(checks, self.now()))
    }

    async fn token(&self, _: gw::plan::UpstreamId, _: std::time::Duration) -> Result<http::HeaderValue, String> {
        Ok(http::HeaderValue::from_static("Bearer <token of oauth>"))
    }

    async fn body(&self, max: u64) -> Result<bytes::Bytes, BodyFailure> {
        match self.body.len() as u64 > max {
            true => Err(BodyFailure::TooLarge),
            false => Ok(self.body.to_vec().into()),
        }
    }
}

/// Hears everything, so that everything is put into words.
struct Everything;

impl Trace for Everything {
    const ON: bool = true;
    fn read(&self, name: impl FnOnce() -> String, value: impl FnOnce() -> String) {
        assert!(!name().is_empty());
        value();
    }
    fn step(&self, _: &'static str, _: &Origin, decision: impl FnOnce() -> String) {
        assert!(!decision().is_empty());
    }
    fn candidate(&self, _: u32, verdict: Asked<'_>) {
        if let Asked::PassedOver(reason) = verdict {
            reason.to_string();
        }
    }
}

fn at_once<F: Future>(future: F) -> F::Output {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(out) => out,
        Poll::Pending => panic!("a decision waits, where nothing is to be waited for"),
    }
}

/// What a decision comes to: the head for the upstream, or the gateway's own answer.
fn ends(mut decided: Decided<'_>, world: &Imagined<'_>, trace: &impl Trace) -> (u16, Vec<u8>) {
    let Outcome::Forward(forward) = &decided.outcome else {
        let (parts, body) = decided.answer(world, trace);
        decided.record(parts.status, &parts.headers, world);
        let mut out = format!("{:?}", parts.headers).into_bytes();
        out.extend_from_slice(&body);
        return (parts.status.as_u16(), out);
    };
    let echo = Server::echo(&"echo".into());
    let servers = decided.cx.plan.upstream(forward.upstream).map_or(&[][..], |u| &u.servers);
    let mut out = Vec::new();
    decided.outgoing(forward, servers.first().unwrap_or(&echo), 7, &mut out);
    sound(&out, decided.cx.head);
    for status in [200, 304, 503] {
        let (mut parts, ()) = http::Response::builder().status(status).header("server", "x").body(()).unwrap().into_parts();
        decided.respond(&mut parts, world, trace);
        decided.record(parts.status, &parts.headers, world);
    }
    (0, out)
}

/// A head for an upstream: a request line, then fields that no reader can take for something else.
fn sound(head: &[u8], client: &Head<'_>) {
    let text = String::from_utf8_lossy(head);
    let mut lines = text.split("\r\n");
    let words: Vec<&str> = lines.next().unwrap_or_default().split(' ').collect();
    let [_, target, "HTTP/1.1"] = words[..] else { panic!("a request line: {words:?}") };
    let path = target.split('?').next().unwrap_or_default();
    assert!(path == "*" || path.starts_with('/'), "{path:?}");
    assert!(path.bytes().all(|b| b.is_ascii_graphic() && b != b'\\' && b != b'#'), "{path:?}");
    let dots = |segment: &str| matches!(segment.split(';').next(), Some("." | ".."));
    assert!(!path.split('/').any(dots), "{path:?} leads elsewhere");
    assert!(!target.contains(|c: char| c.is_ascii_control() || c == '#'), "{target:?}");
    let mut hosts = 0;
    for line in lines.filter(|l| !l.is_empty()) {
        assert!(!line.contains(['\r', '\n', '\0']), "{line:?}");
        let (name, value) = line.split_once(": ").unwrap_or_else(|| panic!("a field: {line:?}"));
        hosts += usize::from(name == "host");
        let own = ["transfer-encoding", "content-length", "trailer", "keep-alive", "proxy-connection", "expect"];
        assert!(!own.contains(&name), "{name} is the connection's own");
        let ours = match value {
            "upgrade" => client.upgrade.is_some(),
            "te" => client.headers.contains_key("te"),
            _ => false,
        };
        assert!(name != "connection" || ours, "{line:?}");
    }
    assert_eq!(hosts, 1);
    assert_eq!(text.matches("\r\n").count(), text.matches('\n').count());
}

fuzz_target!(|input: &[u8]| {
    let Some(sent) = read(input) else { return };
    let port = sent.uri.port_u16().unwrap_or(8080);
    let field = sent.headers.get("host").and_then(|v| v.to_str().ok());
    let authority = sent.uri.authority().map(|a| a.as_str()).or(field).unwrap_or("shop.example");
    let host = authority.split(':').next().unwrap_or_default().trim_end_matches('.').to_ascii_lowercase();
    if !host.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b)) {
        return;
    }
    let raw = sent.uri.path();
    let normal = normalise(raw);
    let client: IpAddr = if sent.body.first() == Some(&b'6') { [0x2001, 0xdb9, 0, 0, 0, 0, 0, 1].into() } else { [192, 0, 2, 1].into() };
    let upgrade = sent.headers.get("upgrade");
    let (plan, materials) = &PROGRAMS[usize::from(port == 1)];
    let head = Head {
        method: &sent.method,
        version: if sent.body.first() == Some(&b'2') { Version::HTTP_2 } else { Version::HTTP_11 },
        scheme: "http",
        host: &host,
        authority,
        path: normal.as_ref().map_or(raw, Normalised::as_str),
        query: sent.uri.query(),
        headers: &sent.headers,
        client,
        peer: client,
        trusted: sent.body.last() == Some(&b't'),
        certificate: None,
        listener: usize::from(port == 9000),
        id: "0123456789abcdef0123456789abcdef",
        time: Timestamp::UNIX_EPOCH,
        body_length: Some(sent.body.len() as u64).filter(|n| n % 2 == 0),
        upgrade,
    };
    let path = || normal.as_ref().map_err(|e| *e);
    let world = || Imagined { plan, materials, counters: MemoryCounters::new(64), body: sent.body };
    let (quiet, loud) = (world(), world());
    for _ in 0..2 {
        let one = ends(at_once(decide(plan, &head, path(), &quiet, &())), &quiet, &());
        let two = ends(at_once(decide(plan, &head, path(), &loud, &Everything)), &loud, &Everything);
        assert_eq!(one, two, "a trace changes what is decided");
    }
    let request = explain::Request {
        certificate: None,
        method: sent.method.clone(),
        url: sent.uri.to_string(),
        headers: sent.headers.clone(),
        body: sent.body.to_vec().into(),
        caller: None,
        ip: client,
        at: Timestamp::UNIX_EPOCH,
        times: 2,
    };
    if let Ok(explanation) = explain(plan, materials, &request) {
        explain::human(&explanation, false);
        serde_json::to_string(&explanation).expect("JSON");
    }
});
