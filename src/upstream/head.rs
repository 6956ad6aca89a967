//! Response heads (RFC 9112): parsed once, strictly. Header values are copies: for short ones that is cheaper than to share the read
//! buffer, and they hold on to nothing.

use super::error::Malformed;
use crate::policy::heads::is_token;
use bytes::{Buf, BytesMut};
use http::header::{CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING, UPGRADE};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Version};

/// The most header fields that a response may have.
pub const MAX_HEADERS: usize = 100;

/// A line's beginning that is looked at again with each piece that comes.
const LONG: usize = 256;

/// Room for the fields of most responses, with those that the gateway adds.
const FIELDS: usize = 12;

/// A parsed response head.
#[derive(Debug)]
pub struct Head {
    /// The status, 100 to 999.
    pub status: StatusCode,
    /// HTTP/1.0 or HTTP/1.1.
    pub version: Version,
    /// All fields, the hop-by-hop ones included.
    pub headers: HeaderMap,
    /// What `Content-Length` and `Transfer-Encoding` say.
    pub framing: Framing,
    /// The server will keep the connection open after this response.
    pub keep_alive: bool,
}

/// Where a body ends (RFC 9112, 6.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// After so many bytes.
    Length(u64),
    /// With the last chunk.
    Chunked,
    /// With the connection.
    Close,
}

impl Head {
    /// The framing of this response's body to a request with `method`.
    #[must_use]
    pub fn body(&self, method: &Method) -> Framing {
        if has_no_body(method, self.status) { Framing::Length(0) } else { self.framing }
    }

    /// A 101 that says to what, and frames nothing (RFC 9110, 7.8 and 8.6).
    pub(super) fn changes_over(&self) -> bool {
        self.version == Version::HTTP_11 && self.framing == Framing::Close && self.headers.contains_key(UPGRADE)
    }
}

/// Whether a response with `status` to a request with `method` has no body, whatever its fields say (RFC 9110, 6.4.1).
#[inline]
pub(super) fn has_no_body(method: &Method, status: StatusCode) -> bool {
    *method == Method::HEAD
        || status.is_informational()
        || status == StatusCode::NO_CONTENT
        || status == StatusCode::NOT_MODIFIED
}

/// Reads heads from a buffer that grows between the calls, in time linear in its length.
#[derive(Debug, Default)]
pub struct HeadReader {
    /// Bytes that have been looked at.
    seen: usize,
    /// Where the line begins that is not complete yet, and how many are before it.
    line: usize,
    lines: usize,
    /// What those say.
    facts: Facts,
}

impl HeadReader {
    /// Takes a complete head from the front of `buf`, or nothing if its end is not there yet.
    ///
    /// # Errors
    /// Whatever is not clean HTTP/1.x, or longer than `limit` bytes.
    pub fn read(&mut self, buf: &mut BytesMut, limit: usize) -> Result<Option<Head>, Malformed> {
        // Most heads come whole: only the others are worth looking for their end first.
        if (self.seen == 0 || self.is_whole(buf)?)
            && let Some((head, end)) = parse(buf)?
        {
            *self = Self::default();
            buf.advance(end);
            return if end > limit { Err(Malformed::HeadTooLarge) } else { Ok(Some(head)) };
        }
        // What can never become a head is said at once: a server may wait for an answer to it.
        self.doubt(buf)?;
        self.seen = buf.len();
        if self.seen >= limit { Err(Malformed::HeadTooLarge) } else { Ok(None) }
    }

