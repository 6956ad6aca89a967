//! `gw`: an API gateway whose configuration is a small typed language.

// The code that pest derives names it.
extern crate alloc;

#[cfg_attr(not(test), warn(clippy::disallowed_methods))]
pub mod check;
pub mod cli;
#[cfg_attr(not(test), warn(clippy::disallowed_methods))]
pub mod decide;
#[cfg_attr(not(test), warn(clippy::disallowed_methods))]
pub mod diagnostic;
pub mod explain;
pub mod export;
pub mod load;
#[cfg_attr(not(test), warn(clippy::disallowed_methods))]
pub mod model;
pub mod observe;
#[cfg_attr(not(test), warn(clippy::disallowed_methods))]
pub mod plan;
#[cfg_attr(not(test), warn(clippy::disallowed_methods))]
pub mod policy;
pub mod serve;
#[cfg_attr(not(test), warn(clippy::disallowed_methods))]
pub mod source;
pub mod state;
#[cfg_attr(not(test), warn(clippy::disallowed_methods))]
pub mod syntax;
pub mod upstream;
