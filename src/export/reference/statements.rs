//! The page of statements.

use super::{MADE, block};
use crate::model::statements::{Context, Row, rows};
use std::fmt::Write;

/// The blocks that have settings of their own, and what their sections are called.
const BLOCKS: &[(Context, &str)] = &[
    (Context::API, "Settings of an `api`"),
    (Context::LISTEN, "Settings of a `listen`"),
    (Context::CLIENT_CERTIFICATES, "Settings of `client-certificates`"),
    (Context::ACME, "Settings of `acme`"),
    (Context::UPSTREAM, "Settings of an `upstream`"),
    (Context::UPSTREAM_TLS, "Settings of the `tls` of an `upstream`"),
    (Context::UPSTREAM_OAUTH, "Settings of the `oauth` of an `upstream`"),
    (Context::HEALTH, "Settings of the `health` of an `upstream`"),
    (Context::AUTH_KIND, "Kinds of `auth`"),
    (Context::JWT, "Settings of a `jwt`"),
    (Context::API_KEY, "Settings of an `api-key`"),
    (Context::CORS, "Settings of `cors`"),
    (Context::REQUEST, "In `request` and `response`"),
    (Context::INVARIANT, "In an `invariant`"),
    (Context::SCHEME, "Schemes of a `listen`"),
    (Context::TARGET, "Targets of a route"),
    (Context::RESPOND, "Bodies of `respond`"),
];

pub(super) fn page() -> String {
    let mut out = format!("# Statements\n\n{MADE}");
    out.push_str(
        "In the lines that show a form, capitals are placeholders, `[ ]` is optional, `|` is a choice and `…` is more of \
         the same; everything else stands as it is. `gw help WORD` shows the same on a terminal.\n\n",
    );
    let is_policy = |row: &&Row| row.contexts.contains(Context::POLICY);
    out.push_str("## Declarations\n\n");
    rows().filter(|r| r.contexts.contains(Context::TOP) && !is_policy(r)).for_each(|r| entry(&mut out, r));
    out.push_str(
        "## Policy statements\n\nThey run in the order of their phases, whatever their order in the file.\n\n",
    );
    let mut policies: Vec<_> = rows().filter(is_policy).collect();
    policies.sort_by_key(|row| row.phase.map_or(u8::MAX, |phase| phase as u8));
    policies.iter().for_each(|r| entry(&mut out, r));
    for (context, title) in BLOCKS {
        let _ = writeln!(out, "## {title}\n");
        let own = |r: &&Row| r.contexts.contains(*context) && !r.contexts.contains(Context::TOP);
        rows().filter(own).for_each(|r| entry(&mut out, r));
    }
    out
}

fn entry(out: &mut String, row: &Row) {
    let later = if row.supported { "" } else { " (not supported yet)" };
    let _ = writeln!(out, "### `{}`{later}\n\n{}.\n", row.word, capital(row.doc));
    block(out, "text", format!("{} {}", row.word, row.arguments).trim_end());
    let _ = write!(out, "Stands {}.", row.contexts.phrase());
    if let Some(phase) = row.phase {
        let _ = write!(out, " Phase {}, {}.", phase as u8, phase.name());
    }
    if row.many {
        out.push_str(" May stand several times.");
    }
    out.push_str("\n\n");
    if row.supported {
        block(out, "gw,example", row.example);
    }
}

/// With a capital letter, unless it begins with code.
fn capital(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_statement_is_there() {
        let page = page();
        for row in rows() {
            let entry = format!(
                "### `{}`{}\n\n{}.\n",
                row.word,
                if row.supported { "" } else { " (not supported yet)" },
                capital(row.doc)
            );
            assert!(page.contains(&entry), "{entry}");
        }
    }
}
