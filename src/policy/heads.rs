//! Request heads that are refused whatever a program says, for they could be understood in two ways or show what they must not
//! (RFC 9110, RFC 9112). HTTP/1 reads them as bytes, HTTP/2 and `gw explain` taken apart.

use http::header::{CONNECTION, CONTENT_LENGTH, EXPECT};
use http::{HeaderName, HeaderValue, Method};
use std::borrow::Cow;
use std::fmt;
use std::net::Ipv6Addr;

/// The most header fields of a request: as many as hyper reads without a heap.
pub const MAX_FIELDS: usize = 100;
/// The most bytes of a request target.
pub const MAX_TARGET: usize = 32 * 1024;
/// What is said to longer ones.
pub const LONG_TARGET: Refused = Refused { status: 414, why: "the target is longer than 32 KiB" };
/// What is said to more.
pub const TOO_MANY_FIELDS: Refused = Refused { status: 431, why: "more than 100 header fields" };
/// What is said to heads that are too long as a whole.
pub const LONG_HEAD: Refused = Refused { status: 431, why: "the head is longer than `header max`" };

/// Why a request is refused. Its connection is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refused {
    /// 400, 414, 417 or 431.
    pub status: u16,
    /// What is wrong, for the log.
    pub why: &'static str,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.why)
    }
}

/// 400, and why.
///
/// # Errors
/// Always.
pub fn bad<T>(why: &'static str) -> Result<T, Refused> {
    Err(Refused { status: 400, why })
}

/// Method and target, a path.
///
/// # Errors
/// Why it is refused.
pub fn line(method: &Method, target: &str) -> Result<(), Refused> {
    self::method(method.as_str().as_bytes())?;
    if target.len() > MAX_TARGET {
        return Err(LONG_TARGET);
    }
    if !target.bytes().all(is_of_uri) {
        return bad("a character in the target that no URI may have");
    }
    if !target.starts_with('/') && (target != "*" || *method != Method::OPTIONS) {
        return bad("the target is no path");
    }
    Ok(())
}

/// A field.
///
/// # Errors
/// Why it is refused.
pub fn field(name: &HeaderName, value: &HeaderValue) -> Result<(), Refused> {
    let value = value.as_bytes();
    if name.as_str().bytes().any(|b| b == b'_') {
        return bad("a field name with an underscore");
    }
    // `http` takes a quotation mark for part of one.
    if !name.as_str().bytes().all(is_token) {
        return bad("a field name that is no token");
    }
    if *name == CONTENT_LENGTH && decimal(value).is_none() {
        return bad("`Content-Length` is not a number");
    }
    if *name == EXPECT {
        expect(value)?;
    }
    if *name == CONNECTION {
        connection(value)?;
    }
    Ok(())
}

/// A method that no gateway has.
///
/// # Errors
/// Why it is refused.
#[inline]
pub fn method(name: &[u8]) -> Result<(), Refused> {
    match name {
        b"CONNECT" => bad("CONNECT is for forward proxies"),
        b"TRACE" => bad("TRACE would show the fields that the gateway adds"),
        _ => Ok(()),
    }
}

/// Whether `Connection` asks for an upgrade. Its options are names. A field that is for all readers cannot be made to end here: who
/// removed it would change what the request means behind the checks (RFC 9110, 7.6.1).
///
/// # Errors
/// Why it is refused.
pub fn connection(value: &[u8]) -> Result<bool, Refused> {
    let mut upgrade = false;
    for option in value.split(|b| *b == b',').map(<[u8]>::trim_ascii) {
        if !option.iter().all(|b| is_token(*b)) {
            return bad("`Connection` is not a list of names");
        }
        upgrade |= option.eq_ignore_ascii_case(b"upgrade");
        if FOR_ALL.iter().any(|name| name.eq_ignore_ascii_case(option)) {
            return bad("`Connection` names a field that does not end at this hop");
        }
    }
    Ok(upgrade)
}

/// Fields that frame, route or authenticate a request, or that gateways write.
const FOR_ALL: [&[u8]; 21] = [
    b"authorization",
    b"cache-control",
    b"content-encoding",
    b"content-length",
    b"content-range",
    b"content-type",
    b"cookie",
    b"expect",
    b"forwarded",
    b"host",
    b"origin",
    b"range",
    b"traceparent",
    b"via",
    b"x-forwarded-for",
    b"x-forwarded-host",
    b"x-forwarded-port",
    b"x-forwarded-prefix",
    b"x-forwarded-proto",
    b"x-real-ip",
    b"x-request-id",
];

