//! Request heads before hyper sees them: what two readers could understand differently never gets further
//! (RFC 9112, sections 3 to 7 and 11.2).
//!
//! hyper joins what should be refused: it takes `Transfer-Encoding` beside `Content-Length`, equal lengths
//! twice, lines that end in a bare LF. By the time a service sees the request, the traces are gone. So the
//! bytes are looked at as they come: each head must be clean before a byte of it passes, and bodies are
//! followed to where the next head begins.

use super::chunks::ChunkScan;
use crate::policy::heads::{
    self, LONG_HEAD, LONG_TARGET, MAX_FIELDS, MAX_TARGET, Refused, TOO_MANY_FIELDS, bad, decimal, expect, is_of_uri,
    is_token,
};

/// Follows a connection's requests through its bytes.
#[derive(Debug)]
pub struct Guard {
    state: State,
    head: HeadScan,
    /// Most bytes of a head.
    max: usize,
}

#[derive(Debug)]
enum State {
    /// A head is expected, or its beginning has come.
    Head,
    /// So many bytes of a body are to come.
    Length(u64),
    /// A chunked body.
    Chunked(ChunkScan),
    /// A head asked for another protocol. Whether what follows it is HTTP, the answer tells.
    Asked,
    /// A request was refused: nothing passes any more.
    Closed,
}

/// What came of some bytes.
#[derive(Debug, PartialEq, Eq)]
pub struct Passed {
    /// So many of them may go on. The rest is the beginning of a head, or was refused.
    pub bytes: usize,
    /// Heads that were completed.
    pub heads: u64,
    /// What is wrong behind those bytes.
    pub refused: Option<Broken>,
}

/// Where a request is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Broken {
    /// In its head: it can be answered.
    Head(Refused),
    /// In its chunked body, whose head has gone on.
    Body(Refused),
}

impl Guard {
    /// At the begin of a connection. `max`: bytes of a head.
    pub fn new(max: usize) -> Guard {
        Guard { state: State::Head, head: HeadScan::default(), max }
    }

    /// No head has begun and no body is under way.
    pub fn between_requests(&self) -> bool {
        matches!(self.state, State::Head | State::Asked) && self.head.seen == 0
    }

    /// A head has begun.
    pub fn is_in_head(&self) -> bool {
        matches!(self.state, State::Head) && self.head.seen > 0
    }

    /// A body is under way.
    pub fn is_in_body(&self) -> bool {
        matches!(self.state, State::Length(_) | State::Chunked(_))
    }

    /// The last head asked for another protocol: nothing passes before [`Guard::answered`].
    pub fn is_asked(&self) -> bool {
        matches!(self.state, State::Asked)
    }

    /// The protocol stays HTTP.
    pub fn answered(&mut self) {
        if self.is_asked() {
            self.state = State::Head;
        }
    }

    /// Looks at bytes. The first must be the one behind those that passed before: what is held of a head is
    /// given again, with more behind it.
    pub fn pass(&mut self, bytes: &[u8]) -> Passed {
        let mut passed = Passed { bytes: 0, heads: 0, refused: None };
        while let Some(rest) = bytes.get(passed.bytes..).filter(|rest| !rest.is_empty()) {
            let went = match &mut self.state {
                State::Head => match self.head.scan(rest) {
                    Ok(Some(end)) if end <= self.max => {
                        passed.heads = passed.heads.saturating_add(1);
                        self.state = std::mem::take(&mut self.head).framing();
                        Ok(end)
                    }
                    Ok(None) if rest.len() <= self.max => return passed,
                    Ok(_) => Err(Broken::Head(self.head.too_long(rest))),
                    Err(refused) => Err(Broken::Head(refused)),
                },
                State::Length(left) => {
                    let n = usize::try_from(*left).unwrap_or(usize::MAX).min(rest.len());
                    *left = left.saturating_sub(n as u64);
                    if *left == 0 {
                        self.state = State::Head;
                    }
                    Ok(n)
                }
                State::Chunked(scan) => match scan.scan(rest) {
                    Ok(n) => {
                        if scan.is_done() {
                            self.state = State::Head;
                        }
                        Ok(n)
                    }
                    Err(refused) => Err(Broken::Body(refused)),
                },
                State::Asked | State::Closed => return passed,
            };
            match went {
                Ok(n) => passed.bytes = passed.bytes.saturating_add(n),
                Err(broken) => {
                    self.state = State::Closed;
                    passed.refused = Some(broken);
                    return passed;
                }
            }
        }
        passed
    }
}

