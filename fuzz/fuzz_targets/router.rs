//! Any routes, any request: nothing panics, a trace changes nothing, what was normalised is normal, and what was found
//! fits. The first lines are patterns, the last is the request's target.
#![no_main]

use gw::check::routes::{RouteFacts, RouteKey, check};
use gw::decide::path::{Target, encode_segment, makes_dot_segment, normalise};
use gw::decide::route::{RouteHead, RouteOutcome, RouteTrace, Verdict, route};
use gw::diagnostic::Diagnostics;
use gw::plan::router::{Router, nearest};
use gw::source::Span;
use http::Method;
use libfuzzer_sys::fuzz_target;

mod keys;

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
    let keys: Vec<RouteKey> =
        lines.lines().take(24).zip(0..).filter_map(|(line, order)| keys::key(line, order)).collect();
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
            if let (RouteOutcome::Found { route: a, captures }, RouteOutcome::Found { route: b, .. }) = (quiet, traced)
            {
                assert_eq!((a, heard.0), (b, Some(b)));
                assert_eq!(captures.iter().count(), captures.len());
                for slot in 0..captures.len() {
                    assert!(captures.value(slot).is_some(), "a route that fits has all its values");
                }
            }
            nearest(&router, host, &method, path.as_str(), None);
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
            damaged: false,
            doubtful: false,
        })
        .collect();
    check(&facts, &mut Diagnostics::default());
});
