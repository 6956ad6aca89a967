//! HTTP/2 servers whose frames are written byte by byte.

use super::multiplexed::{answer, builder, h2c, http2};
use super::*;
use crate::upstream::config::Http2;
use http::StatusCode;

/// Takes the client's preface and settings, and sends the server's.
async fn preface(stream: &mut TcpStream) {
    exactly(stream, 24).await;
    frame(stream, 4, 0, 0, b"").await;
}

async fn frame(stream: &mut TcpStream, kind: u8, flags: u8, id: u32, payload: &[u8]) {
    let mut bytes = (payload.len() as u32).to_be_bytes()[1..].to_vec();
    bytes.extend([kind, flags]);
    bytes.extend(id.to_be_bytes());
    bytes.extend(payload);
    let _ = stream.write_all(&bytes).await;
}

/// Reads frames until a request's head is there, and gives its stream.
async fn request_head(stream: &mut TcpStream) -> u32 {
    loop {
        let head = exactly(stream, 9).await;
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
        exactly(stream, length).await;
        if head[3] == 1 {
            return u32::from_be_bytes(head[5..9].try_into().unwrap());
        }
    }
}

const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const GOAWAY: u8 = 7;

/// A server whose first connection does `script` with the stream of its first request, and whose others answer 204.
async fn first_then_good<F: Future<Output = TcpStream> + 'static>(
    script: impl Fn(TcpStream, u32) -> F + 'static,
) -> Scripted {
    let script = Rc::new(script);
    server(move |n, mut stream| {
        let script = script.clone();
        async move {
            preface(&mut stream).await;
            let id = request_head(&mut stream).await;
            if n == 0 {
                stream = script(stream, id).await;
            } else {
                frame(&mut stream, HEADERS, 5, id, b"\x89").await;
            }
            // Until the client goes.
            let _ = tokio::io::copy(&mut stream, &mut tokio::io::sink()).await;
        }
    })
    .await
}

#[test]
fn interim_responses_come_through() {
    local(async {
        let server = server(|_, mut stream| async move {
            preface(&mut stream).await;
            let id = request_head(&mut stream).await;
            // :status 103 and 200 as literals without indexing.
            frame(&mut stream, 1, 4, id, b"\x08\x03103").await;
            frame(&mut stream, 1, 5, id, b"\x88").await;
            tokio::time::sleep(MS * 500).await;
        })
        .await;
        let up = h2c(&server, |_| {});
        let mut seen = Vec::new();
        let mut note = |status: StatusCode, _: HeaderMap| seen.push(status.as_u16());
        let mut request = Request { interim: Some(&mut note), ..Request::new(&Method::GET) };
        assert_eq!(exchange(&up, &mut request, &mut None).await.unwrap().status, 200);
        assert_eq!(seen, [103]);
    });
}

#[test]
fn what_the_server_did_not_look_at_goes_out_again() {
    local(async {
        let goaway = first_then_good(|mut stream, _| async move {
            frame(&mut stream, GOAWAY, 0, 0, &[0; 8]).await;
            stream
        })
        .await;
        let up = h2c(&goaway, |_| {});
        assert_eq!(post(&up, None).await.unwrap().status, 204);
        assert_eq!(goaway.connections.get(), 2);

        // The same connection is asked again after a refused stream.
        let refused = server(|_, mut stream| async move {
            preface(&mut stream).await;
            let id = request_head(&mut stream).await;
            frame(&mut stream, RST_STREAM, 0, id, &7u32.to_be_bytes()).await;
            let id = request_head(&mut stream).await;
            frame(&mut stream, HEADERS, 5, id, b"\x89").await;
            let _ = tokio::io::copy(&mut stream, &mut tokio::io::sink()).await;
        })
        .await;
        let up = h2c(&refused, |_| {});
        assert_eq!(post(&up, None).await.unwrap().status, 204);
        assert_eq!(refused.connections.get(), 1);
    });
}

#[test]
fn what_the_server_may_have_looked_at_does_not_go_out_again() {
    local(async {
        let reset = first_then_good(|mut stream, id| async move {
            frame(&mut stream, RST_STREAM, 0, id, &8u32.to_be_bytes()).await;
            stream
        })
        .await;
        let closed = first_then_good(|mut stream, _| async move {
            stream.shutdown().await.unwrap();
            stream
        })
        .await;
        for server in [reset, closed] {
            let error = get(&h2c(&server, |_| {})).await.unwrap_err();
            assert!(error.is_ended(), "{error}");
            assert_eq!(server.connections.get(), 1);
        }
    });
}

