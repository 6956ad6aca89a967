//! From a request head to the route that answers it, or to what is said instead.

use super::path::{Normalised, PathError};
use crate::model::ast::{ParamType, PathAllow};
use crate::plan::router::{AtHost, Captures, Methods, Misfit, Route, Router, ShowPattern, Split, misfit, type_reason};
use http::Method;
use std::fmt;
use std::ops::ControlFlow;

/// What routing needs of a request.
#[derive(Clone, Copy, Debug)]
pub struct RouteHead<'r, 'm> {
    /// The method; for a CORS preflight the one it asks for.
    pub method: &'m Method,
    /// The `Host` field or the target's authority, as it came.
    pub host: &'r str,
    /// The path.
    pub path: &'r Normalised<'r>,
    /// The query, without its `?`: for a redirect to keep.
    pub query: Option<&'r str>,
}

/// Where a request goes.
#[derive(Clone, Debug)]
pub enum RouteOutcome<'r> {
    /// This route answers.
    Found {
        /// Its id.
        route: u32,
        /// Its parameters.
        captures: Captures<'r>,
    },
    /// 405: the path fits, the method does not.
    MethodNotAllowed {
        /// The `Allow` field.
        allow: String,
    },
    /// 404.
    NotFound,
    /// 400.
    BadPath(PathError),
    /// 308 to the other form of the trailing slash.
    RedirectSlash {
        /// The route that stands there.
        route: u32,
        /// Path and query.
        location: String,
    },
    /// 204 for an `OPTIONS` without a route of its own.
    Options {
        /// The `Allow` field.
        allow: String,
    },
}

/// Hears which routes were asked, in their order. `()` hears nothing and costs nothing.
pub trait RouteTrace {
    /// Whether anyone listens.
    const ON: bool;
    /// A route and what became of it.
    fn candidate(&mut self, route: u32, verdict: Verdict<'_>);
}

impl RouteTrace for () {
    const ON: bool = false;
    fn candidate(&mut self, _: u32, _: Verdict<'_>) {}
}

/// What became of a candidate.
#[derive(Clone, Debug)]
pub enum Verdict<'a> {
    /// It answers.
    Chosen,
    /// It was asked and does not answer.
    PassedOver(Reason<'a>),
    /// One before it answers.
    NotAsked,
}

/// Why a candidate does not answer. Its `Display` is the reason in words.
#[derive(Clone, Debug)]
pub enum Reason<'a> {
    /// A parameter is not of its type.
    Type {
        /// The parameter.
        name: &'a str,
        /// Its type.
        ty: &'a ParamType,
        /// What stands there.
        value: String,
    },
    /// It does not serve the method.
    Method {
        /// The request's.
        asked: &'a Method,
        /// The route's.
        served: &'a Methods,
    },
    /// Its `when` does not hold.
    When,
    /// It fits, but its api does not allow such paths: the request is refused.
    Path(PathAllow),
    /// It fits, but servers may read the path as one of this other route, which asks for more: the request is refused.
    Reading(&'a Route),
}

impl fmt::Display for Reason<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reason::Type { name, ty, value } => f.write_str(&type_reason(name, ty, value)),
            Reason::Method { asked, served } => write!(f, "method {asked} is not {served}"),
            Reason::When => f.write_str("`when` does not hold"),
            Reason::Reading(route) => write!(
                f,
                "servers may read the path as one of `{} {}`, which asks for more",
                route.key.methods,
                ShowPattern(&route.key.pattern)
            ),
            Reason::Path(flag) => write!(f, "{}", PathError::NotAllowed(*flag)),
        }
    }
}

/// Routes a request. `when` is asked for routes that have a `when` and fit otherwise, at most once for each.
pub fn route<'r, T: RouteTrace>(
    router: &'r Router,
    head: &RouteHead<'r, '_>,
    mut when: impl FnMut(u32, &Captures<'_>) -> bool,
    trace: &mut T,
) -> RouteOutcome<'r> {
    let host = router.host(head.host);
    if head.path.is_asterisk() {
        return match *head.method {
            Method::OPTIONS => RouteOutcome::Options { allow: everything(router) },
            _ => RouteOutcome::BadPath(PathError::NotAbsolute),
        };
    }
    let path = Split::new(head.path.as_str());
    let mut done = None;
    // Whether a route was passed over by its `when` alone.
    let mut withheld = false;
    let _ = host.walk(&path, |candidate| {
        let id = candidate.route;
        let misfit = || router.route(id).and_then(|route| misfit(&route.key.pattern, &path));
        if T::ON && done.is_some() {
            if !matches!(misfit(), Some(Misfit::Affix)) {
                trace.candidate(id, Verdict::NotAsked);
            }
            return ControlFlow::Continue(());
        }
        if T::ON
            && let Some(misfit) = misfit()
        {
            // Where the text around a parameter is missing, the pattern itself does not fit: it was no candidate.
            if let Misfit::Type { name, ty, value } = misfit {
                trace.candidate(id, Verdict::PassedOver(Reason::Type { name, ty, value }));
            }
            return ControlFlow::Continue(());
        }
        if !candidate.serves(head.method) {
            if T::ON {
                let reason = Reason::Method { asked: head.method, served: &candidate.methods };
                trace.candidate(id, Verdict::PassedOver(reason));
            }
            return ControlFlow::Continue(());
        }
        if !T::ON && !candidate.fits(&path) {
            return ControlFlow::Continue(());
        }
        let captures = host.captures(candidate, &path);
        if candidate.has_when && !when(id, &captures) {
            withheld = true;
            if T::ON {
                trace.candidate(id, Verdict::PassedOver(Reason::When));
            }
            return ControlFlow::Continue(());
        }
        // The first that fits decides about what readers understand differently; no other route gets the request.
        done = Some(match head.path.flags().first_missing(candidate.allow) {
            Some(flag) => {
                if T::ON {
                    trace.candidate(id, Verdict::PassedOver(Reason::Path(flag)));
                }
                RouteOutcome::BadPath(PathError::NotAllowed(flag))
            }
            None => match router.misread(head.host, &path, head.method, candidate) {
                Some(other) => {
                    if T::ON {
                        trace.candidate(id, Verdict::PassedOver(Reason::Reading(other)));
                    }
                    RouteOutcome::BadPath(PathError::OtherReading)
                }
                None => {
                    if T::ON {
                        trace.candidate(id, Verdict::Chosen);
                    }
                    RouteOutcome::Found { route: id, captures }
                }
            },
        });
        if T::ON { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    });
    match done {
        Some(outcome) => outcome,
        None => unanswered(router, &host, head, &path, withheld, when),
    }
}

