use super::analysis::{Passed, Requirement, RouteFacts, analyse};
use super::testing::keys;
use crate::source::{FileId, Span};

/// Routes from lines; before the line: `auth` or `open` (by default), `req=N`, `none` (auth none), `block=N`, `on=N`.
pub(super) fn facts(lines: &[&str]) -> Vec<RouteFacts> {
    let (marks, routes): (Vec<_>, Vec<_>) =
        lines.iter().map(|line| line.split_once("| ").unwrap_or(("", line))).unzip();
    let span = |n: usize| Span::new(FileId(0), n, n + 1);
    let facts = keys(&routes).into_iter().zip(marks).enumerate().map(|(at, (key, marks))| {
        let mut facts = RouteFacts {
            name: format!("r{at}"),
            span: span(at),
            block: 0,
            listeners: vec![0],
            anonymous: true,
            silenced: false,
            requires: Vec::new(),
            damaged: false,
            doubtful: false,
            key,
        };
        for mark in marks.split_whitespace() {
            match mark.split_once('=') {
                None if mark == "auth" => facts.anonymous = false,
                None if mark == "none" => facts.silenced = true,
                Some(("req", n)) => {
                    let meaning: u32 = n.parse().unwrap();
                    facts.requires.push(Requirement { span: span(1000 + meaning as usize), meaning });
                }
                Some(("block", n)) => facts.block = n.parse().unwrap(),
                Some(("on", n)) => facts.listeners = vec![n.parse().unwrap()],
                _ => panic!("{mark}"),
            }
        }
        facts
    });
    facts.collect()
}

/// Findings as `CODE later/first REQUEST`, sorted.
fn found(lines: &[&str]) -> Vec<String> {
    let findings = analyse(&facts(lines));
    let mut all = Vec::new();
    for (code, pairs) in [("E0520", findings.same), ("E0521", findings.unreachable), ("E0522", findings.scattered)] {
        all.extend(pairs.into_iter().map(|(at, pair)| format!("{code} {at}/{} {}", pair.first, pair.witness)));
    }
    all.extend(findings.weaker.into_iter().map(|(at, (pair, why))| {
        let why = match why {
            Passed::Type => "type",
            Passed::Method => "method",
            Passed::When => "when",
        };
        format!("E0523 {at}/{} {} {why}", pair.first, pair.witness)
    }));
    all.sort();
    all
}

fn check(lines: &[&str], expected: &[&str]) {
    assert_eq!(found(lines), expected, "{lines:#?}");
}

#[test]
fn routes_that_nothing_tells_apart() {
    check(&["GET /a", "GET /a"], &["E0520 1/0 GET /a"]);
    check(&["GET /a/{x}", "GET,POST /a/{y}"], &["E0520 1/0 GET /a/x"]);
    check(&["ANY /a", "ANY /a"], &["E0520 1/0 GET /a"]);
    check(&["GET h/{rest...}", "GET h,i/{all...}"], &["E0520 1/0 GET http://h/"]);
    check(&["GET {a}.h/x", "GET {b}.h/x"], &["E0520 1/0 GET http://acme.h/x"]);
    check(&["GET /{a: [a-c]+}", "GET /{b: [b-d]+}"], &["E0520 1/0 GET /cc"]);
    check(&["GET /a", "GET /a", "GET /a"], &["E0520 1/0 GET /a", "E0520 2/0 GET /a"]);
}

#[test]
fn routes_that_something_tells_apart() {
    for lines in [
        &["GET /a", "POST /a"][..],
        &["GET /a", "ANY /a"],
        &["GET /a", "GET /a/"],
        &["GET /a ignore", "GET /a/ ignore"],
        &["GET /a", "GET /a when", "GET /a when"],
        &["GET /a", "HEAD /a"],
        &["GET /{a: int}", "GET /{b: uint}", "GET /{c: date}", "GET /{d: [0-9]+}", "GET /{e}"],
        &["GET /{a: v[12]}", "GET /{b: v[34]}"],
        &["GET /a-{x}", "GET /{x}-b", "GET /a-{x}-b"],
        &["GET h/a", "GET i/a", "GET /a", "GET *.h/a", "GET {x}.h/a"],
        &["on=0| GET /a", "on=1| GET /a"],
        &["GET /{a}/b", "GET /a/{b}"],
        &["GET /{rest...}", "GET /", "GET /{a}", "GET /{a}/", "GET /{a}/{b}"],
    ] {
        check(lines, &[]);
    }
}

