//! `policy`.

use super::reader::Reader;
use super::statement;
use crate::diagnostic::{Code, Diagnostic};
use crate::model::ast::{Name, Policy, Spanned};
use crate::model::cursor::Cursor;
use crate::model::statements::Context;
use crate::model::types::Type;
use crate::source::Span;
use crate::syntax::tree::{Item, ItemKind};
use std::sync::Arc;

/// `policy NAME(p: type, …) {…}`.
pub(super) fn policy(r: &mut Reader) -> Option<Policy> {
    let name = r.declared("a policy")?;
    let parameters = match r.cursor.peek() {
        Some(Item { kind: ItemKind::Paren(items), span, .. }) => {
            r.cursor.next();
            parameters(r, items, *span)
        }
        _ => Vec::new(),
    };
    let statements = match r.block() {
        Some(block) => statement::block(block, Context::POLICY, r.d),
        None => Vec::new(),
    };
    r.end();
    Some(Policy { name, parameters, statements: Arc::new(statements), docs: r.docs() })
}

fn parameters<'t>(r: &mut Reader<'t, '_>, items: &'t [Item], whole: Span) -> Vec<(Name, Spanned<Type>)> {
    let mut list: Vec<(Name, Spanned<Type>)> = Vec::new();
    if items.is_empty() {
        return list;
    }
    let outer = r.cursor;
    for part in Cursor::new(items, whole).split_commas() {
        let span = part.first().map_or(whole, |i| i.span);
        r.cursor = Cursor::new(part, span);
        let Some(name) = r.declared("a parameter") else { continue };
        let ty = if r.cursor.op(":").is_some() {
            r.ty()
        } else {
            r.expected_with("`:` and a type", Some(format!("a parameter has a type: `{}: rate`", name.text)));
            Spanned { value: Type::Error, span: name.span }
        };
        r.end();
        if let Some((first, _)) = list.iter().find(|(n, _)| n.text == name.text) {
            let first = first.span;
            r.fail(
                Diagnostic::new(Code::E0206, name.span, format!("the parameter `{}` is declared twice", name.text))
                    .label("again here")
                    .also(first, "first declared here")
                    .help("give one of them another name"),
            );
        }
        list.push((name, ty));
    }
    r.cursor = outer;
    list
}
