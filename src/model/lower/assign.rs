//! `request {…}`, `response {…}` and `send`: assignments.

use super::reader::{Reader, settings};
use crate::diagnostic::{Code, Diagnostic, nearest};
use crate::model::ast::{AssignVerb, Assignment, Place, Spanned};
use crate::model::statements::Context;
use crate::syntax::tree::{Block, Item, ItemKind, StrPart};
use smol_str::SmolStr;

/// The assignments of a `request` or `response` block.
pub(super) fn block(r: &mut Reader, block: &Block, context: Context) -> Vec<Assignment> {
    let mut list = Vec::new();
    let damaged = settings(block, context, r.d, |r| {
        let verb = match r.row.word {
            "set" => AssignVerb::Set,
            "add" => AssignVerb::Add,
            _ => AssignVerb::Remove,
        };
        list.extend(assignment(r, verb, context));
    });
    r.failed |= damaged;
    list
}

/// `send header.X = EXPR`.
pub(super) fn send(r: &mut Reader) -> Option<Assignment> {
    assignment(r, AssignVerb::Set, Context::UPSTREAM)
}

fn assignment(r: &mut Reader, verb: AssignVerb, context: Context) -> Option<Assignment> {
    let place = place(r, verb, context)?;
    let value = match verb {
        AssignVerb::Remove => None,
        _ => {
            if r.cursor.op("=").is_none() {
                let help = match r.cursor.at_op(":") {
                    true => "an assignment has `=`, not `:`".to_owned(),
                    false => format!("it is written `{} header.NAME = VALUE`", r.row.word),
                };
                r.expected_with("`=`", Some(help));
                r.cursor.op(":");
            }
            Some(r.expr("a value"))
        }
    };
    let when = r.when();
    Some(Assignment { verb, place, value, span: r.span(), when })
}

fn place(r: &mut Reader, verb: AssignVerb, context: Context) -> Option<Spanned<Place>> {
    let Some((text, span)) = r.cursor.name() else {
        r.expected("what is written, such as `header.x-user`");
        return None;
    };
    // `header["odd.name"]`
    if let Some(Item { kind: ItemKind::List(items), spaced: false, span: list }) = r.cursor.peek()
        && matches!(text, "header" | "query" | "cookie")
    {
        let name = match items.as_slice() {
            [Item { kind: ItemKind::Str(parts), .. }] => match parts.as_slice() {
                [StrPart::Text(name, _)] => Some(name.clone()),
                _ => None,
            },
            [Item { kind: ItemKind::Raw(name), .. }] => Some(name.clone()),
            _ => None,
        };
        let Some(name) = name else {
            r.fail(
                Diagnostic::new(Code::E0210, *list, format!("expected one name in quotes behind `{text}`"))
                    .label("not a name")
                    .help(format!("write `{text}[\"odd.name\"]`")),
            );
            return None;
        };
        r.cursor.next();
        return Some(Spanned { value: named(text, &name)?, span: span.to(*list) });
    }
    let whole = match text.split_once('.') {
        Some((space @ ("header" | "query" | "cookie"), name)) if !name.contains('.') => named(space, name),
        Some(("header" | "query" | "cookie", name)) => {
            let space = text.split('.').next().unwrap_or(text);
            r.fail(
                Diagnostic::new(Code::E0210, span, format!("a name with a dot is written `{space}[\"{name}\"]`"))
                    .label("a dot in a name")
                    .help(format!("write `{space}[\"{name}\"]`")),
            );
            return None;
        }
        _ => match text {
            "path" => Some(Place::Path),
            "method" => Some(Place::Method),
            "host" => Some(Place::Host),
            "status" => Some(Place::Status),
            _ if text == "body" || text.starts_with("body.") => {
                r.unsupported(span, "writing to `body`");
                return None;
            }
            _ => None,
        },
    };
    let writable = matches!(
        (&whole, context),
        (Some(Place::Header(_)), _)
            | (Some(Place::Cookie(_)), Context::REQUEST | Context::RESPONSE)
            | (Some(Place::Query(_) | Place::Path | Place::Method | Place::Host), Context::REQUEST)
            | (Some(Place::Status), Context::RESPONSE)
    );
    let several = matches!(whole, Some(Place::Header(_) | Place::Query(_) | Place::Cookie(_)));
    let word = r.row.word;
    match whole {
        Some(place) if writable && (several || verb == AssignVerb::Set) => Some(Spanned { value: place, span }),
        Some(_) if writable => {
            r.fail(
                Diagnostic::new(Code::E0210, span, format!("`{text}` can only be set"))
                    .label(format!("there is nothing to {word}"))
                    .help(format!("write `set {text} = …`")),
            );
            None
        }
        _ => {
            let (places, list): (&[&str], &str) = match context {
                Context::REQUEST => (
                    &["header", "query", "cookie", "path", "method", "host"],
                    "`header.NAME`, `query.NAME`, `cookie.NAME`, `path`, `method` and `host`",
                ),
                Context::RESPONSE => (&["header", "cookie", "status"], "`header.NAME`, `cookie.NAME` and `status`"),
                _ => (&["header"], "`header.NAME`"),
            };
            let first = text.split('.').next().unwrap_or(text);
            let help = match nearest(first, places.iter().copied()) {
                Some(near) if near != first => format!("did you mean `{}`?", text.replacen(first, near, 1)),
                _ if !text.contains('.') && !places.contains(&text) && text.contains('-') => {
                    format!("did you mean `header.{text}`?")
                }
                _ => format!("what can be written here: {list}"),
            };
            r.fail(
                Diagnostic::new(Code::E0210, span, format!("`{text}` cannot be written here"))
                    .label("not a place")
                    .help(help),
            );
            None
        }
    }
}

fn named(space: &str, name: &str) -> Option<Place> {
    Some(match space {
        "header" => Place::Header(name.to_ascii_lowercase().into()),
        "query" => Place::Query(SmolStr::new(name)),
        "cookie" => Place::Cookie(SmolStr::new(name)),
        _ => return None,
    })
}
