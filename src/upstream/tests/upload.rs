//! Request bodies: back pressure, early answers, `100 Continue`, and bodies that fail.

use super::*;
use crate::upstream::ErrorKind;

/// Reads a chunked body to its end and returns what was in it.
async fn chunked(stream: &mut TcpStream) -> Vec<u8> {
    let (mut text, mut body) = (bytes::BytesMut::new(), Vec::new());
    let mut decoder = crate::upstream::chunked::Decoder::new(1024);
    loop {
        match decoder.decode(&mut text).unwrap() {
            Some(crate::upstream::chunked::Event::Data(data)) => body.extend_from_slice(&data),
            Some(crate::upstream::chunked::Event::End(trailers)) => {
                for (name, value) in trailers.iter().flatten() {
                    body.extend_from_slice(format!("|{name}={}", value.to_str().unwrap()).as_bytes());
                }
                return body;
            }
            None => assert_ne!(stream.read_buf(&mut text).await.unwrap(), 0, "the body was cut off"),
        }
    }
}

#[test]
fn a_body_of_unknown_length_goes_in_chunks() {
    local(async {
        let server = server(|_, mut stream| async move {
            while let Some(text) = head(&mut stream).await {
                assert!(text.ends_with("transfer-encoding: chunked\r\n\r\n"), "{text}");
                let body = chunked(&mut stream).await;
                let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", body.len());
                stream.write_all(head.as_bytes()).await.unwrap();
                stream.write_all(&body).await.unwrap();
            }
        })
        .await;
        let up = client(&server);
        let large = vec![b'x'; 300_000];
        for data in [&b"abc"[..], &large, b""] {
            assert!(post(&up, body(data, false)).await.unwrap().body == data);
        }
        let (feeder, body) = feed(None);
        tokio::task::spawn_local(async move {
            for piece in [&b"one"[..], b"", b"two", &[b'3'; 5000]] {
                feeder.data(piece);
                tokio::time::sleep(MS * 5).await;
            }
            let mut trailers = HeaderMap::new();
            trailers.insert("x-sum", "7".parse().unwrap());
            feeder.0.send(Ok(Frame::trailers(trailers))).ok();
        });
        let got = post(&up, Some(body)).await.unwrap().body;
        assert!(got.starts_with(b"onetwo333") && got.ends_with(b"3|x-sum=7"), "{}", got.len());
        assert_eq!(server.connections.get(), 1);
    });
}

#[test]
fn a_body_is_taken_only_as_fast_as_the_server_reads() {
    local(async {
        let server = server(|_, mut stream| async move {
            head(&mut stream).await;
            tokio::time::sleep(MS * 100).await;
            let mut read = 0;
            let mut buf = vec![0; 65536];
            while read < 64 << 20 {
                read += stream.read(&mut buf).await.unwrap();
            }
            stream.write_all(b"HTTP/1.1 204 x\r\n\r\n").await.unwrap();
        })
        .await;

        /// Counts what was taken from it.
        struct Counting(Rc<Cell<u64>>);
        impl Body for Counting {
            type Data = Bytes;
            type Error = io::Error;
            fn poll_frame(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
                self.0.set(self.0.get() + 65536);
                Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(&[7; 65536])))))
            }
            fn size_hint(&self) -> SizeHint {
                SizeHint::with_exact((64 << 20) - self.0.get())
            }
        }

        let up = client(&server);
        let taken = Rc::new(Cell::new(0));
        let watched = taken.clone();
        let watch = tokio::task::spawn_local(async move {
            tokio::time::sleep(MS * 60).await;
            watched.get()
        });
        let mut body = Some(Counting(taken.clone()));
        let mut request = Request::new(&Method::PUT);
        let head = |out: &mut Vec<u8>| out.extend_from_slice(b"PUT / HTTP/1.1\r\n");
        let answer = up.exchange(&up.at(0), &mut request, head, &mut body).await.unwrap();
        let Answer::Response(response) = answer else { panic!("an upgrade") };
        assert_eq!((response.status().as_u16(), taken.get()), (204, 64 << 20));
        let before = watch.await.unwrap();
        assert!(before < 16 << 20, "{before} bytes were taken while the server read nothing");
    });
}

#[test]
fn an_early_answer_comes_while_the_body_is_being_sent() {
    local(async {
        let server = server(|_, mut stream| async move {
            head(&mut stream).await;
            // Both ways at once: each piece is answered before the next is sent.
            stream.write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n").await.unwrap();
            for _ in 0..3 {
                assert_eq!(exactly(&mut stream, 9).await, b"4\r\nping\r\n");
                stream.write_all(b"4\r\npong\r\n").await.unwrap();
            }
            assert_eq!(exactly(&mut stream, 5).await, b"0\r\n\r\n");
            stream.write_all(b"0\r\n\r\n").await.unwrap();
            head(&mut stream).await;
        })
        .await;
        let up = client(&server);
        let (feeder, body) = feed(None);
        let mut request = Request::new(&Method::POST);
        let head = |out: &mut Vec<u8>| out.extend_from_slice(b"POST / HTTP/1.1\r\n");
        let mut body = Some(body);
        let mut response = response(up.exchange(&up.at(0), &mut request, head, &mut body).await.unwrap()).into_body();
        for _ in 0..3 {
            assert!(feeder.data(&b"ping"[..]));
            assert_eq!(response.frame().await.unwrap().unwrap().into_data().unwrap(), "pong");
        }
        drop(feeder);
        assert!(response.frame().await.is_none());
        assert_eq!(up.connections(0), 1, "the exchange was complete and clean");
    });
}

