//! Tables: their types and what is written inline.

use super::Compiler;
use crate::diagnostic::{Code, Diagnostic};
use crate::model::table::TableData;
use crate::model::types::Type;
use crate::plan::Table;
use std::sync::Arc;

impl Compiler<'_> {
    pub(super) fn tables(&mut self) {
        for t in &self.program.tables {
            let element = match &t.ty.value {
                Type::List(e) | Type::Map(e) => Some((**e).clone()),
                Type::Error => None,
                other => {
                    self.d.push(
                        Diagnostic::new(Code::E0304, t.ty.span, format!("a table cannot be of type `{other}`"))
                            .label("must be a list or a map")
                            .help(format!("write [{other}], or {{string: {other}}}")),
                    );
                    None
                }
            };
            if element == Some(Type::Secret) {
                self.d.push(
                    Diagnostic::new(Code::E0304, t.ty.span, "a table cannot hold secrets")
                        .label("its values would be compared and shown")
                        .help("use an `auth` of kind `api-key` with a key file, which keeps only hashes"),
                );
            }
            let value = t.value.as_ref().and_then(|v| self.constant(v, &t.ty.value, "the value of a table"));
            let inline = match value {
                Some(v) => TableData::from_value(&v, &t.ty.value),
                None => TableData::empty(&t.ty.value),
            };
            let file = t.file.as_ref().and_then(|e| self.path(e, "the file of a table"));
            self.plan.watched.extend(file.clone());
            let table = Table {
                name: t.name.text.clone(),
                ty: t.ty.value.clone(),
                inline: Arc::new(inline),
                file,
                every: t.every.as_ref().and_then(|e| self.duration(e, "`every`")),
                clear_on_failure: t.clear_on_failure,
                origin: self.origin(t.span),
            };
            self.plan.tables.push(table);
        }
    }
}