    /// The empty line has come.
    fn is_whole(&self, buf: &[u8]) -> Result<bool, Malformed> {
        // The last line may have come without its LF, and the LF without what it ends.
        let mut from = self.seen.saturating_sub(3);
        while let Some(at) = buf.get(from..).and_then(|rest| memchr::memchr(b'\n', rest)) {
            let lf = from + at;
            if lf == 0 || buf.get(lf - 1) != Some(&b'\r') {
                return Err(Malformed::Header);
            }
            from = lf + 1;
            if buf.get(from..from + 2) == Some(b"\r\n") {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Whether the beginning of a head is already wrong.
    #[cold]
    fn doubt(&mut self, buf: &[u8]) -> Result<(), Malformed> {
        loop {
            let from = self.line.max(self.seen);
            let lf = buf.get(from..).and_then(|rest| memchr::memchr(b'\n', rest));
            let line = buf.get(self.line..lf.map_or(buf.len(), |lf| from + lf + 1)).unwrap_or_default();
            if lf.is_none() {
                // Of a long line that trickles the rest is looked at when it is whole.
                let known = from.saturating_sub(self.line);
                let begin = line.get(..LONG).unwrap_or(line);
                return if known <= LONG { doubt_line(self.lines, begin, None) } else { Ok(()) };
            }
            doubt_line(self.lines, line, Some(&mut self.facts))?;
            self.line += line.len();
            self.lines += 1;
        }
    }
}

/// Whether line `n`, as far as it is there, is already wrong. What a whole one says is noted.
fn doubt_line(n: usize, line: &[u8], facts: Option<&mut Facts>) -> Result<(), Malformed> {
    // A CR is followed by its LF, or wrong.
    let (line, whole) = match line.strip_suffix(b"\r\n").or(line.strip_suffix(b"\r")) {
        Some(line) => (line, true),
        None => (line, false),
    };
    if n > MAX_HEADERS && !line.is_empty() {
        return Err(Malformed::TooManyHeaders);
    }
    match n {
        0 => {
            let mut begun = *b"HTTP/1.1 200";
            match begun.get_mut(..line.len()).filter(|_| !whole) {
                Some(begin) => {
                    begin.copy_from_slice(line);
                    status_line(&begun)?
                }
                None => status_line(line)?,
            };
        }
        _ if line.is_empty() || (!whole && line.iter().all(|b| is_token(*b))) => {}
        _ => {
            let (name, value) = field(line)?;
            if !name.iter().all(|b| is_token(*b)) || !is_text(value) {
                return Err(Malformed::Header);
            }
            if let Some(facts) = facts {
                let name = HeaderName::from_bytes(name).map_err(|_| Malformed::Header)?;
                let value = HeaderValue::from_bytes(value).map_err(|_| Malformed::Header)?;
                facts.note(&name, &value)?;
            }
        }
    }
    Ok(())
}

/// Reads a head, and says where it ends; nothing if its end is not there.
fn parse(text: &[u8]) -> Result<Option<(Head, usize)>, Malformed> {
    let mut lines = Lines { text, at: 0 };
    let Some(line) = lines.next()? else { return Ok(None) };
    let (status, version) = status_line(line)?;
    let mut headers = HeaderMap::with_capacity(FIELDS);
    let mut facts = Facts::default();
    for n in 0.. {
        let Some(line) = lines.next()? else { return Ok(None) };
        if line.is_empty() {
            break;
        }
        if n == MAX_HEADERS {
            return Err(Malformed::TooManyHeaders);
        }
        let (name, value) = field(line)?;
        let name = HeaderName::from_bytes(name).map_err(|_| Malformed::Header)?;
        // It looks at each character.
        let value = HeaderValue::from_bytes(value).map_err(|_| Malformed::Header)?;
        facts.note(&name, &value)?;
        headers.append(name, value);
    }
    let framing = facts.framing(version)?;
    let keep_alive = !facts.close && (version == Version::HTTP_11 || facts.keep_alive);
    Ok(Some((Head { status, version, headers, framing, keep_alive }, lines.at)))
}

/// Lines that end in CR LF.
struct Lines<'a> {
    text: &'a [u8],
    at: usize,
}

impl<'a> Lines<'a> {
    /// The next one, without its end.
    #[inline]
    fn next(&mut self) -> Result<Option<&'a [u8]>, Malformed> {
        let rest = self.text.get(self.at..).unwrap_or_default();
        let Some((line, _)) = memchr::memchr(b'\n', rest).and_then(|end| rest.split_at_checked(end)) else {
            return Ok(None);
        };
        self.at += line.len() + 1;
        line.strip_suffix(b"\r").map(Some).ok_or(Malformed::Header)
    }
}

/// `HTTP/1.x SSS[ reason]` (RFC 9112, 4). Some servers leave out the space before an empty reason.
fn status_line(line: &[u8]) -> Result<(StatusCode, Version), Malformed> {
    let version = match line.get(..9) {
        Some(b"HTTP/1.1 ") => Version::HTTP_11,
        Some(b"HTTP/1.0 ") => Version::HTTP_10,
        _ => return Err(Malformed::StatusLine),
    };
    let status = line.get(9..12).and_then(|code| StatusCode::from_bytes(code).ok());
    match (status, line.get(12..)) {
        (Some(status), Some([])) => Ok((status, version)),
        (Some(status), Some([b' ', reason @ ..])) if is_text(reason) => Ok((status, version)),
        _ => Err(Malformed::StatusLine),
    }
}

/// A field's name, and its value without the white space around it (RFC 9112, 5). Their characters are still to be looked at.
#[inline]
fn field(line: &[u8]) -> Result<(&[u8], &[u8]), Malformed> {
    // `http` takes a quotation mark for part of a name, and looks at all other characters.
    let end = memchr::memchr2(b':', b'"', line).unwrap_or(line.len());
    match line.split_at_checked(end) {
        Some((name, [b':', value @ ..])) if !name.is_empty() => Ok((name, trim(value))),
        _ => Err(Malformed::Header),
    }
}

#[inline]
fn trim(mut text: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] = text {
        text = rest;
    }
    while let [rest @ .., b' ' | b'\t'] = text {
        text = rest;
    }
    text
}

