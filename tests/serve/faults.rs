//! What clients see of what goes wrong: counts of failed requests, and of those that HTTP makes a client send again.

use super::support::*;
use std::io::{Read, Write};
use std::process::Command;
use std::time::{Duration, Instant};

const PROGRAM: &str = "listen http LISTEN\nroute GET /n -> respond 200 text \"0\"\n";

#[test]
fn a_reload_every_200_ms() {
    let server = Server::text("hello");
    let program = |n: usize| {
        let (url, other) = (server.url(), server.url());
        format!(
            "listen http LISTEN\nupstream kept {url}\nupstream u {{ server {other}; pool idle {}s }}\n\
             route GET /n -> 50% kept, 50% u {{ response {{ set header.x-n = \"{n}\" }} }}\n",
            10 + n
        )
    };
    let gateway = Gateway::serve(&program(0));
    let load = Load::on(gateway.address, "/n", 2);
    for n in 1..=15 {
        gateway.replace("gateway.gw", &program(n));
        std::thread::sleep(Duration::from_millis(200));
    }
    gateway.await_log_times("\"message\":\"reloaded\"", 5);
    load.await_requests(20);
    let tally = load.stop();
    assert!(tally.failed.is_empty() && tally.again == 0, "{tally:?}");
}

#[test]
fn sigterm_under_load() {
    let server = Server::answering(|_| {
        std::thread::sleep(Duration::from_millis(5));
        ok("hello")
    });
    let mut gateway = Gateway::serve(&format!("listen http LISTEN\nroute ANY /{{rest...}} -> {}\n", server.url()));
    let load = Load::on(gateway.address, "/n", 4);
    load.await_requests(200);
    gateway.signal("-TERM");
    assert_eq!(gateway.child.wait().unwrap().code(), Some(0));
    let tally = load.stop();
    // Between the last accept and the close of a socket the kernel may take one more connection, and reset it.
    assert!(tally.failed.len() <= 1 && tally.again == 0, "{tally:?}");
}

#[test]
fn sigusr2_under_load() {
    let server = Server::text("hello");
    let gateway = Gateway::serve(&format!("listen http LISTEN\nroute ANY /{{rest...}} -> {}\n", server.url()));
    let load = Load::on(gateway.address, "/n", 2);
    for times in 1..=3 {
        load.await_requests(50);
        let id = *gateway.processes().last().unwrap();
        assert!(Command::new("kill").args(["-USR2", &id.to_string()]).status().unwrap().success());
        gateway.await_log_times("\"message\":\"drained\"", times);
        gateway.await_log_times("\"message\":\"ready\"", times + 1);
    }
    load.await_requests(50);
    let tally = load.stop();
    assert!(tally.failed.is_empty() && tally.again == 0, "{tally:?}");
}

#[test]
fn a_second_signal_cuts_off() {
    let server = Server::raw(|mut stream, mut reader| {
        read_head(&mut reader);
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nsome").unwrap();
        let _ = reader.read_to_end(&mut Vec::new());
    });
    let mut gateway = Gateway::serve(&format!("listen http LISTEN\nroute ANY /{{rest...}} -> {}\n", server.url()));
    let mut client = gateway.connect();
    client.send(b"GET / HTTP/1.1\r\nhost: test\r\n\r\n");
    read_head(&mut client.reader).unwrap();
    gateway.signal("-INT");
    gateway.await_log("draining");
    gateway.signal("-HUP");
    gateway.signal("-TERM");
    assert_eq!(gateway.child.wait().unwrap().code(), Some(0));
    gateway.await_log("a second signal");
    let log = gateway.await_log("\"error\":\"cut-off\"");
    assert!(log.contains("\"status\":200") && log.contains("\"sent\":4,"), "{log}");
    assert!(!log.contains("read again"), "nobody reloads while it drains");
    let mut rest = Vec::new();
    let _ = client.reader.read_to_end(&mut rest);
    assert_eq!(rest, b"some");
}

#[test]
fn the_drain_has_an_end() {
    let server = Server::raw(|mut stream, mut reader| {
        read_head(&mut reader);
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nsome").unwrap();
        let _ = reader.read_to_end(&mut Vec::new());
    });
    let program = format!("listen http LISTEN\nroute ANY /{{rest...}} -> {}\n", server.url());
    let mut gateway = Gateway::with_args(&program, &[], &["--drain", "300ms"]);
    let mut client = gateway.connect();
    client.send(b"GET / HTTP/1.1\r\nhost: test\r\n\r\n");
    read_head(&mut client.reader).unwrap();
    gateway.signal("-TERM");
    assert_eq!(gateway.child.wait().unwrap().code(), Some(0));
    gateway.await_log("not drained in time");
}

