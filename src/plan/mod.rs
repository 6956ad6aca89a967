//! The compiled gateway: immutable and complete, made once from a checked program.

pub mod router;
