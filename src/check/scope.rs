//! Scopes: which statements hold for a route, with policies put where they are used.

use super::Compiler;
use crate::diagnostic::{Code, Diagnostic, Diagnostics, nearest};
use crate::model::ast::{
    Expr, HostPattern, Limit, LimitKind, Member, Name, PathAllow, Policy, Scope, ScopeKind, Segment, Statement,
    StatementKind, TrailingSlash,
};
use crate::plan::{self, Inbound, LimitId, Outbound};
use crate::source::Span;
use ahash::RandomState;
use smol_str::{SmolStr, format_smolstr};
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

/// The statements of one block, policies and `when` blocks taken apart.
pub(super) struct Block<'p> {
    pub statements: Vec<Flat<'p>>,
}

/// What routes inherit of a block.
pub(super) struct Inherited<'p> {
    pub inbound: Arc<Inbound>,
    pub outbound: Arc<Outbound>,
    /// The block, which keeps its address for as long as this is here.
    pub _of: Option<Rc<Block<'p>>>,
}

/// A statement where it takes effect.
pub(super) struct Flat<'p> {
    pub statement: &'p Statement,
    /// The `when`s around it and at its end, outermost first, each with the arguments it sees.
    pub guards: Vec<(&'p Expr, Option<Rc<Arguments<'p>>>)>,
    /// The arguments of the policy it stands in.
    pub arguments: Option<Rc<Arguments<'p>>>,
    /// The `use` that put it here.
    pub used: Option<Span>,
    /// Its counter, if it is a limit.
    pub limit: Option<LimitId>,
}

impl Flat<'_> {
    /// Where it stands in this block: its `use`, or itself.
    pub fn place(&self) -> Span {
        self.used.unwrap_or(self.statement.span)
    }
}

/// The arguments of one `use`.
pub(super) struct Arguments<'p> {
    pub policy: &'p Policy,
    pub values: &'p [Expr],
    pub outer: Option<Rc<Arguments<'p>>>,
    /// The `use`.
    pub used: Span,
}

/// What surrounds a route.
#[derive(Clone, Default)]
pub(super) struct Around<'p> {
    pub api: Option<SmolStr>,
    pub hosts: &'p [HostPattern],
    pub prefix: Vec<&'p Segment>,
    pub listen: Vec<SmolStr>,
    pub allow: Vec<PathAllow>,
    pub trailing_slash: TrailingSlash,
    /// Where its routes stand could not be read.
    pub damaged: bool,
    pub blocks: Vec<Rc<Block<'p>>>,
    /// Names the place for the identity of limits; does not change when lines move.
    pub label: String,
    /// Which block of the program a route stands in.
    pub block: u32,
}

impl<'p> Compiler<'p> {
    /// Compiles every route; gives what the router is made of.
    pub(super) fn scopes(&mut self) -> Vec<super::routes::RouteFacts> {
        let mut routes = Vec::new();
        let program = self.program;
        self.policies();
        let mut blocks = 0;
        self.scope(&program.root, Around::default(), &mut blocks, &mut routes);
        let root = Rc::new(self.block(&program.root.statements, "", None, Vec::new()));
        self.unrouted(root);
        self.unused_policies();
        routes
    }

    /// A policy that nothing uses has its mistakes, too. What it names may be a parameter of the route that will use it,
    /// so nothing is said about names of values.
    fn unused_policies(&mut self) {
        let program = self.program;
        let of_the_route = [Code::E0408, Code::E0409, Code::E0410, Code::E0418, Code::E0420, Code::W0601];
        for policy in &program.policies {
            if self.used.contains(&policy.name.text) {
                continue;
            }
            let limits = self.plan.limits.len();
            let mut found = Diagnostics::default();
            self.quietly(&mut found, |c| {
                let arguments = Rc::new(Arguments { policy, values: &[], outer: None, used: policy.name.span });
                let mut seen = Self::seen_by(&arguments);
                let blocks = [Rc::new(c.block(&policy.statements, "", Some(arguments), Vec::new()))];
                c.auth_of(&blocks, &mut seen);
                c.inbound(&blocks, &mut seen);
                c.outbound(&blocks, &mut seen);
            });
            self.plan.limits.truncate(limits);
            for mut diagnostic in found.into_sorted() {
                diagnostic.labels.retain(|label| label.span != policy.name.span);
                if !of_the_route.contains(&diagnostic.code) {
                    self.d.push(Box::new(diagnostic));
                }
            }
        }
    }

