//! Reads one statement from left to right, and says at most one thing about its shape.

use super::hints::{meant, no_word, unknown};
use crate::diagnostic::{Code, Diagnostic, Diagnostics, nearest};
use crate::model::ast::{Expr, ExprKind, Key, Name, Spanned};
use crate::model::cursor::Cursor;
use crate::model::statements::{self, Context, Row};
use crate::model::types::Type;
use crate::model::{ast, expr, literal};
use crate::source::Span;
use crate::syntax::tree::{Block, Doc, Item, ItemKind, PathPart, Stmt, StrPart};
use smol_str::SmolStr;
use std::mem::discriminant;

/// A statement that is being read. Once a mistake is reported, the rest of it is read in silence.
pub(super) struct Reader<'t, 'd> {
    pub(super) cursor: Cursor<'t>,
    pub(super) d: &'d mut Diagnostics,
    /// Its row, for hints.
    pub(super) row: &'static Row,
    /// Where the word stands that began it.
    pub(super) keyword: Span,
    /// A mistake in it is reported.
    pub(super) failed: bool,
    stmt: &'t Stmt,
    context: Context,
}

impl<'t, 'd> Reader<'t, 'd> {
    /// Looks up the word that begins a statement. Where it may not stand here, that is reported and there is no reader,
    /// unless it is nearly one that may: then the statement is read as that, so that what it declares is known.
    pub(super) fn begin(stmt: &'t Stmt, context: Context, d: &'d mut Diagnostics) -> Option<Reader<'t, 'd>> {
        let mut cursor = Cursor::new(&stmt.items, stmt.span);
        let Some((word, keyword)) = cursor.name() else {
            if !stmt.damaged {
                d.push(no_word(stmt, context));
            }
            return None;
        };
        let known = statements::find(word, context);
        if known.is_none() && !stmt.damaged {
            d.push(unknown(word, keyword, &cursor, context));
        }
        let row = known.or_else(|| meant(word, context))?;
        if !row.supported {
            if known.is_some() {
                d.push(unsupported(keyword, &format!("`{word}`")));
            }
            return None;
        }
        let mut reader = Reader { cursor, d, row, keyword, failed: stmt.damaged || known.is_none(), stmt, context };
        let named = row.arguments.starts_with("NAME");
        if !named && (reader.cursor.at_op("=") || reader.cursor.at_op(":")) {
            reader.punctuated();
        }
        Some(reader)
    }

    /// `timeout = 5s`, `issuer: "x"`.
    fn punctuated(&mut self) {
        let op = self.cursor.span();
        let mark = if self.cursor.at_op("=") { "=" } else { ":" };
        self.cursor.next();
        let mut text = String::from(self.row.word);
        // `timeout = 5s` lacks the word that says which.
        if let Some(Item { kind: ItemKind::Number(_), .. }) = self.cursor.peek()
            && let Some(first) = self.row.argument_words().next()
            && self.row.arguments.starts_with(first)
        {
            text.push(' ');
            text.push_str(first);
        }
        for item in self.cursor.rest() {
            match plain(item) {
                Some(word) => {
                    text.push(' ');
                    text.push_str(&word);
                }
                None => {
                    text.push_str(" …");
                    break;
                }
            }
        }
        let word = self.row.word;
        self.fail(
            Diagnostic::new(Code::E0209, op, format!("`{word}` is a setting and takes no `{mark}`"))
                .label("superfluous")
                .help(format!("write `{text}`")),
        );
    }

    /// `body max = 1MiB`: an operator where a value stands.
    fn assigned(&mut self) {
        let op = self.cursor.span();
        let mark = if self.cursor.at_op("=") { "=" } else { ":" };
        let mut text = String::new();
        for item in self.stmt.items.iter().filter(|i| i.span != op) {
            let word = plain(item);
            if !text.is_empty() && word.as_deref() != Some(",") {
                text.push(' ');
            }
            text.push_str(word.as_deref().unwrap_or("…"));
            if word.is_none() {
                break;
            }
        }
        self.cursor.next();
        let word = self.row.word;
        self.fail(
            Diagnostic::new(Code::E0209, op, format!("`{word}` is a setting and takes no `{mark}`"))
                .label("superfluous")
                .help(format!("write `{text}`")),
        );
    }

    /// Reports a mistake, unless one is reported already.
    pub(super) fn fail(&mut self, diagnostic: Box<Diagnostic>) {
        if !self.failed {
            self.d.push(diagnostic);
        }
        self.failed = true;
    }

