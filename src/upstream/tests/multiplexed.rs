//! HTTP/2 against servers made of the h2 crate.

use super::*;
use crate::upstream::config::Protocol;
use crate::upstream::error::{ErrorKind, Malformed};
use h2::server::{Connection, SendResponse};
use http::StatusCode;

type Arrived = (http::Request<h2::RecvStream>, SendResponse<Bytes>);

/// A server that hands each request, with the number of its connection, to `serve`.
pub(super) async fn http2<F: Future<Output = ()> + 'static>(
    builder: h2::server::Builder,
    serve: impl Fn(usize, Arrived) -> F + 'static,
) -> Scripted {
    let serve = Rc::new(serve);
    server(move |n, stream| {
        let (builder, serve) = (builder.clone(), serve.clone());
        async move {
            let Ok(mut connection) = builder.handshake::<_, Bytes>(stream).await else { return };
            while let Some(Ok(arrived)) = connection.accept().await {
                tokio::task::spawn_local(serve(n, arrived));
            }
        }
    })
    .await
}

pub(super) fn builder() -> h2::server::Builder {
    h2::server::Builder::new()
}

pub(super) fn h2c(server: &Scripted, change: impl FnOnce(&mut Config)) -> Rc<Upstream> {
    let mut config = config(server.address);
    config.pool.protocol = Protocol::Http2;
    change(&mut config);
    Rc::new(upstream(config))
}

pub(super) fn answer(mut respond: SendResponse<Bytes>, text: impl Into<Bytes>) {
    let mut stream = respond.send_response(Response::new(()), false).unwrap();
    stream.send_data(text.into(), true).unwrap();
}

async fn read(mut recv: h2::RecvStream) -> (Vec<u8>, Option<HeaderMap>) {
    let mut all = Vec::new();
    while let Some(Ok(data)) = recv.data().await {
        all.extend_from_slice(&data);
        recv.flow_control().release_capacity(data.len()).unwrap();
    }
    (all, recv.trailers().await.unwrap_or_default())
}

async fn at_once(up: &Rc<Upstream>, n: usize) -> Vec<Result<Whole, ExchangeError>> {
    let spawn = |_| {
        let up = up.clone();
        tokio::task::spawn_local(async move { get(&up).await })
    };
    let tasks: Vec<_> = (0..n).map(spawn).collect();
    let mut results = Vec::new();
    for task in tasks {
        results.push(task.await.unwrap());
    }
    results
}

#[test]
fn requests_share_a_connection() {
    local(async {
        let server = http2(builder(), |n, (request, respond)| async move {
            assert_eq!(request.uri().path(), "/x");
            assert_eq!(request.uri().authority().unwrap(), "test");
            tokio::time::sleep(MS * 20).await;
            answer(respond, n.to_string());
        })
        .await;
        let up = h2c(&server, |_| {});
        let results = at_once(&up, 50).await;
        assert!(results.iter().all(|result| result.as_ref().unwrap().body == b"0"));
        get(&up).await.unwrap();
        assert_eq!((server.connections.get(), up.connections(0)), (1, 1));
    });
}

#[test]
fn another_connection_when_all_streams_are_in_use() {
    local(async {
        let mut few = builder();
        few.max_concurrent_streams(3);
        let server = http2(few, |_, (_, respond)| async move {
            tokio::time::sleep(MS * 40).await;
            answer(respond, "");
        })
        .await;
        // What the server allows is known once its first frame is there.
        let up = h2c(&server, |_| {});
        get(&up).await.unwrap();
        assert!(at_once(&up, 9).await.iter().all(Result::is_ok));
        assert_eq!(up.connections(0), 3);

        let before = server.connections.get();
        let up = h2c(&server, |config| config.pool.max = Some(1));
        get(&up).await.unwrap();
        assert!(at_once(&up, 9).await.iter().all(Result::is_ok));
        assert_eq!(server.connections.get() - before, 1);
    });
}

