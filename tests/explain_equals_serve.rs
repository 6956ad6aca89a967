//! `explain` says what `serve` does: random gateways, started for real, and random requests.
//!
//! `EXPLAIN_PAIRS=10000` asks for more pairs than the few hundred of an ordinary run; `EXPLAIN_SEED=7` for others.

use gw::explain::{Explanation, Request, explain};
use gw::load::{self, MemoryFiles, materials::Materials};
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use serde_json::Value as Json;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// What is left of a limit depends on what came before.
const COUNTED: &str = "ratelimit";
const REQUESTS_A_GATEWAY: usize = 50;
const KEY: &str = "alices-key-is-a-long-one-1234567";

#[test]
fn explain_says_what_serve_does() {
    let number = |name: &str, default: usize| std::env::var(name).ok().and_then(|v| v.parse().ok()).unwrap_or(default);
    let pairs = number("EXPLAIN_PAIRS", 300);
    let mut rng = fastrand::Rng::with_seed(number("EXPLAIN_SEED", 1) as u64);
    let (mut done, mut kinds) = (0, std::collections::BTreeMap::<String, usize>::new());
    while done < pairs {
        let port = free_port();
        let text = gateway(&mut rng, port);
        let mut inputs = gw::check::Inputs::default();
        inputs.bind("alice", KEY.into(), "GW_ALICE".into());
        let checked = load::check(&MemoryFiles::default(), Path::new("gateway.gw"), text.clone().into_bytes(), &inputs);
        let Some(plan) = checked.plan else { continue };
        let (materials, _) = Materials::read(&plan, None);
        let server = Server::start(&text, port);
        for _ in 0..REQUESTS_A_GATEWAY {
            let r = request(&mut rng, port);
            let said = explain(&plan, &materials, &r).expect("a request that can be explained");
            let got = server.ask(&r);
            let context = || format!("\n{text}\n{} {}\n{:?}\n{said:#?}\n{got:#?}", r.method, r.url, r.headers);
            compare(&said, &got, &context);
            let kind = said.outcome.error.unwrap_or(said.outcome.kind);
            *kinds.entry(kind.to_owned()).or_default() += 1;
            done += 1;
        }
    }
    println!("{done} pairs: {kinds:?}");
    assert!(kinds.len() >= 4, "the pairs are too much alike: {kinds:?}");
}

fn compare(said: &Explanation, got: &Answer, context: &dyn Fn() -> String) {
    if said.outcome.kind == "forward" {
        assert_eq!(got.status, 200, "explain forwards{}", context());
        if got.head_only {
            return;
        }
        let echo: Json = serde_json::from_str(&got.body).unwrap_or_else(|_| panic!("not an echo{}", context()));
        let sent = said.sent.as_ref().expect("what is sent");
        let target = echo["query"].as_str().map_or_else(String::new, |q| format!("?{q}"));
        let target = format!("{}{target}", echo["path"].as_str().unwrap_or_default());
        assert_eq!(
            Some(target.as_str()),
            sent.url.strip_prefix("http://").and_then(|u| u.find('/').map(|i| &u[i..])),
            "target{}",
            context()
        );
        assert_eq!(echo["method"].as_str(), Some(sent.method.as_str()), "method{}", context());
        assert_eq!(echo["upstream"].as_str(), said.outcome.upstream.as_deref(), "upstream{}", context());
        let pair = |h: &Json| {
            (h["name"].as_str().unwrap_or_default().to_owned(), h["value"].as_str().unwrap_or_default().to_owned())
        };
        // Explain never shows a secret.
        let told =
            echo["headers"].as_array().into_iter().flatten().map(pair).map(|(n, v)| (n, v.replace(KEY, "<secret>")));
        assert_eq!(stable(told), stable(sent.headers.iter().cloned()), "fields that are sent{}", context());
        for (name, value) in said.response.headers.iter().filter(|(n, _)| n != COUNTED) {
            assert!(
                got.headers.contains(&(name.clone(), value.clone())),
                "`{name}: {value}` is not in the answer{}",
                context()
            );
        }
        return;
    }
    assert_eq!(Some(got.status), said.response.status, "status{}", context());
    let body = without_instance(said.response.body.as_deref().unwrap_or_default());
    if !got.head_only {
        assert_eq!(without_instance(&got.body), body, "body{}", context());
    }
    let framing = ["content-length", "date", "connection"];
    let told = got.headers.iter().filter(|(n, _)| !framing.contains(&n.as_str())).cloned();
    assert_eq!(stable(told), stable(said.response.headers.iter().cloned()), "fields of the answer{}", context());
}

/// Sorted, without what is new for each request or framing.
fn stable(fields: impl Iterator<Item = (String, String)>) -> Vec<(String, String)> {
    let new = ["x-request-id", "traceparent", "content-length", "transfer-encoding", COUNTED];
    let mut list: Vec<_> = fields.filter(|(n, _)| !new.contains(&n.as_str())).collect();
    list.sort();
    list
}

