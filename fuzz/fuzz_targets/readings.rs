//! Routes of which some are protected, and a path: where an open route answers, no server that reads the path in one of the
//! known other ways finds the path of a protected route in it.
//!
//! The first lines are patterns (a line that begins in upper case is protected), the last is the request's target.
#![no_main]

use gw::check::routes::RouteKey;
use gw::decide::path::{Normalised, Target, encode_segment, normalise};
use gw::decide::route::{RouteHead, RouteOutcome, RouteTrace, Verdict, route};
use gw::model::ast::{Segment, TrailingSlash};
use gw::plan::router::Router;
use http::Method;
use libfuzzer_sys::fuzz_target;

mod keys;

struct Loud;

impl RouteTrace for Loud {
    const ON: bool = true;
    fn candidate(&mut self, _: u32, verdict: Verdict<'_>) {
        if let Verdict::PassedOver(reason) = verdict {
            assert!(!reason.to_string().is_empty());
        }
    }
}

/// A server behind the gateway: what it does to a path before it looks for whose it is.
#[derive(Clone, Copy, Debug)]
struct Server {
    decodes: usize,
    backslashes: bool,
    parameters: bool,
    lower: bool,
    trims: bool,
}

impl Server {
    fn all() -> impl Iterator<Item = Server> {
        (0..64u8).map(|bits| Server {
            decodes: usize::from(bits % 4),
            backslashes: bits & 4 != 0,
            parameters: bits & 8 != 0,
            lower: bits & 16 != 0,
            trims: bits & 32 != 0,
        })
    }

    /// The path that it serves, in the gateway's own form.
    fn reads(self, path: &str) -> Option<String> {
        let mut path = path.to_owned();
        for _ in 0..self.decodes {
            path = decoded(&path)?;
        }
        if self.backslashes {
            path = path.replace('\\', "/");
        }
        if self.lower {
            path.make_ascii_lowercase();
        }
        let slash = path.ends_with('/');
        let mut out: Vec<&str> = Vec::new();
        for mut segment in path.split('/') {
            if self.parameters {
                segment = segment.split(';').next().unwrap_or_default();
            }
            if self.trims && !matches!(segment, "." | "..") {
                segment = segment.trim_end_matches([' ', '.']);
            }
            match segment {
                "" | "." => {}
                ".." => drop(out.pop()),
                _ => out.push(segment),
            }
        }
        let encoded: String = out.iter().map(|segment| format!("/{}", encode_segment(segment))).collect();
        Some(if slash || encoded.is_empty() { encoded + "/" } else { encoded })
    }
}

/// One layer of percent-encoding; what is none stays.
fn decoded(path: &str) -> Option<String> {
    let mut out = Vec::new();
    let mut rest = path.as_bytes();
    while let [byte, behind @ ..] = rest {
        let hex = |at: usize| behind.get(at).and_then(|b| char::from(*b).to_digit(16));
        match (byte, hex(0), hex(1)) {
            (b'%', Some(high), Some(low)) => {
                out.push((high << 4 | low) as u8);
                rest = &behind[2..];
            }
            _ => {
                out.push(*byte);
                rest = behind;
            }
        }
    }
    String::from_utf8(out).ok()
}

/// Literals as a server compares them, so that a pattern is what it says.
fn is_plain(key: &RouteKey) -> bool {
    let plain = |text: &str| text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    key.pattern.segments.iter().all(|segment| match segment {
        Segment::Literal(text) => plain(text),
        Segment::Param { prefix, suffix, .. } => plain(prefix) && plain(suffix),
        Segment::Rest(_) => true,
    })
}

fn same_but_for_spelling(a: &RouteKey, b: &RouteKey) -> bool {
    let (a, b) = (&a.pattern.segments, &b.pattern.segments);
    a.len() == b.len()
        && a.iter().zip(b).all(|(a, b)| match (a, b) {
            (Segment::Literal(a), Segment::Literal(b)) => a == b,
            (Segment::Param { .. }, Segment::Param { .. }) | (Segment::Rest(_), Segment::Rest(_)) => true,
            _ => false,
        })
}

/// The path as it is fits the route.
fn meets(key: &RouteKey, head: &RouteHead<'_, '_>) -> bool {
    let key = RouteKey { has_when: false, methods: gw::check::routes::Methods::any(), ..key.clone() };
    let alone = Router::new([(0, &key)]);
    matches!(route(&alone, head, |_, _| true, &mut ()), RouteOutcome::Found { .. } | RouteOutcome::BadPath(_))
}

fuzz_target!(|text: &str| {
    let (lines, raw) = text.rsplit_once('\n').unwrap_or(("", text));
    let lines: Vec<&str> = lines.lines().take(12).collect();
    let (mut keys, mut classes) = (Vec::new(), Vec::new());
    for line in lines {
        if let Some(key) = keys::key(line, keys.len() as u32) {
            keys.push(RouteKey { trailing_slash: TrailingSlash::Ignore, ..key });
            classes.push(u16::from(line.starts_with(|c: char| c.is_ascii_uppercase())));
        }
    }
    let router = Router::new((0..).zip(&keys)).protecting(classes.clone().into(), |a, b| a < b);
    let Ok(target) = Target::parse(raw) else { return };
    let Ok(path) = normalise(target.path) else { return };
    let host = target.authority.unwrap_or("h.x");
    let method = Method::GET;
    let asks = |path: &Normalised<'_>| {
        let head = RouteHead { method: &method, host, path, query: None };
        let quiet = route(&router, &head, |id, _| id % 2 == 0, &mut ());
        let traced = route(&router, &head, |id, _| id % 2 == 0, &mut Loud);
        assert_eq!(std::mem::discriminant(&quiet), std::mem::discriminant(&traced));
        match quiet {
            RouteOutcome::Found { route, .. } => Some(route),
            _ => None,
        }
    };
    let Some(chosen) = asks(&path) else { return };
    if classes[chosen as usize] == 1 || !keys.iter().all(is_plain) {
        return;
    }
    for server in Server::all() {
        let Some(read) = server.reads(path.as_str()) else { continue };
        let Ok(read) = normalise(&read) else { continue };
        let Some(other) = asks(&read) else { continue };
        let (own, key) = (&keys[chosen as usize], &keys[other as usize]);
        let head = RouteHead { method: &method, host, path: &path, query: None };
        if classes[other as usize] == 1 && !same_but_for_spelling(own, key) && !meets(key, &head) {
            panic!("{server:?} reads {:?} as {:?}: {} instead of {}", path.as_str(), read.as_str(), other, chosen);
        }
    }
});