    fn scope(
        &mut self,
        scope: &'p Scope,
        mut around: Around<'p>,
        blocks: &mut u32,
        routes: &mut Vec<super::routes::RouteFacts>,
    ) {
        match scope.kind {
            ScopeKind::Root => {}
            ScopeKind::Api => {
                let name = scope.name.as_ref().map(|n| n.text.clone()).unwrap_or_default();
                around.label = format!("api {name}");
                around.api = Some(name);
            }
            ScopeKind::Group => {
                let prefix = scope.prefix.as_ref().map(|p| self.sources.text(p.span)).unwrap_or_default();
                around.label = format!("{}/group {prefix}", around.label);
            }
        }
        if let Some(p) = &scope.prefix {
            around.prefix.extend(&p.segments);
        }
        if !scope.hosts.is_empty() {
            around.hosts = &scope.hosts;
        }
        if !scope.listen.is_empty() {
            around.listen = self.listener_names(&scope.listen);
        }
        around.damaged |= scope.damaged;
        around.allow.extend(scope.paths.iter().map(|p| p.value));
        if let Some(t) = &scope.trailing_slash {
            around.trailing_slash = t.value;
        }
        *blocks += 1;
        around.block = *blocks;
        let block = self.block(&scope.statements, &around.label, None, Vec::new());
        around.blocks.push(Rc::new(block));
        for m in &scope.members {
            match m {
                Member::Route(r) => {
                    let facts = self.route(r, &around);
                    routes.push(facts);
                }
                Member::Scope(s) => self.scope(s, around.clone(), blocks, routes),
            }
        }
    }

