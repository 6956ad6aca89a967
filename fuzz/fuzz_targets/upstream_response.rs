//! The upstream client's response parser against hyper's: what it accepts hyper accepts, with the same
//! status and body, and the pieces in which a response comes change nothing.
#![no_main]

use gw::upstream::offline::read_response;
use http::Method;
use libfuzzer_sys::fuzz_target;

#[path = "../../src/upstream/tests/peer.rs"]
mod peer;

fuzz_target!(|input: &[u8]| {
    // The first byte: the method and the pieces. The rest is the response.
    let [first, text @ ..] = input else { return };
    let method = if first & 0x80 != 0 {
        Method::HEAD
    } else {
        Method::GET
    };
    let whole = read_response(&method, text, text.len());
    let pieces = read_response(&method, text, usize::from(first % 32));
    match (&whole, &pieces) {
        (Ok(a), Ok(b)) => assert_eq!(
            (&a.body, &a.trailers, a.reusable),
            (&b.body, &b.trailers, b.reusable)
        ),
        (Err(_), Err(_)) => {}
        _ => panic!("pieces change the outcome: {whole:?} {pieces:?}"),
    }
    let Ok(ours) = whole else { return };
    let (status, body) =
        peer::read_response(&method, text, text.len()).expect("hyper accepts it too");
    assert_eq!(status, ours.head.status.as_u16());
    if status != 101 {
        assert_eq!(body, ours.body);
    }
});
