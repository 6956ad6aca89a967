//! `gw fmt`: one way to lay out a program.
//!
//! The layout keeps what its writer chose to break over lines and normalises the rest:
//! indentation by two, spaces around operators, none inside brackets, one statement a line, at
//! most one blank line. Every token and comment stays, in its order. What stands between two
//! tokens is read from the text (white space, `;` and comments, nothing else), so a comment
//! cannot be lost wherever it stands.

use super::parse;
use super::tree::{Block, Item, ItemKind, Stmt};
use crate::diagnostic::{Diagnostic, Diagnostics, Severity};
use crate::source::FileId;

/// The widest line on which a one-line block stays.
const WIDTH: usize = 100;
/// A level of nesting.
const INDENT: usize = 2;
/// A line that carries a statement on.
const CONTINUED: usize = 4;

/// The text in its canonical layout, or the syntax errors that stand in the way.
///
/// Formatting twice gives what formatting once does. The spans of the errors name the file as
/// [`FileId::default`].
pub fn format(text: &str) -> Result<String, Vec<Diagnostic>> {
    let mut diagnostics = Diagnostics::default();
    let tree = parse(FileId::default(), text, &mut diagnostics);
    if diagnostics.errors() > 0 {
        let errors = diagnostics.into_sorted().into_iter().filter(|d| d.severity == Severity::Error);
        return Err(errors.collect());
    }
    let mut printer =
        Printer { text, out: String::with_capacity(text.len() + text.len() / 8), line_indent: 0, flat: false };
    let statements: Vec<&Stmt> = tree.statements().collect();
    let start = if text.starts_with('\u{feff}') { '\u{feff}'.len_utf8() } else { 0 };
    printer.statements(&statements, start, text.len(), 0, false);
    if !printer.out.is_empty() {
        printer.out.push('\n');
    }
    Ok(printer.out)
}

struct Printer<'t> {
    text: &'t str,
    out: String,
    /// How far the line that is being written is indented.
    line_indent: usize,
    /// Everything goes on one line.
    flat: bool,
}

/// What stands between two tokens.
struct Gap<'t> {
    comments: Vec<Comment<'t>>,
    /// A line break stands in it.
    breaks: bool,
    /// A blank line stands before what follows.
    blank: bool,
}

struct Comment<'t> {
    text: &'t str,
    /// How far behind the token it stands, where it stands on the token's line.
    behind: Option<usize>,
    blank: bool,
}

impl<'t> Printer<'t> {
    /// Statements one a line, between the offsets `start` and `end` of what stands around them.
    /// Where `split`, the entries that commas separate stand one a line too.
    fn statements(&mut self, list: &[&Stmt], start: usize, end: usize, indent: usize, split: bool) {
        let mut at = start;
        for (i, stmt) in list.iter().enumerate() {
            let gap = gap(self.text, at, stmt.span.start as usize);
            if self.flat {
                self.out.push_str(if i == 0 { " " } else { "; " });
            } else {
                // A `;` stays where a line break would join the two.
                if i > 0 && (carries_on(&list[i - 1].items) || continues(&stmt.items)) {
                    self.out.push(';');
                }
                self.comments(&gap, indent);
                let blank = gap.blank && (i > 0 || !gap.comments.is_empty());
                self.line(indent, blank);
            }
            self.statement(stmt, indent, split);
            at = stmt.span.end as usize;
        }
        let gap = gap(self.text, at, end);
        self.comments(&gap, indent);
    }

    /// The comments of a gap, each on the line where it belongs.
    fn comments(&mut self, gap: &Gap<'t>, indent: usize) {
        for (i, comment) in gap.comments.iter().enumerate() {
            match comment.behind {
                Some(width) if !self.out.is_empty() => {
                    let width = width.max(1);
                    self.out.extend(std::iter::repeat_n(' ', width));
                }
                _ => self.line(indent, comment.blank && (i > 0 || !self.opens())),
            }
            self.out.push_str(comment.text);
        }
    }

