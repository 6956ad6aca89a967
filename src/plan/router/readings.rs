//! Paths as servers behind the gateway may read them, for routers in which one route is less protected than another.
//!
//! The gateway reads a path in one way (RFC 3986). Servers also decode twice, compare without case, cut off `;x`, spaces and
//! dots, join slashes. Where such a reading of a path that an open route answers belongs to a route that asks for more, the
//! service behind the open route might be the one that was to be protected.

use super::{Candidate, Route, Router, Split};
use crate::check::routes::RouteKey;
use crate::check::routes::hosts::host_name;
use crate::check::routes::order::class;
use crate::check::routes::tables::Tables;
use crate::model::ast::{Segment, TrailingSlash};
use crate::model::percent::{Octet, octets};
use http::Method;
use std::ops::ControlFlow;

/// Percent-encoding is taken off so many times.
const LAYERS: usize = 8;

/// The routes of a router, their literals as servers may compare them, and which of them protect less than others.
#[derive(Debug)]
pub struct Readings {
    tables: Tables,
    /// By id of the route.
    classes: Box<[u16]>,
    /// By class: protects less than the class in the same place of the list.
    weaker: Box<[Box<[bool]>]>,
}

impl Readings {
    /// `classes` gives each route its kind of protection; `weaker(a, b)` says that `a` asks for less than `b` does, or has
    /// something that `b` lacks. Nothing where no kind is weaker than another.
    pub(super) fn new(routes: &[Route], classes: &[u16], weaker: impl Fn(u16, u16) -> bool) -> Option<Readings> {
        let count = classes.iter().max().map_or(0, |max| max + 1);
        let weaker: Box<[Box<[bool]>]> = (0..count).map(|a| (0..count).map(|b| weaker(a, b)).collect()).collect();
        if !weaker.iter().any(|row| row.contains(&true)) {
            return None;
        }
        let folded: Vec<_> = routes.iter().map(|route| (route.id, folded(&route.key))).collect();
        let mut by_id = vec![0; routes.last().map_or(0, |last| last.id as usize + 1)];
        for (route, class) in routes.iter().zip(classes) {
            by_id.get_mut(route.id as usize).into_iter().for_each(|place| *place = *class);
        }
        let tables = Tables::new(folded.iter().map(|(id, key)| (*id, key)));
        Some(Readings { tables, classes: by_id.into(), weaker })
    }

    fn is_weaker(&self, a: u32, b: u32) -> bool {
        let class = |at: u32| self.classes.get(at as usize).map(|class| usize::from(*class));
        let row = class(a).and_then(|a| self.weaker.get(a));
        row.and_then(|row| row.get(class(b)?)).is_some_and(|weaker| *weaker)
    }

    /// Some route is better protected than this one.
    fn is_weak(&self, route: u32) -> bool {
        let row = self.classes.get(route as usize).and_then(|class| self.weaker.get(usize::from(*class)));
        row.is_some_and(|row| row.contains(&true))
    }
}

impl Router {
    /// Where `chosen` answers a path that a server may read as one of a better protected route: that route.
    #[inline]
    pub fn misread(&self, host: &str, path: &Split, method: &Method, chosen: &Candidate) -> Option<&Route> {
        let readings = self.readings.as_deref()?;
        if !readings.is_weak(chosen.route) || has_one_reading(path.path()) {
            return None;
        }
        self.other_reading(readings, host, path, method, chosen)
    }

