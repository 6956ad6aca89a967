//! The evaluator: total, without panics, at a cost bounded by the expression and what it reads.
#![deny(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

mod arithmetic;
mod functions;

pub use functions::moment_text;

use super::facts::Fact;
use super::ir::{Comparison, Ir};
use super::table::TableData;
use super::value::{Json, Secret, Value};
use std::borrow::Cow;
use std::cmp::Ordering;
use std::sync::Arc;

/// What an expression can ask. Explain records by wrapping one.
pub trait Facts<'a> {
    /// The value of a fact; null where it is absent (or not known yet).
    fn fact(&self, fact: &'a Fact) -> Value<'a>;
    /// A path or host parameter, as a value of its type.
    fn param(&self, slot: u16) -> Value<'a>;
    /// A table as it is now.
    fn table(&self, id: u32) -> Arc<TableData>;
    /// The current time.
    fn now(&self) -> jiff::Timestamp;
    /// 128 random bits.
    fn random(&self) -> u128;
}

/// Why an expression has no value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EvalError {
    /// A sum or difference does not fit its type.
    Overflow,
    /// A list, an object or null where a text must stand.
    NotText,
    /// A date format that says nothing (its pattern came from the request).
    Format,
}

impl std::fmt::Display for EvalError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            EvalError::Overflow => "a sum or difference is too large or too small for its type",
            EvalError::NotText => "a list, an object or null stands where a text must",
            EvalError::Format => "the pattern of `format` is not one",
        })
    }
}

/// Knows nothing: for constants.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoFacts;

impl<'a> Facts<'a> for NoFacts {
    fn fact(&self, _: &'a Fact) -> Value<'a> {
        Value::Null
    }
    fn param(&self, _: u16) -> Value<'a> {
        Value::Null
    }
    fn table(&self, _: u32) -> Arc<TableData> {
        Arc::new(TableData::default())
    }
    fn now(&self) -> jiff::Timestamp {
        jiff::Timestamp::UNIX_EPOCH
    }
    fn random(&self) -> u128 {
        0
    }
}

/// Whether a condition holds: what is not `true` does not.
///
/// # Errors
/// As [`eval`].
pub fn holds<'a, F: Facts<'a> + ?Sized>(ir: &'a Ir, facts: &F) -> Result<bool, EvalError> {
    Ok(eval(ir, facts)?.is_true())
}

