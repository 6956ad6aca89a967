//! `input` and `let`.

use super::reader::Reader;
use crate::model::ast::{Input, Let};

/// `input NAME: TYPE [= DEFAULT]`.
pub(super) fn input(r: &mut Reader) -> Option<Input> {
    let name = r.declared("an input")?;
    if r.cursor.op(":").is_none() {
        r.expected_with("`:` and a type", Some(format!("an input has a type: `input {}: url`", name.text)));
    }
    let ty = r.ty();
    let default = r.cursor.op("=").map(|_| r.expr("a default"));
    r.end();
    Some(Input { name, ty, default, docs: r.docs() })
}

/// `let NAME = EXPR`.
pub(super) fn constant(r: &mut Reader) -> Option<Let> {
    let name = r.declared("a constant")?;
    if r.cursor.op("=").is_none() {
        let help = match r.cursor.at_op(":") {
            true => "the type of a constant is that of its value: `let NAME = VALUE`",
            false => "a constant is written `let NAME = VALUE`",
        };
        r.expected_with("`=`", Some(help.to_owned()));
        r.cursor.op(":");
    }
    let value = r.expr("a value");
    r.end();
    Some(Let { name, value, docs: r.docs() })
}
