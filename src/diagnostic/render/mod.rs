//! How diagnostics are printed: one file a format.

mod excerpt;
mod github;
mod human;
mod json;
mod junit;
mod sarif;

pub use github::github;
pub use human::{Look, human, one};
pub use json::json;
pub use junit::junit;
pub use sarif::sarif;

use super::{Diagnostic, Severity};

/// `error` or `warning`.
fn word(severity: Severity) -> &'static str {
    match severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
    }
}

/// What a diagnostic says where there is no picture: message, label, help.
fn text(diagnostic: &Diagnostic) -> String {
    let mut text = diagnostic.message.clone();
    if !diagnostic.label.is_empty() {
        text.push_str(&format!(" ({})", diagnostic.label));
    }
    if let Some(help) = &diagnostic.help {
        text.push_str(&format!("\nhelp: {help}"));
    }
    text
}

/// Indented JSON and a line break.
fn to_json(value: &impl serde::Serialize) -> String {
    // Texts and numbers only: nothing here can fail to be JSON.
    let mut text = serde_json::to_string_pretty(value).unwrap_or_default();
    text.push('\n');
    text
}
