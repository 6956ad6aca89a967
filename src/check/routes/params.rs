//! The parameters of a pattern: where their values stand in a path, and which paths fit them.

use super::fit::{self, Plain, Split};
use crate::model::ast::{ParamType, Pattern, Segment};

/// So many lie with their route.
const FEW: usize = 10;

/// The parameters of a pattern, from left to right. Those of most patterns are few, and whole segments of types without a
/// pattern of their own: a request finds them where it finds the route.
#[derive(Debug)]
pub enum Params {
    #[allow(missing_docs)]
    Few { len: u8, places: [(u8, Shape); FEW] },
    #[allow(missing_docs)]
    Many(Box<[(u32, Segment)]>),
}

/// What a parameter takes of the path from its segment on.
#[derive(Clone, Copy, Debug)]
pub enum Shape {
    /// All of the segment.
    Whole(Plain),
    /// The segment and everything behind it.
    Rest,
}

/// A parameter.
#[derive(Clone, Copy, Debug)]
pub enum Param<'a> {
    /// A whole segment, of a type without a pattern of its own.
    Whole(usize, Plain),
    /// Any other segment.
    Segment(usize, &'a Segment),
    /// This segment and everything behind it.
    Rest(usize),
}

impl Params {
    /// Those of a pattern.
    pub fn of(pattern: &Pattern) -> Params {
        let all = || (0u32..).zip(&pattern.segments).filter(|(_, segment)| !matches!(segment, Segment::Literal(_)));
        let mut places = [(0, Shape::Rest); FEW];
        let mut len = 0;
        for (at, segment) in all() {
            match (places.get_mut(len), u8::try_from(at), shape(segment)) {
                (Some(place), Ok(at), Some(shape)) => *place = (at, shape),
                _ => return Params::Many(all().map(|(at, segment)| (at, segment.clone())).collect()),
            }
            len += 1;
        }
        Params::Few { len: len as u8, places }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        match self {
            Params::Few { len, .. } => usize::from(*len),
            Params::Many(all) => all.len(),
        }
    }

    /// There are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// One of them.
    #[inline]
    pub fn get(&self, index: usize) -> Option<Param<'_>> {
        match self {
            Params::Few { len, places } => {
                let (at, shape) = *places.get(..usize::from(*len))?.get(index)?;
                Some(shape.at(usize::from(at)))
            }
            Params::Many(all) => {
                let (at, segment) = all.get(index)?;
                let at = *at as usize;
                Some(shape(segment).map_or(Param::Segment(at, segment), |shape| shape.at(at)))
            }
        }
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = Param<'_>> {
        (0..).map_while(|index| self.get(index))
    }

    /// Every value is of its parameter's type, and the text around it is there. The path has the pattern's segments otherwise.
    pub fn fit(&self, path: &Split) -> bool {
        self.iter().all(|param| param.fits(path))
    }
}

/// None for those that the pattern must say more about.
fn shape(segment: &Segment) -> Option<Shape> {
    match segment {
        Segment::Literal(_) => None,
        Segment::Rest(_) => Some(Shape::Rest),
        Segment::Param { ty, prefix, suffix, .. } => {
            Plain::of(ty).filter(|_| prefix.is_empty() && suffix.is_empty()).map(Shape::Whole)
        }
    }
}

impl Shape {
    #[inline]
    fn at<'a>(self, at: usize) -> Param<'a> {
        match self {
            Shape::Whole(ty) => Param::Whole(at, ty),
            Shape::Rest => Param::Rest(at),
        }
    }
}

