//! Any routes, any request: nothing panics, a trace changes nothing, what was normalised is normal, and what was found
//! fits. The first lines are patterns, the last is the request's target.
#![no_main]

use gw::check::routes::{Methods, RouteFacts, RouteKey, check};
use gw::decide::path::{Target, encode_segment, makes_dot_segment, normalise};
use gw::decide::route::{RouteHead, RouteOutcome, RouteTrace, Verdict, route};
use gw::diagnostic::Diagnostics;
use gw::model::ast::{HostHead, HostPattern, Name, ParamType, PathAllow, Pattern, Segment, TrailingSlash};
use gw::plan::router::{Router, nearest};
use gw::source::Span;
use http::Method;
use libfuzzer_sys::fuzz_target;

/// `/a/{int}/x-{}.y/{...}`: the first byte of the line says the rest.
fn key(line: &str, order: u32) -> Option<RouteKey> {
    let bits = line.bytes().next()?;
    let (_, path) = line.split_once('/')?;
    let trailing_slash = path.ends_with('/') || path.is_empty();
    let mut segments: Vec<Segment> = Vec::new();
    for text in path.split('/').filter(|s| !s.is_empty()) {
        if matches!(segments.last(), Some(Segment::Rest(_))) {
            break;
        }
        segments.push(segment(text));
    }
    let host = |head, suffix: &str| HostPattern { head, suffix: suffix.into(), span: Span::default() };
    Some(RouteKey {
        hosts: match bits % 5 {
            0 => vec![host(HostHead::Exact, "h.x")],
            1 => vec![host(HostHead::Wildcard, "x")],
            2 => vec![host(HostHead::Param("t".into()), "x")],
            _ => Vec::new(),
        },
        methods: if bits & 8 == 0 { Methods::any() } else { Methods::of([Method::GET]) },
        pattern: Pattern { segments, trailing_slash, span: Span::default() },
        has_when: bits & 16 != 0,
        order,
        allow: [PathAllow::Semicolon, PathAllow::EncodedSlash, PathAllow::EmptySegments].into_iter().take(usize::from(bits % 4)).collect(),
        trailing_slash: [TrailingSlash::Strict, TrailingSlash::Redirect, TrailingSlash::Ignore][usize::from(bits % 3)],
    })
}

fn segment(text: &str) -> Segment {
    let name = Name { text: "p".into(), span: Span::default() };
    let Some((prefix, rest)) = text.split_once('{') else { return Segment::Literal(text.into()) };
    let (inner, suffix) = rest.split_once('}').unwrap_or((rest, ""));
    let ty = match inner {
        "..." => return Segment::Rest(name),
        "int" => ParamType::Int,
        "uint" => ParamType::Uint,
        "uuid" => ParamType::Uuid,
        "date" => ParamType::Date,
        "re" => ParamType::Matches(regex()),
        _ => ParamType::String,
    };
    Segment::Param { name, ty, prefix: prefix.into(), suffix: suffix.into() }
}

fn regex() -> regex::Regex {
    regex::Regex::new("^(?:[a-c]+|[0-9]{2})$").expect("a regular expression")
}

#[derive(Default)]
struct Heard(Option<u32>);

impl RouteTrace for Heard {
    const ON: bool = true;
    fn candidate(&mut self, route: u32, verdict: Verdict<'_>) {
        if let Verdict::Chosen = verdict {
            assert_eq!(self.0.replace(route), None);
        }
        if let Verdict::PassedOver(reason) = verdict {
            assert!(!reason.to_string().is_empty());
        }
    }
}

fuzz_target!(|text: &str| {
    let (lines, raw) = text.rsplit_once('\n').unwrap_or(("", text));
    let keys: Vec<RouteKey> = lines.lines().take(24).zip(0..).filter_map(|(line, order)| key(line, order)).collect();
    let router = Router::new(keys.iter().zip(0..).map(|(k, i)| (i, k)));

    let Ok(target) = Target::parse(raw) else { return };
    if !makes_dot_segment(target.path) {
        let encoded = format!("/{}", encode_segment(target.path));
        assert!(!encoded[1..].contains('/'));
        let _ = normalise(&encoded);
    }
    if let Ok(path) = normalise(target.path) {
        assert_eq!(normalise(path.as_str()).as_ref(), Ok(&path), "what was normalised is normal");
        let host = target.authority.unwrap_or("h.x");
        for method in [Method::GET, Method::OPTIONS, Method::DELETE] {
            let head = RouteHead { method: &method, host, path: &path, query: target.query };
            let mut heard = Heard::default();
            let quiet = route(&router, &head, |id, _| id % 2 == 0, &mut ());
            let traced = route(&router, &head, |id, _| id % 2 == 0, &mut heard);
            assert_eq!(std::mem::discriminant(&quiet), std::mem::discriminant(&traced));
            if let (RouteOutcome::Found { route: a, captures }, RouteOutcome::Found { route: b, .. }) = (quiet, traced) {
                assert_eq!((a, heard.0), (b, Some(b)));
                assert_eq!(captures.iter().count(), captures.len());
                for slot in 0..captures.len() {
                    assert!(captures.value(slot).is_some(), "a route that fits has all its values");
                }
            }
            nearest(&router, host, &method, path.as_str());
        }
    }

    let facts: Vec<RouteFacts> = keys
        .into_iter()
        .enumerate()
        .take(8)
        .map(|(n, key)| RouteFacts {
            anonymous: key.pattern.segments.len() % 2 == 0,
            key,
            span: Span::default(),
            name: n.to_string(),
            block: n as u32,
            listeners: vec![0],
            silenced: false,
            requires: Vec::new(),
        })
        .collect();
    check(&facts, &mut Diagnostics::default());
});
