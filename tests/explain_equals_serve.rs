//! `explain` says what `serve` does: random gateways, started for real, and random requests.
//!
//! `EXPLAIN_PAIRS=10000` asks for more pairs than the few hundred of an ordinary run; `EXPLAIN_SEED=7` for others.

#[path = "explain_equals_serve/gateways.rs"]
mod gateways;

use gateways::{COMMON, STATEMENTS, gateway, request};
use gw::check::Inputs;
use gw::explain::{Explanation, Request, explain};
use gw::load::{self, MemoryFiles, materials::Materials};
use gw::plan::Plan;
use http::Method;
use serde_json::{Value as Json, json};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// What is left of a limit depends on what came before.
const COUNTED: &str = "ratelimit";
const REQUESTS_A_GATEWAY: usize = 50;
const ALICE: &str = "alices-key-is-a-long-one-1234567";
const BOB: &str = "bobs-key-is-a-long-one-too-12345";
const SECRET: &str = "what-tokens-are-signed-with-is-long";

/// Where the gateway listens, and the server behind it.
struct Ports {
    main: u16,
    second: u16,
    redirecting: u16,
    far: u16,
}

/// Bearer tokens.
struct Token {
    pro: String,
    free: String,
    late: String,
}

#[test]
fn explain_says_what_serve_does() {
    let number = |name: &str, default: usize| std::env::var(name).ok().and_then(|v| v.parse().ok()).unwrap_or(default);
    let pairs = number("EXPLAIN_PAIRS", 300);
    let mut rng = fastrand::Rng::with_seed(number("EXPLAIN_SEED", 1) as u64);
    let (token, far) = (gateways::token(), far());
    let (mut done, mut unsound, mut kinds) = (0, 0, BTreeMap::<String, usize>::new());
    while done < pairs {
        let ports = Ports { main: free_port(), second: free_port(), redirecting: free_port(), far };
        let text = gateway(&mut rng, &ports);
        let Some(plan) = plan(&text) else {
            unsound += 1;
            continue;
        };
        let (materials, _) = Materials::read(&plan, None);
        let server = Server::start(&text, ports.main);
        for _ in 0..REQUESTS_A_GATEWAY {
            let r = request(&mut rng, &ports, &token, &plan);
            let got = server.ask(&r);
            let said = explain(&plan, &materials, &r);
            let context = || {
                let url: String = r.url.chars().take(500).collect();
                format!("\n{text}\n{} {url}\n{:?}\n{:?}\n{said:#?}\n{got:#?}", r.method, r.headers, r.body)
            };
            let kind = match &said {
                Ok(said) => {
                    compare(said, &got, &context);
                    said.outcome.error.unwrap_or(said.outcome.kind)
                }
                Err(_) => {
                    assert_eq!(got.status, 400, "explain takes no such request{}", context());
                    "no request"
                }
            };
            *kinds.entry(kind.to_owned()).or_default() += 1;
            done += 1;
        }
    }
    println!("{done} pairs: {kinds:?}; {unsound} gateways that do not check");
    assert!(kinds.len() >= 8, "the pairs are too much alike: {kinds:?}");
}

/// What never checks is never tried.
#[test]
fn every_statement_checks_somewhere() {
    for statement in STATEMENTS {
        let text = format!(
            "listen http :80\n{COMMON}upstream two {{ echo }}\nroute r POST /x/{{rest...}} -> two {{\n{statement}\n}}\n"
        );
        assert!(plan(&text).is_some(), "{statement}");
    }
}

fn plan(text: &str) -> Option<Plan> {
    let mut inputs = Inputs::default();
    for (name, value) in [("alice", ALICE), ("bob", BOB), ("signing", SECRET)] {
        inputs.bind(name, value.into(), "the test".into());
    }
    load::check(&MemoryFiles::default(), Path::new("gateway.gw"), text.as_bytes().to_vec(), &inputs).plan
}