    /// Takes policies and `when` blocks apart, and says where one block says the same thing twice.
    pub(super) fn block(
        &mut self,
        statements: &'p [Statement],
        label: &str,
        arguments: Option<Rc<Arguments<'p>>>,
        guards: Vec<(&'p Expr, Option<Rc<Arguments<'p>>>)>,
    ) -> Block<'p> {
        let mut block = Block { statements: Vec::new() };
        let mut limits = 0;
        self.flatten(statements, label, &mut limits, arguments, &guards, None, &mut block.statements);
        self.twice(&block);
        self.overtaken(&block);
        block
    }

    #[allow(clippy::too_many_arguments)]
    fn flatten(
        &mut self,
        statements: &'p [Statement],
        label: &str,
        limits: &mut u32,
        arguments: Option<Rc<Arguments<'p>>>,
        guards: &[(&'p Expr, Option<Rc<Arguments<'p>>>)],
        used: Option<Span>,
        into: &mut Vec<Flat<'p>>,
    ) {
        for s in statements {
            let mut guards = guards.to_vec();
            guards.extend(s.when.as_ref().map(|w| (w, arguments.clone())));
            match &s.kind {
                StatementKind::When { condition, statements } => {
                    guards.push((condition, arguments.clone()));
                    self.flatten(statements, label, limits, arguments.clone(), &guards, used, into);
                }
                StatementKind::Use { policy, arguments: values } => {
                    let Some(declared) = self.policy(policy, values) else { continue };
                    let depth = std::iter::successors(arguments.as_deref(), |a| a.outer.as_deref()).count();
                    if depth >= 32 {
                        continue; // a cycle, reported with the policies
                    }
                    let inner =
                        Some(Rc::new(Arguments { policy: declared, values, outer: arguments.clone(), used: s.span }));
                    let used = Some(used.unwrap_or(s.span));
                    self.flatten(&declared.statements, label, limits, inner, &guards, used, into);
                }
                StatementKind::Limit(l) => {
                    let limit = self.limit_identity(l, s.span, label, *limits);
                    *limits += 1;
                    into.push(Flat { statement: s, guards, arguments: arguments.clone(), used, limit: Some(limit) });
                }
                _ => into.push(Flat { statement: s, guards, arguments: arguments.clone(), used, limit: None }),
            }
        }
    }

    fn policy(&mut self, name: &Name, values: &[Expr]) -> Option<&'p Policy> {
        let program = self.program;
        let Some(policy) = program.policies.iter().find(|p| p.name.text == name.text) else {
            let near = nearest(&name.text, program.policies.iter().map(|p| p.name.text.as_str()));
            let help = near.map(|n| format!("there is one called `{n}`"));
            self.d.push(
                Diagnostic::new(Code::E0314, name.span, format!("no policy is called `{}`", name.text))
                    .label("not declared in this program")
                    .help(help.unwrap_or_else(|| format!("declare it: `policy {}() {{ … }}`", name.text))),
            );
            return None;
        };
        self.used.insert(name.text.clone());
        if policy.parameters.len() != values.len() {
            let n = policy.parameters.len();
            self.d.push(
                Diagnostic::new(
                    Code::E0315,
                    name.span,
                    format!(
                        "`{}` takes {n} argument{}, and {} given",
                        name.text,
                        if n == 1 { "" } else { "s" },
                        match values.len() {
                            1 => "1 is".into(),
                            n => format!("{n} are"),
                        }
                    ),
                )
                .label("used here")
                .also(policy.name.span, "declared here"),
            );
            return None;
        }
        Some(policy)
    }

    /// A policy that uses itself, whichever way round.
    fn policies(&mut self) {
        let program = self.program;
        fn uses<'p>(statements: &'p [Statement], out: &mut Vec<&'p Name>) {
            for s in statements {
                match &s.kind {
                    StatementKind::Use { policy, .. } => out.push(policy),
                    StatementKind::When { statements, .. } => uses(statements, out),
                    _ => {}
                }
            }
        }
        let graph: HashMap<&str, Vec<&Name>> = program
            .policies
            .iter()
            .map(|p| {
                let mut out = Vec::new();
                uses(&p.statements, &mut out);
                (p.name.text.as_str(), out)
            })
            .collect();
        let mut circles: std::collections::HashSet<SmolStr> = Default::default();
        for p in program.policies.iter() {
            if circles.contains(&p.name.text) {
                continue;
            }
            let mut path = vec![p.name.text.as_str()];
            let mut todo: Vec<(&Name, usize)> =
                graph.get(p.name.text.as_str()).into_iter().flatten().map(|n| (*n, 1)).collect();
            let mut seen = std::collections::HashSet::new();
            while let Some((name, depth)) = todo.pop() {
                path.truncate(depth);
                if name.text == p.name.text {
                    let chain =
                        path.iter().chain([&p.name.text.as_str()]).map(|n| format!("`{n}`")).collect::<Vec<_>>();
                    self.d.push(
                        Diagnostic::new(Code::E0316, p.name.span, format!("the policy `{}` uses itself", p.name.text))
                            .label(chain.join(" uses "))
                            .also(name.span, "used again here"),
                    );
                    circles.extend(path.iter().map(SmolStr::new));
                    break;
                }
                if seen.insert(name.text.as_str()) {
                    path.push(&name.text);
                    todo.extend(graph.get(name.text.as_str()).into_iter().flatten().map(|n| (*n, depth + 1)));
                }
            }
        }
    }

    /// What counts "nearest wins" may stand once unguarded in a block.
    fn twice(&mut self, block: &Block<'p>) {
        let mut seen: HashMap<&'static str, Span> = HashMap::new();
        for f in block.statements.iter().filter(|f| f.guards.is_empty()) {
            for key in nearest_wins(&f.statement.kind) {
                let Some(first) = seen.insert(key, f.place()) else { continue };
                self.d.push(
                    Diagnostic::new(Code::E0604, f.place(), format!("`{key}` is said twice in one block"))
                        .label("said again here")
                        .also(first, "first said here")
                        .help("keep one of them, or put a `when` behind one"),
                );
            }
        }
    }

    /// The first `on` that fits answers: one that stands behind another for all of its kinds never does.
    fn overtaken(&mut self, block: &Block<'p>) {
        let is_on =
            |f: &&Flat| matches!(f.statement.kind, StatementKind::OnError { .. } | StatementKind::OnUpstream { .. });
        let all: Vec<&Flat> = block.statements.iter().filter(is_on).collect();
        for (at, later) in all.iter().enumerate() {
            let takes = |f: &&&Flat| f.guards.is_empty() && covers(&f.statement.kind, &later.statement.kind);
            if let Some(first) = all[..at].iter().find(takes) {
                self.d.push(
                    Diagnostic::new(Code::W0602, later.place(), "this is never the answer")
                        .label("never asked")
                        .also(first.place(), "this stands before it and answers everything that it would")
                        .help("put the narrower one first: of one block, the first that fits answers"),
                );
            }
        }
    }

    /// The counter of a limit: one for each place it is written or used in, or one for each `name`.
    pub(super) fn limit_identity(&mut self, l: &Limit, span: Span, label: &str, nth: u32) -> LimitId {
        let key = l.by.as_ref().map(|k| SmolStr::new(self.sources.text(k.span))).unwrap_or_default();
        let kind = match l.kind {
            LimitKind::Sliding => plan::LimitKind::Sliding,
            LimitKind::Bucket(ref burst) => plan::LimitKind::Bucket(self.count(burst, 1, "`burst`").unwrap_or(1)),
            LimitKind::Fixed => plan::LimitKind::Fixed,
            LimitKind::Concurrent => plan::LimitKind::Concurrent,
        };
        if let Some(name) = &l.name
            && let Some(i) = self.plan.limits.iter().position(|known| known.name == name.text && known.shared)
        {
            let known = &self.plan.limits[i];
            if known.key != key {
                let line = known.origin.line;
                self.d.push(
                    Diagnostic::new(
                        Code::E0605,
                        name.span,
                        format!("the limit `{}` has another key on line {line}", name.text),
                    )
                    .label("one counter cannot have two keys")
                    .help("write the same `by …`, or give it another name"),
                );
            } else if known.kind != kind {
                let line = known.origin.line;
                self.d.push(
                    Diagnostic::new(
                        Code::E0605,
                        name.span,
                        format!("the limit `{}` counts in another way on line {line}", name.text),
                    )
                    .label("one counter cannot count in two ways")
                    .help("write the same `burst`, `fixed` or `concurrent`, or give it another name"),
                );
            }
            return LimitId(i as u32);
        }
        // Fixed seeds: the identity is the same in every process and after every reload.
        let hasher = RandomState::with_seeds(1, 2, 3, 4);
        let (name, shared, identity) = match &l.name {
            Some(n) => (n.text.clone(), true, hasher.hash_one(("named", n.text.as_str()))),
            None => (short_name(label, nth), false, hasher.hash_one((label, nth, key.as_str()))),
        };
        let origin = self.origin(span);
        self.plan.limits.push(plan::Limit { identity, name, shared, kind, constant: None, key, origin });
        LimitId(self.plan.limits.len() as u32 - 1)
    }
}

