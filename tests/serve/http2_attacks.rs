//! Frames that cost their reader more than their sender: each flood ends its connection within 100 frames, and nobody
//! else notices.

use super::http2::{connect, program, request, run, whole};
use super::support::*;
use http::Method;
use std::io::{Read, Write};
use std::sync::atomic::Ordering::SeqCst;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const PRIORITY: u8 = 2;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;
/// END_HEADERS, and END_STREAM with it.
const HEAD: u8 = 4;
const WHOLE: u8 = 5;
/// `:method: GET`, `:scheme: http`, `:path: /`, `:authority: test`.
const GET: &[u8] = b"\x82\x86\x84\x41\x04test";

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// A server that takes requests and never answers.
fn silent() -> Server {
    Server::raw(|_, mut reader| while read_request(&mut reader).is_some() {})
}

/// Sends the preface and `frames`, and reads to the end: the codes of the GOAWAYs.
fn flood(gateway: &Gateway, frames: &[u8]) -> Vec<u8> {
    let mut client = gateway.connect();
    client.send(PREFACE);
    client.send(&frame(SETTINGS, 0, 0, &[]));
    // The gateway may have had enough already.
    let _ = client.stream.write_all(frames);
    let mut came = Vec::new();
    let _ = client.stream.read_to_end(&mut came);
    let (mut codes, mut rest) = (Vec::new(), came.as_slice());
    while let [a, b, c, kind, _, _, _, _, _, payload @ ..] = rest {
        let length = (usize::from(*a) << 16) + (usize::from(*b) << 8) + usize::from(*c);
        if *kind == GOAWAY && payload.len() >= 8 {
            codes.push(payload[7]);
        }
        rest = payload.get(length..).unwrap_or_default();
    }
    codes
}

#[test]
fn each_flood_ends_within_a_hundred_frames() {
    let server = silent();
    let gateway = Gateway::serve(&program(&server.url(), ""));
    let open = frame(HEADERS, HEAD, 1, GET);
    let pairs = |kind: u8, payload: &'static [u8]| {
        let pair = move |n: u32| [frame(HEADERS, WHOLE, 2 * n + 1, GET), frame(kind, 0, 2 * n + 1, payload)].concat();
        (0..49).flat_map(pair).collect::<Vec<u8>>()
    };
    let many = |frame: Vec<u8>| frame.repeat(98);
    for (name, frames) in [
        ("PING", many(frame(PING, 0, 0, &[0; 8]))),
        ("PING ACK", many(frame(PING, 1, 0, &[0; 8]))),
        ("SETTINGS", many(frame(SETTINGS, 0, 0, &[]))),
        ("SETTINGS with values", many(frame(SETTINGS, 0, 0, &[0, 4, 0, 0, 1, 0].repeat(20)))),
        ("PRIORITY", many(frame(PRIORITY, 0, 1, &[0, 0, 0, 3, 7]))),
        ("WINDOW_UPDATE", many(frame(WINDOW_UPDATE, 0, 0, &[0, 0, 0, 1]))),
        ("WINDOW_UPDATE of a stream", [open.clone(), many(frame(WINDOW_UPDATE, 0, 1, &[0, 0, 0, 1]))].concat()),
        ("empty DATA", [open.clone(), many(frame(DATA, 0, 1, &[]))].concat()),
        ("padded empty DATA", [open.clone(), many(frame(DATA, 8, 1, &[0]))].concat()),
        ("empty CONTINUATION", [frame(HEADERS, 0, 1, GET), many(frame(CONTINUATION, 0, 1, &[]))].concat()),
        ("CONTINUATION", [frame(HEADERS, 0, 1, GET), many(frame(CONTINUATION, 0, 1, b"\x40\x01a\x01b"))].concat()),
        ("unknown frames", many(frame(0xfa, 0, 0, b"grease"))),
        ("rapid reset", pairs(RST_STREAM, &[0, 0, 0, 8])),
        ("made to reset", pairs(WINDOW_UPDATE, &[0, 0, 0, 0])),
        ("resets of one stream", [open.clone(), many(frame(RST_STREAM, 0, 1, &[0, 0, 0, 8]))].concat()),
    ] {
        let codes = flood(&gateway, &frames);
        assert!(codes.iter().any(|code| *code != 0), "{name}: {codes:?}");
    }
    assert_eq!(gateway.get("/%2f").status, 400);
}

#[test]
fn a_slow_head_ends_its_connection() {
    let server = silent();
    let gateway = Gateway::serve(&program(&server.url(), "timeout header 500ms"));
    let head = frame(HEADERS, HEAD, 1, GET);
    for begun in [&PREFACE[..10], &frame(SETTINGS, 0, 0, &[0; 6])[..12], &head[..12], &frame(HEADERS, 0, 1, GET)] {
        let mut client = gateway.connect();
        if begun != &PREFACE[..10] {
            client.send(PREFACE);
            client.send(&frame(SETTINGS, 0, 0, &[]));
        }
        client.send(begun);
        // It ends; what it says on the way does not matter.
        let mut rest = Vec::new();
        let _ = client.stream.read_to_end(&mut rest);
    }
}

#[test]
fn a_page_that_is_closed_is_no_attack() {
    let server = silent();
    let gateway = Gateway::serve(&program(&server.url(), ""));
    run(async {
        let mut send = connect(&gateway).await;
        for round in 1..=2 {
            let mut answers = Vec::new();
            for _ in 0..100 {
                send = send.ready().await.unwrap();
                answers.push(send.send_request(request(Method::GET, "/"), true).unwrap().0);
            }
            while server.connections.load(SeqCst) < 100 * round {
                tokio::time::sleep(std::time::Duration::from_millis(5)).await;
            }
            tokio::time::sleep(std::time::Duration::from_millis(250)).await;
            drop(answers);
        }
        send = send.ready().await.unwrap();
        let (answer, _) = send.send_request(request(Method::GET, "/%2f"), true).unwrap();
        assert_eq!(whole(answer).await.0.status, 400);
    });
}
