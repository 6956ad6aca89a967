//! HTTP/2 towards clients: by prior knowledge, with the `h2` crate as the client.

use super::support::*;
use bytes::Bytes;
use h2::client::SendRequest;
use http::{HeaderMap, Method, Request, StatusCode};
use std::sync::atomic::Ordering::SeqCst;
use std::sync::mpsc;
use std::time::Duration;

/// A gateway that speaks h1 and h2c and forwards everything.
pub fn gateway(server: &Server) -> Gateway {
    Gateway::serve(&program(&server.url(), ""))
}

pub fn program(url: &str, more: &str) -> String {
    format!("listen http LISTEN {{ protocols h1, h2c; {more} }}\nroute ANY /{{rest...}} -> {url}\n")
}

/// Runs a client.
pub fn run<F: Future>(client: F) -> F::Output {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async { tokio::time::timeout(PATIENCE, client).await.expect("took too long") })
}

/// A connection whose frames are driven beside the test.
pub async fn connect(gateway: &Gateway) -> SendRequest<Bytes> {
    let tcp = tokio::net::TcpStream::connect(gateway.address).await.unwrap();
    let (send, connection) = h2::client::handshake(tcp).await.unwrap();
    tokio::spawn(async move {
        let _ = connection.await;
    });
    send.ready().await.unwrap()
}

pub fn request(method: Method, path: &str) -> Request<()> {
    Request::builder().method(method).uri(format!("http://test{path}")).body(()).unwrap()
}

/// Status and fields, body, trailers.
pub async fn whole(response: h2::client::ResponseFuture) -> (http::response::Parts, Vec<u8>, Option<HeaderMap>) {
    let (parts, mut body) = response.await.unwrap().into_parts();
    let mut all = Vec::new();
    while let Some(data) = body.data().await {
        let data = data.unwrap();
        body.flow_control().release_capacity(data.len()).unwrap();
        all.extend_from_slice(&data);
    }
    (parts, all, body.trailers().await.unwrap())
}

async fn ask(send: &mut SendRequest<Bytes>, request: Request<()>) -> (http::response::Parts, Vec<u8>) {
    *send = send.clone().ready().await.unwrap();
    let (response, _) = send.send_request(request, true).unwrap();
    let (parts, body, _) = whole(response).await;
    (parts, body)
}

#[test]
fn many_requests_share_a_connection() {
    let server = Server::answering(|got| {
        let head = got.head.lines().next().unwrap().to_owned();
        assert_eq!(field(&got.head, "x-forwarded-host"), Some("test"));
        let via = if head.contains("/y ") { "1.1 gw" } else { "2 gw" };
        assert_eq!(field(&got.head, "via"), Some(via));
        ok(&head)
    });
    let gateway = gateway(&server);
    run(async {
        let mut send = connect(&gateway).await;
        let mut answers = Vec::new();
        for n in 0..100 {
            send = send.ready().await.unwrap();
            answers.push(send.send_request(request(Method::GET, &format!("/{n}/./x?q={n}")), true).unwrap().0);
        }
        for (n, answer) in answers.into_iter().enumerate() {
            let (parts, body, trailers) = whole(answer).await;
            assert_eq!(parts.status, 200);
            assert!(parts.headers.contains_key("date") && !parts.headers.contains_key("connection"));
            assert_eq!(String::from_utf8(body).unwrap(), format!("GET /{n}/x?q={n} HTTP/1.1"));
            assert_eq!(trailers, None);
        }
    });
    // And HTTP/1 beside it.
    assert_eq!(gateway.get("/y").text(), "GET /y HTTP/1.1");
    assert_eq!(gateway.ask("POST /y HTTP/1.1\r\nhost: test\r\ncontent-length: 0\r\n\r\n").status, 200);
    assert_eq!(gateway.ask("PRI * HTTP/2.1\r\n\r\n").status, 400);
    gateway.await_log("\"path\":\"/99/./x\"");
}

#[test]
fn an_http1_listener_refuses_the_preface() {
    let server = Server::text("x");
    let gateway = Gateway::serve(&format!("listen http LISTEN\nroute ANY /{{rest...}} -> {}\n", server.url()));
    assert_eq!(gateway.ask("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").status, 400);
}

