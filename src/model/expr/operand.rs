//! Operands: literals, names, calls, indexing, lists, objects and `match`.

use super::{Deep, Reported, Result, all_of, all_of_with, braces, deep, missing, text};
use crate::diagnostic::{Code, Diagnostic, Diagnostics};
use crate::model::ast::{Expr, ExprKind, Name};
use crate::model::cursor::Cursor;
use crate::model::literal;
use crate::model::value::Value;
use crate::source::Span;
use crate::syntax::tree::{Item, ItemKind};
use std::borrow::Cow;

/// Words that stand between or behind values, never for one.
const CONNECTIVES: [&str; 11] =
    ["and", "or", "in", "has", "matches", "starts-with", "ends-with", "when", "else", "by", "at"];

/// A value with everything that touches it: `a.b["c"][0].d`, `f(x)[0]`.
pub(super) fn operand(cursor: &mut Cursor<'_>, d: &mut Diagnostics) -> Result<Deep> {
    let mut found = primary(cursor, d)?;
    while let Some(item) = cursor.peek().filter(|i| !i.spaced) {
        match &item.kind {
            ItemKind::List(items) => {
                cursor.next();
                let index = all_of(items, item.span, d)?;
                let span = found.expr.span.to(item.span);
                let depth = found.depth.max(index.depth) + 1;
                let kind = ExprKind::Index(Box::new(found.expr), Box::new(index.expr));
                found = deep(Expr { kind, span }, depth, d)?;
            }
            ItemKind::Op(op) if op == "." => {
                cursor.next();
                let Some((name, span)) = cursor.name() else {
                    d.push(
                        Diagnostic::new(Code::E0402, cursor.span(), "the name of a field is missing")
                            .label("a name must stand behind the dot"),
                    );
                    return Err(Reported);
                };
                found = fields(found, name, span, d)?;
            }
            ItemKind::Paren(_) => {
                d.push(
                    Diagnostic::new(Code::E0402, item.span, "only a function's name can be called")
                        .help("leave a space before the parenthesis if it is a group"),
                );
                return Err(Reported);
            }
            _ => break,
        }
    }
    Ok(found)
}

/// `b.c` behind `of`.
fn fields(mut of: Deep, dotted: &str, span: Span, d: &mut Diagnostics) -> Result<Deep> {
    let mut start = span.start as usize;
    for part in dotted.split('.') {
        let at = Span::new(span.file, start, start + part.len());
        start += part.len() + 1;
        let whole = of.expr.span.to(at);
        let depth = of.depth + 1;
        let kind = ExprKind::Field(Box::new(of.expr), Name { text: part.into(), span: at });
        of = deep(Expr { kind, span: whole }, depth, d)?;
    }
    Ok(of)
}

fn primary(cursor: &mut Cursor<'_>, d: &mut Diagnostics) -> Result<Deep> {
    let Some(item) = cursor.peek() else { return Err(missing(cursor.span(), d)) };
    let literal = |value: Value<'static>| Ok(Deep::leaf(ExprKind::Literal(value), item.span));
    let owned = |text: &str| Value::Str(Cow::Owned(text.to_owned()));
    match &item.kind {
        ItemKind::Name(name) => named(name, item, cursor, d),
        ItemKind::Number(word) => {
            cursor.next();
            literal(literal::number(word).map_err(|e| wrong(e, item.span, d))?)
        }
        ItemKind::Ip6(word) => {
            cursor.next();
            literal(literal::ip_or_net(word).map_err(|e| wrong(e, item.span, d))?)
        }
        ItemKind::Socket6(word) => {
            cursor.next();
            literal(literal::address(word).map(Value::Address).map_err(|e| wrong(e, item.span, d))?)
        }
        ItemKind::Op(word) if word.len() > 1 && word.starts_with(':') => {
            cursor.next();
            literal(literal::address(word).map(Value::Address).map_err(|e| wrong(e, item.span, d))?)
        }
        ItemKind::Raw(text) => {
            cursor.next();
            literal(owned(text))
        }
        ItemKind::Str(parts) => {
            cursor.next();
            Ok(text::of(text::string_text(parts, d), item.span))
        }
        ItemKind::Path(parts) | ItemKind::Url(parts) => {
            cursor.next();
            Ok(text::of(text::path_text(parts, d), item.span))
        }
        ItemKind::List(items) => {
            cursor.next();
            list(items, item.span, d)
        }
        ItemKind::Paren(items) => {
            cursor.next();
            let mut inner = all_of(items, item.span, d)?;
            inner.expr.span = item.span;
            Ok(inner)
        }
        ItemKind::Braces(block) => {
            cursor.next();
            braces::object(block, item.span, d)
        }
        ItemKind::Host(host) => {
            d.push(
                Diagnostic::new(Code::E0402, item.span, "a host pattern is not a value")
                    .help(format!("as text it stands in quotes: \"{}\"", host.replace('{', "\\{"))),
            );
            Err(Reported)
        }
        ItemKind::Op(op) => {
            let help = match (op.as_str(), cursor.peek_at(1)) {
                ("*", _) => Some("there is no multiplication".to_owned()),
                (".", Some(Item { kind: ItemKind::Number(digits), spaced: false, .. })) => {
                    Some(format!("write `0.{digits}`"))
                }
                _ => None,
            };
            d.push(
                Diagnostic::new(Code::E0402, item.span, format!("a value must stand before `{op}`"))
                    .label("here")
                    .maybe_help(help),
            );
            Err(Reported)
        }
        ItemKind::Junk => {
            cursor.next();
            Err(Reported)
        }
    }
}

