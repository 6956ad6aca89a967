//! Every text has a tree that covers it.

use super::{SAMPLE, read};
use crate::diagnostic::Diagnostic;
use crate::source::Span;
use crate::syntax::tree::{Entry, Item, ItemKind, Tree};
use proptest::prelude::*;
use std::time::Duration;

/// The spans of the smallest things in a tree: words, brackets, whole strings and paths.
pub fn leaves(text: &str, tree: &Tree) -> Vec<Span> {
    let mut out = Vec::new();
    entries(text, &tree.entries, &mut out);
    out
}

fn entries(text: &str, list: &[Entry], out: &mut Vec<Span>) {
    for entry in list {
        match entry {
            Entry::Comment(span) => out.push(*span),
            Entry::Stmt(stmt) => {
                out.extend(stmt.docs.iter().map(|d| d.span));
                items(text, &stmt.items, out);
            }
        }
    }
}

fn items(text: &str, list: &[Item], out: &mut Vec<Span>) {
    for item in list {
        match &item.kind {
            ItemKind::Braces(block) if !block.entries.is_empty() => {
                out.push(block.open);
                entries(text, &block.entries, out);
                out.extend(block.close);
            }
            ItemKind::List(inner) | ItemKind::Paren(inner) if !inner.is_empty() => {
                out.push(Span { end: item.span.start + 1, ..item.span });
                items(text, inner, out);
                let end = inner.last().map_or(item.span.start, |i| i.span.end);
                if text[end as usize..item.span.end as usize].ends_with([')', ']']) {
                    out.push(Span { start: item.span.end - 1, ..item.span });
                }
            }
            _ => out.push(item.span),
        }
    }
}

/// What neither the tree nor a diagnostic accounts for, beyond white space, `;` and comments.
fn uncovered(text: &str) -> Option<String> {
    let (tree, diagnostics) = read(text);
    let mut spans = leaves(text, &tree);
    spans.extend(diagnostics.iter().map(|d: &Diagnostic| d.span));
    let mut seen = vec![false; text.len()];
    for s in spans {
        assert!(text.get(s.start as usize..s.end as usize).is_some(), "{s:?} splits a character of {text:?}");
        seen[s.start as usize..s.end as usize].fill(true);
    }
    let mut rest = String::new();
    let mut comment = false;
    for (i, c) in text.char_indices() {
        if seen[i] {
            comment = false;
            continue;
        }
        comment = (comment || c == '#') && c != '\n';
        if !comment && !" \t\r\n;\u{feff}".contains(c) {
            rest.push(c);
        }
    }
    // Where braces do not balance, a repair may give a block another `}` than its own.
    if !diagnostics.is_empty() && rest.chars().all(|c| c == '}') {
        return None;
    }
    Some(rest).filter(|r| !r.is_empty())
}

/// Pieces that make trouble when they meet.
fn piece() -> impl Strategy<Value = String> {
    let words = [
        "{",
        "}",
        "(",
        ")",
        "[",
        "]",
        "\"",
        "\\",
        "r\"",
        "r#\"",
        "\"#",
        "#",
        "##",
        "\n",
        ";",
        ",",
        "->",
        "=",
        ":",
        "|",
        "??",
        "..",
        ".",
        "-",
        "/",
        "/a{",
        "http://",
        "[::1]:80",
        "::1",
        "*.a.b",
        "{a}.b",
        "and",
        "else",
        "at",
        "or",
        "not in",
        "has any",
        "route ",
        "\nroute GET /a -> b",
        "\nlet a = 1",
        "  ",
        "\r\n",
        "\t",
        "'",
        "“",
        "é",
        "\u{feff}",
        "\u{1}\u{2}",
        "a",
        "b-c",
        "1",
        "10/s",
        "5%",
        "a.b",
        "a:80",
        ":80",
        "\\u{41}",
        "\\{",
    ];
    prop_oneof![4 => prop::sample::select(words.to_vec()).prop_map(str::to_owned), 1 => any::<char>().prop_map(String::from)]
}

