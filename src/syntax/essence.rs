//! What the compiler sees of a text: neither comments nor layout.

use super::tree::{Block, Entry, Item, ItemKind, Stmt};
use crate::diagnostic::Diagnostics;
use crate::source::FileId;

/// Texts of one essence compile to one program, but for the lines that things stand on.
pub fn essence(text: &str) -> String {
    let tree = super::parse(FileId(0), text, &mut Diagnostics::default());
    let mut out = Essence { text, out: String::with_capacity(text.len()) };
    out.entries(&tree.entries);
    out.out
}

struct Essence<'t> {
    text: &'t str,
    out: String,
}

impl Essence<'_> {
    fn entries(&mut self, entries: &[Entry]) {
        for entry in entries {
            if let Entry::Stmt(Stmt { items, .. }) = entry {
                self.items(items);
                self.out.push('\n');
            }
        }
    }

    fn items(&mut self, items: &[Item]) {
        for (at, item) in items.iter().enumerate() {
            if item.spaced && at > 0 {
                self.out.push(' ');
            }
            match &item.kind {
                ItemKind::Braces(Block { entries, .. }) => {
                    self.out.push_str("{\n");
                    self.entries(entries);
                    self.out.push('}');
                }
                ItemKind::List(items) => self.bracketed('[', items, ']'),
                ItemKind::Paren(items) => self.bracketed('(', items, ')'),
                _ => {
                    let (start, end) = (item.span.start as usize, item.span.end as usize);
                    self.out.push_str(self.text.get(start..end).unwrap_or_default());
                }
            }
        }
    }

    fn bracketed(&mut self, open: char, items: &[Item], close: char) {
        self.out.push(open);
        self.items(items);
        self.out.push(close);
    }
}

#[cfg(test)]
mod tests {
    use super::essence;

    const TEXT: &str = "# a\nlisten http :80 # b\n## doc\nroute GET /a/{id: int} -> u { # c\n  require header.x == \"# {path}\" else 404\n  limit 1/s by [client.ip,\n    path]\n}\n";

    #[test]
    fn comments_and_layout_do_not_count() {
        let other = "listen   http :80\n\n\nroute GET /a/{id: int}\n  -> u {require header.x == \"# {path}\" else 404; limit 1/s by [ client.ip, path ]\n# z\n}";
        assert_eq!(essence(TEXT), essence(other));
    }

    #[test]
    fn everything_else_counts() {
        for (from, to) in [
            ("# {path}", "#  {path}"),
            ("id: int", "id: uint"),
            ("[client", "(client"),
            (":80", ":81"),
            ("1/s", "1/m"),
            ("by [", "by["),
            ("else 404\n", "else 404 "),
        ] {
            assert!(TEXT.contains(from));
            assert_ne!(essence(TEXT), essence(&TEXT.replace(from, to)), "{from}");
        }
    }
}
