//! For programs: one JSON object, as section 11 of the language fixes it.

use serde::Serialize;

use crate::diagnostic::{Diagnostic, Severity};
use crate::source::{Sources, Span};

#[derive(Serialize)]
struct Report<'a> {
    diagnostics: Vec<Entry<'a>>,
    errors: usize,
    warnings: usize,
}

#[derive(Serialize)]
struct Entry<'a> {
    code: &'static str,
    severity: &'static str,
    message: &'a str,
    #[serde(flatten)]
    place: Place<'a>,
    /// What stands under the words in the human picture.
    label: Option<&'a str>,
    help: Option<&'a str>,
    labels: Vec<Label<'a>>,
}

#[derive(Serialize)]
struct Label<'a> {
    message: &'a str,
    #[serde(flatten)]
    place: Place<'a>,
}

/// A span in lines and columns from 1, columns in characters, the end exclusive.
#[derive(Serialize)]
pub(super) struct Place<'a> {
    pub file: &'a str,
    pub line: usize,
    pub column: usize,
    pub end_line: usize,
    pub end_column: usize,
}

impl<'a> Place<'a> {
    pub fn new(sources: &'a Sources, span: Span) -> Place<'a> {
        let file = sources.file(span.file);
        let (start, end) = (file.line_column(span.start), file.line_column(span.end));
        Place { file: &file.name, line: start.line, column: start.column, end_line: end.line, end_column: end.column }
    }
}

/// One object with every diagnostic, and a line break.
pub fn json(diagnostics: &[Diagnostic], sources: &Sources) -> String {
    let errors = diagnostics.iter().filter(|d| d.severity == Severity::Error).count();
    let report = Report {
        diagnostics: diagnostics.iter().map(|d| Entry::new(d, sources)).collect(),
        errors,
        warnings: diagnostics.len() - errors,
    };
    super::to_json(&report)
}

impl<'a> Entry<'a> {
    fn new(diagnostic: &'a Diagnostic, sources: &'a Sources) -> Entry<'a> {
        Entry {
            code: diagnostic.code.name(),
            severity: super::word(diagnostic.severity),
            message: &diagnostic.message,
            place: Place::new(sources, diagnostic.span),
            label: Some(diagnostic.label.as_str()).filter(|label| !label.is_empty()),
            help: diagnostic.help.as_deref(),
            labels: diagnostic
                .labels
                .iter()
                .map(|l| Label { message: &l.message, place: Place::new(sources, l.span) })
                .collect(),
        }
    }
}