#[test]
fn what_is_cut_off_is_logged() {
    let (asked, requests) = std::sync::mpsc::channel();
    let server = Server::raw(move |mut stream, mut reader| {
        let head = read_head(&mut reader).unwrap();
        if head.starts_with("GET /tunnel ") {
            stream.write_all(b"HTTP/1.1 101 x\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n").unwrap();
        }
        asked.send(()).unwrap();
        let _ = reader.read_to_end(&mut Vec::new());
    });
    let program = "listen http LISTEN { protocols h1, h2c }\nroute ANY /{rest...} -> SERVER\n";
    let mut gateway = Gateway::with_args(&program.replace("SERVER", &server.url()), &[], &["--drain", "300ms"]);
    let mut clients = [(); 8].map(|()| gateway.connect());
    for client in &mut clients {
        client.send(b"GET /silent HTTP/1.1\r\nhost: test\r\n\r\n");
    }
    let mut tunnel = gateway.connect();
    tunnel.send(b"GET /tunnel HTTP/1.1\r\nhost: test\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n");
    assert_eq!(tunnel.answer().status, 101);
    super::http2::run(async {
        let mut send = super::http2::connect(&gateway).await;
        let (_response, _) = send.send_request(super::http2::request(http::Method::GET, "/stream"), true).unwrap();
        tokio::task::spawn_blocking(move || (0..10).for_each(|_| requests.recv_timeout(PATIENCE).unwrap()))
            .await
            .unwrap();
        gateway.signal("-TERM");
        assert_eq!(gateway.child.wait().unwrap().code(), Some(0));
    });
    let log = gateway.await_log_times("\"error\":\"cut-off\"", 10);
    assert_eq!(log.matches("\"status\":503").count(), 9, "{log}");
    for path in ["silent", "tunnel", "stream"] {
        assert!(log.contains(&format!("\"path\":\"/{path}\"")), "{log}");
    }
}

/// Servers that do all that servers should not: the answer is a status that says so, and the next request is served.
#[test]
fn servers_that_fail() {
    let frozen = Server::raw(|_stream, mut reader| {
        let _ = reader.read_to_end(&mut Vec::new());
    });
    let resetting = Server::raw(|mut stream, mut reader| {
        read_head(&mut reader);
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nsome");
        std::thread::sleep(Duration::from_millis(50));
        socket_reset(&stream);
    });
    let garbage = Server::answering(|_| b"\x16\x03\x01 what is this\r\n\r\n".to_vec());
    let closing = Server::raw(|stream, mut reader| {
        read_head(&mut reader);
        drop(stream);
    });
    let program = format!(
        "listen http LISTEN\nroute GET /frozen -> {} {{ timeout response 200ms }}\nroute GET /resetting -> {}\n\
         route GET /garbage -> {}\nroute GET /closing -> {}\nroute GET /n -> respond 200 text \"0\"\n",
        frozen.url(),
        resetting.url(),
        garbage.url(),
        closing.url()
    );
    let gateway = Gateway::serve(&program);
    let load = Load::on(gateway.address, "/n", 1);
    for _ in 0..5 {
        let began = Instant::now();
        assert_eq!(gateway.get("/frozen").status, 504);
        assert!(began.elapsed() < Duration::from_secs(10));
        assert_eq!((gateway.get("/garbage").status, gateway.get("/closing").status), (502, 502));
        // The head has gone: the client must see that the body is not whole.
        let mut client = gateway.connect();
        client.send(b"GET /resetting HTTP/1.1\r\nhost: test\r\n\r\n");
        assert!(client.try_answer(false).is_none());
    }
    load.await_requests(20);
    let tally = load.stop();
    assert!(tally.failed.is_empty() && tally.again == 0, "{tally:?}");
}

/// Closes with a reset.
fn socket_reset(stream: &std::net::TcpStream) {
    let _ = socket2::SockRef::from(stream).set_linger(Some(Duration::ZERO));
}

#[test]
fn a_program_from_standard_input() {
    use std::process::Stdio;
    let (dir, address) = (tempfile::tempdir().unwrap(), free_port());
    let mut command = Command::new(env!("CARGO_BIN_EXE_gw"));
    command.args(["serve", "-", "--workers", "1", "--log-format", "text"]).current_dir(dir.path());
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    input.write_all(PROGRAM.replace("LISTEN", &address.to_string()).as_bytes()).unwrap();
    drop(input);
    let began = Instant::now();
    while std::net::TcpStream::connect(address).is_err() {
        assert!(began.elapsed() < PATIENCE);
        std::thread::sleep(Duration::from_millis(10));
    }
    for signal in ["-HUP", "-USR2", "-TERM"] {
        let mut client = Client::connect(address);
        client.send(b"GET /n HTTP/1.1\r\nhost: test\r\n\r\n");
        assert_eq!(client.answer().text(), "0");
        assert!(Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap().success());
    }
    let out = child.wait_with_output().unwrap();
    let log = String::from_utf8(out.stdout).unwrap();
    assert_eq!(out.status.code(), Some(0), "{log}");
    assert!(log.contains("cannot be read again"), "{log}");
}