#[test]
fn a_small_body_goes_out_again_and_a_large_one_does_not() {
    local(async {
        // GOAWAY comes when the body is there; the second connection answers its length.
        async fn serve(n: usize, mut stream: TcpStream) {
            preface(&mut stream).await;
            let id = request_head(&mut stream).await;
            let mut length = 0;
            loop {
                let head = exactly(&mut stream, 9).await;
                let size = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
                exactly(&mut stream, size).await;
                if head[3] == 0 {
                    length += size;
                }
                if head[3] == 0 && (head[4] & 1 == 1 || n == 0 && length > 3) {
                    break;
                }
            }
            if n == 0 {
                frame(&mut stream, GOAWAY, 0, 0, &[0; 8]).await;
            } else {
                frame(&mut stream, HEADERS, 4, id, b"\x88").await;
                frame(&mut stream, 0, 1, id, length.to_string().as_bytes()).await;
            }
            let _ = tokio::io::copy(&mut stream, &mut tokio::io::sink()).await;
        }
        for known in [true, false] {
            let server = server(serve).await;
            let up = h2c(&server, |_| {});
            let (feeder, feed) = feed(known.then_some(6));
            ["abc", "def"].into_iter().for_each(|text| assert!(feeder.data(text)));
            drop(feeder);
            assert_eq!(post(&up, Some(feed)).await.unwrap().body, b"6");
            assert_eq!(server.connections.get(), 2);
        }
        let server = server(serve).await;
        let error = post(&h2c(&server, |_| {}), body(&[0; 200_000], true)).await.unwrap_err();
        assert_eq!((error.kind, error.body_consumed), (ErrorKind::Unprocessed, true));
    });
}

#[test]
fn any_bytes_of_a_server_are_an_answer_or_an_error() {
    // SETTINGS, an interim response, a head with a length, the body, trailers, GOAWAY.
    let good = b"\0\0\0\x04\0\0\0\0\0\0\0\x05\x01\x04\0\0\0\x01\x08\x03103\0\0\x05\x01\x04\0\0\0\x01\x88\x0f\x0d\x013\
                 \0\0\x03\0\0\0\0\0\x01abc\0\0\x04\x01\x05\0\0\0\x01\0\x01a\0\0\0\x08\x07\0\0\0\0\0\0\0\0\x01\0\0\0\0";
    for seed in 0..150 {
        local(async move {
            let mut dice = fastrand::Rng::with_seed(seed);
            let mut text = good.to_vec();
            for _ in 0..dice.usize(..4) {
                let at = dice.usize(..text.len());
                match dice.u8(..3) {
                    0 => text[at] = dice.u8(..),
                    1 => drop(text.remove(at)),
                    _ => text.insert(at, dice.u8(..)),
                }
            }
            let server = server(move |_, mut stream| {
                let text = text.clone();
                async move {
                    exactly(&mut stream, 24).await;
                    let _ = stream.write_all(&text).await;
                    let _ = stream.shutdown().await;
                    let _ = tokio::io::copy(&mut stream, &mut tokio::io::sink()).await;
                }
            })
            .await;
            let up = h2c(&server, |_| {});
            let mut request = Request { timeouts: timeouts(500), ..Request::new(&Method::GET) };
            if let Ok(whole) = exchange(&up, &mut request, &mut None).await {
                assert!(whole.status >= 200 && whole.body.len() <= 300, "{whole:?}");
            }
        });
    }
}

#[test]
fn a_goaway_lets_what_is_in_flight_end() {
    local(async {
        let server = server(|n, mut stream| async move {
            preface(&mut stream).await;
            let id = request_head(&mut stream).await;
            let mut last = id.to_be_bytes().to_vec();
            last.extend([0; 4]);
            frame(&mut stream, GOAWAY, 0, 0, &last).await;
            tokio::time::sleep(MS * 50).await;
            frame(&mut stream, HEADERS, 4, id, b"\x88").await;
            frame(&mut stream, 0, 1, id, n.to_string().as_bytes()).await;
            let _ = tokio::io::copy(&mut stream, &mut tokio::io::sink()).await;
        })
        .await;
        let up = h2c(&server, |_| {});
        let first = tokio::task::spawn_local({
            let up = up.clone();
            async move { get(&up).await }
        });
        tokio::time::sleep(MS * 25).await;
        assert_eq!(get(&up).await.unwrap().body, b"1");
        assert_eq!(first.await.unwrap().unwrap().body, b"0");
    });
}

