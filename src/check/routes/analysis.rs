//! What is wrong with routes together, each finding with a request that shows it.
//!
//! Patterns that overlap are met in the trie. For each two, a few paths stand for all that they have in common
//! ([`super::samples`]); each is asked as a request would be, with every method that matters, and `when` both ways. So
//! what is found is what happens, and a finding's request is one that was tried.

use super::hosts::Hosts;
use super::params::{Misfit, misfit};
use super::tables::Tables;
use super::trie::Trie;
use super::{Methods, RouteKey, fit::Split, order};
use crate::model::ast::{HostHead, HostPattern, ParamType, PathAllow, Segment};
use crate::source::Span;
use http::Method;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::ops::ControlFlow;

/// A `require`. Two that ask the same are equal, wherever they stand.
#[derive(Clone, Copy, Debug)]
pub struct Requirement {
    /// Where it stands.
    pub span: Span,
    /// Which condition it is.
    pub meaning: u32,
}

impl PartialEq for Requirement {
    fn eq(&self, other: &Requirement) -> bool {
        self.meaning == other.meaning
    }
}

impl Eq for Requirement {}

/// What the analysis needs of a route.
#[derive(Clone, Debug)]
pub struct RouteFacts {
    /// What decides about its requests.
    pub key: RouteKey,
    /// Where it stands.
    pub span: Span,
    /// What it is called: `api.name`, or method and pattern.
    pub name: String,
    /// The block it stands in, as a number of its own.
    pub block: u32,
    /// The listeners it stands on.
    pub listeners: Vec<u32>,
    /// It accepts anonymous callers.
    pub anonymous: bool,
    /// `auth none` stands in its own block.
    pub silenced: bool,
    /// Its `require` statements.
    pub requires: Vec<Requirement>,
    /// Something in its head is wrong and reported: what it answers is not known.
    pub damaged: bool,
    /// A mistake that is reported may have taken its protection away.
    pub doubtful: bool,
}

impl RouteFacts {
    /// Whether a request that was meant for `strong` is less protected here.
    fn is_weaker_than(&self, strong: &RouteFacts) -> bool {
        (self.anonymous && !strong.anonymous) || strong.requires.iter().any(|r| !self.requires.contains(r))
    }
}

/// A request that shows a finding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Witness {
    /// Its method.
    pub method: Method,
    /// Its host; none where any will do.
    pub host: Option<String>,
    /// Its path.
    pub path: String,
}

impl std::fmt::Display for Witness {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.host {
            Some(host) => write!(f, "{} http://{host}{}", self.method, self.path),
            None => write!(f, "{} {}", self.method, self.path),
        }
    }
}

/// Why a route was passed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Passed {
    Type,
    Method,
    When,
}

/// Two routes and the request that shows what is wrong with them.
#[derive(Clone, Debug)]
pub(super) struct Pair {
    /// The one that is asked first.
    pub first: usize,
    /// The request.
    pub witness: Witness,
}

/// Everything found, by the later route of each pair.
#[derive(Debug, Default)]
pub(super) struct Findings {
    /// Nothing tells the two apart.
    pub same: HashMap<usize, Pair>,
    /// The first gets every request of the later one.
    pub unreachable: HashMap<usize, Pair>,
    /// They differ in `when` alone and stand in different blocks.
    pub scattered: HashMap<usize, Pair>,
    /// What the first refuses, the later one lets in.
    pub weaker: HashMap<usize, (Pair, Passed)>,
}

/// Looks at all routes together.
pub(super) fn analyse(routes: &[RouteFacts]) -> Findings {
    let mut state =
        Analysis { routes, findings: Findings::default(), reached: vec![false; routes.len()], shadows: HashMap::new() };
    let mut sets: HashMap<u32, Vec<usize>> = HashMap::new();
    for (at, route) in routes.iter().enumerate() {
        for listener in route.listeners.iter().filter(|_| !route.damaged) {
            sets.entry(*listener).or_default().push(at);
        }
    }
    // Listeners with the same routes are alike.
    let sets: BTreeSet<Vec<usize>> = sets.into_values().collect();
    sets.iter().for_each(|set| state.listener(set));
    let Analysis { mut findings, reached, shadows, .. } = state;
    findings.unreachable = shadows
        .into_iter()
        .filter(|(at, _)| !reached[*at] && !findings.same.contains_key(at))
        .filter_map(|(at, s)| Some((at, s.certain?)))
        .collect();
    findings
}

struct Analysis<'a> {
    routes: &'a [RouteFacts],
    findings: Findings,
    reached: Vec<bool>,
    shadows: HashMap<usize, Shadow>,
}

/// Who answers the requests of a route in its place.
struct Shadow {
    /// The first of those, unless samples prove too little.
    certain: Option<Pair>,
}