#[test]
fn the_line_for_a_stream_is_bounded_and_times_out() {
    local(async {
        let server = http2(builder(), |_, (_, respond)| async move {
            tokio::time::sleep(MS * 100).await;
            answer(respond, "");
        })
        .await;
        let up = h2c(&server, |config| {
            config.pool.max = Some(1);
            config.pool.pending = 1;
            config.pool.http2.streams = 1;
        });
        get(&up).await.unwrap();
        let results = at_once(&up, 3).await;
        let kinds: Vec<_> = results.iter().map(|result| result.as_ref().err().map(|error| error.kind)).collect();
        assert_eq!(kinds, [None, None, Some(ErrorKind::Overloaded)]);
        let busy = tokio::task::spawn_local({
            let up = up.clone();
            async move { get(&up).await }
        });
        tokio::task::yield_now().await;
        let mut request = Request { timeouts: timeouts(10), ..Request::new(&Method::GET) };
        let error = exchange(&up, &mut request, &mut None).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Overloaded);
        busy.await.unwrap().unwrap();
        get(&up).await.unwrap();
    });
}

#[test]
fn bodies_and_trailers_go_both_ways() {
    local(async {
        let server = http2(builder(), |_, (request, mut respond)| async move {
            let length = request.headers().get("content-length").map(|length| length.to_str().unwrap().to_owned());
            let (body, trailers) = read(request.into_body()).await;
            let mut response = Response::new(());
            response.headers_mut().insert("x-length", length.unwrap_or_default().parse().unwrap());
            let mut stream = respond.send_response(response, false).unwrap();
            stream.send_data(Bytes::from(body), false).unwrap();
            let mut answered = trailers.unwrap_or_default();
            answered.insert("x-end", "1".parse().unwrap());
            answered.insert("content-length", "7".parse().unwrap());
            stream.send_trailers(answered).unwrap();
        })
        .await;
        let up = h2c(&server, |_| {});
        let large = vec![7; 1_000_000];
        let got = post(&up, body(&large, true)).await.unwrap();
        assert!(got.body == large);
        assert_eq!(got.headers["x-length"], "1000000");
        let (feeder, feed) = feed(None);
        feeder.data("abc");
        let mut trailers = HeaderMap::new();
        trailers.insert("x-sum", "9".parse().unwrap());
        feeder.0.send(Ok(Frame::trailers(trailers))).unwrap();
        let got = post(&up, Some(feed)).await.unwrap();
        assert_eq!((got.body, got.headers["x-length"].as_bytes()), (b"abc".to_vec(), &b""[..]));
        let trailers = got.trailers.unwrap();
        assert_eq!(trailers.len(), 2);
        assert!(trailers["x-sum"] == "9" && trailers["x-end"] == "1");
        let got = post(&up, None).await.unwrap();
        assert_eq!(got.headers["x-length"], "0");
    });
}

#[test]
fn both_ways_at_once_before_the_head() {
    local(async {
        let server = http2(builder(), |_, (request, mut respond)| async move {
            let mut recv = request.into_body();
            let mut data = recv.data().await.unwrap().unwrap();
            let mut stream = respond.send_response(Response::new(()), false).unwrap();
            loop {
                recv.flow_control().release_capacity(data.len()).unwrap();
                stream.send_data(data, false).unwrap();
                data = match recv.data().await {
                    Some(Ok(data)) => data,
                    _ => break,
                };
            }
            stream.send_trailers(HeaderMap::new()).unwrap();
        })
        .await;
        let up = h2c(&server, |_| {});
        let (feeder, feed) = feed(None);
        let mut body = Some(feed);
        let mut request = Request::new(&Method::POST);
        let head = |out: &mut Vec<u8>| out.extend_from_slice(b"POST /x HTTP/1.1\r\nhost: test\r\n");
        feeder.data("one");
        let mut answer = response(up.exchange(&up.at(0), &mut request, head, &mut body).await.unwrap()).into_body();
        for text in ["one", "two", "three"] {
            if text != "one" {
                feeder.data(text);
            }
            assert_eq!(answer.frame().await.unwrap().unwrap().into_data().unwrap(), text);
        }
        drop(feeder);
        assert!(answer.frame().await.is_none());
    });
}

