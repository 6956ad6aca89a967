//! Invariants: what must hold for every route, asked of the compiled routes.

use super::Compiler;
use super::expr::{self, Env};
use crate::diagnostic::{Code, Diagnostic};
use crate::model::eval::{Facts, eval};
use crate::model::facts::{Fact, Phase, RouteFact};
use crate::model::ir::Ir;
use crate::model::table::TableData;
use crate::model::types::Type;
use crate::model::value::{NameKind, Value};
use crate::plan::{LimitAmount, Plan, Route, TimeoutParts};
use crate::source::Span;
use http::Method;
use smol_str::SmolStr;
use std::borrow::Cow;
use std::sync::Arc;

const METHODS: [Method; 7] =
    [Method::GET, Method::HEAD, Method::POST, Method::PUT, Method::PATCH, Method::DELETE, Method::OPTIONS];

impl Compiler<'_> {
    pub(super) fn invariants(&mut self, routes: &[super::routes::RouteFacts]) {
        let program = self.program;
        for i in &program.invariants {
            let env = Env { invariant: true, phase: Phase::Constant, ..Env::constant(&self.globals, "an invariant") };
            let filter = i.filter.as_ref().map(|f| expr::check(f, Some(&Type::Bool), &env, self.d));
            let settled = i.filter.as_ref().map(expr::settled).unwrap_or_default();
            let env = Env { settled: &settled, ..env };
            let expect = expr::check(&i.expect, Some(&Type::Bool), &env, self.d);
            if expect.is_error() || filter.as_ref().is_some_and(|f| f.is_error()) {
                continue;
            }
            let mut broken: Vec<(SmolStr, u16, u32, Span)> = Vec::new();
            let mut met = false;
            for (route, known) in self.plan.routes.iter().zip(routes).filter(|(_, r)| !r.damaged && !r.doubtful) {
                let facts = RouteFacts { plan: &self.plan, route };
                let holds = |ir: &Ir| eval(ir, &facts).is_ok_and(|v| v.is_true());
                if filter.as_ref().is_some_and(|f| !holds(&f.ir)) {
                    continue;
                }
                met = true;
                if !holds(&expect.ir) {
                    broken.push((route.name.clone(), route.origin.file, route.origin.line, known.span));
                }
            }
            if let Some((first, ..)) = broken.first() {
                let what = match broken.len() {
                    1 => format!("`{first}` breaks"),
                    n => format!("{n} routes break"),
                };
                let mut d =
                    Diagnostic::new(Code::E0902, i.expect.span, format!("{what} the invariant \"{}\"", i.title.value))
                        .label("does not hold");
                let list: Vec<String> = broken
                    .iter()
                    .take(10)
                    .map(|(name, file, line, _)| {
                        format!("{name} ({}:{line})", self.plan.files.get(usize::from(*file)).map_or("", |f| f))
                    })
                    .collect();
                let more = if broken.len() > 10 { format!(" and {} more", broken.len() - 10) } else { String::new() };
                d = d.help(format!("change {}{more}, or the invariant", list.join(", ")));
                for (name, .., span) in broken.iter().take(2) {
                    d = d.also(*span, format!("`{name}` breaks it"));
                }
                self.d.push(d);
            } else if !met && !self.plan.routes.is_empty() && self.d.errors() == 0 {
                self.d.push(
                    Diagnostic::new(
                        Code::W0902,
                        i.title.span,
                        format!("the invariant \"{}\" is about no route", i.title.value),
                    )
                    .label("its `where` fits none")
                    .help("correct the condition, or remove the invariant"),
                );
            }
        }
    }
}

/// A route as data.
struct RouteFacts<'a> {
    plan: &'a Plan,
    route: &'a Route,
}

impl<'a> Facts<'a> for RouteFacts<'a> {
    fn fact(&self, fact: &'a Fact) -> Value<'a> {
        let Fact::Route(fact) = fact else { return Value::Null };
        let r = self.route;
        let list = |items: Vec<Value<'static>>| Value::List(Cow::Owned(items));
        match fact {
            RouteFact::Name => Value::Name(NameKind::Route, r.name.clone()),
            RouteFact::Methods => {
                let all: &[Method] = if r.methods.is_empty() { &METHODS } else { &r.methods };
                list(all.iter().cloned().map(Value::Method).collect())
            }
            RouteFact::Path => Value::str(&r.pattern),
            RouteFact::Host => r.hosts.first().map_or(Value::Null, |h| Value::str(h)),
            // `auth optional` lets anonymous callers pass: it is no protection.
            RouteFact::Auth => match r.inbound.auth.as_ref().filter(|a| !a.what.optional) {
                None => Value::Null,
                Some(a) => {
                    let name = |id: &crate::plan::AuthId| {
                        Value::Name(NameKind::Auth, self.plan.auths[id.index()].name.clone())
                    };
                    list(a.what.alternatives.iter().map(name).collect())
                }
            },
            RouteFact::Limits => {
                let uses = r.inbound.edge_limits.iter().chain(&r.inbound.limits);
                let rates = uses.filter_map(|l| match self.plan.limits[l.what.limit.index()].constant {
                    Some(LimitAmount::Rate(rate)) => Some(Value::Rate(rate)),
                    _ => None,
                });
                list(rates.collect())
            }
            RouteFact::Timeout => {
                let said = r
                    .inbound
                    .timeouts
                    .iter()
                    .filter(|t| t.guards.is_empty())
                    .fold(TimeoutParts::default(), |a, t| a.or(t.what));
                let targets = super::budget::targets(&r.target);
                let outer = targets.iter().filter_map(|u| self.plan.upstreams[u.index()].timeouts.total).max();
                said.total.or(outer).map_or(Value::Null, Value::Duration)
            }
            RouteFact::Upstreams => {
                let targets = super::budget::targets(&r.target);
                list(
                    targets
                        .iter()
                        .map(|u| Value::Name(NameKind::Upstream, self.plan.upstreams[u.index()].name.clone()))
                        .collect(),
                )
            }
            RouteFact::Cached => Value::Bool(false),
            RouteFact::Version => Value::Null,
        }
    }

    fn param(&self, _: u16) -> Value<'a> {
        Value::Null
    }

    fn table(&self, id: u32) -> Arc<TableData> {
        self.plan.tables[id as usize].inline.clone()
    }

    fn now(&self) -> jiff::Timestamp {
        jiff::Timestamp::UNIX_EPOCH
    }

    fn random(&self) -> u128 {
        0
    }
}