fn wrong(e: literal::Wrong, span: Span, d: &mut Diagnostics) -> Reported {
    d.push(Diagnostic::new(Code::E0401, span, e.message).maybe_help(e.help));
    Reported
}

fn named(word: &str, item: &Item, cursor: &mut Cursor<'_>, d: &mut Diagnostics) -> Result<Deep> {
    if word == "not" {
        d.push(
            Diagnostic::new(Code::E0402, item.span, "`not` binds looser than what stands before it")
                .help("put it in parentheses: `(not …)`"),
        );
        return Err(Reported);
    }
    if CONNECTIVES.contains(&word) {
        return Err(missing(item.span.before(), d));
    }
    cursor.next();
    let next = cursor.peek().filter(|i| !i.spaced);
    if let Some(Item { kind: ItemKind::Paren(items), span, .. }) = next {
        cursor.next();
        return call(word, item.span, items, *span, d);
    }
    if word == "match" && cursor.peek().is_some_and(|i| i.spaced && !matches!(i.kind, ItemKind::Op(_))) {
        return braces::matching(item.span, cursor, d);
    }
    if let Some((name, port)) = word.split_once(':') {
        let help = match name {
            "localhost" => format!("write `127.0.0.1:{port}` for an address, `http://localhost:{port}` for a URL"),
            _ => format!(
                "an address is an IP address with a port, a URL begins with `http://`; behind `{name}:` stands a space"
            ),
        };
        d.push(Diagnostic::new(Code::E0402, item.span, format!("`{word}` is not a value")).help(help));
        return Err(Reported);
    }
    let literal = match word {
        "true" => Some(Value::Bool(true)),
        "false" => Some(Value::Bool(false)),
        "null" => Some(Value::Null),
        _ if literal::is_method(word) => http::Method::from_bytes(word.as_bytes()).ok().map(Value::Method),
        _ => None,
    };
    if let Some(value) = literal {
        return Ok(Deep::leaf(ExprKind::Literal(value), item.span));
    }
    let (first, rest) = word.split_once('.').unwrap_or((word, ""));
    let first_span = Span { end: item.span.start + first.len() as u32, ..item.span };
    let root = Deep::leaf(ExprKind::Name(first.into()), first_span);
    match rest {
        "" => Ok(root),
        rest => fields(root, rest, Span { start: first_span.end + 1, ..item.span }, d),
    }
}

fn call(name: &str, name_span: Span, items: &[Item], parens: Span, d: &mut Diagnostics) -> Result<Deep> {
    let (arguments, depth) = elements(items, parens, d)?;
    let kind = ExprKind::Call(Name { text: name.into(), span: name_span }, arguments);
    deep(Expr { kind, span: name_span.to(parens) }, depth + 1, d)
}

fn list(items: &[Item], span: Span, d: &mut Diagnostics) -> Result<Deep> {
    let (elements, depth) = elements(items, span, d)?;
    deep(Expr { kind: ExprKind::List(elements), span }, depth + 1, d)
}

/// Expressions between commas; one comma may stand behind the last.
fn elements(items: &[Item], whole: Span, d: &mut Diagnostics) -> Result<(Vec<Expr>, u32)> {
    let parts: Vec<&[Item]> = Cursor::new(items, whole).split_commas().collect();
    let used = match parts.split_last() {
        Some(([], before)) => before,
        _ => &parts[..],
    };
    let mut found = Vec::with_capacity(used.len());
    let mut depth = 0;
    let mut good = true;
    for part in used {
        // Every element is read, so that each mistake is reported.
        let end = part.last().map_or(whole, |i| i.span);
        let at = part.first().map_or(whole, |i| i.span.to(end));
        match all_of_with(part, at, Some("elements have commas between them, on several lines, too"), d) {
            Ok(element) => {
                depth = depth.max(element.depth);
                found.push(element.expr);
            }
            Err(Reported) => good = false,
        }
    }
    if good { Ok((found, depth)) } else { Err(Reported) }
}
