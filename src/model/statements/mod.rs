//! The statement table: one row for every word that begins a statement or says what kind of thing follows.
//!
//! Lowering looks words up here; suggestions, completion, hover, the editor grammars, the reference and `gw help WORD`
//! are made from it, so that they cannot drift.

mod context;
mod declarations;
mod foreign;
mod policies;
mod settings;

use crate::diagnostic::nearest;
use ahash::AHashMap;
pub use context::Context;
pub use foreign::foreign;
use std::sync::LazyLock;

/// The kinds of the gateway's own failures and their statuses (language.md, section 10).
pub const FAILURES: [(&str, u16); 17] = [
    ("bad-request", 400),
    ("unauthenticated", 401),
    ("forbidden", 403),
    ("no-route", 404),
    ("method-not-allowed", 405),
    ("body-too-large", 413),
    ("unsupported-type", 415),
    ("invalid", 422),
    ("limited", 429),
    ("upstream-connect", 502),
    ("upstream-reset", 502),
    ("compose-part", 502),
    ("upstream-unhealthy", 503),
    ("overloaded", 503),
    ("keys-unavailable", 503),
    ("upstream-timeout", 504),
    ("internal", 500),
];

/// One word of the language.
#[derive(Debug)]
pub struct Row {
    /// The word.
    pub word: &'static str,
    /// Where it may stand.
    pub contexts: Context,
    /// What may follow: capitals are placeholders, `[ ]` is optional, `|` is a choice, `…` is more of the same,
    /// everything else stands as it is.
    pub arguments: &'static str,
    /// When it runs, for policy statements.
    pub phase: Option<Phase>,
    /// What it does, in one line.
    pub doc: &'static str,
    /// The word in use, as it would stand in the first of its contexts.
    pub example: &'static str,
    /// It may stand several times in one block.
    pub many: bool,
    /// It works; otherwise the check says "not supported yet".
    pub supported: bool,
}

/// When a policy statement runs (language.md, section 5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs)]
pub enum Phase {
    Edge = 1,
    Authenticate,
    Authorize,
    Limit,
    Validate,
    Cache,
    Request,
    Target,
    Response,
    Record,
}

impl Phase {
    /// `edge`, `authenticate`, …
    pub fn name(self) -> &'static str {
        match self {
            Phase::Edge => "edge",
            Phase::Authenticate => "authenticate",
            Phase::Authorize => "authorize",
            Phase::Limit => "limit",
            Phase::Validate => "validate",
            Phase::Cache => "cache",
            Phase::Request => "request",
            Phase::Target => "target",
            Phase::Response => "response",
            Phase::Record => "record",
        }
    }
}

impl Row {
    const fn new(word: &'static str, contexts: Context, arguments: &'static str) -> Row {
        Row { word, contexts, arguments, phase: None, doc: "", example: "", many: false, supported: true }
    }

    const fn phase(mut self, phase: Phase) -> Row {
        self.phase = Some(phase);
        self
    }

    const fn doc(mut self, doc: &'static str) -> Row {
        self.doc = doc;
        self
    }

    const fn example(mut self, example: &'static str) -> Row {
        self.example = example;
        self
    }

    const fn many(mut self) -> Row {
        self.many = true;
        self
    }

    const fn later(mut self) -> Row {
        self.supported = false;
        self
    }

    /// The words that its arguments may contain: `connect`, `response` and `idle` of `timeout`.
    pub fn argument_words(&self) -> impl Iterator<Item = &'static str> {
        self.arguments
            .split(|c: char| !(c.is_ascii_alphanumeric() || c == '-' || c == '.'))
            .filter(|w| w.starts_with(|c: char| c.is_ascii_lowercase()) && !w.contains('.'))
    }
}

/// Every row.
pub fn rows() -> impl Iterator<Item = &'static Row> {
    declarations::ROWS.iter().chain(settings::ROWS).chain(policies::ROWS)
}

static BY_WORD: LazyLock<AHashMap<&'static str, Vec<&'static Row>>> = LazyLock::new(|| {
    let mut map: AHashMap<&'static str, Vec<&'static Row>> = AHashMap::new();
    for row in rows() {
        map.entry(row.word).or_default().push(row);
    }
    map
});

/// The rows of a word, wherever it may stand.
pub fn lookup(word: &str) -> &'static [&'static Row] {
    BY_WORD.get(word).map_or(&[], Vec::as_slice)
}

/// The row of a word that may stand in `context`.
pub fn find(word: &str, context: Context) -> Option<&'static Row> {
    lookup(word).iter().copied().find(|row| row.contexts.contains(context))
}

/// The words that may stand in `context`, in the order of the table.
pub fn words(context: Context) -> impl Iterator<Item = &'static str> {
    rows().filter(move |row| row.contexts.contains(context)).map(|row| row.word)
}

/// The words that work in `context`, each once: for hints.
pub fn usable(context: Context) -> Vec<&'static str> {
    let mut list: Vec<&str> = Vec::new();
    for row in rows().filter(|row| row.supported && row.contexts.contains(context)) {
        if !list.contains(&row.word) {
            list.push(row.word);
        }
    }
    list
}

/// The word that may stand in `context` and is nearest to one that may not.
pub fn suggest(word: &str, context: Context) -> Option<&'static str> {
    nearest(word, words(context))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_is_complete() {
        for row in rows() {
            assert!(!row.doc.is_empty() && !row.doc.ends_with('.'), "doc of {}", row.word);
            assert!(row.example.contains(row.word), "example of {}: {}", row.word, row.example);
            assert!(!row.contexts.is_empty(), "contexts of {}", row.word);
        }
    }

    #[test]
    fn a_word_has_one_row_in_a_place() {
        for context in Context::each() {
            let mut seen: Vec<&str> = words(context).collect();
            seen.sort_unstable();
            let doubles: Vec<&str> = seen.windows(2).filter(|w| w[0] == w[1]).map(|w| w[0]).collect();
            // At top level `auth` declares and demands; what follows says which.
            let allowed: &[&str] = if context == Context::TOP { &["auth"] } else { &[] };
            assert_eq!(doubles, allowed, "{}", context.phrase());
        }
    }

    #[test]
    fn argument_words_are_the_lower_case_ones() {
        let row = find("timeout", Context::UPSTREAM).unwrap();
        assert_eq!(row.argument_words().collect::<Vec<_>>(), ["connect", "response", "idle"]);
    }
}
