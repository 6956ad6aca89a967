//! The host that a request asks for (RFC 9112, 3.2; RFC 9110, 7.2).

use http::header::HOST;
use http::{HeaderMap, Uri};
use std::borrow::Cow;
use std::net::Ipv6Addr;

/// The host in lower case without port or trailing dot, and the authority as it came. None if there is none, as HTTP/1.0 allows.
/// The error says why the request is refused. `scheme` is the connection's.
pub fn of<'r>(
    uri: &'r Uri,
    headers: &'r HeaderMap,
    scheme: &str,
) -> Result<Option<(Cow<'r, str>, &'r str)>, &'static str> {
    let mut fields = headers.get_all(HOST).iter();
    let field = match (fields.next(), fields.next()) {
        (_, Some(_)) => return Err("`Host` is there twice"),
        (None, None) => None,
        (Some(value), None) => Some(value.to_str().map_err(|_| "`Host` has characters that no host has")?),
    };
    let authority = match (uri.authority(), field) {
        (None, None) => return Ok(None),
        (None, Some(field)) => field,
        (Some(target), None) => target.as_str(),
        (Some(target), Some(field)) if target.as_str().eq_ignore_ascii_case(field) => field,
        (Some(_), Some(_)) => return Err("the target's authority is not that of `Host`"),
    };
    if uri.scheme_str().is_some_and(|target| target != scheme) {
        return Err("the target's scheme is not the connection's");
    }
    host(authority).map(|host| Some((host, authority))).ok_or("`Host` is not a host with an optional port")
}

fn host(authority: &str) -> Option<Cow<'_, str>> {
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

    #[test]
    fn the_target_and_the_field_agree() {
        let with = |field: &str, uri: &str| {
            let headers = HeaderMap::from_iter([(HOST, http::HeaderValue::from_str(field).unwrap())]);
            of(&uri.parse().unwrap(), &headers, "http").map(|found| found.map(|(host, _)| host.into_owned()))
        };
        assert_eq!(with("a:80", "/x"), Ok(Some("a".into())));
        assert_eq!(with("A:80", "http://a:80/x"), Ok(Some("a".into())));
        assert!(with("a", "http://b/x").is_err());
        assert!(with("a", "https://a/x").is_err());
    }
}
