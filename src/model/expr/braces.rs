//! Braces that are values: objects and the arms of `match`. A comma or a line break ends an entry.

use super::{Deep, Reported, Result, all_of, deep, loosest};
use crate::diagnostic::{Code, Diagnostic, Diagnostics};
use crate::model::ast::{Expr, ExprKind, Name};
use crate::model::cursor::Cursor;
use crate::source::Span;
use crate::syntax::tree::{Block, Item, ItemKind, StrPart};

/// The entries of braces, each with its place. Damaged statements are reported already and make the whole an error.
fn entries(block: &Block) -> impl Iterator<Item = (&[Item], Span, bool)> {
    block.statements().flat_map(|s| {
        let parts = Cursor::new(&s.items, s.span).split_commas();
        parts.filter(|p| !p.is_empty()).map(|p| {
            let end = p.last().map_or(s.span, |i| i.span);
            (p, p.first().map_or(s.span, |i| i.span.to(end)), s.damaged)
        })
    })
}

/// `{ name: value, "odd name": value }`.
pub(super) fn object(block: &Block, span: Span, d: &mut Diagnostics) -> Result<Deep> {
    let mut fields: Vec<(Name, Expr)> = Vec::new();
    let mut depth = 0;
    let mut good = true;
    for (items, whole, damaged) in entries(block) {
        match field(items, whole, damaged, d) {
            Ok((name, value)) => {
                if let Some((first, _)) = fields.iter().find(|(n, _)| n.text == name.text) {
                    d.push(
                        Diagnostic::new(Code::E0402, name.span, format!("the field `{}` is there twice", name.text))
                            .also(first.span, "the first one"),
                    );
                    good = false;
                }
                depth = depth.max(value.depth);
                fields.push((name, value.expr));
            }
            Err(Reported) => good = false,
        }
    }
    if !good {
        return Err(Reported);
    }
    deep(Expr { kind: ExprKind::Object(fields), span }, depth + 1, d)
}

fn field(items: &[Item], whole: Span, damaged: bool, d: &mut Diagnostics) -> Result<(Name, Deep)> {
    let mut cursor = Cursor::new(items, whole);
    let key = cursor.next().ok_or(Reported)?;
    let name = match &key.kind {
        ItemKind::Name(name) if !name.contains(['.', ':']) => name.clone(),
        ItemKind::Str(parts) => match parts.as_slice() {
            [] => "".into(),
            [StrPart::Text(text, _)] => text.clone(),
            _ => return Err(entry_shape(whole, damaged, "a field is `name: value`", d)),
        },
        ItemKind::Raw(text) => text.clone(),
        ItemKind::Name(name) if name.contains(':') => {
            let help = format!("write `{}`", name.replacen(':', ": ", 1));
            d.push(Diagnostic::new(Code::E0402, key.span, "a colon before a value is followed by a space").help(help));
            return Err(Reported);
        }
        _ => return Err(entry_shape(whole, damaged, "a field is `name: value`", d)),
    };
    let colon = colon(&mut cursor, whole, damaged, "a field is `name: value`", d)?;
    let value = all_of(cursor.rest(), colon.after(), d)?;
    Ok((Name { text: name, span: key.span }, value))
}

/// `match SUBJECT { PATTERN: VALUE, …, else: VALUE }`, behind the word `match`.
pub(super) fn matching(keyword: Span, cursor: &mut Cursor<'_>, d: &mut Diagnostics) -> Result<Deep> {
    let subject = loosest(cursor, d)?;
    let open = cursor.span();
    let Some(block) = cursor.braces() else {
        d.push(
            Diagnostic::new(Code::E0402, open, "the arms of `match` are missing")
                .also(keyword, "of this `match`")
                .help("write `match x { \"a\": 1, else: 2 }`"),
        );
        return Err(Reported);
    };
    let mut arms = Vec::new();
    let mut otherwise: Option<Expr> = None;
    let mut depth = subject.depth;
    let mut good = true;
    for (items, whole, damaged) in entries(block) {
        match arm(items, whole, damaged, d) {
            Ok((pattern, value)) => {
                depth = depth.max(value.depth);
                match (pattern, &otherwise) {
                    (Some(pattern), _) => arms.push((pattern, value.expr)),
                    (None, None) => otherwise = Some(value.expr),
                    (None, Some(first)) => {
                        d.push(
                            Diagnostic::new(Code::E0402, whole, "`else` is there twice")
                                .also(first.span, "the first one"),
                        );
                        good = false;
                    }
                }
            }
            Err(Reported) => good = false,
        }
    }
    if !good {
        return Err(Reported);
    }
    let span = keyword.to(block.close.unwrap_or(block.open));
    let kind = ExprKind::Match { subject: Box::new(subject.expr), arms, otherwise: otherwise.map(Box::new) };
    deep(Expr { kind, span }, depth + 1, d)
}

const ARM: &str = "an arm is `value: result` or `else: result`";

fn arm(items: &[Item], whole: Span, damaged: bool, d: &mut Diagnostics) -> Result<(Option<Expr>, Deep)> {
    let mut cursor = Cursor::new(items, whole);
    let pattern = match cursor.word("else") {
        Some(_) => None,
        None => Some(super::operand::operand(&mut cursor, d)?.expr),
    };
    let colon = colon(&mut cursor, whole, damaged, ARM, d)?;
    Ok((pattern, all_of(cursor.rest(), colon.after(), d)?))
}

fn colon(cursor: &mut Cursor<'_>, whole: Span, damaged: bool, shape: &str, d: &mut Diagnostics) -> Result<Span> {
    match cursor.op(":") {
        Some(colon) => Ok(colon),
        None => Err(entry_shape(whole, damaged, shape, d)),
    }
}

fn entry_shape(span: Span, damaged: bool, shape: &str, d: &mut Diagnostics) -> Reported {
    if !damaged {
        d.push(Diagnostic::new(Code::E0402, span, format!("this is no entry: {shape}")));
    }
    Reported
}
