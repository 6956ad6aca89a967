//! Bytes from clients to servers and back.

use super::support::*;
use std::io::{Read, Write};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant};

fn to(server: &Server) -> Gateway {
    Gateway::serve(&format!("listen http LISTEN\nroute ANY /{{rest...}} -> {}\n", server.url()))
}

#[test]
fn a_request_goes_on_and_its_answer_comes_back() {
    let seen = Arc::new(Mutex::new(String::new()));
    let server = Server::answering({
        let seen = seen.clone();
        move |got| {
            *seen.lock().unwrap() = got.head.clone();
            b"HTTP/1.1 201 Created\r\nx-own: 1\r\nconnection: keep-alive, x-hop\r\nx-hop: 1\r\ncontent-length: 2\r\n\r\nhi".to_vec()
        }
    });
    let gateway = to(&server);
    let answer = gateway.ask("GET /a/./b?q=1 HTTP/1.1\r\nHost: test:80\r\nConnection: x-mine\r\nX-Mine: 1\r\nX-Forwarded-For: 6.6.6.6\r\nX-Yours: 2\r\n\r\n");
    assert_eq!((answer.status, answer.text().as_str(), answer.header("x-own")), (201, "hi", Some("1")));
    assert_eq!(answer.header("x-hop"), None);
    let head = seen.lock().unwrap().clone();
    assert!(head.starts_with("GET /a/b?q=1 HTTP/1.1\r\n"), "{head}");
    let server_name = server.address.to_string();
    for (name, wanted) in [
        ("host", Some(server_name.as_str())),
        ("x-yours", Some("2")),
        ("x-mine", None),
        ("x-forwarded-for", Some("127.0.0.1")),
        ("x-forwarded-host", Some("test:80")),
        ("via", Some("1.1 gw")),
    ] {
        assert_eq!(field(&head, name), wanted, "{name} in {head}");
    }
    let line = gateway.await_log("\"status\":201");
    assert!(line.contains("\"path\":\"/a/./b\"") && line.contains("\"attempts\":1"), "{line}");
}

#[test]
fn what_a_trusted_proxy_says_of_its_client_goes_on() {
    let server = Server::answering(|got| {
        let field = |name| field(&got.head, name).unwrap().to_owned();
        ok(&format!("{} {}", field("x-forwarded-proto"), field("x-forwarded-host")))
    });
    let said = "GET / HTTP/1.1\r\nhost: inner\r\nx-forwarded-proto: https\r\nx-forwarded-host: shop.example\r\n\r\n";
    for (trust, wanted) in [
        ("127.0.0.0/8 using x-forwarded-for", "https shop.example"),
        ("10.0.0.0/8 using x-forwarded-for", "http inner"),
        // This one may hand on what its client wrote there.
        ("127.0.0.0/8 using forwarded", "http inner"),
    ] {
        let program =
            format!("listen http LISTEN\ntrust proxies {trust}\nroute ANY /{{rest...}} -> {}\n", server.url());
        let gateway = Gateway::serve(&program);
        assert_eq!(gateway.ask(said).text(), wanted, "{trust}");
        assert_eq!(gateway.ask(&said.replace("https", "ws")).text().split(' ').next(), Some("http"), "{trust}");
    }
}

#[test]
fn of_two_forms_the_one_that_is_trusted_goes_on() {
    let server = Server::answering(|got| {
        let field = |name| field(&got.head, name).unwrap_or_default().to_owned();
        ok(&format!("{} | {} | {}", field("x-forwarded-for"), field("forwarded"), field("tracestate")))
    });
    let trace = "traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\ntracestate: a=b\r\n";
    let said =
        format!("GET / HTTP/1.1\r\nhost: a\r\nx-forwarded-for: 9.9.9.9\r\nforwarded: for=8.8.8.8\r\n{trace}\r\n");
    let own = "for=127.0.0.1;host=a;proto=http";
    for (trust, wanted) in [
        ("trust proxies 127.0.0.1 using x-forwarded-for\n", format!("9.9.9.9, 127.0.0.1 | for=9.9.9.9, {own} | a=b")),
        ("trust proxies 127.0.0.1 using forwarded\n", format!("8.8.8.8, 127.0.0.1 | for=8.8.8.8, {own} | a=b")),
        ("trust proxies 10.0.0.0/8 using forwarded\n", format!("127.0.0.1 | {own} | ")),
        ("", format!("127.0.0.1 | {own} | ")),
    ] {
        let gateway =
            Gateway::serve(&format!("listen http LISTEN\n{trust}route ANY /{{rest...}} -> {}\n", server.url()));
        assert_eq!(gateway.ask(&said).text(), wanted, "{trust}");
    }
    // Its state belongs to a trace that can be read.
    let gateway = Gateway::serve(&format!(
        "listen http LISTEN\ntrust proxies 127.0.0.1 using forwarded\nroute ANY /{{rest...}} -> {}\n",
        server.url()
    ));
    assert!(gateway.ask(&said.replace("00-0a", "00-zz")).text().ends_with(" | "));
}

