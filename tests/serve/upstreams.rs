//! Which servers an upstream has, and which of them may be used.

use crate::backend::{Backend, Dns};
use crate::support::{Gateway, PATIENCE};
use std::collections::BTreeMap;
use std::io::Write;
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

#[track_caller]
fn eventually(what: &str, holds: impl Fn() -> bool) {
    let began = Instant::now();
    while !holds() {
        assert!(began.elapsed() < PATIENCE, "{what}");
        std::thread::sleep(Duration::from_millis(20));
    }
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
    let [a, _gone] = Backend::same_port(["127.0.0.1", "127.0.0.2"], ["a", "gone"]);
    _gone.kill();
    let dns = Dns::new(60);
    dns.set("app.test", &[a.address.ip(), _gone.address.ip()]);
    let port = a.address.port();
    let program = format!(
        "listen http LISTEN\nupstream app {{ server http://app.test:{port}; balance round-robin }}\nroute ANY /{{rest...}} -> app\n"
    );
    let gateway = serve(&dns, &program);
    assert_eq!(answers(&gateway, 20), [("a".to_owned(), 20)].into());
    // It comes back by itself.
    let back = Backend::on(_gone.address, "back");
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
