//! Routes written in a line, for tests: `GET,POST api.x.example/orders/{id: int} when ignore allow=semicolon`.

use super::{Methods, RouteKey};
use crate::model::ast::{HostHead, HostPattern, Name, ParamType, PathAllow, Pattern, Segment, TrailingSlash};
use crate::source::Span;
use http::Method;

/// A route from its line; `order` is its place.
pub(crate) fn key(line: &str, order: u32) -> RouteKey {
    let (methods, rest) = line.trim().split_once(' ').unwrap();
    let slash = rest.find('/').unwrap();
    let (hosts, rest) = rest.split_at(slash);
    let end = pattern_end(rest);
    let (path, flags) = rest.split_at(end);
    let mut key = RouteKey {
        hosts: hosts.split_terminator(',').map(host).collect(),
        methods: match methods {
            "ANY" => Methods::any(),
            list => Methods::of(list.split(',').map(|m| Method::from_bytes(m.as_bytes()).unwrap())),
        },
        pattern: pattern(path),
        has_when: false,
        order,
        allow: Default::default(),
        trailing_slash: TrailingSlash::Strict,
    };
    for flag in flags.split_whitespace() {
        match flag {
            "when" => key.has_when = true,
            "redirect" => key.trailing_slash = TrailingSlash::Redirect,
            "ignore" => key.trailing_slash = TrailingSlash::Ignore,
            "allow=encoded-slash" => key.allow = key.allow.with(PathAllow::EncodedSlash),
            "allow=empty-segments" => key.allow = key.allow.with(PathAllow::EmptySegments),
            "allow=semicolon" => key.allow = key.allow.with(PathAllow::Semicolon),
            other => panic!("{other}"),
        }
    }
    key
}

fn pattern_end(text: &str) -> usize {
    let mut depth = 0;
    text.find(|c| {
        depth += i32::from(c == '{') - i32::from(c == '}');
        c == ' ' && depth == 0
    })
    .unwrap_or(text.len())
}

/// Routes from lines, in their order.
pub(crate) fn keys(lines: &[&str]) -> Vec<RouteKey> {
    lines.iter().zip(0..).map(|(line, order)| key(line, order)).collect()
}

fn host(text: &str) -> HostPattern {
    let (head, suffix) = match text.split_once('.') {
        Some(("*", suffix)) => (HostHead::Wildcard, suffix),
        Some((name, suffix)) if name.starts_with('{') => {
            (HostHead::Param(name.trim_matches(['{', '}']).into()), suffix)
        }
        _ => (HostHead::Exact, text),
    };
    HostPattern { head, suffix: suffix.into(), span: Span::default() }
}

pub(crate) fn pattern(text: &str) -> Pattern {
    let mut segments: Vec<_> = text[1..].split('/').map(segment).collect();
    let trailing_slash = text.ends_with('/');
    if trailing_slash {
        segments.pop();
    }
    Pattern { segments, trailing_slash, span: Span::default() }
}

fn segment(text: &str) -> Segment {
    let Some((prefix, rest)) = text.split_once('{') else { return Segment::Literal(text.into()) };
    let (inner, suffix) = rest.rsplit_once('}').unwrap();
    let name = |n: &str| Name { text: n.into(), span: Span::default() };
    if let Some(rest) = inner.strip_suffix("...") {
        return Segment::Rest(name(rest));
    }
    let (n, ty) = inner.split_once(": ").unwrap_or((inner, "string"));
    let ty = match ty {
        "string" => ParamType::String,
        "int" => ParamType::Int,
        "uint" => ParamType::Uint,
        "uuid" => ParamType::Uuid,
        "date" => ParamType::Date,
        regex => ParamType::Matches(regex::Regex::new(&format!("^(?:{regex})$")).unwrap()),
    };
    Segment::Param { name: name(n), ty, prefix: prefix.into(), suffix: suffix.into() }
}
