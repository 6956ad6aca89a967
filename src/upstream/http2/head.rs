//! A request's head in HTTP/2.

use crate::decide::HeadWriter;
use crate::upstream::error::{ErrorKind, ExchangeError};
use bytes::Bytes;
use http::header::{HeaderMap, HeaderName, HeaderValue};
use http::uri::{PathAndQuery, Scheme};
use http::{Method, Request, Uri, Version};

/// A head as it is being written. `Host` becomes `:authority`, and what belongs to an HTTP/1.1 connection goes.
pub struct Head {
    method: Method,
    target: Vec<u8>,
    authority: Vec<u8>,
    headers: HeaderMap,
    /// The first thing that HTTP/2 cannot say.
    wrong: Option<&'static str>,
}

impl Default for Head {
    fn default() -> Self {
        Self {
            method: Method::GET,
            target: Vec::new(),
            authority: Vec::new(),
            headers: HeaderMap::with_capacity(24),
            wrong: None,
        }
    }
}

impl HeadWriter for Head {
    fn line(&mut self, method: &str, prefix: &str, path: &str, query: Option<&str>) {
        match Method::from_bytes(method.as_bytes()) {
            Ok(method) => self.method = method,
            Err(_) => self.wrong = Some("the method"),
        }
        let (mark, query) = query.map_or(("", ""), |query| ("?", query));
        let parts = [prefix, path, mark, query];
        self.target.reserve(parts.iter().map(|part| part.len()).sum());
        parts.iter().for_each(|part| self.target.extend_from_slice(part.as_bytes()));
    }

    fn field(&mut self, name: &str, value: &[u8]) {
        match name {
            "host" => {
                self.authority.clear();
                self.authority.extend_from_slice(value);
                return;
            }
            "connection" | "keep-alive" | "proxy-connection" | "transfer-encoding" | "upgrade" => return,
            "te" if !value.eq_ignore_ascii_case(b"trailers") => return,
            _ => {}
        }
        match (HeaderName::from_bytes(name.as_bytes()), HeaderValue::from_bytes(value)) {
            (Ok(name), Ok(value)) => drop(self.headers.append(name, value)),
            _ => self.wrong = Some("a field"),
        }
    }
}

impl Head {
    /// Takes a head that was written for HTTP/1.1.
    pub(in crate::upstream) fn read(&mut self, text: &[u8]) {
        let mut whole = Vec::with_capacity(text.len() + 2);
        whole.extend_from_slice(text);
        whole.extend_from_slice(b"\r\n");
        let mut slots = [httparse::EMPTY_HEADER; 100];
        let mut request = httparse::Request::new(&mut slots);
        let complete = request.parse(&whole).is_ok_and(|status| status.is_complete());
        let (true, Some(method), Some(target)) = (complete, request.method, request.path) else {
            self.wrong = Some("the head");
            return;
        };
        self.line(method, "", target, None);
        for header in request.headers.iter() {
            self.field(&header.name.to_ascii_lowercase(), header.value);
        }
    }

    /// Says how long the body is, if it is known.
    pub(super) fn length(&mut self, length: Option<u64>) {
        if let Some(length) = length {
            self.headers.insert(http::header::CONTENT_LENGTH, HeaderValue::from(length));
        }
    }

    /// The head as h2 wants it.
    pub(super) fn finish(self, tls: bool) -> Result<Request<()>, ExchangeError> {
        let cannot = |what: &str| ExchangeError::because(ErrorKind::Unsendable, format!("{what} has no HTTP/2 form"));
        if let Some(what) = self.wrong {
            return Err(cannot(what));
        }
        let target = PathAndQuery::from_maybe_shared(Bytes::from(self.target)).map_err(|_| cannot("the target"))?;
        let authority = http::uri::Authority::from_maybe_shared(Bytes::from(self.authority));
        let mut parts = http::uri::Parts::default();
        parts.scheme = Some(if tls { Scheme::HTTPS } else { Scheme::HTTP });
        parts.authority = Some(authority.map_err(|_| cannot("the host"))?);
        parts.path_and_query = Some(target);
        let mut request = Request::new(());
        *request.method_mut() = self.method;
        *request.uri_mut() = Uri::from_parts(parts).map_err(|_| cannot("the target"))?;
        *request.version_mut() = Version::HTTP_2;
        *request.headers_mut() = self.headers;
        Ok(request)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(fields: &[(&str, &str)]) -> Head {
        let mut head = Head::default();
        head.line("POST", "/v1", "/a/b", Some("x=1"));
        fields.iter().for_each(|(name, value)| head.field(name, value.as_bytes()));
        head
    }

    #[test]
    fn the_connection_stays_behind() {
        let mut head = head(&[
            ("host", "orders.internal:8443"),
            ("connection", "te"),
            ("te", "trailers"),
            ("keep-alive", "timeout=5"),
            ("transfer-encoding", "chunked"),
            ("upgrade", "websocket"),
            ("x-a", "1"),
            ("x-a", "2"),
        ]);
        head.length(Some(3));
        let request = head.finish(true).unwrap();
        assert_eq!(request.uri(), "https://orders.internal:8443/v1/a/b?x=1");
        assert_eq!(request.method(), Method::POST);
        let mut fields: Vec<_> =
            request.headers().iter().map(|(n, v)| format!("{n}: {}", v.to_str().unwrap())).collect();
        fields.sort();
        assert_eq!(fields, ["content-length: 3", "te: trailers", "x-a: 1", "x-a: 2"]);
    }

    #[test]
    fn other_codings_are_not_te() {
        assert!(head(&[("host", "a"), ("te", "gzip")]).finish(false).unwrap().headers().is_empty());
    }

    #[test]
    fn what_cannot_be_said() {
        for (fields, what) in [
            (&[("host", "a b")][..], "the host"),
            (&[("host", "")], "the host"),
            (&[("host", "a"), ("x y", "1")], "a field"),
            (&[("host", "a"), ("x", "a\nb")], "a field"),
        ] {
            let error = head(fields).finish(false).unwrap_err();
            assert_eq!(error.kind, ErrorKind::Unsendable);
            assert!(error.to_string().contains(what), "{error}");
        }
    }

    #[test]
    fn a_head_in_the_words_of_http_1() {
        let mut head = Head::default();
        head.read(b"GET /x?y HTTP/1.1\r\nHost: a:1\r\nX-B: 2\r\n");
        let request = head.finish(false).unwrap();
        assert_eq!(request.uri(), "http://a:1/x?y");
        assert_eq!(request.headers()["x-b"], "2");
        let mut head = Head::default();
        head.read(b"nonsense\r\n");
        assert_eq!(head.finish(false).unwrap_err().kind, ErrorKind::Unsendable);
    }
}
