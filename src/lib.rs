//! `gw`: an API gateway whose configuration is a small typed language.

// The code that pest derives names it.
extern crate alloc;

pub mod cli;
pub mod check;
pub mod decide;
pub mod diagnostic;
pub mod explain;
pub mod export;
pub mod load;
pub mod model;
pub mod observe;
pub mod policy;
pub mod plan;
pub mod serve;
pub mod source;
pub mod state;
pub mod syntax;
pub mod upstream;