#[test]
fn garbage_is_an_error() {
    local(async {
        let mut head_of_many = vec![0x88];
        (0..3000).for_each(|_| head_of_many.extend(b"\x00\x01a\x20aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"));
        let garbage: Vec<Vec<u8>> = vec![
            b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n".to_vec(),
            vec![0xff; 100],
            // DATA on a stream that is idle.
            b"\0\0\0\x04\0\0\0\0\0\0\0\x01\0\0\0\0\0\x09a".to_vec(),
            // HEADERS that are no HPACK, and a bad status.
            b"\0\0\0\x04\0\0\0\0\0\0\0\x03\x01\x05\0\0\0\x01\xff\xff\xff".to_vec(),
            b"\0\0\0\x04\0\0\0\0\0\0\0\x05\x01\x05\0\0\0\x01\x08\x03abc".to_vec(),
            // 101, and 200 with two lengths.
            b"\0\0\0\x04\0\0\0\0\0\0\0\x05\x01\x04\0\0\0\x01\x08\x03101".to_vec(),
            b"\0\0\0\x04\0\0\0\0\0\0\0\x09\x01\x05\0\0\0\x01\x88\x0f\x0d\x010\x0f\x0d\x010".to_vec(),
        ];
        for text in garbage {
            let shown = String::from_utf8_lossy(&text).into_owned();
            let server = server(move |_, mut stream| {
                let text = text.clone();
                async move {
                    let _ = stream.write_all(&text).await;
                    let _ = tokio::io::copy(&mut stream, &mut tokio::io::sink()).await;
                }
            })
            .await;
            let up = h2c(&server, |_| {});
            let mut request = Request { timeouts: timeouts(1000), ..Request::new(&Method::GET) };
            let error = exchange(&up, &mut request, &mut None).await.unwrap_err();
            assert!(matches!(error.kind, ErrorKind::Malformed(_) | ErrorKind::Unprocessed), "{error} for {shown:?}");
        }
    });
}

#[test]
fn a_body_of_another_length_than_said() {
    local(async {
        for (said, sent) in [("3", "ab"), ("3", "abcd")] {
            let server = server(move |_, mut stream| async move {
                preface(&mut stream).await;
                let id = request_head(&mut stream).await;
                let fields = [b"\x88\x0f\x0d\x01", said.as_bytes()].concat();
                frame(&mut stream, HEADERS, 4, id, &fields).await;
                frame(&mut stream, 0, 1, id, sent.as_bytes()).await;
                let _ = tokio::io::copy(&mut stream, &mut tokio::io::sink()).await;
            })
            .await;
            assert!(get(&h2c(&server, |_| {})).await.is_err(), "{said} {sent}");
        }
    });
}

#[test]
fn a_dead_server_is_noticed_and_a_slow_one_is_kept() {
    local(async {
        // The first connection falls silent, pings included; the next ones answer.
        let dead = first_then_good(|stream, _| async move { stream }).await;
        let quick = Http2 { answer: MS * 150, ..Http2::default() };
        let up = h2c(&dead, |config| config.pool.http2 = quick.clone());
        let mut request = Request { timeouts: timeouts(50), ..Request::new(&Method::GET) };
        request.timeouts.connect = MS * 1000;
        let error = exchange(&up, &mut request, &mut None).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::ResponseTimeout);
        // Nobody knows whether it is there: the next request does not wait to find out.
        assert_eq!(get(&up).await.unwrap().status, 204);
        assert_eq!(up.connections(0), 2);
        while up.connections(0) != 1 {
            tokio::time::sleep(MS * 50).await;
            up.members.borrow().pools[0].reap();
        }

        let slow = http2(builder(), |n, (request, respond)| async move {
            if request.headers().contains_key("x-slow") {
                std::future::pending::<()>().await;
            }
            answer(respond, n.to_string());
        })
        .await;
        let up = h2c(&slow, |config| config.pool.http2 = quick);
        let head = |out: &mut Vec<u8>| out.extend_from_slice(b"GET / HTTP/1.1\r\nhost: test\r\nx-slow: 1\r\n");
        let error = up.exchange(&up.at(0), &mut request, head, &mut None::<Feed>).await.err().unwrap();
        assert_eq!(error.kind, ErrorKind::ResponseTimeout);
        tokio::time::sleep(MS * 50).await;
        assert_eq!(get(&up).await.unwrap().body, b"0");
    });
}

#[test]
fn silence_ends_a_connection_whose_server_is_gone() {
    local(async {
        let dead = first_then_good(|stream, _| async move { stream }).await;
        let quick = Http2 { silence: MS * 100, answer: MS * 100, ..Http2::default() };
        let up = h2c(&dead, |config| config.pool.http2 = quick);
        let error = get(&up).await.unwrap_err();
        assert!(error.is_ended(), "{error}");
    });
}
