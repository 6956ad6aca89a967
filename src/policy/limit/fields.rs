//! The response fields of limits: `RateLimit-Policy` and `RateLimit` (draft-ietf-httpapi-ratelimit-headers),
//! and `Retry-After` (RFC 9110, 10.2.3).

use super::{Check, Kind, Standing, Verdict, nanos};
use http::HeaderValue;
use std::time::Duration;

/// Room for most items.
const ITEM: usize = 64;

/// The fields that an answer carries.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RateLimits {
    /// `RateLimit-Policy`: every enforced limit.
    pub policy: Option<HeaderValue>,
    /// `RateLimit`: the tightest.
    pub remaining: Option<HeaderValue>,
    /// `Retry-After`, on a refusal.
    pub retry_after: Option<HeaderValue>,
}

impl RateLimits {
    /// The fields for `checks`, called by `name`, that got `verdict`.
    pub fn new<'n>(checks: &[Check<'_>], verdict: &Verdict, name: impl Fn(usize) -> &'n str) -> RateLimits {
        let mut policy = String::with_capacity(ITEM * checks.len());
        for (index, check) in checks.iter().enumerate().filter(|(_, check)| !check.report_only) {
            if !policy.is_empty() {
                policy.push_str(", ");
            }
            policy_item(&mut policy, name(index), &check.kind);
        }
        let remaining = verdict.refused.or(verdict.tightest).and_then(|(index, standing)| {
            let mut text = String::with_capacity(ITEM);
            remaining_item(&mut text, name(index), &checks.get(index)?.kind, &standing);
            HeaderValue::try_from(text).ok()
        });
        RateLimits {
            policy: HeaderValue::try_from(policy).ok().filter(|policy| !policy.is_empty()),
            remaining,
            retry_after: verdict.refused.map(|(_, standing)| retry_after(standing.wait)),
        }
    }
}

/// Writes one item of `RateLimit-Policy`: `"name";q=100;w=60`.
///
/// A bucket's quota is its burst, in the time in which it fills.
pub fn policy_item(out: &mut String, name: &str, kind: &Kind) {
    quoted(out, name);
    match *kind {
        Kind::Sliding(rate) | Kind::Fixed(rate) => {
            number(out, ";q=", rate.count);
            number(out, ";w=", seconds(rate.per));
        }
        Kind::Bucket { rate, burst } => {
            let fill = u128::from(nanos(rate.per)) * u128::from(burst) / u128::from(rate.count.max(1));
            let fill = Duration::from_nanos(u64::try_from(fill).unwrap_or(u64::MAX));
            number(out, ";q=", burst);
            number(out, ";w=", seconds(fill));
        }
        Kind::Concurrent(max) => {
            number(out, ";q=", max);
            out.push_str(";qu=\"concurrent-requests\"");
        }
    }
}

/// Writes the item of `RateLimit`: `"name";r=50;t=30`.
pub fn remaining_item(out: &mut String, name: &str, kind: &Kind, standing: &Standing) {
    quoted(out, name);
    number(out, ";r=", standing.remaining);
    if !matches!(kind, Kind::Concurrent(_)) {
        number(out, ";t=", seconds_or_zero(standing.reset));
    }
}

/// Each answer has some: the formatting machinery would cost several times as much.
fn number(out: &mut String, what: &str, number: u64) {
    out.push_str(what);
    out.push_str(itoa::Buffer::new().format(number));
}

/// `Retry-After`: whole seconds, rounded up, at least one.
pub fn retry_after(wait: Duration) -> HeaderValue {
    HeaderValue::from(seconds(wait))
}

fn seconds(length: Duration) -> u64 {
    seconds_or_zero(length).max(1)
}

fn seconds_or_zero(length: Duration) -> u64 {
    length.as_secs().saturating_add(u64::from(length.subsec_nanos() > 0))
}

/// An sf-string (RFC 9651): what it cannot hold is left out.
fn quoted(out: &mut String, text: &str) {
    out.push('"');
    if text.bytes().all(|b| matches!(b, b' '..=b'~') && !matches!(b, b'"' | b'\\')) {
        out.push_str(text);
    } else {
        for c in text.chars().filter(|c| matches!(c, ' '..='~')) {
            if matches!(c, '"' | '\\') {
                out.push('\\');
            }
            out.push(c);
        }
    }
    out.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::value::Rate;

    fn rate(count: u64, secs: u64) -> Rate {
        Rate { count, per: Duration::from_secs(secs) }
    }

    fn policy(kind: Kind) -> String {
        let mut out = String::new();
        policy_item(&mut out, "a", &kind);
        out
    }

    #[test]
    fn every_kind_has_its_policy() {
        assert_eq!(policy(Kind::Sliding(rate(100, 60))), r#""a";q=100;w=60"#);
        assert_eq!(policy(Kind::Fixed(rate(10_000, 86_400))), r#""a";q=10000;w=86400"#);
        assert_eq!(policy(Kind::Bucket { rate: rate(10, 1), burst: 25 }), r#""a";q=25;w=3"#);
        assert_eq!(policy(Kind::Concurrent(20)), r#""a";q=20;qu="concurrent-requests""#);
    }

    #[test]
    fn a_refusal_says_which_and_when() {
        let check =
            |count, report_only| Check { limit: 1, key: b"", kind: Kind::Sliding(rate(count, 60)), report_only };
        let checks = [check(5, false), check(9, true), check(7, false)];
        let standing = Standing {
            capacity: 7,
            remaining: 0,
            reset: Duration::from_millis(59_001),
            wait: Duration::from_millis(1_200),
        };
        let verdict = Verdict { refused: Some((2, standing)), ..Verdict::default() };
        let fields = RateLimits::new(&checks, &verdict, |i| ["x", "y", "z\"é"][i]);
        assert_eq!(fields.policy.unwrap(), r#""x";q=5;w=60, "z\"";q=7;w=60"#);
        assert_eq!(fields.remaining.unwrap(), r#""z\"";r=0;t=60"#);
        assert_eq!(fields.retry_after.unwrap(), "2");
    }
}
