//! The routes of one host, by the segments of their patterns.
//!
//! A node has a child for each literal and one for each class of parameter. Going down a path in the order of the
//! classes meets every pattern that may fit, in the order of the language, without looking at any other: the work
//! depends on the patterns that fit, not on how many routes there are. Patterns of the same literals and classes share a
//! list, whose order is made when the trie is built.

use super::fit::Split;
use super::key::{Methods, PathFlags, RouteKey};
use super::order::{self, Class};
use super::params::Params;
use crate::model::ast::{HostHead, Pattern, Segment};
use ahash::RandomState;
use http::Method;
use std::ops::ControlFlow;

/// A node by its place; the root is 0 and no one's child.
type NodeId = u32;

/// The routes of one host.
#[derive(Debug)]
pub struct Trie {
    nodes: Vec<Node>,
    /// The literal children of each node: for those who look at all of them.
    children: Vec<Vec<NodeId>>,
    candidates: Vec<Candidate>,
    literals: Literals,
}

/// The literal children of all nodes, in one table: a request touches little memory.
#[derive(Debug, Default)]
struct Literals {
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
    fn find(&self, parent: NodeId, text: &str) -> Option<NodeId> {
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

    fn insert(&mut self, parent: NodeId, text: &str, child: NodeId) {
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

/// In one line of the cache: among ten thousand routes each costs a walk to memory.
#[derive(Debug, Default)]
#[repr(align(64))]
struct Node {
    /// How many literal children it has.
    literals: u32,
    /// The first of them, and how its text begins; [`Literals`] finds all.
    child: NodeId,
    head: u128,
    len: u32,
    affixed: Option<std::num::NonZeroU32>,
    typed: Option<std::num::NonZeroU32>,
    plain: Option<std::num::NonZeroU32>,
    ends: [List; 3],
}

/// The candidates `start..end`.
#[derive(Clone, Copy, Debug, Default)]
struct List {
    start: u32,
    end: u32,
}

/// Where a pattern ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum End {
    Bare,
    Slash,
    Rest,
}

/// A route in a list of a [`Trie`], with what every request asks of it, in one line of the cache.
#[derive(Debug)]
#[repr(align(64))]
pub struct Candidate {
    /// Which: the number given with its key.
    pub route: u32,
    /// It has a `when`.
    pub has_when: bool,
    /// `paths allow …` of its api.
    pub allow: PathFlags,
    /// A parameter stands in its host.
    pub has_label: bool,
    /// Its methods.
    pub methods: Methods,
    /// The parameters of its pattern.
    pub params: Params,
}

impl Candidate {
    fn new(route: u32, key: &RouteKey) -> Candidate {
        Candidate {
            route,
            has_when: key.has_when,
            allow: key.allow,
            has_label: key.hosts.iter().any(|host| matches!(host.head, HostHead::Param(_))),
            methods: key.methods.clone(),
            params: Params::of(&key.pattern),
        }
    }

    /// A request with this method is served.
    pub fn serves(&self, method: &Method) -> bool {
        self.methods.serves(method)
    }

    /// Affixes and types fit; the rest of the pattern does because the candidate was met.
    pub fn fits(&self, path: &Split) -> bool {
        self.params.fit(path)
    }

    /// The same where `path` is in lower case and affixes are, too; `plain` is the same path in its own case.
    pub fn fits_folded(&self, path: &Split, plain: &Split) -> bool {
        self.params.iter().all(|param| param.fits_folded(path, plain))
    }
}

impl Trie {
    /// From routes with the numbers they shall have.
    pub fn new<'k>(routes: impl IntoIterator<Item = (u32, &'k RouteKey)>) -> Trie {
        let mut trie = Trie {
            nodes: vec![Node::default()],
            children: vec![Vec::new()],
            candidates: Vec::new(),
            literals: Literals::default(),
        };
        let mut places = Vec::new();
        for (route, key) in routes {
            let node = trie.insert(&key.pattern.segments);
            let end = match key.pattern.segments.last() {
                Some(Segment::Rest(_)) => End::Rest,
                None => End::Slash,
                _ if key.pattern.trailing_slash => End::Slash,
                _ => End::Bare,
            };
            places.push((node, end, route, key));
            if key.ignores_slash() {
                places.push((node, if end == End::Slash { End::Bare } else { End::Slash }, route, key));
            }
        }
        places.sort_by(|(a_node, a_end, _, a), (b_node, b_end, _, b)| {
            (a_node, a_end)
                .cmp(&(b_node, b_end))
                .then_with(|| order::rank(a, b, *a_end == End::Slash))
                // A route that says HEAD is asked before one that serves it by saying GET.
                .then_with(|| b.methods.names(&Method::HEAD).cmp(&a.methods.names(&Method::HEAD)))
                .then_with(|| a.order.cmp(&b.order))
        });
        for (node, end, route, key) in places {
            let at = trie.candidates.len() as u32;
            trie.candidates.push(Candidate::new(route, key));
            if let Some(list) = trie.nodes.get_mut(node as usize).and_then(|n| n.ends.get_mut(end as usize)) {
                if list.end == 0 {
                    list.start = at;
                }
                list.end = at + 1;
            }
        }
        trie
    }

