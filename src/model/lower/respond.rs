//! `respond …`: as a target, and behind `on error` and `on upstream`.

use super::reader::Reader;
use crate::model::ast::{Respond, RespondBody};
use crate::model::statements::{self, Context};
use crate::source::Span;
use crate::syntax::tree::{Item, ItemKind};

/// What follows the word `respond`, which stands at `start`.
pub(super) fn respond(r: &mut Reader, start: Span) -> Respond {
    let status = match r.cursor.peek().map(|i| &i.kind) {
        Some(ItemKind::Braces(_)) | None => {
            r.expected_with("a status", Some("write `respond 204`, or `respond 200 json { … }`".to_owned()));
            super::reader::error(start)
        }
        Some(ItemKind::Name(word)) if statements::find(word, Context::RESPOND).is_some() => {
            let help = format!("the status comes first: `respond 200 {word} …`");
            r.expected_with("a status", Some(help));
            super::reader::error(start)
        }
        _ => r.expr("a status, such as `404`"),
    };
    let body = match r.cursor.peek() {
        Some(Item { kind: ItemKind::Name(word), .. }) if statements::find(word, Context::RESPOND).is_some() => {
            r.cursor.next();
            match word.as_str() {
                "json" => RespondBody::Json(r.expr("a value")),
                "text" => RespondBody::Text(r.expr("a text")),
                "html" => RespondBody::Html(r.expr("a text")),
                "file" => RespondBody::File(r.file()),
                _ => RespondBody::Problem(r.expr("a title in quotes")),
            }
        }
        Some(Item { kind: ItemKind::Str(_) | ItemKind::Raw(_), .. }) => {
            let words: Vec<&str> = statements::words(Context::RESPOND).collect();
            r.expected_with(
                &format!("one of {}", super::reader::listed(&words)),
                Some("say what kind of body it is: `respond 200 text \"…\"`, `respond 403 problem \"…\"`".to_owned()),
            );
            r.cursor.next();
            RespondBody::None
        }
        _ => RespondBody::None,
    };
    Respond { status, body, span: start.to(r.span()) }
}