fn without_instance(body: &str) -> String {
    match serde_json::from_str::<Json>(body) {
        Ok(Json::Object(mut o)) => {
            o.remove("instance");
            Json::Object(o).to_string()
        }
        _ => body.to_owned(),
    }
}

fn pick<'a, T>(rng: &mut fastrand::Rng, list: &'a [T]) -> &'a T {
    &list[rng.usize(..list.len())]
}

/// A gateway of some routes over few words, so that they overlap. Not all of them check.
fn gateway(rng: &mut fastrand::Rng, port: u16) -> String {
    let mut out = format!(
        "listen http 127.0.0.1:{port}\nupstream one {{ echo }}\nupstream two {{ echo }}\n\
         input alice: secret\nauth key = api-key {{ keys {{ alice: alice }} }}\n"
    );
    for _ in 0..rng.usize(..3) {
        out += &format!("{}\n", statement(rng));
    }
    if rng.u8(..3) > 0 {
        out += "route all ANY /{rest...} -> two { auth none }\n";
    }
    let hosts = ["", "", "  host a.example\n", "  host *.example\n", "  host {tenant}.example\n"];
    for api in 0..rng.usize(1..3) {
        out += &format!("api a{api} {{\n{}", pick(rng, &hosts));
        if rng.u8(..4) == 0 {
            out += "  paths allow semicolon, empty-segments\n";
        }
        if rng.u8(..4) == 0 {
            out += &format!("  trailing-slash {}\n", pick(rng, &["redirect", "ignore"]));
        }
        for _ in 0..rng.usize(..3) {
            out += &format!("  {}\n", statement(rng));
        }
        for i in 0..rng.usize(3..12) {
            out += &route(rng, i);
        }
        out += "}\n";
    }
    out
}

fn route(rng: &mut fastrand::Rng, i: usize) -> String {
    let mut pattern = String::new();
    let mut names = Vec::new();
    for depth in 0..*pick(rng, &[1, 1, 2, 2, 3]) {
        let n = format!("p{depth}");
        match rng.u8(..8) {
            0..=3 => pattern += &format!("/{}", pick(rng, &["x", "y", "z"])),
            4 => pattern += &format!("/{{{n}}}"),
            5 => pattern += &format!("/{{{n}: int}}"),
            6 => pattern += &format!("/r-{{{n}: date}}"),
            _ => pattern += &format!("/{{{n}}}.json"),
        }
        if pattern.contains(&format!("{{{n}")) {
            names.push(n);
        }
    }
    match rng.u8(..5) {
        0 | 1 => {
            pattern += "/{rest...}";
            names.push("rest".into());
        }
        2 => pattern += "/",
        _ => {}
    }
    let methods = pick(rng, &["GET", "GET", "ANY", "POST", "GET, POST", "DELETE"]);
    let when = pick(
        rng,
        &["", "", "", " when header.x-a == \"1\"", " when query.q != null", " when client.ip in 127.0.0.0/8"],
    );
    let hole = names.iter().map(|n| format!("/{{{n}}}")).collect::<String>();
    let target = match rng.u8(..8) {
        0 => format!("respond {} text \"route {i}\"", pick(rng, &["200", "201", "404"])),
        1 => "redirect 307 \"/elsewhere?a=1\"".into(),
        2 => format!("one at /at{hole}"),
        3 => format!("two at /at{hole}?fixed={{path}}"),
        4 => "one when header.x-a == \"1\" else two".into(),
        5 => "50% one, 50% two by client.ip".into(),
        _ => (*pick(rng, &["one", "two"])).to_owned(),
    };
    let mut block: Vec<String> = (0..rng.usize(..4)).map(|_| statement(rng)).collect();
    if rng.u8(..3) == 0 {
        block.push((*pick(rng, &["auth key", "auth optional key", "auth none"])).to_owned());
    }
    let block = if block.is_empty() { String::new() } else { format!(" {{\n    {}\n  }}", block.join("\n    ")) };
    format!("  route r{i} {methods} {pattern}{when} -> {target}{block}\n")
}

fn statement(rng: &mut fastrand::Rng) -> String {
    let list = [
        "require header.x-b != \"no\"",
        "require client.ip in 127.0.0.0/8 else 404",
        "require (query.q ?? \"\") != \"bad\" else 409 \"Not now\"",
        "require not (path starts-with \"/z\") report-only",
        "limit 1_000_000/h by client.ip",
        "limit 50_000/min burst 1_000 by header.x-a ?? \"none\"",
        "limit 9_000/s by query.q else skip",
        "body max 10B",
        "accepts \"text/*\", \"application/json\"",
        "request { set header.x-path = path; add header.x-a = \"more\"; set query.added = \"a b&c\"; remove cookie.c }",
        "request { set header.x-q = query.q ?? \"none\"; set cookie.d = \"new\"; remove query.q }",
        "response { set header.x-answer = \"yes\"; remove header.server }",
        "response { set header.x-status = text(response.status) when response.status >= 400 }",
        "cors { origins \"https://shop.example\"; credentials; max-age 1h }",
        "cors { origins any }",
        "on error no-route, forbidden respond 418 problem \"A teapot\"",
        "on error respond 503 json { kind: error.kind, status: error.status }",
        "on upstream 2xx respond 203 text \"replaced\" ",
        "timeout total 20s, response 10s",
        "when header.x-a == \"1\" { require query.q != \"worse\" else 422 }",
    ];
    // `on upstream` hides what was sent: seldom.
    let chosen = pick(rng, &list);
    if chosen.starts_with("on upstream") { "log none".into() } else { (*chosen).to_owned() }
}

