//! The routers of the listeners, and the rules between routes.

use super::Compiler;
use super::routes::{self, Requirement, RouteFacts};
use crate::diagnostic::{Code, Diagnostic};
use crate::plan::router::Router;
use smol_str::SmolStr;

/// What a route asks of its callers.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Protection<'f> {
    /// It forwards nothing.
    NotNeeded,
    /// As in [`RouteFacts`].
    Of { anonymous: bool, requires: &'f [Requirement] },
}

impl Protection<'_> {
    /// Who is refused at `other` may pass here.
    fn is_weaker_than(&self, other: &Protection<'_>) -> bool {
        let (Protection::Of { anonymous, requires }, Protection::Of { anonymous: theirs, requires: asked }) =
            (self, other)
        else {
            return false;
        };
        (*anonymous && !theirs) || asked.iter().any(|r| !requires.contains(r))
    }
}

impl Compiler<'_> {
    /// Listeners with the same routes share a router.
    pub(super) fn router(&mut self, routes: &[RouteFacts]) {
        let mut made: Vec<Vec<usize>> = Vec::new();
        for i in 0..self.plan.listeners.len() {
            let here: Vec<usize> = (0..routes.len()).filter(|&r| routes[r].listeners.contains(&(i as u32))).collect();
            let known = made.iter().position(|m| *m == here).unwrap_or_else(|| {
                let router = Router::new(here.iter().map(|&r| (r as u32, &routes[r].key)));
                let (classes, kinds) = self.protection(&here, routes);
                let weaker = |a: u16, b: u16| kinds[usize::from(a)].is_weaker_than(&kinds[usize::from(b)]);
                self.plan.routers.push(router.protecting(classes, weaker));
                made.push(here);
                made.len() - 1
            });
            self.plan.listeners[i].router = known;
        }
        routes::check(routes, self.d);
        self.nothing_is_served(routes);
    }

    /// The kinds of protection of these routes, and which of them each has. A route that forwards nothing needs none.
    fn protection<'f>(&self, here: &[usize], routes: &'f [RouteFacts]) -> (Box<[u16]>, Vec<Protection<'f>>) {
        let mut kinds = Vec::new();
        let classes = here.iter().map(|&r| {
            let kind = match self.plan.routes.get(r).is_some_and(|route| route.target.forwards()) {
                true => Protection::Of { anonymous: routes[r].anonymous, requires: &routes[r].requires },
                false => Protection::NotNeeded,
            };
            let known = kinds.iter().position(|k| *k == kind).unwrap_or_else(|| {
                kinds.push(kind);
                kinds.len() - 1
            });
            u16::try_from(known).unwrap_or(u16::MAX)
        });
        (classes.collect(), kinds)
    }

    /// No listener, no route, or only listeners that redirect; said where nothing else explains it.
    fn nothing_is_served(&mut self, routes: &[RouteFacts]) {
        let unread = |code: Code| code.name().starts_with("E01") || code.name().starts_with("E02");
        if self.d.iter().any(|d| unread(d.code)) {
            return;
        }
        let serves = self.plan.listeners.iter().any(|l| l.redirect_https.is_none());
        match (self.program.listeners.first(), routes.first()) {
            (None, Some(route)) => self.d.push(
                Diagnostic::new(Code::E0305, route.span, "nothing listens: no `listen` is declared")
                    .label("this route could never be reached")
                    .help("add a line such as `listen http :8080`"),
            ),
            (Some(_), Some(route)) if !serves => self.d.push(
                Diagnostic::new(
                    Code::E0305,
                    route.span,
                    "every listener redirects to https, so no route can be reached",
                )
                .label("this route could never be reached")
                .help("add a listener that serves, or remove `redirect https`"),
            ),
            (Some(listener), None) if serves && self.d.errors() == 0 => self.d.push(
                Diagnostic::new(Code::W0305, listener.span, "there is no route, so every request gets 404")
                    .label("listens for nothing")
                    .help("add a line such as `route ANY /{rest...} -> http://localhost:3000`"),
            ),
            _ => {}
        }
    }

    /// The listeners that serve a route whose api says `listen names`; all that do not redirect where it says nothing.
    pub(super) fn stands_on(&self, names: &[SmolStr]) -> Vec<u32> {
        let serves =
            |l: &crate::plan::Listener| l.redirect_https.is_none() && (names.is_empty() || names.contains(&l.name));
        let all = self.plan.listeners.iter().enumerate();
        all.filter(|(_, l)| serves(l)).map(|(i, _)| i as u32).collect()
    }
}