    /// Whether the last thing written opens a block or a bracket.
    fn opens(&self) -> bool {
        self.out.is_empty() || self.out.ends_with(['{', '[', '('])
    }

    /// Begins a line.
    fn line(&mut self, indent: usize, blank: bool) {
        if !self.out.is_empty() {
            self.out.push('\n');
            if blank {
                self.out.push('\n');
            }
        }
        self.out.extend(std::iter::repeat_n(' ', indent));
        self.line_indent = indent;
    }

    fn statement(&mut self, stmt: &Stmt, indent: usize, split: bool) {
        let items = &stmt.items;
        let fields = indent > 0 && is_op(items.get(1), ":");
        let arrow = items.iter().any(|i| is_op(Some(i), "->"));
        let last_braces = items.iter().rposition(|i| matches!(i.kind, ItemKind::Braces(_)));
        for (i, item) in items.iter().enumerate() {
            if let Some(before) = i.checked_sub(1).and_then(|i| items.get(i)) {
                let gap = gap(self.text, before.span.end as usize, item.span.start as usize);
                let entry = fields && is_op(Some(before), ",");
                if gap.breaks || (split && entry) {
                    let further = if entry {
                        0
                    } else if is_op(Some(item), "->") {
                        INDENT
                    } else {
                        CONTINUED
                    };
                    self.comments(&gap, indent + further);
                    self.line(indent + further, gap.blank && entry);
                } else if space(before, item) {
                    self.out.push(' ');
                }
            }
            // The block of a route stands under the route, wherever its target went.
            let base = if arrow && last_braces == Some(i) { indent } else { self.line_indent };
            self.item(item, base);
        }
    }

    fn item(&mut self, item: &Item, base: usize) {
        let (start, end) = (item.span.start as usize, item.span.end as usize);
        match &item.kind {
            ItemKind::Braces(block) => self.braces(block, start, end, base),
            ItemKind::List(items) | ItemKind::Paren(items) => self.bracket(items, start, end),
            _ => self.out.push_str(&self.text[start..end]),
        }
    }

    fn bracket(&mut self, items: &[Item], start: usize, end: usize) {
        let base = self.line_indent;
        self.out.push_str(&self.text[start..start + 1]);
        let mut at = start + 1;
        for (i, item) in items.iter().enumerate() {
            let gap = gap(self.text, at, item.span.start as usize);
            if gap.breaks {
                self.comments(&gap, base + INDENT);
                self.line(base + INDENT, gap.blank && i > 0);
            } else if i > 0 && space(&items[i - 1], item) {
                self.out.push(' ');
            }
            let inner = self.line_indent;
            self.item(item, inner);
            at = item.span.end as usize;
        }
        let gap = gap(self.text, at, end - 1);
        if gap.breaks {
            self.comments(&gap, base + INDENT);
            self.line(base, false);
        }
        self.out.push_str(&self.text[end - 1..end]);
    }

    fn braces(&mut self, block: &Block, start: usize, end: usize, base: usize) {
        let statements: Vec<&Stmt> = block.statements().collect();
        let inside = &self.text[start + 1..end - 1];
        let one_line = !inside.contains('\n');
        if statements.is_empty() && one_line {
            self.out.push_str("{}");
            return;
        }
        if self.flat {
            self.out.push('{');
            self.statements(&statements, start + 1, end - 1, base + INDENT, false);
            self.out.push_str(" }");
            return;
        }
        if one_line {
            let mut flat = Printer { text: self.text, out: String::new(), line_indent: base, flat: true };
            flat.braces(block, start, end, base);
            if self.column() + flat.out.chars().count() <= WIDTH {
                self.out.push_str(&flat.out);
                return;
            }
        }
        self.out.push('{');
        self.statements(&statements, start + 1, end - 1, base + INDENT, one_line);
        self.line(base, false);
        self.out.push('}');
    }

