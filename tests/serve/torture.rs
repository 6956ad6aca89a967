//! Messages that readers could understand differently (`tests/data/http1-torture.json`): each is refused and its
//! connection closed, or reaches the server as exactly what is written there.
//!
//! `answers` are those that the client gets, in order: a text is what the server got (method, target, body) and told
//! with 200, a number is a status by the gateway, behind which the connection ends. `broken`: the head is good and the
//! body is not; the server must never get a whole request.

use super::support::*;
use serde_json::Value;

#[test]
fn only_what_is_clear_goes_on() {
    let server = Server::answering(|got| {
        let (line, _) = got.head.split_once(" HTTP/1.1\r\n").unwrap();
        ok(&format!("{line} {}", String::from_utf8_lossy(&got.body)))
    });
    let gateway = Gateway::serve(&format!("listen http LISTEN\nroute ANY /{{rest...}} -> {}\n", server.url()));
    let cases: Vec<Value> = serde_json::from_str(include_str!("../data/http1-torture.json")).unwrap();
    assert!(cases.len() >= 100);
    let mut wrong = Vec::new();
    for case in &cases {
        // Latin-1, so that any byte can be written.
        let raw: Vec<u8> = case["raw"].as_str().unwrap().chars().map(|c| u8::try_from(u32::from(c)).unwrap()).collect();
        // In one piece, and byte by byte where that is not too long.
        for step in [raw.len(), 1] {
            if step == 1 && raw.len() > 400 {
                continue;
            }
            if let Err(what) = check(&gateway, case, &raw, step) {
                wrong.push(format!("{} (in steps of {step}): {what}", case["name"]));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn check(gateway: &Gateway, case: &Value, raw: &[u8], step: usize) -> Result<(), String> {
    let mut client = gateway.connect();
    for piece in raw.chunks(step) {
        // The gateway may have refused it already.
        if std::io::Write::write_all(&mut client.stream, piece).is_err() {
            break;
        }
    }
    if case["broken"] == true {
        return match client.try_answer(false) {
            None => Ok(()),
            Some(answer) if answer.status == 400 || answer.status == 502 => Ok(()),
            Some(answer) => Err(format!("answered {} {}", answer.status, answer.text())),
        };
    }
    for wanted in case["answers"].as_array().unwrap() {
        let Some(answer) = client.try_answer(false) else { return Err(format!("closed instead of {wanted}")) };
        match wanted {
            Value::String(text) if answer.status == 200 && answer.text() == *text => {}
            Value::Number(status) if status.as_u64() == Some(u64::from(answer.status)) => {
                if answer.header("connection") == Some("close") {
                    client.assert_closed();
                }
            }
            _ => return Err(format!("{} {:?} instead of {wanted}", answer.status, answer.text())),
        }
    }
    Ok(())
}
