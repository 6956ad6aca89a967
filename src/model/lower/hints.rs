//! What is said of a statement that does not begin with a word that may stand there.

use super::reader::{describe, listed};
use crate::diagnostic::{Code, Diagnostic, nearest};
use crate::model::cursor::Cursor;
use crate::model::statements::{self, Context, Row};
use crate::source::Span;
use crate::syntax::tree::{Item, ItemKind, Stmt};

/// A statement that does not begin with a word.
pub(super) fn no_word(stmt: &Stmt, context: Context) -> Box<Diagnostic> {
    let span = stmt.items.first().map_or(stmt.span, |i| i.span);
    let found = stmt.items.first().map_or_else(|| "nothing".to_owned(), describe);
    let help = match stmt.items.first().map(|i| &i.kind) {
        Some(ItemKind::Braces(_)) => {
            "a block belongs to the statement before it: its `{` stands on the same line".to_owned()
        }
        Some(ItemKind::Path(_)) => "a route begins with `route`: `route GET /path -> NAME`".to_owned(),
        _ => format!("{} there may be {}", context.phrase(), listed(&statements::usable(context))),
    };
    Diagnostic::new(Code::E0207, span, format!("a statement begins with a word, not with {found}"))
        .label("expected a word")
        .help(help)
}

/// The statement that a word with a slip was meant to be.
pub(super) fn meant(word: &str, context: Context) -> Option<&'static Row> {
    let nowhere = statements::lookup(word).is_empty();
    statements::suggest(word, context).filter(|_| nowhere).and_then(|near| statements::find(near, context))
}

/// A word that may not begin a statement here.
pub(super) fn unknown(word: &str, span: Span, rest: &Cursor, context: Context) -> Box<Diagnostic> {
    let here = context.phrase();
    let elsewhere = statements::lookup(word);
    if !elsewhere.is_empty() {
        let places = elsewhere.iter().fold(Context::NOWHERE, |all, row| all.or(row.contexts));
        let help = match statements::foreign(word) {
            Some(foreign) if !(places.contains(Context::TOP) || places.contains(Context::API)) => foreign.to_owned(),
            _ => format!("it may stand {}", places.phrase()),
        };
        return Diagnostic::new(Code::E0202, span, format!("`{word}` may not stand {here}"))
            .label("not here")
            .help(help);
    }
    let help = if let Some(near) = statements::suggest(word, context) {
        format!("did you mean `{near}`?")
    } else if let Some(verb) = transform(word).filter(|_| context.contains(Context::REQUEST.or(Context::RESPONSE))) {
        format!("write `{verb}`")
    } else if word == "report-only" {
        "`report-only` stands right behind `require` or `limit`".to_owned()
    } else if let Some(help) = statements::foreign(word) {
        help.to_owned()
    } else if context.contains(Context::REQUEST.or(Context::RESPONSE)) && word.contains('.') {
        format!("write `set {word} = …`, `add {word} = …` or `remove {word}`")
    } else if let Some(Item { kind: ItemKind::Paren(_), spaced: false, .. }) = rest.peek() {
        format!("a policy is put in place by `use {word}(…)`")
    } else if let Some(near) =
        statements::rows().map(|r| r.word).find(|w| word.len() > 3 && nearest(word, [*w]).is_some())
    {
        let places = statements::lookup(near).iter().fold(Context::NOWHERE, |all, row| all.or(row.contexts));
        format!("`{near}` may stand {}", places.phrase())
    } else {
        format!("{} there may be {}", here, listed(&statements::usable(context)))
    };
    Diagnostic::new(Code::E0201, span, format!("there is no statement `{word}`")).label("unknown").help(help)
}

/// What others call `set`, `add` and `remove`.
fn transform(word: &str) -> Option<&'static str> {
    match word {
        "delete" | "unset" | "del" | "drop" | "clear" | "hide" => Some("remove header.NAME"),
        "replace" | "put" | "write" | "header" | "override" => Some("set header.NAME = …"),
        "append" | "insert" => Some("add header.NAME = …"),
        _ => None,
    }
}
