//! Path patterns (language.md, section 4).

use super::reader::Reader;
use crate::diagnostic::{Code, Diagnostic, nearest};
use crate::model::ast::{Name, ParamType, Pattern, Segment};
use crate::source::Span;
use crate::syntax::tree::{Item, ItemKind, PathPart, StrPart};
use smol_str::SmolStr;

/// A pattern where one must stand; damaged ones are reported and give what could be read.
pub(super) fn pattern(r: &mut Reader) -> Pattern {
    let span = r.cursor.span();
    match r.cursor.peek().map(|i| &i.kind) {
        Some(ItemKind::Path(parts)) => {
            r.cursor.next();
            Walk::new(r, span).path(parts)
        }
        Some(ItemKind::Str(parts)) => {
            r.cursor.next();
            Walk::new(r, span).quoted(parts)
        }
        Some(ItemKind::Url(_)) => {
            r.cursor.next();
            r.fail(
                Diagnostic::new(Code::E0501, span, "a pattern is a path, not a URL")
                    .label("expected a path")
                    .help("write the path alone, `/users/{id}`; the host stands in the api: `host api.example.com`"),
            );
            Pattern { span, ..Pattern::default() }
        }
        Some(ItemKind::Name(first)) => {
            // `users/{id}`
            let touching = matches!(r.cursor.peek_at(1), Some(Item { kind: ItemKind::Path(_), spaced: false, .. }));
            let first = first.clone();
            r.cursor.next();
            let whole = match r.cursor.peek() {
                Some(item) if touching => span.to(item.span),
                _ => span,
            };
            if touching {
                r.cursor.next();
            }
            r.fail(
                Diagnostic::new(Code::E0501, whole, "a pattern begins with `/`")
                    .label("expected a `/` before this")
                    .help(format!("write `/{first}{}`", if touching { "/…" } else { "" })),
            );
            Pattern { span: whole, ..Pattern::default() }
        }
        _ => {
            r.expected("a path, such as `/users/{id}`");
            Pattern { span, ..Pattern::default() }
        }
    }
}

/// The prefix of an `api` or `group`: a pattern that does not end in `{rest...}`.
pub(super) fn prefix(r: &mut Reader) -> Pattern {
    let mut prefix = pattern(r);
    if let Some(Segment::Rest(name)) = prefix.segments.last() {
        let (text, span) = (name.text.clone(), name.span);
        r.fail(
            Diagnostic::new(Code::E0506, span, "a prefix goes on in its routes")
                .label("the rest of a path")
                .help(format!("leave `{{{text}...}}` to the routes inside")),
        );
        prefix.segments.pop();
    }
    prefix
}

/// A pattern being read, segment by segment.
struct Walk<'r, 't, 'd> {
    r: &'r mut Reader<'t, 'd>,
    pattern: Pattern,
    segment: Open,
    seen_slash: bool,
}

/// The segment that is being read.
#[derive(Default)]
struct Open {
    before: String,
    param: Option<(Name, ParamType)>,
    rest: Option<Name>,
    after: String,
    span: Option<Span>,
}

impl<'r, 't, 'd> Walk<'r, 't, 'd> {
    fn new(r: &'r mut Reader<'t, 'd>, span: Span) -> Self {
        Walk { r, pattern: Pattern { span, ..Pattern::default() }, segment: Open::default(), seen_slash: false }
    }

    fn path(mut self, parts: &[PathPart]) -> Pattern {
        for part in parts {
            match part {
                PathPart::Text(text, span) => self.text(text, *span, true),
                PathPart::Hole { rest, items, span } => self.hole(*rest, items, *span),
            }
        }
        self.end()
    }

    fn quoted(mut self, parts: &[StrPart]) -> Pattern {
        match parts.first() {
            Some(StrPart::Text(text, _)) if text.starts_with('/') => {}
            _ => {
                let span = self.pattern.span;
                self.r.fail(
                    Diagnostic::new(Code::E0501, span, "a pattern begins with `/`")
                        .label("expected a `/` at its beginning")
                        .help("write `\"/…\"`"),
                );
                return self.pattern;
            }
        }
        for part in parts {
            match part {
                StrPart::Text(text, span) => self.text(text, *span, false),
                StrPart::Hole(items, span) => {
                    let dots = items
                        .iter()
                        .rev()
                        .take_while(|i| matches!(&i.kind, ItemKind::Op(o) if o.starts_with('.')))
                        .count();
                    self.hole(dots > 0, &items[..items.len() - dots], *span);
                }
            }
        }
        self.end()
    }

