//! Types expressions: resolves every name and gives the typed form that is evaluated.

mod env;

pub use env::{Alternative, Caller, CallerInfo, Env, Globals};

use crate::diagnostic::{Code, Diagnostic, Diagnostics};
use crate::model::ast::{Expr, Key};
use crate::model::facts::{Phase, Reads};
use crate::model::ir::Ir;
use crate::model::types::Type;
use crate::model::value::Value;
use crate::source::Span;

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
    /// Its value, where it reads nothing.
    pub constant: Option<Value<'static>>,
    /// It contains a secret.
    pub secret: bool,
    /// Where it stands.
    pub span: Span,
}

impl Typed {
    /// Of an expression that could not be checked; fits everywhere.
    pub fn error(span: Span) -> Typed {
        Typed { ty: Type::Error, ..Typed::constant(Value::Null, Type::Error, span) }
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

    /// A mistake was reported.
    pub fn is_error(&self) -> bool {
        self.ty == Type::Error
    }
}

/// Checks `e` where a value of type `expected` (or of any type) must stand.
pub fn check(e: &Expr, expected: Option<&Type>, env: &Env, d: &mut Diagnostics) -> Typed {
    let _ = (expected, env, d);
    Typed::error(e.span)
}

/// Checks the parts of a key. Any type that has a text may stand in one, types may mix in `??`, `caller` alone is the pair
/// of auth and id. A part of optional type is left for the caller of this function to judge (`else skip`): it is reported
/// here unless `may_be_absent`.
pub fn check_key(key: &Key, may_be_absent: bool, env: &Env, d: &mut Diagnostics) -> Vec<Typed> {
    let _ = may_be_absent;
    key.parts.iter().map(|e| check(e, None, env, d)).collect()
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
    let reads_request = typed.phase > Phase::Constant || typed.reads.any_of(Reads::PARAM | Reads::TABLE | Reads::VOLATILE);
    if reads_request {
        d.push(
            Diagnostic::new(Code::E0419, typed.span, format!("{place} must be constant"))
                .label("this depends on the request")
                .help("use a literal, a constant (`let`) or an input"),
        );
    }
    typed.constant.as_ref()
}

/// The optionals that are there where `condition` holds: for [`Env::settled`] of what it guards.
pub fn settled(condition: &Expr) -> Vec<smol_str::SmolStr> {
    let _ = condition;
    Vec::new()
}
