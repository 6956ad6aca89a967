//! What a file imports, read from its text alone.

use crate::diagnostic::Diagnostics;
use crate::source::FileId;
use crate::syntax;
use crate::syntax::tree::{Entry, ItemKind, StrPart};

/// The paths and globs of the `import` statements of a text, in source order, as they are written.
pub fn of(text: &str) -> Vec<String> {
    let tree = syntax::parse(FileId(0), text, &mut Diagnostics::default());
    let mut found = Vec::new();
    collect(&tree.entries, &mut found);
    found
}

fn collect(entries: &[Entry], found: &mut Vec<String>) {
    for entry in entries {
        let Entry::Stmt(statement) = entry else { continue };
        match statement.items.as_slice() {
            [word, path, ..] if matches!(&word.kind, ItemKind::Name(name) if name == "import") => match &path.kind {
                ItemKind::Raw(text) => found.push(text.to_string()),
                ItemKind::Str(parts) => {
                    if let [StrPart::Text(text, _)] = parts.as_slice() {
                        found.push(text.to_string());
                    }
                }
                _ => {}
            },
            items => {
                for item in items {
                    if let ItemKind::Braces(block) = &item.kind {
                        collect(&block.entries, found);
                    }
                }
            }
        }
    }
}
