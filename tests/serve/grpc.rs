//! gRPC through the gateway: tonic as the client, a server of HTTP/1.1 that returns each message as it comes.

use super::http2::{connect, run, whole};
use super::support::*;
use bytes::{Buf, BufMut, Bytes};
use http::uri::PathAndQuery;
use http::{Method, Request};
use std::io::{BufRead, Read, Write};
use tonic::client::Grpc;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::codegen::tokio_stream::{StreamExt, iter, wrappers::ReceiverStream};
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Status};

/// Messages are bytes.
#[derive(Clone, Default)]
struct Raw;

impl Codec for Raw {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = Raw;
    type Decoder = Raw;
    fn encoder(&mut self) -> Raw {
        Raw
    }
    fn decoder(&mut self) -> Raw {
        Raw
    }
}

impl Encoder for Raw {
    type Item = Bytes;
    type Error = Status;
    fn encode(&mut self, item: Bytes, out: &mut EncodeBuf<'_>) -> Result<(), Status> {
        out.put(item);
        Ok(())
    }
}

impl Decoder for Raw {
    type Item = Bytes;
    type Error = Status;
    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(from.copy_to_bytes(from.remaining())))
    }
}

/// Returns each piece of a call as it comes, and ends it well.
fn echo() -> Server {
    Server::raw(|mut stream, mut reader| {
        while let Some(head) = read_head(&mut reader) {
            assert_eq!(field(&head, "te"), Some("trailers"), "{head}");
            let answer = "HTTP/1.1 200 OK\r\ncontent-type: application/grpc\r\ntransfer-encoding: chunked\r\n\r\n";
            stream.write_all(answer.as_bytes()).unwrap();
            loop {
                let mut size = String::new();
                reader.read_line(&mut size).unwrap();
                let n = usize::from_str_radix(size.trim(), 16).unwrap();
                let mut piece = vec![0; n + 2];
                reader.read_exact(&mut piece).unwrap();
                if n == 0 {
                    break;
                }
                stream.write_all(&[size.as_bytes(), &piece].concat()).unwrap();
            }
            stream.write_all(b"0\r\ngrpc-status: 0\r\ngrpc-message: fine\r\n\r\n").unwrap();
        }
    })
}

async fn channel(gateway: &Gateway) -> Grpc<Channel> {
    let channel = Endpoint::from_shared(format!("http://{}", gateway.address)).unwrap().connect().await.unwrap();
    let mut client = Grpc::new(channel);
    client.ready().await.unwrap();
    client
}

fn path(path: &'static str) -> PathAndQuery {
    PathAndQuery::from_static(path)
}

#[test]
fn all_four_kinds_of_calls() {
    let server = echo();
    let gateway = Gateway::serve(&format!(
        "listen http LISTEN {{ protocols h2c }}\nroute POST /{{rest...}} -> {}\n",
        server.url()
    ));
    run(async {
        let mut client = channel(&gateway).await;
        let one = Bytes::from("one");
        let answer = client.unary(tonic::Request::new(one.clone()), path("/s/Unary"), Raw).await.unwrap();
        assert_eq!(answer.into_inner(), one);
        let many = iter(["one"].map(Bytes::from));
        client.ready().await.unwrap();
        let answer = client.client_streaming(tonic::Request::new(many), path("/s/Up"), Raw).await.unwrap();
        assert_eq!(answer.into_inner(), one);
        client.ready().await.unwrap();
        let large = Bytes::from(vec![7; 1_000_000]);
        let answers = client.server_streaming(tonic::Request::new(large.clone()), path("/s/Down"), Raw).await.unwrap();
        let mut answers = answers.into_inner();
        assert_eq!(answers.next().await.unwrap().unwrap(), large);
        assert!(answers.next().await.is_none());
        // Both directions at once: each message is answered before the next is sent.
        client.ready().await.unwrap();
        let (send, receive) = tokio::sync::mpsc::channel(1);
        send.send(Bytes::from("0")).await.unwrap();
        let asked = tonic::Request::new(ReceiverStream::new(receive));
        let mut answers = client.streaming(asked, path("/s/Both"), Raw).await.unwrap().into_inner();
        for n in 1..20 {
            assert_eq!(answers.next().await.unwrap().unwrap(), (n - 1).to_string());
            send.send(Bytes::from(n.to_string())).await.unwrap();
        }
        drop(send);
        assert_eq!(answers.next().await.unwrap().unwrap(), "19");
        assert!(answers.next().await.is_none());
    });
}

