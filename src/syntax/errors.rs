//! What is said about each error node.

use super::tree::{Block, Item};
use super::{Rule, repair};
use crate::diagnostic::{Code, Diagnostic};
use crate::source::{FileId, Span};

pub(super) fn open_string(text: &str, span: Span) -> Box<Diagnostic> {
    let words = text[span.start as usize..span.end as usize].trim_end();
    let open = Span { end: span.start + 1, ..span };
    let end = Span { start: span.start + words.len() as u32, end: span.start + words.len() as u32, ..span };
    let help = if words.len() == 1 {
        "remove the `\"`, or write the string between two of them".to_owned()
    } else {
        "close it on its line; text with quotes in it can be written `r#\"…\"#`".to_owned()
    };
    Diagnostic::new(Code::E0101, open, "this string is not closed")
        .label("it begins here")
        .also(end, "the `\"` that closes it should stand by here")
        .help(help)
}

pub(super) fn open_raw(text: &str, span: Span) -> Box<Diagnostic> {
    let words = &text[span.start as usize..span.end as usize];
    let hashes = words.bytes().skip(1).take_while(|b| *b == b'#').count();
    let open = Span { end: span.start + hashes as u32 + 2, ..span };
    let close = format!("\"{}", "#".repeat(hashes));
    Diagnostic::new(Code::E0101, open, "this raw string is not closed")
        .label(format!("it begins here and ends with `{close}`"))
        .help(format!("add `{close}` where it ends"))
}

pub(super) fn bad_escape(span: Span, escape: &str) -> Box<Diagnostic> {
    let message = match escape {
        "\\" => "a string cannot end with `\\`".to_owned(),
        e if e.starts_with("\\u{") => format!("`{e}` is not a character"),
        e => format!("there is no escape `{e}`"),
    };
    Diagnostic::new(Code::E0107, span, message).help(
        "the escapes are `\\n` `\\t` `\\\"` `\\\\` `\\{` and `\\u{…}` with one to six hexadecimal digits; \
         in a raw string (`r\"…\"`) a backslash is a backslash",
    )
}

pub(super) fn open_hole(span: Span) -> Box<Diagnostic> {
    Diagnostic::new(Code::E0102, span, "this `{` in a string is not closed")
        .label("an expression begins here")
        .help("close it with `}` on its line, write `\\{` for a brace, or use a raw string: `r\"…\"`")
}

pub(super) fn open_param(span: Span, words: &str) -> Box<Diagnostic> {
    let open = Span { end: span.start + 1, ..span };
    let help = match words {
        "{" => "close it with `}` on its line, or put a space before `{` if a block begins here".to_owned(),
        _ => format!("write `{words}}}`, or put a space before `{{` if a block begins here"),
    };
    Diagnostic::new(Code::E0102, open, "this parameter is not closed")
        .label("a `{` that touches a path begins a parameter")
        .also(span.after(), "the `}` should probably stand here")
        .help(help)
}

pub(super) fn unclosed_brace(text: &str, block: &Block, end: u32) -> Box<Diagnostic> {
    if let Some((open, close)) = repair::misindented(text, block) {
        return Diagnostic::new(Code::E0102, open, "this brace is not closed")
            .label("the block begins here")
            .also(close, "this closes it, but its indentation is that of a block further out")
            .help("add a `}` on the line before");
    }
    let at = Span { start: end, end, ..block.open };
    let what = if end as usize >= text.trim_end().len() { "the file ends" } else { "something else begins" };
    Diagnostic::new(Code::E0102, block.open, "this brace is not closed")
        .label("the block begins here")
        .also(at, format!("{what} here, and it is still open"))
        .help("add a `}` where the block ends")
}

pub(super) fn unclosed_bracket(text: &str, open: Span, items: &[Item], end: u32) -> Box<Diagnostic> {
    let bracket = &text[open.start as usize..open.end as usize];
    let close = if bracket == "(" { ")" } else { "]" };
    let last = items.last().map_or(open, |i| i.span);
    let diagnostic = Diagnostic::new(Code::E0106, open, format!("this `{bracket}` is not closed"));
    match text[end as usize..].chars().next() {
        Some(wrong @ (')' | ']')) => diagnostic
            .label("it begins here")
            .also(Span { start: end, end: end + 1, ..open }, format!("`{wrong}` does not close it"))
            .help(format!("write `{close}` here")),
        _ => diagnostic
            .label("it begins here")
            .also(last.after(), format!("still open here: add the `{close}` where it ends"))
            .help(format!("close it with `{close}`")),
    }
}

