//! Where responses end, and which are refused.

use super::*;
use crate::upstream::{ErrorKind, Malformed};

async fn refused(text: &str) -> ErrorKind {
    let server = answering(text).await;
    let up = client(&server);
    let error = match get(&up).await {
        Err(error) => error,
        Ok(whole) => panic!("{text:?} was accepted: {whole:?}"),
    };
    assert_eq!(up.connections(0), 0, "{text:?} left a connection");
    error.kind
}

#[test]
fn a_response_with_a_length_leaves_a_connection_to_use_again() {
    local(async {
        let server = answering("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-A: b\r\n\r\nhello").await;
        let up = client(&server);
        for _ in 0..3 {
            let got = get(&up).await.unwrap();
            assert_eq!((got.status, &got.body[..], &got.headers["x-a"]), (200, &b"hello"[..], &"b".parse().unwrap()));
        }
        assert_eq!((server.connections.get(), up.connections(0)), (1, 1));
    });
}

#[test]
fn large_bodies_come_in_pieces() {
    local(async {
        let body: Vec<u8> = (0..1_000_000u32).map(|n| n as u8).collect();
        let mut text = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len()).into_bytes();
        text.extend_from_slice(&body);
        let server = answering(text).await;
        let up = client(&server);
        for _ in 0..2 {
            assert!(get(&up).await.unwrap().body == body);
        }
        assert_eq!(server.connections.get(), 1);
    });
}

#[test]
fn a_chunked_response_with_trailers() {
    local(async {
        let text =
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\nX-Sum: 7\r\n\r\n";
        let server = answering(text).await;
        let up = client(&server);
        for _ in 0..2 {
            let got = get(&up).await.unwrap();
            assert_eq!(got.body, b"abcde");
            assert_eq!(got.trailers.unwrap()["x-sum"], "7");
        }
        assert_eq!(server.connections.get(), 1);
    });
}

#[test]
fn tiny_chunks_are_joined_and_large_ones_are_not_copied() {
    local(async {
        let tiny = "1\r\na\r\n".repeat(1000);
        let large = format!("1f40\r\n{}\r\n", "b".repeat(8000)).repeat(3);
        let text = format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{tiny}{large}{tiny}0\r\n\r\n");
        let server = answering(text).await;
        let up = client(&server);
        for _ in 0..2 {
            let mut request = Request::new(&Method::GET);
            let head = |out: &mut Vec<u8>| out.extend_from_slice(b"GET / HTTP/1.1\r\n");
            let answer = up.exchange(&up.at(0), &mut request, head, &mut None::<Feed>).await.unwrap();
            let (mut body, mut frames, mut got) = (response(answer).into_body(), 0, Vec::new());
            while let Some(frame) = body.frame().await {
                let data = frame.unwrap().into_data().unwrap();
                assert!(!data.windows(2).any(|two| two == b"ab"), "a large chunk was copied");
                got.extend_from_slice(&data);
                frames += 1;
            }
            let expected = ["a".repeat(1000), "b".repeat(24_000), "a".repeat(1000)].concat();
            assert!(got == expected.as_bytes());
            assert!(frames < 40, "{frames}");
        }
        assert_eq!(server.connections.get(), 1);
    });
}

#[test]
fn a_response_that_comes_byte_by_byte() {
    local(async {
        let server = server(|_, mut stream| async move {
            while head(&mut stream).await.is_some() {
                for byte in b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nb\r\ndefghijklmn\r\n0\r\na: b\r\n\r\n" {
                    stream.write_all(&[*byte]).await.unwrap();
                    tokio::task::yield_now().await;
                }
            }
        })
        .await;
        let up = client(&server);
        for _ in 0..2 {
            let got = get(&up).await.unwrap();
            assert_eq!((&got.body[..], got.trailers.unwrap().len()), (&b"abcdefghijklmn"[..], 1));
        }
        assert_eq!(server.connections.get(), 1);
    });
}

#[test]
fn a_body_that_ends_with_the_connection() {
    local(async {
        let server = server(|_, mut stream| async move {
            head(&mut stream).await;
            stream.write_all(b"HTTP/1.1 200 OK\r\n\r\nhel").await.unwrap();
            tokio::time::sleep(MS * 20).await;
            stream.write_all(b"lo").await.unwrap();
        })
        .await;
        let up = client(&server);
        for n in 1..3 {
            assert_eq!(get(&up).await.unwrap().body, b"hello");
            assert_eq!((server.connections.get(), up.connections(0)), (n, 0));
        }
    });
}

