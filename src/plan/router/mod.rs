//! The router: from a host and a path to the routes that may answer, in the order of the language.
//!
//! A host name chooses the routes of one host pattern, by hash; those without a host come after. Each set of routes is a
//! [`Trie`] over segments. Nothing here allocates while a request is routed, but for what must be decoded.

#![deny(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

mod captures;
mod nearest;
mod readings;

pub use crate::check::routes::fit::Split;
pub use crate::check::routes::trie::{Candidate, Misfit};
pub use crate::check::routes::{Methods, PathFlags, RouteKey, ShowPattern};
pub use captures::Captures;
pub(crate) use nearest::type_reason;
pub use nearest::{Near, nearest};

use crate::check::routes::fit::Plain;
use crate::check::routes::hosts::host_name;
use crate::check::routes::tables::Tables;
use crate::check::routes::trie::Trie;
use crate::model::ast::{HostHead, Segment, TrailingSlash};
use std::borrow::Cow;
use std::ops::ControlFlow;

/// The routes of a listener.
#[derive(Debug)]
pub struct Router {
    routes: Vec<Route>,
    tables: Tables,
    methods: Option<Methods>,
    /// Where one route is less protected than another.
    readings: Option<Box<readings::Readings>>,
}

/// A route as the router knows it. What a request needs of it lies in one line of the cache.
#[derive(Debug)]
#[repr(align(64))]
pub struct Route {
    /// Its id, as given to [`Router::new`].
    pub id: u32,
    /// What decides about its requests.
    pub key: RouteKey,
    /// Its parameters by slot: the host's first, then the path's from left to right.
    params: Box<[Param]>,
}

/// Where a parameter's value stands.
#[derive(Debug)]
enum Param {
    Host,
    /// A whole segment: the pattern need not be looked at again.
    Whole(u32, Plain),
    Segment(u32),
    Rest(u32),
}

/// A route that is to be asked.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'r> {
    /// The route.
    pub route: &'r Route,
    /// Its place in the trie, which knows whether it fits.
    pub candidate: &'r Candidate,
}

/// A request's host name, with the routes of its host pattern.
#[derive(Clone, Debug)]
pub struct AtHost<'r> {
    /// The router.
    router: &'r Router,
    /// The routes of the host's own pattern.
    own: Option<&'r Trie>,
    /// What `{name}` in the host pattern takes.
    label: Option<Cow<'r, str>>,
}

impl Router {
    /// From routes with their ids: those that stand on one listener.
    pub fn new<'k>(keys: impl IntoIterator<Item = (u32, &'k RouteKey)>) -> Router {
        let keys: Vec<_> = keys.into_iter().collect();
        Router {
            tables: Tables::new(keys.iter().zip(0..).map(|((_, key), at)| (at, *key))),
            methods: keys.iter().map(|(_, key)| key.methods.clone()).reduce(|a, b| a.union(&b)),
            routes: keys.into_iter().map(|(id, key)| Route::new(id, key)).collect(),
            readings: None,
        }
    }

    /// With the protection of its routes, by classes in their order: see [`Router::misread`].
    #[must_use]
    pub fn protecting(mut self, classes: Box<[u16]>, weaker: impl Fn(u16, u16) -> bool) -> Router {
        let keys = self.routes.iter().map(|route| &route.key);
        self.readings = readings::Readings::new(keys, classes, weaker).map(Box::new);
        self
    }

    /// The routes of a host, as a `Host` field or an authority names it: port, case and a final dot make no difference.
    pub fn host<'r>(&'r self, host: &'r str) -> AtHost<'r> {
        let (own, label) = match host_name(host) {
            Cow::Borrowed(name) => match self.tables.hosts.find(name) {
                Some((trie, label)) => (Some(trie), label.map(Cow::Borrowed)),
                None => (None, None),
            },
            Cow::Owned(name) => match self.tables.hosts.find(&name) {
                Some((trie, label)) => (Some(trie), label.map(|l| Cow::Owned(l.to_owned()))),
                None => (None, None),
            },
        };
        AtHost { router: self, own, label }
    }

    /// Every method that some route serves; none where there are no routes.
    pub fn methods(&self) -> Option<&Methods> {
        self.methods.as_ref()
    }

    /// Every route, in the order they were given.
    pub fn routes(&self) -> &[Route] {
        &self.routes
    }
}

impl<'r> AtHost<'r> {
    /// Shows the routes whose segments fit the path, in the order in which they are asked. Affixes, types, method and
    /// `when` are for `ask` to look at; it breaks to end the walk.
    pub fn walk<B>(&self, path: &Split, mut ask: impl FnMut(Asked<'r>) -> ControlFlow<B>) -> ControlFlow<B> {
        let router = self.router;
        let mut ask = |candidate: &'r Candidate| match router.routes.get(candidate.route as usize) {
            Some(route) => ask(Asked { route, candidate }),
            None => ControlFlow::Continue(()),
        };
        if let Some(own) = self.own {
            own.walk(path, &mut ask)?;
        }
        router.tables.any_host.walk(path, &mut ask)
    }

    /// The parameters of a route that fits.
    pub fn captures<'p>(&self, route: &'p Route, path: &Split<'p>) -> Captures<'p>
    where
        'r: 'p,
    {
        Captures::new(route, *path, self.label.clone())
    }
}

impl Route {
    fn new(id: u32, key: &RouteKey) -> Route {
        let host = key.hosts.iter().any(|h| matches!(h.head, HostHead::Param(_))).then_some(Param::Host);
        let path = key.pattern.segments.iter().zip(0..).filter_map(|(segment, at)| match segment {
            Segment::Literal(_) => None,
            Segment::Param { ty, prefix, suffix, .. } => Some(match Plain::of(ty) {
                Some(ty) if prefix.is_empty() && suffix.is_empty() => Param::Whole(at, ty),
                _ => Param::Segment(at),
            }),
            Segment::Rest(_) => Some(Param::Rest(at)),
        });
        Route { id, params: host.into_iter().chain(path).collect(), key: key.clone() }
    }

    /// The other form of its trailing slash is redirected to it.
    pub fn redirects_slash(&self) -> bool {
        self.key.trailing_slash == TrailingSlash::Redirect && crate::check::routes::has_other_slash(&self.key.pattern)
    }
}
