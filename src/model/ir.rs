//! Typed, resolved expressions: what [`crate::check`] makes and [`super::eval`] runs.

use super::facts::Fact;
use super::functions::Function;
use super::value::Value;
use smol_str::SmolStr;

/// An expression whose names are resolved and whose types fit.
#[derive(Clone, Debug)]
pub enum Ir {
    /// Known before serving.
    Const(Value<'static>),
    /// An input without a value: only a program that is checked and not served has one. Gives null.
    Input(SmolStr),
    /// A fact of the request.
    Fact(Fact),
    /// A path or host parameter, by its slot.
    Param(u16),
    /// The concatenation of texts.
    Text(Box<[Ir]>),
    /// A field of an object or JSON; null where it is not there.
    Field(Box<Ir>, SmolStr),
    /// An element of a list, map or JSON; null where it is not there.
    Index(Box<Ir>, Box<Ir>),
    /// The value of a key in a `{string: T}` table; null where it is not there.
    Lookup(u32, Box<Ir>),
    /// Whether a table has a value (or a map table a key).
    InTable(Box<Ir>, u32),
    /// A function.
    Call(Function, Box<[Ir]>),
    /// `not`.
    Not(Box<Ir>),
    /// `and`: the right side only where the left holds.
    And(Box<Ir>, Box<Ir>),
    /// `or`: the right side only where the left does not hold.
    Or(Box<Ir>, Box<Ir>),
    /// `== != < <= > >=`.
    Compare(Comparison, Box<Ir>, Box<Ir>),
    /// An element in a list, an address in a network, a key in a map.
    In(Box<Ir>, Box<Ir>),
    /// `has any` (or, with `true`, `has all`) of the right list in the left one.
    HasSeveral(Box<Ir>, Box<Ir>, bool),
    /// `matches`: anywhere in the text unless the pattern is anchored.
    Matches(Box<Ir>, regex::Regex),
    /// `starts-with`.
    StartsWith(Box<Ir>, Box<Ir>),
    /// `ends-with`.
    EndsWith(Box<Ir>, Box<Ir>),
    /// `??`.
    Coalesce(Box<Ir>, Box<Ir>),
    /// `+`.
    Add(Box<Ir>, Box<Ir>),
    /// `-`.
    Subtract(Box<Ir>, Box<Ir>),
    /// `match`; without a fitting arm and `else`, null.
    Match(Box<Ir>, Box<[(Value<'static>, Ir)]>, Option<Box<Ir>>),
    /// `[a, b]`.
    List(Box<[Ir]>),
    /// `{ a: b }`.
    Object(Box<[(SmolStr, Ir)]>),
}

/// The comparisons.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Comparison {
    Equal,
    NotEqual,
    Less,
    LessEqual,
    Greater,
    GreaterEqual,
}

impl Ir {
    /// Calls `visit` for this expression and every one inside.
    pub fn walk<'a>(&'a self, visit: &mut impl FnMut(&'a Ir)) {
        visit(self);
        match self {
            Ir::Const(_) | Ir::Input(_) | Ir::Fact(_) | Ir::Param(_) => {}
            Ir::Text(parts) | Ir::Call(_, parts) | Ir::List(parts) => parts.iter().for_each(|p| p.walk(visit)),
            Ir::Object(fields) => fields.iter().for_each(|(_, v)| v.walk(visit)),
            Ir::Field(a, _) | Ir::Lookup(_, a) | Ir::InTable(a, _) | Ir::Not(a) | Ir::Matches(a, _) => a.walk(visit),
            Ir::Index(a, b)
            | Ir::And(a, b)
            | Ir::Or(a, b)
            | Ir::Compare(_, a, b)
            | Ir::In(a, b)
            | Ir::HasSeveral(a, b, _)
            | Ir::StartsWith(a, b)
            | Ir::EndsWith(a, b)
            | Ir::Coalesce(a, b)
            | Ir::Add(a, b)
            | Ir::Subtract(a, b) => {
                a.walk(visit);
                b.walk(visit);
            }
            Ir::Match(subject, arms, otherwise) => {
                subject.walk(visit);
                arms.iter().for_each(|(_, v)| v.walk(visit));
                if let Some(o) = otherwise {
                    o.walk(visit);
                }
            }
        }
    }
}
