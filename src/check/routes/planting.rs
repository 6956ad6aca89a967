//! How a trie grows: first as a tree of the patterns, then laid out for those who walk it.

use super::key::RouteKey;
use super::literals::Literals;
use super::order::{self, Class};
use super::trie::{CLASSES, Candidate, Children, End, List, Lists, Node, NodeId, Trie, short};
use crate::model::ast::Segment;
use ahash::AHashMap;
use http::Method;

/// A tree of patterns.
struct Tree<'k> {
    nodes: Vec<Sprout<'k>>,
    /// The literal children.
    literals: AHashMap<(usize, &'k str), usize>,
}

/// A node of it.
#[derive(Default)]
struct Sprout<'k> {
    literals: Vec<(&'k str, usize)>,
    /// By [`CLASSES`].
    params: [Option<usize>; CLASSES.len()],
    /// The routes whose patterns end here, by [`End`].
    ends: [Vec<(u32, &'k RouteKey)>; 3],
}

impl<'k> Tree<'k> {
    /// The node of a pattern, made where it is not there yet.
    fn insert(&mut self, segments: &'k [Segment]) -> usize {
        let mut at = 0;
        for segment in segments {
            let next = self.nodes.len();
            let child = match (order::class(segment), segment) {
                (Class::Literal, Segment::Literal(text)) => {
                    *self.literals.entry((at, text.as_str())).or_insert_with(|| {
                        self.nodes.get_mut(at).into_iter().for_each(|node| node.literals.push((text, next)));
                        next
                    })
                }
                (class, _) => {
                    let of_class = CLASSES.iter().position(|c| *c == class);
                    let slot = of_class.and_then(|class| self.nodes.get_mut(at)?.params.get_mut(class));
                    match slot {
                        Some(slot) => *slot.get_or_insert(next),
                        // `{rest...}` ends a pattern.
                        None => return at,
                    }
                }
            };
            if child == next {
                self.nodes.push(Sprout::default());
            }
            at = child;
        }
        at
    }
}

impl Trie {
    /// From routes with the numbers they shall have.
    pub fn new<'k>(routes: impl IntoIterator<Item = (u32, &'k RouteKey)>) -> Trie {
        let mut tree = Tree { nodes: vec![Sprout::default()], literals: AHashMap::new() };
        for (route, key) in routes {
            let node = tree.insert(&key.pattern.segments);
            let end = match key.pattern.segments.last() {
                Some(Segment::Rest(_)) => End::Rest,
                None => End::Slash,
                _ if key.pattern.trailing_slash => End::Slash,
                _ => End::Bare,
            };
            let other = if end == End::Slash { End::Bare } else { End::Slash };
            for end in [Some(end), key.ignores_slash().then_some(other)].into_iter().flatten() {
                let list = tree.nodes.get_mut(node).and_then(|node| node.ends.get_mut(end as usize));
                list.into_iter().for_each(|list| list.push((route, key)));
            }
        }
        let mut trie = Trie::bare();
        let root = trie.place();
        trie.lay_out(&tree, 0, root);
        trie
    }

    /// Lays a node of the tree out at its place, and everything below it behind what is there.
    fn lay_out(&mut self, tree: &Tree<'_>, from: usize, at: NodeId) {
        let Some(sprout) = tree.nodes.get(from) else { return };
        let mut node = Node { classes: sprout.params.map(|child| child.is_some()), ..Node::default() };
        self.make_lists(sprout, &mut node);
        let parameters: Vec<(usize, NodeId)> =
            sprout.params.iter().flatten().map(|child| (*child, self.place())).collect();
        node.params = parameters.first().map_or(0, |(_, place)| *place);
        for (child, place) in parameters {
            self.lay_out(tree, child, place);
        }
        for (text, child) in &sprout.literals {
            let place = self.place();
            match short(text).filter(|_| sprout.literals.len() == 1) {
                Some(short) => {
                    (node.literals, node.child) = (Children::One, place);
                    (node.text, node.len) = (short, u8::try_from(text.len()).unwrap_or_default());
                }
                None => {
                    node.literals = Children::Table;
                    self.literals.insert(at, text, place);
                }
            }
            self.children.get_mut(at as usize).into_iter().for_each(|children| children.push(place));
            self.lay_out(tree, *child, place);
        }
        self.nodes.get_mut(at as usize).into_iter().for_each(|place| *place = std::mem::take(&mut node));
    }

    /// Makes the lists of a node, each in the order of the language.
    fn make_lists(&mut self, sprout: &Sprout<'_>, node: &mut Node) {
        let mut lists = [List::default(); 3];
        for ((end, routes), list) in [End::Bare, End::Slash, End::Rest].into_iter().zip(&sprout.ends).zip(&mut lists) {
            if routes.is_empty() {
                continue;
            }
            let mut routes = routes.clone();
            routes.sort_by(|(_, a), (_, b)| {
                order::rank(a, b, end == End::Slash)
                    // A route that says HEAD is asked before one that serves it by saying GET.
                    .then_with(|| b.methods.names(&Method::HEAD).cmp(&a.methods.names(&Method::HEAD)))
                    .then_with(|| a.order.cmp(&b.order))
            });
            list.start = self.candidates.len() as u32;
            self.candidates.extend(routes.into_iter().map(|(route, key)| Candidate::new(route, key)));
            list.end = self.candidates.len() as u32;
            node.lists = match node.lists {
                Lists::None => Lists::One(end),
                Lists::One(_) | Lists::Several => Lists::Several,
            };
            (node.start, node.end) = (list.start, list.end);
        }
        if node.lists == Lists::Several {
            (node.start, node.end) = (self.several.len() as u32, 0);
            self.several.push(lists);
        }
    }

    /// A place for a node.
    fn place(&mut self) -> NodeId {
        let place = self.nodes.len() as NodeId;
        self.nodes.push(Node::default());
        self.children.push(Vec::new());
        place
    }

    fn bare() -> Trie {
        Trie {
            nodes: Vec::new(),
            children: Vec::new(),
            candidates: Vec::new(),
            several: Vec::new(),
            literals: Literals::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_nodes_are_in_a_line_of_the_cache() {
        assert_eq!(size_of::<Node>(), 32);
    }
}
