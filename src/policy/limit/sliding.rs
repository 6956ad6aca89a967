//! Sliding windows.
//!
//! Up to [`EXACT`] requests of the window are remembered one by one: exact. A busier key is counted in
//! steps of a 60th of the window, and a step counts until its last moment has left the window. So in both
//! forms no window ever holds more than the count; the second may hold a request back for a 60th of the
//! window longer than needed. (The usual weighted pair of windows admits up to twice the count.)

use super::{Nanos, Standing, nanos};
use std::collections::VecDeque;
use std::time::Duration;

/// How many are remembered one by one.
const EXACT: usize = 60;
/// Steps in a window.
const STEPS: u64 = 60;
/// Steps that can be inside a window: one more, as its edges fall inside steps.
const SLOTS: usize = 61;

/// What the last window has had.
#[derive(Debug)]
pub struct Sliding {
    per: Nanos,
    /// The latest moment seen: a clock set back does not reopen what has passed.
    latest: Nanos,
    taken: Taken,
}

#[derive(Debug)]
enum Taken {
    /// Moments, oldest first.
    Moments(VecDeque<Nanos>),
    /// Counts.
    Steps(Box<Steps>),
}

#[derive(Debug)]
struct Steps {
    /// The step that the window ends in.
    current: u64,
    total: u64,
    /// Counts by step number modulo [`SLOTS`].
    counts: [u32; SLOTS],
}

impl Sliding {
    /// An untouched window of this length.
    pub fn new(per: Duration) -> Sliding {
        Sliding { per: nanos(per), latest: 0, taken: Taken::Moments(VecDeque::new()) }
    }

    /// Where it stands.
    pub fn standing(&mut self, count: u64, now: Nanos) -> Standing {
        let now = self.advance(now);
        let (used, full_at) = match &self.taken {
            Taken::Moments(moments) => {
                (moments.len() as u64, moments.back().map_or(now, |last| last.saturating_add(self.per)))
            }
            Taken::Steps(steps) => (steps.total, steps.newest().map_or(now, |step| self.leaves(step))),
        };
        let remaining = count.min(u64::from(u32::MAX)).saturating_sub(used);
        let wait = if remaining > 0 { 0 } else { self.freed_at(count, used, now).saturating_sub(now) };
        Standing {
            capacity: count,
            remaining,
            reset: Duration::from_nanos(full_at.saturating_sub(now)),
            wait: Duration::from_nanos(wait),
        }
    }

    /// Counts one.
    pub fn take(&mut self, now: Nanos) {
        let now = self.advance(now);
        let width = self.width();
        match &mut self.taken {
            Taken::Moments(moments) if moments.len() < EXACT => moments.push_back(now),
            Taken::Moments(moments) => {
                let mut steps = Box::new(Steps { current: 0, total: 0, counts: [0; SLOTS] });
                for moment in moments.iter().chain([&now]) {
                    steps.add(moment / width);
                }
                self.taken = Taken::Steps(steps);
            }
            Taken::Steps(steps) => steps.add(now / width),
        }
    }

    /// All of it has left the window.
    pub fn spent(&self, now: Nanos) -> bool {
        match &self.taken {
            Taken::Moments(moments) => moments.back().is_none_or(|last| last.saturating_add(self.per) <= now),
            Taken::Steps(steps) => steps.newest().is_none_or(|step| self.leaves(step) <= now),
        }
    }

    /// The width of a step, rounded up so that the steps cover the window.
    fn width(&self) -> Nanos {
        self.per.div_ceil(STEPS)
    }

    /// When all that a step can hold has left the window.
    fn leaves(&self, step: u64) -> Nanos {
        step.saturating_add(SLOTS as u64).saturating_mul(self.width())
    }

    /// Forgets what has left the window.
    fn advance(&mut self, now: Nanos) -> Nanos {
        let now = now.max(self.latest);
        self.latest = now;
        let width = self.width();
        match &mut self.taken {
            Taken::Moments(moments) => {
                while moments.front().is_some_and(|first| first.saturating_add(self.per) <= now) {
                    moments.pop_front();
                }
            }
            Taken::Steps(steps) => steps.advance(now / width),
        }
        now
    }

    /// When fewer than `count` of the `used` are left in the window.
    fn freed_at(&self, count: u64, used: u64, now: Nanos) -> Nanos {
        if count == 0 {
            return now.saturating_add(self.per);
        }
        let mut leaving = used.saturating_sub(count).saturating_add(1);
        match &self.taken {
            Taken::Moments(moments) => {
                let nth = usize::try_from(leaving).unwrap_or(usize::MAX).saturating_sub(1);
                moments.get(nth).map_or(now, |moment| moment.saturating_add(self.per))
            }
            Taken::Steps(steps) => {
                for step in steps.span() {
                    let here = u64::from(steps.at(step));
                    if here >= leaving {
                        return self.leaves(step);
                    }
                    leaving = leaving.saturating_sub(here);
                }
                now
            }
        }
    }
}

