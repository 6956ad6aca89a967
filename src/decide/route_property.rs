//! The router against section 4 of the language, written down a second time as plainly as possible: all routes are
//! looked at for each request, and those that fit are sorted.

use super::tests::outcome;
use crate::check::routes::RouteKey;
use crate::check::routes::testing::keys;
use crate::decide::path::normalise;
use crate::model::ast::{HostHead, ParamType, Segment, TrailingSlash};
use crate::plan::router::Router;
use http::Method;
use proptest::prelude::*;

/// How a host pattern fits a host: smaller is more specific.
fn host_fit(head: &HostHead, suffix: &str, host: &str) -> Option<(u8, isize, u8)> {
    let labels = suffix.split('.').count() as isize;
    match head {
        HostHead::Exact => (host == suffix).then_some((0, 0, 0)),
        HostHead::Param(_) | HostHead::Wildcard => {
            let before = host.strip_suffix(suffix)?.strip_suffix('.')?;
            let one = matches!(head, HostHead::Param(_));
            (!(before.is_empty() || one && before.contains('.'))).then_some((1, -labels, u8::from(!one)))
        }
    }
}

/// Literal 0, affixed 1, typed 2, plain 3, rest 4; then how narrow.
fn segment_rank(segment: &Segment) -> (u8, (isize, isize, u8)) {
    match segment {
        Segment::Literal(_) => (0, (0, 0, 0)),
        Segment::Rest(_) => (4, (0, 0, 0)),
        Segment::Param { ty, prefix, suffix, .. } => {
            let class = if !(prefix.is_empty() && suffix.is_empty()) {
                1
            } else if matches!(ty, ParamType::String) {
                3
            } else {
                2
            };
            let ty = ["Date", "Uuid", "Uint", "Int", "Matches", "String"]
                .iter()
                .position(|n| format!("{ty:?}").starts_with(n))
                .unwrap();
            (class, (-((prefix.len() + suffix.len()) as isize), -(prefix.len() as isize), ty as u8))
        }
    }
}

/// Whether the pattern fits, types left out and types included; and whether in the other form of the slash.
fn path_fit(key: &RouteKey, path: &str) -> Option<(bool, bool)> {
    let rest = matches!(key.pattern.segments.last(), Some(Segment::Rest(_)));
    let fixed = &key.pattern.segments[..key.pattern.segments.len() - usize::from(rest)];
    let mut parts: Vec<&str> = path[1..].split('/').collect();
    let slash = parts.last() == Some(&"");
    if slash {
        parts.pop();
    }
    let other = slash != key.pattern.trailing_slash;
    let wrong_slash = !rest && other && (key.trailing_slash != TrailingSlash::Ignore || fixed.is_empty());
    if parts.len() < fixed.len() || (!rest && parts.len() > fixed.len()) || wrong_slash {
        return None;
    }
    let mut types = true;
    for (segment, part) in fixed.iter().zip(&parts) {
        match segment {
            Segment::Literal(text) if text == part => {}
            Segment::Literal(_) | Segment::Rest(_) => return None,
            Segment::Param { ty, prefix, suffix, .. } => {
                if part.len() <= prefix.len() + suffix.len()
                    || !part.starts_with(prefix.as_str())
                    || !part.ends_with(suffix.as_str())
                {
                    return None;
                }
                let value = &part[prefix.len()..part.len() - suffix.len()];
                types &= match ty {
                    ParamType::String => true,
                    ParamType::Int => value.parse::<i64>().is_ok_and(|n| n.to_string() == value),
                    ParamType::Uint => value.parse::<i64>().is_ok_and(|n| n >= 0 && n.to_string() == value),
                    ParamType::Matches(regex) => regex.is_match(value),
                    ParamType::Uuid | ParamType::Date => unreachable!(),
                };
            }
        }
    }
    Some((types, !rest && other))
}

