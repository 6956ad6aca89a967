//! For a request that no route answers: which routes came near, and what each would have needed.

use super::{Methods, Router, Split};
use crate::check::routes::ShowPattern;
use crate::check::routes::fit;
use crate::check::routes::has_other_slash;
use crate::check::routes::hosts::{Hosts, host_name};
use crate::model::ast::{HostHead, HostPattern, ParamType, Pattern, Segment, TrailingSlash};
use http::Method;

/// As many are worth reading.
const SHOWN: usize = 5;
/// Beyond this, two routes have nothing to do with each other.
const FAR: usize = 6;

/// A route that came near.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Near {
    /// How far it is.
    pub cost: usize,
    /// Its id.
    pub route: u32,
    /// What the request would have needed.
    pub reason: String,
}

/// The routes that came nearest, the nearest first, at most five. `path` is normalised; `on` is the listener they stand on,
/// where the request came to another.
pub fn nearest(router: &Router, host: &str, method: &Method, path: &str, on: Option<&str>) -> Vec<Near> {
    let found = within(router, host, method, path, on, false);
    // Where none is near, those that begin alike are better than nothing.
    if found.is_empty() && on.is_none() { within(router, host, method, path, on, true) } else { found }
}

fn within(router: &Router, host: &str, method: &Method, path: &str, on: Option<&str>, far: bool) -> Vec<Near> {
    let (host, path) = (host_name(host), Split::new(path));
    let mut near: Vec<_> = router
        .routes()
        .iter()
        .filter_map(|route| {
            let mut needs = Needs { far, ..Needs::default() };
            needs.host(&route.key.hosts, &host)?;
            needs.path(&route.key.pattern, &path, route.key.trailing_slash)?;
            needs.method(&route.key.methods, method);
            if let Some(listener) = on {
                needs.add(2, format!("it stands on the listener `{listener}`"));
            }
            if needs.reasons.is_empty() {
                needs.add(
                    1,
                    if route.key.has_when {
                        "its `when` does not hold"
                    } else {
                        "a more specific host has routes of its own"
                    },
                );
            }
            let limit = if far { 2 * FAR } else { FAR };
            let Needs { cost, reasons, .. } = needs;
            (cost <= limit).then(|| Near { cost, route: route.id, reason: reasons.join("; ") })
        })
        .collect();
    near.sort_by_key(|near| near.cost);
    near.truncate(SHOWN);
    near
}

/// What a request lacks, and how much that is.
#[derive(Default)]
struct Needs {
    /// Segments may be strangers if others are alike.
    far: bool,
    cost: usize,
    reasons: Vec<String>,
}

impl Needs {
    fn add(&mut self, cost: usize, reason: impl Into<String>) {
        self.cost += cost;
        self.reasons.push(reason.into());
    }

    fn host(&mut self, hosts: &[HostPattern], asked: &str) -> Option<()> {
        let fits = |pattern: &HostPattern| {
            let mut one: Hosts<()> = Hosts::default();
            one.entry(pattern);
            one.find(asked).is_some()
        };
        let first = match hosts.first() {
            Some(first) if !hosts.iter().any(fits) => first,
            _ => return Some(()),
        };
        let shown = match &first.head {
            HostHead::Exact => first.suffix.to_string(),
            HostHead::Wildcard => format!("*.{}", first.suffix),
            HostHead::Param(name) => format!("{{{name}}}.{}", first.suffix),
        };
        self.add(3, format!("the host is `{shown}`, not `{asked}`"));
        Some(())
    }

    fn method(&mut self, methods: &Methods, asked: &Method) {
        if !methods.serves(asked) {
            self.add(2, format!("the method is {methods}, not {asked}"));
        }
    }

    /// None where the pattern is a stranger to the path.
    fn path(&mut self, pattern: &Pattern, path: &Split, mode: TrailingSlash) -> Option<()> {
        let rest = matches!(pattern.segments.last(), Some(Segment::Rest(_)));
        let fixed = pattern.segments.len() - usize::from(rest);
        let mut alike = 0;
        for (at, segment) in pattern.segments.iter().take(fixed).enumerate() {
            let Some(text) = path.segment(at) else { break };
            match segment {
                Segment::Literal(literal) if literal == text => alike += 1,
                Segment::Literal(literal) if crate::diagnostic::nearest(text, [literal.as_str()]).is_none() => {
                    if !self.far {
                        return None;
                    }
                    self.add(4, format!("the path has `{text}` where the route has `{literal}`"));
                }
                Segment::Literal(literal) => {
                    self.add(
                        strsim::damerau_levenshtein(text, literal),
                        format!("the path has `{text}` where the route has `{literal}`"),
                    );
                    alike += 1;
                }
                Segment::Param { name, ty, prefix, suffix } => match fit::between(text, prefix, suffix) {
                    Some(value) if fit::accepts(ty, value) => alike += usize::from(!matches!(ty, ParamType::String)),
                    Some(value) => self.add(2, type_reason(&name.text, ty, &fit::decode(value))),
                    None => self.add(3, format!("`{text}` does not have the form `{prefix}{{{}}}{suffix}`", name.text)),
                },
                Segment::Rest(_) => {}
            }
        }
        match (path.len(), fixed) {
            (have, want) if (have == want || (rest && have > want)) && (alike > 0 || !self.far) => {}
            (have, want) if want == have + 1 && (alike > 0 || have == 0) => {
                let missing = Pattern {
                    segments: pattern.segments.iter().skip(have).take(1).cloned().collect(),
                    ..Pattern::default()
                };
                self.add(3, format!("the path lacks a segment `{}`", ShowPattern(&missing)));
                return Some(());
            }
            (have, want) if have == want + 1 && alike > 0 => {
                self.add(3, format!("the path has a segment too many, `{}`", path.segment(want)?));
                return Some(());
            }
            _ => return None,
        }
        if !rest
            && has_other_slash(pattern)
            && pattern.trailing_slash != path.trailing_slash()
            && mode != TrailingSlash::Ignore
        {
            self.add(
                1,
                if pattern.trailing_slash {
                    "the path lacks the slash at its end"
                } else {
                    "the path has a slash at its end"
                },
            );
        }
        Some(())
    }
}

/// "`id` is not an int: "abc"".
pub(crate) fn type_reason(name: &str, ty: &ParamType, value: &str) -> String {
    let article = if matches!(ty, ParamType::Int) { "an" } else { "a" };
    match crate::check::routes::type_name(ty) {
        Some(written) if matches!(ty, ParamType::Matches(_)) => {
            format!("`{name}` does not match {}: {value:?}", written.trim_start_matches("matches "))
        }
        Some(written) => format!("`{name}` is not {article} {written}: {value:?}"),
        None => format!("`{name}` is empty"),
    }
}
