//! Reads expressions and types from items: a Pratt parser over the syntax tree.

mod braces;
mod operand;
mod text;
mod ty;

#[cfg(test)]
mod tests;

pub use text::{path_text, string_text};
pub use ty::ty;

use super::ast::{BinaryOp, Expr, ExprKind, Key};
use super::cursor::Cursor;
use crate::diagnostic::{Code, Diagnostic, Diagnostics};
use crate::source::Span;
use crate::syntax::tree::{Item, ItemKind, StrPart};

/// Reads as much as is an expression and stops there. A mistake is reported once, and the expression is
/// [`ExprKind::Error`].
pub fn expr(cursor: &mut Cursor<'_>, d: &mut Diagnostics) -> Expr {
    let span = cursor.span();
    match loosest(cursor, d) {
        Ok(deep) => deep.expr,
        Err(Reported) => Expr { kind: ExprKind::Error, span },
    }
}

/// All of `items` as one expression; `whole` is the span of the bracket or statement they stand in.
pub fn expr_of(items: &[Item], whole: Span, d: &mut Diagnostics) -> Expr {
    match all_of(items, whole, d) {
        Ok(deep) => deep.expr,
        Err(Reported) => Expr { kind: ExprKind::Error, span: whole },
    }
}

/// `a, b ?? c`: the parts of a `by` or `key`.
pub fn key(cursor: &mut Cursor<'_>, d: &mut Diagnostics) -> Key {
    let start = cursor.span();
    let mut parts = vec![expr(cursor, d)];
    while cursor.op(",").is_some() {
        parts.push(expr(cursor, d));
    }
    let end = parts.last().map_or(start, |e| e.span);
    Key { span: start.to(end), parts }
}

/// A mistake that is reported already: what contains it says nothing more.
struct Reported;

type Result<T> = std::result::Result<T, Reported>;

/// An expression and how deep it is: everything that reads it recurses.
struct Deep {
    expr: Expr,
    depth: u32,
}

impl Deep {
    fn leaf(kind: ExprKind, span: Span) -> Deep {
        Deep { expr: Expr { kind, span }, depth: 1 }
    }
}

const MAX_DEPTH: u32 = 100;

/// How tightly an operator binds, loosest first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Binds {
    Or,
    And,
    Compare,
    Coalesce,
    Add,
    Nothing,
}

fn all_of(items: &[Item], whole: Span, d: &mut Diagnostics) -> Result<Deep> {
    all_of_with(items, whole, None, d)
}

/// As [`all_of`], with what to do about words that are left.
fn all_of_with(items: &[Item], whole: Span, left: Option<&str>, d: &mut Diagnostics) -> Result<Deep> {
    let mut cursor = Cursor::new(items, whole);
    if cursor.is_empty() {
        return Err(missing(whole, d));
    }
    let found = loosest(&mut cursor, d)?;
    match cursor.peek() {
        None => Ok(found),
        Some(Item { kind: ItemKind::Junk, .. }) => Err(Reported),
        Some(_) => {
            let span = cursor.rest_span();
            d.push(
                Diagnostic::new(Code::E0402, span, "the expression ends before this")
                    .label("an operator is missing here, or this is too much")
                    .maybe_help(left.map(str::to_owned)),
            );
            Err(Reported)
        }
    }
}

fn loosest(cursor: &mut Cursor<'_>, d: &mut Diagnostics) -> Result<Deep> {
    binary(cursor, Binds::Or, d)
}

/// Reads operators that bind at least as tightly as `least`.
fn binary(cursor: &mut Cursor<'_>, least: Binds, d: &mut Diagnostics) -> Result<Deep> {
    let mut left = if least <= Binds::Compare { negated(cursor, d)? } else { operand::operand(cursor, d)? };
    let mut compared: Option<Span> = None;
    while let Some((op, binds, span, ahead)) = operator(*cursor) {
        if binds < least {
            break;
        }
        if binds == Binds::Compare
            && let Some(first) = compared.replace(span)
        {
            d.push(
                Diagnostic::new(Code::E0402, span, "comparisons cannot be chained")
                    .also(first, "the first comparison")
                    .help("join two comparisons with `and`, or put one in parentheses"),
            );
            return Err(Reported);
        }
        *cursor = ahead;
        foreign_operator(op, span, cursor, d)?;
        if cursor.is_empty() || cursor.at_op(",") || next_statement(*cursor) {
            return Err(missing(span.after(), d));
        }
        if op == BinaryOp::Matches {
            raw_pattern(cursor, d)?;
        }
        let right = binary(cursor, tighter(binds), d)?;
        left = join(op, span, left, right, d)?;
        if binds < Binds::Compare {
            compared = None;
        }
    }
    mistaken_operator(cursor, d)?;
    Ok(left)
}