/// A head, line by line; goes on where it stopped when more of it comes.
#[derive(Debug, Default)]
struct HeadScan {
    /// Where the line begins that is not complete yet.
    line: usize,
    /// So far no line end was found.
    seen: usize,
    /// Complete lines, the request line and an empty one before it included.
    lines: usize,
    started: bool,
    http_10: bool,
    length: Option<u64>,
    chunked: bool,
    hosts: usize,
    /// `Connection: upgrade`, and `Upgrade` itself.
    upgrade: (bool, bool),
}

impl HeadScan {
    /// The end of the head, if it is there.
    fn scan(&mut self, bytes: &[u8]) -> Result<Option<usize>, Refused> {
        loop {
            let found = bytes.get(self.seen..).and_then(|rest| memchr::memchr(b'\n', rest));
            let Some(at) = found else {
                self.seen = bytes.len();
                return Ok(None);
            };
            let end = self.seen.saturating_add(at);
            let line = bytes.get(self.line..end).unwrap_or_default();
            self.line = end.saturating_add(1);
            self.seen = self.line;
            let Some((b'\r', line)) = line.split_last() else { return bad("a line ends without CR") };
            match (self.started, line.is_empty()) {
                // One empty line before a request is let through (RFC 9112, 2.2).
                (false, true) if self.lines == 0 => self.lines = 1,
                (false, true) => return bad("empty lines before the request"),
                (false, false) => {
                    self.request_line(line)?;
                    self.started = true;
                    self.lines = 0;
                }
                (true, true) => {
                    self.finish()?;
                    return Ok(Some(self.line));
                }
                (true, false) => {
                    self.lines = self.lines.saturating_add(1);
                    if self.lines > MAX_FIELDS {
                        return Err(TOO_MANY_FIELDS);
                    }
                    self.field(line)?;
                }
            }
        }
    }

    fn request_line(&mut self, line: &[u8]) -> Result<(), Refused> {
        let (method, rest) = before(line, is_token);
        let (target, version) = before(rest.strip_prefix(b" ").unwrap_or_default(), is_of_uri);
        let version = match version.strip_prefix(b" ") {
            Some(version) if !method.is_empty() && !target.is_empty() && !version.contains(&b' ') => version,
            _ => return odd_request_line(line),
        };
        heads::method(method)?;
        if target.len() > MAX_TARGET {
            return Err(LONG_TARGET);
        }
        self.http_10 = match version {
            b"HTTP/1.1" => false,
            b"HTTP/1.0" => true,
            _ => return bad("neither HTTP/1.1 nor HTTP/1.0"),
        };
        match target {
            [b'/', ..] => Ok(()),
            b"*" if method == b"OPTIONS" => Ok(()),
            _ if is_url(target) => Ok(()),
            _ => bad("the target is neither a path nor a URL"),
        }
    }