    /// Literal text; `exact`: its bytes are those of the source, so that a part of it can be pointed at.
    fn text(&mut self, text: &str, span: Span, exact: bool) {
        let at = |start: usize, end: usize| match exact {
            true => Span { file: span.file, start: span.start + start as u32, end: span.start + end as u32 },
            false => span,
        };
        if let Some(mark) = text.find(['?', '#']) {
            self.r.fail(
                Diagnostic::new(Code::E0504, at(mark, text.len()), "a pattern matches the path alone, not the query")
                    .label("not part of a path")
                    .help("remove it; a condition on the query is `when query.NAME == \"…\"`"),
            );
        }
        let mut from = 0;
        for (i, byte) in text.bytes().enumerate() {
            if byte == b'/' {
                self.literal(&text[from..i], at(from, i));
                match self.seen_slash {
                    true => self.close(at(i, i + 1), false),
                    false => self.seen_slash = true,
                }
                from = i + 1;
            }
        }
        self.literal(&text[from..], at(from, text.len()));
    }

    fn literal(&mut self, text: &str, span: Span) {
        if text.is_empty() {
            return;
        }
        let segment = &mut self.segment;
        segment.span = Some(segment.span.map_or(span, |s| s.to(span)));
        let into =
            if segment.param.is_some() || segment.rest.is_some() { &mut segment.after } else { &mut segment.before };
        into.push_str(text);
    }

    fn hole(&mut self, rest: bool, items: &[Item], span: Span) {
        self.segment.span = Some(self.segment.span.map_or(span, |s| s.to(span)));
        let Some(Item { kind: ItemKind::Name(name), span: at, .. }) = items.first() else {
            let help = match items.first().map(|i| &i.kind) {
                Some(ItemKind::Op(op)) if op == "*" => "the rest of a path is written `{rest...}`",
                _ => "a parameter is written `{name}`, `{name: int}` or `{rest...}`",
            };
            self.r
                .fail(Diagnostic::new(Code::E0505, span, "a parameter has a name").label("expected a name").help(help));
            return;
        };
        self.r.check_declared(name, *at, "a parameter");
        let name = Name { text: name.clone(), span: *at };
        let first = self.names().find(|n| n.text == name.text).map(|n| n.span);
        if let Some(first) = first {
            self.r.fail(
                Diagnostic::new(
                    Code::E0507,
                    name.span,
                    format!("the parameter `{}` stands twice in one pattern", name.text),
                )
                .label("again here")
                .also(first, "first here")
                .help(format!("give one of them another name, such as `{}-2`", name.text)),
            );
        }
        if self.segment.param.is_some() || self.segment.rest.is_some() {
            self.r.fail(
                Diagnostic::new(Code::E0505, span, "a segment holds one parameter")
                    .label("a second parameter")
                    .help("put a `/` between them, or match the whole segment: `{name: matches r\"…\"}`"),
            );
            return;
        }
        if rest {
            if items.len() > 1 {
                let span = items[1].span.to(items[items.len() - 1].span);
                self.r.fail(
                    Diagnostic::new(Code::E0506, span, "the rest of a path has no type")
                        .label("superfluous")
                        .help(format!("write `{{{}...}}`", name.text)),
                );
            }
            self.segment.rest = Some(name);
            return;
        }
        let ty = match &items[1..] {
            [] => ParamType::String,
            [Item { kind: ItemKind::Op(colon), .. }, ty @ ..] if colon == ":" => self.ty(ty, span),
            [other, ..] => {
                self.r.fail(
                    Diagnostic::new(Code::E0505, other.span, "expected `:` and a type, or the end of the parameter")
                        .label("unexpected")
                        .help(match &other.kind {
                            ItemKind::Name(word) if word == "matches" => {
                                "a colon stands before it: `{name: matches r\"…\"}`"
                            }
                            _ => "a parameter is written `{name}`, `{name: int}` or `{rest...}`",
                        }),
                );
                ParamType::String
            }
        };
        self.segment.param = Some((name, ty));
    }

