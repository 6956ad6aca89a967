//! From what is written to what is meant: names resolved, expressions typed, every rule of the language held.

pub mod expr;
pub mod routes;
