//! The analysis against brute force: every request of a small world, with every `when` both ways.

use super::analysis::{RouteFacts, Witness, analyse};
use super::fit::Split;
use super::params::{Misfit, misfit};
use super::tables::Tables;
use super::tests::facts;
use http::Method;
use proptest::prelude::*;
use std::collections::BTreeSet;
use std::ops::ControlFlow;

const VALUES: [&str; 7] = ["a", "b", "1", "7", "-1", "zz", "azz"];
const METHODS: [Method; 4] = [Method::GET, Method::POST, Method::HEAD, Method::DELETE];

/// Paths of up to three segments, with and without a slash at the end.
fn paths() -> Vec<String> {
    let mut heads = vec![String::new()];
    let mut level = heads.clone();
    for values in [&VALUES[..], &VALUES, &["a", "zz"]] {
        level = level.iter().flat_map(|h| values.iter().map(move |v| format!("{h}/{v}"))).collect();
        heads.extend(level.iter().cloned());
    }
    heads.into_iter().flat_map(|h| [h.clone(), h + "/"]).filter(|p| !p.is_empty()).collect()
}

/// The routes that are asked, in order: number and whether the types fit.
fn asked(routes: &[RouteFacts], tables: &Tables, host: Option<&str>, path: &str) -> Vec<(usize, bool)> {
    let split = Split::new(path);
    let mut list = Vec::new();
    let own = host.and_then(|h| tables.hosts.find(h)).map(|(trie, _)| trie);
    for trie in own.into_iter().chain([&tables.any_host]) {
        let _ = trie.walk(&split, &mut |c| {
            let route = c.route as usize;
            match misfit(&routes[route].key.pattern, &split) {
                Some(Misfit::Affix) => {}
                misfit => list.push((route, misfit.is_none())),
            }
            ControlFlow::<()>::Continue(())
        });
    }
    list
}

struct World<'a> {
    routes: &'a [RouteFacts],
    tables: Tables,
    /// The same with the order of the source turned round.
    turned: Tables,
}