fn request(rng: &mut fastrand::Rng, port: u16) -> Request {
    let mut path = String::new();
    let common = ["x", "y", "z", "x", "y", "7", "r-2026-01-02", "a.json"];
    let odd = ["-1", "%7Ex", "..", ".", "a%2Fb", "a;b", "", "%zz", "caf%C3%A9", "x%20y"];
    for _ in 0..rng.usize(1..4) {
        path += "/";
        path += if rng.u8(..15) == 0 { pick::<&str>(rng, &odd) } else { pick::<&str>(rng, &common) };
    }
    if rng.u8(..6) == 0 {
        path += "/";
    }
    let query = pick(rng, &["", "", "?q=1", "?q=bad&a=2", "?q=worse", "?a=%20+b&q"]);
    let host =
        pick(rng, &["a.example", "a.example", "a.example", "b.example", "A.Example.", "localhost", "x.y.example"]);
    let method = pick(
        rng,
        &[Method::GET, Method::GET, Method::HEAD, Method::POST, Method::DELETE, Method::OPTIONS, Method::PUT],
    )
    .clone();
    let mut headers = HeaderMap::new();
    let mut maybe = |rng: &mut fastrand::Rng, name: &'static str, values: &[&'static str]| {
        if rng.bool() {
            let value = HeaderValue::from_static(pick::<&str>(rng, values));
            headers.append(HeaderName::from_static(name), value);
        }
    };
    maybe(rng, "x-a", &["1", "2"]);
    maybe(rng, "x-b", &["no", "yes"]);
    maybe(rng, "cookie", &["c=1; d=2", "e=3"]);
    maybe(rng, "x-api-key", &[KEY, "wrong"]);
    maybe(rng, "origin", &["https://shop.example", "https://evil.example"]);
    maybe(rng, "access-control-request-method", &["GET", "POST"]);
    maybe(rng, "x-forwarded-for", &["203.0.113.9"]);
    maybe(rng, "content-type", &["text/plain", "image/png"]);
    let body = match method {
        Method::POST | Method::PUT => *pick(rng, &["", "short", "longer than ten bytes"]),
        _ => "",
    };
    Request {
        method,
        url: format!("http://{host}:{port}{path}{query}"),
        headers,
        body: body.into(),
        caller: None,
        ip: [127, 0, 0, 1].into(),
        certificate: None,
        at: jiff::Timestamp::now(),
        times: 1,
    }
}

#[derive(Debug)]
struct Answer {
    status: u16,
    headers: Vec<(String, String)>,
    body: String,
    head_only: bool,
}

struct Server {
    child: Child,
    address: SocketAddr,
}

impl Server {
    fn start(text: &str, port: u16) -> Server {
        let dir = std::env::temp_dir().join(format!("gw-explain-{}-{port}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let file = dir.join("gateway.gw");
        std::fs::write(&file, text).unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_gw"))
            .args(["serve", "--workers", "1", "--no-access-log"])
            .arg(&file)
            .env("GW_ALICE", KEY)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        let end = Instant::now() + Duration::from_secs(20);
        while TcpStream::connect(address).is_err() {
            assert!(Instant::now() < end, "gw serve does not listen\n{text}");
            std::thread::sleep(Duration::from_millis(10));
        }
        Server { child, address }
    }

    fn ask(&self, r: &Request) -> Answer {
        let rest = r.url.strip_prefix("http://").unwrap();
        let (authority, target) = rest.split_at(rest.find('/').unwrap());
        let mut head = format!("{} {target} HTTP/1.1\r\nHost: {authority}\r\nConnection: close\r\n", r.method);
        for (n, v) in &r.headers {
            head += &format!("{n}: {}\r\n", v.to_str().unwrap());
        }
        if !r.body.is_empty() {
            head += &format!("Content-Length: {}\r\n", r.body.len());
        }
        head += "\r\n";
        let mut s = TcpStream::connect(self.address).unwrap();
        s.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        s.write_all(&[head.as_bytes(), &r.body].concat()).unwrap();
        let mut reader = BufReader::new(s);
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        let status =
            line.split(' ').nth(1).and_then(|s| s.parse().ok()).unwrap_or_else(|| panic!("no answer to\n{head}"));
        let mut headers = Vec::new();
        loop {
            line.clear();
            reader.read_line(&mut line).unwrap();
            let Some((name, value)) = line.trim_end().split_once(':') else { break };
            headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
        let mut body = Vec::new();
        let _ = reader.read_to_end(&mut body);
        Answer {
            status,
            headers,
            body: String::from_utf8_lossy(&body).into_owned(),
            head_only: r.method == Method::HEAD,
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}