pub(super) fn stray_brace(span: Span, missing: Option<Span>) -> Box<Diagnostic> {
    let diagnostic = Diagnostic::new(Code::E0103, span, "this `}` closes nothing").label("no block is open here");
    match missing {
        Some(at) => diagnostic
            .also(at, "by the indentation, a `{` is missing on this line")
            .help("add the `{`, or remove the `}`"),
        None => diagnostic.help("remove it, or add the `{` that it was meant to close"),
    }
}

pub(super) fn stray_bracket(span: Span, bracket: &str) -> Box<Diagnostic> {
    Diagnostic::new(Code::E0103, span, format!("this `{bracket}` closes nothing"))
        .label("no such bracket is open here")
        .help("remove it, or add the one that it was meant to close")
}

pub(super) fn too_deep(open: Span) -> Box<Diagnostic> {
    Diagnostic::new(Code::E0105, open, "braces and brackets nest deeper than 32 here")
        .label("the 33rd level begins here; what is inside is not read")
        .help("name the inner parts: `let` for expressions, `policy` for statements")
}

pub(super) fn junk(span: Span, words: &str) -> Box<Diagnostic> {
    let (message, help) = match words {
        "&&" => ("`&&` means nothing here".to_owned(), "write `and`".to_owned()),
        "||" => ("`||` means nothing here".to_owned(), "write `or`; a value for what is absent is `??`".to_owned()),
        "!" => ("`!` means nothing here".to_owned(), "write `not`".to_owned()),
        "=>" => ("`=>` means nothing here".to_owned(), "an arrow is `->`, and a comparison `>=`".to_owned()),
        "$" => (
            "`$` means nothing here".to_owned(),
            "facts have plain names: `host`, `client.ip`, `header.x-user`; what the environment says is an `input`"
                .to_owned(),
        ),
        ";" => (
            "a `;` cannot stand in `{…}` that touches a path or stands in a string".to_owned(),
            "put a space before the `{` if a block begins here".to_owned(),
        ),
        "#" => ("a comment cannot stand in `{…}` on one line".to_owned(), "put it behind the statement".to_owned()),
        ")" | "]" => (
            format!("this `{words}` closes nothing"),
            "remove it, or add the one that it was meant to close".to_owned(),
        ),
        w if w.len() > 1 && w.starts_with('\'') => {
            ("a string stands between double quotes".to_owned(), format!("write `\"{}\"`", w.trim_matches('\'')))
        }
        w if w.starts_with(['\u{201c}', '\u{201d}', '\u{2018}', '\u{2019}']) => (
            "a string stands between straight double quotes".to_owned(),
            format!("write `\"{}\"`", w.trim_matches(['\u{201c}', '\u{201d}', '\u{2018}', '\u{2019}'])),
        ),
        w if w
            .chars()
            .any(|c| c.is_whitespace() || c.is_control() || matches!(c, '\u{200b}'..='\u{200f}' | '\u{feff}')) =>
        {
            let c = w.chars().next().unwrap_or(' ') as u32;
            (format!("an invisible character (U+{c:04X}) stands here"), "remove it, or write a plain space".to_owned())
        }
        w if !w.is_ascii() => (
            format!("`{w}` cannot stand in a name"),
            "names are of ASCII letters, digits, `-` and `_`; other text goes in a string".to_owned(),
        ),
        w => (format!("`{w}` means nothing here"), "remove it; text goes between double quotes".to_owned()),
    };
    Diagnostic::new(Code::E0104, span, message).help(help)
}

pub(super) fn doc_beside(span: Span) -> Box<Diagnostic> {
    Diagnostic::new(Code::W0101, span, "this documents nothing: a documentation comment stands on its own line")
        .help("put it above what it documents, or write `#` for a plain comment")
}

pub(super) fn unreadable(file: FileId, text: &str, error: &pest::error::Error<Rule>) -> Box<Diagnostic> {
    let at = match error.location {
        pest::error::InputLocation::Pos(at) | pest::error::InputLocation::Span((at, _)) => at.min(text.len()),
    };
    Diagnostic::new(Code::E0104, Span::new(file, at, at), "this cannot be read")
}
