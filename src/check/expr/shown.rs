//! Expressions as a person would write them, for messages.

use crate::model::ast::{Expr, ExprKind};
use crate::model::types::Type;
use crate::model::value::Value;
use smol_str::{SmolStr, format_smolstr};

/// A name with its fields: `header.x-a` for `header["x-a"]` too. None for anything else.
pub(super) fn path(e: &Expr) -> Option<SmolStr> {
    match &e.kind {
        ExprKind::Name(name) => Some(name.clone()),
        ExprKind::Field(of, name) => Some(format_smolstr!("{}.{}", path(of)?, name.text)),
        ExprKind::Index(of, at) => match &at.kind {
            ExprKind::Literal(Value::Str(key)) => Some(format_smolstr!("{}.{key}", path(of)?)),
            ExprKind::Literal(Value::Int(i)) => Some(format_smolstr!("{}[{i}]", path(of)?)),
            _ => None,
        },
        _ => None,
    }
}

/// The expression, or `…` where it is long.
pub(super) fn short(e: &Expr) -> SmolStr {
    match &e.kind {
        ExprKind::Literal(value) => literal(value),
        ExprKind::Call(name, arguments) => match arguments.as_slice() {
            [] => format_smolstr!("{}()", name.text),
            [one] => format_smolstr!("{}({})", name.text, short(one)),
            _ => format_smolstr!("{}(…)", name.text),
        },
        _ => path(e).unwrap_or_else(|| "…".into()),
    }
}

/// A value as its literal.
pub(super) fn literal(value: &Value<'_>) -> SmolStr {
    match value {
        Value::Str(text) if text.starts_with("http://") || text.starts_with("https://") => SmolStr::new(text),
        Value::Str(text) => format_smolstr!("{text:?}"),
        Value::Null => "null".into(),
        other => other.text().map_or_else(|| "…".into(), SmolStr::new),
    }
}

/// "a `string`", "an `int`".
pub(super) fn a(ty: &Type) -> String {
    let shown = ty.to_string();
    let article =
        if shown.starts_with(['a', 'e', 'i', 'o', 'u']) && !shown.starts_with("uui") && !shown.starts_with("url") {
            "an"
        } else {
            "a"
        };
    format!("{article} `{shown}`")
}
