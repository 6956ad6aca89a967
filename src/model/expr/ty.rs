//! Types: `int`, `string?`, `[string]`, `{string: T}`, `"a" | "b"`.

use super::{Reported, Result};
use crate::diagnostic::{Code, Diagnostic, Diagnostics, nearest};
use crate::model::ast::Spanned;
use crate::model::cursor::Cursor;
use crate::model::types::Type;
use crate::source::Span;
use crate::syntax::tree::{Block, Item, ItemKind, StrPart};
use smol_str::SmolStr;

/// Reads as much as is a type and stops there. A mistake is reported once, and the type is [`Type::Error`].
pub fn ty(cursor: &mut Cursor<'_>, d: &mut Diagnostics) -> Spanned<Type> {
    let start = cursor.span();
    let value = read(cursor, d).unwrap_or(Type::Error);
    let end = cursor.previous().map_or(start, |i| i.span);
    Spanned { value, span: start.to(end) }
}

fn read(cursor: &mut Cursor<'_>, d: &mut Diagnostics) -> Result<Type> {
    let Some(item) = cursor.peek() else { return Err(no_type(cursor.span(), "a type is missing", None, d)) };
    let base = match &item.kind {
        ItemKind::Str(_) | ItemKind::Raw(_) => return union(cursor, d),
        ItemKind::Name(name) => match Type::scalar(name) {
            Some(ty) => ty,
            None => {
                cursor.next();
                return Err(unknown(name, item.span, d));
            }
        },
        ItemKind::List(items) => Type::List(Box::new(whole(items, item.span, d)?)),
        ItemKind::Paren(items) => whole(items, item.span, d)?,
        ItemKind::Braces(block) => map(block, item.span, d)?,
        ItemKind::Junk => return Err(Reported),
        _ => return Err(no_type(item.span, "a type must stand here", None, d)),
    };
    cursor.next();
    Ok(questioned(base, cursor))
}

/// A `?` that touches makes it optional.
fn questioned(base: Type, cursor: &mut Cursor<'_>) -> Type {
    match cursor.at_op("?") && cursor.peek().is_some_and(|i| !i.spaced) {
        true => {
            cursor.next();
            base.optional()
        }
        false => base,
    }
}

fn whole(items: &[Item], span: Span, d: &mut Diagnostics) -> Result<Type> {
    let mut cursor = Cursor::new(items, span);
    if cursor.is_empty() {
        return Err(no_type(
            span,
            "a type is missing in the brackets",
            Some("a list of texts is `[string]`".into()),
            d,
        ));
    }
    let found = read(&mut cursor, d)?;
    match cursor.is_empty() {
        true => Ok(found),
        false => Err(no_type(cursor.rest_span(), "the type ends before this", None, d)),
    }
}

fn union(cursor: &mut Cursor<'_>, d: &mut Diagnostics) -> Result<Type> {
    let mut words: Vec<SmolStr> = Vec::new();
    loop {
        let word = match cursor.peek() {
            Some(Item { kind: ItemKind::Raw(text), .. }) => text.clone(),
            Some(Item { kind: ItemKind::Str(parts), span, .. }) => match parts.as_slice() {
                [] => "".into(),
                [StrPart::Text(text, _)] => text.clone(),
                _ => return Err(no_type(*span, "a member of a union is a text without expressions", None, d)),
            },
            _ => {
                return Err(no_type(
                    cursor.span(),
                    "a text must stand here",
                    Some("a union is `\"free\" | \"pro\"`".into()),
                    d,
                ));
            }
        };
        let span = cursor.span();
        cursor.next();
        if words.contains(&word) {
            return Err(no_type(span, format!("\"{word}\" is in the union twice"), None, d));
        }
        words.push(word);
        if cursor.op("|").is_none() {
            return Ok(questioned(Type::Union(words), cursor));
        }
    }
}

/// `{string: T}`.
fn map(block: &Block, span: Span, d: &mut Diagnostics) -> Result<Type> {
    let mut statements = block.statements();
    if let (Some(s), None) = (statements.next(), statements.next()) {
        let mut cursor = Cursor::new(&s.items, s.span);
        if cursor.word("string").is_some() && cursor.op(":").is_some() {
            return Ok(Type::Map(Box::new(whole(cursor.rest(), s.span, d)?)));
        }
        if s.damaged {
            return Err(Reported);
        }
    }
    Err(no_type(span, "a map's type is `{string: T}`", Some("its keys are always `string`: `{string: int}`".into()), d))
}

fn unknown(name: &str, span: Span, d: &mut Diagnostics) -> Reported {
    let known = match name.to_ascii_lowercase().as_str() {
        "str" | "text" => Some("string"),
        "boolean" => Some("bool"),
        "integer" | "number" | "i64" | "uint" | "long" => Some("int"),
        "double" | "decimal" => Some("float"),
        "list" | "array" => Some("[string]"),
        "map" | "object" | "dict" => Some("{string: string}"),
        "timestamp" | "datetime" => Some("time"),
        "uri" => Some("url"),
        "network" | "net" | "subnet" => Some("cidr"),
        "any" => Some("json"),
        _ => None,
    };
    let help = match known.or_else(|| nearest(name, Type::SCALARS)) {
        Some(right) => format!("did you mean `{right}`?"),
        None => format!("types are `{}`, `T?`, `[T]`, `{{string: T}}` and unions of texts", Type::SCALARS.join(" ")),
    };
    no_type(span, format!("there is no type `{name}`"), Some(help), d)
}

fn no_type(span: Span, message: impl Into<String>, help: Option<String>, d: &mut Diagnostics) -> Reported {
    d.push(Diagnostic::new(Code::E0403, span, message).maybe_help(help));
    Reported
}
