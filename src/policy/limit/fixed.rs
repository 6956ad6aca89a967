//! Calendar windows in UTC: each second, minute, hour or day begins anew.

use super::{Nanos, Standing, nanos};
use std::time::Duration;

/// What the window that began at `start` has had.
#[derive(Debug)]
pub struct Fixed {
    per: Nanos,
    start: Nanos,
    used: u64,
}

impl Fixed {
    /// An untouched window of this length.
    pub fn new(per: Duration) -> Fixed {
        Fixed { per: nanos(per), start: 0, used: 0 }
    }

    /// Where it stands.
    pub fn standing(&mut self, count: u64, now: Nanos) -> Standing {
        self.advance(now);
        let remaining = count.saturating_sub(self.used);
        let to_end = Duration::from_nanos(self.start.saturating_add(self.per).saturating_sub(now));
        Standing {
            capacity: count,
            remaining,
            reset: if self.used > 0 || count == 0 { to_end } else { Duration::ZERO },
            wait: if remaining > 0 { Duration::ZERO } else { to_end },
        }
    }

    /// Counts one.
    pub fn take(&mut self, now: Nanos) {
        self.advance(now);
        self.used = self.used.saturating_add(1);
    }

    /// Its window is over.
    pub fn spent(&self, now: Nanos) -> bool {
        self.used == 0 || now >= self.start.saturating_add(self.per)
    }

    /// A clock set back stays in the window it left: no count is given twice.
    fn advance(&mut self, now: Nanos) {
        let start = now.saturating_sub(now.checked_rem(self.per).unwrap_or(0));
        if start > self.start {
            (self.start, self.used) = (start, 0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const S: Nanos = 1_000_000_000;

    #[test]
    fn a_day_begins_at_midnight_utc() {
        let mut day = Fixed::new(Duration::from_secs(86_400));
        let late: jiff::Timestamp = "2026-03-04T23:59:59Z".parse().unwrap();
        let late = super::super::moment(late);
        for _ in 0..3 {
            assert!(day.standing(3, late).remaining > 0);
            day.take(late);
        }
        let full = day.standing(3, late);
        assert_eq!((full.remaining, full.wait), (0, Duration::from_secs(1)));
        assert_eq!(day.standing(3, late + S).remaining, 3);
    }

    #[test]
    fn a_clock_set_back_gives_nothing_twice() {
        let mut minute = Fixed::new(Duration::from_secs(60));
        minute.take(600 * S);
        assert_eq!(minute.standing(1, 599 * S).remaining, 0);
    }

    proptest! {
        /// Each calendar window admits exactly as many as it may, or all that came.
        #[test]
        fn exact_in_every_window(count in 0u64..20, gaps in prop::collection::vec(0u64..90 * S, 1..200)) {
            let (mut counter, mut now) = (Fixed::new(Duration::from_secs(60)), 0);
            let mut came = std::collections::BTreeMap::<u64, (u64, u64)>::new();
            for gap in gaps {
                now += gap;
                let window = came.entry(now / (60 * S)).or_default();
                window.0 += 1;
                if counter.standing(count, now).remaining > 0 {
                    counter.take(now);
                    window.1 += 1;
                }
            }
            for (came, admitted) in came.values() {
                prop_assert_eq!(*admitted, (*came).min(count));
            }
        }
    }
}
