//! Types expressions: resolves every name and gives the typed form that is evaluated.
//!
//! What a mistake was reported for has the type [`Type::Error`], which fits everywhere and causes no further message.

mod calls;
mod env;
mod fit;
mod guard;
mod matching;
mod names;
mod operators;
mod regular;
mod shown;

#[cfg(test)]
mod tests;
#[cfg(test)]
mod value_tests;

pub use env::{Alternative, Caller, CallerInfo, Env, Globals};
pub use guard::settled;

use crate::diagnostic::{Code, Diagnostic, Diagnostics};
use crate::model::ast::{Expr, ExprKind, Key, Name, TextPart};
use crate::model::eval::{NoFacts, eval};
use crate::model::facts::{Fact, Phase, Reads};
use crate::model::ir::Ir;
use crate::model::types::Type;
use crate::model::value::Value;
use crate::source::Span;
use smol_str::SmolStr;

/// A checked expression.
#[derive(Clone, Debug)]
pub struct Typed {
    /// What is evaluated.
    pub ir: Ir,
    /// Its type; [`Type::Error`] where a mistake was reported.
    pub ty: Type,
    /// What it reads.
    pub reads: Reads,
    /// The earliest phase in which everything it reads is known.
    pub phase: Phase,
    /// Its value, where it reads nothing, or an input that has one.
    pub constant: Option<Value<'static>>,
    /// It contains a secret.
    pub secret: bool,
    /// Where it stands.
    pub span: Span,
}

impl Typed {
    /// Of an expression that could not be checked; fits everywhere.
    pub fn error(span: Span) -> Typed {
        Typed { constant: None, ..Typed::constant(Value::Null, Type::Error, span) }
    }

    /// Of a known value.
    pub fn constant(value: Value<'static>, ty: Type, span: Span) -> Typed {
        Typed {
            ir: Ir::Const(value.clone()),
            secret: env::is_secret(&ty),
            ty,
            reads: Reads::NOTHING,
            phase: Phase::Constant,
            constant: Some(value),
            span,
        }
    }

    /// Of a literal.
    pub fn literal(value: &Value<'static>, span: Span) -> Typed {
        Typed::constant(value.clone(), fit::type_of(value), span)
    }

    /// It may be another value for another request.
    fn varies(&self) -> bool {
        self.phase > Phase::Constant || self.reads.any_of(Reads::PARAM | Reads::TABLE | Reads::VOLATILE)
    }

    /// What it always is, in every environment.
    pub fn decided(&self) -> Option<bool> {
        match self.constant {
            Some(Value::Bool(is)) if !self.reads.any_of(Reads::INPUT) => Some(is),
            _ => None,
        }
    }

    /// A mistake was reported.
    pub fn is_error(&self) -> bool {
        self.ty == Type::Error
    }
}

/// Checks `e` where a value of type `expected` (or of any type) must stand.
pub fn check(e: &Expr, expected: Option<&Type>, env: &Env, d: &mut Diagnostics) -> Typed {
    Checker::new(env, d).fitted(e, expected)
}

/// Checks text with holes that stands for a path or header: `at /users/{id}`.
pub fn check_text(parts: &[TextPart], span: Span, env: &Env, d: &mut Diagnostics) -> Typed {
    Checker::new(env, d).text(parts, span)
}

/// Checks the parts of a key. Any type that has a text may stand in one, types may mix in `??`, and `caller` alone is the
/// pair of auth and id. A part that may be absent is an error unless `may_be_absent` (`else skip`).
pub fn check_key(key: &Key, may_be_absent: bool, env: &Env, d: &mut Diagnostics) -> Vec<Typed> {
    key.parts.iter().map(|part| Checker { mixed: true, ..Checker::new(env, d) }.key_part(part, may_be_absent)).collect()
}

/// Reports a secret that would be seen at `place` ("a log field", "a URL").
pub fn forbid_secret(typed: &Typed, place: &str, d: &mut Diagnostics) {
    if typed.secret && !typed.is_error() {
        d.push(
            Diagnostic::new(Code::E0412, typed.span, format!("a secret may not go to {place}"))
                .label("this contains a secret")
                .help("secrets go to credential positions and to headers or bodies of upstream requests, nowhere else"),
        );
    }
}

/// The value of what must be constant; an error where it reads a request. None too for an input without a value, which is
/// right while checking, and where a mistake was reported.
pub fn constant<'t>(typed: &'t Typed, place: &str, d: &mut Diagnostics) -> Option<&'t Value<'static>> {
    if typed.is_error() {
        return None;
    }
    if typed.varies() {
        let what = if typed.reads.any_of(Reads::VOLATILE) {
            "this is another value each time"
        } else {
            "this depends on the request"
        };
        d.push(
            Diagnostic::new(Code::E0419, typed.span, format!("{place} must be constant"))
                .label(what)
                .help("use a literal, a constant (`let`) or an input"),
        );
    }
    typed.constant.as_ref()
}

