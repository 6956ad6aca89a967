//! Limits: which apply to a request, what each counts it under, and what the counters say.

use super::Decided;
use super::admit::{Refused, holds};
use super::facts::Reader;
use super::world::{Trace, World};
use crate::model::eval::{EvalError, eval};
use crate::model::ir::Ir;
use crate::model::value::{Rate, Value, duration_text};
use crate::plan::{LimitKind, LimitUse, Plan, Step};
use crate::policy::limit::{self, Check, Kind, RateLimits};
use crate::policy::problem::FailureKind;
use http::HeaderValue;
use std::ops::Range;
use std::time::Duration;

/// All limits of a phase are tested, then all taken.
pub(super) async fn limits<W: World, T: Trace>(
    decided: &mut Decided<'_>,
    phase: &'static str,
    steps: &[Step<LimitUse>],
    world: &W,
    trace: &T,
) -> Result<(), Refused> {
    let cx = &decided.cx;
    // All keys, one behind the other, and which belongs to which limit.
    let mut text = Vec::with_capacity(64);
    let mut counted: Vec<(usize, Range<usize>, Kind)> = Vec::with_capacity(steps.len());
    for (i, step) in steps.iter().enumerate() {
        let reader = Reader { cx, world, trace, response: None };
        if !holds(&step.guards, &reader) {
            trace.step(phase, &step.origin, || "not counted: its `when` does not hold".into());
            continue;
        }
        let from = text.len();
        match limit_key(&step.what, &reader, &mut text) {
            Ok(true) => {}
            Ok(false) => {
                text.truncate(from);
                trace.step(phase, &step.origin, || "not counted: its key is absent".into());
                continue;
            }
            Err(e) => return Err(Refused::new(FailureKind::Internal, format!("the key of {}: {e}", step.origin.text))),
        }
        match limit_kind(cx.plan, &step.what, &reader) {
            Some(kind) => {
                trace.keep(i);
                counted.push((i, from..text.len(), kind));
            }
            None => {
                return Err(Refused::new(
                    FailureKind::Internal,
                    format!("{} has no rate for this request", step.origin.text),
                ));
            }
        }
    }
    let identity = |i: usize| steps.get(i).and_then(|s| cx.plan.limits.get(s.what.limit.index()));
    let checks: Vec<Check<'_>> = counted
        .iter()
        .map(|(i, key, kind)| Check {
            limit: identity(*i).map_or(0, |l| l.identity),
            key: text.get(key.clone()).unwrap_or_default(),
            kind: *kind,
            report_only: steps.get(*i).is_some_and(|s| s.report_only),
        })
        .collect();
    let mut verdict = world.take(&checks).await;
    let name = |n: usize| counted.get(n).and_then(|(i, _, _)| identity(*i)).map_or("limit", |l| l.name.as_str());
    let fields = RateLimits::new(&checks, &verdict, name);
    if T::ON {
        for (n, ((i, _, kind), check)) in counted.iter().zip(&checks).enumerate() {
            let Some(step) = steps.get(*i) else { continue };
            let key = match step.what.key.len() {
                0 => "one counter for all".into(),
                1 => format!("key {:?}", String::from_utf8_lossy(check.key)),
                n => format!("a key of {n} parts"),
            };
            let of = verdict.refused.filter(|(r, _)| *r == n).or(verdict.tightest.filter(|(t, _)| *t == n));
            let left = of.map(|(_, s)| format!(", {} of {} left", s.remaining, s.capacity)).unwrap_or_default();
            let says = match verdict.refused {
                Some((r, s)) if r == n => format!("refused, next one in {}", duration_text(rounded(s.wait))),
                _ if verdict.reported.contains(&n) => "would refuse; report-only, so the request goes on".into(),
                _ => "lets it through".into(),
            };
            trace.kept(*i);
            trace.step(phase, &step.origin, || format!("{says} ({key}, {}{left})", amount(kind)));
        }
    }
    let refused = verdict.refused.map(|(n, standing)| {
        let mut refused = Refused::new(FailureKind::Limited, format!("{} is used up", name(n)));
        refused.fields.push((http::header::RETRY_AFTER, limit::retry_after(standing.wait)));
        refused
    });
    decided.holds.append(&mut verdict.holds);
    merge(&mut decided.rate_limits, fields);
    refused.map_or(Ok(()), Err)
}

/// Up to whole milliseconds.
fn rounded(wait: Duration) -> Duration {
    Duration::from_millis(u64::try_from(wait.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX))
}

fn amount(kind: &Kind) -> String {
    match kind {
        Kind::Sliding(r) => format!("{r}"),
        Kind::Bucket { rate, burst } => format!("{rate} burst {burst}"),
        Kind::Fixed(r) => format!("{r} fixed"),
        Kind::Concurrent(n) => format!("{n} at once"),
    }
}

/// The later phase's policies stand behind the earlier ones', and the later tightest counts.
fn merge(into: &mut Option<RateLimits>, new: RateLimits) {
    let Some(old) = into.take() else {
        *into = Some(new);
        return;
    };
    let policy = match (old.policy, new.policy) {
        (Some(a), Some(b)) => {
            let joined = [a.as_bytes(), b", ", b.as_bytes()].concat();
            HeaderValue::from_bytes(&joined).ok()
        }
        (a, b) => a.or(b),
    };
    *into = Some(RateLimits {
        policy,
        remaining: new.remaining.or(old.remaining),
        retry_after: new.retry_after.or(old.retry_after),
    });
}

/// Writes the key's parts; false where one is absent and the limit skips.
pub(super) fn limit_key<'a, W: World, T: Trace>(
    l: &'a LimitUse,
    reader: &Reader<'a, W, T>,
    key: &mut Vec<u8>,
) -> Result<bool, EvalError> {
    for part in &l.key {
        let value = eval(part, reader)?;
        match value.text() {
            Some(t) => {
                if l.key.len() > 1 {
                    // Lengths keep the parts apart, whatever a client writes into them.
                    key.extend_from_slice(&(t.len() as u32).to_le_bytes());
                }
                key.extend_from_slice(t.as_bytes());
            }
            None if l.else_skip => return Ok(false),
            // No text has this byte.
            None => key.push(0xFF),
        }
    }
    Ok(true)
}

pub(super) fn limit_kind<'a, W: World, T: Trace>(
    plan: &Plan,
    l: &'a LimitUse,
    reader: &Reader<'a, W, T>,
) -> Option<Kind> {
    let value = match &l.amount {
        Ir::Const(v) => v.borrowed(),
        other => eval(other, reader).ok()?,
    };
    let rate = |v: &Value<'_>| match v {
        Value::Rate(r) => Some(*r),
        _ => None::<Rate>,
    };
    Some(match plan.limits.get(l.limit.index())?.kind {
        LimitKind::Sliding => Kind::Sliding(rate(&value)?),
        LimitKind::Bucket(burst) => Kind::Bucket { rate: rate(&value)?, burst },
        LimitKind::Fixed => Kind::Fixed(rate(&value)?),
        LimitKind::Concurrent => match value {
            Value::Int(n) => Kind::Concurrent(u64::try_from(n).ok()?),
            _ => return None,
        },
    })
}