#[test]
fn connections_are_used_again_on_both_sides() {
    let server = Server::text("hello");
    let gateway = to(&server);
    let mut client = gateway.connect();
    for _ in 0..20 {
        client.send(b"GET / HTTP/1.1\r\nhost: test\r\n\r\n");
        assert_eq!(client.answer().text(), "hello");
    }
    // Pipelined, in one piece.
    client.send(&b"GET / HTTP/1.1\r\nhost: test\r\n\r\n".repeat(5));
    (0..5).for_each(|_| assert_eq!(client.answer().status, 200));
    assert_eq!(server.connections.load(SeqCst), 1);
    client.send(b"GET / HTTP/1.0\r\nhost: test\r\n\r\n");
    assert_eq!(client.answer().text(), "hello");
    client.assert_closed();
}

#[test]
fn chunks_and_trailers_both_ways() {
    let server = Server::answering(|got| {
        assert_eq!(field(&got.head, "te"), Some("trailers"));
        let body = format!("{} {}", String::from_utf8_lossy(&got.body), got.trailers.trim());
        format!("HTTP/1.1 200 OK\r\ntrailer: x-sum\r\ntransfer-encoding: chunked\r\n\r\n{:x}\r\n{body}\r\n0\r\nx-sum: 7\r\n\r\n", body.len())
            .into_bytes()
    });
    let gateway = to(&server);
    let answer = gateway.ask(
        "POST / HTTP/1.1\r\nhost: test\r\nte: trailers\r\ntransfer-encoding: chunked\r\ntrailer: x-end\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\nx-end: 1\r\n\r\n",
    );
    assert_eq!(answer.text(), "abcde x-end: 1");
    assert_eq!(answer.trailers, "x-sum: 7\r\n");
}

#[test]
fn answers_without_a_body_keep_their_length() {
    let server = Server::answering(|got| {
        if got.head.starts_with("HEAD") {
            b"HTTP/1.1 200 OK\r\ncontent-length: 1234\r\n\r\n".to_vec()
        } else {
            b"HTTP/1.1 304 Not Modified\r\netag: \"a\"\r\n\r\n".to_vec()
        }
    });
    let gateway = to(&server);
    let mut client = gateway.connect();
    client.send(b"HEAD / HTTP/1.1\r\nhost: test\r\n\r\n");
    let answer = client.try_answer(true).unwrap();
    assert_eq!((answer.status, answer.header("content-length")), (200, Some("1234")));
    client.send(b"GET / HTTP/1.1\r\nhost: test\r\n\r\n");
    let answer = client.answer();
    assert_eq!((answer.status, answer.header("etag")), (304, Some("\"a\"")));
}

#[test]
fn a_body_is_asked_for_when_the_server_is_there() {
    let server = Server::answering(|got| ok(&got.body.len().to_string()));
    let gateway = to(&server);
    let mut client = gateway.connect();
    client.send(b"POST / HTTP/1.1\r\nhost: test\r\nexpect: 100-continue\r\ncontent-length: 3\r\n\r\n");
    assert_eq!(client.answer().status, 100);
    client.send(b"abc");
    assert_eq!(client.answer().text(), "3");
}

