//! Heads of responses against a second reading of RFC 9112, as plain and strict as it can be: both accept the same heads and
//! find the same in them. The pieces in which a head comes change nothing.
//!
//! The first two bytes say how large the pieces are and how long a head may be.
#![no_main]

use bytes::BytesMut;
use gw::upstream::head::{Framing, Head, HeadReader, MAX_HEADERS};
use http::Version;
use libfuzzer_sys::fuzz_target;

/// A head as the reference reads it.
struct Plain<'t> {
    minor: u8,
    status: u16,
    fields: Vec<(String, &'t [u8])>,
    length: usize,
}

/// The head at the front of a text that has a whole one; nothing where it breaks a rule.
fn plain(text: &[u8]) -> Option<Plain<'_>> {
    let end = text.windows(4).position(|four| four == b"\r\n\r\n")?;
    let mut lines: Vec<&[u8]> = Vec::new();
    let mut rest = &text[..end + 2];
    while !rest.is_empty() {
        let line = rest.windows(2).position(|two| two == b"\r\n")?;
        lines.push(&rest[..line]);
        rest = &rest[line + 2..];
    }
    let visible = |b: &u8| matches!(b, b'\t' | b' '..=b'~' | 0x80..);
    let (status, fields) = lines.split_first()?;
    let (minor, code, reason) = match status {
        [b'H', b'T', b'T', b'P', b'/', b'1', b'.', minor @ (b'0' | b'1'), b' ', a, b, c, reason @ ..] => {
            (minor - b'0', [a, b, c], reason)
        }
        _ => return None,
    };
    if !code.iter().all(|digit| digit.is_ascii_digit())
        || !matches!(reason, [] | [b' ', ..])
        || !reason.iter().all(visible)
    {
        return None;
    }
    let status = code.iter().fold(0, |n, digit| n * 10 + u16::from(**digit - b'0'));
    let token = |b: &u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(b);
    let mut found = Vec::new();
    for field in fields {
        let colon = field.iter().position(|b| *b == b':')?;
        let (name, value) = (&field[..colon], &field[colon + 1..]);
        if name.is_empty() || !name.iter().all(token) || !value.iter().all(visible) {
            return None;
        }
        found.push((String::from_utf8(name.to_ascii_lowercase()).ok()?, value.trim_ascii()));
    }
    (status >= 100 && found.len() <= MAX_HEADERS).then_some(Plain { minor, status, fields: found, length: end + 4 })
}

/// RFC 9112, 6.3, without any of its leniency.
fn framing(plain: &Plain) -> Option<Framing> {
    let all = |wanted: &str| {
        plain.fields.iter().filter(|(name, _)| name == wanted).map(|(_, value)| *value).collect::<Vec<_>>()
    };
    match (&all("transfer-encoding")[..], &all("content-length")[..]) {
        ([], []) => Some(Framing::Close),
        ([], [length]) if length.iter().all(u8::is_ascii_digit) && length.len() <= 19 => {
            let length = std::str::from_utf8(length).ok()?.parse().ok()?;
            (length <= i64::MAX as u64).then_some(Framing::Length(length))
        }
        ([coding], []) if coding.eq_ignore_ascii_case(b"chunked") && plain.minor == 1 => Some(Framing::Chunked),
        _ => None,
    }
}

fn keeps_alive(plain: &Plain) -> bool {
    let says = |option: &str| {
        let fields = plain.fields.iter().filter(|(name, _)| name == "connection");
        fields
            .flat_map(|(_, value)| value.split(|b| *b == b','))
            .any(|one| one.trim_ascii().eq_ignore_ascii_case(option.as_bytes()))
    };
    !says("close") && (plain.minor == 1 || says("keep-alive"))
}

/// The head and where it ended.
fn read(text: &[u8], sizes: &[usize], limit: usize) -> Result<Option<(Head, usize)>, ()> {
    let (mut buf, mut reader, mut rest) = (BytesMut::new(), HeadReader::default(), text);
    for size in sizes.iter().cycle() {
        let piece = rest.split_off(..(*size).min(rest.len())).unwrap_or_default();
        buf.extend_from_slice(piece);
        if let Some(head) = reader.read(&mut buf, limit).map_err(drop)? {
            return Ok(Some((head, text.len() - rest.len() - buf.len())));
        }
        if rest.is_empty() {
            return Ok(None);
        }
    }
    Ok(None)
}

fn shown(head: &Head) -> String {
    format!("{head:?}")
}

fuzz_target!(|input: &[u8]| {
    let [first, second, text @ ..] = input else { return };
    let limit = if second & 128 == 0 { 64 * 1024 } else { 200 };
    let whole = read(text, &[text.len()], limit);
    let sizes = [usize::from(first % 16) + 1, usize::from(second % 128) + 1, usize::from(first / 16) + 1];
    match (&whole, read(text, &sizes, limit)) {
        (Ok(None), Ok(None)) | (Err(()), Err(())) => {}
        (Ok(Some((a, end))), Ok(Some((b, also)))) => assert_eq!((shown(a), *end), (shown(&b), also)),
        (a, b) => panic!("pieces of {sizes:?} change the outcome: {a:?} {b:?}"),
    }

    let reference = plain(text).filter(|plain| plain.length <= limit);
    let reference = reference.and_then(|plain| Some((framing(&plain)?, plain)));
    match (whole, reference) {
        (Ok(Some((ours, end))), Some((framing, plain))) => {
            assert_eq!((ours.status.as_u16(), end, ours.framing), (plain.status, plain.length, framing));
            assert_eq!(ours.version, if plain.minor == 0 { Version::HTTP_10 } else { Version::HTTP_11 });
            assert_eq!(ours.keep_alive, keeps_alive(&plain));
            assert_eq!(ours.headers.len(), plain.fields.len());
            for name in ours.headers.keys() {
                let wanted: Vec<_> =
                    plain.fields.iter().filter(|(other, _)| name.as_str() == other).map(|(_, value)| *value).collect();
                assert_eq!(ours.headers.get_all(name).iter().map(|value| value.as_bytes()).collect::<Vec<_>>(), wanted);
            }
        }
        (Ok(Some((ours, _))), None) => panic!("accepted against the rules: {ours:?}"),
        (Ok(None) | Err(()), Some(_)) => panic!("a good head is refused"),
        (Ok(None) | Err(()), None) => {}
    }
});