    /// The node of a pattern, made where it is not there yet.
    fn insert(&mut self, segments: &[Segment]) -> NodeId {
        let mut at = 0;
        for segment in segments {
            let next = self.nodes.len() as NodeId;
            let Some(node) = self.nodes.get_mut(at as usize) else { return at };
            let slot = match (order::class(segment), segment) {
                (Class::Literal, Segment::Literal(text)) => {
                    at = match self.literals.find(at, text) {
                        Some(child) => child,
                        None => {
                            if node.literals == 0 {
                                (node.child, node.head, node.len) = (next, head(text), text.len() as u32);
                            }
                            node.literals += 1;
                            self.children.get_mut(at as usize).into_iter().for_each(|children| children.push(next));
                            self.literals.insert(at, text, next);
                            self.grow();
                            next
                        }
                    };
                    continue;
                }
                (Class::Affixed, _) => &mut node.affixed,
                (Class::Typed, _) => &mut node.typed,
                (Class::Plain, _) => &mut node.plain,
                (Class::Literal | Class::Rest, _) => return at,
            };
            at = slot.get_or_insert(std::num::NonZeroU32::new(next).unwrap_or(std::num::NonZeroU32::MIN)).get();
            if at == next {
                self.grow();
            }
        }
        at
    }

    fn grow(&mut self) {
        self.nodes.push(Node::default());
        self.children.push(Vec::new());
    }

    /// The child of a node by a literal.
    #[inline]
    fn literal(&self, id: NodeId, node: &Node, text: &str) -> Option<NodeId> {
        match node.literals {
            0 => None,
            // The only one lies with its node.
            1 if node.len as usize <= HEAD => {
                (node.len as usize == text.len() && node.head == head(text)).then_some(node.child)
            }
            _ => self.literals.find(id, text),
        }
    }

    /// Shows every candidate whose literals and `{rest...}` fit the path, in the order of the language. Affixes, types,
    /// methods and `when` are for `ask` to look at; it breaks to end the walk.
    pub fn walk<'t, B>(
        &'t self,
        path: &Split,
        ask: &mut impl FnMut(&'t Candidate) -> ControlFlow<B>,
    ) -> ControlFlow<B> {
        match self.nodes.first() {
            Some(root) => self.descend(0, root, path, 0, ask),
            None => ControlFlow::Continue(()),
        }
    }

    fn descend<'t, B>(
        &'t self,
        id: NodeId,
        node: &'t Node,
        path: &Split,
        depth: usize,
        ask: &mut impl FnMut(&'t Candidate) -> ControlFlow<B>,
    ) -> ControlFlow<B> {
        match path.segment(depth) {
            None => self.list(node, if path.trailing_slash() { End::Slash } else { End::Bare }, ask)?,
            // No parameter is empty, so an empty segment only fits `{rest...}`.
            Some("") => {}
            Some(segment) => {
                if let Some(child) = self.literal(id, node, segment) {
                    self.child(child, path, depth, ask)?;
                }
                for child in [node.affixed, node.typed, node.plain].into_iter().flatten() {
                    self.child(child.get(), path, depth, ask)?;
                }
            }
        }
        self.list(node, End::Rest, ask)
    }