    fn ty(&mut self, items: &[Item], hole: Span) -> ParamType {
        const TYPES: [(&str, ParamType); 5] = [
            ("int", ParamType::Int),
            ("uint", ParamType::Uint),
            ("uuid", ParamType::Uuid),
            ("date", ParamType::Date),
            ("string", ParamType::String),
        ];
        match items {
            [Item { kind: ItemKind::Name(word), span, .. }] => {
                if let Some((_, ty)) = TYPES.iter().find(|(w, _)| w == word) {
                    return ty.clone();
                }
                let help = match (word.as_str(), nearest(word, TYPES.iter().map(|(w, _)| *w))) {
                    ("matches", _) => "an expression follows: `{name: matches r\"[a-z]+\"}`".to_owned(),
                    (_, Some(near)) => format!("did you mean `{near}`?"),
                    ("number" | "integer" | "float" | "i64", _) => "write `int` or `uint`".to_owned(),
                    ("str" | "text", _) => "write `string`, or no type".to_owned(),
                    _ => "a parameter is `int`, `uint`, `uuid`, `date`, `string` or `matches r\"…\"`".to_owned(),
                };
                self.r.fail(
                    Diagnostic::new(Code::E0508, *span, format!("a parameter cannot be of type `{word}`"))
                        .label("unknown here")
                        .help(help),
                );
                ParamType::String
            }
            [Item { kind: ItemKind::Name(word), .. }, expression] if word == "matches" => match &expression.kind {
                ItemKind::Raw(text) => self.regex(text, expression.span),
                ItemKind::Str(parts) => match parts.as_slice() {
                    [StrPart::Text(text, _)] => self.regex(text, expression.span),
                    _ => {
                        self.r.fail(
                            Diagnostic::new(
                                Code::E0509,
                                expression.span,
                                "a regular expression has no `{…}` to fill in",
                            )
                            .label("braces fill in values here")
                            .help("write it as a raw string, in which braces are braces: `r\"…\"`"),
                        );
                        ParamType::String
                    }
                },
                _ => self.no_regex(expression.span),
            },
            [Item { kind: ItemKind::Name(word), .. }, first, .., last] if word == "matches" => {
                self.no_regex(first.span.to(last.span))
            }
            _ => {
                let span = items.first().map_or(hole, |i| i.span);
                self.r.fail(
                    Diagnostic::new(Code::E0508, span, "expected the type of a parameter")
                        .label("expected a type")
                        .help("a parameter is `int`, `uint`, `uuid`, `date`, `string` or `matches r\"…\"`"),
                );
                ParamType::String
            }
        }
    }

    fn no_regex(&mut self, span: Span) -> ParamType {
        self.r.fail(
            Diagnostic::new(Code::E0509, span, "expected a regular expression in quotes")
                .label("not a string")
                .help("write `matches r\"…\"`"),
        );
        ParamType::String
    }

    fn regex(&mut self, text: &str, span: Span) -> ParamType {
        // Alone first: `a)(b` is one only with parentheses around it.
        let compiled = match regex_syntax::parse(text) {
            Ok(_) => regex::Regex::new(&format!(r"\A(?:{text})\z")).map_err(|e| e.to_string()),
            Err(regex_syntax::Error::Parse(e)) => Err(e.kind().to_string()),
            Err(regex_syntax::Error::Translate(e)) => Err(e.kind().to_string()),
            Err(e) => Err(e.to_string()),
        };
        match compiled {
            Ok(regex) => ParamType::Matches(regex),
            Err(reason) => {
                self.r.fail(
                    Diagnostic::new(Code::E0509, span, "this is not a regular expression")
                        .label(reason.lines().last().unwrap_or_default().to_owned())
                        .help("the syntax is that of Rust's regex crate: no look-around, no back-references"),
                );
                ParamType::String
            }
        }
    }

    fn names(&self) -> impl Iterator<Item = &Name> {
        let closed = self.pattern.segments.iter().filter_map(|s| match s {
            Segment::Param { name, .. } | Segment::Rest(name) => Some(name),
            Segment::Literal(_) => None,
        });
        let open = self.segment.param.as_ref().map(|(n, _)| n).into_iter().chain(self.segment.rest.as_ref());
        closed.chain(open)
    }

