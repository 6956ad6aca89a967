//! Routes from lines of text.

use gw::check::routes::{Methods, RouteKey};
use gw::model::ast::{HostHead, HostPattern, Name, ParamType, PathAllow, Pattern, Segment, TrailingSlash};
use gw::source::Span;
use http::Method;

/// `/a/{int}/x-{}.y/{...}`: the first byte of the line says the rest.
pub fn key(line: &str, order: u32) -> Option<RouteKey> {
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
        allow: [PathAllow::Semicolon, PathAllow::EncodedSlash, PathAllow::EmptySegments]
            .into_iter()
            .take(usize::from(bits % 4))
            .collect(),
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
