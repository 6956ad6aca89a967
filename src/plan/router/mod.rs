//! The router: from a host and a path to the routes that may answer, in the order of the language.
//!
//! A host name chooses the routes of one host pattern, by hash; those without a host come after. Each set of routes is a
//! [`Trie`] over segments. Nothing here allocates while a request is routed, but for what must be decoded.

#![deny(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

mod captures;
mod nearest;
mod readings;

pub use crate::check::routes::fit::Split;
pub use crate::check::routes::params::{Misfit, misfit};
pub use crate::check::routes::trie::Candidate;
pub use crate::check::routes::{Methods, PathFlags, RouteKey, ShowPattern};
pub use captures::Captures;
pub(crate) use nearest::type_reason;
pub use nearest::{Near, nearest};

use crate::check::routes::hosts::host_name;
use crate::check::routes::tables::Tables;
use crate::check::routes::trie::Trie;
use crate::model::ast::TrailingSlash;
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

/// A route as the router knows it. What a request needs of it lies with its [`Candidate`].
#[derive(Debug)]
pub struct Route {
    /// Its id, as given to [`Router::new`].
    pub id: u32,
    /// What decides about its requests.
    pub key: RouteKey,
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
    /// From routes with their ids, which ascend: those that stand on one listener.
    pub fn new<'k>(keys: impl IntoIterator<Item = (u32, &'k RouteKey)>) -> Router {
        let routes: Vec<_> = keys.into_iter().map(|(id, key)| Route { id, key: key.clone() }).collect();
        Router {
            tables: Tables::new(routes.iter().map(|route| (route.id, &route.key))),
            methods: routes.iter().map(|route| route.key.methods.clone()).reduce(|a, b| a.union(&b)),
            routes,
            readings: None,
        }
    }

    /// With the protection of its routes, by classes in their order: see [`Router::misread`].
    #[must_use]
    pub fn protecting(mut self, classes: Box<[u16]>, weaker: impl Fn(u16, u16) -> bool) -> Router {
        self.readings = readings::Readings::new(&self.routes, &classes, weaker).map(Box::new);
        self
    }

    /// The routes of a host, as a `Host` field or an authority names it: port, case and a final dot make no difference.
    pub fn host<'r>(&'r self, host: &'r str) -> AtHost<'r> {
        if self.tables.hosts.is_empty() {
            return AtHost { router: self, own: None, label: None };
        }
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

    /// A route by its id.
    pub fn route(&self, id: u32) -> Option<&Route> {
        let at = self.routes.binary_search_by_key(&id, |route| route.id).ok()?;
        self.routes.get(at)
    }
}

impl<'r> AtHost<'r> {
    /// Shows the routes whose segments fit the path, in the order in which they are asked. Affixes, types, method and
    /// `when` are for `ask` to look at; it breaks to end the walk.
    pub fn walk<B>(&self, path: &Split, mut ask: impl FnMut(&'r Candidate) -> ControlFlow<B>) -> ControlFlow<B> {
        if let Some(own) = self.own {
            own.walk(path, &mut ask)?;
        }
        self.router.tables.any_host.walk(path, &mut ask)
    }

    /// The parameters of a route that fits.
    pub fn captures<'p>(&self, candidate: &'p Candidate, path: &Split<'p>) -> Captures<'p>
    where
        'r: 'p,
    {
        Captures { router: self.router, candidate, path: *path, label: self.label.clone() }
    }
}

impl Route {
    /// The other form of its trailing slash is redirected to it.
    pub fn redirects_slash(&self) -> bool {
        self.key.trailing_slash == TrailingSlash::Redirect && crate::check::routes::has_other_slash(&self.key.pattern)
    }
}
