//! Clients that take their time (the modes of slowhttptest): each is cut off in its time, and nobody else waits.

use super::http2::{connect, request, run, whole};
use super::support::*;
use bytes::Bytes;
use h2::Reason;
use http::Method;
use std::io::{ErrorKind, Read, Write};
use std::time::{Duration, Instant};

const CLIENTS: usize = 10;
const LARGE: usize = 64 << 20;

fn gateway() -> (Gateway, Server) {
    let server = Server::raw(|mut stream, mut reader| {
        while let Some(got) = read_request(&mut reader) {
            let sent = if got.head.starts_with("GET /large ") || got.head.starts_with("GET /total ") {
                let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {LARGE}\r\n\r\n");
                stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(&vec![b'x'; LARGE]))
            } else {
                stream.write_all(&ok("hello"))
            };
            if sent.is_err() {
                return;
            }
        }
    });
    let gateway = Gateway::serve(&format!(
        "listen http LISTEN {{ protocols h1, h2c; timeout header 600ms, idle 600ms }}\n\
         route ANY /total -> {0} {{ timeout total 1s }}\n\
         route ANY /{{rest...}} -> {0} {{ timeout idle 600ms }}\n",
        server.url()
    ));
    (gateway, server)
}

/// Has each client send a piece now and then until none is left; meanwhile others are served.
fn trickle(gateway: &Gateway, begin: &str, piece: &str) -> Vec<String> {
    let began = Instant::now();
    let mut clients: Vec<Client> = (0..CLIENTS).map(|_| gateway.connect()).collect();
    clients.iter_mut().for_each(|client| client.send(begin.as_bytes()));
    let mut heard = vec![Vec::new(); CLIENTS];
    let mut open = vec![true; CLIENTS];
    while open.contains(&true) {
        assert!(began.elapsed() < PATIENCE, "{} clients are still there", open.iter().filter(|o| **o).count());
        for ((client, heard), open) in clients.iter_mut().zip(&mut heard).zip(&mut open).filter(|(_, open)| **open) {
            client.stream.set_nonblocking(true).unwrap();
            let sent = client.stream.write_all(piece.as_bytes());
            *open = match client.stream.read_to_end(heard) {
                Ok(_) => false,
                Err(error) => error.kind() == ErrorKind::WouldBlock,
            } && sent.is_ok();
        }
        assert_eq!(gateway.get("/other").status, 200);
        std::thread::sleep(Duration::from_millis(50));
    }
    heard.into_iter().map(|heard| String::from_utf8(heard).unwrap()).collect()
}

#[test]
fn heads_that_come_slowly() {
    let (gateway, _server) = gateway();
    for heard in trickle(&gateway, "GET / HTTP/1.1\r\nhost: test\r\n", "x: y\r\n") {
        assert_eq!(heard, "");
    }
    trickle(&gateway, "", "G");
}

#[test]
fn bodies_that_come_slowly() {
    let (gateway, server) = gateway();
    let head = "POST / HTTP/1.1\r\nhost: test\r\ncontent-length: 4096\r\n\r\n";
    for heard in trickle(&gateway, head, "x") {
        assert!(heard.starts_with("HTTP/1.1 408 "), "{heard}");
    }
    // Not at all.
    for heard in trickle(&gateway, head, "") {
        assert!(heard.starts_with("HTTP/1.1 408 "), "{heard}");
    }
    // What has no length may take its time, but not any, and not more than for the whole.
    let head = "POST / HTTP/1.1\r\nhost: test\r\ntransfer-encoding: chunked\r\n\r\n";
    for heard in trickle(&gateway, head, "1\r\nx\r\n") {
        assert!(heard.starts_with("HTTP/1.1 408 "), "{heard}");
    }
    let head = "POST /total HTTP/1.1\r\nhost: test\r\ntransfer-encoding: chunked\r\n\r\n";
    for heard in trickle(&gateway, head, "1\r\nx\r\n") {
        assert!(heard.starts_with("HTTP/1.1 504 "), "{heard}");
    }
    drop(server);
}

