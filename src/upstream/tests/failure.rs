//! Servers that are gone, slow or rude, and what may be tried again.

use super::*;
use crate::upstream::ErrorKind;

fn with(timeouts: Timeouts) -> Request<'static> {
    Request { timeouts, ..Request::new(&Method::GET) }
}

async fn free_port() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap()
}

#[test]
fn nobody_listens() {
    local(async {
        let up = upstream(config(free_port().await));
        let error = get(&up).await.unwrap_err();
        assert_eq!((error.kind, error.kind.is_connect(), error.stale), (ErrorKind::Refused, true, false));
        assert_eq!(up.connections(0), 0);
    });
}

#[test]
fn a_name_that_does_not_resolve() {
    local(async {
        let mut config = config(([127, 0, 0, 1], 9).into());
        config.servers[0].host = Host::Name("no-such-host.invalid".into());
        let error = get(&upstream(config)).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Dns);
    });
}

#[test]
fn a_name_with_several_addresses() {
    local(async {
        let server = answering("HTTP/1.1 204 x\r\n\r\n").await;
        let mut config = config(server.address);
        // Resolves to ::1 as well on many systems, where nobody listens.
        config.servers[0].host = Host::Name("localhost".into());
        let up = upstream(config);
        assert_eq!(get(&up).await.unwrap().status, 204);
    });
}

#[test]
fn a_server_that_does_not_accept() {
    local(async {
        // A full backlog drops further SYNs.
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let listener = socket.listen(1).unwrap();
        let address = listener.local_addr().unwrap();
        let mut fill = Vec::new();
        while let Ok(Ok(stream)) = tokio::time::timeout(MS * 50, TcpStream::connect(address)).await {
            fill.push(stream);
        }
        let up = upstream(config(address));
        let begun = std::time::Instant::now();
        let error = exchange(&up, &mut with(timeouts(100)), &mut None).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::ConnectTimeout);
        assert!(begun.elapsed() >= MS * 100 && begun.elapsed() < MS * 1000);
        assert_eq!(up.connections(0), 0);
    });
}

#[test]
fn a_server_that_says_nothing() {
    local(async {
        let server = server(|_, mut stream| async move { while head(&mut stream).await.is_some() {} }).await;
        let up = client(&server);
        let begun = std::time::Instant::now();
        let error = exchange(&up, &mut with(timeouts(80)), &mut None).await.unwrap_err();
        assert_eq!((error.kind, error.stale), (ErrorKind::ResponseTimeout, false));
        assert!(begun.elapsed() >= MS * 80 && begun.elapsed() < MS * 1000);
        assert_eq!(up.connections(0), 0);
    });
}

#[test]
fn a_head_that_trickles_is_late_too() {
    local(async {
        let server = server(|_, mut stream| async move {
            head(&mut stream).await;
            stream.write_all(b"HTTP/1.1 200 OK\r\n").await.unwrap();
            while stream.write_all(b"a: b\r\n").await.is_ok() {
                tokio::time::sleep(MS * 10).await;
            }
        })
        .await;
        let error = exchange(&client(&server), &mut with(timeouts(80)), &mut None).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::ResponseTimeout);
    });
}

#[test]
fn a_response_that_stands_still() {
    local(async {
        let server = server(|_, mut stream| async move {
            head(&mut stream).await;
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n").await.unwrap();
            for _ in 0..5 {
                tokio::time::sleep(MS * 40).await;
                stream.write_all(b"x").await.unwrap();
            }
            tokio::time::sleep(MS * 1000).await;
        })
        .await;
        let begun = std::time::Instant::now();
        let error = exchange(&client(&server), &mut with(timeouts(100)), &mut None).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::IdleTimeout);
        assert!(begun.elapsed() >= MS * 300, "each piece begins the wait anew");
    });
}

#[test]
fn a_server_that_does_not_read() {
    local(async {
        let server = server(|_, mut stream| async move {
            head(&mut stream).await;
            tokio::time::sleep(MS * 2000).await;
        })
        .await;
        let mut request = Request { timeouts: timeouts(100), ..Request::new(&Method::POST) };
        let error = exchange(&client(&server), &mut request, &mut body(&vec![0; 32 << 20], true)).await.unwrap_err();
        assert_eq!((error.kind, error.body_consumed), (ErrorKind::IdleTimeout, true));
    });
}

