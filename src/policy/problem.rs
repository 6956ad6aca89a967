//! Failures (language.md, section 10): their kinds, and what the client is told of them: a problem
//! document (RFC 9457) and `Proxy-Status` (RFC 9209).

use http::{HeaderValue, StatusCode};
use serde::Serialize;
use std::fmt;

/// The content type of [`body`].
pub const CONTENT_TYPE: HeaderValue = HeaderValue::from_static("application/problem+json");

/// What can go wrong. The names are stable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FailureKind {
    /// The request cannot be understood in one way only.
    BadRequest,
    /// No good credential.
    Unauthenticated,
    /// A `require` is not met.
    Forbidden,
    /// No route fits.
    NoRoute,
    /// Routes fit, none with this method.
    MethodNotAllowed,
    /// Longer than `body max`.
    BodyTooLarge,
    /// A content type that is not accepted.
    UnsupportedType,
    /// Fails `validate`.
    Invalid,
    /// Over a `limit`.
    Limited,
    /// No connection to the upstream.
    UpstreamConnect,
    /// The upstream ended the connection or spoke no good HTTP.
    UpstreamReset,
    /// A call of a composition failed.
    ComposePart,
    /// No server of the upstream is healthy.
    UpstreamUnhealthy,
    /// The gateway or the upstream's pool is full.
    Overloaded,
    /// There are no keys to verify credentials with.
    KeysUnavailable,
    /// The upstream took too long.
    UpstreamTimeout,
    /// A mistake of the gateway.
    Internal,
}

impl FailureKind {
    /// All kinds, in the order of their statuses.
    pub const ALL: [FailureKind; 17] = [
        FailureKind::BadRequest,
        FailureKind::Unauthenticated,
        FailureKind::Forbidden,
        FailureKind::NoRoute,
        FailureKind::MethodNotAllowed,
        FailureKind::BodyTooLarge,
        FailureKind::UnsupportedType,
        FailureKind::Invalid,
        FailureKind::Limited,
        FailureKind::Internal,
        FailureKind::UpstreamConnect,
        FailureKind::UpstreamReset,
        FailureKind::ComposePart,
        FailureKind::Overloaded,
        FailureKind::UpstreamUnhealthy,
        FailureKind::KeysUnavailable,
        FailureKind::UpstreamTimeout,
    ];

    /// Its name in the language: `error.kind`, `on error`.
    pub fn name(self) -> &'static str {
        self.row().0
    }

    /// The kind with this name.
    pub fn named(name: &str) -> Option<FailureKind> {
        FailureKind::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// Its status, unless a statement says another.
    pub fn status(self) -> StatusCode {
        StatusCode::from_u16(self.row().1).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    /// What the client reads, unless a statement says something else.
    pub fn title(self) -> &'static str {
        self.row().2
    }

    /// Name, status, title, and the error type of RFC 9209.
    fn row(self) -> (&'static str, u16, &'static str, &'static str) {
        match self {
            FailureKind::BadRequest => ("bad-request", 400, "Bad request", "http_request_error"),
            FailureKind::Unauthenticated => ("unauthenticated", 401, "Authentication needed", "http_request_denied"),
            FailureKind::Forbidden => ("forbidden", 403, "Not allowed", "http_request_denied"),
            FailureKind::NoRoute => ("no-route", 404, "Not found", "http_request_error"),
            FailureKind::MethodNotAllowed => ("method-not-allowed", 405, "Method not allowed", "http_request_error"),
            FailureKind::BodyTooLarge => ("body-too-large", 413, "Body too large", "http_request_error"),
            FailureKind::UnsupportedType => {
                ("unsupported-type", 415, "Content type not supported", "http_request_error")
            }
            FailureKind::Invalid => ("invalid", 422, "Invalid content", "http_request_error"),
            FailureKind::Limited => ("limited", 429, "Too many requests", "http_request_denied"),
            FailureKind::Internal => ("internal", 500, "Internal error", "proxy_internal_error"),
            FailureKind::UpstreamConnect => {
                ("upstream-connect", 502, "Upstream cannot be reached", "destination_unavailable")
            }
            FailureKind::UpstreamReset => ("upstream-reset", 502, "Upstream failed", "connection_terminated"),
            FailureKind::ComposePart => ("compose-part", 502, "Part of the answer failed", "http_response_incomplete"),
            FailureKind::Overloaded => ("overloaded", 503, "Overloaded", "connection_limit_reached"),
            FailureKind::UpstreamUnhealthy => {
                ("upstream-unhealthy", 503, "Upstream unavailable", "destination_unavailable")
            }
            FailureKind::KeysUnavailable => {
                ("keys-unavailable", 503, "Authentication unavailable", "proxy_internal_error")
            }
            FailureKind::UpstreamTimeout => {
                ("upstream-timeout", 504, "Upstream took too long", "http_response_timeout")
            }
        }
    }

    /// As which kind this one is shown under `status`. A statement that gives another status hides the
    /// kind: `require … else 404` must look like a path that is not there. `None`: as none.
    fn shown(self, status: StatusCode) -> Option<FailureKind> {
        if self.status() == status {
            return Some(self);
        }
        FailureKind::ALL.into_iter().find(|kind| status.is_client_error() && kind.status() == status)
    }
}

