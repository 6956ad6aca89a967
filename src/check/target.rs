//! Where a route goes.

use super::Compiler;
use super::expr::{self, Caller, Env};
use super::route::Seen;
use crate::diagnostic::{Code, Diagnostic};
use crate::model::ast::{self, Expr, ExprKind, TargetKind, TextPart};
use crate::model::facts::Phase;
use crate::model::ir::Ir;
use crate::model::types::Type;
use crate::model::value::Value;
use crate::plan::{self, Forward, PathPart, PathTemplate, QueryTemplate, Sides, Target};
use smol_str::SmolStr;

impl<'p> Compiler<'p> {
    pub(super) fn target(&mut self, t: &'p ast::Target, seen: &mut Seen<'p>) -> Target {
        match &t.kind {
            TargetKind::Forward(f) => Target::Forward(self.forward(f, t, seen)),
            TargetKind::Choice { condition, then, otherwise } => {
                let typed =
                    self.typed(condition, Some(&Type::Bool), Phase::Body, "the condition of a target", seen, None);
                self.undecided(&typed, "all requests go to the target behind `else`");
                Target::Choice {
                    condition: typed.ir,
                    then: Box::new(self.target(then, seen)),
                    otherwise: Box::new(self.target(otherwise, seen)),
                    origin: self.origin(t.span),
                }
            }
            // Reported already; no plan is given.
            TargetKind::Error => Target::Respond(plan::Respond {
                status: 500,
                body: plan::RespondBody::None,
                origin: self.origin(t.span),
            }),
            TargetKind::Respond(r) => Target::Respond(self.respond(r, Phase::Body, seen, None)),
            TargetKind::Redirect { status, location } => {
                let code = self.status(status, 300..=399, "the status of a redirect").unwrap_or(302);
                if !matches!(code, 301 | 302 | 303 | 307 | 308) {
                    self.d.push(
                        Diagnostic::new(Code::E0603, status.span, format!("{code} is no redirect"))
                            .label("not a redirect")
                            .help("301 and 308 are permanent, 302 and 307 are not, 303 makes it a GET"),
                    );
                }
                let ty = match &location.kind {
                    ExprKind::Literal(_) | ExprKind::Text(_) => None,
                    _ => Some(&Type::String),
                };
                let typed = self.typed(location, ty, Phase::Body, "the location of a redirect", seen, None);
                expr::forbid_secret(&typed, "a URL", self.d);
                Target::Redirect { status: code, location: typed.ir, origin: self.origin(t.span) }
            }
        }
    }

    fn forward(&mut self, f: &'p ast::Forward, t: &ast::Target, seen: &mut Seen<'p>) -> Forward {
        let mut to = Vec::new();
        let mut sum = 0.0;
        let mut known = true;
        for w in &f.to {
            let share = match &w.percent {
                Some(e) => {
                    let p = self.percent(e, "a share");
                    known &= p.is_some();
                    p.unwrap_or(0.0)
                }
                None => 100.0,
            };
            sum += share;
            if let Some(id) = self.upstream_ref(&w.upstream) {
                to.push((share, id));
            }
        }
        if known && (sum - 100.0).abs() > 1e-6 {
            let terms: Vec<String> = to.iter().map(|(p, _)| format!("{p}%")).collect();
            self.d.push(
                Diagnostic::new(Code::E0531, t.span, format!("the shares sum to {sum}%, not to 100%"))
                    .label(terms.join(" + "))
                    .help(match sum < 100.0 {
                        true => format!("add {}% to one of them", 100.0 - sum),
                        false => format!("take {}% from one of them", sum - 100.0),
                    }),
            );
        }
        let at = f.at.as_ref().map(|parts| self.path_template(&parts.value, parts.span, seen));
        let by = f.by.as_ref().map(|key| {
            let env = Env {
                params: &seen.params,
                caller: seen.caller.as_ref().map_or(Caller::Unauthenticated, Caller::Known),
                phase: Phase::Caller,
                ..Env::constant(&self.globals, "the key of a target")
            };
            let mut quiet = crate::diagnostic::Diagnostics::default();
            let d = if seen.damaged { &mut quiet } else { &mut *self.d };
            expr::check_key(key, false, &env, d).into_iter().map(|t| t.ir).collect()
        });
        if let (Some(key), 1) = (&f.by, f.to.len()) {
            self.d.push(
                Diagnostic::new(Code::W0531, key.span, "`by` decides nothing: there is only one upstream")
                    .label("has no effect")
                    .help("to keep a caller on one server of an upstream, use `balance hash …` there"),
            );
        }
        let to = match &*to {
            [(_, only)] => Sides::One(*only),
            _ => Sides::Shares(to.into()),
        };
        Forward { to, at, by: by.unwrap_or_default(), origin: self.origin(t.span) }
    }

    /// `at /x/{id}?a={b}`: each value one segment, `{rest}` with its slashes.
    fn path_template(&mut self, parts: &'p [TextPart], span: crate::source::Span, seen: &mut Seen<'p>) -> PathTemplate {
        let mut path = Vec::new();
        let mut query: Option<Vec<PathPart>> = None;
        for part in parts {
            match part {
                TextPart::Text(t) => match (&mut query, t.split_once('?')) {
                    (None, Some((before, after))) => {
                        if !before.is_empty() {
                            path.push(PathPart::Text(SmolStr::new(before)));
                        }
                        query = Some(if after.is_empty() { vec![] } else { vec![PathPart::Text(SmolStr::new(after))] });
                    }
                    (None, None) => path.push(PathPart::Text(t.clone())),
                    (Some(q), _) => q.push(PathPart::Text(t.clone())),
                },
                TextPart::Hole(e) => {
                    let part = self.path_value(e, query.is_some(), seen);
                    query.as_mut().unwrap_or(&mut path).push(part);
                }
            }
        }
        PathTemplate {
            path: path.into(),
            query: query.map(|parts| Box::new(QueryTemplate(parts.into()))),
            text: SmolStr::new(self.sources.text(span)),
        }
    }

    fn path_value(&mut self, e: &'p Expr, in_query: bool, seen: &mut Seen<'p>) -> PathPart {
        if let (ExprKind::Name(n), Some((rest, slot)), false) = (&e.kind, &seen.rest, in_query)
            && n == rest
        {
            return PathPart::Rest(*slot);
        }
        let typed = self.typed(e, None, Phase::Body, "a part of a path", seen, None);
        expr::forbid_secret(&typed, "a URL", self.d);
        let optional = matches!(typed.ty, Type::Optional(_) | Type::Null);
        if optional || matches!(typed.ty, Type::List(_) | Type::Map(_) | Type::Record(_) | Type::Bytes) {
            let help = match optional {
                true => {
                    format!("say what stands there when it is absent: {{{} ?? \"none\"}}", self.sources.text(e.span))
                }
                false => "use a text, a number, an identifier or a date".into(),
            };
            self.d.push(
                Diagnostic::new(Code::E0532, e.span, format!("a `{}` cannot be part of a path", typed.ty))
                    .label("not one text")
                    .help(help),
            );
        }
        match (typed.constant, typed.ir) {
            (Some(Value::Str(s)), _) => PathPart::Value(Box::new(Ir::Const(Value::Str(s)))),
            (_, Ir::Param(slot)) => PathPart::Param(slot),
            (_, ir) => PathPart::Value(Box::new(ir)),
        }
    }
}
