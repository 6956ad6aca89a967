//! WebSocket on streams of HTTP/2 (RFC 8441), towards a server that knows them on HTTP/1.1.

use super::http2::{program, run, whole};
use super::support::*;
use bytes::Bytes;
use h2::client::SendRequest;
use h2::ext::Protocol;
use http::{Method, Request};
use std::io::Write;
use tokio_tungstenite::tungstenite;

/// A connection whose server has said that it knows Extended CONNECT.
async fn connect(gateway: &Gateway) -> SendRequest<Bytes> {
    let send = super::http2::connect(gateway).await;
    while !send.is_extended_connect_protocol_enabled() {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    send
}

fn asks(path: &str, protocol: &'static str) -> Request<()> {
    let request = Request::builder().method(Method::CONNECT).uri(format!("http://test{path}"));
    let request = request.header("sec-websocket-version", "13").header("sec-websocket-protocol", "chat");
    request.extension(Protocol::from_static(protocol)).body(()).unwrap()
}

/// A text from a client, masked with zeros.
fn text(text: &str) -> Bytes {
    [&[0x81, 0x80 | u8::try_from(text.len()).unwrap(), 0, 0, 0, 0], text.as_bytes()].concat().into()
}

#[test]
fn a_stream_is_a_websocket() {
    let server = Server::raw(|stream, _| {
        let Ok(mut socket) = tungstenite::accept(stream) else { return };
        while let Ok(message) = socket.read() {
            if message.is_text() && socket.send(message).is_err() {
                return;
            }
        }
    });
    let gateway = Gateway::serve(&program(&server.url(), ""));
    run(async {
        let mut send = connect(&gateway).await;
        let (response, mut out) = send.send_request(asks("/chat", "websocket"), false).unwrap();
        let (parts, mut body) = response.await.unwrap().into_parts();
        assert_eq!(parts.status, 200, "{parts:?}");
        for name in ["upgrade", "connection", "sec-websocket-accept", "content-length"] {
            assert!(!parts.headers.contains_key(name), "{name}");
        }
        for round in 0..3 {
            out.send_data(text(&format!("hello {round}")), false).unwrap();
            let mut got = Vec::new();
            while got.len() < 9 {
                got.extend_from_slice(&body.data().await.unwrap().unwrap());
            }
            assert_eq!(got, [&[0x81, 7][..], format!("hello {round}").as_bytes()].concat());
        }
        // Closed by the client, answered by the server, and both directions end.
        out.send_data(Bytes::from_static(&[0x88, 0x80, 0, 0, 0, 0]), false).unwrap();
        assert_eq!(body.data().await.unwrap().unwrap(), &[0x88, 0][..]);
        out.send_data(Bytes::new(), true).unwrap();
        assert_eq!(body.data().await.transpose().unwrap().unwrap_or_default(), "");
        // Another stream of the same connection is an ordinary request.
        let (response, _) = send.send_request(super::http2::request(Method::GET, "/%2f"), true).unwrap();
        assert_eq!(whole(response).await.0.status, 400);
    });
    let line = gateway.await_log("\"path\":\"/chat\"");
    assert!(line.contains("\"method\":\"GET\""), "{line}");
}

#[test]
fn what_is_no_websocket_is_answered() {
    let server = Server::raw(|mut stream, mut reader| {
        while let Some(got) = read_request(&mut reader) {
            assert!(field(&got.head, "sec-websocket-key").is_some_and(|key| key.len() == 24), "{}", got.head);
            assert_eq!(field(&got.head, "upgrade"), Some("websocket"));
            assert_eq!(field(&got.head, "sec-websocket-protocol"), Some("chat"));
            let answer: &[u8] = match got.head.split(' ').nth(1).unwrap() {
                "/no" => b"HTTP/1.1 403 Forbidden\r\ncontent-length: 2\r\n\r\nno",
                // A tunnel, if it went on.
                "/page" => b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok",
                _ => b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\nsec-websocket-accept: x\r\n\r\n",
            };
            stream.write_all(answer).unwrap();
        }
    });
    let own = "route GET /own -> respond 200 text \"hello\"\n";
    let gateway = Gateway::serve(&format!("{}{own}", program(&server.url(), "")));
    run(async {
        let mut send = connect(&gateway).await;
        for (path, protocol, status) in [
            ("/no", "websocket", 403),
            ("/page", "websocket", 502),
            ("/own", "websocket", 400),
            ("/wrong", "websocket", 502),
            ("/x", "other", 501),
        ] {
            send = send.ready().await.unwrap();
            let (response, _out) = send.send_request(asks(path, protocol), false).unwrap();
            assert_eq!(whole(response).await.0.status, status, "{path}");
        }
        // Ordinary CONNECT.
        send = send.ready().await.unwrap();
        let connect = Request::builder().method(Method::CONNECT).uri("test:80").body(()).unwrap();
        let (response, _out) = send.send_request(connect, false).unwrap();
        assert_eq!(whole(response).await.0.status, 400);
    });
}