#[test]
fn trailers_are_as_strict_as_heads() {
    let server = Server::answering(|_| panic!("the server got a whole request"));
    let gateway = gateway(&server);
    run(async {
        let mut send = connect(&gateway).await;
        let (response, mut body) = send.send_request(request(Method::POST, "/"), false).unwrap();
        body.send_data(vec![7; 3].into(), false).unwrap();
        body.send_trailers(HeaderMap::from_iter([("x_end".parse().unwrap(), "1".parse().unwrap())])).unwrap();
        assert_eq!(whole(response).await.0.status, 400);
    });
}

#[test]
fn bodies_and_trailers_both_ways() {
    let server = Server::answering(|got| {
        let body = format!("{} {} {}", got.body.len(), got.trailers.trim(), field(&got.head, "te").unwrap_or("-"));
        let size = body.len();
        format!("HTTP/1.1 200 OK\r\ntrailer: x-sum\r\ntransfer-encoding: chunked\r\n\r\n{size:x}\r\n{body}\r\n0\r\nx-sum: 7\r\n\r\n")
            .into_bytes()
    });
    let gateway = gateway(&server);
    run(async {
        let mut send = connect(&gateway).await;
        let mut ask = request(Method::POST, "/");
        ask.headers_mut().insert("te", "trailers".parse().unwrap());
        let (response, mut body) = send.send_request(ask, false).unwrap();
        // More than all windows together.
        let mut left = 3 * 1024 * 1024;
        while left > 0 {
            body.reserve_capacity(left);
            let room = std::future::poll_fn(|cx| body.poll_capacity(cx)).await.unwrap().unwrap();
            body.send_data(vec![7; room.min(left)].into(), false).unwrap();
            left -= room.min(left);
        }
        body.send_trailers(HeaderMap::from_iter([("x-end".parse().unwrap(), "1".parse().unwrap())])).unwrap();
        let (parts, body, trailers) = whole(response).await;
        assert_eq!(parts.status, 200);
        assert!(!parts.headers.contains_key("transfer-encoding"));
        assert_eq!(String::from_utf8(body).unwrap(), format!("{} x-end: 1 trailers", 3 * 1024 * 1024));
        assert_eq!(trailers.unwrap()["x-sum"], "7");
    });
}

#[test]
fn large_answers_flow_as_the_client_takes_them() {
    let server = Server::answering(|_| {
        let mut answer = b"HTTP/1.1 200 OK\r\ncontent-length: 20000000\r\n\r\n".to_vec();
        answer.resize(answer.len() + 20_000_000, b'x');
        answer
    });
    let gateway = gateway(&server);
    let before = peak_memory(gateway.child.id());
    run(async {
        let mut send = connect(&gateway).await;
        let (parts, body) = ask(&mut send, request(Method::GET, "/")).await;
        assert_eq!((parts.headers["content-length"].as_bytes(), body.len()), (&b"20000000"[..], 20_000_000));
    });
    let grown = peak_memory(gateway.child.id()) - before;
    assert!(grown < 12 * 1024, "{grown} KiB");
}

#[test]
fn answers_without_a_body() {
    let server = Server::answering(|got| {
        let status = field(&got.head, "x-status").unwrap_or("200 OK");
        match got.head.starts_with("HEAD") {
            true => b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n".to_vec(),
            false if status.starts_with("304") => b"HTTP/1.1 304 Not Modified\r\netag: \"1\"\r\n\r\n".to_vec(),
            false if status.starts_with("206") => {
                b"HTTP/1.1 206 Partial Content\r\ncontent-range: bytes 0-1/5\r\ncontent-length: 2\r\n\r\nhe".to_vec()
            }
            false => format!("HTTP/1.1 {status}\r\n\r\n").into_bytes(),
        }
    });
    let gateway = gateway(&server);
    run(async {
        let mut send = connect(&gateway).await;
        let (parts, body) = ask(&mut send, request(Method::HEAD, "/")).await;
        assert_eq!((parts.headers["content-length"].as_bytes(), body.len()), (&b"5"[..], 0));
        for (status, length) in [("204 No Content", 0), ("304 Not Modified", 0), ("206 Partial Content", 2)] {
            let mut asked = request(Method::GET, "/");
            asked.headers_mut().insert("x-status", status.parse().unwrap());
            let (parts, body) = ask(&mut send, asked).await;
            assert_eq!((parts.status.as_str(), body.len()), (&status[..3], length));
        }
        // The gateway's own answers, to HEAD too.
        let mut asked = request(Method::HEAD, "/%2f");
        asked.headers_mut().insert("x-status", "1".parse().unwrap());
        let (parts, body) = ask(&mut send, asked).await;
        assert_eq!((parts.status, body.len()), (StatusCode::BAD_REQUEST, 0));
        assert_eq!(parts.headers["content-type"], "application/problem+json");
    });
}

