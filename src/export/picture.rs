//! A picture of a plan: listeners → routes, grouped by api → what holds for them → upstreams. How it is drawn is for
//! [`super::dot`] and [`super::mermaid`].

use super::chain::stated;
use super::routes::{auths, methods};
use crate::plan::{Plan, Route, Target, UpstreamId};

/// What a node stands for, which decides its shape.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Listener,
    Route,
    Policies,
    Auth,
    Upstream,
    Answer,
}

/// A node; its id is a letter and a number, safe in every notation.
#[derive(Debug)]
pub(super) struct Node {
    pub id: String,
    pub kind: Kind,
    /// The lines of its label.
    pub lines: Vec<String>,
}

/// An arrow.
#[derive(Debug)]
pub(super) struct Edge {
    pub from: String,
    pub to: String,
    /// Empty for most.
    pub label: String,
    /// It shows a relation and not the way of a request.
    pub dashed: bool,
}

/// Nodes that are drawn together.
#[derive(Debug, Default)]
pub(super) struct Group {
    /// None for what stands by itself.
    pub label: Option<String>,
    pub nodes: Vec<Node>,
}

/// The whole picture.
#[derive(Debug)]
pub(super) struct Picture {
    pub groups: Vec<Group>,
    pub edges: Vec<Edge>,
}

impl Picture {
    pub fn new(plan: &Plan) -> Picture {
        let mut picture = Picture { groups: vec![Group::default()], edges: Vec::new() };
        for (i, listener) in plan.listeners.iter().enumerate() {
            let mut lines = vec![format!("listen {}", listener.name)];
            if listener.name != listener.address.to_string() {
                lines.push(listener.address.to_string());
            }
            picture.node(0, format!("l{i}"), Kind::Listener, lines);
            if let Some(port) = listener.redirect_https {
                picture.node(0, format!("h{i}"), Kind::Answer, vec![format!("redirect https port {port}")]);
                picture.edge(format!("l{i}"), format!("h{i}"), "");
            } else if let Some(router) = plan.routers.get(listener.router) {
                for route in router.routes() {
                    picture.edge(format!("l{i}"), format!("r{}", route.id), "");
                }
            }
        }
        for (i, route) in plan.routes.iter().enumerate() {
            picture.route(plan, i, route);
        }
        for (i, upstream) in plan.upstreams.iter().enumerate() {
            let mut lines = vec![format!("upstream {}", upstream.name)];
            if upstream.echo {
                lines.push("echo".into());
            }
            for server in &upstream.servers {
                let scheme = if server.tls { "https" } else { "http" };
                let url = format!("{scheme}://{}{}", server.authority, server.prefix);
                if url != upstream.name {
                    lines.push(format!("{url}{}", if server.backup { " backup" } else { "" }));
                }
            }
            picture.node(0, format!("u{i}"), Kind::Upstream, lines);
        }
        for (i, auth) in plan.auths.iter().enumerate() {
            picture.node(0, format!("a{i}"), Kind::Auth, vec![format!("auth {}", auth.name)]);
        }
        picture
    }

    fn route(&mut self, plan: &Plan, i: usize, route: &Route) {
        let group = self.group(route);
        let mut lines = vec![format!("{} {}", methods(route).join(", "), route.pattern)];
        lines.extend(route.when.as_ref().map(|guard| format!("when {}", guard.origin.text)));
        if !route.name.ends_with(route.pattern.as_str()) {
            lines.push(route.name.to_string());
        }
        self.node(group, format!("r{i}"), Kind::Route, lines);
        let statements = stated(plan, route);
        let mut from = format!("r{i}");
        if !statements.is_empty() {
            let lines = statements.iter().map(|s| s.origin.text.to_string()).collect();
            self.node(group, format!("p{i}"), Kind::Policies, lines);
            self.edge(from, format!("p{i}"), "");
            from = format!("p{i}");
        }
        let names = auths(plan, route);
        for (a, _) in plan.auths.iter().enumerate().filter(|(_, auth)| names.contains(&auth.name.as_str())) {
            self.edges.push(Edge { from: from.clone(), to: format!("a{a}"), label: String::new(), dashed: true });
        }
        let mut answers = 0;
        self.target(group, i, &from, &route.target, "", &mut answers);
    }

    fn target(&mut self, group: usize, i: usize, from: &str, target: &Target, label: &str, answers: &mut usize) {
        match target {
            Target::Forward(forward) => {
                for (share, UpstreamId(u)) in forward.to.iter() {
                    let share = forward.to.are_several().then(|| format!("{share}%"));
                    let at = forward.at.as_ref().map(|at| format!("at {}", at.text));
                    let said = (!label.is_empty()).then(|| label.to_owned());
                    let parts: Vec<_> = said.into_iter().chain(share).chain(at).collect();
                    self.edge(from.to_owned(), format!("u{u}"), &parts.join(", "));
                }
            }
            Target::Choice { then, otherwise, .. } => {
                self.target(group, i, from, then, "when", answers);
                self.target(group, i, from, otherwise, "else", answers);
            }
            Target::Respond(respond) => {
                self.answer(group, i, from, format!("respond {}", respond.status), label, answers)
            }
            Target::Redirect { status, .. } => {
                self.answer(group, i, from, format!("redirect {status}"), label, answers)
            }
        }
    }

    fn answer(&mut self, group: usize, i: usize, from: &str, text: String, label: &str, answers: &mut usize) {
        let id = format!("t{i}x{answers}");
        *answers += 1;
        self.node(group, id.clone(), Kind::Answer, vec![text]);
        self.edge(from.to_owned(), id, label);
    }

    /// The group of a route's api and hosts.
    fn group(&mut self, route: &Route) -> usize {
        let label = match (&route.api, route.hosts.join(", ")) {
            (None, hosts) if hosts.is_empty() => return 0,
            (None, hosts) => hosts,
            (Some(api), hosts) if hosts.is_empty() => format!("api {api}"),
            (Some(api), hosts) => format!("api {api} ({hosts})"),
        };
        self.groups.iter().position(|g| g.label.as_ref() == Some(&label)).unwrap_or_else(|| {
            self.groups.push(Group { label: Some(label), nodes: Vec::new() });
            self.groups.len() - 1
        })
    }

    fn node(&mut self, group: usize, id: String, kind: Kind, lines: Vec<String>) {
        if let Some(group) = self.groups.get_mut(group) {
            group.nodes.push(Node { id, kind, lines });
        }
    }

    fn edge(&mut self, from: String, to: String, label: &str) {
        self.edges.push(Edge { from, to, label: label.to_owned(), dashed: false });
    }
}
