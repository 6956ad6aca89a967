//! Which of two patterns that fit one path is asked first.
//!
//! Segment by segment from the first: literal, affixed, typed, plain, `{rest...}`. Where two patterns are alike in that,
//! the narrower one goes first: more literal text around a parameter, then the narrower type (`uint` before `int`).

use crate::model::ast::{ParamType, Pattern, Segment};
use std::cmp::Ordering;

/// The classes of segments, the most specific first. The order of the variants is the order of the language.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    /// `orders`
    Literal,
    /// `report-{day}.csv`
    Affixed,
    /// `{id: int}`
    Typed,
    /// `{name}`
    Plain,
    /// `{rest...}`
    Rest,
}

/// The class of a segment.
pub fn class(segment: &Segment) -> Class {
    match segment {
        Segment::Literal(_) => Class::Literal,
        Segment::Param { prefix, suffix, .. } if !prefix.is_empty() || !suffix.is_empty() => Class::Affixed,
        Segment::Param { ty: ParamType::String, .. } => Class::Plain,
        Segment::Param { .. } => Class::Typed,
        Segment::Rest(_) => Class::Rest,
    }
}

/// Compares two patterns of the same classes by how narrow their parameters are, from the first segment.
pub fn narrower(a: &Pattern, b: &Pattern) -> Ordering {
    a.segments
        .iter()
        .zip(&b.segments)
        .map(|(a, b)| narrowness(a).cmp(&narrowness(b)))
        .find(|o| o.is_ne())
        .unwrap_or(Ordering::Equal)
}

/// Smaller is narrower.
fn narrowness(segment: &Segment) -> (isize, isize, u8) {
    match segment {
        Segment::Param { ty, prefix, suffix, .. } => {
            (-((prefix.len() + suffix.len()) as isize), -(prefix.len() as isize), type_rank(ty))
        }
        Segment::Literal(_) | Segment::Rest(_) => (0, 0, 0),
    }
}

/// Types, the narrower before the wider where one holds the other; the others have no value in common
/// (but for expressions, which say less about themselves and go last).
fn type_rank(ty: &ParamType) -> u8 {
    match ty {
        ParamType::Date => 0,
        ParamType::Uuid => 1,
        ParamType::Uint => 2,
        ParamType::Int => 3,
        ParamType::Matches(_) => 4,
        ParamType::String => 5,
    }
}

/// How two routes at one place follow one another, their own order in the source left out: by pattern, by the form of
/// the trailing slash, named methods before `ANY`, with `when` before without.
pub(crate) fn rank(a: &super::RouteKey, b: &super::RouteKey, trailing_slash: bool) -> Ordering {
    let other_form = |k: &super::RouteKey| k.is_other_form(trailing_slash);
    narrower(&a.pattern, &b.pattern)
        .then_with(|| other_form(a).cmp(&other_form(b)))
        .then_with(|| a.methods.rank().cmp(&b.methods.rank()))
        .then_with(|| b.has_when.cmp(&a.has_when))
}

/// How two routes of one host are listed: the one that is asked first goes first, as far as one request can meet both;
/// strangers follow one another by their text.
pub fn by_specificity(a: &super::RouteKey, b: &super::RouteKey) -> Ordering {
    let text = |segment: &Segment| match segment {
        Segment::Literal(text) => text.clone(),
        Segment::Param { .. } | Segment::Rest(_) => Default::default(),
    };
    let shape = |pattern: &Pattern| pattern.segments.iter().map(|s| (class(s), text(s))).collect::<Vec<_>>();
    (shape(&a.pattern).cmp(&shape(&b.pattern)))
        .then_with(|| rank(a, b, false))
        .then_with(|| a.pattern.trailing_slash.cmp(&b.pattern.trailing_slash))
        .then_with(|| a.order.cmp(&b.order))
}
