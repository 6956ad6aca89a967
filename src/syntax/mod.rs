//! From text to a syntax tree: a total grammar, so every text has a tree.

pub mod tree;
