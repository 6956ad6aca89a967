//! The host that a request asks for (RFC 9112, 3.2; RFC 9110, 7.2).

use crate::policy::heads;
use http::header::HOST;
use http::{HeaderMap, Uri};
use std::borrow::Cow;

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
    heads::host(authority).map(|host| Some((host, authority))).ok_or(heads::NO_HOST)
}

#[cfg(test)]
mod tests {
    use super::*;

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
