//! From pest's pairs to the tree. Recursion follows the nesting, which the grammar caps.

use super::tree::{Block, Doc, Entry, Item, ItemKind, PathPart, Stmt, StrPart, Tree};
use super::{Reading, Rule, errors, repair};
use crate::diagnostic::Diagnostic;
use crate::source::{FileId, Span};
use pest::iterators::{Pair, Pairs};
use smol_str::{SmolStr, SmolStrBuilder};

/// Builds the tree of one file and collects its errors.
pub(super) struct Build<'t> {
    file: FileId,
    text: &'t str,
    #[allow(clippy::vec_box, reason = "diagnostics are made boxed")]
    errors: Vec<Box<Diagnostic>>,
    unbalanced: bool,
    /// An error was met since this was last cleared: the statement being built is damaged.
    damaged: bool,
    /// Where a part that swallowed text ended (too deep, an open `r#"`): what is unclosed there is its fault.
    swallowed: Option<u32>,
    /// A bracket that was left open, and where.
    open_bracket: Option<Span>,
    /// End of the last junk: what touches it is part of the same mistake.
    junk_end: Option<u32>,
}

impl<'t> Build<'t> {
    pub(super) fn new(file: FileId, text: &'t str) -> Build<'t> {
        Build {
            file,
            text,
            errors: Vec::new(),
            unbalanced: false,
            damaged: false,
            swallowed: None,
            open_bracket: None,
            junk_end: None,
        }
    }

    pub(super) fn read(mut self, pairs: Pairs<'t, Rule>) -> Reading {
        let file = pairs.into_iter().next().map(Pair::into_inner);
        let (entries, _) = file.map(|inner| self.entries(inner)).unwrap_or_default();
        Reading { tree: Tree { file: self.file, entries }, errors: self.errors, unbalanced: self.unbalanced }
    }

    fn span(&self, pair: &Pair<'t, Rule>) -> Span {
        let s = pair.as_span();
        Span::new(self.file, s.start(), s.end())
    }

    fn error(&mut self, error: Box<Diagnostic>) {
        self.damaged = true;
        self.errors.push(error);
    }

    /// White space (a comment ends with a line break) stands before `start`.
    fn spaced(&self, start: usize) -> bool {
        start == 0 || matches!(self.text.as_bytes()[start - 1], b' ' | b'\t' | b'\r' | b'\n')
    }

    /// What stands in a block or at top level, and its closing brace.
    fn entries(&mut self, pairs: Pairs<'t, Rule>) -> (Vec<Entry>, Option<Span>) {
        let mut entries = Vec::new();
        let mut docs = Vec::new();
        let mut close = None;
        // A brace that closes nothing looks no further back than the one before it.
        let mut floor = 0;
        for pair in pairs {
            let span = self.span(&pair);
            match pair.as_rule() {
                Rule::stmt => {
                    let stmt = self.stmt(pair, std::mem::take(&mut docs));
                    entries.push(Entry::Stmt(stmt));
                }
                Rule::doc => {
                    let doc = self.doc(span);
                    if self.alone(span) {
                        docs.push(doc);
                    } else {
                        self.errors.push(errors::doc_beside(doc.span));
                        entries.push(Entry::Comment(doc.span));
                    }
                }
                Rule::comment => entries.push(Entry::Comment(self.trimmed(span))),
                Rule::close => close = Some(span),
                Rule::stray_brace => {
                    self.unbalanced = true;
                    if self.swallowed != Some(span.start) {
                        let missing = repair::missing_open(self.text, &mut entries, floor, span);
                        if missing.is_none() {
                            floor = entries.len();
                        }
                        self.errors.push(errors::stray_brace(span, missing));
                    }
                }
                // `unclosed` is reported by the block that it leaves open.
                _ => {}
            }
        }
        // Documentation of nothing.
        entries.extend(docs.into_iter().map(|d| Entry::Comment(d.span)));
        (entries, close)
    }

    /// Whether nothing but white space stands before it on its line.
    fn alone(&self, span: Span) -> bool {
        let before = &self.text[..span.start as usize];
        let line = before.rfind('\n').map_or(before, |i| &before[i + 1..]);
        line.trim_start_matches('\u{feff}').trim().is_empty()
    }

    /// Without the carriage return of a CRLF line.
    fn trimmed(&self, span: Span) -> Span {
        let text = &self.text[span.start as usize..span.end as usize];
        Span { end: span.start + text.trim_end_matches([' ', '\t', '\r']).len() as u32, ..span }
    }

    fn doc(&self, span: Span) -> Doc {
        let span = self.trimmed(span);
        let text = self.text.get(span.start as usize + 2..span.end as usize).unwrap_or("");
        Doc { text: SmolStr::new(text.strip_prefix(' ').unwrap_or(text)), span }
    }

    fn stmt(&mut self, pair: Pair<'t, Rule>, docs: Vec<Doc>) -> Stmt {
        let outer = std::mem::replace(&mut self.damaged, false);
        let mut span = self.span(&pair);
        let items = self.items(pair.into_inner());
        // A trailing operator carries white space and comments into the pair.
        if let Some(last) = items.last() {
            span.end = last.span.end;
        }
        let damaged = std::mem::replace(&mut self.damaged, outer);
        Stmt { docs, items, span, damaged }
    }

    fn items(&mut self, pairs: Pairs<'t, Rule>) -> Vec<Item> {
        let mut items = Vec::with_capacity(pairs.len());
        for pair in pairs {
            self.item(pair, &mut items);
        }
        items
    }

    fn item(&mut self, pair: Pair<'t, Rule>, items: &mut Vec<Item>) {
        let span = self.span(&pair);
        let text = pair.as_str();
        let kind = match pair.as_rule() {
            Rule::name => ItemKind::Name(text.into()),
            Rule::tail_word => return self.words(span, text, items),
            Rule::tail_op | Rule::op => ItemKind::Op(text.into()),
            Rule::number => ItemKind::Number(text.into()),
            Rule::string => self.string(pair, span),
            Rule::raw => {
                let hashes = text.bytes().skip(1).take_while(|b| *b == b'#').count();
                ItemKind::Raw(text[hashes + 2..text.len() - hashes - 1].into())
            }
            Rule::raw_open => {
                self.swallowed = (span.end as usize == self.text.len()).then_some(span.end);
                self.error(errors::open_raw(self.text, span));
                ItemKind::Junk
            }
            Rule::path => ItemKind::Path(self.path(pair, span)),
            Rule::url => ItemKind::Url(self.path(pair, span)),
            Rule::host => ItemKind::Host(text.into()),
            Rule::sock6 => ItemKind::Socket6(text.into()),
            Rule::ip6 => ItemKind::Ip6(text.into()),
            Rule::braces => ItemKind::Braces(self.block(pair, span)),
            Rule::list => ItemKind::List(self.bracket(pair, span)),
            Rule::paren => ItemKind::Paren(self.bracket(pair, span)),
            Rule::stray_bracket => self.stray_bracket(span, text),
            Rule::stray_inside => {
                self.unbalanced = true;
                self.error(errors::stray_bracket(span, text));
                ItemKind::Junk
            }
            Rule::junk | Rule::odd => self.junk(span, text),
            // `close` and `unclosed` of the hole around, and `EOI`.
            _ => return,
        };
        let span = self.without_trailing_space(span, &kind);
        let spaced = self.spaced(span.start as usize);
        if !spaced && self.junk_end == Some(span.start) {
            self.junk_end = Some(span.end);
        }
        items.push(Item { kind, span, spaced });
    }

    /// A bracket that was left open has swallowed white space and comments; it ends with what it holds.
    fn without_trailing_space(&self, span: Span, kind: &ItemKind) -> Span {
        let end = match kind {
            ItemKind::Braces(Block { close: None, entries, .. }) => entries.last().map(|e| match e {
                Entry::Stmt(s) => s.span.end,
                Entry::Comment(s) => s.end,
            }),
            ItemKind::List(items) | ItemKind::Paren(items) if !self.text[..span.end as usize].ends_with([')', ']']) => {
                items.last().map(|i| i.span.end)
            }
            _ => None,
        };
        Span { end: end.unwrap_or(span.end), ..span }
    }

    /// `has any` is one operator to the grammar and two names to the tree.
    fn words(&self, span: Span, text: &str, items: &mut Vec<Item>) {
        for word in text.split_ascii_whitespace() {
            let start = span.start as usize + (word.as_ptr() as usize - text.as_ptr() as usize);
            let span = Span::new(self.file, start, start + word.len());
            items.push(Item { kind: ItemKind::Name(word.into()), span, spaced: self.spaced(start) });
        }
    }

    fn junk(&mut self, span: Span, text: &str) -> ItemKind {
        if self.junk_end != Some(span.start) {
            self.error(errors::junk(span, text));
        }
        self.junk_end = Some(span.end);
        ItemKind::Junk
    }

    fn stray_bracket(&mut self, span: Span, text: &str) -> ItemKind {
        self.unbalanced = true;
        self.damaged = true;
        // `(a]`: one mistake, reported where the bracket was left open.
        if self.open_bracket.take().is_none_or(|open| open.end != span.start) {
            self.error(errors::stray_bracket(span, text));
        }
        ItemKind::Junk
    }

    fn block(&mut self, pair: Pair<'t, Rule>, span: Span) -> Block {
        let open = Span { end: span.start + 1, ..span };
        // Errors in the statements inside do not damage the one around.
        let outer = self.damaged;
        let inner = pair.into_inner();
        if self.is_too_deep(&inner, open) {
            return Block { entries: Vec::new(), open, close: None };
        }
        let (entries, close) = self.entries(inner);
        self.damaged = outer;
        let block = Block { entries, open, close };
        if block.close.is_none() {
            self.unbalanced = true;
            self.damaged = true;
            if self.swallowed != Some(span.end) {
                let error = errors::unclosed_brace(self.text, &block, span.end);
                self.error(error);
            }
        }
        block
    }

    fn bracket(&mut self, pair: Pair<'t, Rule>, span: Span) -> Vec<Item> {
        let open = Span { end: span.start + 1, ..span };
        let inner = pair.into_inner();
        if self.is_too_deep(&inner, open) {
            return Vec::new();
        }
        let unclosed = inner.clone().next_back().is_some_and(|p| p.as_rule() == Rule::unclosed);
        let items = self.items(inner);
        if unclosed {
            self.unbalanced = true;
            self.damaged = true;
            if self.swallowed != Some(span.end) {
                self.error(errors::unclosed_bracket(self.text, open, &items, span.end));
                self.open_bracket = Some(span);
            }
        }
        items
    }

    fn is_too_deep(&mut self, inner: &Pairs<'t, Rule>, open: Span) -> bool {
        let Some(deep) = inner.peek().filter(|p| p.as_rule() == Rule::too_deep) else { return false };
        self.swallowed = Some(self.span(&deep).end);
        self.error(errors::too_deep(open));
        true
    }

    fn string(&mut self, pair: Pair<'t, Rule>, span: Span) -> ItemKind {
        let mut parts = Vec::new();
        let mut text = TextRun::default();
        let (mut closed, mut open_hole) = (true, None);
        for part in pair.into_inner() {
            let at = self.span(&part);
            match part.as_rule() {
                Rule::text => text.push(part.as_str(), at),
                Rule::escape => match unescape(part.as_str()) {
                    Some(c) => text.push(c.encode_utf8(&mut [0; 4]), at),
                    None => {
                        self.error(errors::bad_escape(at, part.as_str()));
                        text.push(part.as_str(), at);
                    }
                },
                Rule::open_hole => {
                    open_hole = open_hole.or(Some(at));
                    text.push("{", at);
                }
                Rule::hole => {
                    parts.extend(text.take().map(|(t, s)| StrPart::Text(t, s)));
                    let (_, items) = self.hole(part, at);
                    parts.push(StrPart::Hole(items, at));
                }
                Rule::unterminated => closed = false,
                _ => {}
            }
        }
        parts.extend(text.take().map(|(t, s)| StrPart::Text(t, s)));
        match (closed, open_hole) {
            // One mistake or two, nobody can say: the string is named first.
            (false, _) => self.error(errors::open_string(self.text, self.trimmed(span))),
            (true, Some(hole)) => self.error(errors::open_hole(hole)),
            (true, None) => {}
        }
        ItemKind::Str(parts)
    }

    fn path(&mut self, pair: Pair<'t, Rule>, span: Span) -> Vec<PathPart> {
        let mut parts = Vec::new();
        let mut text = TextRun::default();
        if pair.as_rule() == Rule::path {
            text.push("/", Span { end: span.start + 1, ..span });
        }
        for part in pair.into_inner() {
            let at = self.span(&part);
            match part.as_rule() {
                Rule::hole => {
                    parts.extend(text.take().map(|(t, s)| PathPart::Text(t, s)));
                    let (rest, items) = self.hole(part, at);
                    parts.push(PathPart::Hole { rest, items, span: at });
                }
                Rule::open_param => {
                    self.error(errors::open_param(at, part.as_str()));
                    text.push(part.as_str(), at);
                }
                _ => text.push(part.as_str(), at),
            }
        }
        parts.extend(text.take().map(|(t, s)| PathPart::Text(t, s)));
        parts
    }

    /// The items of `{…}` in a string, path or URL, and whether it is `{name...}`.
    fn hole(&mut self, pair: Pair<'t, Rule>, span: Span) -> (bool, Vec<Item>) {
        let open = Span { end: span.start + 1, ..span };
        let mut rest = false;
        let mut items = Vec::new();
        for part in pair.into_inner() {
            match part.as_rule() {
                Rule::rest => {
                    rest = true;
                    let name = part.as_str().trim_end_matches('.');
                    let start = part.as_span().start();
                    let span = Span::new(self.file, start, start + name.len());
                    items.push(Item { kind: ItemKind::Name(name.into()), span, spaced: self.spaced(start) });
                }
                Rule::unclosed => self.error(errors::open_hole(open)),
                _ => self.item(part, &mut items),
            }
        }
        (rest, items)
    }
}

/// Adjacent pieces of text that make one part.
#[derive(Default)]
struct TextRun {
    text: SmolStrBuilder,
    span: Option<Span>,
}

impl TextRun {
    fn push(&mut self, text: &str, at: Span) {
        self.text.push_str(text);
        self.span = Some(self.span.map_or(at, |s| s.to(at)));
    }

    fn take(&mut self) -> Option<(SmolStr, Span)> {
        let span = self.span.take()?;
        Some((std::mem::take(&mut self.text).finish(), span))
    }
}

/// The character that an escape stands for.
fn unescape(escape: &str) -> Option<char> {
    match escape.strip_prefix('\\')? {
        "n" => Some('\n'),
        "t" => Some('\t'),
        "\"" => Some('"'),
        "\\" => Some('\\'),
        "{" => Some('{'),
        code => {
            let hex = code.strip_prefix("u{")?.strip_suffix('}')?;
            let hex = Some(hex).filter(|h| (1..=6).contains(&h.len()) && h.bytes().all(|b| b.is_ascii_hexdigit()))?;
            char::from_u32(u32::from_str_radix(hex, 16).ok()?)
        }
    }
}