/// `===`, `!==`, `<>`.
fn foreign_operator(op: BinaryOp, span: Span, cursor: &Cursor<'_>, d: &mut Diagnostics) -> Result<()> {
    let Some(Item { kind: ItemKind::Op(next), span: end, spaced: false, .. }) = cursor.peek() else { return Ok(()) };
    let (written, right) = match (op, next.as_str()) {
        (BinaryOp::Equal, "=") => ("===", "=="),
        (BinaryOp::NotEqual, "=") => ("!==", "!="),
        (BinaryOp::Less, ">") => ("<>", "!="),
        _ => return Ok(()),
    };
    d.push(
        Diagnostic::new(Code::E0402, span.to(*end), format!("there is no operator `{written}`"))
            .help(format!("write `{right}`")),
    );
    Err(Reported)
}

/// An operator at the end of a line carries the statement over to the next, and there stands another one.
fn next_statement(mut cursor: Cursor<'_>) -> bool {
    const STATEMENTS: [&str; 15] = [
        "require", "limit", "auth", "cors", "accepts", "retry", "timeout", "route", "use", "set", "remove", "tag",
        "server", "group", "api",
    ];
    const CLAUSES: [&str; 11] =
        ["when", "else", "by", "at", "burst", "fixed", "concurrent", "name", "exact", "leased", "on"];
    let Some((word, _)) = cursor.name() else { return false };
    let argument = match cursor.peek() {
        Some(Item { spaced: true, kind: ItemKind::Name(next), .. }) => !CLAUSES.contains(&next.as_str()),
        Some(Item { spaced: true, kind: ItemKind::Op(_), .. }) | Some(Item { spaced: false, .. }) | None => false,
        Some(_) => true,
    };
    argument && STATEMENTS.contains(&word) && operator(cursor).is_none()
}

/// What the right side of an operator may contain: tighter ones, so that equal ones group to the left.
fn tighter(binds: Binds) -> Binds {
    match binds {
        Binds::Or => Binds::And,
        Binds::And => Binds::Compare,
        Binds::Compare => Binds::Coalesce,
        Binds::Coalesce => Binds::Add,
        Binds::Add | Binds::Nothing => Binds::Nothing,
    }
}

fn join(op: BinaryOp, span: Span, left: Deep, right: Deep, d: &mut Diagnostics) -> Result<Deep> {
    let whole = left.expr.span.to(right.expr.span);
    let depth = left.depth.max(right.depth) + 1;
    let expr = Expr { kind: ExprKind::Binary(op, span, Box::new(left.expr), Box::new(right.expr)), span: whole };
    deep(expr, depth, d)
}

fn deep(expr: Expr, depth: u32, d: &mut Diagnostics) -> Result<Deep> {
    if depth <= MAX_DEPTH {
        return Ok(Deep { expr, depth });
    }
    d.push(
        Diagnostic::new(Code::E0402, expr.span, format!("this expression is more than {MAX_DEPTH} operators deep"))
            .help("name parts of it with `let`, or ask `x in [a, b, …]` instead of `x == a or x == b …`"),
    );
    Err(Reported)
}

/// `not a`, looser than every comparison: `not a == b` is `not (a == b)`.
fn negated(cursor: &mut Cursor<'_>, d: &mut Diagnostics) -> Result<Deep> {
    let mut nots = Vec::new();
    while let Some(span) = cursor.word("not") {
        nots.push(span);
    }
    if !nots.is_empty() && cursor.is_empty() {
        return Err(missing(cursor.span(), d));
    }
    if nots.is_empty() {
        return operand::operand(cursor, d);
    }
    let mut found = binary(cursor, Binds::Compare, d)?;
    for span in nots.into_iter().rev() {
        let whole = span.to(found.expr.span);
        let depth = found.depth + 1;
        found = deep(Expr { kind: ExprKind::Not(Box::new(found.expr)), span: whole }, depth, d)?;
    }
    Ok(found)
}