/// The value of an expression.
///
/// # Errors
/// Where an operation has no result; see [`EvalError`].
pub fn eval<'a, F: Facts<'a> + ?Sized>(ir: &'a Ir, facts: &F) -> Result<Value<'a>, EvalError> {
    Ok(match ir {
        Ir::Const(value) => value.borrowed(),
        Ir::Input(_) => Value::Null,
        Ir::Fact(fact) => facts.fact(fact),
        Ir::Param(slot) => facts.param(*slot),
        Ir::Text(parts) => text(parts, facts)?,
        Ir::Field(of, name) => field(eval(of, facts)?, name),
        Ir::Index(of, at) => index(eval(of, facts)?, &eval(at, facts)?),
        Ir::Lookup(table, key) => {
            let key = eval(key, facts)?;
            let table = facts.table(*table);
            key.as_str().and_then(|k| table.get(k)).cloned().unwrap_or(Value::Null)
        }
        Ir::InTable(value, table) => Value::Bool(facts.table(*table).contains(&eval(value, facts)?)),
        Ir::Call(function, arguments) => functions::call(*function, arguments, facts)?,
        Ir::Not(a) => Value::Bool(!holds(a, facts)?),
        Ir::And(a, b) => Value::Bool(holds(a, facts)? && holds(b, facts)?),
        Ir::Or(a, b) => Value::Bool(holds(a, facts)? || holds(b, facts)?),
        Ir::Compare(how, a, b) => Value::Bool(compare(*how, &eval(a, facts)?, &eval(b, facts)?)),
        Ir::In(a, b) => Value::Bool(contains(&eval(b, facts)?, &eval(a, facts)?)),
        Ir::HasSeveral(a, b, all) => Value::Bool(has(&eval(a, facts)?, &eval(b, facts)?, *all)),
        Ir::Matches(a, pattern) => {
            let value = eval(a, facts)?;
            Value::Bool(value.as_str().is_some_and(|t| pattern.is_match(t)))
        }
        Ir::StartsWith(a, b) => {
            let (a, b) = (eval(a, facts)?, eval(b, facts)?);
            Value::Bool(matches!((a.as_str(), b.as_str()), (Some(a), Some(b)) if a.starts_with(b)))
        }
        Ir::EndsWith(a, b) => {
            let (a, b) = (eval(a, facts)?, eval(b, facts)?);
            Value::Bool(matches!((a.as_str(), b.as_str()), (Some(a), Some(b)) if a.ends_with(b)))
        }
        Ir::Coalesce(a, b) => match eval(a, facts)? {
            absent if absent.is_null() => eval(b, facts)?,
            value => value,
        },
        Ir::Add(a, b) => arithmetic::add(&eval(a, facts)?, &eval(b, facts)?)?,
        Ir::Subtract(a, b) => arithmetic::subtract(&eval(a, facts)?, &eval(b, facts)?)?,
        Ir::Match(subject, arms, otherwise) => {
            let subject = eval(subject, facts)?;
            match (arms.iter().find(|(pattern, _)| pattern.equals(&subject)), otherwise) {
                (Some((_, result)), _) => eval(result, facts)?,
                (None, Some(result)) => eval(result, facts)?,
                (None, None) => Value::Null,
            }
        }
        Ir::List(elements) => {
            let values = elements.iter().map(|e| Ok(eval(e, facts)?.into_static())).collect::<Result<_, _>>()?;
            Value::List(Cow::Owned(values))
        }
        Ir::Object(fields) => {
            let values =
                fields.iter().map(|(k, e)| Ok((k.clone(), eval(e, facts)?.into_static()))).collect::<Result<_, _>>()?;
            Value::Map(Cow::Owned(values))
        }
    })
}

fn text<'a, F: Facts<'a> + ?Sized>(parts: &'a [Ir], facts: &F) -> Result<Value<'a>, EvalError> {
    let mut out = String::new();
    let mut secret = false;
    for part in parts {
        let value = eval(part, facts)?;
        secret |= matches!(value, Value::Secret(_));
        out.push_str(&value.text().ok_or(EvalError::NotText)?);
    }
    Ok(match secret {
        true => Value::Secret(Secret::new(&out)),
        false => Value::Str(Cow::Owned(out)),
    })
}

fn compare(how: Comparison, a: &Value<'_>, b: &Value<'_>) -> bool {
    match how {
        Comparison::Equal => a.equals(b),
        Comparison::NotEqual => !a.equals(b),
        Comparison::Less => a.order(b).is_some_and(Ordering::is_lt),
        Comparison::LessEqual => a.order(b).is_some_and(Ordering::is_le),
        Comparison::Greater => a.order(b).is_some_and(Ordering::is_gt),
        Comparison::GreaterEqual => a.order(b).is_some_and(Ordering::is_ge),
    }
}

fn json(value: &serde_json::Value) -> Value<'_> {
    Value::Json(Json::Borrowed(value))
}

/// An element of a list, an address in a network, a key of a map.
fn contains(whole: &Value<'_>, element: &Value<'_>) -> bool {
    match whole {
        Value::List(values) => values.iter().any(|v| match (v, element) {
            (Value::Cidr(net), Value::Ip(ip)) => net.contains(&ip.to_canonical()),
            _ => v.equals(element),
        }),
        Value::Cidr(net) => match element {
            Value::Ip(ip) => net.contains(&ip.to_canonical()),
            Value::Cidr(inner) => net.contains(inner),
            _ => false,
        },
        Value::Map(fields) => element.as_str().is_some_and(|k| fields.iter().any(|(name, _)| name == k)),
        Value::Json(j) => match &**j {
            serde_json::Value::Array(values) => values.iter().any(|v| json(v).equals(element)),
            serde_json::Value::Object(fields) => element.as_str().is_some_and(|k| fields.contains_key(k)),
            _ => false,
        },
        _ => false,
    }
}

fn has(whole: &Value<'_>, wanted: &Value<'_>, all: bool) -> bool {
    let test = |v: &Value<'_>| contains(whole, v);
    match wanted {
        Value::List(values) if all => values.iter().all(test),
        Value::List(values) => values.iter().any(test),
        Value::Json(j) => match (j.as_array(), all) {
            (Some(values), true) => values.iter().all(|v| test(&json(v))),
            (Some(values), false) => values.iter().any(|v| test(&json(v))),
            (None, _) => all && j.is_null(),
        },
        _ => all,
    }
}

/// A field of an object; borrows where the object is borrowed.
fn field<'a>(of: Value<'a>, name: &str) -> Value<'a> {
    match of {
        Value::Map(Cow::Borrowed(fields)) => {
            fields.iter().find(|(k, _)| k == name).map_or(Value::Null, |(_, v)| v.borrowed())
        }
        Value::Map(Cow::Owned(fields)) => fields.into_iter().find(|(k, _)| k == name).map_or(Value::Null, |(_, v)| v),
        Value::Json(Json::Borrowed(j)) => j.get(name).map_or(Value::Null, json),
        Value::Json(Json::Owned(mut j)) => j.get_mut(name).map_or(Value::Null, |v| v.take().into()),
        _ => Value::Null,
    }
}

/// An element of a list (from 0) or a field.
fn index<'a>(of: Value<'a>, at: &Value<'_>) -> Value<'a> {
    let position = match at {
        Value::Int(i) => usize::try_from(*i).ok(),
        Value::Json(j) => j.as_u64().and_then(|i| usize::try_from(i).ok()),
        _ => None,
    };
    let Some(i) = position else { return at.as_str().map_or(Value::Null, |name| field(of, name)) };
    match of {
        Value::List(Cow::Borrowed(values)) => values.get(i).map_or(Value::Null, Value::borrowed),
        Value::List(Cow::Owned(values)) => values.into_iter().nth(i).unwrap_or(Value::Null),
        Value::Json(Json::Borrowed(j)) => j.get(i).map_or(Value::Null, json),
        Value::Json(Json::Owned(mut j)) => j.get_mut(i).map_or(Value::Null, |v| v.take().into()),
        _ => Value::Null,
    }
}
