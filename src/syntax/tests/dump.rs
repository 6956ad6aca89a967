//! A tree as text: one statement a line; `~` before an item that touches the one before it.

use crate::syntax::tree::{Block, Entry, Item, ItemKind, PathPart, StrPart, Tree};
use std::fmt::Write;

pub fn tree(tree: &Tree) -> String {
    let mut out = String::new();
    entries(&tree.entries, 0, &mut out);
    out
}

fn entries(list: &[Entry], depth: usize, out: &mut String) {
    for entry in list {
        match entry {
            Entry::Comment(_) => writeln!(out, "{:1$}#", "", depth * 2).unwrap(),
            Entry::Stmt(stmt) => {
                for doc in &stmt.docs {
                    writeln!(out, "{:2$}## {}", "", doc.text, depth * 2).unwrap();
                }
                write!(out, "{:1$}", "", depth * 2).unwrap();
                items(&stmt.items, depth, out);
                out.push('\n');
            }
        }
    }
}

fn items(list: &[Item], depth: usize, out: &mut String) {
    for (i, item) in list.iter().enumerate() {
        if i > 0 {
            out.push(' ');
            if !item.spaced {
                out.push('~');
            }
        }
        one(item, depth, out);
    }
}

fn one(item: &Item, depth: usize, out: &mut String) {
    match &item.kind {
        ItemKind::Name(n) => out.push_str(n),
        ItemKind::Number(n) => write!(out, "#{n}").unwrap(),
        ItemKind::Op(o) => write!(out, "`{o}`").unwrap(),
        ItemKind::Raw(r) => write!(out, "raw{r:?}").unwrap(),
        ItemKind::Host(h) => write!(out, "host:{h}").unwrap(),
        ItemKind::Socket6(h) => write!(out, "socket:{h}").unwrap(),
        ItemKind::Ip6(h) => write!(out, "ip:{h}").unwrap(),
        ItemKind::Junk => out.push_str("JUNK"),
        ItemKind::Str(parts) => {
            out.push('"');
            for part in parts {
                match part {
                    StrPart::Text(t, _) => out.push_str(t),
                    StrPart::Hole(i, _) => hole(false, i, depth, out),
                }
            }
            out.push('"');
        }
        ItemKind::Path(parts) | ItemKind::Url(parts) => {
            out.push_str(if matches!(item.kind, ItemKind::Url(_)) { "url:" } else { "path:" });
            for part in parts {
                match part {
                    PathPart::Text(t, _) => out.push_str(t),
                    PathPart::Hole { rest, items, .. } => hole(*rest, items, depth, out),
                }
            }
        }
        ItemKind::List(list) => bracket('[', list, ']', depth, out),
        ItemKind::Paren(list) => bracket('(', list, ')', depth, out),
        ItemKind::Braces(block) => braces(block, depth, out),
    }
}

fn hole(rest: bool, list: &[Item], depth: usize, out: &mut String) {
    out.push_str(if rest { "{... " } else { "{" });
    items(list, depth, out);
    out.push('}');
}

fn bracket(open: char, list: &[Item], close: char, depth: usize, out: &mut String) {
    out.push(open);
    items(list, depth, out);
    out.push(close);
}

fn braces(block: &Block, depth: usize, out: &mut String) {
    if block.entries.is_empty() {
        out.push_str("{}");
        return;
    }
    out.push_str("{\n");
    entries(&block.entries, depth + 1, out);
    write!(out, "{:1$}}}", "", depth * 2).unwrap();
}