#[test]
fn routes_that_can_never_be_reached() {
    check(&["GET /{a}/{rest...}", "GET /", "GET /{rest...}"], &["E0521 2/0 GET /x"]);
    check(&["GET /{a}", "GET /{a}/", "GET /{a}/{b}/{rest...}", "GET /", "GET /{rest...}"], &["E0521 4/0 GET /x"]);
    // One form of the slash, one depth, a condition or an empty segment is enough to be reached.
    check(&["GET /{a}", "GET /{a}/{b}/{rest...}", "GET /", "GET /{rest...}"], &[]);
    check(&["GET /{a}/{rest...} when", "GET /", "GET /{rest...}"], &[]);
    check(&["GET /{a}/{rest...}", "GET /", "ANY /{rest...}"], &[]);
    check(&["GET /{a}/{rest...}", "GET /", "GET /{rest...} allow=empty-segments"], &[]);
    check(&["GET /{a: .*}", "GET /{b}"], &[]);
    check(&["on=1| GET /{a}/{rest...}", "GET /", "GET /{rest...}"], &[]);
}

#[test]
fn routes_that_differ_only_in_when() {
    check(&["block=1| GET /a when", "block=2| GET /a when"], &["E0522 1/0 GET /a"]);
    check(&["block=1| GET /a when", "block=2| ANY /a when"], &[]);
    check(&["block=1| GET /a when", "block=2| GET,POST /a when"], &["E0522 1/0 GET /a"]);
    check(&["block=1| GET /a when", "block=2| GET /a"], &[]);
    check(&["block=1| GET h/a when", "block=2| GET /a when"], &[]);
    check(&["block=1| GET /a when", "block=1| GET /a when"], &[]);
}

#[test]
fn falling_through_drops_protection() {
    // By the method, the types, `when`.
    check(&["auth| GET /admin/{rest...}", "ANY /{rest...}"], &["E0523 1/0 POST /admin method"]);
    check(&["auth| ANY /users/{id: int}", "ANY /users/{name}"], &["E0523 1/0 GET /users/x type"]);
    check(&["auth| GET /a when", "GET /a"], &["E0523 1/0 GET /a when"]);
    check(&["auth| GET /a", "ANY /a"], &["E0523 1/0 POST /a method"]);
    // To a route without the host.
    check(&["auth| GET h/a", "ANY /a"], &["E0523 1/0 POST http://h/a method"]);
    // Past one that is as strict.
    check(&["auth| GET /a when", "auth| GET /a when", "GET /a"], &["E0523 2/0 GET /a when"]);
    // A `require` that the other lacks.
    check(&["req=1 req=2| GET /a/{rest...}", "req=2| ANY /{rest...}"], &["E0523 1/0 POST /a method"]);
    check(&["auth req=1| GET /a/{rest...}", "auth| ANY /{rest...}"], &["E0523 1/0 POST /a method"]);
    // A typed route beside a literal.
    check(&["auth| GET /a/{id: uint}", "GET /{b}/me"], &["E0523 1/0 GET /a/me type"]);
    check(&["auth| POST /a/{rest...}", "GET /{b}/c/d"], &["E0523 1/0 GET /a/c/d method"]);
}

#[test]
fn falling_through_that_drops_nothing() {
    for lines in [
        // Nothing is passed over.
        &["auth| ANY /admin/{rest...}", "ANY /{rest...}"][..],
        &["auth| ANY /users/{id: int}", "auth| ANY /users/{name}"],
        // The weaker one is asked first.
        &["GET /a when", "auth| GET /a"],
        // It says so.
        &["auth| GET /admin/{rest...}", "none| ANY /{rest...}"],
        // Routes that share out the methods of one place.
        &["auth| POST /orders", "GET /orders"],
        &["GET /orders", "auth| POST /orders"],
        // A stricter one stands between.
        &["auth| GET /a when", "auth| GET /a", "GET /{x}"],
        &["auth| GET /a/{id: int}", "auth| GET /a/{x}", "GET /{rest...}"],
        // No request fits both.
        &["auth| GET /a/{id: int}", "GET /b/{x}"],
        &["auth| GET h/a", "ANY i/a"],
        &["on=0 auth| GET /a", "on=1| ANY /a"],
        // The same protection.
        &["auth req=1| GET /a", "auth req=1| ANY /a"],
        &["req=1| GET /a", "req=1 req=2| ANY /a"],
    ] {
        check(lines, &[]);
    }
}

#[test]
fn messages_show_both_routes_and_the_request() {
    let mut diagnostics = crate::diagnostic::Diagnostics::default();
    super::check(&facts(&["auth| GET api.x.example/admin/{rest...}", "ANY api.x.example/{rest...}"]), &mut diagnostics);
    let list = diagnostics.into_sorted();
    let [d] = &list[..] else { panic!("{list:?}") };
    assert_eq!(d.message, "requests that `r0` passes over reach `r1` without authentication");
    assert_eq!(d.label, "answers `POST http://api.x.example/admin`");
    assert_eq!(d.labels[0].message, "passed over for `POST http://api.x.example/admin`: it does not serve the method");
    assert_eq!(
        d.help.as_deref(),
        Some("give `r1` the `auth` of `r0`, or, if everyone may use it, write `auth none` in its own block")
    );
}
