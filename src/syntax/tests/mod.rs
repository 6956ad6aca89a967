//! Tests of the tree.

mod dump;
mod errors;
mod format;
mod shape;
mod total;

use super::parse;
use super::tree::Tree;
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::source::FileId;

/// Section 1 of the language: the complete file.
const SAMPLE: &str = include_str!("sample.gw");

fn read(text: &str) -> (Tree, Vec<Diagnostic>) {
    let mut diagnostics = Diagnostics::default();
    let tree = parse(FileId(0), text, &mut diagnostics);
    (tree, diagnostics.into_sorted())
}

/// The tree of a text without mistakes, one statement a line.
fn tree(text: &str) -> String {
    let (tree, diagnostics) = read(text);
    assert!(diagnostics.is_empty(), "{text}\n{diagnostics:#?}");
    dump::tree(&tree)
}