#[test]
fn the_gateways_own_failures_are_statuses() {
    let nobody = free_port();
    let gateway = Gateway::serve(&format!(
        "listen http LISTEN {{ protocols h1, h2c }}
upstream nobody http://{nobody}
route POST /s/Forbidden -> nobody {{ require header.x == \"1\" else 403 \"Not for you: 100%\" }}
route POST /s/Hidden -> nobody {{ require header.x == \"1\" else 404 }}
route POST /s/Limited -> nobody {{ limit 1/day; on error limited respond 503 problem \"Come back\" }}
route POST /s/Down -> nobody
"
    ));
    run(async {
        let mut client = channel(&gateway).await;
        for (at, code, message) in [
            ("/s/Forbidden", Code::PermissionDenied, "Not for you: 100%"),
            ("/s/Hidden", Code::Unimplemented, "Not found"),
            ("/s/Missing", Code::Unimplemented, "Not found"),
            ("/s/Down", Code::Unavailable, "Upstream cannot be reached"),
            ("/s/Limited", Code::Unavailable, "Upstream cannot be reached"),
            ("/s/Limited", Code::Unavailable, "Come back"),
        ] {
            client.ready().await.unwrap();
            let status = client.unary(tonic::Request::new(Bytes::from("x")), path(at), Raw).await.unwrap_err();
            assert_eq!((status.code(), status.message()), (code, message), "{at}");
        }
    });
    let answer = gateway
        .ask("POST /s/Hidden HTTP/1.1\r\nhost: test\r\ncontent-type: application/json\r\ncontent-length: 0\r\n\r\n");
    assert_eq!(answer.status, 404);
    gateway.await_log("\"error\":\"no-route\"");
}

#[test]
fn deadlines_and_failures_under_way() {
    let server = Server::raw(|mut stream, mut reader| {
        while let Some(head) = read_head(&mut reader) {
            if head.starts_with("POST /s/Cut ") {
                let answer = "HTTP/1.1 200 OK\r\ncontent-type: application/grpc\r\ntransfer-encoding: chunked\r\n\r\n6\r\n\0\0\0\0\x01a\r\n";
                stream.write_all(answer.as_bytes()).unwrap();
                return;
            }
            // Never answered.
        }
    });
    let gateway = Gateway::serve(&format!(
        "listen http LISTEN {{ protocols h2c }}\nroute POST /{{rest...}} -> {}\n",
        server.url()
    ));
    run(async {
        let mut send = connect(&gateway).await;
        let call = |path: &str, timeout: &str| {
            let request = Request::builder().method(Method::POST).uri(format!("http://test{path}"));
            let request = request.header("content-type", "application/grpc").header("te", "trailers");
            request.header("grpc-timeout", timeout).body(()).unwrap()
        };
        let (response, mut body) = send.send_request(call("/s/Slow", "200m"), false).unwrap();
        body.send_data(Bytes::from_static(b"\0\0\0\0\x01a"), true).unwrap();
        let (parts, _, trailers) = whole(response).await;
        assert_eq!((parts.status.as_u16(), &parts.headers["grpc-status"]), (200, &"4".parse().unwrap()));
        assert_eq!((&parts.headers["content-type"], trailers), (&"application/grpc".parse().unwrap(), None));
        send = send.ready().await.unwrap();
        let (response, mut body) = send.send_request(call("/s/Cut", "10S"), false).unwrap();
        body.send_data(Bytes::from_static(b"\0\0\0\0\x01a"), true).unwrap();
        let (parts, body, trailers) = whole(response).await;
        assert_eq!((parts.status.as_u16(), body.as_slice()), (200, &b"\0\0\0\0\x01a"[..]));
        assert_eq!(trailers.unwrap()["grpc-status"], "14");
    });
}

/// The same server on HTTP/2: trailers of the request come back as fields of the answer's.
fn echo_h2() -> std::net::SocketAddr {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    listener.set_nonblocking(true).unwrap();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async move {
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            while let Ok((tcp, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let mut connection = h2::server::handshake(tcp).await.unwrap();
                    while let Some(Ok((request, mut respond))) = connection.accept().await {
                        tokio::spawn(async move {
                            assert_eq!(request.headers()["te"], "trailers");
                            let mut body = request.into_body();
                            let head = http::Response::builder().header("content-type", "application/grpc");
                            let mut send = respond.send_response(head.body(()).unwrap(), false).unwrap();
                            while let Some(Ok(data)) = body.data().await {
                                let _ = body.flow_control().release_capacity(data.len());
                                send.send_data(data, false).unwrap();
                            }
                            let mut trailers = body.trailers().await.unwrap().unwrap_or_default();
                            trailers.insert("grpc-status", 0.into());
                            send.send_trailers(trailers).unwrap();
                        });
                    }
                });
            }
        });
    });
    address
}

#[test]
fn calls_to_a_server_of_http2() {
    let gateway = Gateway::serve(&format!(
        "listen http LISTEN {{ protocols h2c }}\nupstream calls {{ server http://{}; protocol h2c }}\nroute POST /{{rest...}} -> calls\n",
        echo_h2()
    ));
    run(async {
        let mut client = channel(&gateway).await;
        let (send, receive) = tokio::sync::mpsc::channel(1);
        send.send(Bytes::from("0")).await.unwrap();
        let asked = tonic::Request::new(ReceiverStream::new(receive));
        let mut answers = client.streaming(asked, path("/s/Both"), Raw).await.unwrap().into_inner();
        for n in 1..20 {
            assert_eq!(answers.next().await.unwrap().unwrap(), (n - 1).to_string());
            send.send(Bytes::from(n.to_string())).await.unwrap();
        }
        drop(send);
        assert_eq!(answers.next().await.unwrap().unwrap(), "19");
        assert!(answers.next().await.is_none());
        // Trailers both ways.
        let mut send = connect(&gateway).await;
        let call = Request::builder().method(Method::POST).uri("http://test/s/Trailers");
        let call = call.header("content-type", "application/grpc").header("te", "trailers").body(()).unwrap();
        let (response, mut body) = send.send_request(call, false).unwrap();
        body.send_data("x".into(), false).unwrap();
        body.send_trailers(http::HeaderMap::from_iter([("x-sum".parse().unwrap(), 7.into())])).unwrap();
        let (_, body, trailers) = whole(response).await;
        let trailers = trailers.unwrap();
        assert_eq!((body.as_slice(), &trailers["grpc-status"], &trailers["x-sum"]), (&b"x"[..], &0.into(), &7.into()));
    });
}
