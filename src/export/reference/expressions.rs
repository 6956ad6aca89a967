//! The pages of expressions, facts and functions.

use super::{MADE, code, table};
use crate::model::facts::{FACTS, FactRow, Phase, ROUTE_FACTS};
use crate::model::functions::FUNCTIONS;
use crate::model::words::{OPERATORS, TYPES};
use std::fmt::Write;

pub(super) fn page() -> String {
    let mut out = format!("# Expressions\n\n{MADE}");
    out.push_str("## Types\n\nNothing is converted by itself, and nothing but a `bool` is a condition.\n\n");
    table(
        &mut out,
        ["type", "values", "written"],
        TYPES.iter().map(|row| [code(row.name), row.doc.into(), code(row.example)]),
    );
    out.push_str("## Operators\n\nThe loosest first; those of one strength bind from left to right.\n\n");
    table(
        &mut out,
        ["strength", "operator", "what it says", "example"],
        OPERATORS.iter().map(|row| {
            let names = row.names.iter().map(|name| code(name)).collect::<Vec<_>>().join(", ");
            [row.strength.to_string(), names, row.doc.into(), code(row.example)]
        }),
    );
    out.push_str(
        "A field is `a.b` or `a[\"b\"]`, an element `a[0]`, a call `f(x)`: bracket and parenthesis touch the name.\n\n\
         What can be read is listed under [facts](facts.md), what can be called under [functions](functions.md).\n",
    );
    out
}

pub(super) fn facts() -> String {
    let mut out = format!("# Facts\n\n{MADE}");
    out.push_str(
        "What an expression can ask about a request. Naming a fact before it is known is an error that says when it \
         will be. Path parameters are facts too; one that is named like a fact hides it.\n\n",
    );
    let phases = [
        Phase::Client,
        Phase::Request,
        Phase::Caller,
        Phase::Body,
        Phase::Upstream,
        Phase::Response,
        Phase::Error,
        Phase::Record,
    ];
    for phase in phases {
        let known: Vec<_> = FACTS.iter().filter(|row| row.phase == phase).collect();
        if !known.is_empty() {
            let _ = writeln!(out, "## Known {}\n", phase.when());
            rows(&mut out, known.into_iter());
        }
        if phase == Phase::Caller {
            out.push_str(
                "`caller.NAME` is a claim that the auths of the route declare; `caller` as a key is (via, id).\n\n",
            );
        }
    }
    out.push_str("## About routes, in an `invariant`\n\n");
    rows(&mut out, ROUTE_FACTS.iter());
    out
}

fn rows<'a>(out: &mut String, rows: impl Iterator<Item = &'a FactRow>) {
    table(
        out,
        ["fact", "type", "what it is", "example"],
        rows.map(|row| {
            let doc = if row.supported { row.doc.into() } else { format!("{} Not supported yet.", row.doc) };
            [code(&row.display()), code(&kind(row)), doc, code(row.example)]
        }),
    );
}

/// The type as shown; a long union would break the table.
fn kind(row: &FactRow) -> String {
    match row.name {
        "error.kind" => "string".into(),
        _ => (row.ty)().to_string(),
    }
}

pub(super) fn functions() -> String {
    let mut out = format!("# Functions\n\n{MADE}");
    out.push_str("They are pure, but for `uuid` and `now`, and cost a bounded amount.\n\n");
    table(
        &mut out,
        ["function", "what it gives", "example", "result"],
        FUNCTIONS.iter().map(|row| [code(row.signature), row.doc.into(), code(row.example), code(row.result)]),
    );
    out
}
