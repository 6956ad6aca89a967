//! What a program says, over the wire.

use super::support::*;

#[test]
fn limits_answer_429() {
    let gateway = Gateway::serve(
        "listen http LISTEN\nupstream e { echo }\nroute ANY /{rest...} -> e { limit 2/min by client.ip }\n",
    );
    let answers: Vec<_> = (0..3).map(|_| gateway.get("/")).collect();
    assert_eq!(answers.iter().map(|a| a.status).collect::<Vec<_>>(), [200, 200, 429]);
    assert!(answers[2].header("retry-after").is_some());
    gateway.await_log("\"error\":\"limited\"");
}

#[test]
fn concurrent_limits_count_until_the_answer_has_ended() {
    let gateway =
        Gateway::serve("listen http LISTEN\nupstream e { echo }\nroute ANY /{rest...} -> e { limit 1 concurrent }\n");
    for _ in 0..5 {
        assert_eq!(gateway.get("/").status, 200);
    }
}

#[test]
fn api_keys_and_their_file() {
    let key = "k-1234567890123456789012";
    let hash = {
        let out = std::process::Command::new("sha256sum")
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .spawn();
        let mut child = out.unwrap();
        std::io::Write::write_all(&mut child.stdin.take().unwrap(), key.as_bytes()).unwrap();
        let out = child.wait_with_output().unwrap();
        String::from_utf8(out.stdout).unwrap().split(' ').next().unwrap().to_owned()
    };
    let program = "listen http LISTEN\nupstream e { echo }\nauth partner = api-key {\n  from header.x-api-key\n  keys file \"partners.keys\"\n}\n\
                   route ANY /{rest...} -> e {\n  auth partner\n  require caller.id != \"mallory\"\n  request { set header.x-caller = caller.id }\n}\n";
    let gateway = Gateway::serve(program);
    let ask = |key: &str| gateway.ask(&format!("GET / HTTP/1.1\r\nhost: test\r\n{key}\r\n"));
    let with_key = format!("x-api-key: {key}\r\n");
    // No keys at all is the gateway's fault.
    gateway.await_log("there is no such file");
    assert_eq!(ask(&with_key).status, 503);
    for (name, status) in [("acme", 200), ("mallory", 403)] {
        let reads = gateway.log().matches("were read again").count();
        gateway.replace("partners.keys", &format!("{name} sha256:{hash}\n"));
        gateway.await_log_times("were read again", reads + 1);
        let answer = ask(&with_key);
        assert_eq!(answer.status, status, "{}", answer.text());
        if status == 200 {
            assert!(answer.text().contains("\"acme\"") && !answer.text().contains(key), "{}", answer.text());
        }
    }
    let answer = ask("");
    assert_eq!((answer.status, answer.header("www-authenticate")), (401, Some("ApiKey")));
    assert_eq!(ask("x-api-key: wrong\r\n").status, 401);
    assert!(!gateway.log().contains(key));
}

#[test]
fn a_table_is_read_again_when_its_file_changes() {
    let program = "listen http LISTEN\nupstream e { echo }\ntable blocked: [cidr] from file \"blocked.txt\" every 100ms\n\
                   require client.ip not in blocked else 403\nroute ANY /{rest...} -> e\n";
    let gateway = Gateway::with_files(program, &[("blocked.txt", "192.0.2.0/24\n")]);
    assert_eq!(gateway.get("/").status, 200);
    // That it was looked at is no news.
    std::thread::sleep(std::time::Duration::from_millis(300));
    assert!(!gateway.log().contains("read again"));
    gateway.replace("blocked.txt", "127.0.0.0/8\n");
    gateway.await_log("were read again");
    assert_eq!(gateway.get("/").status, 403);
    // A mistake in it changes nothing.
    gateway.replace("blocked.txt", "nonsense\n");
    gateway.await_log("it stays as it was");
    assert_eq!(gateway.get("/").status, 403);
}

#[test]
fn failures_can_have_other_answers() {
    let program = format!(
        "listen http LISTEN\nroute GET /gone -> http://{} {{ on error upstream-connect respond 503 text \"back soon\" }}\n\
         route GET /fixed -> respond 200 json {{ a: 1 }}\nroute GET /away -> redirect 302 \"https://example.com/\"\n",
        free_port()
    );
    let gateway = Gateway::serve(&program);
    let answer = gateway.get("/gone");
    assert_eq!((answer.status, answer.text().as_str()), (503, "back soon"));
    let answer = gateway.get("/fixed");
    assert_eq!((answer.status, answer.json()["a"].as_i64()), (200, Some(1)));
    let answer = gateway.get("/away");
    assert_eq!((answer.status, answer.header("location")), (302, Some("https://example.com/")));
    let answer = gateway.get("/nowhere");
    assert_eq!((answer.status, answer.json()["status"].as_i64()), (404, Some(404)));
    let answer = gateway.ask("DELETE /fixed HTTP/1.1\r\nhost: test\r\n\r\n");
    assert_eq!(answer.status, 405);
}