impl<'a> World<'a> {
    fn new(routes: &'a [RouteFacts], some: &[usize]) -> World<'a> {
        let keys: Vec<_> = some.iter().map(|at| (*at as u32, routes[*at].key.clone())).collect();
        let mut back = keys.clone();
        back.iter_mut().for_each(|(_, k)| k.order = 1_000 - k.order);
        let tables = |keys: &[(u32, super::RouteKey)]| Tables::new(keys.iter().map(|(at, k)| (*at, k)));
        World { routes, tables: tables(&keys), turned: tables(&back) }
    }

    /// Who answers, and who was passed over before, where `holds` says which `when`s do.
    fn answer(&self, turned: bool, w: &Witness, holds: &dyn Fn(usize) -> bool) -> (Option<usize>, Vec<usize>) {
        let mut passed = Vec::new();
        let tables = if turned { &self.turned } else { &self.tables };
        for (at, types) in asked(self.routes, tables, w.host.as_deref(), &w.path) {
            let key = &self.routes[at].key;
            if types && key.methods.serves(&w.method) && (!key.has_when || holds(at)) {
                return (Some(at), passed);
            }
            passed.push(at);
        }
        (None, passed)
    }

    /// Their order alone decides between the two.
    fn order_decides(&self, a: usize, b: usize, w: &Witness) -> bool {
        let pair = World::new(self.routes, &[a, b]);
        pair.answer(false, w, &|_| true).0 != pair.answer(true, w, &|_| true).0
    }

    /// `weak` answers what `strong` passed over, and is weaker.
    fn drops(&self, strong: usize, weak: usize, w: &Witness) -> bool {
        let (s, b) = (&self.routes[strong], &self.routes[weak]);
        let weaker = (b.anonymous && !s.anonymous) || s.requires.iter().any(|r| !b.requires.contains(r));
        if !weaker || b.silenced {
            return false;
        }
        // Two routes of one place with methods of their own do not fall through to one another: only their order puts
        // the one before the other.
        let mut any_method = self.routes.to_vec();
        for at in [strong, weak] {
            if !any_method[at].key.methods.is_any() {
                any_method[at].key.methods = super::Methods::of([w.method.clone()]);
            }
            any_method[at].key.has_when = false;
        }
        let by_method = !s.key.methods.serves(&w.method)
            && asked(self.routes, &self.tables, w.host.as_deref(), &w.path).contains(&(strong, true));
        !(by_method
            && World { routes: &any_method, ..World::new(&any_method, &[strong, weak]) }.order_decides(strong, weak, w))
    }
}

fn line() -> impl Strategy<Value = String> {
    let marks = prop::sample::select(vec![
        "",
        "",
        "auth",
        "auth",
        "req=1",
        "auth req=1",
        "req=1 req=2",
        "none",
        "block=1",
        "block=1 auth",
    ]);
    let hosts = prop::sample::select(vec!["", "", "h"]);
    let methods = prop::sample::select(vec!["GET", "GET", "POST", "GET,POST", "ANY", "HEAD"]);
    let segment = prop::sample::select(vec!["a", "b", "1", "{x}", "{x}", "{x: int}", "{x: uint}", "a{x}"]);
    let end = prop::sample::select(vec!["", "", "/", "/{rest...}", "/{rest...}"]);
    let flags = prop::sample::select(vec!["", "", "", " when", " ignore"]);
    (marks, methods, hosts, prop::collection::vec(segment, 0..3), end, flags).prop_map(
        |(marks, methods, host, segments, end, flags)| {
            let path: String = segments.iter().map(|s| format!("/{s}")).collect();
            let end = if path.is_empty() && end.is_empty() { "/" } else { end };
            format!("{marks}| {methods} {host}{path}{end}{flags}")
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

    #[test]
    fn what_is_reported_is_what_happens(lines in prop::collection::vec(line(), 1..7)) {
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        let routes = facts(&lines);
        let all: Vec<usize> = (0..routes.len()).collect();
        let world = World::new(&routes, &all);
        let whens: Vec<usize> = all.iter().copied().filter(|at| routes[*at].key.has_when).collect();
        let (mut same, mut reached, mut weaker, mut scattered) = (false, BTreeSet::new(), BTreeSet::new(), false);
        for path in paths() {
            for host in [None, Some("h".to_owned())] {
                for method in METHODS {
                    let w = Witness { method, host: host.clone(), path: path.clone() };
                    let none = |_: usize| false;
                    same |= world.answer(false, &w, &none).0 != world.answer(true, &w, &none).0;
                    for set in 0..1u32 << whens.len() {
                        let holds = |at: usize| whens.iter().position(|x| *x == at).is_some_and(|i| set & 1 << i != 0);
                        let (Some(at), passed) = world.answer(false, &w, &holds) else { continue };
                        reached.insert(at);
                        if passed.iter().any(|strong| world.drops(*strong, at, &w)) {
                            weaker.insert(at);
                        }
                        let other = world.answer(true, &w, &holds).0;
                        scattered |= other.is_some_and(|other| other != at && routes[at].key.has_when && routes[at].block != routes[other].block);
                    }
                }
            }
        }
        let findings = analyse(&routes);
        prop_assert_eq!(!findings.same.is_empty(), same, "E0520 of {:#?}", lines);
        prop_assert_eq!(!findings.scattered.is_empty(), scattered, "E0522 of {:#?}", lines);
        prop_assert_eq!(findings.weaker.keys().copied().collect::<BTreeSet<_>>(), weaker, "E0523 of {:#?}", lines);
        let never: BTreeSet<_> = all.iter().copied().filter(|at| !reached.contains(at) && !findings.same.contains_key(at)).collect();
        prop_assert_eq!(findings.unreachable.keys().copied().collect::<BTreeSet<_>>(), never, "E0521 of {:#?}", lines);
        // And each request shows it.
        for (at, pair) in findings.same.iter().chain(&findings.scattered) {
            prop_assert!(world.order_decides(pair.first, *at, &pair.witness), "{} of {:#?}", pair.witness, lines);
        }
        for (at, pair) in &findings.unreachable {
            prop_assert_eq!(world.answer(false, &pair.witness, &|_| false).0, Some(pair.first), "{} of {:#?}", pair.witness, lines);
            prop_assert!(World::new(&routes, &[*at]).answer(false, &pair.witness, &|_| true).0.is_some());
        }
        for (at, (pair, _)) in &findings.weaker {
            let shows = (0..1u32 << whens.len()).any(|set| {
                let (chosen, passed) = world.answer(false, &pair.witness, &|at| whens.iter().position(|x| *x == at).is_some_and(|i| set & 1 << i != 0));
                chosen == Some(*at) && passed.contains(&pair.first) && world.drops(pair.first, *at, &pair.witness)
            });
            prop_assert!(shows, "{} of {:#?}", pair.witness, lines);
        }
    }
}