#[test]
fn what_http1_refuses_is_refused() {
    let server = Server::answering(|got| ok(field(&got.head, "cookie").unwrap_or("-")));
    let gateway = gateway(&server);
    run(async {
        let mut send = connect(&gateway).await;
        let with = |name: &'static str, value: &str| {
            let mut asked = request(Method::GET, "/");
            asked.headers_mut().append(name, value.parse().unwrap());
            asked
        };
        let uri = |uri: &str| Request::builder().uri(uri).body(()).unwrap();
        let mut many = request(Method::GET, "/");
        (0..101).for_each(|n| assert_eq!(many.headers_mut().append("x-many", n.into()), n > 0));
        for (asked, status) in [
            (with("x_y", "1"), 400),
            (with("host", "other"), 400),
            (with("host", "test"), 200),
            (uri("https://test/"), 400),
            (uri("http://user@test/"), 400),
            (uri("http://test/a/%2f/b"), 400),
            (uri("http://test/../x"), 400),
            (uri("http://test/a//b"), 400),
            (uri("http://te_st/"), 200),
            (uri(&format!("http://test/{}", "a".repeat(32 * 1024 - 1))), 200),
            (uri(&format!("http://test/{}", "a".repeat(32 * 1024))), 414),
            // The client sends it without its slash.
            (uri("http://test?q"), 400),
            (uri("http://test/a\"b"), 400),
            (with("content-length", ""), 400),
            (with("expect", "100-Continue"), 200),
            (with("expect", "cake"), 417),
            (request(Method::TRACE, "/"), 400),
            (request(Method::from_bytes(b"LIST").unwrap(), "/"), 200),
            (many, 431),
        ] {
            let text = format!("{asked:?}");
            let (parts, _) = ask(&mut send, asked).await;
            assert_eq!(parts.status, status, "{text}");
        }
        let mut cookies = with("cookie", "a=1");
        cookies.headers_mut().append("cookie", "b=2".parse().unwrap());
        assert_eq!(ask(&mut send, cookies).await.1, b"a=1; b=2");
    });
}

#[test]
fn a_proxy_may_say_what_its_client_spoke() {
    let server = Server::answering(|got| ok(field(&got.head, "x-forwarded-proto").unwrap()));
    let program = program(&server.url(), "");
    let (asked, odd) = ("https://test/", "ftp://test/");
    let uri = |uri: &str| Request::builder().uri(uri).body(()).unwrap();
    for (trust, status) in [("127.0.0.0/8", 200), ("10.0.0.0/8", 400)] {
        let gateway = Gateway::serve(&format!("{program}trust proxies {trust} using x-forwarded-for\n"));
        run(async {
            let mut send = connect(&gateway).await;
            let (parts, body) = ask(&mut send, uri(asked)).await;
            assert_eq!(parts.status, status, "{trust}");
            // What counts is the connection, as it does beside X-Forwarded-Proto.
            assert_eq!(body == b"http", status == 200);
            assert_eq!(ask(&mut send, uri(odd)).await.0.status, 400);
        });
    }
}

#[test]
fn a_head_that_is_too_long_costs_its_stream_only() {
    let server = Server::text("x");
    let gateway = Gateway::serve(&program(&server.url(), "header max 8KiB"));
    run(async {
        let mut send = connect(&gateway).await;
        let mut long = request(Method::GET, "/");
        long.headers_mut().insert("x", "y".repeat(12 * 1024).parse().unwrap());
        assert_eq!(ask(&mut send, long).await.0.status, 431);
        assert_eq!(ask(&mut send, request(Method::GET, "/")).await.0.status, 200);
    });
}

#[test]
fn interim_responses_reach_the_client() {
    let server = Server::raw(|mut stream, mut reader| {
        use std::io::Write;
        while read_request(&mut reader).is_some() {
            let text = b"HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi";
            stream.write_all(text).unwrap();
        }
    });
    let gateway = gateway(&server);
    run(async {
        let mut send = connect(&gateway).await;
        let (mut response, _) = send.send_request(request(Method::GET, "/"), true).unwrap();
        let hints = std::future::poll_fn(|cx| response.poll_informational(cx)).await.unwrap().unwrap();
        assert_eq!((hints.status(), &hints.headers()["link"]), (StatusCode::EARLY_HINTS, &"</x>".parse().unwrap()));
        assert_eq!(whole(response).await.1, b"hi");
        // The body is wanted, so the client is told to go on.
        let mut asked = request(Method::POST, "/");
        asked.headers_mut().insert("expect", "100-continue".parse().unwrap());
        let (mut response, mut body) = send.send_request(asked, false).unwrap();
        let go_on = std::future::poll_fn(|cx| response.poll_informational(cx)).await.unwrap().unwrap();
        assert_eq!(go_on.status(), StatusCode::CONTINUE);
        body.send_data("x".into(), true).unwrap();
        assert_eq!(whole(response).await.0.status, 200);
    });
}

