//! Limits, order and age of connections.

use super::*;
use crate::upstream::ErrorKind;
use crate::upstream::balance::Tried;

/// A server that answers after a while with the number of its connection.
async fn numbered() -> Scripted {
    server(|n, mut stream| async move {
        while head(&mut stream).await.is_some() {
            tokio::time::sleep(MS * 40).await;
            stream.write_all(format!("HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\n{n}").as_bytes()).await.unwrap();
        }
    })
    .await
}

fn pooled(server: &Scripted, pool: config::Pool) -> Rc<Upstream> {
    Rc::new(upstream(Config { pool, ..config(server.address) }))
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
fn no_more_connections_than_allowed() {
    local(async {
        let server = numbered().await;
        let up = pooled(&server, config::Pool { max: Some(2), ..Default::default() });
        let results = at_once(&up, 7).await;
        assert!(results.iter().all(Result::is_ok));
        assert_eq!((server.connections.get(), up.connections(0)), (2, 2));
    });
}

#[test]
fn the_line_is_bounded_and_times_out() {
    local(async {
        let server = numbered().await;
        let up = pooled(&server, config::Pool { max: Some(1), pending: 2, ..Default::default() });
        let results = at_once(&up, 5).await;
        let kinds: Vec<_> = results.iter().map(|result| result.as_ref().err().map(|error| error.kind)).collect();
        let full = Some(ErrorKind::Overloaded);
        assert_eq!(kinds, [None, None, None, full, full]);

        let busy = tokio::task::spawn_local({
            let up = up.clone();
            async move { get(&up).await }
        });
        tokio::task::yield_now().await;
        let mut request = Request { timeouts: timeouts(10), ..Request::new(&Method::GET) };
        let error = exchange(&up, &mut request, &mut None).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Overloaded);
        busy.await.unwrap().unwrap();
        assert_eq!(up.connections(0), 1);
        get(&up).await.unwrap();
    });
}

#[test]
fn who_gives_up_waiting_loses_no_connection() {
    local(async {
        let server = numbered().await;
        let up = pooled(&server, config::Pool { max: Some(1), ..Default::default() });
        let held = up.connect(&up.at(0), MS * 100).await.unwrap();
        let waiting: Vec<_> = (0..3)
            .map(|_| {
                let up = up.clone();
                tokio::task::spawn_local(async move { get(&up).await.map(|_| ()) })
            })
            .collect();
        tokio::time::sleep(MS * 10).await;
        waiting[0].abort();
        waiting[1].abort();
        tokio::time::sleep(MS * 10).await;
        drop(held);
        for (n, task) in waiting.into_iter().enumerate() {
            assert_eq!(task.await.is_ok(), n == 2);
        }
        assert_eq!(up.connections(0), 1);
    });
}

#[test]
fn the_last_used_connection_is_used_first() {
    local(async {
        let server = numbered().await;
        let up = pooled(&server, config::Pool::default());
        at_once(&up, 3).await;
        assert_eq!(server.connections.get(), 3);
        let last = get(&up).await.unwrap().body;
        for _ in 0..3 {
            assert_eq!(get(&up).await.unwrap().body, last);
        }
    });
}

#[test]
fn old_idle_connections_are_closed() {
    local(async {
        let server = numbered().await;
        let up = pooled(&server, config::Pool { idle: MS * 200, ..Default::default() });
        get(&up).await.unwrap();
        assert_eq!(up.connections(0), 1);
        tokio::time::sleep(MS * 100).await;
        assert_eq!(up.connections(0), 1);
        tokio::time::sleep(MS * 250).await;
        assert_eq!(up.connections(0), 0);
    });
}

#[test]
fn idle_connections_that_the_server_closed_are_noticed() {
    local(async {
        let server = server(|_, mut stream| async move {
            head(&mut stream).await;
            stream.write_all(b"HTTP/1.1 204 x\r\n\r\n").await.unwrap();
            tokio::time::sleep(MS * 20).await;
        })
        .await;
        let up = pooled(&server, config::Pool { idle: MS * 2000, ..Default::default() });
        get(&up).await.unwrap();
        assert_eq!(up.connections(0), 1);
        tokio::time::sleep(MS * 700).await;
        assert_eq!(up.connections(0), 0);
    });
}

#[test]
fn waiting_requests_count_for_the_balance() {
    local(async {
        let (slow, fast) = (numbered().await, numbered().await);
        let mut config = config(slow.address);
        config.servers.push(super::config(fast.address).servers.remove(0));
        config.balance = Balance::LeastRequests;
        config.pool.max = Some(1);
        let up = Rc::new(upstream(config));
        let held = up.connect(&up.at(0), MS * 100).await.unwrap();
        let waiting = tokio::task::spawn_local({
            let up = up.clone();
            async move { up.connect(&up.at(0), MS * 1000).await.map(|_| ()) }
        });
        let other = up.connect(&up.at(1), MS * 100).await.unwrap();
        tokio::task::yield_now().await;
        // Two on the first, one on the second.
        assert!(
            (0..50).all(|_| up
                .pick(0, None, &Tried::default())
                .is_some_and(|p| p.endpoint().id == up.at(1).endpoint().id))
        );
        drop(held);
        waiting.await.unwrap().unwrap();
        // None on the first, one on the second.
        assert!(
            (0..50).all(|_| up
                .pick(0, None, &Tried::default())
                .is_some_and(|p| p.endpoint().id == up.at(0).endpoint().id))
        );
        drop(other);
    });
}

#[test]
fn a_dropped_upstream_lets_what_is_in_flight_end() {
    local(async {
        let server = answering("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello").await;
        let up = client(&server);
        let mut request = Request::new(&Method::GET);
        let conn = up.connect(&up.at(0), MS * 100).await.unwrap();
        drop(up);
        let head = |out: &mut Vec<u8>| out.extend_from_slice(b"GET / HTTP/1.1\r\n");
        let answer = crate::upstream::send(conn, &mut request, head, &mut None::<Feed>).await.unwrap();
        assert_eq!(whole(response(answer)).await.unwrap().body, b"hello");
    });
}

#[test]
fn a_goodbye_is_no_answer_to_what_was_not_sent() {
    local(async {
        let server = server(|_, mut stream| async move {
            head(&mut stream).await;
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await.unwrap();
            tokio::time::sleep(MS * 30).await;
            let goodbye = b"HTTP/1.1 408 Request Timeout\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";
            stream.write_all(goodbye).await.unwrap();
            assert!(head(&mut stream).await.is_none(), "nothing is sent any more");
        })
        .await;
        let up = pooled(&server, config::Pool::default());
        get(&up).await.unwrap();
        let conn = up.connect(&up.at(0), MS * 100).await.unwrap();
        tokio::time::sleep(MS * 100).await;
        let head = |out: &mut Vec<u8>| out.extend_from_slice(b"GET / HTTP/1.1\r\nhost: a\r\n");
        let sent = crate::upstream::send(conn, &mut Request::new(&Method::GET), head, &mut None::<String>).await;
        let error = sent.err().expect("it was closed");
        assert!(error.stale && error.kind == ErrorKind::Closed, "{error}");
        tokio::time::sleep(MS * 20).await;
    });
}