    /// How many characters stand on the line so far.
    fn column(&self) -> usize {
        let line = self.out.rfind('\n').map_or(0, |i| i + 1);
        self.out[line..].chars().count()
    }
}

fn gap(text: &str, start: usize, end: usize) -> Gap<'_> {
    let mut gap = Gap { comments: Vec::new(), breaks: false, blank: false };
    let mut rest = &text[start..end];
    let mut newlines = 0;
    let mut width = 0;
    while let Some(c) = rest.chars().next() {
        if c == '#' {
            let line = rest.split('\n').next().unwrap_or(rest);
            let behind = (!gap.breaks).then_some(width);
            gap.comments.push(Comment { text: line.trim_end_matches([' ', '\t', '\r']), behind, blank: newlines > 1 });
            gap.breaks = true;
            rest = &rest[line.len()..];
            newlines = 0;
            continue;
        }
        match c {
            '\n' => {
                newlines += 1;
                gap.breaks = true;
            }
            ';' => width = 0,
            _ => width += 1,
        }
        rest = &rest[c.len_utf8()..];
    }
    gap.blank = newlines > 1;
    gap
}

fn is_op(item: Option<&Item>, op: &str) -> bool {
    matches!(item.map(|i| &i.kind), Some(ItemKind::Op(o)) if o == op)
}

/// Operators between two values.
fn binary(item: &Item) -> bool {
    matches!(&item.kind, ItemKind::Op(o)
        if matches!(o.as_str(), "->" | "??" | "==" | "!=" | "<=" | ">=" | "=" | "<" | ">" | "|" | "+" | "-"))
}

/// Whether a space stands between two items of a line.
fn space(before: &Item, item: &Item) -> bool {
    use ItemKind::{Braces, List, Name, Paren, Raw, Str};
    if is_op(Some(item), ",") {
        return false;
    }
    if is_op(Some(before), ",") || binary(before) || binary(item) || is_op(Some(before), ":") {
        return true;
    }
    if matches!((&before.kind, &item.kind), (Name(word), Paren(_) | List(_)) if worded(word)) {
        return true;
    }
    if is_op(Some(item), ":") {
        // A colon is a character of paths and numbers, so it joins only what it cannot become part of.
        return item.spaced && !matches!(before.kind, Name(_) | Str(_) | Raw(_) | Paren(_) | List(_) | Braces(_));
    }
    // Touching means something to brackets (a call, an index), dots and ports.
    item.spaced || matches!(before.kind, Braces(_)) || matches!(item.kind, Braces(_))
}

/// Whether a statement that ends with these items goes on over the end of the line.
fn carries_on(items: &[Item]) -> bool {
    let Some((item, before)) = items.split_last() else { return false };
    match &item.kind {
        ItemKind::Op(o) => binary(item) || o == "," || o == ":",
        // Alone they are words of settings: `issuer any`.
        ItemKind::Name(n) if matches!(n.as_str(), "any" | "all") => {
            matches!(before.last().map(|i| &i.kind), Some(ItemKind::Name(has)) if has == "has")
        }
        ItemKind::Name(n) => worded(n),
        _ => false,
    }
}

/// Operators that are words.
fn worded(word: &str) -> bool {
    matches!(word, "and" | "or" | "not" | "in" | "matches" | "starts-with" | "ends-with" | "has")
}

/// Whether a line that begins with these items goes on with the statement before it.
fn continues(items: &[Item]) -> bool {
    match items.first().map(|i| &i.kind) {
        Some(ItemKind::Op(o)) => matches!(o.as_str(), "->" | "??" | "|"),
        Some(ItemKind::Name(n)) => {
            let word = matches!(n.as_str(), "and" | "or" | "at" | "by" | "else");
            word && !is_op(items.get(1), ":") && !is_op(items.get(1), "=")
        }
        _ => false,
    }
}