#[test]
fn answers_that_are_taken_slowly() {
    let (gateway, _server) = gateway();
    let mut clients: Vec<Client> = (0..CLIENTS).map(|_| gateway.connect()).collect();
    for client in &mut clients {
        socket2::SockRef::from(&client.stream).set_recv_buffer_size(4096).unwrap();
        client.send(b"GET /large HTTP/1.1\r\nhost: test\r\n\r\n");
    }
    let began = Instant::now();
    let ended = || gateway.log().matches("\"path\":\"/large\"").count();
    while ended() < CLIENTS {
        assert!(began.elapsed() < PATIENCE, "{} of {CLIENTS} have ended", ended());
        for client in &mut clients {
            let _ = client.stream.read(&mut [0; 32]);
        }
        assert_eq!(gateway.get("/other").status, 200);
        std::thread::sleep(Duration::from_millis(50));
    }
    assert!(
        gateway.log().lines().filter(|line| line.contains("/large")).all(|line| !line.contains(&LARGE.to_string()))
    );
}

/// Sends a byte now and then until there is an answer: its status, and what a call is told.
async fn trickle_stream(gateway: &Gateway, path: &str, field: (&'static str, &'static str)) -> (u16, Option<String>) {
    let mut send = connect(gateway).await;
    let mut asked = request(Method::POST, path);
    asked.headers_mut().insert(field.0, field.1.parse().unwrap());
    let (response, mut body) = send.send_request(asked, false).unwrap();
    let drops = tokio::spawn(async move {
        while body.send_data("x".into(), false).is_ok() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    });
    let (parts, ..) = whole(response).await;
    drops.abort();
    (parts.status.as_u16(), parts.headers.get("grpc-status").map(|code| code.to_str().unwrap().to_owned()))
}

#[test]
fn bodies_that_come_slowly_on_a_stream() {
    let (gateway, _server) = gateway();
    run(async {
        assert_eq!(trickle_stream(&gateway, "/", ("content-length", "4096")).await.0, 408);
        assert_eq!(trickle_stream(&gateway, "/", ("x", "y")).await.0, 408);
        assert_eq!(trickle_stream(&gateway, "/total", ("x", "y")).await.0, 504);
        // Calls last, and their messages may be small: only the whole ends them.
        let call = ("content-type", "application/grpc");
        assert!(tokio::time::timeout(Duration::from_secs(2), trickle_stream(&gateway, "/", call)).await.is_err());
        assert_eq!(trickle_stream(&gateway, "/total", call).await, (200, Some("4".into())));
    });
}

/// Takes some of an answer now and then until it breaks off: why, and how much there was.
async fn sip(gateway: &Gateway, path: &str, sip: usize) -> (Option<Reason>, usize) {
    let tcp = tokio::net::TcpStream::connect(gateway.address).await.unwrap();
    // Sips go out as they are: the client's windows are as small.
    let mut builder = h2::client::Builder::new();
    builder.initial_window_size(u32::try_from(sip).unwrap());
    let (mut send, connection) = builder.handshake::<_, Bytes>(tcp).await.unwrap();
    tokio::spawn(async move {
        let _ = connection.await;
    });
    let (response, _) = send.send_request(request(Method::GET, path), true).unwrap();
    let mut body = response.await.unwrap().into_body();
    let mut taken = 0;
    loop {
        match body.data().await.expect("all of it came") {
            Ok(data) => {
                taken += data.len();
                tokio::time::sleep(Duration::from_millis(100)).await;
                body.flow_control().release_capacity(data.len()).unwrap();
            }
            Err(error) => return (error.reason(), taken),
        }
    }
}

#[test]
fn answers_that_are_taken_slowly_on_a_stream() {
    let (gateway, _server) = gateway();
    run(async {
        // Less than 4 KiB in 600 ms of waiting.
        assert_eq!(sip(&gateway, "/large", 300).await.0, Some(Reason::CANCEL));
        gateway.await_log("the client took nothing for too long");
        // More, but not for ever.
        let (reason, taken) = sip(&gateway, "/total", 8192).await;
        assert_eq!(reason, Some(Reason::INTERNAL_ERROR));
        assert!(taken > 3 * 8192, "{taken}");
    });
    gateway.await_log("`timeout total` is over");
}

