//! The syntax tree: statements of items, nothing about what they mean.

use crate::source::{FileId, Span};
use smol_str::SmolStr;

/// One parsed file.
#[derive(Debug, Clone)]
pub struct Tree {
    /// Which file.
    pub file: FileId,
    /// What stands at top level, in source order.
    pub entries: Vec<Entry>,
}

/// What stands in a block or at the top of a file.
#[derive(Debug, Clone)]
pub enum Entry {
    /// A statement.
    Stmt(Stmt),
    /// A `#` comment (or a documentation comment that belongs to nothing), without its line break.
    Comment(Span),
}

/// A statement: its items up to a newline or `;`.
#[derive(Debug, Clone)]
pub struct Stmt {
    /// The `##` lines above it, each without `##` and one following space.
    pub docs: Vec<Doc>,
    /// Its items, never empty. Comments inside are not here.
    pub items: Vec<Item>,
    /// From the first item to the last.
    pub span: Span,
    /// Something in it (not in the statements of its blocks) could not be read and is reported:
    /// say nothing more about its shape.
    pub damaged: bool,
}

/// One line of a documentation comment.
#[derive(Debug, Clone, PartialEq)]
pub struct Doc {
    /// The text behind `##`, one leading space removed.
    pub text: SmolStr,
    /// From `##` to the end of the line.
    pub span: Span,
}

/// A word, literal, operator or bracketed part of a statement.
#[derive(Debug, Clone)]
pub struct Item {
    /// What it is.
    pub kind: ItemKind,
    /// Where it stands.
    pub span: Span,
    /// White space, a line break or a comment stands before it (false: it touches what is before).
    pub spaced: bool,
}

/// The kinds of items.
#[derive(Debug, Clone)]
pub enum ItemKind {
    /// A dotted name as written: `auth`, `header.x-beta`, `api.shop.example`, `localhost:8080`.
    Name(SmolStr),
    /// What begins with a digit or a signed digit, as written: `42`, `250ms`, `10.0.0.0/8`, `2026-01-01`.
    Number(SmolStr),
    /// `"…"`, escapes resolved.
    Str(Vec<StrPart>),
    /// `r"…"` or `r#"…"#`: the text between the quotes.
    Raw(SmolStr),
    /// `/users/{id: int}`.
    Path(Vec<PathPart>),
    /// `http://host:port/path`, holes allowed.
    Url(Vec<PathPart>),
    /// `*.example.com`, `{tenant}.example.com`.
    Host(SmolStr),
    /// `[::1]:8080`.
    Socket6(SmolStr),
    /// `::1`, `fd00::/8`.
    Ip6(SmolStr),
    /// An operator or punctuation: `-> ?? == != <= >= = < > , | + - : . .. ? *` and `:8080` (a port).
    Op(SmolStr),
    /// `{ … }`.
    Braces(Block),
    /// `[ … ]`: items, commas among them as `Op(",")`.
    List(Vec<Item>),
    /// `( … )`: items, commas among them as `Op(",")`.
    Paren(Vec<Item>),
    /// What the grammar could not read; reported when the tree was made.
    Junk,
}

/// `{ … }` with its statements.
#[derive(Debug, Clone)]
pub struct Block {
    /// What stands inside, in source order.
    pub entries: Vec<Entry>,
    /// The opening brace.
    pub open: Span,
    /// The closing brace; none where it is missing (reported already).
    pub close: Option<Span>,
}

impl Block {
    /// The statements, without comments.
    pub fn statements(&self) -> impl Iterator<Item = &Stmt> {
        self.entries.iter().filter_map(|e| match e {
            Entry::Stmt(s) => Some(s),
            Entry::Comment(_) => None,
        })
    }
}

impl Tree {
    /// The statements at top level, without comments.
    pub fn statements(&self) -> impl Iterator<Item = &Stmt> {
        self.entries.iter().filter_map(|e| match e {
            Entry::Stmt(s) => Some(s),
            Entry::Comment(_) => None,
        })
    }
}

/// A part of a `"…"` string.
#[derive(Debug, Clone)]
pub enum StrPart {
    /// Text with its escapes resolved.
    Text(SmolStr, Span),
    /// `{expr}`: the items between the braces.
    Hole(Vec<Item>, Span),
}

/// A part of a path or URL.
#[derive(Debug, Clone)]
pub enum PathPart {
    /// Text as written.
    Text(SmolStr, Span),
    /// `{…}`: the items between the braces; `rest` for `{name...}`.
    Hole {
        /// `{name...}`.
        rest: bool,
        /// The items between the braces (for `rest`, the one name).
        items: Vec<Item>,
        /// With its braces.
        span: Span,
    },
}
