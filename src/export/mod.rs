//! A plan, and the language itself, for other readers: programs, pictures, books, editors.

mod chain;
pub mod dot;
pub mod editors;
pub mod json;
pub mod mermaid;
mod picture;
pub mod reference;
pub mod routes;

pub use chain::{Stated, stated, unrouted};