#[test]
fn an_answer_that_is_taken_slowly_ends_with_the_total() {
    let (_, server) = gateway();
    let program = "listen http LISTEN\nroute ANY /total -> SERVER { timeout total 1s }\n";
    let gateway = Gateway::serve(&program.replace("SERVER", &server.url()));
    let mut client = gateway.connect();
    socket2::SockRef::from(&client.stream).set_recv_buffer_size(4096).unwrap();
    client.send(b"GET /total HTTP/1.1\r\nhost: test\r\n\r\n");
    let began = Instant::now();
    while !gateway.log().contains("`timeout total` is over") {
        assert!(began.elapsed() < PATIENCE, "it goes on");
        // Fast enough to be waited for.
        assert!(client.stream.read(&mut [0; 8192]).unwrap() > 0);
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(began.elapsed() > Duration::from_millis(900), "{:?}", began.elapsed());
    assert!(!gateway.log().contains(&LARGE.to_string()));
}

#[test]
fn a_client_that_is_slow_for_a_while_gets_everything() {
    let (gateway, _server) = gateway();
    let mut client = gateway.connect();
    client.send(b"GET /large HTTP/1.1\r\nhost: test\r\n\r\n");
    let head = read_head(&mut client.reader).unwrap();
    assert!(head.starts_with("HTTP/1.1 200 "));
    let (mut left, mut buffer) = (LARGE, vec![0; 1 << 20]);
    while left > 0 {
        let n = client.reader.read(&mut buffer).unwrap();
        assert!(n > 0, "{left} bytes are missing");
        // Longer in all than `timeout idle`.
        if left > LARGE - (8 << 20) {
            std::thread::sleep(Duration::from_millis(10));
        }
        left -= n;
    }
    client.send(b"POST / HTTP/1.1\r\nhost: test\r\ncontent-length: 40960\r\n\r\n");
    for _ in 0..20 {
        client.send(&[b'x'; 2048]);
        std::thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(client.answer().text(), "hello");
}

#[test]
fn an_answer_may_take_longer_than_connections_are_idle() {
    let server = Server::answering(|_| {
        std::thread::sleep(Duration::from_millis(2500));
        ok("late")
    });
    let gateway = Gateway::serve(&format!(
        "listen http LISTEN {{ timeout idle 2s }}\nroute ANY /{{rest...}} -> {}\n",
        server.url()
    ));
    let mut client = gateway.connect();
    for _ in 0..2 {
        client.send(b"GET / HTTP/1.1\r\nhost: test\r\n\r\n");
        assert_eq!(client.answer().text(), "late");
    }
    let began = Instant::now();
    client.assert_closed();
    assert!(began.elapsed() > Duration::from_millis(1900), "{:?}", began.elapsed());
}

#[test]
fn a_client_that_was_waited_for_rests_like_any_other() {
    let (gateway, _server) = gateway();
    let mut client = gateway.connect();
    client.send(b"GET /large HTTP/1.1\r\nhost: test\r\n\r\n");
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(client.answer().body.len(), LARGE);
    client.assert_closed();
}

#[test]
fn ranges_are_the_business_of_the_service() {
    let server = Server::answering(|got| ok(field(&got.head, "range").unwrap_or("none")));
    let gateway = Gateway::serve(&format!("listen http LISTEN\nroute ANY /{{rest...}} -> {}\n", server.url()));
    let ranges = format!("bytes=0-{}", (0..1_300).map(|n| format!(",5-{n}")).collect::<String>());
    let answer = gateway.ask(&format!("GET / HTTP/1.1\r\nhost: test\r\nrange: {ranges}\r\n\r\n"));
    assert_eq!((answer.status, answer.text()), (200, ranges));
}

/// More small answers than the buffers of both sockets hold (40 MB) wait for a client that reads late: each comes, whole and in its
/// turn, and the last one before the end.
#[test]
fn answers_wait_for_a_client_that_reads_late() {
    const MANY: usize = 15_000;
    let text = "x".repeat(3500);
    let gateway =
        Gateway::serve(&format!("listen http LISTEN\nroute GET /{{n}} -> respond 200 text \"{{n}}{text}\"\n"));
    let mut client = gateway.connect();
    let mut sending = client.stream.try_clone().unwrap();
    let sender = std::thread::spawn(move || {
        for n in 0..=MANY {
            let close = if n == MANY { "connection: close\r\n" } else { "" };
            sending.write_all(format!("GET /{n} HTTP/1.1\r\nhost: a\r\n{close}\r\n").as_bytes()).unwrap();
        }
    });
    std::thread::sleep(Duration::from_millis(500));
    for n in 0..=MANY {
        assert_eq!(client.answer().text(), format!("{n}{text}"));
    }
    client.assert_closed();
    sender.join().unwrap();
}
