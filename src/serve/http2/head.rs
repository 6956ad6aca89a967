//! Request heads on HTTP/2: the same strictness as on HTTP/1 (`guard.rs`), and what only HTTP/2 has (RFC 9113, 8).
//!
//! `h2` has refused already: upper case, pseudo-fields that are missing, twice, unknown or behind others, the fields of a
//! connection, `TE` other than `trailers`, lengths that are not that of the body.

use crate::policy::heads::{self, MAX_FIELDS, Refused, TOO_MANY_FIELDS, bad};
use aws_lc_rs::digest;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use h2::ext::Protocol;
use http::header::{CONTENT_LENGTH, COOKIE, SEC_WEBSOCKET_KEY};
use http::request::Parts;
use http::uri::PathAndQuery;
use http::{HeaderValue, Method, Uri};

/// What WebSocket servers add to a key (RFC 6455, 1.3).
const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// Refuses what could be understood in two ways, and joins cookies (RFC 9113, 8.2.3). `scheme` is the connection's.
pub fn check(
    parts: &mut Parts,
    scheme: &'static str,
    from_trusted_proxy: impl FnOnce() -> bool,
) -> Result<(), Refused> {
    heads::line(&parts.method, parts.uri.path_and_query().map_or("", PathAndQuery::as_str))?;
    let has_authority = parts.uri.authority().is_some();
    // `h2` keeps no scheme where there is no authority: `Host` may stand in for it (RFC 9113, 8.3.1).
    if parts.uri.scheme_str() != Some(scheme) && (has_authority || parts.uri.scheme_str().is_some()) {
        // A proxy may say what its own client spoke (RFC 9113, 8.3.1).
        let other = matches!(parts.uri.scheme_str(), Some("http" | "https")) && from_trusted_proxy();
        match other.then(|| with_scheme(&parts.uri, scheme)).flatten() {
            Some(uri) => parts.uri = uri,
            None => return bad("`:scheme` is not what the connection is"),
        }
    }
    if !has_authority && !parts.headers.contains_key(http::header::HOST) {
        return bad("neither `:authority` nor `Host`");
    }
    if parts.headers.len() > MAX_FIELDS {
        return Err(TOO_MANY_FIELDS);
    }
    let (mut cookies, mut lengths) = (0u32, 0u32);
    for (name, value) in &parts.headers {
        heads::field(name, value)?;
        let is_space = |b: Option<&u8>| matches!(b, Some(b' ' | b'\t'));
        let value = value.as_bytes();
        if is_space(value.first()) || is_space(value.last()) {
            return bad("white space around a field's value");
        }
        if *name == COOKIE {
            cookies = cookies.saturating_add(1);
        } else if *name == CONTENT_LENGTH {
            lengths = lengths.saturating_add(1);
        }
    }
    if lengths > 1 {
        return bad("`Content-Length` is there twice");
    }
    if cookies > 1 {
        let all: Vec<&[u8]> = parts.headers.get_all(COOKIE).iter().map(HeaderValue::as_bytes).collect();
        match HeaderValue::from_bytes(&all.join(&b"; "[..])) {
            Ok(joined) => drop(parts.headers.insert(COOKIE, joined)),
            Err(_) => return bad("cookies that do not fit into one field"),
        }
    }
    Ok(())
}

fn with_scheme(uri: &Uri, scheme: &'static str) -> Option<Uri> {
    let mut parts = uri.clone().into_parts();
    parts.scheme = scheme.parse().ok();
    Uri::from_parts(parts).ok()
}

/// A request for a WebSocket (RFC 8441) becomes the GET that it is on HTTP/1: what its server must answer to the key.
pub fn websocket(parts: &mut Parts) -> Result<Option<HeaderValue>, Refused> {
    let Some(protocol) = parts.extensions.get::<Protocol>() else { return Ok(None) };
    if protocol.as_str() != "websocket" {
        return Err(Refused { status: 501, why: "`:protocol` is not `websocket`" });
    }
    parts.method = Method::GET;
    let key = STANDARD.encode(fastrand::u128(..).to_ne_bytes());
    let mut hash = digest::Context::new(&digest::SHA1_FOR_LEGACY_USE_ONLY);
    hash.update(key.as_bytes());
    hash.update(GUID);
    let accept = STANDARD.encode(hash.finish());
    match (HeaderValue::try_from(key), HeaderValue::try_from(accept)) {
        (Ok(key), Ok(accept)) => {
            parts.headers.insert(SEC_WEBSOCKET_KEY, key);
            Ok(Some(accept))
        }
        _ => bad("a key that is none"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::{HeaderName, Request};

    fn checked(method: &str, path: &'static str, field: (&str, &str)) -> Result<(), u16> {
        let uri = Uri::builder().scheme("http").authority("a").path_and_query(path).build().unwrap();
        let request = Request::builder()
            .method(method)
            .uri(uri)
            .header(HeaderName::from_lowercase(field.0.as_bytes()).unwrap(), field.1)
            .body(())
            .unwrap();
        check(&mut request.into_parts().0, "http", || false).map_err(|refused| refused.status)
    }

    #[test]
    fn targets_lengths_and_expectations_are_those_of_http1() {
        let plain = ("a", "b");
        assert_eq!(checked("GET", "/a?b", plain), Ok(()));
        assert_eq!(checked("OPTIONS", "*", plain), Ok(()));
        assert_eq!(checked("GET", "*", plain), Err(400));
        assert_eq!(checked("GET", "?q", plain), Err(400));
        assert_eq!(checked("GET", "/a\"b", plain), Err(400));
        assert_eq!(checked("GET", "/", ("\"a", "b")), Err(400));
        assert_eq!(checked("POST", "/", ("content-length", "0")), Ok(()));
        assert_eq!(checked("POST", "/", ("content-length", "")), Err(400));
        assert_eq!(checked("POST", "/", ("expect", "100-Continue")), Ok(()));
        assert_eq!(checked("POST", "/", ("expect", "101-continue")), Err(417));
    }
}