/// Checks one expression with everything inside.
struct Checker<'c> {
    env: &'c Env<'c>,
    d: &'c mut Diagnostics,
    /// Optionals that are there, as [`shown::path`] shows them.
    settled: Vec<SmolStr>,
    /// The sides of `??` may have different types: keys.
    mixed: bool,
}

impl<'c> Checker<'c> {
    fn new(env: &'c Env<'c>, d: &'c mut Diagnostics) -> Checker<'c> {
        Checker { env, d, settled: env.settled.to_vec(), mixed: false }
    }

    fn report(&mut self, diagnostic: Box<Diagnostic>) -> Typed {
        let span = diagnostic.span;
        self.d.push(diagnostic);
        Typed::error(span)
    }

    /// The expression as a value of the expected type.
    fn fitted(&mut self, e: &Expr, expected: Option<&Type>) -> Typed {
        let typed = self.infer(e, expected);
        match expected {
            Some(want) => self.fit(typed, want, e),
            None => typed,
        }
    }

    /// The expression with the type that it has; `expected` only helps to read it.
    fn infer(&mut self, e: &Expr, expected: Option<&Type>) -> Typed {
        match &e.kind {
            ExprKind::Error => Typed::error(e.span),
            ExprKind::Literal(value) => Typed::literal(value, e.span),
            ExprKind::Text(parts) => self.text(parts, e.span),
            ExprKind::Name(_) | ExprKind::Field(..) | ExprKind::Index(..) => {
                let typed = self.named(e, expected);
                self.without_null(e, typed)
            }
            ExprKind::Call(name, arguments) => self.call(name, arguments, e.span),
            ExprKind::List(elements) => self.list(elements, expected, e.span),
            ExprKind::Object(fields) => self.object(fields, expected, e.span),
            ExprKind::Not(inner) => {
                let inner = self.fitted(inner, Some(&Type::Bool));
                self.finish(Type::Bool, e.span, [inner], |[a]| Ir::Not(Box::new(a)))
            }
            ExprKind::Binary(op, op_span, a, b) => self.binary(*op, *op_span, a, b, expected, e.span),
            ExprKind::Match { subject, arms, otherwise } => {
                self.matching(subject, arms, otherwise.as_deref(), expected, e.span)
            }
        }
    }

    /// Without `?` where a guard has asked.
    fn without_null(&self, e: &Expr, mut typed: Typed) -> Typed {
        if let Type::Optional(inner) = &typed.ty
            && shown::path(e).is_some_and(|p| self.settled.contains(&p))
        {
            typed.ty = inner.as_ref().clone();
        }
        typed
    }

    /// An expression made of checked parts; worked out at once where they are constant.
    fn finish<const N: usize>(
        &mut self,
        ty: Type,
        span: Span,
        parts: [Typed; N],
        make: impl FnOnce([Ir; N]) -> Ir,
    ) -> Typed {
        let about = About::of(&parts);
        let ir = make(parts.map(|p| p.ir));
        self.made(ty, span, about, ir)
    }

    /// As [`Checker::finish`], for any number of parts.
    fn finish_all(&mut self, ty: Type, span: Span, parts: Vec<Typed>, make: impl FnOnce(Vec<Ir>) -> Ir) -> Typed {
        let about = About::of(&parts);
        let ir = make(parts.into_iter().map(|p| p.ir).collect());
        self.made(ty, span, about, ir)
    }

    fn made(&mut self, ty: Type, span: Span, about: About, ir: Ir) -> Typed {
        if about.error {
            return Typed::error(span);
        }
        // Whether two values are equal says nothing about what they are.
        let secret = (about.secret && !matches!(ty, Type::Bool | Type::Int)) || env::is_secret(&ty);
        if about.constant {
            return match eval(&ir, &NoFacts).map(Value::into_static) {
                Ok(value) => Typed { secret, reads: about.reads, ..Typed::constant(value, ty, span) },
                Err(error) => {
                    self.report(Diagnostic::new(Code::E0417, span, format!("this constant has no value: {error}")))
                }
            };
        }
        Typed { ir, ty, reads: about.reads, phase: about.phase, constant: None, secret, span }
    }

    /// `"a {b}"`, `/x/{id}`.
    fn text(&mut self, parts: &[TextPart], span: Span) -> Typed {
        let mut typed = Vec::with_capacity(parts.len());
        for part in parts {
            typed.push(match part {
                TextPart::Text(text) => Typed::literal(&Value::Str(text.to_string().into()), span),
                TextPart::Hole(e) => {
                    let hole = self.infer(e, None);
                    self.scalar(hole, e, "a text")
                }
            });
        }
        let secret = typed.iter().any(|t| t.secret);
        let ty = if secret { Type::Secret } else { Type::String };
        self.finish_all(ty, span, typed, |parts| Ir::Text(parts.into()))
    }

    fn list(&mut self, elements: &[Expr], expected: Option<&Type>, span: Span) -> Typed {
        let want = match expected.map(fit::settled_type) {
            Some(Type::List(element)) => Some(element.as_ref()),
            Some(json @ Type::Json) => Some(json),
            _ => None,
        };
        let mut element = want.cloned();
        let mut typed: Vec<Typed> = Vec::with_capacity(elements.len());
        for e in elements {
            let found = self.fitted(e, want);
            if want.is_none() && !found.is_error() {
                let united = match &element {
                    None => Some(found.ty.clone()),
                    Some(before) => fit::united(before, &found.ty),
                };
                if united.is_none() {
                    let before = element.clone().unwrap_or(Type::Error);
                    let first = typed.first().map_or(span, |t| t.span);
                    return self.report(
                        Diagnostic::new(
                            Code::E0404,
                            e.span,
                            format!("the elements of a list have one type, and this is no `{before}`"),
                        )
                        .label(format!("this is `{}`", found.ty))
                        .also(first, format!("this is `{before}`")),
                    );
                }
                element = united;
            }
            typed.push(found);
        }
        let ty = Type::List(Box::new(element.unwrap_or(Type::Error)));
        self.finish_all(ty, span, typed, |parts| Ir::List(parts.into()))
    }

    fn object(&mut self, fields: &[(Name, Expr)], expected: Option<&Type>, span: Span) -> Typed {
        let expected = expected.map(fit::settled_type);
        let mut types = Vec::with_capacity(fields.len());
        let mut typed = Vec::with_capacity(fields.len());
        for (name, value) in fields {
            let value = match expected {
                Some(Type::Map(element)) => self.fitted(value, Some(element)),
                Some(Type::Record(known)) => match known.iter().find(|(n, _)| *n == name.text) {
                    Some((_, ty)) => self.fitted(value, Some(ty)),
                    None => self.infer(value, None),
                },
                Some(Type::Json) => self.infer(value, Some(&Type::Json)),
                _ => self.infer(value, None),
            };
            types.push((name.text.clone(), value.ty.clone()));
            typed.push(value);
        }
        let names: Vec<SmolStr> = fields.iter().map(|(n, _)| n.text.clone()).collect();
        self.finish_all(Type::Record(types), span, typed, |parts| Ir::Object(names.into_iter().zip(parts).collect()))
    }

    /// A key that may be absent: who has none must be counted, or not, on purpose.
    fn absent_key(&mut self, e: &Expr, ty: &Type) -> Typed {
        let what = shown::short(e);
        // Only a limit can be passed by.
        let or = if self.env.place.contains("limit") { ", or leave them uncounted with `else skip`" } else { "" };
        self.report(
            Diagnostic::new(Code::E0405, e.span, "a key must be there, and this may be absent")
                .label(format!("this is `{ty}`"))
                .help(format!("say what those without it have: `{what} ?? client.ip`{or}")),
        )
    }

    fn key_part(mut self, e: &Expr, may_be_absent: bool) -> Typed {
        let typed = self.infer(e, None);
        if matches!(typed.ir, Ir::Fact(Fact::Caller)) {
            return match typed.ty {
                Type::Optional(_) if !may_be_absent => self.absent_key(e, &typed.ty),
                _ => Typed { ir: Ir::Fact(Fact::CallerKey), ..typed },
            };
        }
        match &typed.ty {
            Type::Optional(inner) if may_be_absent => {
                let inner = Typed { ty: inner.as_ref().clone(), ..typed.clone() };
                let checked = self.scalar(inner, e, "a key");
                if checked.is_error() { checked } else { typed }
            }
            ty @ Type::Optional(_) => self.absent_key(e, ty),
            _ => self.scalar(typed, e, "a key"),
        }
    }
}

/// What the parts of an expression have in common.
struct About {
    error: bool,
    constant: bool,
    secret: bool,
    reads: Reads,
    phase: Phase,
}

impl About {
    fn of(parts: &[Typed]) -> About {
        About {
            error: parts.iter().any(Typed::is_error),
            constant: parts.iter().all(|p| p.constant.is_some()),
            secret: parts.iter().any(|p| p.secret),
            reads: parts.iter().fold(Reads::NOTHING, |r, p| r | p.reads),
            phase: parts.iter().map(|p| p.phase).max().unwrap_or_default(),
        }
    }
}
