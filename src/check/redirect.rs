//! Redirects that lead back to themselves, where that can be decided.

use super::Compiler;
use crate::diagnostic::{Code, Diagnostic};
use crate::model::ast::{self, Member, Scope, TargetKind};
use crate::model::ir::Ir;
use crate::model::value::Value;
use crate::plan::{Route, Target};
use crate::source::Span;

impl Compiler<'_> {
    /// A route that redirects to a path that it has itself, with nothing else in between.
    pub(super) fn redirects(&mut self) {
        let mut spans = Vec::new();
        redirect_spans(&self.program.root, &mut spans);
        let mut found = Vec::new();
        for (route, span) in self.plan.routes.iter().zip(spans) {
            let (Some(span), Some(path)) = (span, constant_location(route)) else { continue };
            if route.params.is_empty() && route.when.is_none() && route.pattern == path {
                found.push((span, route.pattern.clone()));
            }
        }
        for (span, pattern) in found {
            self.d.push(
                Diagnostic::new(Code::E0533, span, format!("this redirects {pattern} to itself, for ever"))
                    .label("leads back to this route")
                    .help("redirect to another path, or forward to an upstream"),
            );
        }
    }
}

fn constant_location(route: &Route) -> Option<&str> {
    match &route.target {
        Target::Redirect { location: Ir::Const(Value::Str(s)), .. } => Some(s.split(['?', '#']).next().unwrap_or(s)),
        _ => None,
    }
}

/// Where each route's redirect stands, in the order in which routes are compiled.
fn redirect_spans(scope: &Scope, out: &mut Vec<Option<Span>>) {
    for m in &scope.members {
        match m {
            Member::Scope(s) => redirect_spans(s, out),
            Member::Route(ast::Route { target, .. }) => out.push(match target.kind {
                TargetKind::Redirect { .. } => Some(target.span),
                _ => None,
            }),
        }
    }
}