#[test]
fn early_hints_come_early() {
    let server = Server::raw(|mut stream, mut reader| {
        while read_request(&mut reader).is_some() {
            stream.write_all(b"HTTP/1.1 103 Early Hints\r\nlink: </a.css>\r\nconnection: close\r\n\r\n").unwrap();
            std::thread::sleep(Duration::from_millis(50));
            stream.write_all(&ok("late")).unwrap();
        }
    });
    let gateway = to(&server);
    let mut client = gateway.connect();
    for _ in 0..2 {
        client.send(b"GET / HTTP/1.1\r\nhost: test\r\n\r\n");
        let hints = client.answer();
        assert_eq!((hints.status, hints.header("link"), hints.header("connection")), (103, Some("</a.css>"), None));
        assert_eq!(client.answer().text(), "late");
    }
    // HTTP/1.0 knows none.
    client.send(b"GET / HTTP/1.0\r\nhost: test\r\n\r\n");
    assert_eq!(client.answer().text(), "late");
}

#[test]
fn large_bodies_stream_both_ways_in_constant_memory() {
    const SIZE: usize = 50 << 20;
    let server = Server::raw(|mut stream, mut reader| {
        read_head(&mut reader).unwrap();
        let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {SIZE}\r\n\r\n");
        stream.write_all(head.as_bytes()).unwrap();
        let mut buffer = vec![0; 1 << 16];
        let mut left = SIZE;
        while left > 0 {
            let n = reader.read(&mut buffer).unwrap();
            assert!(n > 0);
            stream.write_all(&buffer[..n]).unwrap();
            left -= n;
        }
    });
    let gateway = to(&server);
    let before = peak_memory(gateway.child.id());
    let mut client = gateway.connect();
    client.send(format!("POST / HTTP/1.1\r\nhost: test\r\ncontent-length: {SIZE}\r\n\r\n").as_bytes());
    let mut sender = client.stream.try_clone().unwrap();
    let sending = std::thread::spawn(move || {
        let piece = (0..=255).collect::<Vec<u8>>().repeat(1 << 12);
        (0..SIZE >> 20).for_each(|_| sender.write_all(&piece).unwrap());
    });
    let answer = client.answer();
    sending.join().unwrap();
    assert_eq!(answer.body.len(), SIZE);
    let pattern: Vec<u8> = (0..=255).collect();
    assert!(answer.body.chunks(256).all(|piece| piece == pattern));
    let grown = peak_memory(gateway.child.id()) - before;
    assert!(grown < 8 << 10, "{grown} KiB more for 100 MiB");
}

