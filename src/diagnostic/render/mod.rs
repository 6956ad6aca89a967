//! How diagnostics are printed: one file a format.

mod excerpt;
mod human;
mod json;

pub use human::{Look, human, one};
pub use json::json;

use super::Severity;

/// `error` or `warning`.
fn word(severity: Severity) -> &'static str {
    match severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
    }
}

/// Indented JSON and a line break.
fn to_json(value: &impl serde::Serialize) -> String {
    // Texts and numbers only: nothing here can fail to be JSON.
    let mut text = serde_json::to_string_pretty(value).unwrap_or_default();
    text.push('\n');
    text
}