/// No control characters but tabs (RFC 9110, 5.5).
fn is_text(text: &[u8]) -> bool {
    text.iter().all(|b| (*b >= b' ' && *b != 0x7f) || *b == b'\t')
}

/// What the fields say about framing and the connection.
#[derive(Debug, Default)]
struct Facts {
    length: Option<u64>,
    chunked: bool,
    close: bool,
    keep_alive: bool,
}

impl Facts {
    fn note(&mut self, name: &HeaderName, value: &HeaderValue) -> Result<(), Malformed> {
        if *name == CONTENT_LENGTH {
            // A second one is refused even if it agrees: downstream there must be one.
            let length = decimal(value.as_bytes()).filter(|_| self.length.is_none());
            self.length = Some(length.ok_or(Malformed::ContentLength)?);
        } else if *name == TRANSFER_ENCODING {
            if self.chunked || !value.as_bytes().eq_ignore_ascii_case(b"chunked") {
                return Err(Malformed::TransferEncoding);
            }
            self.chunked = true;
        } else if *name == CONNECTION {
            for token in value.as_bytes().split(|&b| b == b',') {
                let token = token.trim_ascii();
                self.close |= token.eq_ignore_ascii_case(b"close");
                self.keep_alive |= token.eq_ignore_ascii_case(b"keep-alive");
            }
        }
        Ok(())
    }

    fn framing(&self, version: Version) -> Result<Framing, Malformed> {
        match (self.chunked, self.length) {
            (true, Some(_)) => Err(Malformed::TwoLengths),
            (true, None) if version == Version::HTTP_10 => Err(Malformed::TransferEncoding),
            (true, None) => Ok(Framing::Chunked),
            (false, Some(length)) => Ok(Framing::Length(length)),
            (false, None) => Ok(Framing::Close),
        }
    }
}

