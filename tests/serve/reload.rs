//! Changing what is served, and ending.

use super::support::*;
use std::io::{Read, Write};
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

fn program(answer: usize) -> String {
    format!("listen http LISTEN\nroute counter GET /n -> respond 200 text \"{answer}\"\n")
}

#[test]
fn no_request_fails_while_the_program_changes() {
    let gateway = Gateway::serve(&program(0));
    let load = Load::on(gateway.address, "/n", 2);
    for n in 1..=20 {
        gateway.replace("gateway.gw", &program(n));
        load.await_requests(20);
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
    let tally = load.stop();
    assert!(tally.failed.is_empty() && tally.again == 0 && tally.answered >= 400, "{tally:?}");
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
    gateway.await_log("nothing changed");
}

#[test]
fn what_is_not_there_yet_is_waited_for() {
    let gateway = Gateway::serve(&program(1));
    // A folder that comes later, a mistake in it that is mended, and another file beside.
    gateway.replace("gateway.gw", &format!("import \"teams/*/*.gw\"\n{}", program(2)));
    gateway.await_log("no file matches");
    let route = |name: &str, program: &str| {
        std::fs::create_dir_all(gateway.path("teams/blue")).unwrap();
        std::fs::write(gateway.path(&format!("teams/blue/{name}.gw")), program).unwrap();
    };
    route("a", "route GET /a -> nobody\n");
    gateway.await_log("no upstream is called `nobody`");
    route("a", "route GET /a -> respond 200 text \"a\"\n");
    gateway.await_log("\"message\":\"reloaded\"");
    assert_eq!((gateway.get("/n").text(), gateway.get("/a").text()), ("2".into(), "a".into()));
    route("b", "route GET /b -> respond 200 text \"b\"\n");
    gateway.await_log_times("\"message\":\"reloaded\"", 2);
    assert_eq!(gateway.get("/b").text(), "b");
    // The same for what is no program.
    gateway.replace(
        "gateway.gw",
        "listen http LISTEN\ntable t: [string] from file \"tables/t.txt\"\nroute GET /n when (header.host ?? \"\") in t -> respond 200 text \"t\"\n",
    );
    gateway.await_log("tables/t.txt");
    std::fs::create_dir(gateway.path("tables")).unwrap();
    std::fs::write(gateway.path("tables/t.txt"), "test\n").unwrap();
    gateway.await_log_times("\"message\":\"reloaded\"", 3);
    assert_eq!(gateway.get("/n").text(), "t");
}

#[test]
fn a_link_to_a_folder_is_set_anew() {
    let dir = tempfile::tempdir().unwrap();
    let release = |name: &str, answer: usize| {
        let folder = dir.path().join(name);
        std::fs::create_dir(&folder).unwrap();
        std::fs::write(folder.join("routes.gw"), format!("route GET /n -> respond 200 text \"{answer}\"\n")).unwrap();
        std::os::unix::fs::symlink(name, dir.path().join("next")).unwrap();
        std::fs::rename(dir.path().join("next"), dir.path().join("current")).unwrap();
    };
    release("1", 1);
    let current = dir.path().join("current/routes.gw");
    let gateway = Gateway::serve(&format!("import \"{}\"\nlisten http LISTEN\n", current.display()));
    for number in 2..4 {
        release(&number.to_string(), number);
        gateway.await_log_times("\"message\":\"reloaded\"", number - 1);
        assert_eq!(gateway.get("/n").text(), number.to_string());
    }
}

#[test]
fn a_comment_changes_nothing() {
    let gateway = Gateway::serve(&program(1));
    gateway.replace("gateway.gw", &format!("# a comment\n\n{}", program(1).replace(" -> ", "\n    -> ")));
    gateway.await_log("nothing changed: the program means the same");
    // And neither does the way back, while what counts does.
    gateway.replace("gateway.gw", &program(1));
    gateway.await_log_times("nothing changed", 2);
    gateway.replace("gateway.gw", &program(2));
    gateway.await_log("\"message\":\"reloaded\"");
    assert_eq!(gateway.get("/n").text(), "2");
}

#[test]
fn what_fails_late_leaves_everything_as_it_was() {
    let gateway = Gateway::serve(&program(1));
    let (taken, free) = (std::net::TcpListener::bind("127.0.0.1:0").unwrap(), free_port());
    let more = format!("listen a http {free}\nlisten b http {}\n", taken.local_addr().unwrap());
    gateway.replace("gateway.gw", &format!("{more}{}", program(2)));
    gateway.await_log("not reloaded: cannot listen on");
    assert_eq!(gateway.get("/n").text(), "1");
    assert!(std::net::TcpStream::connect(free).is_err(), "the listener that could be bound is closed again");
    gateway.replace("gateway.gw", "listen http LISTEN\ntable t: [string] from file \"gone.txt\"\nroute GET /n when header.x in t -> respond 204\n");
    gateway.await_log("gone.txt");
    assert_eq!(gateway.get("/n").text(), "1");
    // As a full disk leaves it.
    gateway.replace("gateway.gw", "");
    gateway.await_log("has no `listen`");
    assert_eq!(gateway.get("/n").text(), "1");
    // The failures are forgotten, too: once the port is free the same program is served.
    drop(taken);
    gateway.replace("gateway.gw", &format!("{more}{}", program(2)));
    gateway.await_log("\"message\":\"reloaded\"");
    assert_eq!((gateway.get("/n").text(), Client::connect(free).stream.peer_addr().unwrap()), ("2".into(), free));
}

#[test]
fn a_listener_moves() {
    let mut gateway = Gateway::serve("listen public http LISTEN\nroute GET /n -> respond 200 text \"1\"\n");
    let mut before = gateway.connect();
    before.send(b"GET /n HTTP/1.1\r\nhost: test\r\n\r\n");
    assert_eq!(before.answer().text(), "1");
    let (from, to) = (gateway.address, free_port());
    gateway.address = to;
    gateway.replace("gateway.gw", "listen public http LISTEN\nroute GET /n -> respond 200 text \"1\"\n");
    gateway.await_log(&format!("listener `public` changed from {from} to {to}"));
    gateway.await_log("\"message\":\"reloaded\"");
    before.assert_closed();
    assert!(std::net::TcpStream::connect(from).is_err());
    assert_eq!(gateway.get("/n").text(), "1");
    // Every address of the same port, and back.
    let wide = format!("0.0.0.0:{}", to.port());
    for (times, address) in [(2, wide), (3, to.to_string())] {
        gateway
            .replace("gateway.gw", &format!("listen public http {address}\nroute GET /n -> respond 200 text \"1\"\n"));
        gateway.await_log_times("\"message\":\"reloaded\"", times);
        assert_eq!(gateway.get("/n").text(), "1");
    }
}

#[test]
fn what_is_kept_is_said() {
    let server = Server::text("hello");
    let program = |extra: &str| {
        format!(
            "listen public http LISTEN\n{extra}upstream users {}\nroute a GET /a -> users {{ limit 9/s }}\n",
            server.url()
        )
    };
    let gateway = Gateway::serve(&program(""));
    // What comes first moves everything after it, and changes nothing else.
    gateway
        .replace("gateway.gw", &program("upstream other http://127.0.0.1:1\nroute b GET /b -> other { limit 1/s }\n"));
    let log = gateway.await_log("\"message\":\"reloaded\"");
    assert!(log.contains("upstream `other` added") && log.contains("route `b` added"), "{log}");
    assert!(!log.contains("route `a` changed"), "{log}");
    let kept = r#""changes":2,"kept_listeners":"public","kept_upstreams":"users","kept_limits":1"#;
    assert!(log.contains(kept), "{log}");
}

#[test]
fn an_answer_under_way_outlives_its_upstream_and_listener() {
    let (more, mores) = std::sync::mpsc::channel::<&'static str>();
    let mores = std::sync::Mutex::new(mores);
    let server = Server::raw(move |mut stream, mut reader| {
        if read_head(&mut reader).is_none() {
            return;
        }
        stream.write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n").unwrap();
        for chunk in mores.lock().unwrap().iter() {
            write!(stream, "{:x}\r\n{chunk}\r\n", chunk.len()).unwrap();
        }
        stream.write_all(b"0\r\n\r\n").unwrap();
    });
    let other = free_port();
    let before =
        format!("listen http LISTEN\nlisten other http {other}\nupstream u {}\nroute GET /s -> u\n", server.url());
    let gateway = Gateway::serve(&before);
    let mut client = Client::connect(other);
    client.send(b"GET /s HTTP/1.1\r\nhost: test\r\n\r\n");
    more.send("first").unwrap();
    assert!(read_head(&mut client.reader).unwrap().starts_with("HTTP/1.1 200"));
    gateway.replace("gateway.gw", &program(1));
    let log = gateway.await_log("\"message\":\"reloaded\"");
    assert!(log.contains("listener `other` removed") && log.contains("upstream `u` removed"), "{log}");
    assert!(std::net::TcpStream::connect(other).is_err());
    more.send("second").unwrap();
    drop(more);
    assert_eq!(read_chunks(&mut client.reader).unwrap().0, b"firstsecond");
    client.assert_closed();
}

#[test]
fn a_tunnel_outlives_reloads() {
    let server = Server::raw(|mut stream, mut reader| {
        read_head(&mut reader);
        stream.write_all(b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: echo\r\n\r\n").unwrap();
        std::io::copy(&mut reader, &mut stream).ok();
    });
    let program = |n: usize| {
        format!(
            "listen http LISTEN\nupstream u {}\nroute GET /t -> u\n{}",
            server.url(),
            &program(n).replace("listen http LISTEN\n", "")
        )
    };
    let gateway = Gateway::serve(&program(0));
    let mut client = gateway.connect();
    client.send(b"GET /t HTTP/1.1\r\nhost: test\r\nconnection: upgrade\r\nupgrade: echo\r\n\r\n");
    assert!(read_head(&mut client.reader).unwrap().starts_with("HTTP/1.1 101"));
    for n in 1..4 {
        gateway.replace("gateway.gw", &program(n));
        gateway.await_log_times("\"message\":\"reloaded\"", n);
        client.send(b"ping");
        let mut echo = [0; 4];
        client.reader.read_exact(&mut echo).unwrap();
        assert_eq!(&echo, b"ping");
    }
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

/// Workers come to know of a listener one after the other; whoever is the first may hand connections to the last.
#[test]
fn who_comes_first_to_a_new_listener_is_served() {
    let gateway = Gateway::serve(&program(0));
    for n in 1..=8 {
        let other = free_port();
        let load = Load::on(other, "/n", 3);
        gateway.replace("gateway.gw", &format!("listen other http {other}\n{}", program(n)));
        load.await_requests(50);
        let tally = load.stop();
        assert!(tally.failed.is_empty() && tally.again == 0, "{tally:?}");
    }
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
