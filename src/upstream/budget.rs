//! The retry budget: retries are a bounded share of the live traffic, so that a failing upstream is not
//! drowned by the attempts to save it. After Finagle's `RetryBudget`, over a sliding window of ten seconds.

use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

/// Seconds of the window.
const WINDOW: u32 = 10;

/// How many retries are allowed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Limits {
    /// Retries for each request, as a share: 0.2 is one for five.
    pub share: f32,
    /// Retries each second that are allowed whatever the traffic.
    pub minimum: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self { share: 0.2, minimum: 3 }
    }
}

/// The account of one upstream, shared by all workers.
#[derive(Debug, Default)]
pub struct Budget {
    limits: Limits,
    window: Window,
}

/// What came in the last ten seconds, all of it and a part. A race between workers at the turn of a second may lose a few
/// counts; it never loses more than that second.
#[derive(Debug, Default)]
pub(super) struct Window([Slot; WINDOW as usize]);

#[derive(Debug, Default)]
struct Slot {
    second: AtomicU32,
    all: AtomicU32,
    part: AtomicU32,
}

impl Window {
    /// Counts one. `second` is any clock of whole seconds that does not go back.
    pub(super) fn count(&self, second: u32) {
        if let Some(slot) = self.slot(second) {
            slot.all.fetch_add(1, Relaxed);
        }
    }

    /// Counts one of the part.
    pub(super) fn count_part(&self, second: u32) {
        if let Some(slot) = self.slot(second) {
            slot.part.fetch_add(1, Relaxed);
        }
    }

    /// All, and the part.
    pub(super) fn sum(&self, second: u32) -> (u64, u64) {
        let (mut all, mut part) = (0u64, 0u64);
        for slot in &self.0 {
            if second.wrapping_sub(slot.second.load(Relaxed)) < WINDOW {
                all += u64::from(slot.all.load(Relaxed));
                part += u64::from(slot.part.load(Relaxed));
            }
        }
        (all, part)
    }

    /// Forgets everything.
    pub(super) fn clear(&self) {
        for slot in &self.0 {
            slot.all.store(0, Relaxed);
            slot.part.store(0, Relaxed);
        }
    }

    fn slot(&self, second: u32) -> Option<&Slot> {
        let slot = self.0.get((second % WINDOW) as usize)?;
        let seen = slot.second.load(Relaxed);
        if seen != second && slot.second.compare_exchange(seen, second, Relaxed, Relaxed).is_ok() {
            slot.all.store(0, Relaxed);
            slot.part.store(0, Relaxed);
        }
        Some(slot)
    }
}

impl Budget {
    /// An empty account.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self { limits, ..Self::default() }
    }

    /// Counts a request (its first attempt). `second` is any clock of whole seconds that does not go back.
    pub fn deposit(&self, second: u32) {
        self.window.count(second);
    }

    /// Takes a retry, if one is left of the upstream's share.
    pub fn withdraw(&self, second: u32) -> bool {
        self.withdraw_of(second, self.limits.share)
    }

    /// Takes a retry, if one is left of `share`: a route may have a share of its own in the same traffic.
    pub fn withdraw_of(&self, second: u32, share: f32) -> bool {
        let (requests, retries) = self.window.sum(second);
        let reserve = f64::from(self.limits.minimum) * f64::from(WINDOW);
        let allowed = requests as f64 * f64::from(share) + reserve;
        if (retries + 1) as f64 > allowed {
            return false;
        }
        self.window.count_part(second);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_route_has_its_own_share_of_the_same_traffic() {
        let budget = Budget::new(Limits { share: 0.1, minimum: 0 });
        (0..10).for_each(|_| budget.deposit(100));
        assert!(!budget.withdraw_of(100, 0.0));
        assert!(budget.withdraw(100) && !budget.withdraw(100));
        assert!(budget.withdraw_of(100, 0.2) && !budget.withdraw_of(100, 0.2));
    }

    #[test]
    fn retries_are_a_share_of_the_traffic() {
        let budget = Budget::new(Limits { share: 0.2, minimum: 0 });
        assert!(!budget.withdraw(100));
        for _ in 0..10 {
            budget.deposit(100);
        }
        assert!(budget.withdraw(100));
        assert!(budget.withdraw(101));
        assert!(!budget.withdraw(101));
    }

    #[test]
    fn the_minimum_needs_no_traffic() {
        let budget = Budget::new(Limits { share: 0.0, minimum: 1 });
        let granted = (0..20).filter(|_| budget.withdraw(7)).count();
        assert_eq!(granted, 10);
    }

    #[test]
    fn the_window_forgets() {
        let budget = Budget::new(Limits { share: 1.0, minimum: 0 });
        budget.deposit(50);
        assert!(!budget.withdraw(60), "ten seconds later the deposit is gone");
        budget.deposit(60);
        assert!(budget.withdraw(69));
        assert!(!budget.withdraw(69));
    }
}