#[test]
fn an_early_refusal_ends_the_upload() {
    local(async {
        for close in [false, true] {
            let server = server(move |_, mut stream| async move {
                head(&mut stream).await;
                stream.write_all(b"HTTP/1.1 413 Too Large\r\ncontent-length: 2\r\n\r\nno").await.unwrap();
                if !close {
                    tokio::time::sleep(MS * 500).await;
                }
            })
            .await;
            let up = client(&server);
            let (feeder, body) = feed(None);
            let pump = tokio::task::spawn_local(async move {
                while feeder.data(vec![0; 65536]) {
                    tokio::time::sleep(MS).await;
                }
            });
            let got = post(&up, Some(body)).await.unwrap();
            assert_eq!((got.status, &got.body[..]), (413, &b"no"[..]));
            assert_eq!(up.connections(0), 0, "half a request is on this connection");
            pump.await.unwrap();
        }
    });
}

#[test]
fn the_body_waits_for_100_continue() {
    local(async {
        let server = server(|_, mut stream| async move {
            while head(&mut stream).await.is_some() {
                let early = tokio::time::timeout(MS * 50, stream.read_u8()).await;
                assert!(early.is_err(), "a body byte came before it was asked for");
                stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").await.unwrap();
                assert_eq!(exactly(&mut stream, 5).await, b"hello");
                stream.write_all(b"HTTP/1.1 204 x\r\n\r\n").await.unwrap();
            }
        })
        .await;
        let up = client(&server);
        for _ in 0..2 {
            let mut request = Request { expect_continue: true, ..Request::new(&Method::POST) };
            assert_eq!(exchange(&up, &mut request, &mut body(b"hello", true)).await.unwrap().status, 204);
        }
        assert_eq!(server.connections.get(), 1);
    });
}

#[test]
fn a_refusal_instead_of_100_leaves_the_body_alone() {
    local(async {
        let server = answering("HTTP/1.1 417 No\r\ncontent-length: 0\r\n\r\n").await;
        let up = client(&server);
        let (feeder, body) = feed(Some(5));
        feeder.data(&b"hello"[..]);
        let mut request = Request { expect_continue: true, ..Request::new(&Method::POST) };
        let mut body = Some(body);
        assert_eq!(exchange(&up, &mut request, &mut body).await.unwrap().status, 417);
        assert_eq!(up.connections(0), 0, "the server still waits for a body here");
    });
}

#[test]
fn a_server_that_never_says_100_gets_the_body_after_a_second() {
    local(async {
        let server = server(|_, mut stream| async move {
            head(&mut stream).await;
            assert_eq!(exactly(&mut stream, 5).await, b"hello");
            stream.write_all(b"HTTP/1.1 204 x\r\n\r\n").await.unwrap();
        })
        .await;
        let up = client(&server);
        let begun = std::time::Instant::now();
        let mut request = Request { expect_continue: true, ..Request::new(&Method::POST) };
        assert_eq!(exchange(&up, &mut request, &mut body(b"hello", true)).await.unwrap().status, 204);
        assert!(begun.elapsed() >= MS * 1000);
    });
}

#[test]
fn bodies_that_fail() {
    local(async {
        let server = server(|_, mut stream| async move { while stream.read_u8().await.is_ok() {} }).await;
        let up = client(&server);
        let failing = |length, frames: Vec<io::Result<Frame<Bytes>>>| {
            let (feeder, feed) = feed(length);
            for frame in frames {
                feeder.0.send(frame).ok();
            }
            Some(feed)
        };
        let data = |text: &'static str| Ok(Frame::data(Bytes::from(text)));
        for (body, consumed) in [
            (failing(None, vec![data("abc"), Err(io::ErrorKind::ConnectionReset.into())]), true),
            (failing(Some(5), vec![data("abc")]), true),
            (failing(Some(5), vec![data("abcdef")]), true),
            (failing(Some(5), vec![Ok(Frame::trailers(HeaderMap::new()))]), true),
            (failing(Some(5), vec![]), false),
        ] {
            let error = post(&up, body).await.unwrap_err();
            assert_eq!((error.kind, error.body_consumed), (ErrorKind::RequestBody, consumed), "{error}");
            assert_eq!(up.connections(0), 0);
        }
    });
}
