//! The cookies of a request (RFC 6265, 4.2).

use http::HeaderMap;
use http::header::COOKIE;

/// Every `name=value` of every `Cookie` line, as it stands there. Empty pieces are left out.
pub fn pairs(headers: &HeaderMap) -> impl Iterator<Item = &[u8]> {
    let lines = headers.get_all(COOKIE).iter();
    let pieces = lines.flat_map(|line| line.as_bytes().split(|b| *b == b';'));
    pieces.map(<[u8]>::trim_ascii).filter(|pair| !pair.is_empty())
}

/// The name of a pair: all of it where there is no `=`.
pub fn name(pair: &[u8]) -> &[u8] {
    pair.split(|b| *b == b'=').next().unwrap_or_default().trim_ascii()
}

/// The values of a cookie, quotes around them removed.
pub fn values<'r>(headers: &'r HeaderMap, cookie: &str) -> impl Iterator<Item = &'r [u8]> {
    pairs(headers).filter_map(move |pair| {
        let at = pair.iter().position(|b| *b == b'=').filter(|_| name(pair) == cookie.as_bytes())?;
        let value = pair.get(at.saturating_add(1)..)?.trim_ascii();
        let bare = value.strip_prefix(b"\"").and_then(|value| value.strip_suffix(b"\""));
        Some(bare.unwrap_or(value))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    #[test]
    fn of_all_lines() {
        let mut headers = HeaderMap::new();
        for line in [&b"a=1; b = \"2\" ;; c"[..], b"a=\xff; b=x=y"] {
            headers.append(COOKIE, HeaderValue::from_bytes(line).unwrap());
        }
        let all = |name| values(&headers, name).collect::<Vec<_>>();
        assert_eq!(all("a"), [&b"1"[..], b"\xff"]);
        assert_eq!(all("b"), [&b"2"[..], b"x=y"]);
        assert!(all("c").is_empty());
        assert_eq!(pairs(&headers).map(name).collect::<Vec<_>>(), [b"a", b"b", b"c", b"a", b"b"]);
    }
}
