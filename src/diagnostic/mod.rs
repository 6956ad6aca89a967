//! Diagnostics: what is wrong, where, and what an experienced colleague would say.

mod codes;
pub mod render;

pub use codes::Code;

use crate::source::Span;
use std::collections::HashMap;
use std::hash::Hash;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The program cannot start.
    Error,
    /// It can, but someone should look.
    Warning,
}

/// A further place that matters, with what to say there.
#[derive(Clone, Debug, PartialEq)]
pub struct Label {
    /// Where.
    pub span: Span,
    /// What.
    pub message: String,
}

/// One mistake. Made with [`Diagnostic::new`] and the builders below.
#[derive(Clone, Debug, PartialEq)]
pub struct Diagnostic {
    /// Its code, whose page explains it.
    pub code: Code,
    /// Error or warning: from the code.
    pub severity: Severity,
    /// The mistake in one sentence, lower case, no full stop.
    pub message: String,
    /// The words that are wrong.
    pub span: Span,
    /// What to say under them (may be empty).
    pub label: String,
    /// Other places that matter.
    pub labels: Vec<Label>,
    /// What to do about it.
    pub help: Option<String>,
}

impl Diagnostic {
    /// A diagnostic of `code` about the words at `span`.
    pub fn new(code: Code, span: Span, message: impl Into<String>) -> Box<Diagnostic> {
        Box::new(Diagnostic {
            code,
            severity: code.severity(),
            message: message.into(),
            span,
            label: String::new(),
            labels: Vec::new(),
            help: None,
        })
    }

    /// What to say under the words.
    pub fn label(mut self: Box<Self>, message: impl Into<String>) -> Box<Self> {
        self.label = message.into();
        self
    }

    /// A second place that matters.
    pub fn also(mut self: Box<Self>, span: Span, message: impl Into<String>) -> Box<Self> {
        self.labels.push(Label { span, message: message.into() });
        self
    }

    /// What to do about it.
    pub fn help(mut self: Box<Self>, help: impl Into<String>) -> Box<Self> {
        self.help = Some(help.into());
        self
    }

    /// As `help`, where there may be none.
    pub fn maybe_help(mut self: Box<Self>, help: Option<String>) -> Box<Self> {
        self.help = help;
        self
    }
}

/// Collects the diagnostics of one run.
#[derive(Debug, Default)]
pub struct Diagnostics {
    list: Vec<Diagnostic>,
}

impl Diagnostics {
    /// Takes a diagnostic; one that says the same about the same words is dropped.
    #[allow(clippy::boxed_local, reason = "it is what the builders give")]
    pub fn push(&mut self, diagnostic: Box<Diagnostic>) {
        self.list.push(*diagnostic);
    }

    /// What there is so far, in the order it was found.
    pub fn iter(&self) -> impl Iterator<Item = &Diagnostic> {
        self.list.iter()
    }

    /// Keeps those that `keep` wants: for what turns out to follow from another mistake.
    pub fn retain(&mut self, keep: impl FnMut(&Diagnostic) -> bool) {
        self.list.retain(keep);
    }

    /// Changes what is said so far.
    pub fn amend(&mut self, change: impl FnMut(&mut Diagnostic)) {
        self.list.iter_mut().for_each(change);
    }

    /// Of those since `from` that have one key, keeps the first in the source; the places of the others become labels.
    pub fn merge<K: Eq + Hash>(&mut self, from: usize, key: impl Fn(&Diagnostic) -> Option<K>, label: &str) {
        const PLACES: usize = 3;
        let mut tail = self.list.split_off(from.min(self.list.len()));
        tail.sort_by_key(|d| d.span);
        let mut first: HashMap<K, usize> = HashMap::new();
        for diagnostic in tail {
            let at = self.list.len();
            let kept = key(&diagnostic).map_or(at, |k| *first.entry(k).or_insert(at));
            match self.list.get_mut(kept) {
                None => self.list.push(diagnostic),
                Some(kept) => {
                    let span = diagnostic.span;
                    if kept.span != span && kept.labels.len() < PLACES && kept.labels.iter().all(|l| l.span != span) {
                        kept.labels.push(Label { span, message: label.to_owned() });
                    }
                }
            }
        }
    }

    /// Adds a place to each of those since `from`.
    pub fn also_since(&mut self, from: usize, span: Span, message: &str) {
        for diagnostic in self.list.iter_mut().skip(from) {
            diagnostic.labels.push(Label { span, message: message.to_owned() });
        }
    }

    /// How many diagnostics there are so far.
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// Nothing is wrong so far.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// How many errors there are so far.
    pub fn errors(&self) -> usize {
        self.list.iter().filter(|d| d.severity == Severity::Error).count()
    }

    /// Everything, in source order, each once. Of words that could not be read nothing more is said.
    pub fn into_sorted(mut self) -> Vec<Diagnostic> {
        self.list.sort_by(|a, b| {
            a.span.cmp(&b.span).then_with(|| a.code.cmp(&b.code)).then_with(|| a.message.cmp(&b.message))
        });
        let unread = |code: Code| ["E01", "E020", "E021"].iter().any(|group| code.name().starts_with(group));
        // What is wrong with a file of inputs is said where they are declared: several of these share a place.
        let same = |a: &Diagnostic, b: &Diagnostic| {
            a.code == b.code && (a.code != Code::E0233 || a.message == b.message) || unread(a.code)
        };
        self.list.dedup_by(|b, a| a.span == b.span && same(a, b));
        self.list
    }
}

/// The name of `candidates` that is nearest to `word`, if one is near enough to propose.
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let limit = match word.chars().count() {
        0 | 1 => 0,
        2..=4 => 1,
        5..=8 => 2,
        _ => 3,
    };
    candidates
        .into_iter()
        .map(|c| (strsim::damerau_levenshtein(word, c), c))
        .filter(|(d, _)| *d <= limit)
        .min_by_key(|(d, _)| *d)
        .map(|(_, c)| c)
}
