//! The one decision code: what happens to a request, for `serve` and `explain` alike.

#![deny(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

pub mod path;
pub mod route;