    fn field(&mut self, line: &[u8]) -> Result<(), Refused> {
        let (name, value) = before(line, |b| is_token(b) && b != b'_');
        match value.first() {
            Some(b':') | None => {}
            Some(b'_') => return bad("a field name with an underscore"),
            Some(b' ' | b'\t') if name.is_empty() => return bad("a folded field"),
            Some(b' ' | b'\t') => return bad("white space before the colon"),
            Some(_) => return bad("a field name that is no token"),
        }
        let Some((b':', value)) = value.split_first() else { return bad("a field without a colon") };
        if name.is_empty() {
            return bad("a field without a name");
        }
        // To the end, whatever comes: many are looked at in one step.
        if value.iter().fold(false, |odd, b| odd | ((*b < b' ') & (*b != b'\t')) | (*b == 0x7f)) {
            return bad("a control character in a field");
        }
        match name.len() {
            4 if name.eq_ignore_ascii_case(b"host") => self.hosts = self.hosts.saturating_add(1),
            14 if name.eq_ignore_ascii_case(b"content-length") => {
                let length = decimal(value.trim_ascii());
                if self.length.is_some() {
                    return bad("`Content-Length` is there twice");
                }
                self.length = length;
                if length.is_none() {
                    return bad("`Content-Length` is not a number");
                }
            }
            17 if name.eq_ignore_ascii_case(b"transfer-encoding") => {
                if self.chunked {
                    return bad("`Transfer-Encoding` is there twice");
                }
                if !value.trim_ascii().eq_ignore_ascii_case(b"chunked") {
                    return bad("a `Transfer-Encoding` that is not `chunked`");
                }
                self.chunked = true;
            }
            10 if name.eq_ignore_ascii_case(b"connection") => self.upgrade.0 |= heads::connection(value)?,
            7 if name.eq_ignore_ascii_case(b"upgrade") => self.upgrade.1 = true,
            6 if name.eq_ignore_ascii_case(b"expect") => return expect(value.trim_ascii()),
            _ => {}
        }
        Ok(())
    }

    /// What is too long when the whole head is.
    fn too_long(&self, head: &[u8]) -> Refused {
        if !self.started && memchr::memchr(b' ', head).is_some() {
            return Refused { status: 414, why: "the target is longer than `header max`" };
        }
        LONG_HEAD
    }

    /// What only the whole head tells.
    fn finish(&self) -> Result<(), Refused> {
        match (self.hosts, self.http_10) {
            (1, _) | (0, true) => {}
            (0, false) => return bad("no `Host`"),
            _ => return bad("`Host` is there twice"),
        }
        match (self.chunked, self.length) {
            (true, Some(_)) => bad("both `Content-Length` and `Transfer-Encoding`"),
            (true, None) if self.http_10 => bad("`Transfer-Encoding` in HTTP/1.0"),
            _ => Ok(()),
        }
    }

    fn framing(self) -> State {
        match (self.chunked, self.length) {
            (true, _) => State::Chunked(ChunkScan::default()),
            (false, None | Some(0)) if self.upgrade == (true, true) && !self.http_10 => State::Asked,
            (false, None | Some(0)) => State::Head,
            (false, Some(length)) => State::Length(length),
        }
    }
}

/// A target in absolute form that can be taken apart.
#[cold]
fn is_url(target: &[u8]) -> bool {
    let begins = |scheme: &[u8]| target.get(..scheme.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(scheme));
    (begins(b"http://") || begins(b"https://")) && http::Uri::try_from(target).is_ok()
}

/// What is wrong with a request line, which is not what it should be.
#[cold]
fn odd_request_line<T>(line: &[u8]) -> Result<T, Refused> {
    let mut parts = line.split(|b| *b == b' ');
    let (Some(method), Some(target), Some(_), None) = (parts.next(), parts.next(), parts.next(), parts.next()) else {
        return bad("the request line is not `METHOD target HTTP/1.1`");
    };
    if method.is_empty() || !method.iter().all(|b| is_token(*b)) {
        return bad("the method is not a token");
    }
    if target.len() > MAX_TARGET {
        return Err(LONG_TARGET);
    }
    bad("a character in the target that no URI may have")
}

