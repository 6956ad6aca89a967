//! Settings that must be known before anything is served.

use super::Compiler;
use super::expr::{self, Env, Typed};
use crate::diagnostic::{Code, Diagnostic};
use crate::model::ast::Expr;
use crate::model::types::Type;
use crate::model::value::Value;
use smol_str::SmolStr;
use std::path::PathBuf;
use std::time::Duration;

impl Compiler<'_> {
    /// Checks an expression outside of routes, where only constants are known.
    pub(super) fn outside(&mut self, e: &Expr, ty: &Type, place: &'static str) -> Typed {
        expr::check(e, Some(ty), &Env::constant(&self.globals, place), self.d)
    }

    /// The value of a setting; none where it is wrong (reported) or an input without a value.
    pub(super) fn constant(&mut self, e: &Expr, ty: &Type, place: &'static str) -> Option<Value<'static>> {
        let typed = self.outside(e, ty, place);
        expr::constant(&typed, place, self.d).cloned()
    }

    /// A duration that is not zero.
    pub(super) fn duration(&mut self, e: &Expr, place: &'static str) -> Option<Duration> {
        match self.constant(e, &Type::Duration, place)? {
            Value::Duration(d) if d.is_zero() => {
                self.d.push(
                    Diagnostic::new(Code::E0601, e.span, format!("{place} is zero"))
                        .label("must be longer than nothing")
                        .help("leave the setting out for the default, or give a duration such as 5s"),
                );
                None
            }
            Value::Duration(d) => Some(d),
            _ => None,
        }
    }

    /// A size in bytes.
    pub(super) fn size(&mut self, e: &Expr, place: &'static str) -> Option<u64> {
        match self.constant(e, &Type::Size, place)? {
            Value::Size(n) => Some(n),
            _ => None,
        }
    }

    /// A number from `least` up.
    pub(super) fn count(&mut self, e: &Expr, least: i64, place: &'static str) -> Option<u64> {
        match self.constant(e, &Type::Int, place)? {
            Value::Int(n) if n >= least => u64::try_from(n).ok(),
            Value::Int(n) => {
                self.d.push(
                    Diagnostic::new(Code::E0602, e.span, format!("{place} is {n}, which is too small"))
                        .label(format!("must be {least} or more")),
                );
                None
            }
            _ => None,
        }
    }

    /// A percentage between 0 and 100.
    pub(super) fn percent(&mut self, e: &Expr, place: &'static str) -> Option<f64> {
        match self.constant(e, &Type::Percent, place)? {
            Value::Percent(p) if (0.0..=100.0).contains(&p) => Some(p),
            Value::Percent(p) => {
                self.d.push(
                    Diagnostic::new(Code::E0602, e.span, format!("{place} is {p}%"))
                        .label("must be between 0% and 100%"),
                );
                None
            }
            _ => None,
        }
    }

    /// A text.
    pub(super) fn text(&mut self, e: &Expr, place: &'static str) -> Option<SmolStr> {
        match self.constant(e, &Type::String, place)? {
            Value::Str(s) => Some(SmolStr::new(s)),
            _ => None,
        }
    }

    /// A file's path, relative to the file that names it.
    pub(super) fn path(&mut self, e: &Expr, place: &'static str) -> Option<PathBuf> {
        self.text(e, place).map(|p| self.relative(e.span, &p))
    }

    /// A status of `range`.
    pub(super) fn status(
        &mut self,
        e: &Expr,
        range: std::ops::RangeInclusive<u16>,
        place: &'static str,
    ) -> Option<u16> {
        match self.constant(e, &Type::Status, place)? {
            Value::Status(s) if range.contains(&s) => Some(s),
            Value::Status(s) => {
                self.d.push(Diagnostic::new(Code::E0603, e.span, format!("{place} cannot be {s}")).label(format!(
                    "must be from {} to {}",
                    range.start(),
                    range.end()
                )));
                None
            }
            _ => None,
        }
    }
}