/// Where requests are sent: a host and its tables.
struct Place<'t> {
    host: Option<String>,
    own: Option<&'t Trie>,
    any_host: &'t Trie,
}

/// A route that a request meets.
struct Met {
    route: usize,
    /// Its types fit.
    types: bool,
    /// It has a host, which goes before those without.
    own: bool,
}

impl<'a> Analysis<'a> {
    /// The routes of one listener.
    fn listener(&mut self, set: &[usize]) {
        let routes = self.routes;
        let tables = Tables::new(set.iter().map(|at| (*at as u32, &routes[*at].key)));
        let deepest = set.iter().map(|at| routes[*at].key.pattern.segments.len()).max().unwrap_or(0);
        let mut by_host: Hosts<Vec<usize>> = Hosts::default();
        let mut patterns: Vec<&HostPattern> = Vec::new();
        let mut without = Vec::new();
        for at in set {
            for host in &routes[*at].key.hosts {
                let list = by_host.entry(host);
                if list.is_empty() {
                    patterns.push(host);
                }
                list.push(*at);
            }
            if routes[*at].key.hosts.is_empty() {
                without.push(*at);
            }
        }
        for pattern in patterns {
            let list = std::mem::take(by_host.entry(pattern));
            if let Some((host, own)) = example(pattern, &tables.hosts) {
                let place = Place { host: Some(host), own: Some(own), any_host: &tables.any_host };
                self.place(&place, &list, deepest);
            }
        }
        self.place(&Place { host: None, own: None, any_host: &tables.any_host }, &without, deepest);
    }

    /// The routes of one host.
    fn place(&mut self, place: &Place, list: &[usize], deepest: usize) {
        let mut seen = HashSet::new();
        for at in list {
            let key = &self.routes[*at].key;
            let mut others = vec![*at];
            match place.own {
                Some(own) => {
                    own.overlaps(&key.pattern, false, &mut |c| others.push(c.route as usize));
                    place.any_host.overlaps(&key.pattern, true, &mut |c| others.push(c.route as usize));
                }
                None => place.any_host.overlaps(&key.pattern, false, &mut |c| others.push(c.route as usize)),
            }
            others.sort_unstable();
            others.dedup();
            for other in others {
                let below = if other == *at { deepest.saturating_sub(key.pattern.segments.len()) + 2 } else { 1 };
                for path in super::samples::common_paths(&key.pattern, &self.routes[other].key.pattern, below) {
                    if !seen.contains(&path) {
                        self.path(place, &path);
                        seen.insert(path);
                    }
                }
            }
        }
    }

    /// Asks for one path with every method that matters.
    fn path(&mut self, place: &Place, path: &str) {
        let split = Split::new(path);
        let empty_segments = path.contains("//");
        let mut met = Vec::new();
        for (trie, own) in place.own.map(|t| (t, true)).into_iter().chain([(place.any_host, false)]) {
            let _ = trie.walk(&split, &mut |candidate| {
                let route = candidate.route as usize;
                let types = match misfit(&self.routes[route].key.pattern, &split) {
                    Some(Misfit::Affix) => return ControlFlow::<()>::Continue(()),
                    misfit => misfit.is_none(),
                };
                met.push(Met { route, types, own });
                ControlFlow::Continue(())
            });
        }
        for method in methods(met.iter().map(|m| &self.routes[m.route].key.methods)) {
            self.ask(&met, &method, split.trailing_slash(), empty_segments, &|| Witness {
                method: method.clone(),
                host: place.host.clone(),
                path: path.to_owned(),
            });
        }
    }

    /// One request: what each route says to it, with every `when` both ways.
    fn ask(&mut self, met: &[Met], method: &Method, slash: bool, empty_segments: bool, witness: &dyn Fn() -> Witness) {
        let routes = self.routes;
        let fits = |m: &Met| m.types && routes[m.route].key.methods.serves(method);
        let mut passed: Vec<(&Met, Passed)> = Vec::new();
        for (at, now) in met.iter().enumerate() {
            let route = &routes[now.route];
            if !fits(now) {
                passed.push((now, if now.types { Passed::Method } else { Passed::Type }));
                continue;
            }
            let refused = empty_segments && !route.key.allow.contains(PathAllow::EmptySegments);
            if !refused {
                self.reached[now.route] = true;
                self.falls(&passed, now, slash, witness);
            }
            let later = || met[at + 1..].iter().filter(|m| fits(m));
            // A route that says HEAD goes before one that serves it by saying GET.
            let told_by_head = |other: &RouteKey| {
                *method == Method::HEAD && route.key.methods.names(method) != other.methods.names(method)
            };
            let alike = |other: &Met| {
                let key = &routes[other.route].key;
                now.own == other.own && same_rank(&route.key, key, slash) && !told_by_head(key)
            };
            if route.key.has_when {
                for other in later().filter(|m| alike(m) && routes[m.route].block != route.block) {
                    let (first, last) = in_source_order(routes, now.route, other.route);
                    self.findings.scattered.entry(last).or_insert_with(|| Pair { first, witness: witness() });
                }
                passed.push((now, Passed::When));
                continue;
            }
            for other in later() {
                if alike(other) {
                    let (first, last) = in_source_order(routes, now.route, other.route);
                    self.findings.same.entry(last).or_insert_with(|| Pair { first, witness: witness() });
                }
                self.shadowed(now.route, other.route, witness);
            }
            return;
        }
    }

