//! Policies, a file each: what a statement decides, given its configuration and the facts.
//!
//! No sockets, files or clocks: time and stored counts are arguments.
#![deny(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic))]

pub mod auth;
pub mod cookies;
pub mod cors;
pub mod forwarded;
pub mod grpc;
pub mod heads;
pub mod limit;
pub mod problem;
