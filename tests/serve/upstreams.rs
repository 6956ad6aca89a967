//! Which servers an upstream has, and which of them may be used.

use crate::backend::{Backend, Dns, program};
use crate::support::{Client, Gateway, PATIENCE, Server, eventually, field, ok, read_head};
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::sync::atomic::Ordering::SeqCst;
use std::sync::mpsc;
use std::time::{Duration, Instant};

/// Serves with the names of `dns`.
fn serve(dns: &Dns, program: &str) -> Gateway {
    Gateway::with_args(program, &[], &["--resolver", &dns.address.to_string()])
}

/// How often each answer came; for those without a body, the status.
fn answers(gateway: &Gateway, times: usize) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for _ in 0..times {
        let answer = gateway.get("/");
        let name = if answer.status == 200 { answer.text() } else { answer.status.to_string() };
        *counts.entry(name).or_default() += 1;
    }
    counts
}

fn names(counts: &BTreeMap<String, usize>) -> Vec<&str> {
    counts.keys().map(String::as_str).collect()
}

#[test]
fn every_address_of_a_name_is_a_server_and_dns_may_change() {
    let [a, b, c] = Backend::same_port(["127.0.0.1", "127.0.0.2", "127.0.0.3"], ["a", "b", "c"]);
    let dns = Dns::new(1);
    dns.set("app.test", &[a.address.ip(), b.address.ip()]);
    let port = a.address.port();
    let program = format!(
        "listen http LISTEN\nupstream app {{ server http://app.test:{port}; balance round-robin }}\nroute ANY /{{rest...}} -> app\n"
    );
    let gateway = serve(&dns, &program);
    assert_eq!(names(&answers(&gateway, 10)), ["a", "b"]);
    // The answer that `a` is giving when its address goes.
    let (go, wait) = mpsc::channel::<()>();
    let wait = std::sync::Mutex::new(wait);
    a.does(move |_, stream| {
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nsl").unwrap();
        wait.lock().unwrap().recv().unwrap();
        stream.write_all(b"owly").is_ok()
    });
    let before = a.requests();
    let slow = std::thread::spawn({
        let mut clients: Vec<_> = (0..4).map(|_| gateway.connect()).collect();
        clients.iter_mut().for_each(|client| client.send(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n"));
        move || clients.into_iter().map(|mut client| client.answer().text()).collect::<Vec<_>>()
    });
    eventually("`a` has the request", || a.requests() > before);
    dns.set("app.test", &[b.address.ip(), c.address.ip()]);
    gateway.await_log(&format!("\"addresses\":\"{}, {}\"", b.address, c.address));
    assert_eq!(names(&answers(&gateway, 8)), ["b", "c"]);
    (0..4).for_each(|_| go.send(()).unwrap());
    assert!(slow.join().unwrap().contains(&"slowly".to_owned()), "what was under way ends well");
    // A name that is gone keeps its addresses.
    dns.set("app.test", &[]);
    gateway.await_log("there is no name `app.test`; the addresses from before stay in use");
    assert_eq!(names(&answers(&gateway, 6)), ["b", "c"]);
    dns.set("app.test", &[a.address.ip()]);
    a.does(|_, stream| stream.write_all(&crate::support::ok("a again")).is_ok());
    gateway.await_log(&format!("\"addresses\":\"{}\"", a.address));
    assert_eq!(names(&answers(&gateway, 4)), ["a again"]);
}

#[test]
fn a_name_that_is_unknown_at_first_fails_its_requests_until_it_is_known() {
    let a = Backend::new("a");
    let dns = Dns::new(1);
    let program = format!(
        "listen http LISTEN\nupstream app {{ discover dns app.test:{} }}\nroute GET /up -> app\nroute GET / -> app\nroute GET /well -> respond 204\n",
        a.address.port()
    );
    let gateway = serve(&dns, &program);
    assert_eq!(gateway.get("/well").status, 204);
    let answer = gateway.get("/");
    assert_eq!((answer.status, answer.header("proxy-status").is_some()), (502, true));
    assert!(answer.text().contains("upstream-connect"), "{}", answer.text());
    let log =
        gateway.await_log("cannot be resolved: there is no name `app.test`; requests that need it fail until it can");
    assert_eq!(log.matches("cannot be resolved").count(), 1, "once, however often it is tried");
    dns.set("app.test", &[a.address.ip()]);
    gateway.await_log("\"message\":\"resolved\"");
    assert_eq!(gateway.get("/").text(), "a");
}

#[test]
fn a_request_waits_for_the_first_answer() {
    // A name server that answers the second time: the first query is lost.
    let a = Backend::new("a");
    let dns = Dns::new(60);
    dns.set("app.test", &[a.address.ip()]);
    let program = format!("listen http LISTEN\nroute GET / -> http://app.test:{}\n", a.address.port());
    let gateway = serve(&dns, &program);
    assert_eq!(gateway.get("/").text(), "a", "also right after the start");
    // A name that a reload brings.
    dns.set("other.test", &[a.address.ip()]);
    gateway.replace("gateway.gw", &program.replace("app.test", "other.test"));
    gateway.await_log("\"message\":\"reloaded\"");
    assert_eq!(gateway.get("/").text(), "a");
}

#[test]
fn an_address_where_nobody_listens_costs_no_request() {
    let [a, gone] = Backend::same_port(["127.0.0.1", "127.0.0.2"], ["a", "gone"]);
    gone.kill();
    let dns = Dns::new(60);
    dns.set("app.test", &[a.address.ip(), gone.address.ip()]);
    let port = a.address.port();
    let program = format!(
        "listen http LISTEN\nupstream app {{ server http://app.test:{port}; balance round-robin }}\nroute ANY /{{rest...}} -> app\n"
    );
    let gateway = serve(&dns, &program);
    assert_eq!(answers(&gateway, 20), [("a".to_owned(), 20)].into());
    // It comes back by itself.
    let back = Backend::on(gone.address, "back");
    eventually("the address is used again", || gateway.get("/").text() == "back");
    drop(back);
}

#[test]
fn localhost_needs_no_name_server() {
    let a = Backend::new("a");
    let dns = Dns::new(60);
    let program = format!("listen http LISTEN\nroute GET / -> http://localhost:{}\n", a.address.port());
    let gateway = serve(&dns, &program);
    assert_eq!(answers(&gateway, 10), [("a".to_owned(), 10)].into());
    assert_eq!(dns.asked(), 0);
}

#[test]
fn srv_records_say_who_is_asked_first() {
    let (a, b, c) = (Backend::new("a"), Backend::new("b"), Backend::new("c"));
    let dns = Dns::new(1);
    for name in ["one.test", "two.test", "three.test"] {
        dns.set(name, &[a.address.ip()]);
    }
    let (first, second) = ((10, 3, a.address.port(), "one.test"), (10, 1, b.address.port(), "two.test"));
    let spare = (20, 1, c.address.port(), "three.test");
    dns.set_srv("_http._tcp.app.test", &[spare, first, second]);
    let gateway = serve(
        &dns,
        "listen http LISTEN\nupstream app { discover srv _http._tcp.app.test; balance round-robin; retry 2 on connect, reset }\nroute ANY /{rest...} -> app\n",
    );
    let counts = answers(&gateway, 24);
    assert_eq!(names(&counts), ["a", "b"]);
    assert!(counts["a"] > 2 * counts["b"], "three to one for each worker: {counts:?}");
    a.does(|got, stream| {
        stream.write_all(&crate::support::ok(crate::support::field(&got.head, "host").unwrap())).is_ok()
    });
    let host = format!("one.test:{}", a.address.port());
    assert!(answers(&gateway, 4).contains_key(&host), "the target's own name is its Host");
    a.kill();
    b.kill();
    assert_eq!(answers(&gateway, 6), [("c".to_owned(), 6)].into());
    dns.set_srv("_http._tcp.app.test", &[(1, 1, c.address.port(), "three.test")]);
    gateway.await_log_times("\"message\":\"resolved\"", 2);
    assert_eq!(answers(&gateway, 2), [("c".to_owned(), 2)].into());
}

#[test]
fn a_resolver_must_be_an_address() {
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_gw"))
        .args(["serve", "--resolver", "dns.internal"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("such as 10.0.0.53 or [::1]:5353"));
}

#[test]
fn a_health_check_takes_servers_out_and_back() {
    let (a, b) = (Backend::new("a"), Backend::new("b"));
    let health = "health { GET /healthz; every 200ms; timeout 200ms; healthy after 2; unhealthy after 2 }";
    let gateway = Gateway::serve(&program(&[&a, &b], health));
    // It speaks of /healthz only: requests would still be answered.
    a.does(|got, stream| match got.head.starts_with("GET /healthz ") {
        true => stream.write_all(b"HTTP/1.1 503 x\r\ncontent-length: 0\r\n\r\n").is_ok(),
        false => stream.write_all(&ok("a")).is_ok(),
    });
    let log = gateway.await_log("a server is unhealthy: it answered with 503");
    assert!(log.contains(&a.address.to_string()));
    assert_eq!(names(&answers(&gateway, 8)), ["b"]);
    // Frozen: it takes the connection and never answers.
    b.does(|got, stream| match got.head.starts_with("GET /healthz ") {
        true => {
            std::thread::sleep(Duration::from_millis(500));
            true
        }
        false => stream.write_all(&ok("b")).is_ok(),
    });
    gateway.await_log("a server is unhealthy: no answer within 200ms");
    let answer = gateway.get("/");
    assert_eq!(answer.status, 503, "no panic mode: what is known to be unhealthy is not asked");
    assert!(answer.text().contains("upstream-unhealthy"), "{}", answer.text());
    // What is known outlives a reload that changes something else of the upstream.
    gateway.replace("gateway.gw", &program(&[&a, &b], &format!("{health}\nbalance random")));
    gateway.await_log("\"message\":\"reloaded\"");
    assert_eq!(gateway.get("/").status, 503);
    a.recovers("a");
    gateway.await_log("a server is healthy again");
    assert_eq!(names(&answers(&gateway, 4)), ["a"]);
    // Each change is told once.
    assert_eq!(gateway.log().matches("a server is unhealthy").count(), 2, "{}", gateway.log());
}

#[test]
fn what_a_health_check_asks() {
    let a = Backend::new("a");
    let (sender, asked) = mpsc::channel();
    let sender = std::sync::Mutex::new(sender);
    a.does(move |got, stream| {
        let _ = sender.lock().unwrap().send(got.head.clone());
        stream.write_all(b"HTTP/1.1 404 x\r\ncontent-length: 3\r\n\r\nabc").is_ok()
    });
    let other = Backend::new("unused");
    let text = format!(
        "listen http LISTEN\nupstream app {{ server http://{}/base; health {{ HEAD /healthz; every 100ms; expect status 404, 2xx; host \"check.test\"; port {} }} }}\nroute ANY /{{rest...}} -> app\n",
        other.address,
        a.address.port()
    );
    let gateway = Gateway::serve(&text);
    let head = asked.recv_timeout(PATIENCE).unwrap();
    assert!(head.starts_with("HEAD /base/healthz HTTP/1.1\r\n"), "{head}");
    assert_eq!((field(&head, "host"), field(&head, "user-agent")), (Some("check.test"), Some("gw health check")));
    asked.recv_timeout(PATIENCE).unwrap();
    assert_eq!((gateway.get("/").text(), other.requests()), ("unused".to_owned(), 1));
    assert!(!gateway.log().contains("unhealthy"));
}

#[test]
fn a_server_that_fails_in_a_row_is_left_out_for_a_while() {
    let (a, b) = (Backend::new("a"), Backend::new("b"));
    a.says(500);
    let gateway = Gateway::serve(&program(&[&a, &b], "balance round-robin\neject after 3 failures for 1s"));
    let counts = answers(&gateway, 40);
    assert_eq!(counts["500"], 3, "{counts:?}");
    let log = gateway.await_log("server ejected: 3 failures in a row, the last: 500");
    assert!(log.contains(&a.address.to_string()) && log.contains("\"seconds\":1.0"), "{log}");
    // The only one that is left is never ejected.
    b.says(503);
    assert_eq!(names(&answers(&gateway, 10)), ["503"]);
    b.recovers("b");
    let used_again = |times| {
        eventually("the server is used again", || {
            gateway.get("/");
            gateway.log().matches("an ejected server is used again").count() >= times
        });
    };
    used_again(1);
    // It is still bad: out again, for longer.
    eventually("ejected again", || {
        gateway.get("/");
        gateway.log().contains("\"seconds\":2.0")
    });
    a.recovers("a");
    used_again(2);
    assert_eq!(names(&answers(&gateway, 8)), ["a", "b"]);
}

#[test]
fn one_of_three_that_fails_half_is_left_out() {
    let (a, b, c) = (Backend::new("a"), Backend::new("b"), Backend::new("c"));
    let turn = std::sync::atomic::AtomicUsize::new(0);
    a.does(move |_, stream| match turn.fetch_add(1, std::sync::atomic::Ordering::SeqCst) % 2 {
        0 => stream.write_all(b"HTTP/1.1 502 x\r\ncontent-length: 0\r\n\r\n").is_ok(),
        _ => stream.write_all(&ok("a")).is_ok(),
    });
    let gateway = Gateway::serve(&program(
        &[&a, &b, &c],
        "balance round-robin\neject over 30% for 1m\nretry 1 on 502 budget 20%",
    ));
    let counts = answers(&gateway, 300);
    assert!(!counts.contains_key("502"), "retried elsewhere until it was out: {counts:?}");
    assert!(a.requests() < 60, "{}", a.requests());
    gateway.await_log("requests failed, the last: 502");
    // Without retries clients see few.
    let gateway = Gateway::serve(&program(&[&a, &b, &c], "balance round-robin\neject over 30% for 1m"));
    let failed = answers(&gateway, 300).get("502").copied().unwrap_or(0);
    assert!(failed < 30, "{failed} of 300");
}

#[test]
fn every_kind_of_failure_counts() {
    type Bad = fn(&crate::support::Got, &mut std::net::TcpStream) -> bool;
    let kinds: [(&str, Bad); 4] = [
        ("its answer broke off", |_, stream| {
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf");
            std::thread::sleep(Duration::from_millis(50));
            false
        }),
        ("malformed", |_, stream| stream.write_all(b"what?\r\n\r\n").is_ok()),
        ("reset", |_, _| false),
        ("timeout", |_, _| {
            std::thread::sleep(Duration::from_secs(1));
            false
        }),
    ];
    for (word, bad) in kinds {
        let (a, b) = (Backend::new("a"), Backend::new("b"));
        a.does(bad);
        let gateway = Gateway::serve(&program(
            &[&a, &b],
            "balance round-robin\ntimeout response 200ms\neject after 2 failures for 1m",
        ));
        for _ in 0..12 {
            let mut client = Client::connect(gateway.address);
            client.send(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n");
            client.try_answer(false);
        }
        gateway.await_log(&format!("server ejected: 2 failures in a row, the last: {word}"));
        assert_eq!(names(&answers(&gateway, 4)), ["b"]);
    }
}

#[test]
fn failures_of_clients_do_not_count() {
    // Answers before it has the whole request, and goes on.
    let early = |name: &'static str| {
        Server::raw(move |mut stream, mut reader| {
            while let Some(head) = read_head(&mut reader) {
                if head.contains("/total") {
                    continue;
                }
                let answer = match head.starts_with("POST") {
                    true => b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n".to_vec(),
                    false => ok(name),
                };
                let _ = stream.write_all(&answer);
            }
        })
    };
    let (a, b) = (early("a"), early("b"));
    let gateway = Gateway::serve(&format!(
        "listen http LISTEN\nupstream up {{ server {}; server {}; balance round-robin; eject after 1 failures for 1m }}\n\
         route POST /total -> up {{ timeout total 200ms }}\nroute ANY /{{rest...}} -> up\n",
        a.url(),
        b.url()
    ));
    for path in ["/", "/", "/total", "/total"] {
        let mut client = gateway.connect();
        let begin = format!("POST {path} HTTP/1.1\r\nhost: test\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n");
        client.send(begin.as_bytes());
        if path == "/" {
            client.send(b"no chunk\r\n");
        }
        client.try_answer(false);
    }
    assert_eq!(names(&answers(&gateway, 8)), ["a", "b"], "{}", gateway.log());
}

#[test]
fn a_cookie_keeps_a_client_at_its_server() {
    let (a, b, c) = (Backend::new("a"), Backend::new("b"), Backend::new("c"));
    let gateway = Gateway::serve(&program(&[&a, &b, &c], "balance round-robin\nsticky cookie shard for 1h"));
    let first = gateway.get("/");
    let set = first.header("set-cookie").unwrap().to_owned();
    let (cookie, attributes) = set.split_once(';').unwrap();
    assert_eq!(attributes, " Path=/; HttpOnly; SameSite=Lax; Max-Age=3600");
    assert!(cookie.len() == "shard=".len() + 16 && !set.contains("127.0.0.1"), "{set}");
    let ask = |cookie: &str| gateway.ask(&format!("GET / HTTP/1.1\r\nhost: test\r\ncookie: x=1; {cookie}\r\n\r\n"));
    for _ in 0..10 {
        let again = ask(cookie);
        assert_eq!((again.text(), again.header("set-cookie")), (first.text(), None));
    }
    let at = [&a, &b, &c].into_iter().find(|server| server.requests() > 5).unwrap();
    at.does(|got, stream| stream.write_all(&ok(field(&got.head, "cookie").unwrap_or_default())).is_ok());
    assert_eq!(ask(cookie).text(), "x=1", "the server does not see it");
    // Nonsense is replaced.
    for bad in ["shard=", "shard=zz", "shard=0123456789ABCDEF", "shard=ffffffffffffffff"] {
        assert!(ask(bad).header("set-cookie").is_some_and(|set| set.starts_with("shard=")), "{bad}");
    }
    // A server that is gone is left for good.
    at.kill();
    // It may take a moment until nobody listens there: then a request can find a connection that breaks.
    let until = Instant::now() + PATIENCE;
    let next = loop {
        let answer = ask(cookie);
        if answer.status == 200 || Instant::now() > until {
            break answer;
        }
    };
    let moved = next.header("set-cookie").unwrap().split(';').next().unwrap().to_owned();
    assert!(next.status == 200 && moved != cookie);
    assert_eq!((ask(&moved).text(), ask(&moved).header("set-cookie")), (next.text(), None));
}

/// Requests as a server got them.
fn recorded(server: &Backend) -> mpsc::Receiver<(String, String)> {
    let (sender, received) = mpsc::channel();
    let sender = std::sync::Mutex::new(sender);
    server.does(move |got, stream| {
        let _ = sender.lock().unwrap().send((got.head.clone(), String::from_utf8_lossy(&got.body).into_owned()));
        stream.write_all(&ok("copy")).is_ok()
    });
    received
}

#[test]
fn copies_go_to_a_mirror() {
    let (a, shadow) = (Backend::new("a"), Backend::new("shadow"));
    let copies = recorded(&shadow);
    let gateway = Gateway::serve(&format!(
        "listen http LISTEN\nupstream app {{ server http://{}; send header.authorization = \"app's\" }}\n\
         upstream shadow {{ server http://{}/copy; send header.x-shadow = \"1\" }}\n\
         route POST /orders/{{id: int}} -> app at /v1/{{id}} {{ mirror 100% to shadow; request {{ set header.x-id = text(id) }} }}\n\
         route ANY /{{rest...}} -> app {{ mirror 100% to shadow when method == GET; mirror 0% to shadow }}\n",
        a.address, shadow.address
    ));
    let long = "x".repeat(100_000);
    for (framing, body) in [
        ("content-length: 3".to_owned(), "abc".to_owned()),
        ("transfer-encoding: chunked".to_owned(), "3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n".to_owned()),
        (format!("content-length: {}", long.len()), long.clone()),
    ] {
        let answer = gateway.ask(&format!("POST /orders/7 HTTP/1.1\r\nhost: test\r\n{framing}\r\n\r\n{body}"));
        assert_eq!(answer.text(), "a", "the original's answer");
        let (head, copied) = copies.recv_timeout(PATIENCE).unwrap();
        assert!(head.starts_with("POST /copy/v1/7 HTTP/1.1\r\n"), "{head}");
        assert_eq!((field(&head, "x-id"), field(&head, "x-shadow")), (Some("7"), Some("1")));
        assert_eq!(field(&head, "host"), Some(shadow.address.to_string().as_str()));
        assert_eq!(field(&head, "authorization"), None, "what `send` gives to one upstream is for no other");
        let expected = if framing.contains("chunked") { "abcde".to_owned() } else { body };
        assert!(copied == expected, "{framing}: {} bytes", copied.len());
    }
    // Too long to be copied, and what `when` leaves out.
    let huge = "x".repeat(2 * 1024 * 1024);
    let answer =
        gateway.ask(&format!("POST /orders/8 HTTP/1.1\r\nhost: test\r\ncontent-length: {}\r\n\r\n{huge}", huge.len()));
    assert_eq!(answer.text(), "a");
    assert_eq!(gateway.ask("DELETE /x HTTP/1.1\r\nhost: test\r\n\r\n").text(), "a");
    assert_eq!(gateway.get("/last").text(), "a");
    assert!(copies.recv_timeout(PATIENCE).unwrap().0.starts_with("GET /copy/last "), "nothing in between");
    // A mirror that is frozen, or gone, is nobody's trouble.
    let (stop, wait) = mpsc::channel::<()>();
    let wait = std::sync::Mutex::new(wait);
    shadow.does(move |_, _| {
        let _ = wait.lock().unwrap().recv();
        false
    });
    for _ in 0..300 {
        assert_eq!(gateway.get("/").text(), "a");
    }
    assert!(shadow.requests() < 5 + 2 * 64 + 10, "copies at once are bounded: {}", shadow.requests());
    drop(stop);
    shadow.kill();
    assert_eq!(gateway.get("/").text(), "a");
}

#[test]
fn a_part_of_the_requests_is_mirrored() {
    let (a, shadow) = (Backend::new("a"), Backend::new("shadow"));
    let copies = recorded(&shadow);
    let gateway = Gateway::serve(&format!(
        "listen http LISTEN\nupstream app http://{}\nupstream shadow http://{}\npolicy shadowed(share: percent) {{ mirror share to shadow }}\n\
         route ANY /{{rest...}} -> app {{ use shadowed(30%) }}\n",
        a.address, shadow.address
    ));
    for _ in 0..200 {
        assert_eq!(gateway.get("/").text(), "a");
    }
    eventually("some are copied", || shadow.requests() > 20);
    assert!(copies.try_iter().count() < 110);
}

/// Each answer waits for a word.
fn answers_when_told(server: &Backend) -> mpsc::Sender<()> {
    let (go, wait) = mpsc::channel::<()>();
    let wait = std::sync::Mutex::new(wait);
    server.does(move |_, stream| {
        let _ = wait.lock().unwrap().recv();
        stream.write_all(&ok("a")).is_ok()
    });
    go
}

#[test]
fn too_many_requests_are_shed() {
    let a = Backend::new("a");
    let go = answers_when_told(&a);
    let gateway = Gateway::serve(&program(&[&a], "max requests 2 pending 1"));
    let (answered, answers) = mpsc::channel();
    for at in 0..4 {
        let (mut client, answered) = (gateway.connect(), answered.clone());
        client.send(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n");
        if at < 2 {
            eventually("the server has the request", || a.requests() > at);
        }
        std::thread::spawn(move || answered.send(client.answer()));
    }
    // Two are answered, one waits in line, and one finds it full.
    let shed = answers.recv_timeout(PATIENCE).unwrap();
    assert_eq!(shed.status, 503);
    assert!(shed.text().contains("overloaded"), "{}", shed.text());
    assert_eq!(a.requests(), 2);
    (0..3).for_each(|_| go.send(()).unwrap());
    for _ in 0..3 {
        assert_eq!(answers.recv_timeout(PATIENCE).unwrap().text(), "a");
    }
}

#[test]
fn who_waits_in_line_does_so_for_a_while_only() {
    let a = Backend::new("a");
    let go = answers_when_told(&a);
    let gateway = Gateway::serve(&format!(
        "listen http LISTEN\nupstream app {{ server http://{}; max requests 1 pending 1; timeout connect 700ms }}\n\
         route ANY /total -> app {{ timeout total 200ms }}\nroute ANY /{{rest...}} -> app\n",
        a.address
    ));
    let mut first = gateway.connect();
    first.send(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n");
    eventually("the server has the request", || a.requests() == 1);
    let began = Instant::now();
    let shed = gateway.get("/");
    assert_eq!(shed.status, 503);
    assert!(shed.text().contains("overloaded"), "{}", shed.text());
    assert!(began.elapsed() >= Duration::from_millis(700), "{:?}", began.elapsed());
    gateway.await_log("none of the upstream's `max requests` ended within `timeout connect`");
    // Its place in line is free again. The wait counts into the total.
    (0..2).for_each(|_| assert_eq!(gateway.get("/total").status, 504));
    let mut last = gateway.connect();
    last.send(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n");
    std::thread::sleep(Duration::from_millis(100));
    (0..2).for_each(|_| go.send(()).unwrap());
    assert_eq!((first.answer().text(), last.answer().text()), ("a".into(), "a".into()));
    assert_eq!(a.requests(), 2);
}

#[test]
fn a_full_pool_is_nobodys_failure() {
    for protocol in ["h1", "h2c"] {
        let server = match protocol {
            "h1" => Server::raw(|_stream, mut reader| drop(reader.read_to_end(&mut Vec::new()))),
            // It never allows a stream.
            _ => Server::raw(|mut stream, mut reader| {
                let _ = stream.write_all(&[0, 0, 6, 4, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 1]);
                let _ = reader.read_to_end(&mut Vec::new());
            }),
        };
        let gateway = Gateway::with_args(
            &format!(
                "listen http LISTEN\nupstream app {{\n  server {0}/a\n  server {0}/b\n  protocol {protocol}\n  balance round-robin\n  \
                 pool max 1\n  timeout connect 300ms, response 10s\n  eject after 1 failures for 60s\n}}\nroute ANY /{{rest...}} -> app\n",
                server.url()
            ),
            &[],
            &["--workers", "1"],
        );
        let mut busy: Vec<_> = (0..2).map(|_| gateway.connect()).collect();
        busy.iter_mut().for_each(|client| client.send(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n"));
        eventually("the server has both", || server.connections.load(SeqCst) == 2);
        std::thread::sleep(Duration::from_millis(200));
        let shed = gateway.get("/");
        assert_eq!(shed.status, 503, "{protocol}: {}", shed.text());
        let log = gateway.await_log("none came free within `timeout connect`");
        assert!(!log.contains("ejected"), "{protocol}: {log}");
    }
}

#[test]
fn retries_are_a_share_of_the_traffic() {
    let (a, b) = (Backend::new("a"), Backend::new("b"));
    a.says(503);
    b.says(503);
    let gateway = Gateway::serve(&program(&[&a, &b], "retry 1 on 503 budget 10% backoff 1ms..2ms"));
    let total = 400;
    assert_eq!(names(&answers(&gateway, total)), ["503"]);
    let attempts = a.requests() + b.requests();
    // Ten in a hundred, and three each second whatever the traffic.
    assert!(attempts > total && attempts < total + total / 10 + 60, "{attempts} attempts for {total} requests");
}