#[test]
fn a_client_that_is_slow_is_not_the_servers_fault() {
    local(async {
        let server = server(|_, mut stream| async move {
            head(&mut stream).await;
            exactly(&mut stream, 2).await;
            stream.write_all(b"HTTP/1.1 204 x\r\n\r\n").await.unwrap();
        })
        .await;
        let (feeder, body) = feed(Some(2));
        tokio::task::spawn_local(async move {
            for _ in 0..2 {
                tokio::time::sleep(MS * 200).await;
                feeder.data(&b"x"[..]);
            }
        });
        let mut request = Request { timeouts: timeouts(100), ..Request::new(&Method::POST) };
        assert_eq!(exchange(&client(&server), &mut request, &mut Some(body)).await.unwrap().status, 204);
    });
}

/// A server that keeps a connection for one request and then, on the next, closes it without a word.
async fn racy() -> Scripted {
    server(|_, mut stream| async move {
        head(&mut stream).await;
        stream.write_all(b"HTTP/1.1 204 x\r\n\r\n").await.unwrap();
        // Wait for the next request to begin: the client has found the connection good.
        stream.peek(&mut [0]).await.unwrap();
        socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO)).unwrap();
    })
    .await
}

#[test]
fn the_keep_alive_race_is_run_again_where_that_is_safe() {
    local(async {
        let server = racy().await;
        let up = client(&server);
        for n in 1..4 {
            assert_eq!(get(&up).await.unwrap().status, 204);
            assert_eq!(server.connections.get(), n);
        }
    });
}

#[test]
fn the_keep_alive_race_is_told_where_it_is_not() {
    local(async {
        for body in [None, body(b"abc", true)] {
            let server = racy().await;
            let up = client(&server);
            get(&up).await.unwrap();
            let consumed = body.is_some();
            let error = post(&up, body).await.unwrap_err();
            assert_eq!((error.stale, error.body_consumed), (true, consumed), "{error}");
            assert_eq!(server.connections.get(), 1);
        }
    });
}

#[test]
fn a_connection_that_was_closed_while_idle_is_not_used() {
    local(async {
        let server = server(|_, mut stream| async move {
            head(&mut stream).await;
            stream.write_all(b"HTTP/1.1 204 x\r\n\r\n").await.unwrap();
        })
        .await;
        let up = client(&server);
        for n in 1..4 {
            // Without a body that could be sent twice: the check itself must find out.
            assert_eq!(post(&up, body(b"abc", true)).await.unwrap().status, 204);
            assert_eq!(server.connections.get(), n);
            tokio::time::sleep(MS * 20).await;
        }
    });
}

#[test]
fn a_fresh_connection_that_dies_is_not_stale() {
    local(async {
        let server = server(|_, mut stream| async move {
            head(&mut stream).await;
        })
        .await;
        let error = get(&client(&server)).await.unwrap_err();
        assert_eq!((error.kind, error.stale), (ErrorKind::Closed, false));
        assert_eq!(server.connections.get(), 1);
    });
}

#[test]
fn who_breaks_off_at_once_has_not_answered() {
    local(async {
        for (text, reset) in
            [("content-length: 9\r\n\r\nhalf", false), ("content-length: 9\r\n\r\nhalf", true), ("\r\nhalf", true)]
        {
            let server = server(move |_, mut stream| async move {
                head(&mut stream).await;
                // All of it is there before the client looks.
                stream.write_all(format!("HTTP/1.1 200 OK\r\n{text}").as_bytes()).await.unwrap();
                if reset {
                    stream.set_zero_linger().unwrap();
                }
            })
            .await;
            let up = upstream(config(server.address));
            let line = |out: &mut Vec<u8>| out.extend_from_slice(b"GET / HTTP/1.1\r\nhost: a\r\n");
            let mut request = Request::new(&Method::GET);
            let head = up.exchange(&up.at(0), &mut request, line, &mut None::<Feed>).await;
            let error = head.err().expect("no answer");
            let kind = if reset { ErrorKind::Reset } else { ErrorKind::Closed };
            assert_eq!(error.kind, kind, "{text:?}");
            assert!(!error.stale && !error.body_consumed);
        }
    });
}
