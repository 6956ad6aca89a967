//! gRPC (its "PROTOCOL-HTTP2" document): calls are told apart, and the gateway's own failures put in its terms.

use super::problem::FailureKind;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use std::fmt::Write;
use std::time::Duration;

/// The content type of an answer.
pub const MEDIA_TYPE: HeaderValue = HeaderValue::from_static("application/grpc");
/// The status of a call.
pub const STATUS: HeaderName = HeaderName::from_static("grpc-status");
/// What is said about it.
pub const MESSAGE: HeaderName = HeaderName::from_static("grpc-message");

/// `DEADLINE_EXCEEDED`.
pub const DEADLINE_EXCEEDED: u8 = 4;
/// `UNAVAILABLE`.
pub const UNAVAILABLE: u8 = 14;

/// The request is a call: a POST of `application/grpc` or `application/grpc+…`, and not gRPC-Web.
pub fn is_call(method: &Method, headers: &HeaderMap) -> bool {
    let is_grpc = |value: &HeaderValue| {
        let value = value.as_bytes();
        let rest = value.get(16..).filter(|_| value.starts_with(b"application/grpc"));
        rest.is_some_and(|rest| matches!(rest.first(), None | Some(b'+' | b';' | b' ')))
    };
    *method == Method::POST && headers.get(CONTENT_TYPE).is_some_and(is_grpc)
}

/// The status of a call that failed with `kind`. Another HTTP status than the kind's hides the kind, and is mapped as
/// gRPC clients map it.
pub fn status(kind: FailureKind, http: u16) -> u8 {
    if kind.status().as_u16() != http {
        return match http {
            400 => 13,
            401 => 16,
            403 => 7,
            404 => 12,
            408 => DEADLINE_EXCEEDED,
            429 | 502..=504 => UNAVAILABLE,
            _ => 2,
        };
    }
    match kind {
        FailureKind::Invalid | FailureKind::UnsupportedType => 3,
        FailureKind::UpstreamTimeout => DEADLINE_EXCEEDED,
        FailureKind::Forbidden => 7,
        FailureKind::Limited | FailureKind::BodyTooLarge => 8,
        FailureKind::NoRoute | FailureKind::MethodNotAllowed => 12,
        FailureKind::BadRequest | FailureKind::Internal => 13,
        FailureKind::UpstreamConnect
        | FailureKind::UpstreamReset
        | FailureKind::ComposePart
        | FailureKind::UpstreamUnhealthy
        | FailureKind::Overloaded
        | FailureKind::KeysUnavailable => UNAVAILABLE,
        FailureKind::Unauthenticated => 16,
    }
}

/// `grpc-status` and `grpc-message`.
pub fn fields(status: u8, message: &str) -> [(HeaderName, HeaderValue); 2] {
    let message = HeaderValue::try_from(encode(message)).unwrap_or(HeaderValue::from_static(""));
    [(STATUS, HeaderValue::from(u16::from(status))), (MESSAGE, message)]
}

/// Printable ASCII but `%` stands for itself; everything else is percent-encoded.
fn encode(message: &str) -> String {
    let mut out = String::with_capacity(message.len());
    for b in message.bytes() {
        match b {
            b' '..=b'~' if b != b'%' => out.push(char::from(b)),
            _ => {
                // Writing to a string cannot fail.
                let _ = write!(out, "%{b:02X}");
            }
        }
    }
    out
}

/// The deadline that a call brings with it: `grpc-timeout`, at most eight digits and a unit.
pub fn timeout(headers: &HeaderMap) -> Option<Duration> {
    let value = headers.get("grpc-timeout")?.to_str().ok()?;
    let (digits, unit) = value.split_at_checked(value.len().checked_sub(1)?)?;
    if digits.is_empty() || digits.len() > 8 || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let n: u64 = digits.parse().ok()?;
    Some(match unit {
        "H" => Duration::from_secs(n.saturating_mul(3600)),
        "M" => Duration::from_secs(n.saturating_mul(60)),
        "S" => Duration::from_secs(n),
        "m" => Duration::from_millis(n),
        "u" => Duration::from_micros(n),
        "n" => Duration::from_nanos(n),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(name: &'static str, value: &str) -> HeaderMap {
        HeaderMap::from_iter([(HeaderName::from_static(name), HeaderValue::from_str(value).unwrap())])
    }

    #[test]
    fn calls_are_told_apart() {
        for (media, is) in [
            ("application/grpc", true),
            ("application/grpc+proto", true),
            ("application/grpc;charset=utf-8", true),
            ("application/grpc-web", false),
            ("application/grpc-web+proto", false),
            ("application/json", false),
            ("application/grp", false),
        ] {
            assert_eq!(is_call(&Method::POST, &with("content-type", media)), is, "{media}");
        }
        assert!(!is_call(&Method::GET, &with("content-type", "application/grpc")));
    }

    #[test]
    fn deadlines() {
        let millis = |value: &str| timeout(&with("grpc-timeout", value)).map(|t| t.as_micros());
        assert_eq!(millis("2H"), Some(7_200_000_000));
        assert_eq!(millis("1M"), Some(60_000_000));
        assert_eq!(millis("3S"), Some(3_000_000));
        assert_eq!(millis("100m"), Some(100_000));
        assert_eq!(millis("100u"), Some(100));
        assert_eq!(millis("5000n"), Some(5));
        assert!(millis("99999999H").is_some());
        for wrong in ["", "S", "1", "1s", "-1S", "+1S", "123456789S", "1.5S", "1 S"] {
            assert_eq!(millis(wrong), None, "{wrong:?}");
        }
    }

    #[test]
    fn another_status_hides_the_kind() {
        assert_eq!(status(FailureKind::Forbidden, 403), 7);
        assert_eq!(status(FailureKind::Forbidden, 404), status(FailureKind::NoRoute, 404));
        assert_eq!(status(FailureKind::Forbidden, 418), 2);
        assert_eq!(status(FailureKind::BadRequest, 408), DEADLINE_EXCEEDED);
        let [status, message] = fields(5, "zu spät: 100%\n");
        assert_eq!((status.1.as_bytes(), message.1.as_bytes()), (&b"5"[..], &b"zu sp%C3%A4t: 100%25%0A"[..]));
    }
}
