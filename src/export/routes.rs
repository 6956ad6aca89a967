//! Routes by specificity, host after host: in the order in which a request asks them.

use super::chain::{Stated, stated};
use crate::check::routes::order::by_specificity;
use crate::model::ast::{HostHead, HostPattern};
use crate::model::statements::Phase;
use crate::plan::router::RouteKey;
use crate::plan::{Plan, Route};
use serde_json::{Value as Json, json};
use std::cmp::{Ordering, Reverse};
use std::fmt::Write;

/// A route at one of its hosts.
#[derive(Debug)]
pub struct Listed<'p> {
    /// The route.
    pub route: &'p Route,
    /// The host as written; none for every host.
    pub host: Option<&'p str>,
    /// The names of the listeners it stands on.
    pub listeners: Vec<&'p str>,
    /// The statements that hold for it, phase after phase.
    pub statements: Vec<Stated<'p>>,
}

/// Every route, once for each of its hosts: exact hosts first, then the longest wildcards, routes for every host last;
/// within a host the more specific pattern first, then named methods, then those with a `when`.
pub fn list(plan: &Plan) -> Vec<Listed<'_>> {
    let mut places: Vec<Option<(&RouteKey, Vec<&str>)>> = vec![None; plan.routes.len()];
    for listener in &plan.listeners {
        let Some(router) = plan.routers.get(listener.router) else { continue };
        for route in router.routes() {
            let Some(place) = places.get_mut(route.id as usize) else { continue };
            place.get_or_insert_with(|| (&route.key, Vec::new())).1.push(&listener.name);
        }
    }
    let mut rows = Vec::new();
    for (route, place) in plan.routes.iter().zip(&places) {
        let Some((key, listeners)) = place else { continue };
        let hosts = key.hosts.iter().zip(&route.hosts).map(|(pattern, text)| Some((pattern, text.as_str())));
        let every = key.hosts.is_empty().then_some(None);
        for host in hosts.chain(every) {
            let listed = Listed {
                route,
                host: host.map(|(_, text)| text),
                listeners: listeners.clone(),
                statements: stated(plan, route),
            };
            rows.push((host.map(|(pattern, _)| pattern), *key, listed));
        }
    }
    rows.sort_by(|(host_a, a, _), (host_b, b, _)| hosts(*host_a, *host_b).then_with(|| by_specificity(a, b)));
    rows.into_iter().map(|(_, _, listed)| listed).collect()
}

/// Exact before wildcard, the longer suffix first, one label before several, every host last.
fn hosts(a: Option<&HostPattern>, b: Option<&HostPattern>) -> Ordering {
    let key = |host: Option<&HostPattern>| match host {
        None => (2, Reverse(0), 0, None),
        Some(host) => {
            let labels = Reverse(host.suffix.split('.').count());
            match host.head {
                HostHead::Exact => (0, Reverse(0), 0, Some(host.suffix.clone())),
                HostHead::Param(_) => (1, labels, 0, Some(host.suffix.clone())),
                HostHead::Wildcard => (1, labels, 1, Some(host.suffix.clone())),
            }
        }
    };
    key(a).cmp(&key(b))
}

impl Listed<'_> {
    /// `GET, POST`, or `ANY`.
    pub fn methods(&self) -> String {
        methods(self.route).join(", ")
    }

    fn limits(&self) -> impl Iterator<Item = &Stated<'_>> {
        self.statements.iter().filter(|s| s.limit.is_some())
    }
}

/// The methods of a route by name; `ANY` alone for every method.
pub(super) fn methods(route: &Route) -> Vec<&str> {
    match route.methods.is_empty() {
        true => vec!["ANY"],
        false => route.methods.iter().map(|m| m.as_str()).collect(),
    }
}

/// The names of a route's auths.
pub(super) fn auths<'p>(plan: &'p Plan, route: &'p Route) -> Vec<&'p str> {
    let alternatives = route.inbound.auth.iter().flat_map(|step| step.what.alternatives.iter());
    alternatives.filter_map(|id| plan.auths.get(id.index())).map(|auth| auth.name.as_str()).collect()
}

/// The array of section 11 of the language.
pub fn json(plan: &Plan) -> Json {
    let rows = list(plan).into_iter().map(|listed| {
        let route = listed.route;
        json!({
            "route": route.name.as_str(),
            "api": route.api.as_deref(),
            "host": listed.host,
            "methods": methods(route),
            "pattern": route.pattern.as_str(),
            "version": null,
            "when": route.when.as_ref().map(|guard| guard.origin.text.as_str()),
            "target": route.target_text.as_str(),
            "auth": auths(plan, route),
            "auth_optional": route.inbound.auth.as_ref().is_some_and(|step| step.what.optional),
            "limits": listed.limits().map(|s| s.origin.text.as_str()).collect::<Vec<_>>(),
            "policies": listed.statements.iter().map(|s| super::json::statement(plan, s)).collect::<Vec<_>>(),
            "listeners": listed.listeners,
            "file": plan.file(&route.origin),
            "line": route.origin.line,
            "doc": route.docs.as_str(),
        })
    });
    Json::Array(rows.collect())
}

/// For a person: host after host, each route with its documentation and what holds for it.
pub fn human(plan: &Plan, color: bool) -> String {
    let (bold, dim, plain) = if color { ("\x1b[1m", "\x1b[2m", "\x1b[0m") } else { ("", "", "") };
    let listed = list(plan);
    if listed.is_empty() {
        return "there are no routes\n".into();
    }
    let mut out = String::new();
    let mut host = None;
    for row in &listed {
        if host != Some(row.host) {
            let gap = if host.is_some() { "\n" } else { "" };
            let _ = writeln!(out, "{gap}{bold}{}{plain}", row.host.unwrap_or("every host"));
            host = Some(row.host);
        }
        let route = row.route;
        let when = route.when.as_ref().map(|guard| format!(" when {}", guard.origin.text)).unwrap_or_default();
        let _ = writeln!(out, "\n  {bold}{} {}{plain}{when} -> {}", row.methods(), route.pattern, route.target_text);
        let unnamed = route.name.ends_with(route.pattern.as_str()) && route.name.starts_with(&row.methods());
        let name = if unnamed { String::new() } else { format!("{}, ", route.name) };
        let on = if plan.listeners.len() > 1 { format!(", on {}", row.listeners.join(", ")) } else { String::new() };
        let _ = writeln!(out, "      {dim}{name}{}:{}{on}{plain}", plan.file(&route.origin), route.origin.line);
        for line in route.docs.lines() {
            let _ = writeln!(out, "      {line}");
        }
        statements(&mut out, &row.statements);
    }
    out
}

fn statements(out: &mut String, statements: &[Stated<'_>]) {
    let width = statements.iter().map(|s| s.phase.name().len()).max().unwrap_or(0);
    let mut last: Option<Phase> = None;
    for stated in statements {
        let phase = if last == Some(stated.phase) { "" } else { stated.phase.name() };
        last = Some(stated.phase);
        let around: Vec<_> = stated.outer_conditions().collect();
        let around = if around.is_empty() { String::new() } else { format!("  (when {})", around.join(" and ")) };
        let _ = writeln!(out, "      {phase:width$}  {}{around}", stated.origin.text);
    }
}
