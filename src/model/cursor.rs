//! A position among the items of a statement: what every lowering reads with.

use crate::source::Span;
use crate::syntax::tree::{Block, Item, ItemKind};

/// Reads items from left to right. Copy it to look ahead.
#[derive(Clone, Copy, Debug)]
pub struct Cursor<'t> {
    items: &'t [Item],
    at: usize,
    /// Where the statement (or bracket) ends, for "expected … here".
    end: Span,
}

impl<'t> Cursor<'t> {
    /// Over `items`; `whole` is the span of the statement or bracket they stand in.
    pub fn new(items: &'t [Item], whole: Span) -> Cursor<'t> {
        let end = items.last().map_or(whole.after(), |i| i.span.after());
        Cursor { items, at: 0, end }
    }

    /// The next item, without taking it.
    pub fn peek(&self) -> Option<&'t Item> {
        self.items.get(self.at)
    }

    /// The item `n` behind the next.
    pub fn peek_at(&self, n: usize) -> Option<&'t Item> {
        self.items.get(self.at + n)
    }

    /// The item before the next.
    pub fn previous(&self) -> Option<&'t Item> {
        self.at.checked_sub(1).and_then(|i| self.items.get(i))
    }

    /// Takes the next item.
    #[allow(clippy::should_implement_trait, reason = "a cursor looks ahead and back; it is no iterator")]
    pub fn next(&mut self) -> Option<&'t Item> {
        let item = self.items.get(self.at);
        self.at += usize::from(item.is_some());
        item
    }

    /// Nothing is left.
    pub fn is_empty(&self) -> bool {
        self.at >= self.items.len()
    }

    /// What is left.
    pub fn rest(&self) -> &'t [Item] {
        &self.items[self.at.min(self.items.len())..]
    }

    /// Takes everything that is left.
    pub fn take_rest(&mut self) -> &'t [Item] {
        let rest = self.rest();
        self.at = self.items.len();
        rest
    }

    /// The span of the next item, or the empty span where the statement ends.
    pub fn span(&self) -> Span {
        self.peek().map_or(self.end, |i| i.span)
    }

    /// The span of everything that is left.
    pub fn rest_span(&self) -> Span {
        match (self.peek(), self.items.last()) {
            (Some(first), Some(last)) => first.span.to(last.span),
            _ => self.end,
        }
    }

    /// The next item is this whole (undotted) word.
    pub fn at_word(&self, word: &str) -> bool {
        matches!(self.peek(), Some(Item { kind: ItemKind::Name(n), .. }) if n == word)
    }

    /// Takes the next item if it is this word; gives its span.
    pub fn word(&mut self, word: &str) -> Option<Span> {
        self.at_word(word).then(|| self.next().map(|i| i.span)).flatten()
    }

    /// The next item is this operator.
    pub fn at_op(&self, op: &str) -> bool {
        matches!(self.peek(), Some(Item { kind: ItemKind::Op(o), .. }) if o == op)
    }

    /// Takes the next item if it is this operator; gives its span.
    pub fn op(&mut self, op: &str) -> Option<Span> {
        self.at_op(op).then(|| self.next().map(|i| i.span)).flatten()
    }

    /// Takes the next item if it is a name; gives its text and span.
    pub fn name(&mut self) -> Option<(&'t str, Span)> {
        match self.peek()? {
            Item { kind: ItemKind::Name(n), span, .. } => {
                self.at += 1;
                Some((n.as_str(), *span))
            }
            _ => None,
        }
    }

    /// Takes the next item if it is a block.
    pub fn braces(&mut self) -> Option<&'t Block> {
        match &self.peek()?.kind {
            ItemKind::Braces(b) => {
                self.at += 1;
                Some(b)
            }
            _ => None,
        }
    }

    /// Splits what is left at the commas of this level; empty parts are kept.
    pub fn split_commas(&self) -> impl Iterator<Item = &'t [Item]> + use<'t> {
        self.rest().split(|i| matches!(&i.kind, ItemKind::Op(o) if o == ","))
    }
}