    /// Ends a segment at a slash, or at the end of the pattern.
    fn close(&mut self, slash: Span, last: bool) {
        let open = std::mem::take(&mut self.segment);
        let Some(span) = open.span else {
            if !last {
                self.r.fail(
                    Diagnostic::new(Code::E0502, slash, "an empty segment never matches")
                        .label("a second slash")
                        .help("write one `/`; requests with `//` are refused unless the api says `paths allow empty-segments`"),
                );
            }
            return;
        };
        if let Some(name) = open.rest {
            if !open.before.is_empty() || !open.after.is_empty() {
                self.r.fail(
                    Diagnostic::new(Code::E0506, span, "the rest of a path is a segment of its own")
                        .label("text beside it")
                        .help(format!("write `/{{{}...}}`", name.text)),
                );
            }
            if !last {
                self.r.fail(
                    Diagnostic::new(Code::E0506, slash, format!("nothing may follow `{{{}...}}`", name.text))
                        .label("the pattern should end here")
                        .help("it takes the whole rest of the path; one segment is `{name}`"),
                );
            }
            self.pattern.segments.push(Segment::Rest(name));
            return;
        }
        let Some((name, ty)) = open.param else {
            let literal = self.normalised(&open.before, span);
            self.odd_literal(&literal, span);
            self.pattern.segments.push(Segment::Literal(literal));
            return;
        };
        let (prefix, suffix) = (self.normalised(&open.before, span), self.normalised(&open.after, span));
        self.pattern.segments.push(Segment::Param { name, ty, prefix, suffix });
    }

    fn odd_literal(&mut self, literal: &str, span: Span) {
        let foreign = match literal {
            "." | ".." => {
                self.r.fail(
                    Diagnostic::new(Code::E0503, span, format!("`{literal}` never stands in a request's path"))
                        .label("a dot segment")
                        .help("paths are normalised before they are matched: write the path that is left"),
                );
                return;
            }
            "*" | "**" => Some("the rest of a path is written `{rest...}`, one segment `{name}`".to_owned()),
            _ => {
                literal.strip_prefix(':').filter(|n| !n.is_empty()).map(|n| format!("a parameter is written `{{{n}}}`"))
            }
        };
        if let Some(help) = foreign {
            self.r.fail(
                Diagnostic::new(Code::E0517, span, format!("`{literal}` is not a parameter here"))
                    .label("plain text")
                    .help(help),
            );
        }
    }

    fn end(mut self) -> Pattern {
        match self.segment.span {
            Some(_) => self.close(self.pattern.span.after(), true),
            None => self.pattern.trailing_slash = true,
        }
        self.pattern
    }

    /// As a request's path is normalised: unreserved characters plain, hexadecimal digits upper case.
    fn normalised(&mut self, text: &str, span: Span) -> SmolStr {
        if text.bytes().all(plain) {
            return SmolStr::new(text);
        }
        let bytes = text.as_bytes();
        let mut out = String::with_capacity(text.len() + 8);
        let mut i = 0;
        while let Some(&byte) = bytes.get(i) {
            i += 1;
            if byte != b'%' {
                match plain(byte) {
                    true => out.push(byte as char),
                    false => encode(byte, &mut out),
                }
                continue;
            }
            let code = text.get(i..i + 2).and_then(|hex| u8::from_str_radix(hex, 16).ok());
            i += 2;
            match code {
                Some(0 | b'\\') => {
                    self.r.fail(
                        Diagnostic::new(Code::E0513, span, "a request with this in its path is refused")
                            .label("never matches")
                            .help("backslash and NUL are read differently by different servers, and get 400"),
                    );
                    return SmolStr::new(text);
                }
                Some(code) if code.is_ascii_alphanumeric() || b"-._~".contains(&code) => out.push(code as char),
                Some(code) => encode(code, &mut out),
                None => {
                    self.r.fail(
                        Diagnostic::new(Code::E0513, span, "`%` is followed by two hexadecimal digits")
                            .label("bad percent-encoding")
                            .help("a percent sign itself is written `%25`"),
                    );
                    return SmolStr::new(text);
                }
            }
        }
        out.into()
    }
}

/// Stands in a path as it is (RFC 3986, `pchar`).
fn plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@".contains(&byte)
}

fn encode(byte: u8, out: &mut String) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    out.push('%');
    out.push(HEX[usize::from(byte >> 4)] as char);
    out.push(HEX[usize::from(byte & 15)] as char);
}