    #[cold]
    fn other_reading(
        &self,
        readings: &Readings,
        host: &str,
        path: &Split,
        method: &Method,
        chosen: &Candidate,
    ) -> Option<&Route> {
        let name = host_name(host);
        let own = readings.tables.hosts.find(&name).map(|(trie, _)| trie);
        let tries = own.into_iter().chain([&readings.tables.any_host]);
        others(path.path()).into_iter().find_map(|plain| {
            let folded = plain.to_ascii_lowercase();
            let (plain, folded) = (Split::new(&plain), Split::new(&folded));
            let mut ask = |candidate: &Candidate| {
                if candidate.route == chosen.route {
                    return ControlFlow::Break(None);
                }
                let stricter = readings.is_weaker(chosen.route, candidate.route)
                    && candidate.serves(method)
                    && candidate.fits_folded(&folded, &plain)
                    && !self.meets(host, path, candidate.route)
                    && !self.tells_apart(chosen.route, candidate.route);
                if stricter { ControlFlow::Break(Some(candidate.route)) } else { ControlFlow::Continue(()) }
            };
            let found = tries.clone().try_for_each(|trie| trie.walk(&folded, &mut ask));
            self.route(found.break_value()??)
        })
    }

    /// The path as it is fits the route: what kept it from answering is the method or its `when`.
    fn meets(&self, host: &str, path: &Split, route: u32) -> bool {
        self.host(host)
            .walk(path, |candidate| match candidate.route == route && candidate.fits(path) {
                true => ControlFlow::Break(()),
                false => ControlFlow::Continue(()),
            })
            .is_break()
    }

    /// Both are written, and differ in nothing but spelling: that is meant.
    fn tells_apart(&self, a: u32, b: u32) -> bool {
        let segments = |at: u32| self.route(at).map(|route| folded(&route.key).pattern.segments);
        let (Some(a), Some(b)) = (segments(a), segments(b)) else { return false };
        a.len() == b.len()
            && a.iter().zip(&b).all(|(a, b)| match (a, b) {
                (Segment::Literal(a), Segment::Literal(b)) => a == b,
                _ => class(a) == class(b),
            })
    }
}

/// A key whose literals are as [`read`] gives them, in lower case, and that takes both forms of the trailing slash.
fn folded(key: &RouteKey) -> RouteKey {
    let fold = |text: &str| String::from_utf8_lossy(&unquoted(text.as_bytes())).to_ascii_lowercase();
    let mut key = key.clone();
    for segment in &mut key.pattern.segments {
        match segment {
            Segment::Literal(text) => *text = fold(text).into(),
            Segment::Param { prefix, suffix, .. } => {
                (*prefix, *suffix) = (fold(prefix).into(), fold(suffix).into());
            }
            Segment::Rest(_) => {}
        }
    }
    key.trailing_slash = TrailingSlash::Ignore;
    key
}

/// No server reads the path differently, as far as is known.
fn has_one_reading(path: &str) -> bool {
    let mut before = 0;
    let odd = path.bytes().any(|b| {
        let odd = matches!(b, b'A'..=b'Z' | b'%' | b';' | b'$') || (b == b'/' && matches!(before, b'.' | b'/'));
        before = b;
        odd
    });
    !odd && (path.len() == 1 || !matches!(before, b'.' | b'/'))
}

/// What servers may read: layer by layer of percent-encoding, with and without what a `?`, `#` or NUL in it cuts off.
fn others(path: &str) -> Vec<String> {
    let mut readings = Vec::new();
    let mut bytes = path.as_bytes().to_vec();
    for _ in 0..LAYERS {
        let decoded = unquoted(&bytes);
        let text = String::from_utf8_lossy(&decoded);
        let cut = text.find(['?', '#', '\0']).and_then(|at| text.get(..at));
        for (text, dots) in [Some(&*text), cut].into_iter().flatten().flat_map(|text| [(text, true), (text, false)]) {
            let reading = read(text, dots);
            if !readings.contains(&reading) {
                readings.push(reading);
            }
        }
        if decoded == bytes {
            break;
        }
        bytes = decoded;
    }
    readings
}

