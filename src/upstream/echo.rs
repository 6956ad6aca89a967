//! The built-in server `echo`: it answers with a JSON description of the request as a server would have got
//! it. Called in process, without a socket.

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderValue, Response, StatusCode};
use serde_json::{Map, Value, json};
use std::net::SocketAddr;

/// Describes a request whose head is the text that [`super::send`] would write: request line and header
/// lines. The body is text where it is UTF-8, and base64 otherwise.
///
/// A head that is no HTTP/1.1 gets 400.
#[must_use]
pub fn respond(head: &[u8], body: &[u8], client: SocketAddr, upstream: &str) -> Response<Bytes> {
    let described = describe(head, body, client, upstream);
    let status = if described.is_some() { StatusCode::OK } else { StatusCode::BAD_REQUEST };
    let mut text = described.map_or_else(String::new, |value| format!("{value:#}\n"));
    if text.is_empty() {
        text.push_str("{}\n");
    }
    let mut response = Response::new(Bytes::new());
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CONTENT_LENGTH, HeaderValue::from(text.len()));
    *response.body_mut() = Bytes::from(text);
    response
}

fn describe(head: &[u8], body: &[u8], client: SocketAddr, upstream: &str) -> Option<Value> {
    let mut text = Vec::with_capacity(head.len() + 2);
    text.extend_from_slice(head);
    text.extend_from_slice(b"\r\n");
    let mut slots = vec![httparse::EMPTY_HEADER; 256];
    let mut request = httparse::Request::new(&mut slots);
    if !request.parse(&text).ok()?.is_complete() {
        return None;
    }
    let target = request.path?;
    let (path, query) = target.split_once('?').map_or((target, None), |(path, query)| (path, Some(query)));
    let header = |header: &httparse::Header<'_>| json!({ "name": header.name.to_ascii_lowercase(), "value": String::from_utf8_lossy(header.value) });
    let mut out = Map::new();
    let mut put = |name: &str, value: Value| out.insert(name.to_owned(), value);
    put("upstream", json!(upstream));
    put("method", json!(request.method?));
    put("path", json!(path));
    put("query", json!(query));
    put("client", json!(client.ip().to_string()));
    put("headers", request.headers.iter().map(header).collect());
    put("length", json!(body.len()));
    match std::str::from_utf8(body) {
        Ok(text) => put("body", json!(text)),
        Err(_) => {
            use base64::Engine;
            put("body_base64", json!(base64::engine::general_purpose::STANDARD.encode(body)))
        }
    };
    Some(Value::Object(out))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn echo(head: &[u8], body: &[u8]) -> (StatusCode, Value) {
        let response = respond(head, body, ([192, 0, 2, 1], 4711).into(), "trial");
        assert_eq!(response.headers()[CONTENT_LENGTH], response.body().len().to_string().as_str());
        (response.status(), serde_json::from_slice(response.body()).unwrap())
    }

    #[test]
    fn it_tells_what_it_got() {
        let (status, told) = echo(b"POST /a/b?x=1&y HTTP/1.1\r\nHost: h\r\nX-A: 1\r\nx-a: 2\r\n", b"hi \xc3\xa4");
        assert_eq!(status, 200);
        assert_eq!(
            told,
            json!({
                "upstream": "trial", "method": "POST", "path": "/a/b", "query": "x=1&y", "client": "192.0.2.1",
                "headers": [
                    { "name": "host", "value": "h" }, { "name": "x-a", "value": "1" }, { "name": "x-a", "value": "2" }
                ],
                "length": 5, "body": "hi ä",
            })
        );
    }

    #[test]
    fn bytes_that_are_no_text() {
        let (_, told) = echo(b"GET / HTTP/1.1\r\n", b"\xff\x00");
        assert_eq!((&told["body_base64"], &told["length"], &told["query"]), (&json!("/wA="), &json!(2), &Value::Null));
        assert!(told.get("body").is_none());
    }

    #[test]
    fn a_head_that_is_none() {
        assert_eq!(echo(b"GET /\r\n", b"").0, 400);
    }
}