/// What is said to a `Host` of which [`host`] makes nothing.
pub const NO_HOST: &str = "`Host` is not a host with an optional port";

/// The host of an authority: in lower case, without port or trailing dot.
pub fn host(authority: &str) -> Option<Cow<'_, str>> {
    if let Some(rest) = authority.strip_prefix('[') {
        let (address, port) = rest.split_once(']')?;
        let address: Ipv6Addr = address.parse().ok()?;
        let port = if port.is_empty() { Some("") } else { port.strip_prefix(':') };
        return is_port(port?).then(|| Cow::Owned(address.to_string()));
    }
    let (mut end, mut port, mut upper) = (authority.len(), "", false);
    let mut before = b'.';
    for (at, b) in authority.bytes().enumerate() {
        match b {
            b':' => {
                end = at;
                port = authority.get(at.saturating_add(1)..)?;
                break;
            }
            b'.' if before == b'.' => return None,
            b'A'..=b'Z' => upper = true,
            b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' => {}
            _ => return None,
        }
        before = b;
    }
    let name = authority.get(..end)?;
    let name = name.strip_suffix('.').unwrap_or(name);
    if name.is_empty() || name.len() > 253 || !is_port(port) {
        return None;
    }
    Some(if upper { Cow::Owned(name.to_ascii_lowercase()) } else { Cow::Borrowed(name) })
}

fn is_port(port: &str) -> bool {
    port.is_empty() || (port.bytes().all(|b| b.is_ascii_digit()) && port.parse::<u16>().is_ok())
}

/// A target in any form has no other characters.
#[inline]
pub fn is_of_uri(b: u8) -> bool {
    matches!(b, 0x21..=0x7e) && !matches!(b, b'#' | b'<' | b'>' | b'"' | b'`')
}

/// There is one expectation (RFC 9110, 10.1.1).
///
/// # Errors
/// Any other.
pub fn expect(value: &[u8]) -> Result<(), Refused> {
    if value.eq_ignore_ascii_case(b"100-continue") {
        return Ok(());
    }
    Err(Refused { status: 417, why: "an `Expect` that is not `100-continue`" })
}

/// `1*DIGIT`, at most 18 of them.
pub fn decimal(text: &[u8]) -> Option<u64> {
    if text.is_empty() || text.len() > 18 || !text.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(text).ok()?.parse().ok()
}

/// `tchar` (RFC 9110, 5.6.2).
#[inline]
pub fn is_token(b: u8) -> bool {
    const TOKEN: [bool; 256] = {
        let mut table = [false; 256];
        let mut b = 0;
        while b < 256 {
            let c = b as u8;
            #[allow(clippy::indexing_slicing, reason = "constant, and in range")]
            {
                table[b] = c.is_ascii_alphanumeric()
                    || matches!(
                        c,
                        b'!' | b'#'
                            | b'$'
                            | b'%'
                            | b'&'
                            | b'\''
                            | b'*'
                            | b'+'
                            | b'-'
                            | b'.'
                            | b'^'
                            | b'_'
                            | b'`'
                            | b'|'
                            | b'~'
                    );
            }
            b += 1;
        }
        table
    };
    TOKEN.get(usize::from(b)).copied().unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts() {
        for (authority, wanted) in [
            ("shop.example", Some("shop.example")),
            ("Shop.Example.:8080", Some("shop.example")),
            ("127.0.0.1:80", Some("127.0.0.1")),
            ("[::1]:80", Some("::1")),
            ("[2001:DB8::1]", Some("2001:db8::1")),
            ("my_service", Some("my_service")),
            ("a:", Some("a")),
            ("", None),
            (":80", None),
            ("a:b", None),
            ("a:99999", None),
            ("a..b", None),
            ("user@a", None),
            ("a/b", None),
            ("a b", None),
            ("[::1", None),
            ("[::1]x", None),
            ("a,b", None),
            ("a%41", None),
        ] {
            assert_eq!(host(authority).as_deref(), wanted, "{authority:?}");
        }
    }
}