    /// `now` may answer after `passed` did not: is it as strict?
    fn falls(&mut self, passed: &[(&Met, Passed)], now: &Met, slash: bool, witness: &dyn Fn() -> Witness) {
        let routes = self.routes;
        let weak = &routes[now.route];
        if weak.silenced || weak.doubtful {
            return;
        }
        for (strong, why) in passed {
            // Routes that share out the methods of one place do not fall through to one another.
            let shared = *why == Passed::Method && strong.own == now.own && {
                let (a, b) = (&routes[strong.route].key, &weak.key);
                same_place(a, b)
                    && a.is_other_form(slash) == b.is_other_form(slash)
                    && a.methods.is_any() == b.methods.is_any()
            };
            if shared || !weak.is_weaker_than(&routes[strong.route]) {
                continue;
            }
            self.findings
                .weaker
                .entry(now.route)
                .or_insert_with(|| (Pair { first: strong.route, witness: witness() }, *why));
        }
    }

    /// `by` answers a request of `route`.
    fn shadowed(&mut self, by: usize, route: usize, witness: &dyn Fn() -> Witness) {
        // What an expression matches was only sampled, so nothing is said about all of it.
        let certain = !expressions_differ(&self.routes[by].key, &self.routes[route].key);
        let shadow = self
            .shadows
            .entry(route)
            .or_insert_with(|| Shadow { certain: Some(Pair { first: by, witness: witness() }) });
        if !certain {
            shadow.certain = None;
        }
    }
}

/// Of one host's routes: nothing but their order in the source tells the two apart, at paths with or without a slash.
fn same_rank(a: &RouteKey, b: &RouteKey, slash: bool) -> bool {
    same_place(a, b) && order::rank(a, b, slash).is_eq()
}

/// The patterns are equally specific from the first segment to the last.
fn same_place(a: &RouteKey, b: &RouteKey) -> bool {
    a.pattern.segments.len() == b.pattern.segments.len()
        && a.pattern.segments.iter().zip(&b.pattern.segments).all(|(a, b)| order::class(a) == order::class(b))
        && order::narrower(&a.pattern, &b.pattern).is_eq()
}

fn in_source_order(routes: &[RouteFacts], a: usize, b: usize) -> (usize, usize) {
    if routes[a].key.order <= routes[b].key.order { (a, b) } else { (b, a) }
}

/// One of the two has an expression where the other does not have the same.
fn expressions_differ(a: &RouteKey, b: &RouteKey) -> bool {
    let expression = |key: &RouteKey, at: usize| match key.pattern.segments.get(at) {
        Some(Segment::Param { ty: ParamType::Matches(regex), .. }) => Some(regex.as_str().to_owned()),
        _ => None,
    };
    (0..a.pattern.segments.len().max(b.pattern.segments.len())).any(|at| expression(a, at) != expression(b, at))
}

/// The methods that make a difference among these: all that are named, and one that is not if there is an `ANY`.
fn methods<'m>(all: impl Iterator<Item = &'m Methods>) -> Vec<Method> {
    let Some(union) = all.cloned().reduce(|a, b| a.union(&b)) else { return Vec::new() };
    let mut methods: Vec<Method> = union.iter().collect();
    if union.is_any() {
        let known = [Method::GET, Method::POST, Method::PUT, Method::DELETE, Method::PATCH];
        let other = known.into_iter().find(|m| !union.names(m));
        methods.extend(other.or_else(|| {
            (0..).find_map(|n| Method::from_bytes(format!("OTHER{n}").as_bytes()).ok().filter(|m| !union.names(m)))
        }));
    }
    methods
}

/// A host name for which this very pattern decides.
fn example<'t>(pattern: &HostPattern, hosts: &'t Hosts<Trie>) -> Option<(String, &'t Trie)> {
    let heads: &[&str] = match pattern.head {
        HostHead::Exact => &[""],
        HostHead::Param(_) => &["acme.", "x7340283."],
        HostHead::Wildcard => &["www.", "x7340283.", "a.www.", "a.x7340283."],
    };
    heads.iter().find_map(|head| {
        let host = format!("{head}{}", pattern.suffix).to_ascii_lowercase();
        let (decides, _) = hosts.find(&host)?;
        std::ptr::eq(decides, hosts.get(pattern)?).then_some((host, decides))
    })
}
