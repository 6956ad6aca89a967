//! What can be known of a request whose head was refused: for its line in the log.

use super::guard::before;
use crate::policy::heads::is_token;
use http::{HeaderValue, Method};

/// The longest method.
const METHOD: usize = 32;
/// The most bytes of a path, and of a host.
const TEXT: usize = 256;

/// What could be read of a head.
#[derive(Debug, Default)]
pub struct Traces {
    /// Its method.
    pub method: Option<Method>,
    /// The path of its target, whatever characters it has; its beginning if it is long.
    pub path: Option<String>,
    /// Its host, as it came.
    pub host: Option<HeaderValue>,
}

impl Traces {
    /// Of the bytes of a head, as far as they came, and of what follows.
    #[cold]
    pub fn of(head: &[u8]) -> Traces {
        let head = head.strip_prefix(b"\r\n").unwrap_or(head);
        let mut lines = head.split(|b| *b == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
        let (method, target) = before(lines.next().unwrap_or_default(), is_token);
        let Some((b' ', target)) = target.split_first() else { return Traces::default() };
        let host = lines.take_while(|line| !line.is_empty()).find_map(|line| {
            let (name, value) = line.split_at_checked(5)?;
            name.eq_ignore_ascii_case(b"host:").then(|| value.trim_ascii())
        });
        Traces {
            method: Some(method).filter(|name| name.len() <= METHOD).and_then(|name| Method::from_bytes(name).ok()),
            path: path(target),
            host: host.filter(|host| host.len() <= TEXT).and_then(|host| HeaderValue::from_bytes(host).ok()),
        }
    }
}

/// The path of a target in any form. Queries are never logged, nor what may be a password.
fn path(target: &[u8]) -> Option<String> {
    let target = target.split(|b| matches!(b, b' ' | b'?' | b'#')).next().unwrap_or_default();
    let path = match target.windows(3).position(|three| three == b"://") {
        Some(at) if target.first() != Some(&b'/') => {
            let rest = target.get(at.saturating_add(3)..).unwrap_or_default();
            before(rest, |b| b != b'/').1
        }
        _ => target,
    };
    let is_path = matches!(path.first(), Some(b'/' | b'*'));
    if path.is_empty() || !is_path && path.contains(&b'@') {
        return None;
    }
    Some(match path.get(..TEXT) {
        Some(begin) if path.len() > TEXT => format!("{}…", String::from_utf8_lossy(begin)),
        _ => String::from_utf8_lossy(path).into_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn known(head: &[u8], method: Option<&str>, path: Option<&str>, host: Option<&str>) {
        let traces = Traces::of(head);
        assert_eq!(traces.method.as_ref().map(Method::as_str), method);
        assert_eq!(traces.path.as_deref(), path);
        assert_eq!(traces.host.as_ref().map(|host| host.to_str().unwrap()), host);
    }

    #[test]
    fn what_is_there_is_known() {
        known(
            b"PUT /a?secret HTTP/1.1\r\nx_y: z\r\nHost:  a.example \r\n\r\n",
            Some("PUT"),
            Some("/a"),
            Some("a.example"),
        );
        known(b"\r\nGET /\"\xff HTTP/1.1\r\n\r\nhost: next", Some("GET"), Some("/\"\u{fffd}"), None);
        known(b"GET http://me:secret@h/a#b HTTP/1.1\r\n", Some("GET"), Some("/a"), None);
        known(b"GET http://me:secret@h", Some("GET"), None, None);
        known(b"CONNECT h:443 HTTP/1.1\r\nhost: h:443\r\n", Some("CONNECT"), Some("h:443"), Some("h:443"));
        known(b"CONNECT me:secret@h:443 HTTP/1.1\r\n", Some("CONNECT"), None, None);
        known(b"GET ", Some("GET"), None, None);
        for nothing in
            [&b""[..], b"\n", b"GET", b"GET/ HTTP/1.1\r\nhost: a\r\n", b"\x16\x03\x01\x02\0 /", b"G\0T / HTTP/1.1\r\n"]
        {
            known(nothing, None, None, None);
        }
    }

    #[test]
    fn much_is_cut() {
        let traces = Traces::of(&[b"GET /", &[b'a'; 9999][..]].concat());
        assert_eq!(traces.path, Some(format!("/{}…", "a".repeat(TEXT - 1))));
        known(&[&[b'A'; 33][..], b" / "].concat(), None, Some("/"), None);
    }
}