#[test]
fn an_upgrade_is_a_tunnel() {
    let server = Server::raw(|mut stream, mut reader| {
        let head = read_head(&mut reader).unwrap();
        assert_eq!(field(&head, "upgrade"), Some("websocket"));
        stream
            .write_all(b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\nwelcome")
            .unwrap();
        let mut buffer = [0; 64];
        while let Ok(n @ 1..) = reader.read(&mut buffer) {
            stream.write_all(&buffer[..n]).unwrap();
        }
    });
    let gateway = to(&server);
    let mut client = gateway.connect();
    client.send(b"GET /chat HTTP/1.1\r\nhost: test\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\r\n");
    let answer = client.try_answer(true).unwrap();
    assert_eq!(
        (answer.status, answer.header("upgrade"), answer.header("connection")),
        (101, Some("websocket"), Some("upgrade"))
    );
    let mut got = [0; 7];
    client.reader.read_exact(&mut got).unwrap();
    assert_eq!(&got, b"welcome");
    client.send(b"\x00\xffping\r\n");
    let mut got = [0; 8];
    client.reader.read_exact(&mut got).unwrap();
    assert_eq!(&got, b"\x00\xffping\r\n");
    client.stream.shutdown(std::net::Shutdown::Write).unwrap();
    client.assert_closed();
    gateway.await_log("\"status\":101");
}

#[test]
fn no_h2c_past_the_gateway() {
    let server = Server::answering(|got| ok(field(&got.head, "upgrade").unwrap_or("none")));
    let gateway = to(&server);
    let answer = gateway.ask("GET / HTTP/1.1\r\nhost: test\r\nconnection: Upgrade, HTTP2-Settings\r\nupgrade: h2c\r\nhttp2-settings: AAMAAABk\r\n\r\n");
    assert_eq!((answer.status, answer.text().as_str()), (200, "none"));
}

#[test]
fn failures_of_servers_have_their_kinds() {
    let gone = free_port();
    let silent = Server::raw(|_stream, mut reader| {
        let _ = reader.read_to_end(&mut Vec::new());
    });
    let rude = Server::raw(|_, mut reader| drop(read_head(&mut reader)));
    let garbage = Server::answering(|_| b"SSH-2.0-OpenSSH\r\n\r\n".to_vec());
    let program = format!(
        "listen http LISTEN\nroute ANY /gone -> http://{gone}\nroute ANY /silent -> {} {{ timeout response 200ms }}\n\
         route ANY /total -> {} {{ timeout total 200ms }}\nroute ANY /rude -> {}\nroute ANY /garbage -> {}\n",
        silent.url(),
        silent.url(),
        rude.url(),
        garbage.url()
    );
    let gateway = Gateway::serve(&program);
    for (path, status, kind) in [
        ("/gone", 502, "upstream-connect"),
        ("/silent", 504, "upstream-timeout"),
        ("/total", 504, "upstream-timeout"),
        ("/rude", 502, "upstream-reset"),
        ("/garbage", 502, "upstream-reset"),
    ] {
        let answer = gateway.get(path);
        assert_eq!(answer.status, status, "{path}");
        assert_eq!(answer.header("content-type"), Some("application/problem+json"));
        gateway.await_log(&format!("\"path\":\"{path}\""));
        let log = gateway.await_log(&format!("\"error\":\"{kind}\""));
        let line = log.lines().find(|line| line.contains(&format!("\"path\":\"{path}\""))).unwrap();
        assert!(line.contains(kind), "{line}");
    }
}

#[test]
fn another_server_is_tried_and_never_the_same_while_one_is_up() {
    let asked = Arc::new(AtomicUsize::new(0));
    let bad = Server::answering({
        let asked = asked.clone();
        move |_| {
            asked.fetch_add(1, SeqCst);
            b"HTTP/1.1 503 Busy\r\ncontent-length: 0\r\n\r\n".to_vec()
        }
    });
    let good = Server::text("good");
    let gone = free_port();
    let program = format!(
        "listen http LISTEN\nupstream pair {{\n  server {}\n  server {}\n  balance round-robin\n  retry 1 on connect, 503 budget 100% backoff 1ms..2ms\n}}\n\
         upstream gone {{\n  server http://{gone}\n  server {}\n  balance round-robin\n  retry 1 on connect budget 100% backoff 1ms..2ms\n}}\n\
         route ANY /pair -> pair\nroute ANY /gone -> gone\n",
        bad.url(),
        good.url(),
        good.url()
    );
    let gateway = Gateway::serve(&program);
    for _ in 0..10 {
        assert_eq!(gateway.get("/pair").text(), "good");
        // A connect failure may be repeated by any method, its body not yet begun.
        assert_eq!(gateway.ask("POST /gone HTTP/1.1\r\nhost: test\r\ncontent-length: 2\r\n\r\nhi").text(), "good");
    }
    assert!(asked.load(SeqCst) > 0);
    let log = gateway.await_log("\"failed_attempts\":\"503\"");
    assert!(log.contains("\"failed_attempts\":\"refused\"") && log.contains("\"attempts\":2"), "{log}");
    // POST may have done something: its status is final.
    let statuses: Vec<_> =
        (0..4).map(|_| gateway.ask("POST /pair HTTP/1.1\r\nhost: test\r\ncontent-length: 0\r\n\r\n").status).collect();
    assert!(statuses.contains(&503), "{statuses:?}");
}

#[test]
fn slow_clients_are_not_waited_for() {
    let server = Server::text("hello");
    let program = format!(
        "listen http LISTEN {{ timeout header 300ms, idle 300ms }}\nroute ANY /{{rest...}} -> {}\n",
        server.url()
    );
    let gateway = Gateway::serve(&program);
    let began = Instant::now();
    let mut clients: Vec<_> =
        ["", "GET / HT", "GET / HTTP/1.1\r\nhost: te"].map(|text| (text, gateway.connect())).into();
    for (text, client) in &mut clients {
        client.send(text.as_bytes());
    }
    let mut idle = gateway.connect();
    idle.send(b"GET / HTTP/1.1\r\nhost: test\r\n\r\n");
    assert_eq!(idle.answer().status, 200);
    clients.into_iter().for_each(|(_, mut client)| client.assert_closed());
    idle.assert_closed();
    assert!(began.elapsed() < Duration::from_secs(10));
}

#[test]
fn a_client_that_goes_is_noticed_and_logged() {
    let server = Server::raw(|_stream, mut reader| {
        let _ = reader.read_to_end(&mut Vec::new());
    });
    let gateway = to(&server);
    let mut client = gateway.connect();
    client.send(b"GET /left HTTP/1.1\r\nhost: test\r\n\r\n");
    std::thread::sleep(Duration::from_millis(100));
    drop(client);
    gateway.await_log("\"status\":499");
}

/// Whatever lies behind its request, and whenever that came.
#[test]
fn a_client_that_goes_with_requests_behind_is_noticed() {
    const NEXT: &str = "GET /next HTTP/1.1\r\nhost: test\r\n\r\n";
    const POST: &str = "POST /next HTTP/1.1\r\nhost: test\r\ncontent-length: 5\r\n\r\nhe";
    let (asked, requests) = mpsc::channel();
    let (ends, ended) = mpsc::channel();
    let server = Server::raw(move |_stream, mut reader| {
        let Some(head) = read_head(&mut reader) else { return };
        asked.send(()).unwrap();
        assert_eq!(reader.read_to_end(&mut Vec::new()).unwrap_or(0), if head.starts_with("PUT") { 2 } else { 0 });
        ends.send(()).unwrap();
    });
    let gateway = to(&server);
    for first in
        ["GET /left HTTP/1.1\r\nhost: test\r\n\r\n", "PUT /left HTTP/1.1\r\nhost: test\r\ncontent-length: 2\r\n\r\nhi"]
    {
        for behind in ["\r\n", "GET /ne", NEXT, POST, &NEXT.repeat(3), "no HTTP\r\n\r\n"] {
            for late in [false, true] {
                let mut client = gateway.connect();
                client.send(format!("{first}{}", if late { "" } else { behind }).as_bytes());
                requests.recv_timeout(PATIENCE).unwrap();
                if late {
                    client.send(behind.as_bytes());
                    std::thread::sleep(Duration::from_millis(30));
                }
                drop(client);
                assert!(ended.recv_timeout(PATIENCE).is_ok(), "{first:?}, {behind:?}, {late}");
            }
        }
    }
    gateway.await_log_times("\"status\":499", 24);
}

/// And whoever stays is answered, each request in its turn.
#[test]
fn what_comes_while_a_request_is_answered_is_not_lost() {
    let server = Server::answering(|got| {
        std::thread::sleep(Duration::from_millis(60));
        ok(&format!("{} {}", got.head.split(' ').nth(1).unwrap(), got.body.len()))
    });
    let gateway = to(&server);
    let text = format!(
        "{0}GET /b HTTP/1.1\r\nhost: test\r\n\r\nPOST /c HTTP/1.1\r\nhost: test\r\ncontent-length: 9000\r\n\r\n{1}\
         POST /d HTTP/1.1\r\nhost: test\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n{0}",
        "GET /a HTTP/1.1\r\nhost: test\r\n\r\n",
        "x".repeat(9000)
    );
    for step in [7, 100, 1000, 5000, 20_000] {
        let mut client = gateway.connect();
        let mut sending = client.stream.try_clone().unwrap();
        let text = text.clone();
        let sender = std::thread::spawn(move || {
            for piece in text.as_bytes().chunks(step) {
                sending.write_all(piece).unwrap();
                std::thread::sleep(Duration::from_micros(step as u64 * 20));
            }
        });
        for wanted in ["/a 0", "/b 0", "/c 9000", "/d 3", "/a 0"] {
            assert_eq!(client.answer().text(), wanted, "in steps of {step}");
        }
        sender.join().unwrap();
    }
}

#[test]
fn what_is_known_of_a_refused_request_is_logged() {
    let gateway = Gateway::serve("listen http LISTEN { header max 8KiB }\nroute ANY /{rest...} -> respond 204\n");
    let line = |request: &str, status: u16, times: usize| -> serde_json::Value {
        assert_eq!(gateway.ask(request).status, status, "{request:?}");
        let log = gateway.await_log_times("\"sent\":", times);
        serde_json::from_str(log.lines().rfind(|line| line.contains("\"sent\":")).unwrap()).unwrap()
    };
    let long = "a".repeat(9000);
    for (n, (request, status, method, path, host)) in [
        ("PUT /a?b=secret HTTP/1.1\r\nhost: a.example\r\nx_y: z\r\n\r\n", 400, "PUT", "/a", "a.example"),
        ("GET /a\"\\\u{1}\u{e4} HTTP/1.1\r\nhost: a\r\n\r\n", 400, "GET", "/a\"\\\u{1}\u{e4}", "a"),
        ("POST /e HTTP/1.1\r\nexpect: more\r\nhost: a\r\n\r\n", 417, "POST", "/e", "a"),
        (&format!("GET /{long}"), 414, "GET", &format!("/{}…", &long[..255]), ""),
        (&format!("GET /m HTTP/1.1\r\nhost: a\r\nx: {long}\r\n\r\n"), 431, "GET", "/m", "a"),
        ("no HTTP at all\r\n\r\n", 400, "no", "HTTP", ""),
        ("\u{16}\u{3}\u{1}\r\n\r\n", 400, "", "", ""),
        // Only the refused one is not what it seems.
        ("GET /fine HTTP/1.1\r\nhost: b\r\n\r\n", 204, "GET", "/fine", "b"),
    ]
    .into_iter()
    .enumerate()
    {
        let line = line(request, status, n + 1);
        for (name, wanted) in [("method", method), ("path", path), ("host", host)] {
            assert_eq!(line[name].as_str().unwrap_or_default(), wanted, "{name} of {request:?} in {line}");
        }
        assert_eq!(line["status"], status);
    }
    let mut client = gateway.connect();
    client.send(b"GET /one HTTP/1.1\r\nhost: c\r\n\r\nDELETE /two HTTP/1.2\r\nhost: c\r\n\r\n");
    assert_eq!((client.answer().status, client.answer().status), (204, 400));
    let log = gateway.await_log("\"path\":\"/two\"");
    assert!(log.contains("\"method\":\"GET\",\"host\":\"c\",\"path\":\"/one\""), "{log}");
}

#[test]
fn a_request_is_answered_whenever_it_comes() {
    let gateway = Gateway::serve("listen http LISTEN\nroute ANY /{rest...} -> respond 200 text path\n");
    // Also while its connection is being put to rest.
    for pause in (10..50).map(Duration::from_millis) {
        let mut client = gateway.connect();
        for path in ["/first", "/second", "/third"] {
            client.send(format!("GET {path} HTTP/1.1\r\nhost: test\r\n\r\n").as_bytes());
            assert_eq!(client.answer().text(), path, "after {pause:?}");
            std::thread::sleep(pause);
        }
    }
}

#[test]
fn an_idle_connection_rests_and_wakes() {
    let gateway =
        Gateway::serve("listen http LISTEN { timeout idle 2s }\nroute ANY /{rest...} -> respond 200 text path\n");
    // Longer than a connection is kept warm.
    let rest = || std::thread::sleep(Duration::from_millis(1300));
    let mut client = gateway.connect();
    let mut silent = gateway.connect();
    for path in ["/a", "/b", "/c"] {
        client.send(format!("GET {path} HT").as_bytes());
        client.send(b"TP/1.1\r\nhost: test\r\n\r\nGET /next HTTP/1.1\r\nhost: test\r\n\r\n");
        assert_eq!(client.answer().text(), path);
        assert_eq!(client.answer().text(), "/next");
        rest();
    }
    silent.send(b"GET /late HTTP/1.1\r\nhost: test\r\n\r\n");
    assert_eq!(silent.answer().text(), "/late");
    client.assert_closed();
    let mut resting = gateway.connect();
    resting.send(b"GET / HTTP/1.1\r\nhost: test\r\n\r\n");
    assert_eq!(resting.answer().status, 200);
    rest();
    gateway.signal("-TERM");
    resting.assert_closed();
}