/// Digits only; what does not fit in 63 bits is no length.
pub(super) fn decimal(text: &[u8]) -> Option<u64> {
    if text.is_empty() || text.len() > 19 {
        return None;
    }
    let number = text.iter().try_fold(0u64, |n, b| b.is_ascii_digit().then(|| n * 10 + u64::from(b - b'0')))?;
    (number <= i64::MAX as u64).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Option<Head>, Malformed> {
        let mut buf = BytesMut::from(text);
        HeadReader::default().read(&mut buf, 1024)
    }

    fn whole(lines: &str) -> Result<Head, Malformed> {
        read(&format!("HTTP/1.1 200 OK\r\n{lines}\r\n")).map(|head| head.expect("complete"))
    }

    #[test]
    fn a_plain_head() {
        let mut buf = BytesMut::from("HTTP/1.1 201 Created\r\nContent-Length: 5\r\nX-A:  b \r\nx-a: c\r\n\r\nhello");
        let head = HeadReader::default().read(&mut buf, 1024).unwrap().unwrap();
        assert_eq!(head.status, 201);
        assert_eq!(head.framing, Framing::Length(5));
        assert!(head.keep_alive);
        let values: Vec<_> = head.headers.get_all("x-a").iter().collect();
        assert_eq!(values, ["b", "c"]);
        assert_eq!(&buf[..], b"hello");
    }

    #[test]
    fn a_head_holds_on_to_no_buffer() {
        let mut buf = BytesMut::with_capacity(1000);
        buf.extend_from_slice(b"HTTP/1.1 200 OK\r\na: b\r\n\r\n");
        let head = HeadReader::default().read(&mut buf, 1024).unwrap().unwrap();
        // Only who is alone with a buffer can have all of it again.
        assert!(buf.try_reclaim(1000));
        assert_eq!(head.headers["a"], "b");
    }

    #[test]
    fn a_head_that_comes_byte_by_byte() {
        let text = b"HTTP/1.1 200 OK\r\nA: b\r\nC: d\r\n\r\n";
        let (mut buf, mut reader) = (BytesMut::new(), HeadReader::default());
        for (n, &byte) in text.iter().enumerate() {
            buf.extend_from_slice(&[byte]);
            let head = reader.read(&mut buf, 1024).unwrap();
            assert_eq!(head.is_some(), n + 1 == text.len(), "after {n}");
        }
    }

    #[test]
    fn pieces_change_nothing_of_what_is_wrong_before_the_end() {
        let long = format!("a: {}\0", "b".repeat(2 * LONG));
        for (lines, reason) in [
            ("transfer-encoding: gzip\r\n", Some(Malformed::TransferEncoding)),
            ("content-length: 5\r\ncontent-length: 5\r\n", Some(Malformed::ContentLength)),
            ("a b", Some(Malformed::Header)),
            (&format!("a b{}", "c".repeat(2 * LONG)), Some(Malformed::Header)),
            (&long, None),
            (&format!("{long}\r\n"), Some(Malformed::Header)),
        ] {
            let text = format!("HTTP/1.1 200 OK\r\n{lines}");
            assert_eq!(read(&text).err(), reason, "{lines:?}");
            let (mut buf, mut reader) = (BytesMut::new(), HeadReader::default());
            let found = text.bytes().find_map(|byte| {
                buf.extend_from_slice(&[byte]);
                reader.read(&mut buf, 2048).err()
            });
            assert_eq!(found, reason, "{lines:?}, byte by byte");
        }
    }

    #[test]
    fn framing_doubts_are_refused() {
        for (lines, reason) in [
            ("content-length: 5\r\ntransfer-encoding: chunked\r\n", Malformed::TwoLengths),
            ("content-length: 5\r\ncontent-length: 6\r\n", Malformed::ContentLength),
            ("content-length: 5\r\ncontent-length: 5\r\n", Malformed::ContentLength),
            ("content-length: 5, 5\r\n", Malformed::ContentLength),
            ("content-length: +5\r\n", Malformed::ContentLength),
            ("content-length: -1\r\n", Malformed::ContentLength),
            ("content-length:\r\n", Malformed::ContentLength),
            ("content-length: 0x5\r\n", Malformed::ContentLength),
            ("content-length: 9223372036854775808\r\n", Malformed::ContentLength),
            ("content-length: 99999999999999999999\r\n", Malformed::ContentLength),
            ("transfer-encoding: gzip, chunked\r\n", Malformed::TransferEncoding),
            ("transfer-encoding: identity\r\n", Malformed::TransferEncoding),
            ("transfer-encoding: chunked, chunked\r\n", Malformed::TransferEncoding),
            ("transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n", Malformed::TransferEncoding),
            ("transfer-encoding: \x0bchunked\r\n", Malformed::Header),
            ("a: b\r\n folded\r\n", Malformed::Header),
            ("a : b\r\n", Malformed::Header),
            ("a\r\n", Malformed::Header),
            (": b\r\n", Malformed::Header),
            ("a: b\nc: d\r\n", Malformed::Header),
            ("a: b\rc: d\r\n", Malformed::Header),
            ("a: b\0\r\n", Malformed::Header),
        ] {
            assert_eq!(whole(lines).map(|h| h.framing), Err(reason), "{lines:?}");
        }
        assert_eq!(whole("transfer-encoding: Chunked\r\n").unwrap().framing, Framing::Chunked);
        assert_eq!(whole("a: b\r\n").unwrap().framing, Framing::Close);
        assert_eq!(whole("content-length: 9223372036854775807\r\n").unwrap().framing, Framing::Length(i64::MAX as u64));
    }

    #[test]
    fn names_are_tokens() {
        for byte in (0..=255u8).filter(|byte| *byte != b':') {
            let mut buf = BytesMut::from(&b"HTTP/1.1 200 OK\r\na"[..]);
            buf.extend_from_slice(&[byte]);
            buf.extend_from_slice(b"b: c\r\n\r\n");
            let head = HeadReader::default().read(&mut buf, 1024);
            assert_eq!(matches!(head, Ok(Some(_))), is_token(byte), "{byte:#x}");
        }
    }

    #[test]
    fn bad_status_lines_are_refused() {
        for line in [
            "HTTP/1.1 099 x",
            "HTTP/1.1 20 x",
            "HTTP/1.1 2000 x",
            "HTTP/2.0 200 x",
            "HTTP/1.1  200 x",
            "http/1.1 200 x",
            "HTTP/1.1 2x0 x",
            "ICY 200 OK",
            "HTTP/1.1 200 a\rb",
            "\r\nHTTP/1.1 200 OK",
            "HTTP/1.1\t200 OK",
        ] {
            assert_eq!(read(&format!("{line}\r\n\r\n")).map(|_| ()), Err(Malformed::StatusLine), "{line:?}");
        }
        assert_eq!(read("HTTP/1.1 200\r\n\r\n").unwrap().unwrap().status, 200);
    }

    #[test]
    fn limits() {
        let many = "a: b\r\n".repeat(MAX_HEADERS);
        assert!(whole(&many).is_ok());
        assert_eq!(whole(&format!("{many}a: b\r\n")).map(|_| ()), Err(Malformed::TooManyHeaders));
        let long = format!("a: {}\r\n", "b".repeat(1024));
        assert_eq!(whole(&long).map(|_| ()), Err(Malformed::HeadTooLarge));
        assert_eq!(
            read(&format!("HTTP/1.1 200 OK\r\na: {}", "b".repeat(1024))).map(|_| ()),
            Err(Malformed::HeadTooLarge)
        );
    }

    #[test]
    fn keeping_the_connection() {
        for (text, keep) in [
            ("HTTP/1.1 200 OK\r\n\r\n", true),
            ("HTTP/1.1 200 OK\r\nconnection: x, Close\r\n\r\n", false),
            ("HTTP/1.0 200 OK\r\n\r\n", false),
            ("HTTP/1.0 200 OK\r\nconnection: Keep-Alive\r\n\r\n", true),
            ("HTTP/1.0 200 OK\r\nconnection: keep-alive, close\r\n\r\n", false),
        ] {
            assert_eq!(read(text).unwrap().unwrap().keep_alive, keep, "{text:?}");
        }
        assert_eq!(
            read("HTTP/1.0 200 OK\r\ntransfer-encoding: chunked\r\n\r\n").map(|_| ()),
            Err(Malformed::TransferEncoding)
        );
    }

    #[test]
    fn bodies_that_are_never_there() {
        let head = whole("content-length: 5\r\n").unwrap();
        assert_eq!(head.body(&Method::GET), Framing::Length(5));
        assert_eq!(head.body(&Method::HEAD), Framing::Length(0));
        for status in ["204", "304", "103"] {
            let head = read(&format!("HTTP/1.1 {status} x\r\ntransfer-encoding: chunked\r\n\r\n")).unwrap().unwrap();
            assert_eq!(head.body(&Method::GET), Framing::Length(0));
        }
    }
}