impl Param<'_> {
    /// What it takes of a path, as it stands there. That of `{rest...}` begins with the slash before it, and is empty where the
    /// path ends without one.
    #[inline]
    pub fn raw<'p>(&self, path: &Split<'p>) -> Option<&'p str> {
        match self {
            Param::Whole(at, _) => path.segment(*at).filter(|segment| !segment.is_empty()),
            Param::Segment(at, Segment::Param { prefix, suffix, .. }) => {
                fit::between(path.segment(*at)?, prefix, suffix)
            }
            Param::Segment(..) => None,
            Param::Rest(at) => Some(path.tail(*at)),
        }
    }

    /// Whether such a value is of its type.
    pub fn accepts(&self, raw: &str) -> bool {
        match self {
            Param::Whole(_, ty) => ty.accepts(raw),
            Param::Segment(_, Segment::Param { ty, .. }) => fit::accepts(ty, raw),
            Param::Segment(..) | Param::Rest(_) => true,
        }
    }

    #[inline]
    fn fits(&self, path: &Split) -> bool {
        match self {
            Param::Whole(_, Plain::Text) | Param::Rest(_) => true,
            Param::Whole(..) | Param::Segment(..) => self.raw(path).is_some_and(|raw| self.accepts(raw)),
        }
    }

    /// The same where `path` is in lower case and affixes are, too; `plain` is the same path in its own case. Who ignores case
    /// does so in types as well: either may be of the type.
    pub(super) fn fits_folded(&self, path: &Split, plain: &Split) -> bool {
        let Some(value) = self.raw(path) else { return false };
        let own = || match self {
            Param::Whole(at, _) => plain.segment(*at),
            Param::Segment(at, Segment::Param { prefix, .. }) => {
                plain.segment(*at)?.get(prefix.len()..prefix.len() + value.len())
            }
            Param::Segment(..) | Param::Rest(_) => None,
        };
        self.accepts(value) || own().is_some_and(|own| self.accepts(own))
    }
}

/// Why a pattern does not fit a path that has its literals.
#[derive(Clone, Debug)]
pub enum Misfit<'a> {
    /// The literal text around a parameter is not there: the pattern itself does not fit.
    Affix,
    /// A parameter is not of its type.
    Type {
        /// The parameter.
        name: &'a str,
        /// Its type.
        ty: &'a ParamType,
        /// What stands in its place, decoded.
        value: String,
    },
}

/// Why the parameters of a pattern do not fit, if they do not.
pub fn misfit<'a>(pattern: &'a Pattern, path: &Split) -> Option<Misfit<'a>> {
    let mut first = None;
    for (at, segment) in pattern.segments.iter().enumerate() {
        let Segment::Param { name, ty, prefix, suffix } = segment else { continue };
        let Some(value) = path.segment(at).and_then(|text| fit::between(text, prefix, suffix)) else {
            return Some(Misfit::Affix);
        };
        if first.is_none() && !fit::accepts(ty, value) {
            first = Some(Misfit::Type { name: &name.text, ty, value: fit::decode(value).into_owned() });
        }
    }
    first
}

#[cfg(test)]
mod tests {
    use super::super::testing::pattern;
    use super::*;

    #[test]
    fn many_are_as_few() {
        let path = "/a".repeat(300) + "/7/b/c.d/e/f";
        let split = Split::new(&path);
        let deep = "/a".repeat(300) + "/{n: int}/{s}/{x}.d/{rest...}";
        let long = "/{x}".repeat(12) + "/{rest...}";
        for (text, lies_here, first, last) in [
            ("/a/{x}/{rest...}", true, "a", "/a".repeat(298) + "/7/b/c.d/e/f"),
            (&*deep, false, "7", "/e/f".into()),
            (&*long, false, "a", "/a".repeat(288) + "/7/b/c.d/e/f"),
        ] {
            let params = Params::of(&pattern(text));
            assert_eq!(matches!(params, Params::Few { .. }), lies_here, "{text}");
            assert_eq!(params.iter().count(), params.len());
            assert!(params.fit(&split));
            assert_eq!(params.get(0).and_then(|p| p.raw(&split)), Some(first));
            assert_eq!(params.get(params.len() - 1).and_then(|p| p.raw(&split)), Some(&*last));
            assert!(params.get(params.len()).is_none());
        }
        assert!(!Params::of(&pattern(&deep.replace("{s}", "{s: int}"))).fit(&split));
    }
}
