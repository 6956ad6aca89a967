//! Messages that readers could understand differently (`tests/conformance/http1.toml`): each is refused and its connection
//! closed, or reaches the server as exactly what is written there.

use super::support::*;
use serde::Deserialize;
use std::io::Write;
use std::net::Shutdown;
use std::sync::{Arc, Mutex};
use std::time::Duration;

#[derive(Deserialize)]
struct Messages {
    message: Vec<Message>,
}

/// What the keys mean stands in the file.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Message {
    name: String,
    rfc: String,
    raw: String,
    #[serde(default)]
    answers: Vec<Wanted>,
    #[serde(default)]
    has: Vec<String>,
    #[serde(default)]
    lacks: Vec<String>,
    #[serde(default)]
    broken: bool,
    #[serde(default)]
    closed: bool,
    #[serde(default)]
    open: bool,
    #[serde(default)]
    unfinished: bool,
    #[serde(default)]
    half_close: bool,
    #[serde(default)]
    head_only: bool,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Wanted {
    Status(u16),
    Got(String),
}

/// A request as the server got it: its head, and everything in one text.
type Record = Arc<Mutex<Vec<(String, String)>>>;

#[test]
fn only_what_is_clear_goes_on() {
    let record = Record::default();
    let server = Server::raw({
        let record = record.clone();
        move |mut stream, mut reader| {
            while let Some(got) = read_request(&mut reader) {
                let (line, _) = got.head.split_once(" HTTP/1.1\r\n").unwrap();
                let text = format!("{line} {}{}", String::from_utf8_lossy(&got.body), got.trailers);
                record.lock().unwrap().push((got.head.clone(), text.clone()));
                let answer = if line.starts_with("HEAD ") { ok("") } else { ok(&text) };
                if stream.write_all(&answer).is_err() {
                    return;
                }
            }
        }
    });
    let gateway = Gateway::serve(&format!("listen http LISTEN\nroute ANY /{{rest...}} -> {}\n", server.url()));
    let messages: Messages = toml::from_str(include_str!("../conformance/http1.toml")).unwrap();
    assert!(messages.message.len() >= 450);
    let mut wrong = Vec::new();
    for message in &messages.message {
        let raw = bytes(&message.raw);
        // In one piece, and byte by byte where that is not too long.
        for step in [raw.len().max(1), 1] {
            if step == 1 && raw.len() > 400 {
                continue;
            }
            record.lock().unwrap().clear();
            if let Err(what) = check(&gateway, message, &raw, step, &record) {
                wrong.push(format!("{} (RFC {}; in steps of {step}): {what}", message.name, message.rfc));
            }
        }
    }
    assert!(wrong.is_empty(), "{} are wrong:\n{}", wrong.len(), wrong.join("\n"));
}

/// Characters are bytes; `<<text*N>>` is a text N times.
pub fn bytes(raw: &str) -> Vec<u8> {
    let byte = |c: char| u8::try_from(u32::from(c)).expect("a character below U+0100");
    let mut out = Vec::new();
    let mut rest = raw;
    while let Some((before, after)) = rest.split_once("<<") {
        let (repeated, behind) = after.split_once(">>").expect("`>>`");
        let (text, times) = repeated.rsplit_once('*').expect("`*`");
        out.extend(before.chars().map(byte));
        out.extend(text.chars().map(byte).collect::<Vec<_>>().repeat(times.parse().unwrap()));
        rest = behind;
    }
    out.extend(rest.chars().map(byte));
    out
}

fn check(gateway: &Gateway, message: &Message, raw: &[u8], step: usize, record: &Record) -> Result<(), String> {
    let mut client = gateway.connect();
    client.stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    for piece in raw.chunks(step) {
        // The gateway may have refused it already.
        if client.stream.write_all(piece).is_err() {
            break;
        }
    }
    if message.half_close {
        let _ = client.stream.shutdown(Shutdown::Write);
    }
    if message.unfinished && message.broken {
        drop(client);
    } else if message.broken {
        match client.try_answer(false) {
            None => {}
            Some(answer) if answer.status == 400 => client.assert_closed(),
            Some(answer) => return Err(format!("answered {} {}", answer.status, answer.text())),
        }
    } else {
        answers(&mut client, message)?;
    }
    let got = record.lock().unwrap().clone();
    let count = message.answers.iter().filter(|a| matches!(a, Wanted::Got(_) | Wanted::Status(200))).count();
    if got.len() != count {
        return Err(format!("the server got {:?}", got.iter().map(|(_, text)| text).collect::<Vec<_>>()));
    }
    let mut wanted = message.answers.iter().filter_map(|a| if let Wanted::Got(text) = a { Some(text) } else { None });
    for (head, text) in &got {
        if let Some(wanted) = wanted.next()
            && wanted != text
        {
            return Err(format!("the server got {text:?}"));
        }
        let framed = ["content-length", "transfer-encoding"].iter().filter(|name| field(head, name).is_some()).count();
        if framed > 1 || head.replace("\r\n", "").contains(['\r', '\n', '\0']) {
            return Err(format!("the server got a head in doubt: {head:?}"));
        }
    }
    let head = got.first().map(|(head, _)| head.as_str()).unwrap_or_default();
    if let Some(missing) = message.has.iter().find(|text| !head.contains(text.as_str())) {
        return Err(format!("{missing:?} is not in {head:?}"));
    }
    match message.lacks.iter().find(|text| head.contains(text.as_str())) {
        Some(extra) => Err(format!("{extra:?} is in {head:?}")),
        None => Ok(()),
    }
}

fn answers(client: &mut Client, message: &Message) -> Result<(), String> {
    let mut last = 200;
    for wanted in &message.answers {
        let Some(mut answer) = client.try_answer(message.head_only) else { return Err("closed too early".into()) };
        if answer.status == 100 {
            answer = client.answer();
        }
        last = answer.status;
        match wanted {
            Wanted::Got(text) if answer.status == 200 && (message.head_only || answer.text() == *text) => {}
            Wanted::Status(status) if *status == answer.status => {}
            _ => return Err(format!("answered {} {:?}", answer.status, answer.text())),
        }
    }
    if message.unfinished {
        return Ok(());
    }
    if message.closed || (last >= 400 && !message.open) {
        let mut rest = Vec::new();
        let ended = std::io::Read::read_to_end(&mut client.reader, &mut rest);
        return match ended {
            Err(error) if error.kind() != std::io::ErrorKind::ConnectionReset => Err(format!("not closed: {error}")),
            _ if rest.is_empty() => Ok(()),
            _ => Err(format!("closed behind {:?}", String::from_utf8_lossy(&rest))),
        };
    }
    // A path that no route takes: the server does not hear of it.
    client.send(b"GET /%00 HTTP/1.1\r\nhost: test\r\n\r\n");
    match client.try_answer(false) {
        Some(answer) if answer.status == 400 => Ok(()),
        Some(answer) => Err(format!("then answered {}", answer.status)),
        None => Err("closed".into()),
    }
}
