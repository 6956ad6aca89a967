//! What this client accepts, hyper's client accepts too, and both find the same body in it.

use super::peer;
use crate::upstream::offline::read_response;
use http::Method;
use proptest::prelude::*;

fn agree(method: &Method, text: &[u8], step: usize) {
    let whole = read_response(method, text, text.len());
    let pieces = read_response(method, text, step);
    match (&whole, &pieces) {
        (Ok(a), Ok(b)) => assert_eq!((&a.body, &a.trailers, a.reusable), (&b.body, &b.trailers, b.reusable)),
        (Err(_), Err(_)) => {}
        _ => panic!("pieces of {step} change the outcome: {whole:?} {pieces:?} {:?}", text.escape_ascii().to_string()),
    }
    if let Ok(ours) = whole {
        let theirs = peer::read_response(method, text, text.len());
        let shown = text.escape_ascii().to_string();
        let (status, body) = theirs.unwrap_or_else(|| panic!("hyper refuses what was accepted: {shown}"));
        assert_eq!(status, ours.head.status.as_u16(), "{shown}");
        if status != 101 {
            assert!(body == ours.body, "{shown}: hyper reads {:?}", body.escape_ascii().to_string());
        }
    }
}

/// Texts near a response: pieces of good ones, put together and damaged.
fn texts() -> impl Strategy<Value = Vec<u8>> {
    let lines = prop::sample::select(vec![
        "content-length: 5\r\n",
        "Content-Length: 0\r\n",
        "content-length: 3 \r\n",
        "transfer-encoding: chunked\r\n",
        "Transfer-Encoding: CHUNKED\r\n",
        "transfer-encoding: gzip, chunked\r\n",
        "connection: close\r\n",
        "connection: keep-alive, x\r\n",
        "a: b\r\n",
        "a:\r\n",
        "a: b\n",
        " c\r\n",
        "a : b\r\n",
        "trailer: x\r\n",
    ]);
    let starts = prop::sample::select(vec![
        "HTTP/1.1 200 OK\r\n",
        "HTTP/1.1 200 OK\r\n",
        "HTTP/1.0 200 OK\r\n",
        "HTTP/1.1 204 x\r\n",
        "HTTP/1.1 304\r\n",
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n",
        "HTTP/1.1 101 x\r\n",
        "HTTP/1.1 999 \x7f\r\n",
        "HTTP/1.1 103 x\r\na: b\r\n\r\nHTTP/1.1 404 Not\r\n",
        "\r\nHTTP/1.1 200 OK\r\n",
        "HTTP/1.1 099 x\r\n",
    ]);
    let bodies = prop::sample::select(vec![
        "hello",
        "hel",
        "helloHTTP/1.1 200 OK\r\n",
        "5\r\nhello\r\n0\r\n\r\n",
        "3;x=y\r\nabc\r\n2\r\nde\r\n0\r\nx: y\r\n\r\n",
        "5\r\nhello\r\n0\r\n",
        "05\r\nhello\r\n00\r\n\r\nmore",
        "5 \r\nhello\r\n0\r\n\r\n",
        "0\r\na: b\r\nc: d\r\n\r\n",
        "",
    ]);
    let damage = prop::option::of((any::<prop::sample::Index>(), prop::option::of(any::<u8>())));
    (starts, prop::collection::vec(lines, 0..4), bodies, damage).prop_map(|(start, lines, body, damage)| {
        let mut text = [start, &lines.concat(), "\r\n", body].concat().into_bytes();
        if let Some((at, byte)) = damage {
            let at = at.index(text.len());
            match byte {
                Some(byte) => text[at] = byte,
                None => {
                    text.remove(at);
                }
            }
        }
        text
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3000))]
    #[test]
    fn hyper_accepts_what_is_accepted(text in texts(), head in any::<bool>(), step in 1usize..20) {
        agree(if head { &Method::HEAD } else { &Method::GET }, &text, step);
    }
}

#[test]
fn the_texts_are_worth_asking_about() {
    use proptest::strategy::ValueTree;
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let texts = (0..1000).map(|_| texts().new_tree(&mut runner).unwrap().current());
    let accepted = texts.filter(|text| read_response(&Method::GET, text, 5).is_ok()).count();
    assert!((100..900).contains(&accepted), "{accepted} of 1000 are accepted");
}