/// What is said where no route answers.
#[cold]
fn unanswered<'r>(
    router: &'r Router,
    host: &AtHost<'r>,
    head: &RouteHead<'r, '_>,
    path: &Split<'r>,
    withheld: bool,
    mut when: impl FnMut(u32, &Captures<'_>) -> bool,
) -> RouteOutcome<'r> {
    if let Some(flag) = head.path.flags().first_missing(Default::default()) {
        return RouteOutcome::BadPath(PathError::NotAllowed(flag));
    }
    if let Some(other) = other_slash(path.path()) {
        let other = Split::new(&other);
        let redirected = host.walk(&other, |candidate| {
            let fits = candidate.serves(head.method)
                && candidate.fits(&other)
                && router.route(candidate.route).is_some_and(Route::redirects_slash)
                && (!candidate.has_when || when(candidate.route, &host.captures(candidate, &other)));
            if fits { ControlFlow::Break(candidate.route) } else { ControlFlow::Continue(()) }
        });
        if let ControlFlow::Break(route) = redirected {
            let query = head.query.map_or(String::new(), |q| format!("?{q}"));
            return RouteOutcome::RedirectSlash { route, location: format!("{}{query}", other.path()) };
        }
    }
    let mut allowed = Allowed::default();
    let _ = host.walk(path, |candidate| {
        if candidate.fits(path) {
            allowed.add(&candidate.methods);
        }
        ControlFlow::<()>::Continue(())
    });
    match allowed.field() {
        None => RouteOutcome::NotFound,
        Some(allow) if *head.method == Method::OPTIONS => RouteOutcome::Options { allow },
        // The method does fit, but under a condition that does not hold.
        Some(_) if withheld => RouteOutcome::NotFound,
        Some(allow) => RouteOutcome::MethodNotAllowed { allow },
    }
}

/// `/orders` for `/orders/` and the other way round; the root has no other form.
fn other_slash(path: &str) -> Option<String> {
    match path.strip_suffix('/') {
        Some("") => None,
        Some(bare) => Some(bare.to_owned()),
        None => Some(format!("{path}/")),
    }
}

/// `Allow` for `OPTIONS *`: what any route serves.
fn everything(router: &Router) -> String {
    let mut allowed = Allowed::default();
    router.methods().into_iter().for_each(|m| allowed.add(m));
    allowed.field().unwrap_or_else(|| "OPTIONS".to_owned())
}

/// Collects an `Allow` field (RFC 9110, 10.2.1).
#[derive(Default)]
struct Allowed {
    any: bool,
    methods: Vec<Method>,
}

impl Allowed {
    fn add(&mut self, methods: &Methods) {
        self.any |= methods.is_any();
        for method in methods.iter() {
            if !self.methods.contains(&method) {
                self.methods.push(method);
            }
        }
    }

    /// The field; none where nothing was added.
    fn field(self) -> Option<String> {
        if !self.any && self.methods.is_empty() {
            return None;
        }
        let standard =
            [Method::GET, Method::HEAD, Method::POST, Method::PUT, Method::PATCH, Method::DELETE, Method::OPTIONS];
        let get = self.methods.contains(&Method::GET);
        let listed =
            |m: &Method| self.any || self.methods.contains(m) || (*m == Method::HEAD && get) || *m == Method::OPTIONS;
        let others = self.methods.iter().filter(|m| !standard.contains(m));
        let all: Vec<_> = standard.iter().filter(|m| listed(m)).chain(others).map(Method::as_str).collect();
        Some(all.join(", "))
    }
}

#[cfg(test)]
#[path = "route_tests.rs"]
mod tests;

#[cfg(test)]
#[path = "route_property.rs"]
mod property;