#[test]
fn preflights_are_answered_here() {
    let program =
        "listen http LISTEN\nupstream e { echo }\ncors { origins \"https://shop.example\" }\nroute PUT /x -> e\n";
    let gateway = Gateway::serve(program);
    let answer = gateway.ask(
        "OPTIONS /x HTTP/1.1\r\nhost: test\r\norigin: https://shop.example\r\naccess-control-request-method: PUT\r\n\r\n",
    );
    assert_eq!((answer.status, answer.header("access-control-allow-origin")), (204, Some("https://shop.example")));
}

#[test]
fn bodies_end_at_body_max() {
    let program = "listen http LISTEN\nupstream e { echo }\nroute ANY /{rest...} -> e { body max 1KiB }\n";
    let gateway = Gateway::serve(program);
    let said =
        gateway.ask(&format!("POST / HTTP/1.1\r\nhost: test\r\ncontent-length: 2000\r\n\r\n{}", "x".repeat(2000)));
    assert_eq!(said.status, 413);
    let unsaid = format!(
        "POST / HTTP/1.1\r\nhost: test\r\ntransfer-encoding: chunked\r\n\r\n7d0\r\n{}\r\n0\r\n\r\n",
        "x".repeat(2000)
    );
    assert_eq!(gateway.ask(&unsaid).status, 413);
}

#[test]
fn targets_and_answers_see_the_body() {
    let gateway = Gateway::serve(
        "listen http LISTEN\nupstream e { echo }\n\
         route POST /choice -> e when body.kind == \"y\" else respond 200 json { got: body.kind }\n\
         route POST /answer -> e { response { set header.x-kind = text(body.kind ?? \"none\") } }\n",
    );
    let ask = |path: &str, kind: &str| {
        let body = format!("{{\"kind\":\"{kind}\"}}");
        let length = body.len();
        gateway.ask(&format!(
            "POST {path} HTTP/1.1\r\nhost: test\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
        ))
    };
    assert_eq!(ask("/choice", "x").text(), "{\"got\":\"x\"}");
    assert!(ask("/choice", "y").text().contains("/choice"));
    assert_eq!(ask("/answer", "z").header("x-kind"), Some("z"));
}

#[test]
fn what_a_program_says_of_the_log() {
    let program = "listen http LISTEN\nroute GET /quiet -> respond 204 { log none }\nroute GET /loud -> respond 204 { tag tenant = \"acme\" }\n";
    let gateway = Gateway::serve(program);
    assert_eq!(gateway.get("/quiet?token=s3cret").status, 204);
    assert_eq!(gateway.get("/loud?token=s3cret").status, 204);
    let log = gateway.await_log("\"path\":\"/loud\"");
    assert!(log.contains("\"tags\":{\"tenant\":\"acme\"}"), "{log}");
    assert!(!log.contains("/quiet") && !log.contains("s3cret"), "{log}");
    for line in log.lines() {
        serde_json::from_str::<serde_json::Value>(line).unwrap_or_else(|error| panic!("{error} in {line}"));
    }
}

#[test]
fn no_more_connections_than_said() {
    let gateway = Gateway::serve("listen http LISTEN { max connections 2 }\nroute GET / -> respond 204\n");
    let ask = |client: &mut Client| {
        client.send(b"GET / HTTP/1.1\r\nhost: test\r\n\r\n");
        client.try_answer(false).map(|answer| answer.status)
    };
    let mut clients = [gateway.connect(), gateway.connect()];
    clients.iter_mut().for_each(|client| assert_eq!(ask(client), Some(204)));
    let mut third = gateway.connect();
    assert_eq!(third.try_answer(false).map(|answer| answer.status), Some(503));
    drop(clients);
    for _ in 0..500 {
        let mut client = gateway.connect();
        // One that is refused may be closed before its request is written.
        let written = std::io::Write::write_all(&mut client.stream, b"GET / HTTP/1.1\r\nhost: test\r\n\r\n");
        if written.is_ok() && client.try_answer(false).is_some_and(|answer| answer.status == 204) {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    panic!("a connection that has ended still counts");
}
