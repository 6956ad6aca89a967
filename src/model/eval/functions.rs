//! What the functions do.

use super::{EvalError, Facts, eval};
use crate::model::functions::Function;
use crate::model::ir::Ir;
use crate::model::value::{Json, Secret, Value};
use base64::Engine;
use smol_str::SmolStr;
use std::borrow::Cow;

pub(super) fn call<'a, F: Facts<'a> + ?Sized>(
    function: Function,
    arguments: &'a [Ir],
    facts: &F,
) -> Result<Value<'a>, EvalError> {
    match function {
        Function::Now => return Ok(Value::Time(facts.now())),
        Function::Uuid => {
            return Ok(Value::Uuid(uuid::Builder::from_random_bytes(facts.random().to_be_bytes()).into_uuid()));
        }
        _ => {}
    }
    let mut given = arguments.iter();
    let Some(first) = given.next() else { return Ok(Value::Null) };
    let first = eval(first, facts)?;
    let second = given.next().map(|a| eval(a, facts)).transpose()?.unwrap_or(Value::Null);
    let secret = matches!(first, Value::Secret(_));
    let result = match function {
        Function::Text => Value::Str(first.into_text().ok_or(EvalError::NotText)?),
        Function::Lower => lowered(first.into_text().ok_or(EvalError::NotText)?),
        Function::Upper => owned(string(&first)?.to_uppercase()),
        Function::Trim => match first.into_text().ok_or(EvalError::NotText)? {
            Cow::Borrowed(t) => Value::str(t.trim()),
            Cow::Owned(t) => owned(t.trim().to_owned()),
        },
        Function::Split => split(&string(&first)?, &string(&second)?),
        Function::Join => join(&first, &string(&second)?)?,
        Function::Replace => {
            let to = given.next().map(|a| eval(a, facts)).transpose()?.unwrap_or(Value::Null);
            replace(&string(&first)?, &string(&second)?, &string(&to)?)?
        }
        Function::Len => Value::Int(len(&first)),
        Function::Pick | Function::Omit => {
            let mut names = vec![SmolStr::new(string(&second)?)];
            for argument in given {
                names.push(SmolStr::new(string(&eval(argument, facts)?)?));
            }
            fields(&first, &names, function == Function::Pick)
        }
        Function::Json => owned(first.to_json().to_string()),
        Function::Base64 => owned(base64::engine::general_purpose::STANDARD.encode(bytes(&first)?)),
        Function::Hash => owned(sha256(&bytes(&first)?)),
        Function::Format => moment_text(&first, &string(&second)?)?,
        Function::Now | Function::Uuid => Value::Null,
    };
    // What is made from a secret is one.
    Ok(match result {
        Value::Str(text) if secret => Value::Secret(Secret::new(&text)),
        other => other,
    })
}

fn owned(text: String) -> Value<'static> {
    Value::Str(Cow::Owned(text))
}

fn string<'v>(value: &'v Value<'_>) -> Result<Cow<'v, str>, EvalError> {
    value.text().ok_or(EvalError::NotText)
}

fn bytes<'v>(value: &'v Value<'_>) -> Result<Cow<'v, [u8]>, EvalError> {
    match value {
        Value::Bytes(b) => Ok(Cow::Borrowed(b.as_ref())),
        other => Ok(match string(other)? {
            Cow::Borrowed(t) => Cow::Borrowed(t.as_bytes()),
            Cow::Owned(t) => Cow::Owned(t.into_bytes()),
        }),
    }
}

/// Allocates only where something changes.
fn lowered(text: Cow<'_, str>) -> Value<'_> {
    match text.chars().any(char::is_uppercase) {
        true => owned(text.to_lowercase()),
        false => Value::Str(text),
    }
}

fn split(text: &str, separator: &str) -> Value<'static> {
    let part = |t: &str| Value::Str(Cow::Owned(t.to_owned()));
    let parts = match separator {
        "" => vec![part(text)],
        separator => text.split(separator).map(part).collect(),
    };
    Value::List(Cow::Owned(parts))
}

/// Longer results than this are an error: what a request makes the gateway build is bounded.
const MAX_TEXT: usize = 1 << 20;

fn replace(text: &str, from: &str, to: &str) -> Result<Value<'static>, EvalError> {
    if from.is_empty() {
        return Ok(owned(text.to_owned()));
    }
    let grows = text.matches(from).count().saturating_mul(to.len());
    match grows.saturating_add(text.len()) > MAX_TEXT {
        true => Err(EvalError::Overflow),
        false => Ok(owned(text.replace(from, to))),
    }
}

fn join(list: &Value<'_>, separator: &str) -> Result<Value<'static>, EvalError> {
    let mut out = String::new();
    let mut push = |i: usize, value: &Value<'_>| {
        if i > 0 {
            out.push_str(separator);
        }
        out.push_str(&value.text().ok_or(EvalError::NotText)?);
        if out.len() > MAX_TEXT { Err(EvalError::Overflow) } else { Ok(()) }
    };
    match list {
        Value::List(values) => values.iter().enumerate().try_for_each(|(i, v)| push(i, v))?,
        Value::Json(j) => match &**j {
            serde_json::Value::Array(values) => {
                values.iter().enumerate().try_for_each(|(i, v)| push(i, &Value::Json(Json::Borrowed(v))))?;
            }
            serde_json::Value::Null => {}
            _ => return Err(EvalError::NotText),
        },
        Value::Null => {}
        _ => return Err(EvalError::NotText),
    }
    Ok(owned(out))
}

fn len(value: &Value<'_>) -> i64 {
    let n = match value {
        Value::List(l) => l.len(),
        Value::Map(m) => m.len(),
        Value::Bytes(b) => b.len(),
        Value::Json(j) => match &**j {
            serde_json::Value::Array(a) => a.len(),
            serde_json::Value::Object(o) => o.len(),
            serde_json::Value::String(s) => s.chars().count(),
            _ => 0,
        },
        other => other.as_str().map_or(0, |t| t.chars().count()),
    };
    i64::try_from(n).unwrap_or(i64::MAX)
}

fn fields(of: &Value<'_>, names: &[SmolStr], keep: bool) -> Value<'static> {
    let mut json = of.to_json();
    if let Some(map) = json.as_object_mut() {
        map.retain(|k, _| names.iter().any(|n| n == k) == keep);
    }
    json.into()
}

fn sha256(data: &[u8]) -> String {
    use std::fmt::Write;
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, data);
    digest.as_ref().iter().fold(String::with_capacity(64), |mut out, byte| {
        // Writing to a String does not fail.
        let _ = write!(out, "{byte:02x}");
        out
    })
}

/// A `time` (in UTC) or `date` by a strftime pattern.
///
/// # Errors
/// When the pattern is none.
pub fn moment_text(moment: &Value<'_>, pattern: &str) -> Result<Value<'static>, EvalError> {
    let text = match moment {
        Value::Time(t) => jiff::fmt::strtime::format(pattern, *t),
        Value::Date(d) => jiff::fmt::strtime::format(pattern, *d),
        _ => return Err(EvalError::Format),
    };
    text.map(owned).map_err(|_| EvalError::Format)
}
