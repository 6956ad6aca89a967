//! Token bucket as GCRA (ITU-T I.371): the theoretical arrival time is the whole state.

use super::{Nanos, Standing, nanos};
use crate::model::value::Rate;
use std::time::Duration;

/// A bucket. `full_at` is when it will be full again; each token taken moves it by one interval.
#[derive(Debug, Default)]
pub struct Bucket {
    full_at: Nanos,
    /// The interval that `full_at` was counted in, to carry the tokens owed over to another rate.
    interval: Nanos,
}

/// The time in which one token comes, rounded up so that the rate is never exceeded.
fn interval(rate: Rate) -> Nanos {
    nanos(rate.per).div_ceil(rate.count.max(1))
}

impl Bucket {
    /// Where it stands under `rate` and `burst`.
    pub fn standing(&mut self, rate: Rate, burst: u64, now: Nanos) -> Standing {
        if rate.count == 0 || burst == 0 {
            return Standing { capacity: 0, remaining: 0, reset: rate.per, wait: rate.per };
        }
        let interval = interval(rate);
        self.carry_over(interval, now);
        let size = burst.saturating_mul(interval);
        let debt = self.full_at.saturating_sub(now);
        let remaining = size.saturating_sub(debt) / interval;
        let wait = if remaining > 0 { 0 } else { debt.saturating_add(interval).saturating_sub(size) };
        Standing { capacity: burst, remaining, reset: Duration::from_nanos(debt), wait: Duration::from_nanos(wait) }
    }

    /// Takes a token.
    pub fn take(&mut self, rate: Rate, now: Nanos) {
        let interval = interval(rate);
        self.carry_over(interval, now);
        self.full_at = self.full_at.max(now).saturating_add(interval);
    }

    /// It is full.
    pub fn spent(&self, now: Nanos) -> bool {
        self.full_at <= now
    }

    /// A debt is a number of tokens: at another rate it takes another time.
    fn carry_over(&mut self, interval: Nanos, now: Nanos) {
        if self.interval != interval {
            if self.interval != 0 {
                let debt = u128::from(self.full_at.saturating_sub(now));
                let scaled = (debt * u128::from(interval)).div_ceil(u128::from(self.interval));
                self.full_at = now.saturating_add(u64::try_from(scaled).unwrap_or(u64::MAX));
            }
            self.interval = interval;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const S: Nanos = 1_000_000_000;

    fn rate(count: u64, secs: u64) -> Rate {
        Rate { count, per: Duration::from_secs(secs) }
    }

    fn admit(bucket: &mut Bucket, rate: Rate, burst: u64, now: Nanos) -> bool {
        let admitted = bucket.standing(rate, burst, now).remaining > 0;
        if admitted {
            bucket.take(rate, now);
        }
        admitted
    }

    #[test]
    fn a_full_bucket_gives_its_burst_then_one_an_interval() {
        let mut bucket = Bucket::default();
        let (rate, now) = (rate(10, 1), 1_000 * S);
        assert_eq!((0..50).filter(|_| admit(&mut bucket, rate, 20, now)).count(), 20);
        let standing = bucket.standing(rate, 20, now);
        assert_eq!(standing.wait, Duration::from_millis(100));
        assert_eq!(standing.reset, Duration::from_secs(2));
        assert!(!admit(&mut bucket, rate, 20, now + S / 10 - 1));
        assert!(admit(&mut bucket, rate, 20, now + S / 10));
    }

    #[test]
    fn a_debt_is_carried_over_to_another_rate_as_tokens() {
        let mut bucket = Bucket::default();
        let now = 1_000 * S;
        let slow = rate(1, 3600);
        for _ in 0..4 {
            assert!(admit(&mut bucket, slow, 10, now));
        }
        let fast = bucket.standing(rate(1_000, 1), 10, now);
        assert_eq!((fast.remaining, fast.reset), (6, Duration::from_millis(4)));
    }

    #[test]
    fn a_rate_or_burst_of_nothing_admits_nothing() {
        assert!(!admit(&mut Bucket::default(), rate(0, 1), 5, S));
        assert!(!admit(&mut Bucket::default(), rate(5, 1), 0, S));
    }

    proptest! {
        /// In any stretch of time, never more than burst + rate · time; and who waits as told is let through.
        #[test]
        fn never_more_than_burst_and_rate(
            count in 1u64..50, secs in 1u64..60, burst in 1u64..30,
            gaps in prop::collection::vec(0u64..3 * S, 1..200),
        ) {
            let (rate, mut bucket, mut now) = (rate(count, secs), Bucket::default(), 5_000 * S);
            let mut admitted: Vec<Nanos> = Vec::new();
            for gap in gaps {
                now += gap;
                if admit(&mut bucket, rate, burst, now) {
                    admitted.push(now);
                } else {
                    let wait = bucket.standing(rate, burst, now).wait.as_nanos() as u64;
                    prop_assert!(wait > 0);
                    prop_assert_eq!(bucket.standing(rate, burst, now + wait - 1).remaining, 0);
                    prop_assert!(bucket.standing(rate, burst, now + wait).remaining > 0);
                }
            }
            for (i, start) in admitted.iter().enumerate() {
                for (j, end) in admitted.iter().enumerate().skip(i) {
                    let allowed = burst as f64 + count as f64 * (end - start) as f64 / (secs * S) as f64;
                    prop_assert!((j - i + 1) as f64 <= allowed + 1e-6);
                }
            }
        }
    }
}
