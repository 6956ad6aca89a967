//! `+` and `-`: exact, or an error.

use super::EvalError;
use crate::model::value::Value;
use std::time::Duration;

pub(super) fn add(a: &Value<'_>, b: &Value<'_>) -> Result<Value<'static>, EvalError> {
    use Value::*;
    let sum = match (a, b) {
        (Int(a), Int(b)) => a.checked_add(*b).map(Int),
        (Size(a), Size(b)) => a.checked_add(*b).map(Size),
        (Duration(a), Duration(b)) => a.checked_add(*b).map(Duration),
        (Time(t), Duration(d)) | (Duration(d), Time(t)) => span(*d).and_then(|d| t.checked_add(d).ok()).map(Time),
        (Date(t), Duration(d)) | (Duration(d), Date(t)) => days(*d).and_then(|d| t.checked_add(d).ok()).map(Date),
        (Percent(a), Percent(b)) => Some(a + b).filter(|v| *v <= 100.0).map(Percent),
        (a, b) => number(a).zip(number(b)).map(|(a, b)| a + b).filter(|v| v.is_finite()).map(Float),
    };
    sum.ok_or(EvalError::Overflow)
}

pub(super) fn subtract(a: &Value<'_>, b: &Value<'_>) -> Result<Value<'static>, EvalError> {
    use Value::*;
    let difference = match (a, b) {
        (Int(a), Int(b)) => a.checked_sub(*b).map(Int),
        (Size(a), Size(b)) => a.checked_sub(*b).map(Size),
        (Duration(a), Duration(b)) => a.checked_sub(*b).map(Duration),
        (Time(t), Duration(d)) => span(*d).and_then(|d| t.checked_sub(d).ok()).map(Time),
        (Time(a), Time(b)) => a.duration_since(*b).try_into().ok().map(Duration),
        (Date(t), Duration(d)) => days(*d).and_then(|d| t.checked_sub(d).ok()).map(Date),
        (Percent(a), Percent(b)) => Some(a - b).filter(|v| *v >= 0.0).map(Percent),
        (a, b) => number(a).zip(number(b)).map(|(a, b)| a - b).filter(|v| v.is_finite()).map(Float),
    };
    difference.ok_or(EvalError::Overflow)
}

fn number(v: &Value<'_>) -> Option<f64> {
    match v {
        Value::Int(v) => Some(*v as f64),
        Value::Float(v) => Some(*v),
        _ => None,
    }
}

fn span(d: Duration) -> Option<jiff::SignedDuration> {
    d.try_into().ok()
}

/// A date moves by whole days.
fn days(d: Duration) -> Option<jiff::Span> {
    let whole = d.as_secs().is_multiple_of(86_400) && d.subsec_nanos() == 0;
    let days = i64::try_from(d.as_secs() / 86_400).ok().filter(|_| whole)?;
    jiff::Span::new().try_days(days).ok()
}