#[test]
fn a_server_that_refuses_everything_is_not_asked_for_ever() {
    local(async {
        let server = http2(builder(), |_, (_, mut respond)| async move {
            respond.send_reset(h2::Reason::REFUSED_STREAM);
        })
        .await;
        let up = h2c(&server, |_| {});
        assert_eq!(post(&up, None).await.unwrap_err().kind, ErrorKind::Unprocessed);
    });
}

#[test]
fn heads_have_a_limit() {
    local(async {
        let server = http2(builder(), |_, (_, mut respond)| async move {
            let mut response = Response::new(());
            response.headers_mut().insert("x", "a".repeat(80_000).parse().unwrap());
            let _ = respond.send_response(response, true);
        })
        .await;
        let error = get(&h2c(&server, |_| {})).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Malformed(Malformed::Http2), "{error}");
    });
}

#[test]
fn an_early_answer_ends_the_upload() {
    local(async {
        let server = http2(builder(), |_, (_request, mut respond)| async move {
            let mut response = Response::new(());
            *response.status_mut() = StatusCode::PAYLOAD_TOO_LARGE;
            let mut stream = respond.send_response(response, false).unwrap();
            stream.send_data(Bytes::from_static(b"no"), true).unwrap();
        })
        .await;
        let up = h2c(&server, |_| {});
        let (feeder, feed) = feed(None);
        feeder.data(vec![0; 1_000_000]);
        let got = post(&up, Some(feed)).await.unwrap();
        assert_eq!((got.status, got.body), (413, b"no".to_vec()));
    });
}

#[test]
fn who_does_not_read_stops_the_server_and_nobody_else() {
    local(async {
        let sent = Rc::new(Cell::new(0));
        let count = sent.clone();
        let server = http2(builder(), move |_, (request, mut respond)| {
            let count = count.clone();
            async move {
                if request.method() == Method::GET {
                    return answer(respond, "ok");
                }
                let mut stream = respond.send_response(Response::new(()), false).unwrap();
                loop {
                    stream.reserve_capacity(16 * 1024);
                    let Some(Ok(n)) = std::future::poll_fn(|cx| stream.poll_capacity(cx)).await else { return };
                    count.set(count.get() + n);
                    stream.send_data(Bytes::from(vec![0; n]), false).unwrap();
                }
            }
        })
        .await;
        let up = h2c(&server, |_| {});
        let head = |out: &mut Vec<u8>| out.extend_from_slice(b"POST / HTTP/1.1\r\nhost: test\r\n");
        let mut request = Request::new(&Method::POST);
        let unread = response(up.exchange(&up.at(0), &mut request, head, &mut None::<Feed>).await.unwrap());
        tokio::time::sleep(MS * 100).await;
        let before = sent.get();
        assert!(before <= 256 * 1024 + 128 * 1024, "{before}");
        assert_eq!(get(&up).await.unwrap().body, b"ok");
        assert_eq!((sent.get(), server.connections.get()), (before, 1));
        drop(unread);
    });
}

#[test]
fn a_server_that_does_not_read_stops_the_client() {
    local(async {
        let server = http2(builder(), |_, arrived| async move {
            std::future::pending::<()>().await;
            drop(arrived);
        })
        .await;
        let up = h2c(&server, |_| {});
        let (feeder, feed) = feed(None);
        for _ in 0..100 {
            feeder.data(vec![0; 64 * 1024]);
        }
        let mut body = Some(feed);
        let mut request = Request { timeouts: timeouts(100), ..Request::new(&Method::POST) };
        request.timeouts.connect = MS * 1000;
        let error = exchange(&up, &mut request, &mut body).await.unwrap_err();
        assert_eq!((error.kind, error.body_consumed), (ErrorKind::IdleTimeout, true));
        let mut left = 0;
        let mut feed = body.unwrap();
        while feed.frames.try_recv().is_ok() {
            left += 1;
        }
        assert!(left > 90, "{left}");
    });
}

