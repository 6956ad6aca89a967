//! Text with holes: strings, paths and URLs.

use super::{Deep, expr_of};
use crate::diagnostic::{Code, Diagnostic, Diagnostics};
use crate::model::ast::{Expr, ExprKind, TextPart};
use crate::model::value::Value;
use crate::source::Span;
use crate::syntax::tree::{Item, ItemKind, PathPart, StrPart};
use std::borrow::Cow;

/// The parts of a `"…"` string.
pub fn string_text(parts: &[StrPart], d: &mut Diagnostics) -> Vec<TextPart> {
    let part = |p: &StrPart| match p {
        StrPart::Text(text, _) => TextPart::Text(text.clone()),
        StrPart::Hole(items, span) => TextPart::Hole(expr_of(items, *span, d)),
    };
    parts.iter().map(part).collect()
}

/// The parts of a path or URL that is a value (`at /x/{id}`), not a pattern.
pub fn path_text(parts: &[PathPart], d: &mut Diagnostics) -> Vec<TextPart> {
    let part = |p: &PathPart| match p {
        PathPart::Text(text, _) => TextPart::Text(text.clone()),
        PathPart::Hole { rest: false, items, span } => TextPart::Hole(expr_of(items, *span, d)),
        PathPart::Hole { rest: true, items, span } => {
            let name = match items.first() {
                Some(Item { kind: ItemKind::Name(n), .. }) => n.as_str(),
                _ => "rest",
            };
            d.push(
                Diagnostic::new(Code::E0402, *span, "`...` stands in patterns only")
                    .help(format!("here it is a value: write `{{{name}}}`")),
            );
            TextPart::Hole(Expr { kind: ExprKind::Error, span: *span })
        }
    };
    parts.iter().map(part).collect()
}

/// A literal where there are no holes.
pub(super) fn of(parts: Vec<TextPart>, span: Span) -> Deep {
    let literal = |text: &str| ExprKind::Literal(Value::Str(Cow::Owned(text.to_owned())));
    let kind = match parts.as_slice() {
        [] => literal(""),
        [TextPart::Text(text)] => literal(text),
        _ => ExprKind::Text(parts),
    };
    // Holes are a level of the tree each; the grammar caps how deep they nest.
    Deep { expr: Expr { kind, span }, depth: 3 }
}

/// A string as it is written, where its holes are the counts of a regular expression (`{4}`, `{2,3}`).
pub(super) fn as_written(parts: &[StrPart]) -> Option<String> {
    let mut written = String::new();
    for part in parts {
        match part {
            StrPart::Text(text, _) => written.push_str(text),
            StrPart::Hole(items, _) => {
                written.push('{');
                for item in items {
                    match &item.kind {
                        ItemKind::Number(n) => written.push_str(n),
                        ItemKind::Op(op) if op == "," => written.push(','),
                        _ => return None,
                    }
                }
                written.push('}');
            }
        }
    }
    (!written.contains('"')).then_some(written)
}