#[test]
fn heads_are_as_strict_as_over_http1() {
    let server = Server::answering(|_| panic!("the server got a request"));
    let gateway = gateway(&server);
    run(async {
        let mut send = connect(&gateway).await;
        let mut asked = request(Method::GET, "/");
        asked.headers_mut().insert("expect", "a-miracle".parse().unwrap());
        assert_eq!(ask(&mut send, asked).await.0.status, 417);
        let mut asked = request(Method::GET, "/");
        let uri = http::Uri::builder().scheme("http").authority("test").path_and_query("/?q=\u{e9}");
        *asked.uri_mut() = uri.build().unwrap();
        assert_eq!(ask(&mut send, asked).await.0.status, 400);
    });
}

#[test]
fn pieces_go_on_at_once() {
    let (go, wait) = mpsc::channel::<()>();
    let wait = std::sync::Mutex::new(wait);
    let server = Server::raw(move |mut stream, mut reader| {
        use std::io::Write;
        while read_request(&mut reader).is_some() {
            stream.write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n").unwrap();
            for piece in ["1\r\na\r\n", "1\r\nb\r\n", "0\r\n\r\n"] {
                wait.lock().unwrap().recv().unwrap();
                stream.write_all(piece.as_bytes()).unwrap();
            }
        }
    });
    let gateway = gateway(&server);
    run(async {
        let mut send = connect(&gateway).await;
        let (response, _) = send.send_request(request(Method::GET, "/"), true).unwrap();
        let mut body = response.await.unwrap().into_body();
        for piece in ["a", "b", ""] {
            go.send(()).unwrap();
            assert_eq!(body.data().await.transpose().unwrap().unwrap_or_default(), piece);
        }
        assert!(body.is_end_stream());
    });
}

#[test]
fn a_client_that_takes_nothing_loses_its_stream() {
    let server = Server::answering(|_| {
        let mut answer = b"HTTP/1.1 200 OK\r\ncontent-length: 200000\r\n\r\n".to_vec();
        answer.resize(answer.len() + 200_000, b'x');
        answer
    });
    let gateway = Gateway::serve(&program(&server.url(), "timeout idle 500ms"));
    run(async {
        let mut send = connect(&gateway).await;
        let (response, _) = send.send_request(request(Method::GET, "/"), true).unwrap();
        let mut body = response.await.unwrap().into_body();
        // Nothing is released: the window is never opened again.
        let error = loop {
            match body.data().await.unwrap() {
                Ok(_) => {}
                Err(error) => break error,
            }
        };
        assert_eq!(error.reason(), Some(h2::Reason::CANCEL));
    });
    gateway.await_log("took nothing");
}

#[test]
fn a_body_that_stops_is_408() {
    let server = Server::text("x");
    let gateway = Gateway::serve(&format!(
        "listen http LISTEN {{ protocols h2c }}\nroute ANY /{{rest...}} -> {} {{ timeout idle 500ms }}\n",
        server.url()
    ));
    run(async {
        let mut send = connect(&gateway).await;
        let (response, mut body) = send.send_request(request(Method::POST, "/"), false).unwrap();
        body.send_data("x".into(), false).unwrap();
        assert_eq!(whole(response).await.0.status, 408);
    });
}

#[test]
fn a_host_may_stand_in_for_an_authority() {
    let server = Server::answering(|got| ok(field(&got.head, "x-forwarded-host").unwrap()));
    let gateway = gateway(&server);
    run(async {
        let mut send = connect(&gateway).await;
        // As a client sends it that takes it over from HTTP/1.1.
        let asks = |host: &str| {
            let request = Request::builder().version(http::Version::HTTP_11).uri("/").header("host", host);
            request.body(()).unwrap()
        };
        assert_eq!(ask(&mut send, asks("shop.example")).await.1, b"shop.example");
        assert_eq!(ask(&mut send, asks("a b")).await.0.status, 400);
    });
}