impl Steps {
    /// The steps in the window, oldest first.
    fn span(&self) -> impl DoubleEndedIterator<Item = u64> + use<> {
        self.current.saturating_sub(STEPS)..=self.current
    }

    fn at(&self, step: u64) -> u32 {
        self.counts.get((step % SLOTS as u64) as usize).copied().unwrap_or(0)
    }

    fn newest(&self) -> Option<u64> {
        self.span().rev().find(|step| self.at(*step) > 0)
    }

    fn add(&mut self, step: u64) {
        self.advance(step);
        if let Some(count) = self.counts.get_mut((step % SLOTS as u64) as usize) {
            *count = count.saturating_add(1);
            self.total = self.total.saturating_add(1);
        }
    }

    fn advance(&mut self, step: u64) {
        if step <= self.current {
            return;
        }
        let first = self.current.saturating_add(1).max(step.saturating_sub(STEPS));
        for passed in first..=step {
            if let Some(count) = self.counts.get_mut((passed % SLOTS as u64) as usize) {
                self.total = self.total.saturating_sub(u64::from(*count));
                *count = 0;
            }
        }
        self.current = step;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const S: Nanos = 1_000_000_000;

    fn admit(window: &mut Sliding, count: u64, now: Nanos) -> bool {
        let admitted = window.standing(count, now).remaining > 0;
        if admitted {
            window.take(now);
        }
        admitted
    }

    #[test]
    fn a_small_count_is_exact() {
        let mut window = Sliding::new(Duration::from_secs(60));
        let t = 1_000 * S;
        assert!(admit(&mut window, 2, t));
        assert!(admit(&mut window, 2, t + 30 * S));
        let full = window.standing(2, t + 31 * S);
        assert_eq!((full.remaining, full.wait, full.reset), (0, Duration::from_secs(29), Duration::from_secs(59)));
        assert!(!admit(&mut window, 2, t + 60 * S - 1));
        assert!(admit(&mut window, 2, t + 60 * S));
        assert!(!admit(&mut window, 2, t + 60 * S));
    }

    #[test]
    fn a_busy_key_is_counted_in_steps() {
        let mut window = Sliding::new(Duration::from_secs(60));
        let t = 1_000 * S + S / 2;
        assert_eq!((0..2_000).filter(|_| admit(&mut window, 1_000, t)).count(), 1_000);
        assert_eq!(window.standing(1_000, t).wait, Duration::from_millis(60_500));
        assert!(!admit(&mut window, 1_000, t + 60 * S));
        assert!(admit(&mut window, 1_000, t + 60 * S + S / 2));
        assert!(!window.spent(t + 90 * S));
        assert!(window.spent(t + 200 * S));
    }

    #[test]
    fn a_smaller_count_than_before_waits_for_the_right_one() {
        let mut window = Sliding::new(Duration::from_secs(60));
        for second in 0..10 {
            assert!(admit(&mut window, 10, second * S));
        }
        assert_eq!(window.standing(3, 9 * S).wait, Duration::from_secs(60 + 7 - 9));
    }

    #[test]
    fn a_clock_set_back_gives_nothing_twice() {
        let mut window = Sliding::new(Duration::from_secs(60));
        assert!(admit(&mut window, 1, 600 * S));
        assert!(!admit(&mut window, 1, 500 * S));
    }

    proptest! {
        /// No window holds more than the count, who waits as told is let through, and a refusal is never for
        /// more than a step too long.
        #[test]
        fn no_window_holds_more(
            count in prop_oneof![0u64..8, 55u64..140],
            gaps in prop::collection::vec(prop_oneof![3 => 0u64..S / 4, 1 => 0u64..20 * S], 1..600),
        ) {
            let per = 10 * S;
            let (mut window, mut now) = (Sliding::new(Duration::from_nanos(per)), 5_000 * S);
            let mut admitted: Vec<Nanos> = Vec::new();
            for gap in gaps {
                now += gap;
                if admit(&mut window, count, now) {
                    admitted.push(now);
                } else if count > 0 {
                    let held = admitted.iter().filter(|t| **t + per + per / STEPS + 1 > now).count() as u64;
                    prop_assert!(held >= count, "refused with {} of {}", held, count);
                    let wait = window.standing(count, now).wait.as_nanos() as u64;
                    prop_assert!(wait > 0 && wait <= per + per / STEPS + 1);
                }
            }
            for (i, start) in admitted.iter().enumerate() {
                let inside = admitted.iter().skip(i).take_while(|t| **t - start < per).count() as u64;
                prop_assert!(inside <= count);
            }
        }
    }
}
