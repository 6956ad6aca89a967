//! What is sent, interim responses and upgrades.

use super::*;
use crate::upstream::{ErrorKind, Malformed};

/// A server that answers each request with its head as the body.
async fn mirror() -> Scripted {
    server(|_, mut stream| async move {
        while let Some(text) = head(&mut stream).await {
            let length = text.lines().find_map(|line| line.strip_prefix("content-length: "));
            exactly(&mut stream, length.map_or(0, |length| length.parse().unwrap())).await;
            let response = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{text}", text.len());
            stream.write_all(response.as_bytes()).await.unwrap();
        }
    })
    .await
}

#[test]
fn the_framing_of_a_request_follows_its_body() {
    local(async {
        let server = mirror().await;
        let up = client(&server);
        for (method, body, framing) in [
            (Method::GET, None, ""),
            (Method::DELETE, None, ""),
            (Method::POST, None, "content-length: 0\r\n"),
            (Method::PUT, body(b"", true), "content-length: 0\r\n"),
            (Method::POST, body(b"abc", true), "content-length: 3\r\n"),
            (Method::GET, body(b"abc", true), "content-length: 3\r\n"),
            (Method::POST, body(&[b'x'; 12345], true), "content-length: 12345\r\n"),
        ] {
            let got = exchange(&up, &mut Request::new(&method), &mut { body }).await.unwrap();
            let expected = format!("{method} /x HTTP/1.1\r\nhost: test\r\n{framing}\r\n");
            assert_eq!(String::from_utf8(got.body).unwrap(), expected);
        }
        assert_eq!(server.connections.get(), 1);
    });
}

#[test]
fn interim_responses_are_handed_on() {
    local(async {
        let server = answering(
            "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n\
             HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok",
        )
        .await;
        let up = client(&server);
        for _ in 0..2 {
            let mut seen = Vec::new();
            let mut interim =
                |status: http::StatusCode, headers: HeaderMap| seen.push((status.as_u16(), headers.len()));
            let mut request = Request { interim: Some(&mut interim), ..Request::new(&Method::GET) };
            assert_eq!(exchange(&up, &mut request, &mut None).await.unwrap().body, b"ok");
            assert_eq!(seen, [(103, 1), (102, 0)]);
        }
        assert_eq!(server.connections.get(), 1);
    });
}

#[test]
fn an_upgrade_is_a_tunnel() {
    local(async {
        let server = server(|_, mut stream| async move {
            assert!(head(&mut stream).await.unwrap().contains("upgrade: chat"));
            stream.write_all(b"HTTP/1.1 101 Switching\r\nupgrade: chat\r\n\r\nfirst").await.unwrap();
            let said = exactly(&mut stream, 4).await;
            stream.write_all(&said).await.unwrap();
        })
        .await;
        let up = client(&server);
        let mut request = Request { upgrade: true, ..Request::new(&Method::GET) };
        let line = b"GET /chat HTTP/1.1\r\nconnection: upgrade\r\nupgrade: chat\r\n";
        let head = |out: &mut Vec<u8>| out.extend_from_slice(line);
        let answer = up.exchange(&up.at(0), &mut request, head, &mut None::<Feed>).await.unwrap();
        let Answer::Upgrade(response) = answer else { panic!("no upgrade") };
        assert_eq!((response.status().as_u16(), &response.headers()["upgrade"]), (101, &"chat".parse().unwrap()));
        let mut tunnel = response.into_body();
        tunnel.write_all(b"ping").await.unwrap();
        let mut heard = Vec::new();
        tunnel.read_to_end(&mut heard).await.unwrap();
        assert_eq!(heard, b"firstping");
        assert_eq!(up.connections(0), 1);
        drop(tunnel);
        assert_eq!(up.connections(0), 0);
    });
}

#[test]
fn an_upgrade_may_be_declined() {
    local(async {
        let server = answering("HTTP/1.1 426 No\r\ncontent-length: 2\r\n\r\nno").await;
        let up = client(&server);
        let mut request = Request { upgrade: true, ..Request::new(&Method::GET) };
        assert_eq!(exchange(&up, &mut request, &mut None).await.unwrap().status, 426);
        assert_eq!(up.connections(0), 1);
    });
}

#[test]
fn an_upgrade_before_the_request_is_out_is_refused() {
    local(async {
        let server = server(|_, mut stream| async move {
            head(&mut stream).await;
            stream.write_all(b"HTTP/1.1 101 Switching\r\n\r\n").await.unwrap();
            tokio::time::sleep(MS * 500).await;
        })
        .await;
        let up = client(&server);
        let (_feeder, body) = feed(None);
        let mut request = Request { upgrade: true, ..Request::new(&Method::POST) };
        let error = exchange(&up, &mut request, &mut Some(body)).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Malformed(Malformed::UnexpectedUpgrade));
    });
}

#[test]
fn dropping_a_response_closes_its_connection() {
    local(async {
        let server = answering("HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\nbegin").await;
        let up = client(&server);
        let mut request = Request::new(&Method::GET);
        let answer = up
            .exchange(
                &up.at(0),
                &mut request,
                |out: &mut Vec<u8>| out.extend_from_slice(b"GET / HTTP/1.1\r\n"),
                &mut None::<Feed>,
            )
            .await;
        let response = response(answer.unwrap());
        assert_eq!((response.body().size_hint().exact(), up.connections(0)), (Some(100_000), 1));
        drop(response);
        assert_eq!(up.connections(0), 0);
    });
}
