//! The reference of the language as pages of the book, made from the tables that the compiler works with.
//!
//! `tests/reference.rs` fails where the pages in `docs/src/reference` differ; `UPDATE_REFERENCE=1` writes them.

mod expressions;
mod failures;
mod statements;

use std::fmt::Write;

/// What stands at the top of every page.
const MADE: &str = "<!-- Made from the tables in src/: UPDATE_REFERENCE=1 cargo test --test reference -->\n\n";

/// Every page: its file name and its Markdown.
pub fn pages() -> Vec<(&'static str, String)> {
    let pages = [
        ("statements.md", statements::page()),
        ("expressions.md", expressions::page()),
        ("facts.md", expressions::facts()),
        ("functions.md", expressions::functions()),
        ("errors.md", failures::page()),
        ("defaults.md", failures::defaults()),
    ];
    pages.into_iter().map(|(name, text)| (name, format!("{}\n", text.trim_end()))).collect()
}

/// A table; cells may hold `|`.
fn table<const N: usize>(out: &mut String, head: [&str; N], rows: impl IntoIterator<Item = [String; N]>) {
    let line = |cells: &[String]| {
        format!("| {} |\n", cells.iter().map(|c| c.replace('|', "\\|")).collect::<Vec<_>>().join(" | "))
    };
    out.push_str(&line(&head.map(str::to_owned)));
    out.push_str(&line(&head.map(|_| "---".to_owned())));
    rows.into_iter().for_each(|row| out.push_str(&line(&row)));
    out.push('\n');
}

/// Inline code; nothing for nothing.
fn code(text: &str) -> String {
    match text {
        "" => String::new(),
        text if text.contains('`') => format!("`` {text} ``"),
        text => format!("`{text}`"),
    }
}

/// A block that shows a shape or an example and is no whole program.
fn block(out: &mut String, info: &str, text: &str) {
    let _ = writeln!(out, "```{info}\n{text}\n```\n");
}
