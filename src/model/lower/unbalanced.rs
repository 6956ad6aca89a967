//! Where a brace is missing, statements seem to stand in the wrong place. The brace is reported; they are not.

use crate::diagnostic::{Code, Diagnostics};
use crate::source::Span;
use crate::syntax::tree::{ItemKind, Stmt, Tree};

/// The parts of a file that a missing brace may have put into another block.
pub(super) fn regions(tree: &Tree, d: &Diagnostics) -> Vec<Span> {
    let braces = d.iter().filter(|d| d.span.file == tree.file && matches!(d.code, Code::E0102 | Code::E0103));
    braces
        .filter_map(|brace| {
            let before = tree.statements().take_while(|s| s.span.start <= brace.span.start);
            match brace.code {
                Code::E0102 => before.last().map(|s| s.span),
                // The `{` is missing somewhere after the last declaration that no block can hold.
                _ => before.filter(|s| declares(s)).last().map(|s| s.span.to(brace.span)),
            }
        })
        .collect()
}

/// It begins with a word that stands at top level only.
fn declares(stmt: &Stmt) -> bool {
    const WORDS: [&str; 11] =
        ["input", "let", "table", "upstream", "policy", "api", "trust", "state", "invariant", "test", "admin"];
    matches!(stmt.items.first().map(|i| &i.kind), Some(ItemKind::Name(word)) if WORDS.contains(&word.as_str()))
}

/// Takes back what was said about places, repetitions and missing blocks there.
pub(super) fn calm(regions: &[Span], d: &mut Diagnostics) {
    if regions.is_empty() {
        return;
    }
    d.retain(|d| {
        let structural =
            matches!(d.code, Code::E0201 | Code::E0202 | Code::E0203 | Code::E0206 | Code::E0207 | Code::E0215);
        !structural || !regions.iter().any(|r| r.file == d.span.file && r.start <= d.span.start && d.span.end <= r.end)
    });
}