/// Whatever `b` is for, `a` is for.
fn covers(a: &StatementKind, b: &StatementKind) -> bool {
    match (a, b) {
        (StatementKind::OnError { kinds: a, .. }, StatementKind::OnError { kinds: b, .. }) => {
            a.is_empty() || !b.is_empty() && b.iter().all(|b| a.iter().any(|a| a.text == b.text))
        }
        (StatementKind::OnUpstream { statuses: a, .. }, StatementKind::OnUpstream { statuses: b, .. }) => {
            b.iter().all(|b| a.iter().any(|a| a.value.covers(b.value)))
        }
        _ => false,
    }
}

/// What a limit without a name is called in header fields and logs: `shop.get-user-1`.
fn short_name(label: &str, nth: u32) -> SmolStr {
    let inner =
        ["/route ", "/group ", "api ", "upstream "].iter().find_map(|w| label.rsplit_once(w)).map_or(label, |(_, n)| n);
    let mut short = String::new();
    for c in inner.chars() {
        match c {
            'A'..='Z' | 'a'..='z' | '0'..='9' | '.' | '-' => short.push(c),
            _ if short.ends_with('-') => {}
            _ => short.push('-'),
        }
    }
    let short = short.trim_matches(['-', '.']);
    format_smolstr!("{}-{}", if short.is_empty() { "gateway" } else { short }, nth + 1)
}

/// The words under which a statement counts as said twice.
fn nearest_wins(kind: &StatementKind) -> Vec<&'static str> {
    match kind {
        StatementKind::Auth(_) => vec!["auth"],
        StatementKind::Cors(_) => vec!["cors"],
        StatementKind::BodyMax(_) => vec!["body max"],
        StatementKind::Accepts(_) => vec!["accepts"],
        StatementKind::Log(_) => vec!["log"],
        StatementKind::Retry(r) => [
            (r.count.is_some() || r.none, "retry"),
            (!r.on.is_empty() && r.count.is_none(), "retry on"),
            (r.budget.is_some() && r.count.is_none(), "retry budget"),
            (r.backoff.is_some() && r.count.is_none(), "retry backoff"),
        ]
        .into_iter()
        .filter_map(|(is, w)| is.then_some(w))
        .collect(),
        StatementKind::Timeout(Some(t)) => [
            (t.total.is_some(), "timeout total"),
            (t.connect.is_some(), "timeout connect"),
            (t.response.is_some(), "timeout response"),
            (t.idle.is_some(), "timeout idle"),
        ]
        .into_iter()
        .filter_map(|(is, w)| is.then_some(w))
        .collect(),
        StatementKind::Timeout(None) => vec!["timeout"],
        _ => vec![],
    }
}
