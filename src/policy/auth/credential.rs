//! Finding a credential in a request.

use super::{Failure, Reason};
use crate::model::percent::{self, Octet};
use crate::policy::cookies;
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderName};
use smol_str::SmolStr;
use std::borrow::Cow;

/// Where a credential stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// `Authorization: Bearer …` (RFC 6750). Another scheme there is another kind of credential.
    Bearer,
    /// A header whose whole value it is.
    Header(HeaderName),
    /// A cookie, by name.
    Cookie(SmolStr),
    /// A query parameter, by name.
    Query(SmolStr),
}

/// What stood in a place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found<'r> {
    /// Nothing.
    Absent,
    /// One credential.
    One(Cow<'r, str>),
    /// More than one: which of them counts, readers may see differently.
    Repeated,
    /// Something that is not text.
    Unreadable,
}

impl<'r> Found<'r> {
    /// The credential, or why there is none.
    pub fn one(self) -> Result<Cow<'r, str>, Failure> {
        match self {
            Found::One(text) => Ok(text),
            Found::Absent => Err(Failure::Missing),
            Found::Repeated => Err(Reason::Repeated.into()),
            Found::Unreadable => Err(Reason::Malformed("not readable as text").into()),
        }
    }

    fn and(self, next: Cow<'r, str>) -> Found<'r> {
        match self {
            Found::Absent => Found::One(next),
            Found::One(_) | Found::Repeated => Found::Repeated,
            Found::Unreadable => Found::Unreadable,
        }
    }
}

impl Place {
    /// What stands in this place of a request. Empty credentials are absent ones.
    pub fn find<'r>(&self, headers: &'r HeaderMap, query: Option<&'r str>) -> Found<'r> {
        match self {
            Place::Bearer => lines(headers, &AUTHORIZATION, bearer_token),
            Place::Header(name) => lines(headers, name, |value| Some(value.trim())),
            Place::Cookie(name) => {
                let mut found = Found::Absent;
                for value in cookies::values(headers, name) {
                    match std::str::from_utf8(value) {
                        Ok(value) => found = found.and(Cow::Borrowed(value)),
                        Err(_) => return Found::Unreadable,
                    }
                }
                present(found)
            }
            Place::Query(name) => {
                let mut found = Found::Absent;
                for (parameter, value) in parameters(query.unwrap_or_default()) {
                    if decode(parameter).as_deref() == Some(name.as_str()) {
                        match decode(value) {
                            Some(value) => found = found.and(value),
                            None => return Found::Unreadable,
                        }
                    }
                }
                present(found)
            }
        }
    }
}

/// Without the token after it, the word is no credential.
fn bearer_token(value: &str) -> Option<&str> {
    let (scheme, token) = value.trim().split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim_start_matches(' '))
}

fn lines<'r>(headers: &'r HeaderMap, name: &HeaderName, credential: impl Fn(&'r str) -> Option<&'r str>) -> Found<'r> {
    let mut found = Found::Absent;
    for line in headers.get_all(name) {
        match line.to_str() {
            Ok(line) => {
                if let Some(text) = credential(line) {
                    found = found.and(Cow::Borrowed(text));
                }
            }
            Err(_) => return Found::Unreadable,
        }
    }
    present(found)
}

fn present(found: Found<'_>) -> Found<'_> {
    match found {
        Found::One(text) if text.is_empty() => Found::Absent,
        found => found,
    }
}

fn parameters(query: &str) -> impl Iterator<Item = (&str, &str)> {
    query.split('&').map(|parameter| parameter.split_once('=').unwrap_or((parameter, "")))
}

/// Percent-decodes, `+` as a space. `None` where it is not UTF-8 or not percent-encoding.
fn decode(text: &str) -> Option<Cow<'_, str>> {
    if !text.contains(['%', '+']) {
        return Some(Cow::Borrowed(text));
    }
    let bytes: Option<Vec<u8>> = percent::form(text).map(|o| (o != Octet::Stray).then_some(o.byte())).collect();
    String::from_utf8(bytes?).ok().map(Cow::Owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn headers(lines: &[(&'static str, &[u8])]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for (name, value) in lines {
            map.append(*name, HeaderValue::from_bytes(value).unwrap());
        }
        map
    }

    fn find(place: Place, lines: &[(&'static str, &[u8])], query: &str) -> Result<String, &'static str> {
        match place.find(&headers(lines), Some(query)) {
            Found::One(text) => Ok(text.into_owned()),
            Found::Absent => Err("absent"),
            Found::Repeated => Err("repeated"),
            Found::Unreadable => Err("unreadable"),
        }
    }

    #[test]
    fn a_bearer_token_is_found_whatever_the_case_of_its_scheme() {
        let find = |lines: &[_]| find(Place::Bearer, lines, "");
        assert_eq!(find(&[("authorization", b"Bearer abc")]), Ok("abc".into()));
        assert_eq!(find(&[("authorization", b"bEARER   abc")]), Ok("abc".into()));
        assert_eq!(find(&[("authorization", b"Basic abc")]), Err("absent"));
        assert_eq!(find(&[("authorization", b"Bearer")]), Err("absent"));
        assert_eq!(find(&[("authorization", b"Bearerabc")]), Err("absent"));
        assert_eq!(find(&[]), Err("absent"));
        assert_eq!(find(&[("authorization", b"Bearer a"), ("authorization", b"Bearer a")]), Err("repeated"));
        assert_eq!(find(&[("authorization", b"Basic a"), ("authorization", b"Bearer b")]), Ok("b".into()));
        assert_eq!(find(&[("authorization", b"Bearer \xff")]), Err("unreadable"));
    }

    #[test]
    fn headers_cookies_and_query() {
        let header = || Place::Header(HeaderName::from_static("x-api-key"));
        assert_eq!(find(header(), &[("x-api-key", b" k ")], ""), Ok("k".into()));
        assert_eq!(find(header(), &[("x-api-key", b"")], ""), Err("absent"));
        assert_eq!(find(header(), &[("x-api-key", b"k"), ("x-api-key", b"l")], ""), Err("repeated"));

        let cookie = || Place::Cookie("sid".into());
        assert_eq!(find(cookie(), &[("cookie", b"a=1; sid=x=y; b=2")], ""), Ok("x=y".into()));
        assert_eq!(find(cookie(), &[("cookie", b"a=1"), ("cookie", b"sid=\"q\"")], ""), Ok("q".into()));
        assert_eq!(find(cookie(), &[("cookie", b"xsid=1; Sid=2")], ""), Err("absent"));
        assert_eq!(find(cookie(), &[("cookie", b"sid=1; sid=2")], ""), Err("repeated"));
        assert_eq!(find(cookie(), &[("cookie", b"sid=\xff")], ""), Err("unreadable"));
        assert_eq!(find(cookie(), &[("cookie", b"a=\xff; sid=1; b=\xc3\xa9")], ""), Ok("1".into()));

        let query = || Place::Query("key".into());
        assert_eq!(find(query(), &[], "a=1&key=a%2Bb+c"), Ok("a+b c".into()));
        assert_eq!(find(query(), &[], "k%65y=v"), Ok("v".into()));
        assert_eq!(find(query(), &[], "key=1&key=1"), Err("repeated"));
        assert_eq!(find(query(), &[], "key=%ff"), Err("unreadable"));
        assert_eq!(find(query(), &[], "key=%4"), Err("unreadable"));
        assert_eq!(find(query(), &[], "keys=1&key"), Err("absent"));
    }
}
