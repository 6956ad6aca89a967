//! Routes side by side: which are asked for a request and in which order (section 4 of the language), and what is wrong
//! with them together. The plan's router is made of the same parts.

mod analysis;
pub mod fit;
pub mod hosts;
mod key;
mod literals;
pub mod order;
pub mod params;
mod planting;
mod report;
mod samples;
pub mod tables;
#[cfg(test)]
pub(crate) mod testing;
pub mod trie;

pub use analysis::{Requirement, RouteFacts};
pub use key::{Methods, PathFlags, RouteKey, ShowPattern};
pub(crate) use key::{has_other_slash, type_name};
pub use report::check;

#[cfg(test)]
mod brute;
#[cfg(test)]
mod tests;