    /// Reports what was expected where the next item stands.
    pub(super) fn expected(&mut self, what: &str) {
        self.expected_with(what, None);
    }

    /// As `expected`, with a help.
    pub(super) fn expected_with(&mut self, what: &str, help: Option<String>) {
        let span = self.cursor.span();
        let message = match self.cursor.peek() {
            Some(item) => format!("expected {what}, found {}", describe(item)),
            None => format!("expected {what}, but the statement ends"),
        };
        let help = help.or_else(|| Some(format!("it is written `{} {}`", self.row.word, self.row.arguments)));
        self.fail(Diagnostic::new(Code::E0204, span, message).label(format!("expected {what}")).maybe_help(help));
    }

    /// Says that something is not supported yet.
    pub(super) fn unsupported(&mut self, span: Span, what: &str) {
        self.fail(unsupported(span, what));
    }

    /// The statement from its first word to the item before the next.
    pub(super) fn span(&self) -> Span {
        self.keyword.to(self.cursor.previous().map_or(self.keyword, |i| i.span))
    }

    /// The documentation above it.
    pub(super) fn docs(&self) -> SmolStr {
        docs(&self.stmt.docs)
    }

    /// The next item is this word; takes it.
    pub(super) fn word(&mut self, word: &str) -> Option<Span> {
        self.cursor.word(word)
    }

    /// Takes this word, or says that it is missing.
    pub(super) fn expect_word(&mut self, word: &str) -> Option<Span> {
        let found = self.cursor.word(word);
        if found.is_none() {
            let close = self.cursor.peek().and_then(|i| match &i.kind {
                ItemKind::Name(n) => nearest(n, [word]),
                _ => None,
            });
            match close {
                Some(_) => {
                    self.no_such_word(&[word]);
                    self.cursor.next();
                }
                None => self.expected(&format!("`{word}`")),
            }
        }
        found
    }

    /// Takes one of these words and gives its value; otherwise says which there are.
    pub(super) fn one_of<T: Copy>(&mut self, choices: &[(&str, T)]) -> Option<Spanned<T>> {
        if let Some(Item { kind: ItemKind::Name(word), span, .. }) = self.cursor.peek()
            && let Some((_, value)) = choices.iter().find(|(w, _)| w == word)
        {
            self.cursor.next();
            return Some(Spanned { value: *value, span: *span });
        }
        let words: Vec<&str> = choices.iter().map(|(w, _)| *w).collect();
        self.no_such_word(&words);
        None
    }

