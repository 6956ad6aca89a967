//! What a condition says about optionals: `x != null and x > 3`.

use super::shown;
use crate::model::ast::{BinaryOp, Expr, ExprKind};
use smol_str::SmolStr;

/// The optionals that are there where `condition` holds: for [`super::Env::settled`] of what it guards.
pub fn settled(condition: &Expr) -> Vec<SmolStr> {
    where_it_is(condition, true)
}

/// The optionals that are there where `e` is `holds`.
pub(super) fn where_it_is(e: &Expr, holds: bool) -> Vec<SmolStr> {
    match &e.kind {
        ExprKind::Not(inner) => where_it_is(inner, !holds),
        ExprKind::Binary(op, _, a, b) => match (op, holds) {
            (BinaryOp::And, true) | (BinaryOp::Or, false) => {
                let mut both = where_it_is(a, holds);
                both.extend(where_it_is(b, holds));
                both
            }
            (BinaryOp::Or, true) | (BinaryOp::And, false) => {
                let right = where_it_is(b, holds);
                where_it_is(a, holds).into_iter().filter(|x| right.contains(x)).collect()
            }
            (BinaryOp::NotEqual, true) | (BinaryOp::Equal, false) => not_null(a, b),
            // What equals a literal is there.
            (BinaryOp::Equal, true) | (BinaryOp::NotEqual, false) if is_literal(b) => {
                shown::path(a).into_iter().collect()
            }
            (BinaryOp::Equal, true) | (BinaryOp::NotEqual, false) if is_literal(a) => {
                shown::path(b).into_iter().collect()
            }
            (BinaryOp::In, true) | (BinaryOp::NotIn, false) => match &b.kind {
                ExprKind::List(elements) if elements.iter().all(is_literal) => shown::path(a).into_iter().collect(),
                _ => Vec::new(),
            },
            _ => Vec::new(),
        },
        _ => Vec::new(),
    }
}

fn not_null(a: &Expr, b: &Expr) -> Vec<SmolStr> {
    match (is_null(a), is_null(b)) {
        (false, true) => shown::path(a).into_iter().collect(),
        (true, false) => shown::path(b).into_iter().collect(),
        _ => Vec::new(),
    }
}

fn is_null(e: &Expr) -> bool {
    match &e.kind {
        ExprKind::Literal(value) => value.is_null(),
        // An invariant's `route.auth != none`.
        ExprKind::Name(name) => name == "none",
        _ => false,
    }
}

fn is_literal(e: &Expr) -> bool {
    matches!(&e.kind, ExprKind::Literal(v) if !v.is_null())
}
