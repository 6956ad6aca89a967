//! Answers that readers could understand differently (`tests/conformance/upstream.toml`): the client gets 502, or sees that the
//! end is missing, and the server's connection is not used again.

use super::support::*;
use super::torture::bytes;
use serde::Deserialize;
use std::io::Write;
use std::net::Shutdown;
use std::sync::atomic::Ordering::SeqCst;
use std::sync::{Arc, Mutex};
use std::time::Duration;

#[derive(Deserialize)]
struct Answers {
    answer: Vec<Case>,
}

/// What the keys mean stands in the file.
#[derive(Deserialize, Clone)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Case {
    name: String,
    rfc: String,
    raw: String,
    status: u16,
    body: Option<String>,
    #[serde(default)]
    has: Vec<String>,
    #[serde(default)]
    lacks: Vec<String>,
    #[serde(default)]
    cut: bool,
    #[serde(default)]
    reused: bool,
    #[serde(default)]
    closes: bool,
    method: Option<String>,
    upgrade: Option<String>,
}

#[test]
fn what_servers_say_is_read_in_one_way() {
    let saying: Arc<Mutex<(Vec<u8>, usize, bool)>> = Arc::default();
    let server = Server::raw({
        let saying = saying.clone();
        move |mut stream, mut reader| {
            while let Some(got) = read_request(&mut reader) {
                if got.head.starts_with("GET /next ") {
                    let _ = stream.write_all(&ok("next"));
                    continue;
                }
                let (raw, step, closes) = saying.lock().unwrap().clone();
                for piece in raw.chunks(step) {
                    // The gateway may have had enough.
                    if stream.write_all(piece).is_err() {
                        break;
                    }
                }
                if closes {
                    let _ = stream.shutdown(Shutdown::Write);
                }
            }
        }
    });
    // One connection at a time, so that the next request takes the same one if it is still good.
    let program = format!(
        "listen http LISTEN\nupstream a {{\n  server {}\n  timeout response 5s, idle 5s\n}}\nroute ANY /{{rest...}} -> a\n",
        server.url()
    );
    let gateway = Gateway::with_args(&program, &[], &["--workers", "1"]);
    let answers: Answers = toml::from_str(include_str!("../conformance/upstream.toml")).unwrap();
    assert!(answers.answer.len() >= 100);
    let mut wrong = Vec::new();
    for case in &answers.answer {
        let raw = bytes(&case.raw);
        for step in [raw.len().max(1), 1] {
            if step == 1 && raw.len() > 400 {
                continue;
            }
            *saying.lock().unwrap() = (raw.clone(), step, case.closes);
            if let Err(what) = check(&gateway, &server, case, step) {
                wrong.push(format!("{} (RFC {}; in steps of {step}): {what}", case.name, case.rfc));
            }
        }
    }
    assert!(wrong.is_empty(), "{} are wrong:\n{}", wrong.len(), wrong.join("\n"));
}

fn check(gateway: &Gateway, server: &Server, case: &Case, step: usize) -> Result<(), String> {
    let mut client = gateway.connect();
    client.stream.set_read_timeout(Some(Duration::from_secs(8))).unwrap();
    let method = case.method.as_deref().unwrap_or("GET");
    let upgrade = case.upgrade.as_ref().map(|p| format!("connection: upgrade\r\nupgrade: {p}\r\n")).unwrap_or_default();
    client.send(format!("{method} /first HTTP/1.1\r\nhost: test\r\n{upgrade}\r\n").as_bytes());
    let mut head = match read_head(&mut client.reader) {
        Some(head) => head,
        // The head was not yet on its way when the body turned out bad: that, too, is no whole answer.
        None if case.cut => return next(gateway, server, case),
        None => return Err("closed without an answer".into()),
    };
    while status(&head) < 200 && status(&head) != 101 {
        head = read_head(&mut client.reader).ok_or("closed behind an interim answer")?;
    }
    if case.cut && status(&head) == 502 {
        // It ended before its head was on its way.
        return next(gateway, server, case);
    }
    if status(&head) != case.status {
        return Err(format!("answered {head:?}"));
    }
    if let Some(missing) = case.has.iter().find(|text| !head.contains(text.as_str())) {
        return Err(format!("{missing:?} is not in {head:?}"));
    }
    if let Some(extra) = case.lacks.iter().find(|text| head.contains(text.as_str())) {
        return Err(format!("{extra:?} is in {head:?}"));
    }
    let bodiless = method == "HEAD" || matches!(case.status, 204 | 304);
    let body = if bodiless { Some(Vec::new()) } else { read_body(&mut client, &head) };
    match (body, &case.body) {
        (None, _) if case.cut => {}
        (None, _) => return Err("the body is cut".into()),
        (Some(body), _) if case.cut => return Err(format!("whole: {:?}", String::from_utf8_lossy(&body))),
        (Some(body), Some(wanted)) if body != wanted.as_bytes() => {
            return Err(format!("the body is {:?}", String::from_utf8_lossy(&body)));
        }
        (Some(body), None)
            if case.status == 502 && !body.starts_with(b"{\"type\":\"urn:gw:problem:upstream-reset\"") =>
        {
            return Err(format!("502 with {:?}", String::from_utf8_lossy(&body)));
        }
        _ => {}
    }
    if step == 1 && !case.reused && case.status != 502 && !case.cut {
        // The surplus may still be on its way, when the next request goes; the pool asks the socket, not the future.
        std::thread::sleep(Duration::from_millis(20));
    }
    next(gateway, server, case)
}

/// The next request takes the server's connection, if it is used again.
fn next(gateway: &Gateway, server: &Server, case: &Case) -> Result<(), String> {
    let before = server.connections.load(SeqCst);
    let next = gateway.get("/next");
    let reused = server.connections.load(SeqCst) == before;
    match (next.text().as_str(), reused) {
        ("next", reused) if reused == case.reused => Ok(()),
        ("next", _) => Err(format!("the connection is {}used again", if reused { "" } else { "not " })),
        (other, _) => Err(format!("then answered {} {other:?}", next.status)),
    }
}

fn status(head: &str) -> u16 {
    head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0)
}

/// The body, if its end is there.
fn read_body(client: &mut Client, head: &str) -> Option<Vec<u8>> {
    if field(head, "transfer-encoding").is_some() {
        return read_chunks(&mut client.reader).map(|(body, _)| body);
    }
    let length = field(head, "content-length").expect("framing").parse().unwrap();
    let mut body = vec![0; length];
    std::io::Read::read_exact(&mut client.reader, &mut body).ok()?;
    Some(body)
}