/// A decoded path: what looks like a slash, dot or letter is one, what stands behind `;` or `::$`, and white space and dots at
/// the end of a segment, are nothing; dot segments are resolved if `dots` says so, empty ones left out. It begins with a slash
/// and ends in none.
fn read(text: &str, dots: bool) -> String {
    let plain = |c: char| match c {
        '\\' | '\u{2215}' | '\u{2044}' | '\u{ff3c}' => Some('/'),
        '\u{2024}' => Some('.'),
        '\u{ff01}'..='\u{ff5e}' => char::from_u32(u32::from(c).wrapping_sub(0xfee0)),
        _ if c.is_control() => None,
        _ => Some(c),
    };
    let text: String = text.chars().filter_map(plain).collect();
    let mut segments: Vec<&str> = Vec::new();
    for segment in text.split('/') {
        let end = [segment.find(';'), segment.find("::$")].into_iter().flatten().min();
        let segment = segment.get(..end.unwrap_or(segment.len())).unwrap_or_default().trim();
        match segment {
            ".." if dots => drop(segments.pop()),
            ".." => segments.push(segment),
            _ => segments.push(segment.trim_end_matches(['.', ' '])),
        }
        segments.pop_if(|last| last.is_empty());
    }
    format!("/{}", segments.join("/"))
}

/// Percent-encoding taken off once; what is none stays. Overlong UTF-8 is what sloppy decoders take it for.
fn unquoted(bytes: &[u8]) -> Vec<u8> {
    let mut out: Vec<u8> = Vec::with_capacity(bytes.len());
    for byte in octets(bytes).map(Octet::byte) {
        match out.last() {
            Some(0xc0..=0xc1) if byte & 0xc0 == 0x80 => {
                let lead = out.pop().unwrap_or_default();
                out.push(lead << 6 | byte & 0x3f);
            }
            _ => out.push(byte),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::routes::testing::keys;

    #[test]
    fn most_paths_have_one_reading() {
        for path in ["/", "/a", "/a/b.c/d-e_f~1", "/.well-known/x", "/a..b", "/a:b@c", "/report-2024-01-01.csv"] {
            assert!(has_one_reading(path), "{path}");
        }
        for path in ["/A", "/a/", "/a%20", "/a;b", "//a", "/a.", "/a./b", "/a::$data"] {
            assert!(!has_one_reading(path), "{path}");
        }
    }

    #[test]
    fn who_ignores_case_does_so_in_types() {
        let refused = |protected: &str, path: &str| {
            let keys = keys(&["GET /{x}", protected]);
            let router = Router::new((0..).zip(&keys)).protecting([0, 1].into(), |a, b| a < b);
            let path = Split::new(path);
            let open = router.host("h").walk(&path, |candidate| match candidate.fits(&path) {
                true => ControlFlow::Break(candidate),
                false => ControlFlow::Continue(()),
            });
            open.break_value().is_some_and(|open| router.misread("h", &path, &Method::GET, open).is_some())
        };
        assert!(refused("GET /{x: [a-c]+}", "/Aa"));
        assert!(refused("GET /{x: A[a-c]+}", "/Aa%20"));
        assert!(!refused("GET /{x: [a-c]+}", "/Ad"));
        assert!(!refused("GET /{x: int}", "/Aa"));
    }

    #[test]
    fn servers_read_more_than_is_written() {
        for (path, reading) in [
            ("/ADMIN", "/ADMIN"),
            ("/admin/", "/admin"),
            ("/admin%3Bx", "/admin"),
            ("/admin%3Fx", "/admin"),
            ("/x/%252e%252e/admin", "/admin"),
            ("/%2561dmin", "/admin"),
            ("/%25%36%31dmin", "/admin"),
            ("/x%252f..%252fadmin", "/admin"),
            ("/%255cadmin", "/admin"),
            ("/admin%20", "/admin"),
            ("/admin.", "/admin"),
            ("/admin::$DATA", "/admin"),
            ("/%EF%BD%81dmin", "/admin"),
            ("/%EF%BC%8Fadmin", "/admin"),
            ("/%25c1%25a1dmin", "/admin"),
            ("/x/%25c0%25ae%25c0%25ae/admin", "/admin"),
            ("/admin%2500.png", "/admin"),
            ("/a%3Ab", "/a:b"),
            ("/a/", "/a"),
            ("/%2E%2E%2E", "/"),
        ] {
            assert!(others(path).iter().any(|other| other == reading), "{path}: {:?}", others(path));
        }
    }
}
