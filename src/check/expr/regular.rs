//! `matches`: regular expressions, compiled when checked.

use super::{Checker, Typed};
use crate::diagnostic::{Code, Diagnostic};
use crate::model::ast::{Expr, ExprKind};
use crate::model::ir::Ir;
use crate::model::types::Type;
use crate::model::value::Value;
use crate::source::Span;
use regex_syntax::Error;

/// A compiled pattern takes no more memory than this.
const SIZE_LIMIT: usize = 1 << 20;

impl Checker<'_> {
    pub(super) fn matches(&mut self, op_span: Span, text: &Expr, pattern: &Expr, span: Span) -> Typed {
        let text = self.textual(text, op_span);
        let typed = self.fitted(pattern, Some(&Type::String));
        if typed.is_error() {
            return Typed::error(span);
        }
        let Some(Value::Str(source)) = &typed.constant else {
            return self.report(
                Diagnostic::new(Code::E0419, typed.span, "a regular expression must be constant")
                    .label("this depends on the request")
                    .help("write it as r\"…\", or compare with `starts-with`, `ends-with` or `==`"),
            );
        };
        match compile(source, pattern) {
            Ok(regex) => self.finish(Type::Bool, span, [text], |[text]| Ir::Matches(Box::new(text), regex)),
            Err(diagnostic) => self.report(diagnostic),
        }
    }
}

/// The regular expression `source`, written at `e`.
fn compile(source: &str, e: &Expr) -> Result<regex::Regex, Box<Diagnostic>> {
    if let Err(error) = regex_syntax::parse(source) {
        let (message, start, end) = match &error {
            Error::Parse(e) => (e.kind().to_string(), e.span().start.offset, e.span().end.offset),
            Error::Translate(e) => (e.kind().to_string(), e.span().start.offset, e.span().end.offset),
            other => (other.to_string(), 0, source.len()),
        };
        let mut diagnostic = Diagnostic::new(
            Code::E0413,
            part(source, start, end, e),
            format!("this regular expression is wrong: {}", lowered(&message)),
        );
        if message.contains("look-around") || message.contains("backreference") {
            diagnostic = diagnostic
                .help("look-around and back-references are left out so that matching always takes linear time");
        }
        return Err(diagnostic);
    }
    regex::RegexBuilder::new(source).size_limit(SIZE_LIMIT).build().map_err(|_| {
        Diagnostic::new(Code::E0413, e.span, "this regular expression is too large")
            .help("large counted repetitions such as `{1000}` multiply")
    })
}

/// The words of the file where the bytes `start..end` of the pattern stand, or the whole where escapes moved them.
fn part(source: &str, start: usize, end: usize, e: &Expr) -> Span {
    let whole = e.span;
    let quotes = (whole.end - whole.start) as usize;
    let before = match (&e.kind, quotes.checked_sub(source.len())) {
        (ExprKind::Literal(_), Some(2)) => 1,
        (ExprKind::Literal(_), Some(3)) => 2,
        (ExprKind::Literal(_), Some(5)) => 3,
        (ExprKind::Literal(_), Some(7)) => 4,
        _ => return whole,
    };
    let from = whole.start as usize + before;
    // A mistake at the very end is shown at the last character.
    let end = end.max(start + 1).min(source.len());
    let start = start.min(end.saturating_sub(1));
    Span::new(whole.file, from + start, from + end)
}

fn lowered(message: &str) -> String {
    let mut chars = message.chars();
    chars.next().map_or_else(String::new, |c| c.to_lowercase().chain(chars).collect())
}