    /// The next item is none of `words`: unknown, or missing.
    pub(super) fn no_such_word(&mut self, words: &[&str]) {
        let list = listed(words);
        match self.cursor.peek() {
            Some(Item { kind: ItemKind::Name(word), span, .. }) => {
                let help = match nearest(word, words.iter().copied()) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None if words.len() == 1 => format!("write {list}"),
                    None => format!("it is one of {list}"),
                };
                let message = format!("`{}` does not know `{word}`", self.row.word);
                self.fail(Diagnostic::new(Code::E0208, *span, message).label("unknown here").help(help));
            }
            _ if words.len() > 1 => self.expected(&format!("one of {list}")),
            _ => self.expected(&list),
        }
    }

    /// An expression, or says what is missing.
    pub(super) fn expr(&mut self, what: &str) -> Expr {
        if self.cursor.is_empty() {
            self.expected(what);
        }
        let after_word = matches!(self.cursor.previous().map(|i| &i.kind), Some(ItemKind::Name(_)));
        if !self.failed && after_word && (self.cursor.at_op("=") || self.cursor.at_op(":")) {
            self.assigned();
        }
        if self.failed {
            // In a damaged statement this may be anything: it is read, and taken for nothing.
            let span = expr::expr(&mut self.cursor, &mut Diagnostics::default()).span;
            return error(span);
        }
        let before = self.d.len();
        let value = expr::expr(&mut self.cursor, self.d);
        self.failed |= self.d.len() > before;
        value
    }

    /// A key: expressions at commas.
    pub(super) fn key(&mut self) -> Key {
        if matches!(self.cursor.peek().map(|i| &i.kind), None | Some(ItemKind::Braces(_))) {
            self.expected("a key, such as `caller` or `client.ip`");
        }
        if self.failed {
            let span = expr::key(&mut self.cursor, &mut Diagnostics::default()).span;
            return Key { parts: vec![error(span)], span };
        }
        let before = self.d.len();
        let key = expr::key(&mut self.cursor, self.d);
        self.failed |= self.d.len() > before;
        key
    }

    /// A type.
    pub(super) fn ty(&mut self) -> Spanned<Type> {
        if self.cursor.is_empty() {
            self.expected("a type");
            return Spanned { value: Type::Error, span: self.cursor.span() };
        }
        if self.failed {
            let span = expr::ty(&mut self.cursor, &mut Diagnostics::default()).span;
            return Spanned { value: Type::Error, span };
        }
        let before = self.d.len();
        let ty = expr::ty(&mut self.cursor, self.d);
        self.failed |= self.d.len() > before;
        ty
    }

    /// One expression or more, at commas.
    pub(super) fn exprs(&mut self, what: &str) -> Vec<Expr> {
        let mut list = vec![self.expr(what)];
        while !self.failed && self.cursor.op(",").is_some() {
            list.push(self.expr(what));
        }
        list
    }

    /// A quoted path, or a name of one: `"certs/a.pem"`.
    pub(super) fn file(&mut self) -> Expr {
        let unquoted = match self.cursor.peek().map(|i| &i.kind) {
            Some(ItemKind::Path(_)) => true,
            Some(ItemKind::Name(n)) => {
                n.contains('.')
                    || matches!(self.cursor.peek_at(1), Some(Item { kind: ItemKind::Path(_), spaced: false, .. }))
            }
            _ => false,
        };
        if unquoted {
            let mut text = self.cursor.peek().and_then(plain).unwrap_or_default();
            let mut span = self.cursor.span();
            self.cursor.next();
            while let Some(item) = self.cursor.peek().filter(|i| !i.spaced) {
                text.push_str(&plain(item).unwrap_or_default());
                span = span.to(item.span);
                self.cursor.next();
            }
            self.fail(
                Diagnostic::new(Code::E0204, span, "the name of a file stands in quotes")
                    .label("without quotes")
                    .help(format!("write `\"{text}\"`")),
            );
            return Expr { kind: ExprKind::Error, span };
        }
        self.expr("a file name in quotes")
    }

    /// The name of something that is declared here.
    pub(super) fn declared(&mut self, what: &str) -> Option<Name> {
        let Some((text, span)) = self.cursor.name() else {
            let help = match self.cursor.peek() {
                Some(Item { kind: ItemKind::Str(_), .. }) => Some("names stand without quotes".to_owned()),
                Some(Item { kind: ItemKind::Number(_), .. }) => Some("a name begins with a letter".to_owned()),
                _ => None,
            };
            self.expected_with(&format!("the name of {what}"), help);
            return None;
        };
        self.check_declared(text, span, what);
        Some(Name { text: text.into(), span })
    }

    /// Reports a name that may not be declared.
    pub(super) fn check_declared(&mut self, text: &str, span: Span, what: &str) {
        const RESERVED: [&str; 8] = ["none", "any", "respond", "redirect", "compose", "files", "optional", "when"];
        let (message, help) = if text.contains(['.', ':']) {
            (
                format!("`{text}` cannot be the name of {what}"),
                format!("names have no dots and colons: `{}`", text.replace(['.', ':'], "-")),
            )
        } else if !text.starts_with(|c: char| c.is_ascii_lowercase()) {
            let lower = text.trim_start_matches('_').to_ascii_lowercase().replace('_', "-");
            (format!("the name of {what} begins in lower case"), format!("write `{lower}`"))
        } else if text.contains("--") {
            let single = text.split('-').filter(|part| !part.is_empty()).collect::<Vec<_>>().join("-");
            (format!("`{text}` cannot be the name of {what}"), format!("one hyphen joins two words: `{single}`"))
        } else if RESERVED.contains(&text) {
            (
                format!("`{text}` is reserved and cannot be the name of {what}"),
                format!("choose another name, such as `{text}-1`"),
            )
        } else {
            return;
        };
        self.fail(Diagnostic::new(Code::E0205, span, message).label("not a name").help(help));
    }

    /// The name of something that is declared elsewhere.
    pub(super) fn reference(&mut self, what: &str) -> Option<Name> {
        let found = self.cursor.name();
        if found.is_none() {
            self.expected(what);
        }
        found.map(|(text, span)| Name { text: text.into(), span })
    }

    /// A block, or says that it is missing.
    pub(super) fn block(&mut self) -> Option<&'t Block> {
        let block = self.cursor.braces();
        if block.is_none() {
            let span = self.cursor.span();
            let message = match self.cursor.peek() {
                Some(item) => format!("expected `{{`, found {}", describe(item)),
                None => format!("`{}` needs a block", self.row.word),
            };
            let help = format!("it is written `{} {}`", self.row.word, self.row.arguments);
            self.fail(Diagnostic::new(Code::E0215, span, message).label("expected `{`").help(help));
        }
        block
    }

    /// `when EXPR`, if it stands here.
    pub(super) fn when(&mut self) -> Option<Expr> {
        self.word("when").map(|_| self.expr("a condition"))
    }

    /// Nothing may be left.
    pub(super) fn end(&mut self) {
        if self.failed || self.cursor.is_empty() {
            return;
        }
        let span = self.cursor.rest_span();
        let first = self.cursor.peek();
        let help = first.and_then(|item| self.left_over(item));
        let span = first.map_or(span, |i| i.span);
        let found = first.map_or_else(String::new, |i| format!(", found {}", describe(i)));
        self.fail(
            Diagnostic::new(Code::E0203, span, format!("expected the end of the statement{found}"))
                .label("the statement should end before this")
                .maybe_help(help),
        );
    }

    /// What a left-over item probably means.
    fn left_over(&self, item: &Item) -> Option<String> {
        let word = self.row.word;
        let form = || match self.row.arguments {
            "" => Some(format!("`{word}` stands alone")),
            arguments => Some(format!("it is written `{word} {arguments}`")),
        };
        let previous = self.cursor.previous();
        let alike = previous.is_some_and(|p| discriminant(&p.kind) == discriminant(&item.kind));
        match &item.kind {
            ItemKind::Braces(_) if alike => Some("there is one block: move what stands in this one into it".to_owned()),
            _ if alike && self.row.arguments.contains(", …") && !matches!(item.kind, ItemKind::Name(_)) => Some(
                format!("put a comma before {}", plain(item).map_or_else(|| "it".to_owned(), |t| format!("`{t}`"))),
            ),
            ItemKind::Name(name) => {
                if word == "route" && name == "when" {
                    return Some(
                        "a condition stands before `->`, or behind an upstream: `-> a when … else respond 404`"
                            .to_owned(),
                    );
                }
                if self.row.argument_words().any(|w| w == name) {
                    let comma = self.row.arguments.contains(&format!(", {name} "));
                    return Some(match comma {
                        true => format!("put a comma before `{name}`"),
                        false => format!("it is written `{word} {}`", self.row.arguments),
                    });
                }
                if name == "times" && word == "retry" {
                    return Some("say on what instead: `retry 3 on connect, 503`".to_owned());
                }
                if let Some(ItemKind::Number(number)) = previous.map(|p| &p.kind)
                    && literal::number(&format!("{number}{name}")).is_ok()
                {
                    return Some(format!("write `{number}{name}`"));
                }
                if word == "route" && name == "else" {
                    return Some("`else` belongs to a `when`: `-> a when … else b`".to_owned());
                }
                if name == "report-only" {
                    return Some(format!("`report-only` stands right behind `{word}`"));
                }
                if statements::find(name, self.context).is_some() {
                    return Some(format!(
                        "a new statement begins on a line of its own, or after `;`: put `{name}` there"
                    ));
                }
                nearest(name, self.row.argument_words()).map(|near| format!("did you mean `{near}`?")).or_else(form)
            }
            ItemKind::Braces(_) => Some(format!("`{word}` takes no block here")),
            ItemKind::Op(op) if op == "=" => {
                Some("`=` belongs to assignments: `set header.x-user = caller.id`, `let NAME = VALUE`".to_owned())
            }
            ItemKind::Op(op) if op == "," && word == "require" => Some("conditions are joined by `and`".to_owned()),
            ItemKind::Op(op) if op == "," => match self.cursor.peek_at(1).map(|i| &i.kind) {
                Some(ItemKind::Name(next)) if statements::find(next, self.context).is_some() => {
                    Some(format!("a new statement begins on a line of its own, or after `;`: put `;` before `{next}`"))
                }
                _ if word == "route" && matches!(previous.map(|p| &p.kind), Some(ItemKind::Path(_))) => {
                    Some("`at` stands once, behind all shares: `-> 90% a, 10% b at /path`".to_owned())
                }
                _ => Some(format!("`{word}` takes no further part here: `{word} {}`", self.row.arguments)),
            },
            ItemKind::Op(op) if op == "*" => Some("there is no multiplication".to_owned()),
            ItemKind::Op(op) if op == "?" => {
                Some("a choice is written `match CONDITION { true: …, false: … }`".to_owned())
            }
            ItemKind::Op(op) if op == "->" => Some("only a route has a target".to_owned()),
            _ => form(),
        }
    }
}

