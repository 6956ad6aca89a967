//! Files, spans and lines: where every word of a program stands.

use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A file of a program, by its index in [`Sources`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileId(pub u32);

/// A range of bytes in a file. Ordered by file, then by start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span {
    /// The file.
    pub file: FileId,
    /// First byte.
    pub start: u32,
    /// One past the last byte.
    pub end: u32,
}

impl Span {
    /// The bytes `start..end` of `file`.
    pub fn new(file: FileId, start: usize, end: usize) -> Span {
        Span { file, start: start as u32, end: end as u32 }
    }

    /// From the start of `self` to the end of `other` (which stands in the same file, later).
    pub fn to(self, other: Span) -> Span {
        Span { file: self.file, start: self.start, end: other.end.max(self.start) }
    }

    /// The empty span just behind this one.
    pub fn after(self) -> Span {
        Span { file: self.file, start: self.end, end: self.end }
    }

    /// The empty span just before this one.
    pub fn before(self) -> Span {
        Span { file: self.file, start: self.start, end: self.start }
    }
}

/// A line and a column, both from 1; columns count characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LineColumn {
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
}

/// One file of a program.
#[derive(Debug, Clone)]
pub struct SourceFile {
    /// As it is shown in messages.
    pub name: String,
    /// Where it was read from; none for standard input and tests.
    pub path: Option<PathBuf>,
    /// Its whole text.
    pub text: Arc<str>,
    lines: Vec<u32>,
}

impl SourceFile {
    fn new(name: String, path: Option<PathBuf>, text: Arc<str>) -> SourceFile {
        let mut lines = vec![0];
        lines.extend(text.bytes().enumerate().filter(|(_, b)| *b == b'\n').map(|(i, _)| i as u32 + 1));
        SourceFile { name, path, text, lines }
    }

    /// The line and column of a byte offset.
    pub fn line_column(&self, offset: u32) -> LineColumn {
        let line = self.lines.partition_point(|&start| start <= offset).max(1);
        let start = self.lines[line - 1] as usize;
        let end = (offset as usize).min(self.text.len());
        let column = self.text.get(start..end).map_or(1, |s| s.chars().count() + 1);
        LineColumn { line, column }
    }

    /// How many lines the file has.
    pub fn line_count(&self) -> usize {
        self.lines.len()
    }

    /// The byte at which a line (from 1) begins.
    pub fn line_start(&self, line: usize) -> usize {
        line.checked_sub(1).and_then(|i| self.lines.get(i)).map_or(self.text.len(), |start| *start as usize)
    }

    /// The text of a line (from 1), without its line break.
    pub fn line(&self, line: usize) -> &str {
        let Some(&start) = line.checked_sub(1).and_then(|i| self.lines.get(i)) else { return "" };
        let rest = &self.text[start as usize..];
        rest.split('\n').next().unwrap_or(rest).trim_end_matches('\r')
    }
}

/// Every file of a program, in the order they were read.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    files: Vec<SourceFile>,
}

impl Sources {
    /// Adds a file and gives its id.
    pub fn add(&mut self, name: impl Into<String>, path: Option<&Path>, text: impl Into<Arc<str>>) -> FileId {
        self.files.push(SourceFile::new(name.into(), path.map(Path::to_path_buf), text.into()));
        FileId(self.files.len() as u32 - 1)
    }

    /// A file by its id.
    pub fn file(&self, id: FileId) -> &SourceFile {
        &self.files[id.0 as usize]
    }

    /// All files with their ids.
    pub fn iter(&self) -> impl Iterator<Item = (FileId, &SourceFile)> {
        self.files.iter().enumerate().map(|(i, f)| (FileId(i as u32), f))
    }

    /// The text of a span.
    pub fn text(&self, span: Span) -> &str {
        self.file(span.file).text.get(span.start as usize..span.end as usize).unwrap_or("")
    }

    /// Where a span begins.
    pub fn place(&self, span: Span) -> (&str, LineColumn) {
        let f = self.file(span.file);
        (&f.name, f.line_column(span.start))
    }
}

/// What [`Files::read`] says of a file that is not text.
pub const NOT_UTF8: &str = "it is not UTF-8";

/// How a program's files are read, so that nothing up to `decide` touches a disk.
pub trait Files {
    /// The text of a file, or why it cannot be read (in words for a message).
    fn read(&self, path: &Path) -> Result<String, String>;
    /// The files that a glob matches, sorted; a path without wildcards is itself if it exists.
    fn glob(&self, pattern: &Path) -> Result<Vec<PathBuf>, String>;
    /// Whether two paths are the same file: a key for "each file is read once".
    fn identity(&self, path: &Path) -> PathBuf;
}
