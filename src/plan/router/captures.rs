//! What the parameters of a route take of a request.

use super::{Param, Route};
use crate::check::routes::fit::{self, Split};
use crate::model::ast::{HostHead, Segment};
use crate::model::value::Value;
use std::borrow::Cow;

/// The parameters of a route, by slot: the host's first if it has one, then the path's from left to right. Values are
/// read from the path when they are asked for; nothing is copied before.
#[derive(Clone, Debug)]
pub struct Captures<'p> {
    route: &'p Route,
    path: Split<'p>,
    label: Option<Cow<'p, str>>,
}

impl<'p> Captures<'p> {
    pub(super) fn new(route: &'p Route, path: Split<'p>, label: Option<Cow<'p, str>>) -> Captures<'p> {
        Captures { route, path, label }
    }

    /// How many slots there are.
    pub fn len(&self) -> usize {
        self.route.params.len()
    }

    /// There are no parameters.
    pub fn is_empty(&self) -> bool {
        self.route.params.is_empty()
    }

    /// The name of a slot's parameter.
    pub fn name(&self, slot: usize) -> Option<&'p str> {
        match self.route.params.get(slot)? {
            Param::Host => self.route.key.hosts.iter().find_map(|h| match &h.head {
                HostHead::Param(name) => Some(name.as_str()),
                _ => None,
            }),
            Param::Whole(..) | Param::Segment(_) | Param::Rest(_) => match self.segment(slot)? {
                Segment::Param { name, .. } | Segment::Rest(name) => Some(name.text.as_str()),
                Segment::Literal(_) => None,
            },
        }
    }

    /// The text of a slot, decoded. `{rest...}` has no leading slash. A host's parameter is empty where the request came
    /// to another of the route's hosts, which has none.
    pub fn get(&self, slot: usize) -> Option<Cow<'p, str>> {
        match self.route.params.get(slot)? {
            Param::Host => Some(self.label.clone().unwrap_or_default()),
            Param::Whole(..) | Param::Segment(_) => self.raw(slot).map(fit::decode),
            Param::Rest(_) => self.raw(slot).map(|raw| fit::decode(raw.strip_prefix('/').unwrap_or(raw))),
        }
    }

    /// The value of a slot, of its parameter's type.
    pub fn value(&self, slot: usize) -> Option<Value<'p>> {
        match self.route.params.get(slot)? {
            Param::Segment(_) => match self.segment(slot)? {
                Segment::Param { ty, .. } => fit::parse(ty, self.raw(slot)?),
                _ => None,
            },
            Param::Whole(_, ty) => ty.parse(self.raw(slot)?),
            Param::Host | Param::Rest(_) => self.get(slot).map(Value::Str),
        }
    }

    /// A path parameter as it stands in the normalised path. That of `{rest...}` begins with the slash before it, and is
    /// empty where the path ends without one: put behind a path as it is, it keeps `/admin` and `/admin/` apart.
    pub fn raw(&self, slot: usize) -> Option<&'p str> {
        match self.route.params.get(slot)? {
            Param::Host => None,
            Param::Whole(at, _) => self.path.segment(*at as usize).filter(|segment| !segment.is_empty()),
            Param::Segment(at) => match self.segment(slot)? {
                Segment::Param { prefix, suffix, .. } => fit::between(self.path.segment(*at as usize)?, prefix, suffix),
                _ => None,
            },
            Param::Rest(at) => Some(self.path.tail(*at as usize)),
        }
    }

    fn segment(&self, slot: usize) -> Option<&'p Segment> {
        match self.route.params.get(slot)? {
            Param::Host => None,
            Param::Whole(at, _) | Param::Segment(at) | Param::Rest(at) => {
                self.route.key.pattern.segments.get(*at as usize)
            }
        }
    }

    /// Name and decoded text of every parameter.
    pub fn iter(&self) -> impl Iterator<Item = (&'p str, Cow<'p, str>)> + '_ {
        (0..self.len()).filter_map(|slot| Some((self.name(slot)?, self.get(slot)?)))
    }
}