#[test]
fn bodies_that_are_never_there() {
    local(async {
        for (method, status, field) in [
            (Method::HEAD, 200, "content-length: 10"),
            (Method::HEAD, 200, "transfer-encoding: chunked"),
            (Method::GET, 204, "x: y"),
            (Method::GET, 204, "content-length: 10"),
            (Method::GET, 304, "content-length: 10"),
            (Method::GET, 304, "transfer-encoding: chunked"),
        ] {
            let server = answering(format!("HTTP/1.1 {status} x\r\n{field}\r\n\r\n")).await;
            let up = client(&server);
            for _ in 0..2 {
                let got = exchange(&up, &mut Request::new(&method), &mut None).await.unwrap();
                assert_eq!((got.status, got.body.len()), (status, 0));
            }
            assert_eq!(server.connections.get(), 1, "{method} {status} {field}");
        }
    });
}

#[test]
fn bytes_after_a_response_end_the_connection() {
    local(async {
        for text in [
            "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nokHTTP/1.1 200 OK\r\n",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n!",
            "HTTP/1.1 204 OK\r\ncontent-length: 2\r\n\r\nok",
        ] {
            let server = answering(text).await;
            let up = client(&server);
            for n in 1..3 {
                assert!(get(&up).await.unwrap().body.len() <= 2);
                assert_eq!((server.connections.get(), up.connections(0)), (n, 0), "{text:?}");
            }
        }
    });
}

#[test]
fn bytes_that_come_while_the_connection_is_idle_end_it() {
    local(async {
        let server = server(|_, mut stream| async move {
            head(&mut stream).await;
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await.unwrap();
            tokio::time::sleep(MS * 20).await;
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nforged").await.unwrap();
            tokio::time::sleep(MS * 200).await;
        })
        .await;
        let up = client(&server);
        assert_eq!(get(&up).await.unwrap().body, b"ok");
        tokio::time::sleep(MS * 60).await;
        assert_eq!(get(&up).await.unwrap().body, b"ok");
        assert_eq!(server.connections.get(), 2);
    });
}

#[test]
fn the_server_says_whether_the_connection_stays() {
    local(async {
        for (head, connections) in [
            ("HTTP/1.1 200 OK\r\nconnection: close", 2),
            ("HTTP/1.0 200 OK", 2),
            ("HTTP/1.0 200 OK\r\nconnection: keep-alive", 1),
            ("HTTP/1.1 200 OK\r\nconnection: keep-alive", 1),
        ] {
            let server = answering(format!("{head}\r\ncontent-length: 2\r\n\r\nok")).await;
            let up = client(&server);
            get(&up).await.unwrap();
            get(&up).await.unwrap();
            assert_eq!(server.connections.get(), connections, "{head:?}");
        }
    });
}

#[test]
fn doubts_are_refused() {
    local(async {
        for (text, reason) in [
            (
                "HTTP/1.1 200 OK\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
                Malformed::TwoLengths,
            ),
            ("HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab", Malformed::ContentLength),
            ("HTTP/1.1 200 OK\r\ntransfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n", Malformed::TransferEncoding),
            ("HTTP/1.1 200 OK\r\na: b\r\n c\r\n\r\n", Malformed::Header),
            ("HTTP/1.1 200 OK\na: b\n\n", Malformed::Header),
            ("HTTP/1.1 20 OK\r\n\r\n", Malformed::StatusLine),
            ("SSH-2.0-OpenSSH\r\n", Malformed::StatusLine),
            ("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nxyz\r\n", Malformed::Chunk),
            ("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\nab\r\n0\r\n\r\n", Malformed::Chunk),
            ("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\na b\r\n\r\n", Malformed::Trailers),
            ("HTTP/1.1 101 Switching\r\nupgrade: x\r\n\r\n", Malformed::UnexpectedUpgrade),
        ] {
            assert_eq!(refused(text).await, ErrorKind::Malformed(reason), "{text:?}");
        }
        let many = format!("HTTP/1.1 200 OK\r\n{}\r\n", "a: b\r\n".repeat(101));
        assert_eq!(refused(&many).await, ErrorKind::Malformed(Malformed::TooManyHeaders));
        let long = format!("HTTP/1.1 200 OK\r\na: {}", "x".repeat(65 * 1024));
        assert_eq!(refused(&long).await, ErrorKind::Malformed(Malformed::HeadTooLarge));
        let long = format!("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\na: {}", "x".repeat(9 * 1024));
        assert_eq!(refused(&long).await, ErrorKind::Malformed(Malformed::Trailers));
        let many = "HTTP/1.1 103 Hints\r\n\r\n".repeat(17);
        assert_eq!(refused(&many).await, ErrorKind::Malformed(Malformed::TooManyInterim));
    });
}

#[test]
fn a_body_that_ends_too_early_is_an_error() {
    local(async {
        for text in [
            "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhel",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhel",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nhel\r\n",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nhel\r\n0\r\n",
            "HTTP/1.1 200 OK\r\ncontent-le",
        ] {
            let server = server(move |_, mut stream| async move {
                head(&mut stream).await;
                stream.write_all(text.as_bytes()).await.unwrap();
            })
            .await;
            let up = client(&server);
            assert_eq!(get(&up).await.unwrap_err().kind, ErrorKind::Closed, "{text:?}");
            assert_eq!(up.connections(0), 0);
        }
    });
}
