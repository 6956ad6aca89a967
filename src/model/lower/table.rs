//! `table`.

use super::reader::{Reader, error};
use crate::model::ast::{Spanned, Table};
use crate::model::types::Type;
use crate::syntax::tree::ItemKind;

/// `table NAME: TYPE = VALUE` or `table NAME: TYPE from file P [every D] [on failure keep|clear]`.
pub(super) fn table(r: &mut Reader) -> Option<Table> {
    let name = r.declared("a table")?;
    let ty = if r.cursor.op(":").is_some() {
        r.ty()
    } else {
        r.expected_with("`:` and a type", Some(format!("a table has a type: `table {}: [cidr]`", name.text)));
        Spanned { value: Type::Error, span: r.cursor.span() }
    };
    let mut table = Table {
        name,
        ty,
        value: None,
        file: None,
        every: None,
        clear_on_failure: false,
        docs: r.docs(),
        span: r.span(),
    };
    if r.cursor.op("=").is_some() {
        table.value = Some(r.expr("a value"));
    } else if r.word("from").is_some() {
        source(r, &mut table);
    } else {
        r.expected("`=` and a value, or `from file`");
    }
    r.end();
    table.span = r.span();
    if r.failed && table.value.is_none() && table.file.is_none() {
        table.file = Some(error(table.span));
    }
    Some(table)
}

fn source(r: &mut Reader, table: &mut Table) {
    match r.cursor.peek().map(|i| (&i.kind, i.span)) {
        Some((ItemKind::Name(word), _)) if word == "file" => {
            r.cursor.next();
        }
        Some((ItemKind::Name(word), span)) if word == "redis" => return r.unsupported(span, "a table from `redis`"),
        Some((ItemKind::Url(_), span)) => return r.unsupported(span, "a table from a URL"),
        Some((ItemKind::Str(_) | ItemKind::Raw(_), _)) => {
            return r.expected_with("`file`", Some("a table is read `from file \"PATH\"`".to_owned()));
        }
        _ => return r.no_such_word(&["file"]),
    }
    table.file = Some(r.file());
    loop {
        if let Some(at) = r.word("every") {
            let value = r.expr("a duration, such as `30s`");
            if let Some(first) = table.every.replace(value) {
                r.fail(super::reader::twice("every", at, first.span, r.row));
            }
        } else if r.word("on").is_some() {
            r.expect_word("failure");
            if let Some(choice) = r.one_of(&[("keep", false), ("clear", true)]) {
                table.clear_on_failure = choice.value;
            }
        } else {
            return;
        }
        if r.failed {
            return;
        }
    }
}
