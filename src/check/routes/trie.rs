//! The routes of one host, by the segments of their patterns.
//!
//! A node has a child for each literal and one for each class of parameter. Going down a path in the order of the
//! classes meets every pattern that may fit, in the order of the language, without looking at any other: the work
//! depends on the patterns that fit, not on how many routes there are. Patterns of the same literals and classes share a
//! list, whose order is made when the trie is built.

use super::fit::Split;
use super::key::{Methods, PathFlags, RouteKey};
use super::literals::Literals;
use super::order::{self, Class};
use super::params::Params;
use crate::model::ast::{HostHead, Pattern, Segment};
use http::Method;
use std::ops::ControlFlow;

/// A node by its place; the root is 0 and no one's child.
pub(super) type NodeId = u32;

/// The routes of one host.
#[derive(Debug)]
pub struct Trie {
    pub(super) nodes: Vec<Node>,
    /// The literal children of each node: for those who look at all of them.
    pub(super) children: Vec<Vec<NodeId>>,
    pub(super) candidates: Vec<Candidate>,
    /// The lists of nodes with more than one, by [`End`].
    pub(super) several: Vec<[List; 3]>,
    pub(super) literals: Literals,
}

/// Two in one line of the cache: among ten thousand routes each line costs a walk to memory. A node's children by classes stand side
/// by side, and below each other what is asked one after the other.
#[derive(Debug, Default)]
#[repr(align(32))]
pub(super) struct Node {
    /// The text of its only literal child, if that is short.
    pub(super) text: u64,
    pub(super) len: u8,
    pub(super) literals: Children,
    /// Which classes of parameters it has children for.
    pub(super) classes: [bool; CLASSES.len()],
    pub(super) lists: Lists,
    /// Its only literal child.
    pub(super) child: NodeId,
    /// The first of its children for parameters.
    pub(super) params: NodeId,
    /// The candidates of its only list, or the number of its lists.
    pub(super) start: u32,
    pub(super) end: u32,
}

/// A node's literal children.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Children {
    #[default]
    None,
    /// One, which stands in the node.
    One,
    /// [`Literals`] finds them.
    Table,
}

impl Node {
    /// Its children for parameters, in the order of the language.
    #[inline]
    fn parameters(&self) -> impl Iterator<Item = (Class, NodeId)> {
        let mut next = self.params;
        CLASSES.into_iter().zip(self.classes).filter(|(_, has)| *has).map(move |(class, _)| {
            next += 1;
            (class, next - 1)
        })
    }
}

/// Where patterns end that end in a node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Lists {
    #[default]
    None,
    /// All in one way.
    One(End),
    /// In several.
    Several,
}

/// The classes of parameters, in the order of the language.
pub(super) const CLASSES: [Class; 3] = [Class::Affixed, Class::Typed, Class::Plain];

/// The bytes of a text that has room in a node.
pub(super) const SHORT: usize = size_of::<u64>();

/// The bytes of a short text, filled up with zeros, which no path has.
pub(super) fn short(text: &str) -> Option<u64> {
    let mut bytes = [0; SHORT];
    bytes.get_mut(..text.len())?.copy_from_slice(text.as_bytes());
    Some(u64::from_le_bytes(bytes))
}

/// The candidates `start..end`.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct List {
    pub(super) start: u32,
    pub(super) end: u32,
}

/// Where a pattern ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum End {
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
    pub(super) fn new(route: u32, key: &RouteKey) -> Candidate {
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
    /// The child of a node by a literal.
    #[inline]
    fn literal(&self, id: NodeId, node: &Node, text: &str) -> Option<NodeId> {
        match node.literals {
            Children::None => None,
            Children::One => {
                (usize::from(node.len) == text.len() && short(text) == Some(node.text)).then_some(node.child)
            }
            Children::Table => self.literals.find(id, text),
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
                for (_, child) in node.parameters() {
                    self.child(child, path, depth, ask)?;
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
        let list = match node.lists {
            Lists::One(one) if one == end => List { start: node.start, end: node.end },
            Lists::Several => {
                let lists = self.several.get(node.start as usize);
                lists.and_then(|lists| lists.get(end as usize)).copied().unwrap_or_default()
            }
            Lists::One(_) | Lists::None => return ControlFlow::Continue(()),
        };
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
            if let Some(child) = self.literal(id, node, text) {
                self.overlap_child(child, rest, behind, meet);
            }
        } else if behind {
            for child in self.children(id) {
                self.overlap_child(*child, rest, true, meet);
            }
        }
        for (child_class, child) in node.parameters().filter(|(child_class, _)| behind || *child_class >= class) {
            self.overlap_child(child, rest, behind || child_class > class, meet);
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
        let parameters = node.parameters().map(|(_, child)| child);
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