    fn child<'t, B>(
        &'t self,
        child: NodeId,
        path: &Split,
        depth: usize,
        ask: &mut impl FnMut(&'t Candidate) -> ControlFlow<B>,
    ) -> ControlFlow<B> {
        match self.nodes.get(child as usize) {
            Some(node) => self.descend(child, node, path, depth + 1, ask),
            None => ControlFlow::Continue(()),
        }
    }

    fn list<'t, B>(
        &'t self,
        node: &Node,
        end: End,
        ask: &mut impl FnMut(&'t Candidate) -> ControlFlow<B>,
    ) -> ControlFlow<B> {
        let list = node.ends.get(end as usize).copied().unwrap_or_default();
        let candidates = self.candidates.get(list.start as usize..list.end as usize).unwrap_or_default();
        candidates.iter().try_for_each(ask)
    }
}

/// Finds the candidates that share a path with a pattern.
impl Trie {
    /// Shows the candidates whose patterns have a path in common with `pattern`, as far as literals tell (affixes and
    /// types are for `meet` to look at): all of them, or only those that are not asked before it.
    pub fn overlaps<'t>(&'t self, pattern: &Pattern, all: bool, meet: &mut impl FnMut(&'t Candidate)) {
        if let Some(root) = self.nodes.first() {
            self.overlap(0, root, &pattern.segments, all, meet);
        }
    }

    /// `behind`: an earlier segment has put everything below this node behind the pattern already.
    fn overlap<'t>(
        &'t self,
        id: NodeId,
        node: &'t Node,
        segments: &[Segment],
        behind: bool,
        meet: &mut impl FnMut(&'t Candidate),
    ) {
        let Some((segment, rest)) = segments.split_first() else {
            return self.lists(node, &[End::Bare, End::Slash, End::Rest], meet);
        };
        let class = order::class(segment);
        if class == Class::Rest {
            return if behind { self.subtree(id, node, meet) } else { self.lists(node, &[End::Rest], meet) };
        }
        if let Segment::Literal(text) = segment {
            if let Some(child) = self.literals.find(id, text) {
                self.overlap_child(child, rest, behind, meet);
            }
        } else if behind {
            for child in self.children(id) {
                self.overlap_child(*child, rest, true, meet);
            }
        }
        for (child_class, child) in
            [(Class::Affixed, node.affixed), (Class::Typed, node.typed), (Class::Plain, node.plain)]
        {
            if let Some(child) = child
                && (behind || child_class >= class)
            {
                self.overlap_child(child.get(), rest, behind || child_class > class, meet);
            }
        }
        self.lists(node, &[End::Rest], meet);
    }

    fn overlap_child<'t>(
        &'t self,
        child: NodeId,
        rest: &[Segment],
        behind: bool,
        meet: &mut impl FnMut(&'t Candidate),
    ) {
        if let Some(node) = self.nodes.get(child as usize) {
            self.overlap(child, node, rest, behind, meet);
        }
    }

    fn children(&self, id: NodeId) -> &[NodeId] {
        self.children.get(id as usize).map_or(&[], Vec::as_slice)
    }

    fn subtree<'t>(&'t self, id: NodeId, node: &'t Node, meet: &mut impl FnMut(&'t Candidate)) {
        self.lists(node, &[End::Bare, End::Slash, End::Rest], meet);
        let parameters = [node.affixed, node.typed, node.plain].into_iter().flatten().map(std::num::NonZeroU32::get);
        for child in self.children(id).iter().copied().chain(parameters) {
            if let Some(node) = self.nodes.get(child as usize) {
                self.subtree(child, node, meet);
            }
        }
    }

    fn lists<'t>(&'t self, node: &Node, ends: &[End], meet: &mut impl FnMut(&'t Candidate)) {
        for end in ends {
            let _ = self.list(node, *end, &mut |candidate| {
                meet(candidate);
                ControlFlow::<()>::Continue(())
            });
        }
    }
}