fn compare(said: &Explanation, got: &Answer, context: &dyn Fn() -> String) {
    let framing = ["content-length", "transfer-encoding", "date", "connection"];
    let told = got.headers.iter().filter(|(n, _)| !framing.contains(&n.as_str())).cloned();
    let own = said.response.headers.iter().filter(|(n, _)| !framing.contains(&n.as_str())).cloned();
    if said.outcome.kind == "forward" {
        // Some gateways change the status of what an upstream has answered.
        assert!(matches!(got.status, 200 | 203 | 299), "explain forwards{}", context());
        let of_upstream = ["content-type", "x-type"];
        let told = told.filter(|(n, _)| !of_upstream.contains(&n.as_str()));
        let own = own.filter(|(n, _)| !of_upstream.contains(&n.as_str()));
        assert_eq!(stable(told), stable(own), "fields of the answer{}", context());
        if got.head_only || got.body.starts_with("replaced") {
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
        let hide = |v: String| v.replace(ALICE, "<secret>").replace(BOB, "<secret>");
        let told = echo["headers"].as_array().into_iter().flatten().map(pair).map(|(n, v)| (n, hide(v)));
        assert_eq!(stable(told), stable(sent.headers.iter().cloned()), "fields that are sent{}", context());
        return;
    }
    assert_eq!(Some(got.status), said.response.status, "status{}", context());
    let body = without_instance(said.response.body.as_deref().unwrap_or_default());
    if !got.head_only {
        assert_eq!(without_instance(&got.body), body, "body{}", context());
    }
    assert_eq!(stable(told), stable(own), "fields of the answer{}", context());
}

/// Sorted, without framing, and without what is new for each request.
fn stable(fields: impl Iterator<Item = (String, String)>) -> Vec<(String, String)> {
    let mut list = Vec::new();
    for (name, mut value) in fields {
        let is_new = match name.as_str() {
            "content-length" | "transfer-encoding" | COUNTED => true,
            "x-request-id" => value.len() == 32,
            // Trace and flags of another hop stay, the span is ours.
            "traceparent" if value.ends_with("-01") => {
                value.replace_range(36..52, "");
                false
            }
            "traceparent" => true,
            // Explain names no address.
            "set-cookie" if value.starts_with("shard=") => {
                value.replace_range(6..22, "");
                false
            }
            _ => false,
        };
        if !is_new {
            list.push((name, value));
        }
    }
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

#[derive(Debug)]
struct Answer {
    status: u16,
    headers: Vec<(String, String)>,
    body: String,
    head_only: bool,
}

struct Server {
    child: Child,
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
            .env("GW_ALICE", ALICE)
            .env("GW_BOB", BOB)
            .env("GW_SIGNING", SECRET)
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
        Server { child }
    }

    fn ask(&self, r: &Request) -> Answer {
        let rest = r.url.strip_prefix("http://").unwrap();
        let (authority, target) = rest.split_at(rest.find('/').unwrap());
        let mut head =
            format!("{} {target} HTTP/1.1\r\nHost: {authority}\r\nConnection: close\r\n", r.method).into_bytes();
        for (n, v) in &r.headers {
            head.extend_from_slice(&[n.as_str().as_bytes(), b": ", v.as_bytes(), b"\r\n"].concat());
        }
        if !r.body.is_empty() {
            head.extend_from_slice(format!("Content-Length: {}\r\n", r.body.len()).as_bytes());
        }
        head.extend_from_slice(b"\r\n");
        let port = authority.rsplit_once(':').and_then(|(_, port)| port.parse().ok()).unwrap();
        let mut s = TcpStream::connect(SocketAddr::from(([127, 0, 0, 1], port))).unwrap();
        s.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        // Who refuses a head may close before all of it is written.
        let _ = s.write_all(&[&head, &r.body[..]].concat());
        let mut reader = BufReader::new(s);
        let mut lines = Lines::read(&mut reader);
        while lines.first().starts_with("HTTP/1.1 100") {
            lines = Lines::read(&mut reader);
        }
        let status = lines.first().split(' ').nth(1).and_then(|s| s.parse().ok());
        let status = status.unwrap_or_else(|| panic!("no answer to\n{}", String::from_utf8_lossy(&head)));
        let mut body = Vec::new();
        let _ = reader.read_to_end(&mut body);
        Answer {
            status,
            headers: lines.fields(),
            body: String::from_utf8_lossy(&body).into_owned(),
            head_only: r.method == Method::HEAD,
        }
    }
}

/// The lines of a head.
struct Lines(Vec<String>);

impl Lines {
    fn read(reader: &mut impl BufRead) -> Lines {
        let mut lines = Vec::new();
        loop {
            let mut line = Vec::new();
            let _ = reader.read_until(b'\n', &mut line);
            match String::from_utf8_lossy(&line).trim_end_matches(['\r', '\n']) {
                "" => return Lines(lines),
                line => lines.push(line.to_owned()),
            }
        }
    }

    fn first(&self) -> &str {
        self.0.first().map_or("", String::as_str)
    }

    fn fields(&self) -> Vec<(String, String)> {
        let field = |line: &String| {
            line.split_once(':').map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
        };
        self.0.iter().skip(1).filter_map(field).collect()
    }
}

/// The server behind the gateway: it tells what it got, as `echo` does.
fn far() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || {
                let mut reader = BufReader::new(stream.try_clone().unwrap());
                loop {
                    let lines = Lines::read(&mut reader);
                    let mut parts = lines.first().split(' ');
                    let (Some(method), Some(target)) = (parts.next(), parts.next()) else { return };
                    let fields = lines.fields();
                    let length =
                        fields.iter().find(|(n, _)| n == "content-length").map_or(0, |(_, v)| v.parse().unwrap());
                    let mut body = vec![0; length];
                    reader.read_exact(&mut body).unwrap();
                    let (path, query) = target.split_once('?').map_or((target, None), |(p, q)| (p, Some(q)));
                    let headers: Vec<Json> = fields.iter().map(|(n, v)| json!({ "name": n, "value": v })).collect();
                    let told = json!({
                        "upstream": "far", "method": method, "path": path, "query": query, "headers": headers,
                    });
                    let told = told.to_string();
                    let head = format!(
                        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
                        told.len()
                    );
                    let told = if method == "HEAD" { "" } else { &told };
                    if (&stream).write_all(format!("{head}{told}").as_bytes()).is_err() {
                        return;
                    }
                }
            });
        }
    });
    port
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
