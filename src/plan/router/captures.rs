//! What the parameters of a route take of a request.

use super::{Candidate, Router, Split};
use crate::check::routes::fit::{self, Plain};
use crate::check::routes::params::Param;
use crate::model::ast::{HostHead, Segment};
use crate::model::value::Value;
use std::borrow::Cow;

/// The parameters of a route, by slot: the host's first if it has one, then the path's from left to right. Values are
/// read from the path when they are asked for; nothing is copied before.
#[derive(Clone, Debug)]
pub struct Captures<'p> {
    pub(super) router: &'p Router,
    pub(super) candidate: &'p Candidate,
    pub(super) path: Split<'p>,
    pub(super) label: Option<Cow<'p, str>>,
}

enum Slot<'p> {
    Host,
    Path(Param<'p>),
}

impl<'p> Captures<'p> {
    /// How many slots there are.
    pub fn len(&self) -> usize {
        usize::from(self.candidate.has_label) + self.candidate.params.len()
    }

    /// There are no parameters.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    #[inline]
    fn slot(&self, slot: usize) -> Option<Slot<'p>> {
        let index = match self.candidate.has_label {
            true if slot == 0 => return Some(Slot::Host),
            true => slot - 1,
            false => slot,
        };
        self.candidate.params.get(index).map(Slot::Path)
    }

    /// The name of a slot's parameter.
    pub fn name(&self, slot: usize) -> Option<&'p str> {
        let key = &self.router.route(self.candidate.route)?.key;
        match self.slot(slot)? {
            Slot::Host => key.hosts.iter().find_map(|h| match &h.head {
                HostHead::Param(name) => Some(name.as_str()),
                _ => None,
            }),
            Slot::Path(Param::Whole(at, _) | Param::Segment(at, _) | Param::Rest(at)) => {
                match key.pattern.segments.get(at)? {
                    Segment::Param { name, .. } | Segment::Rest(name) => Some(name.text.as_str()),
                    Segment::Literal(_) => None,
                }
            }
        }
    }

    /// The text of a slot, decoded. `{rest...}` has no leading slash. A host's parameter is empty where the request came
    /// to another of the route's hosts, which has none.
    pub fn get(&self, slot: usize) -> Option<Cow<'p, str>> {
        match self.slot(slot)? {
            Slot::Host => Some(self.label.clone().unwrap_or_default()),
            Slot::Path(param) => param.raw(&self.path).map(|raw| match param {
                Param::Rest(_) => fit::decode(raw.strip_prefix('/').unwrap_or(raw)),
                Param::Whole(..) | Param::Segment(..) => fit::decode(raw),
            }),
        }
    }

    /// The value of a slot, of its parameter's type.
    pub fn value(&self, slot: usize) -> Option<Value<'p>> {
        match self.slot(slot)? {
            Slot::Path(param @ Param::Whole(_, ty)) => ty.parse(param.raw(&self.path)?),
            Slot::Path(param @ Param::Segment(_, Segment::Param { ty, .. })) => fit::parse(ty, param.raw(&self.path)?),
            Slot::Host | Slot::Path(_) => self.get(slot).map(Value::Str),
        }
    }

    /// The text of a slot's value.
    pub fn text(&self, slot: usize) -> Option<Cow<'p, str>> {
        match self.slot(slot)? {
            // One number has one path.
            Slot::Path(param @ Param::Whole(_, Plain::Int | Plain::Uint)) => param.raw(&self.path).map(Cow::Borrowed),
            Slot::Host | Slot::Path(_) => self.value(slot)?.into_text(),
        }
    }

    /// A path parameter as it stands in the normalised path. That of `{rest...}` begins with the slash before it, and is
    /// empty where the path ends without one: put behind a path as it is, it keeps `/admin` and `/admin/` apart.
    pub fn raw(&self, slot: usize) -> Option<&'p str> {
        match self.slot(slot)? {
            Slot::Host => None,
            Slot::Path(param) => param.raw(&self.path),
        }
    }

    /// Name and decoded text of every parameter.
    pub fn iter(&self) -> impl Iterator<Item = (&'p str, Cow<'p, str>)> + '_ {
        (0..self.len()).filter_map(|slot| Some((self.name(slot)?, self.get(slot)?)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::routes::testing::keys;
    use std::ops::ControlFlow;

    #[test]
    fn the_text_is_that_of_the_value() {
        for (route, path, text) in [
            ("GET /{x: int}", "/-9223372036854775808", "-9223372036854775808"),
            ("GET /{x: uint}", "/0", "0"),
            ("GET /{x: date}", "/2024-02-29", "2024-02-29"),
            ("GET /{x: uuid}", "/67E55044-10B1-426F-9247-BB680E5FE0C8", "67e55044-10b1-426f-9247-bb680e5fe0c8"),
            ("GET /{x}", "/a%20b", "a b"),
            ("GET /n{x: int}", "/n7", "7"),
            ("GET {x}.example/", "/", "h"),
            ("GET /{x...}", "/a/b", "a/b"),
        ] {
            let keys = keys(&[route]);
            let (router, path) = (Router::new((0..).zip(&keys)), Split::new(path));
            let host = router.host("h.example");
            let met = host.walk(&path, |candidate| ControlFlow::Break(host.captures(candidate, &path))).break_value();
            let shown = met.map(|met| (met.name(0), met.text(0), met.value(0).and_then(Value::into_text), met.len()));
            assert_eq!(shown, Some((Some("x"), Some(text.into()), Some(text.into()), 1)), "{route}");
        }
    }
}