impl fmt::Display for FailureKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[derive(Serialize)]
struct Document<'a> {
    r#type: &'a str,
    title: &'a str,
    status: u16,
    instance: &'a str,
}

/// The problem document: `type` is `urn:gw:problem:` and the kind, `instance` the request's id.
/// `title` is the statement's own, if it has one.
pub fn body(kind: FailureKind, status: StatusCode, title: Option<&str>, request_id: &str) -> String {
    let r#type = match kind.shown(status) {
        Some(shown) => &format!("urn:gw:problem:{shown}"),
        None => "about:blank",
    };
    let title = title.unwrap_or(default_title(kind, status));
    let document = Document { r#type, title, status: status.as_u16(), instance: request_id };
    serde_json::to_string(&document).unwrap_or_default()
}

/// What the client reads of a failure that no statement has given a title.
pub fn default_title(kind: FailureKind, status: StatusCode) -> &'static str {
    match kind.shown(status) {
        Some(shown) => shown.title(),
        None => status.canonical_reason().unwrap_or("Error"),
    }
}

/// The value of `Proxy-Status`: `gw; error=…`.
pub fn proxy_status(kind: FailureKind, status: StatusCode) -> HeaderValue {
    let error = kind.shown(status).map_or("proxy_internal_response", |shown| shown.row().3);
    HeaderValue::try_from(format!("gw; error={error}")).unwrap_or(HeaderValue::from_static("gw"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_have_the_statuses_of_the_language() {
        let listed = "bad-request 400 unauthenticated 401 forbidden 403 no-route 404 method-not-allowed 405 \
            body-too-large 413 unsupported-type 415 invalid 422 limited 429 upstream-connect 502 upstream-reset 502 \
            compose-part 502 upstream-unhealthy 503 overloaded 503 keys-unavailable 503 upstream-timeout 504 internal 500";
        let words: Vec<&str> = listed.split_whitespace().collect();
        assert_eq!(words.len(), 2 * FailureKind::ALL.len());
        for pair in words.chunks(2) {
            let kind = FailureKind::named(pair[0]).unwrap();
            assert_eq!(kind.status().as_str(), pair[1], "{kind}");
        }
        assert!(crate::model::facts::ERROR_KINDS.iter().all(|name| FailureKind::named(name).is_some()));
    }

    #[test]
    fn a_document_has_type_title_status_and_instance() {
        let kind = FailureKind::Limited;
        assert_eq!(
            body(kind, kind.status(), None, "r-1"),
            r#"{"type":"urn:gw:problem:limited","title":"Too many requests","status":429,"instance":"r-1"}"#
        );
        assert!(body(kind, kind.status(), Some("say \"please\""), "r").contains(r#""title":"say \"please\"""#));
        assert_eq!(proxy_status(kind, kind.status()), "gw; error=http_request_denied");
    }

    #[test]
    fn another_status_hides_the_kind() {
        let hidden = body(FailureKind::Forbidden, StatusCode::NOT_FOUND, None, "r");
        assert_eq!(hidden, body(FailureKind::NoRoute, StatusCode::NOT_FOUND, None, "r"));
        let status = |kind| proxy_status(kind, StatusCode::NOT_FOUND);
        assert_eq!(status(FailureKind::Forbidden), status(FailureKind::NoRoute));
        let teapot = body(FailureKind::Forbidden, StatusCode::IM_A_TEAPOT, None, "r");
        assert!(teapot.contains("about:blank") && !teapot.contains("forbidden"), "{teapot}");
        let maintenance = body(FailureKind::Forbidden, StatusCode::SERVICE_UNAVAILABLE, None, "r");
        assert!(maintenance.contains(r#""title":"Service Unavailable""#), "{maintenance}");
    }
}