#[test]
fn an_idle_connection_is_told_to_go() {
    let server = Server::text("x");
    let gateway = Gateway::serve(&program(&server.url(), "timeout idle 500ms"));
    run(async {
        let tcp = tokio::net::TcpStream::connect(gateway.address).await.unwrap();
        let (mut send, connection) = h2::client::handshake(tcp).await.unwrap();
        let connection = tokio::spawn(connection);
        assert_eq!(ask(&mut send, request(Method::GET, "/")).await.0.status, 200);
        drop(send);
        connection.await.unwrap().unwrap();
    });
    // A greeting and no request, nothing at all, or half a preface.
    let gateway = Gateway::serve(&program(&server.url(), "timeout header 500ms"));
    run(async {
        let tcp = tokio::net::TcpStream::connect(gateway.address).await.unwrap();
        let (_send, connection) = h2::client::handshake(tcp).await.unwrap();
        tokio::time::timeout(PATIENCE, connection).await.expect("it is still open").unwrap();
    });
    for text in ["", "PRI * HT"] {
        let mut client = gateway.connect();
        client.send(text.as_bytes());
        if text.is_empty() {
            client.assert_closed();
        } else {
            // Nobody knows what it was to become.
            let _ = client.try_answer(false);
            client.assert_closed();
        }
    }
}

#[test]
fn streams_in_flight_end_when_the_gateway_drains() {
    let (go, wait) = mpsc::channel::<()>();
    let wait = std::sync::Mutex::new(wait);
    let server = Server::answering(move |_| {
        wait.lock().unwrap().recv().unwrap();
        ok("late")
    });
    let mut gateway = gateway(&server);
    run(async {
        let tcp = tokio::net::TcpStream::connect(gateway.address).await.unwrap();
        let (send, connection) = h2::client::handshake(tcp).await.unwrap();
        let connection = tokio::spawn(connection);
        let mut send = send.ready().await.unwrap();
        let (response, _) = send.send_request(request(Method::GET, "/"), true).unwrap();
        while server.connections.load(SeqCst) == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        gateway.signal("-TERM");
        // No new streams.
        while send.clone().ready().await.is_ok() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        go.send(()).unwrap();
        assert_eq!(whole(response).await.1, b"late");
        connection.await.unwrap().unwrap();
    });
    assert!(gateway.child.wait().unwrap().success());
}

#[test]
fn a_client_that_gives_up_is_not_waited_for() {
    let (gone, wait) = mpsc::channel::<bool>();
    let server = Server::raw(move |_, mut reader| {
        use std::io::Read;
        if read_request(&mut reader).is_some() {
            gone.send(matches!(reader.read(&mut [0]), Ok(0))).unwrap();
        }
    });
    let gateway = gateway(&server);
    run(async {
        let mut send = connect(&gateway).await;
        let (response, _) = send.send_request(request(Method::GET, "/"), true).unwrap();
        while server.connections.load(SeqCst) == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        drop(response);
        let gone = tokio::task::spawn_blocking(move || wait.recv_timeout(PATIENCE));
        assert_eq!(gone.await.unwrap(), Ok(true));
    });
    gateway.await_log("\"status\":499");
}

#[test]
fn a_body_that_was_refused_is_taken_for_a_moment() {
    let server = Server::text("x");
    let gateway = Gateway::serve(&format!(
        "listen http LISTEN {{ protocols h2c }}\nroute ANY /{{rest...}} -> {} {{ require client.ip != 127.0.0.1 }}\n",
        server.url()
    ));
    run(async {
        let mut send = connect(&gateway).await;
        let (response, mut body) = send.send_request(request(Method::POST, "/"), false).unwrap();
        assert_eq!(whole(response).await.0.status, 403);
        // A reset might overtake the answer.
        let reset = std::future::poll_fn(|cx| body.poll_reset(cx));
        assert!(tokio::time::timeout(Duration::from_millis(200), reset).await.is_err());
        body.send_data("x".into(), true).unwrap();

        let mut send = send.ready().await.unwrap();
        let (response, mut body) = send.send_request(request(Method::POST, "/"), false).unwrap();
        assert_eq!(whole(response).await.0.status, 403);
        // Who goes on is told to stop.
        let reset = std::future::poll_fn(|cx| body.poll_reset(cx)).await;
        assert_eq!(reset.unwrap(), h2::Reason::NO_ERROR);
    });
}
