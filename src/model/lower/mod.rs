//! From syntax trees to the written program: one file a declaration.
//!
//! Every statement is looked up in the statement table and read by a [`reader::Reader`], which reports one mistake at
//! most. What is damaged is lowered as far as it goes, so that its name is known and nothing else complains.

mod acme;
mod assign;
mod auth;
mod constant;
mod cors;
mod health;
mod hints;
mod host;
mod invariant;
mod limit;
mod listen;
mod oauth;
mod pattern;
mod policy;
mod reader;
mod respond;
mod route;
mod scope;
mod statement;
mod table;
mod target;
mod timeouts;
mod unbalanced;
mod upstream;

use super::ast::{Program, Scope, Spanned};
use super::statements::Context;
use crate::diagnostic::Diagnostics;
use crate::source::Span;
use crate::syntax::tree::Tree;
use smol_str::SmolStr;

/// Where the files of `import` come from.
pub(super) trait Imports {
    /// The files that an import names and that still have to be lowered. `scope` is where their routes will stand:
    /// the span of an `api` or `group`, none for the root.
    fn resolve(&mut self, path: &Spanned<SmolStr>, scope: Option<Span>, d: &mut Diagnostics) -> Vec<usize>;
    /// Reads and parses one of them; until `leave` it is being imported.
    fn enter(&mut self, file: usize, d: &mut Diagnostics) -> Option<Tree>;
    /// It is lowered; `placed`: something of it stands in the scope that it was imported into.
    fn leave(&mut self, file: usize, placed: bool);
}

/// Nothing is imported.
struct NoImports;

impl Imports for NoImports {
    fn resolve(&mut self, _: &Spanned<SmolStr>, _: Option<Span>, _: &mut Diagnostics) -> Vec<usize> {
        Vec::new()
    }

    fn enter(&mut self, _: usize, _: &mut Diagnostics) -> Option<Tree> {
        None
    }

    fn leave(&mut self, _: usize, _: bool) {}
}

/// The program of one file alone: its imports are checked in form and not followed. For a whole program see
/// [`super::import::load_program`].
pub fn lower(tree: &Tree, d: &mut Diagnostics) -> Program {
    lower_with(tree, &mut NoImports, d)
}

/// The program of a root file and what it imports.
pub(super) fn lower_with(tree: &Tree, imports: &mut dyn Imports, d: &mut Diagnostics) -> Program {
    let unbalanced = unbalanced::regions(tree, d);
    let mut lowering = Lowering { program: Program::default(), imports, d, unbalanced };
    let mut root = Scope { span: Span { file: tree.file, ..Span::default() }, ..Scope::default() };
    lowering.entries(tree.statements(), &mut root, Context::TOP);
    unbalanced::calm(&lowering.unbalanced, lowering.d);
    lowering.program.root = root;
    lowering.program
}

struct Lowering<'a> {
    program: Program,
    imports: &'a mut dyn Imports,
    d: &'a mut Diagnostics,
    /// Where a brace is missing, so that statements seem to stand in the wrong place.
    unbalanced: Vec<Span>,
}

#[cfg(test)]
mod tests;
