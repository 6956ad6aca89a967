//! Where a `{` is missing, its `}` closes something else, and the last `}` of the text closes
//! nothing. Indentation tells which statement lost its `{`: the tree is put right, so that what
//! follows is not reported as standing in the wrong place.

use super::tree::{Block, Entry, Item, ItemKind, Stmt};
use crate::source::Span;

/// Gives the superfluous `brace` a block that it closes, out of the entries from `floor` on that
/// stand before it. The answer is where the `{` is missing; none where nothing looks like it.
pub(super) fn missing_open(text: &str, entries: &mut Vec<Entry>, floor: usize, brace: Span) -> Option<Span> {
    let column = begins_line(text, brace.start)?;
    let head = (floor..entries.len())
        .rev()
        .find(|&i| matches!(&entries[i], Entry::Stmt(s) if indentation(text, s.span.start) <= column))?;
    let (before, after) = entries.split_at_mut(head + 1);
    let Some(Entry::Stmt(stmt)) = before.last_mut() else { return None };
    // A repaired block among them would nest deeper with each brace.
    let inner = after.iter().any(|e| matches!(e, Entry::Stmt(_))) && !after.iter().any(repaired);
    if !inner || indentation(text, stmt.span.start) != column {
        return None;
    }
    let missing = match last_block(stmt) {
        None => {
            let open = stmt.span.after();
            let block = Block { entries: Vec::new(), open, close: None };
            stmt.items.push(Item { kind: ItemKind::Braces(block), span: open, spaced: true });
            open
        }
        // Closed by the brace of a block inside it, which is the one without its `{`.
        Some(block) => {
            let close = block.close?;
            match begins_line(text, close.start) {
                Some(at) if at > column => missing_open(text, &mut block.entries, 0, close)?,
                // `a b; c }` lost the brace behind `a`, and `}` closed the block around the line.
                None if text[block.open.end as usize..close.start as usize].contains('\n') => close,
                _ => return None,
            }
        }
    };
    let after = entries.split_off(head + 1);
    let Some(Entry::Stmt(stmt)) = entries.last_mut() else { return None };
    if let Some(block) = last_block(stmt) {
        block.entries.extend(after);
        block.close = Some(brace);
    }
    if let Some(item) = stmt.items.last_mut() {
        item.span.end = brace.end;
    }
    stmt.span.end = brace.end;
    Some(missing)
}

fn last_block(stmt: &mut Stmt) -> Option<&mut Block> {
    match stmt.items.last_mut().map(|i| &mut i.kind) {
        Some(ItemKind::Braces(block)) => Some(block),
        _ => None,
    }
}

/// Whether an entry has a block whose `{` is not in the text.
fn repaired(entry: &Entry) -> bool {
    let Entry::Stmt(stmt) = entry else { return false };
    matches!(stmt.items.last().map(|i| &i.kind), Some(ItemKind::Braces(b)) if b.open.start == b.open.end)
}

/// The first block inside whose closing brace begins a line further left than the line of its
/// opening one: that brace was meant for a block around it. Gives both braces.
pub(super) fn misindented(text: &str, block: &Block) -> Option<(Span, Span)> {
    let blocks = block.statements().flat_map(|s| &s.items).filter_map(|i| match &i.kind {
        ItemKind::Braces(b) => Some(b),
        _ => None,
    });
    for inner in blocks {
        if let Some(found) = misindented(text, inner) {
            return Some(found);
        }
        let close = inner.close?;
        if begins_line(text, close.start).is_some_and(|at| at < indentation(text, inner.open.start)) {
            return Some((inner.open, close));
        }
    }
    None
}

/// The column (from 0) of what begins a line; none where something stands before it.
fn begins_line(text: &str, offset: u32) -> Option<usize> {
    let line = line_before(text, offset);
    line.bytes().all(|b| b == b' ' || b == b'\t').then_some(line.len())
}

/// How far the line of `offset` is indented.
fn indentation(text: &str, offset: u32) -> usize {
    let line = line_before(text, offset);
    line.len() - line.trim_start_matches([' ', '\t']).len()
}

fn line_before(text: &str, offset: u32) -> &str {
    let before = &text[..offset as usize];
    before.rfind('\n').map_or(before, |i| &before[i + 1..])
}