#[test]
fn a_stalled_body_is_a_timeout() {
    local(async {
        let server = http2(builder(), |_, (_, mut respond)| async move {
            let mut stream = respond.send_response(Response::new(()), false).unwrap();
            stream.send_data(Bytes::from_static(b"a"), false).unwrap();
            std::future::pending::<()>().await;
        })
        .await;
        let up = h2c(&server, |_| {});
        let mut request = Request { timeouts: timeouts(80), ..Request::new(&Method::GET) };
        let error = exchange(&up, &mut request, &mut None).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::IdleTimeout);
    });
}

#[test]
fn unused_connections_are_closed() {
    local(async {
        let server = http2(builder(), |_, (_, respond)| async move { answer(respond, "") }).await;
        let up = h2c(&server, |config| {
            config.pool.idle = MS * 200;
            config.pool.http2.idle = MS * 200;
        });
        get(&up).await.unwrap();
        assert_eq!(up.connections(0), 1);
        tokio::time::sleep(MS * 400).await;
        assert_eq!(up.connections(0), 0);
    });
}

#[test]
fn a_server_that_cannot_be_reached() {
    local(async {
        let address = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let nobody = Scripted { address, connections: Rc::default() };
        let up = h2c(&nobody, |_| {});
        for result in at_once(&up, 5).await {
            assert_eq!(result.unwrap_err().kind, ErrorKind::Refused);
        }
        assert_eq!(up.connections(0), 0);
    });
}

#[test]
fn an_upgrade_is_refused_clearly() {
    local(async {
        let server = http2(builder(), |_, (_, respond)| async move { answer(respond, "") }).await;
        let up = h2c(&server, |_| {});
        let mut request = Request { upgrade: true, ..Request::new(&Method::GET) };
        assert_eq!(exchange(&up, &mut request, &mut None).await.unwrap_err().kind, ErrorKind::NoUpgrade);
    });
}

#[test]
fn a_request_that_is_given_up_frees_its_stream() {
    local(async {
        let server = http2(builder(), |_, (request, respond)| async move {
            if request.headers().contains_key("x-slow") {
                std::future::pending::<()>().await;
            }
            answer(respond, "");
        })
        .await;
        let up = h2c(&server, |config| {
            config.pool.max = Some(1);
            config.pool.http2.streams = 1;
        });
        for _ in 0..3 {
            let mut request = Request::new(&Method::GET);
            let head = |out: &mut Vec<u8>| out.extend_from_slice(b"GET / HTTP/1.1\r\nhost: test\r\nx-slow: 1\r\n");
            let given_up =
                tokio::time::timeout(MS * 30, up.exchange(&up.at(0), &mut request, head, &mut None::<Feed>)).await;
            assert!(given_up.is_err());
        }
        get(&up).await.unwrap();
        assert_eq!(server.connections.get(), 1);
    });
}

#[test]
fn an_upstream_that_goes_closes_its_connections() {
    local(async {
        let (told, ended) = tokio::sync::oneshot::channel();
        let told = Cell::new(Some(told));
        let server = server(move |_, stream| {
            let told = told.take().unwrap();
            async move {
                let mut connection: Connection<_, Bytes> = h2::server::handshake(stream).await.unwrap();
                while let Some(Ok((_, respond))) = connection.accept().await {
                    answer(respond, "");
                }
                told.send(()).unwrap();
            }
        })
        .await;
        let up = h2c(&server, |_| {});
        get(&up).await.unwrap();
        drop(up);
        ended.await.unwrap();
    });
}