/// Reads the settings of a block: each word once, unless its row says otherwise. True if something in it is damaged.
pub(super) fn settings<'t>(
    block: &'t Block,
    context: Context,
    d: &mut Diagnostics,
    mut setting: impl FnMut(&mut Reader<'t, '_>),
) -> bool {
    let mut damaged = block.close.is_none();
    let mut seen: Vec<(&'static str, Span)> = Vec::new();
    for stmt in block.statements() {
        let Some(mut reader) = Reader::begin(stmt, context, d) else {
            damaged = true;
            continue;
        };
        let (word, span) = (reader.row.word, reader.keyword);
        if !reader.row.many {
            match seen.iter().find(|(w, _)| *w == word) {
                Some((_, first)) => {
                    reader.fail(twice(word, span, *first, reader.row));
                    damaged = true;
                    continue;
                }
                None => seen.push((word, span)),
            }
        }
        setting(&mut reader);
        reader.end();
        damaged |= reader.failed;
    }
    damaged
}

/// A setting that is there already.
pub(super) fn twice(word: &str, span: Span, first: Span, row: &Row) -> Box<Diagnostic> {
    let help = match word == row.word && row.arguments.contains(", ") {
        true => format!("write it once, with its parts at commas: `{word} {}`", row.arguments),
        false => "keep the one that is meant".to_owned(),
    };
    Diagnostic::new(Code::E0206, span, format!("`{word}` is set twice in one block"))
        .label("again here")
        .also(first, "first set here")
        .help(help)
}

/// The one message about what comes with a later version.
pub(super) fn unsupported(span: Span, what: &str) -> Box<Diagnostic> {
    Diagnostic::new(Code::E0901, span, format!("{what} is not supported yet"))
        .label("not supported yet")
        .help("it belongs to the language, but this version cannot run it: remove it for now")
}

/// `a`, `b` or `c`, in backticks.
pub(super) fn listed(words: &[&str]) -> String {
    let quoted: Vec<String> = words.iter().map(|w| format!("`{w}`")).collect();
    match quoted.as_slice() {
        [] => String::new(),
        [one] => one.clone(),
        [first @ .., last] => format!("{} or {last}", first.join(", ")),
    }
}

/// What an item is, for "found …".
pub(super) fn describe(item: &Item) -> String {
    match &item.kind {
        ItemKind::Name(t)
        | ItemKind::Number(t)
        | ItemKind::Host(t)
        | ItemKind::Socket6(t)
        | ItemKind::Ip6(t)
        | ItemKind::Op(t) => {
            format!("`{t}`")
        }
        ItemKind::Str(_) | ItemKind::Raw(_) => "a string".to_owned(),
        ItemKind::Path(_) => "a path".to_owned(),
        ItemKind::Url(_) => "a URL".to_owned(),
        ItemKind::Braces(_) => "a block".to_owned(),
        ItemKind::List(_) => "a list".to_owned(),
        ItemKind::Paren(_) => "a group in parentheses".to_owned(),
        ItemKind::Junk => "this".to_owned(),
    }
}

/// The text of an item that has no parts, as it would be written.
pub(super) fn plain(item: &Item) -> Option<String> {
    match &item.kind {
        ItemKind::Name(t)
        | ItemKind::Number(t)
        | ItemKind::Host(t)
        | ItemKind::Socket6(t)
        | ItemKind::Ip6(t)
        | ItemKind::Op(t) => Some(t.to_string()),
        ItemKind::Str(parts) => match parts.as_slice() {
            [StrPart::Text(t, _)] => Some(format!("\"{t}\"")),
            _ => None,
        },
        ItemKind::Path(parts) | ItemKind::Url(parts) => match parts.as_slice() {
            [PathPart::Text(t, _)] => Some(t.to_string()),
            _ => None,
        },
        _ => None,
    }
}

/// The lines of a documentation comment, joined.
pub(super) fn docs(docs: &[Doc]) -> SmolStr {
    match docs {
        [] => SmolStr::default(),
        [one] => one.text.clone(),
        many => many.iter().map(|d| d.text.as_str()).collect::<Vec<_>>().join("\n").into(),
    }
}

/// An expression that could not be read.
pub(super) fn error(span: Span) -> ast::Expr {
    Expr { kind: ExprKind::Error, span }
}