/// The sample with pieces cut out and put in.
pub fn mutated() -> impl Strategy<Value = String> {
    let edit = (any::<prop::sample::Index>(), 0usize..6, piece());
    prop::collection::vec(edit, 1..6).prop_map(|edits| {
        let mut chars: Vec<char> = SAMPLE.chars().collect();
        for (at, cut, put) in edits {
            let at = at.index(chars.len());
            let end = (at + cut).min(chars.len());
            chars.splice(at..end, put.chars());
        }
        chars.into_iter().collect()
    })
}

proptest! {
    #[test]
    fn any_text_is_covered(text in prop::collection::vec(piece(), 0..60).prop_map(|p| p.concat())) {
        prop_assert_eq!(uncovered(&text), None);
    }

    #[test]
    fn any_characters_are_covered(text in ".{0,80}") {
        prop_assert_eq!(uncovered(&text), None);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn mutations_of_the_sample_are_covered(text in mutated()) {
        prop_assert_eq!(uncovered(&text), None);
    }
}

#[test]
fn deleting_a_token_gives_few_errors() {
    let (tree, _) = read(SAMPLE);
    let tokens = leaves(SAMPLE, &tree);
    assert!(tokens.len() > 400);
    let whole = tree.statements().count();
    let (mut with_more, mut with_lost) = (0, 0);
    for token in tokens {
        let mut text = SAMPLE.to_owned();
        text.replace_range(token.start as usize..token.end as usize, "");
        let (tree, diagnostics) = read(&text);
        let deleted = &SAMPLE[token.start as usize..token.end as usize];
        assert!(diagnostics.len() <= 3, "without {deleted:?} at {}: {diagnostics:#?}", token.start);
        with_more += usize::from(diagnostics.len() > 1);
        let lost = tree.statements().count().abs_diff(whole);
        with_lost += usize::from(lost > 2);
    }
    // The closing brace of a `match` in parentheses: what it would close is only guessed.
    assert!(with_more <= 1, "{with_more} deletions give more than one error");
    assert!(with_lost <= 2, "{with_lost} deletions damage more than two declarations");
}

#[test]
fn line_endings_and_a_byte_order_mark_change_nothing() {
    let plain = super::tree(SAMPLE);
    assert_eq!(super::tree(&SAMPLE.replace('\n', "\r\n")), plain);
    assert_eq!(super::tree(&format!("\u{feff}{SAMPLE}")), plain);
}

#[test]
fn hostile_texts_take_linear_time() {
    let texts = [
        "{",
        "(",
        "[",
        "\"",
        "\"{",
        "\"{ \"",
        "a {\n",
        "a (\n",
        "/{",
        "/{a",
        "/a(",
        "'",
        "“",
        "r#\"",
        "r#\"\n",
        "[a",
        "a:",
        "a-",
        "-",
        "#",
        "##\n",
        "a\n# b\n",
        "a,\n# b\n",
        "\"\\u{",
        "{}.",
        "{a}.",
        "1:",
        "a.",
        "http://",
        "http://[",
        "*.",
        "a ->\n",
        "}\n",
        ")",
        "a {\nroute b\n",
        "\"{x",
        "\"{r\"",
        "{a",
        "0:",
        "a://",
        "and",
        "has ",
        "\n",
        " ",
        ";",
        "((\n}",
        "“a\n",
        "/({",
        " a\n}\n",
        "a\n b\n}\n",
        "a\n b {\n  }\n",
    ];
    // The time that this thread had a processor: other work on the machine takes none of it.
    let spent = || {
        let stat = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
        Duration::from_nanos(stat.split(' ').next().and_then(|on| on.parse().ok()).unwrap_or(0))
    };
    let time = |text: &str| {
        let started = spent();
        let _ = read(text);
        spent() - started
    };
    for piece in texts {
        let (short, long) = (piece.repeat(1_000 / piece.len()), piece.repeat(4_000 / piece.len()));
        // Caches and clocks disturb a measurement, but not each time.
        let linear = (0..8).any(|_| time(&long) < 8 * time(&short) + Duration::from_millis(10));
        assert!(linear, "{piece:?} takes more than linear time");
    }
}
