//! From text to a syntax tree: a total grammar, so every text has a tree.
//!
//! [`parse`] never fails. What the grammar (`grammar/gateway.pest`) could not read is a node of
//! its own, becomes a diagnostic here, and leaves the statement around it marked
//! [`damaged`](tree::Stmt::damaged), so that nothing is reported twice.

mod build;
mod errors;
pub mod essence;
pub mod format;
mod repair;
pub mod tree;

#[cfg(test)]
mod tests;

use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::source::FileId;
use build::Build;
use grammar::{Grammar, Rule};
use pest::Parser;
use tree::Tree;

mod grammar {
    #![allow(missing_docs)]
    #[derive(pest_derive::Parser)]
    #[grammar = "../grammar/gateway.pest"]
    pub struct Grammar;
}

/// The tree of a file; what is wrong with its syntax goes to `diagnostics` (codes E01…).
///
/// Every text has a tree. Where braces do not balance, the file is read a second time with open
/// blocks ending at a declaration word in column 0, and the reading with fewer errors is kept.
pub fn parse(file: FileId, text: &str, diagnostics: &mut Diagnostics) -> Tree {
    let mut reading = read(Rule::file, file, text);
    if reading.unbalanced {
        let second = read(Rule::file_sync, file, text);
        if second.errors.len() <= reading.errors.len() {
            reading = second;
        }
    }
    for error in reading.errors {
        diagnostics.push(error);
    }
    reading.tree
}

/// A tree and what is wrong with it.
struct Reading {
    tree: Tree,
    #[allow(clippy::vec_box, reason = "diagnostics are made boxed")]
    errors: Vec<Box<Diagnostic>>,
    /// A brace or bracket is missing or superfluous.
    unbalanced: bool,
}

fn read(rule: Rule, file: FileId, text: &str) -> Reading {
    match Grammar::parse(rule, text) {
        Ok(pairs) => Build::new(file, text).read(pairs),
        // The grammar is total: this is a defect of the grammar, reported rather than a panic.
        Err(error) => Reading {
            tree: Tree { file, entries: Vec::new() },
            errors: vec![errors::unreadable(file, text, &error)],
            unbalanced: false,
        },
    }
}