/// The outcome, from the text of section 4.
fn reference(keys: &[RouteKey], request: &str, holds: bool) -> String {
    let (method, url) = request.split_once(' ').unwrap();
    let (host, path) = url.split_at(url.find('/').unwrap());
    let method: Method = method.parse().unwrap();
    // 1. The host.
    let decides = keys
        .iter()
        .flat_map(|k| &k.hosts)
        .filter_map(|p| Some((host_fit(&p.head, &p.suffix, host)?, p)))
        .min_by_key(|(fit, _)| *fit);
    let own = |k: &RouteKey| {
        decides.as_ref().is_some_and(|(_, d)| {
            k.hosts
                .iter()
                .any(|p| p.suffix == d.suffix && std::mem::discriminant(&p.head) == std::mem::discriminant(&d.head))
        })
    };
    let candidates = |path: &str| {
        let mut list: Vec<_> = keys
            .iter()
            .enumerate()
            .filter(|(_, k)| k.hosts.is_empty() || own(k))
            .filter_map(|(at, k)| {
                let (types, other) = path_fit(k, path)?;
                let (classes, narrow): (Vec<_>, Vec<_>) = k.pattern.segments.iter().map(segment_rank).unzip();
                let rank = (
                    k.hosts.is_empty(),
                    classes,
                    narrow,
                    other,
                    k.methods.is_any(),
                    !k.has_when,
                    !k.methods.names(&Method::HEAD),
                    k.order,
                );
                Some((rank, at, types))
            })
            .collect();
        list.sort();
        list.into_iter().map(|(_, at, types)| (at, types)).collect::<Vec<_>>()
    };
    let flags = if path.contains("//") { 1 } else { 0 } + if path.contains(';') { 2 } else { 0 };
    let allows = |k: &RouteKey, flag| {
        flags & flag == 0
            || k.allow.contains(if flag == 1 {
                crate::model::ast::PathAllow::EmptySegments
            } else {
                crate::model::ast::PathAllow::Semicolon
            })
    };
    let answers =
        |(at, types): &(usize, bool)| *types && keys[*at].methods.serves(&method) && (!keys[*at].has_when || holds);
    let list = candidates(path);
    if let Some((at, _)) = list.iter().find(|c| answers(c)) {
        return match (allows(&keys[*at], 1), allows(&keys[*at], 2)) {
            (true, true) => at.to_string(),
            (false, _) => "400 NotAllowed(EmptySegments)".into(),
            (_, false) => "400 NotAllowed(Semicolon)".into(),
        };
    }
    match flags {
        0 => {}
        2 => return "400 NotAllowed(Semicolon)".into(),
        _ => return "400 NotAllowed(EmptySegments)".into(),
    }
    if path != "/" {
        let other = path.strip_suffix('/').map_or_else(|| format!("{path}/"), str::to_owned);
        let redirects = |at: usize| {
            keys[at].trailing_slash == TrailingSlash::Redirect
                && !matches!(keys[at].pattern.segments.last(), Some(Segment::Rest(_)))
        };
        if candidates(&other).iter().any(|c| redirects(c.0) && answers(c)) {
            return format!("308 {other}");
        }
    }
    let fitting: Vec<_> = list.iter().filter(|(_, types)| *types).map(|(at, _)| &keys[*at]).collect();
    if fitting.is_empty() {
        "404".into()
    } else if method == Method::OPTIONS {
        "204".into()
    } else if fitting.iter().any(|k| k.methods.serves(&method)) {
        "404".into()
    } else {
        "405".into()
    }
}

fn segment() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => prop::sample::select(vec!["a", "b", "1", "a1"]).prop_map(str::to_owned),
        3 => prop::sample::select(vec!["{x}", "{x: int}", "{x: uint}", "{x: [ab1]+}", "a{x}", "a{x: int}", "{x}b", "a{x}b"]).prop_map(str::to_owned),
    ]
}

fn route_line() -> impl Strategy<Value = String> {
    let hosts = prop::sample::select(vec!["", "", "", "h.x", "*.x", "{t}.x", "*.h.x", "h.x,k.x", "*.x,h.x"]);
    let methods = prop::sample::select(vec!["GET", "POST", "GET,POST", "ANY", "HEAD", "PURGE", "OPTIONS"]);
    let end = prop::sample::select(vec!["", "", "/", "/{rest...}"]);
    let flags = prop::sample::select(vec![
        "",
        "",
        "",
        " when",
        " redirect",
        " ignore",
        " allow=semicolon",
        " allow=empty-segments when",
        " ignore when",
    ]);
    (methods, hosts, prop::collection::vec(segment(), 0..4), end, flags).prop_map(
        |(methods, host, segments, end, flags)| {
            let path: String = segments.iter().map(|s| format!("/{s}")).collect();
            let end = if path.is_empty() && end.is_empty() { "/" } else { end };
            format!("{methods} {host}{path}{end}{flags}")
        },
    )
}

fn request() -> impl Strategy<Value = String> {
    let part = prop::sample::select(vec!["a", "b", "1", "-1", "01", "a1", "ab", "aab", "z", "a;b", ""]);
    let methods = prop::sample::select(vec!["GET", "GET", "POST", "HEAD", "PURGE", "OPTIONS", "DELETE"]);
    let hosts = prop::sample::select(vec!["h.x", "k.x", "x", "a.h.x", "a.k.x", "other"]);
    (methods, hosts, prop::collection::vec(part, 0..5), any::<bool>()).prop_map(|(method, host, parts, slash)| {
        let path: String = parts.iter().map(|p| format!("/{p}")).collect();
        format!("{method} {host}{path}{}", if slash || path.is_empty() { "/" } else { "" })
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn the_router_is_what_the_language_says(
        lines in prop::collection::vec(route_line(), 0..12),
        requests in prop::collection::vec(request(), 1..12),
        holds in any::<bool>(),
    ) {
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        let keys = keys(&lines);
        let router = Router::new(keys.iter().zip(0..).map(|(k, i)| (i, k)));
        for request in &requests {
            let path = &request[request.find('/').unwrap()..];
            prop_assert!(normalise(path).is_ok_and(|n| n.as_str() == path));
            let got = outcome(&router, request, holds, &mut ());
            let traced = outcome(&router, request, holds, &mut super::tests::Heard::default());
            prop_assert_eq!(&got, &traced, "a trace changes nothing: {}", request);
            let expected = reference(&keys, request, holds);
            // Parameters and `Allow` are compared elsewhere.
            let short = if got.starts_with("400") || got.starts_with("308") { &got[..] } else { got.split(' ').next().unwrap() };
            prop_assert_eq!(short, &expected[..], "{} among {:#?}", request, lines);
        }
    }
}
