//! Changing what is served, and ending.

use super::support::*;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

fn program(answer: usize) -> String {
    format!("listen http LISTEN\nroute counter GET /n -> respond 200 text \"{answer}\"\n")
}

#[test]
fn no_request_fails_while_the_program_changes() {
    let gateway = Gateway::serve(&program(0));
    let stop = Arc::new(AtomicBool::new(false));
    let asked = Arc::new(AtomicUsize::new(0));
    let clients: Vec<_> = (0..3)
        .map(|_| {
            let (stop, asked, address) = (stop.clone(), asked.clone(), gateway.address);
            std::thread::spawn(move || {
                let mut client = Client::connect(address);
                while !stop.load(SeqCst) {
                    client.send(b"GET /n HTTP/1.1\r\nhost: test\r\n\r\n");
                    assert_eq!(client.answer().status, 200);
                    asked.fetch_add(1, SeqCst);
                }
            })
        })
        .collect();
    for n in 1..=20 {
        gateway.replace("gateway.gw", &program(n));
        std::thread::sleep(Duration::from_millis(30));
    }
    let mut last = String::new();
    for _ in 0..500 {
        last = gateway.get("/n").text();
        if last == "20" {
            break;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(last, "20");
    stop.store(true, SeqCst);
    clients.into_iter().for_each(|client| client.join().unwrap());
    assert!(asked.load(SeqCst) > 20);
    gateway.await_log("route `counter` changed (gateway.gw:2)");
}

#[test]
fn a_program_with_mistakes_changes_nothing() {
    let gateway = Gateway::serve(&program(1));
    gateway.replace("gateway.gw", "listen http LISTEN\nroute GET /n -> nobody\n");
    let log = gateway.await_log("not reloaded");
    assert!(log.contains("nobody"), "the diagnostics are printed: {log}");
    assert_eq!(gateway.get("/n").text(), "1");
    gateway.replace("gateway.gw", &program(2));
    gateway.await_log("\"message\":\"reloaded\"");
    assert_eq!(gateway.get("/n").text(), "2");
    gateway.signal("-HUP");
    gateway.await_log("nothing to reload");
}

#[test]
fn listeners_come_and_go() {
    let gateway = Gateway::serve(&program(1));
    let other = free_port();
    gateway.replace("gateway.gw", &format!("listen other http {other}\n{}", program(1)));
    gateway.await_log("listener `other` added");
    let mut kept = Client::connect(other);
    kept.send(b"GET /n HTTP/1.1\r\nhost: test\r\n\r\n");
    assert_eq!(kept.answer().text(), "1");
    gateway.replace("gateway.gw", &program(1));
    gateway.await_log("listener `other` removed");
    kept.assert_closed();
    assert!(std::net::TcpStream::connect(other).is_err());
    assert_eq!(gateway.get("/n").text(), "1");
}

#[test]
fn pools_and_counters_stay() {
    let server = Server::text("hello");
    let program = |extra: &str| {
        format!(
            "listen http LISTEN\nupstream u {}\nroute GET /a -> u\nroute GET /b -> respond 200 {{ limit 1/min }}\n{extra}",
            server.url()
        )
    };
    let gateway = Gateway::serve(&program(""));
    let mut client = gateway.connect();
    let mut ask = |path: &str| {
        client.send(format!("GET {path} HTTP/1.1\r\nhost: test\r\n\r\n").as_bytes());
        client.answer().status
    };
    assert_eq!((ask("/a"), ask("/b"), ask("/b")), (200, 200, 429));
    gateway.replace("gateway.gw", &program("route GET /c -> respond 204\n"));
    gateway.await_log("\"message\":\"reloaded\"");
    assert_eq!((ask("/a"), ask("/b"), ask("/c")), (200, 429, 204));
    assert_eq!(server.connections.load(SeqCst), 1);
}

#[test]
fn requests_in_flight_end_before_the_process() {
    let server = Server::answering(|_| {
        std::thread::sleep(Duration::from_millis(400));
        ok("late")
    });
    let mut gateway = Gateway::serve(&format!("listen http LISTEN\nroute ANY /{{rest...}} -> {}\n", server.url()));
    let mut client = gateway.connect();
    let mut idle = gateway.connect();
    client.send(b"GET / HTTP/1.1\r\nhost: test\r\n\r\n");
    std::thread::sleep(Duration::from_millis(150));
    gateway.signal("-TERM");
    let answer = client.answer();
    assert_eq!((answer.text().as_str(), answer.header("connection")), ("late", Some("close")));
    client.assert_closed();
    idle.assert_closed();
    assert_eq!(gateway.child.wait().unwrap().code(), Some(0));
    assert!(std::net::TcpStream::connect(gateway.address).is_err());
}

#[test]
fn what_cannot_be_served_is_said_at_once() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let dir = tempfile::tempdir().unwrap();
    let serve = |program: &str| {
        std::fs::write(dir.path().join("gateway.gw"), program).unwrap();
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_gw"));
        let out = command.args(["serve", "--workers", "1"]).current_dir(dir.path()).output().unwrap();
        (out.status.code(), String::from_utf8(out.stderr).unwrap())
    };
    let address = taken.local_addr().unwrap();
    let (code, error) = serve(&format!("listen http {address}\nroute GET / -> respond 204\n"));
    assert!(code == Some(1) && error.contains("the port is in use") && error.contains("ss -ltnp"), "{error}");
    let (code, error) =
        serve("listen http :8080\ninput a: string\ninput b: string\nroute GET / -> respond 200 text a\n");
    assert!(code == Some(1) && error.contains("GW_A") && error.contains("GW_B"), "{error}");
    let (code, error) = serve(
        "listen http :8080\ntable t: [string] from file \"gone.txt\"\nroute GET / when host in t -> respond 204\n",
    );
    assert!(code == Some(1) && error.contains("gone.txt"), "{error}");
}

#[test]
fn a_server_that_dies_is_not_noticed_by_clients() {
    let steady = Server::text("hello");
    let port = free_port();
    let dying = std::process::Command::new("python3")
        .args(["-c", "import http.server,sys\nclass H(http.server.BaseHTTPRequestHandler):\n protocol_version='HTTP/1.1'\n def do_GET(s):\n  s.send_response(200);s.send_header('content-length','5');s.end_headers();s.wfile.write(b'hello')\n def log_message(*a):pass\nhttp.server.ThreadingHTTPServer(('127.0.0.1',int(sys.argv[1])),H).serve_forever()", &port.port().to_string()])
        .spawn();
    let mut dying = dying.unwrap();
    let program = format!(
        "listen http LISTEN\nupstream pair {{\n  server {}\n  server http://{port}\n  retry 2 on connect, reset budget 100% backoff 1ms..2ms\n}}\nroute GET /{{rest...}} -> pair\n",
        steady.url()
    );
    let gateway = Gateway::serve(&program);
    for _ in 0..500 {
        if std::net::TcpStream::connect(port).is_ok() {
            break;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    let mut client = gateway.connect();
    for n in 0..200 {
        if n == 60 {
            dying.kill().unwrap();
        }
        client.send(b"GET / HTTP/1.1\r\nhost: test\r\n\r\n");
        assert_eq!(client.answer().text(), "hello", "request {n}");
    }
    dying.wait().unwrap();
}
