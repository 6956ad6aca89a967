//! `invariant`.

use super::reader::{Reader, error, settings};
use crate::diagnostic::{Code, Diagnostic};
use crate::model::ast::{Expr, Invariant, Spanned};
use crate::model::statements::Context;
use crate::syntax::tree::{Item, ItemKind, StrPart};
use smol_str::SmolStr;

/// `invariant "…" { for route [where E]; expect E }`.
pub(super) fn invariant(r: &mut Reader) -> Option<Invariant> {
    let title = title(r);
    let span = r.span();
    let (mut filter, mut expect) = (None, None::<Expr>);
    if let Some(block) = r.block() {
        let damaged = settings(block, Context::INVARIANT, r.d, |r| match r.row.word {
            "for" => {
                r.expect_word("route");
                filter = r.word("where").map(|_| r.expr("a condition"));
            }
            _ => expect = Some(r.expr("what must hold")),
        });
        if expect.is_none() && !damaged {
            r.fail(
                Diagnostic::new(Code::E0211, span, "an invariant without `expect` says nothing")
                    .label("nothing is expected")
                    .help("add what must hold for each route, such as `expect route.auth != none`"),
            );
        }
        r.failed |= damaged;
    }
    r.end();
    Some(Invariant { title, filter, expect: expect.unwrap_or(error(span)), span })
}

fn title(r: &mut Reader) -> Spanned<SmolStr> {
    let span = r.cursor.span();
    let value = match r.cursor.peek().map(|i| &i.kind) {
        Some(ItemKind::Str(parts)) => match parts.as_slice() {
            [] => Some(SmolStr::default()),
            [StrPart::Text(text, _)] => Some(text.clone()),
            _ => None,
        },
        Some(ItemKind::Raw(text)) => Some(text.clone()),
        _ => None,
    };
    match value {
        Some(value) => {
            r.cursor.next();
            Spanned { value, span }
        }
        None => {
            let help = match r.cursor.peek() {
                Some(Item { kind: ItemKind::Name(_), .. }) => {
                    "the title stands in quotes: `invariant \"every write is authenticated\" { … }`"
                }
                _ => "say in quotes what must hold: `invariant \"every write is authenticated\" { … }`",
            };
            r.expected_with("a title in quotes", Some(help.to_owned()));
            while !r.cursor.is_empty() && !matches!(r.cursor.peek().map(|i| &i.kind), Some(ItemKind::Braces(_))) {
                r.cursor.next();
            }
            Spanned { value: SmolStr::default(), span }
        }
    }
}