/// The operator at the cursor, and the cursor behind it.
fn operator(mut cursor: Cursor<'_>) -> Option<(BinaryOp, Binds, Span, Cursor<'_>)> {
    let item = cursor.next()?;
    let mut span = item.span;
    let (op, binds) = match &item.kind {
        ItemKind::Op(op) => match op.as_str() {
            "==" => (BinaryOp::Equal, Binds::Compare),
            "!=" => (BinaryOp::NotEqual, Binds::Compare),
            "<" => (BinaryOp::Less, Binds::Compare),
            "<=" => (BinaryOp::LessEqual, Binds::Compare),
            ">" => (BinaryOp::Greater, Binds::Compare),
            ">=" => (BinaryOp::GreaterEqual, Binds::Compare),
            "??" => (BinaryOp::Coalesce, Binds::Coalesce),
            "+" => (BinaryOp::Add, Binds::Add),
            "-" => (BinaryOp::Subtract, Binds::Add),
            _ => return None,
        },
        ItemKind::Name(word) => match word.as_str() {
            "or" => (BinaryOp::Or, Binds::Or),
            "and" => (BinaryOp::And, Binds::And),
            "in" => (BinaryOp::In, Binds::Compare),
            "matches" => (BinaryOp::Matches, Binds::Compare),
            "starts-with" => (BinaryOp::StartsWith, Binds::Compare),
            "ends-with" => (BinaryOp::EndsWith, Binds::Compare),
            "not" => {
                span = span.to(cursor.word("in")?);
                (BinaryOp::NotIn, Binds::Compare)
            }
            "has" => {
                let (op, second) = match (cursor.word("any"), cursor.at_word("all")) {
                    (Some(s), _) => (BinaryOp::HasAny, s),
                    (None, true) => (BinaryOp::HasAll, cursor.word("all").unwrap_or(span)),
                    (None, false) => (BinaryOp::Has, span),
                };
                span = span.to(second);
                (op, Binds::Compare)
            }
            _ => return None,
        },
        _ => return None,
    };
    Some((op, binds, span, cursor))
}

/// What stands behind an operand and was meant as an operator.
fn mistaken_operator(cursor: &mut Cursor<'_>, d: &mut Diagnostics) -> Result<()> {
    let Some(item) = cursor.peek() else { return Ok(()) };
    let (message, help) = match &item.kind {
        ItemKind::Op(op) if op == "=" => ("`=` does not compare".to_owned(), "write `==`".to_owned()),
        ItemKind::Number(n) if n.starts_with('-') => (
            format!("`{n}` is a number with its sign, not a difference"),
            format!("put spaces around the minus: `- {}`", &n[1..]),
        ),
        ItemKind::Name(word) => {
            let right = match word.as_str() {
                "is" | "equals" | "eq" => "==",
                "isnt" | "ne" => "!=",
                "contains" | "includes" => "has",
                "startswith" | "starts_with" | "startsWith" => "starts-with",
                "endswith" | "ends_with" | "endsWith" => "ends-with",
                "like" | "match" | "regex" => "matches",
                "AND" => "and",
                "OR" => "or",
                "IN" => "in",
                _ => return Ok(()),
            };
            (format!("there is no operator `{word}`"), format!("write `{right}`"))
        }
        _ => return Ok(()),
    };
    d.push(Diagnostic::new(Code::E0402, item.span, message).help(help));
    Err(Reported)
}

/// A regular expression in `"…"` whose braces would be holes.
fn raw_pattern(cursor: &Cursor<'_>, d: &mut Diagnostics) -> Result<()> {
    let Some(Item { kind: ItemKind::Str(parts), span, .. }) = cursor.peek() else { return Ok(()) };
    let Some(hole) = parts.iter().find_map(|p| match p {
        StrPart::Hole(_, span) => Some(*span),
        StrPart::Text(..) => None,
    }) else {
        return Ok(());
    };
    let help = match text::as_written(parts) {
        Some(text) => format!("write it as a raw string: r\"{text}\""),
        None => "write it as a raw string, r\"…\", in which braces mean nothing".to_owned(),
    };
    d.push(
        Diagnostic::new(Code::E0414, hole, "a `{` in `\"…\"` begins an expression, and a regular expression has none")
            .also(*span, "the regular expression")
            .help(help),
    );
    Err(Reported)
}

/// Reports that a value is missing at `span`.
fn missing(span: Span, d: &mut Diagnostics) -> Reported {
    d.push(Diagnostic::new(Code::E0402, span, "a value is missing").label("a value must stand here"));
    Reported
}