/// The bytes before the first that is of another kind, and the rest.
#[inline]
pub(super) fn before(text: &[u8], is_kind: impl Fn(u8) -> bool) -> (&[u8], &[u8]) {
    let end = text.iter().position(|b| !is_kind(*b)).unwrap_or(text.len());
    text.split_at_checked(end).unwrap_or((text, b""))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(text: &str) -> Passed {
        Guard::new(1024).pass(text.as_bytes())
    }

    #[track_caller]
    fn refused(text: &str, why: &str) {
        let passed = all(text);
        let Some(Broken::Head(refused)) = passed.refused else { panic!("{passed:?} for {text:?}") };
        assert_eq!((refused.why, passed.bytes), (why, 0), "{text:?}");
    }

    #[test]
    fn requests_follow_one_another() {
        let text = "GET / HTTP/1.1\r\nhost: a\r\n\r\nPOST / HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\n\r\nabc\
                    POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n3;x=y\r\nabc\r\nA\r\n0123456789\r\n0\r\nt: 1\r\n\r\n\
                    \r\nGET / HTTP/1.0\r\n\r\n";
        let whole = Passed { bytes: text.len(), heads: 4, refused: None };
        assert_eq!(all(text), whole);
        for step in 1..9 {
            let mut guard = Guard::new(1024);
            let (mut at, mut heads, mut end) = (0, 0, 0);
            while end < text.len() {
                end = (end + step).min(text.len());
                let passed = guard.pass(&text.as_bytes()[at..end]);
                assert_eq!(passed.refused, None);
                at += passed.bytes;
                heads += passed.heads;
            }
            assert_eq!((at, heads), (text.len(), 4), "in steps of {step}");
            assert!(guard.between_requests());
        }
    }

    #[test]
    fn what_is_in_doubt_is_refused() {
        let get = |fields: &str| format!("GET / HTTP/1.1\r\nhost: a\r\n{fields}\r\n");
        refused(
            &get("content-length: 1\r\ntransfer-encoding: chunked\r\n"),
            "both `Content-Length` and `Transfer-Encoding`",
        );
        refused(&get("content-length: 1\r\ncontent-length: 1\r\n"), "`Content-Length` is there twice");
        refused(&get("content-length: 1, 1\r\n"), "`Content-Length` is not a number");
        refused(&get("content-length: +1\r\n"), "`Content-Length` is not a number");
        refused(&get("transfer-encoding: gzip, chunked\r\n"), "a `Transfer-Encoding` that is not `chunked`");
        refused(&get("x_y: 1\r\n"), "a field name with an underscore");
        refused(&get("x: 1\r\n y\r\n"), "a folded field");
        refused(&get("x : 1\r\n"), "white space before the colon");
        refused(&get("x: 1\n"), "a line ends without CR");
        refused(&get("x: a\rb\r\n"), "a control character in a field");
        refused(&get("host: a\r\n"), "`Host` is there twice");
        refused("GET / HTTP/1.1\r\n\r\n", "no `Host`");
        refused("GET  / HTTP/1.1\r\nhost: a\r\n\r\n", "the request line is not `METHOD target HTTP/1.1`");
        refused("GET /#a HTTP/1.1\r\nhost: a\r\n\r\n", "a character in the target that no URI may have");
        refused("PRI * HTTP/2.0\r\n\r\n", "neither HTTP/1.1 nor HTTP/1.0");
        refused("\r\n\r\nGET / HTTP/1.1\r\nhost: a\r\n\r\n", "empty lines before the request");
        refused(&get(&"a: 1\r\n".repeat(100)), "more than 100 header fields");
        refused(&get(&format!("a: {}\r\n", "x".repeat(1024))), "the head is longer than `header max`");
    }

    #[test]
    fn a_head_without_end_is_refused_at_its_limit() {
        let text = format!("GET / HTTP/1.1\r\na: {}", "x".repeat(1010));
        assert!(matches!(all(&text).refused, Some(Broken::Head(Refused { status: 431, .. }))));
    }
}
