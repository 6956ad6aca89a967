//! What a program says: declarations, statements and expressions with their places, before names are resolved.
//!
//! `lower` turns syntax trees into [`ast::Program`]; [`crate::check`] resolves and types it.

pub mod ast;
pub mod cursor;
pub mod eval;
pub mod expr;
pub mod facts;
pub mod functions;
pub mod import;
pub mod ir;
pub mod literal;
pub mod lower;
pub mod percent;
pub mod statements;
pub mod table;
pub mod types;
pub mod value;
pub mod words;
