//! The literal children of all nodes of a trie, in one table.

use super::trie::NodeId;
use ahash::RandomState;

/// Finds a node's child by its text. A request touches little memory.
#[derive(Debug, Default)]
pub(super) struct Literals {
    hasher: RandomState,
    /// Each in the first free place from that of its hash on: half of them are free, and a look-up mostly reads one line of the
    /// cache. A power of two, or none.
    edges: Vec<Edge>,
    len: usize,
    /// The texts of the edges, one after the other.
    texts: String,
}

#[derive(Clone, Copy, Debug, Default)]
struct Edge {
    parent: NodeId,
    child: NodeId,
    start: u32,
    len: u32,
    /// How the text begins, which is all of most: the rest of the memory need not be touched.
    head: u128,
}

/// The bytes of a text that stand in its edge.
const HEAD: usize = size_of::<u128>();

/// The first bytes of a text, filled up with zeros, which no path has.
fn head(text: &str) -> u128 {
    let mut head = [0; HEAD];
    let n = text.len().min(HEAD);
    if let (Some(to), Some(from)) = (head.get_mut(..n), text.as_bytes().get(..n)) {
        to.copy_from_slice(from);
    }
    u128::from_le_bytes(head)
}

fn hash(hasher: &RandomState, parent: NodeId, head: u128, text: &str) -> u64 {
    if text.len() <= HEAD { hasher.hash_one((parent, head)) } else { hasher.hash_one((parent, text)) }
}

impl Edge {
    /// No edge leads to the root.
    fn is_free(&self) -> bool {
        self.child == 0
    }

    fn text<'t>(&self, texts: &'t str) -> &'t str {
        texts.get(self.start as usize..(self.start + self.len) as usize).unwrap_or_default()
    }
}

impl Literals {
    /// The child, if there is one.
    pub(super) fn find(&self, parent: NodeId, text: &str) -> Option<NodeId> {
        let head = head(text);
        let is = |e: &Edge| {
            e.parent == parent
                && e.head == head
                && e.len as usize == text.len()
                && (text.len() <= HEAD || e.text(&self.texts) == text)
        };
        let mut at = hash(&self.hasher, parent, head, text) as usize;
        loop {
            match self.edges.get(at & self.edges.len().wrapping_sub(1)) {
                Some(edge) if is(edge) => return Some(edge.child),
                Some(edge) if !edge.is_free() => at = at.wrapping_add(1),
                _ => return None,
            }
        }
    }

    /// Another child.
    pub(super) fn insert(&mut self, parent: NodeId, text: &str, child: NodeId) {
        let head = head(text);
        let edge = Edge { parent, child, start: self.texts.len() as u32, len: text.len() as u32, head };
        self.texts.push_str(text);
        self.len += 1;
        if self.len * 2 > self.edges.len() {
            let edges = vec![Edge::default(); (self.edges.len() * 2).max(8)];
            let full = std::mem::replace(&mut self.edges, edges);
            full.into_iter().filter(|edge| !edge.is_free()).for_each(|edge| self.place(edge));
        }
        self.place(edge);
    }

    fn place(&mut self, edge: Edge) {
        let mut at = hash(&self.hasher, edge.parent, edge.head, edge.text(&self.texts)) as usize;
        let mask = self.edges.len().wrapping_sub(1);
        while self.edges.get(at & mask).is_some_and(|edge| !edge.is_free()) {
            at = at.wrapping_add(1);
        }
        if let Some(free) = self.edges.get_mut(at & mask) {
            *free = edge;
        }
    }
}
