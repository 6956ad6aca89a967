//! Slow clients: who moves a byte now and then is no better than who moves none.

use super::client::{Client, Waits};
use crate::upstream::timer::{Deadline, Timer};
use std::task::Context;
use std::time::Duration;

/// How much has moved for the time that was waited.
#[derive(Default)]
pub struct Pace {
    /// When the wait under way began.
    since: Option<Duration>,
    waited: Duration,
    moved: usize,
}

impl Pace {
    /// A wait begins: what is left of `patience`, if something is.
    #[cold]
    fn begin(&mut self, timer: &Timer, patience: Duration) -> Option<Duration> {
        let now = timer.exact();
        if let Some(since) = self.since.replace(now) {
            // Something else was waited for meanwhile, which makes this one no shorter.
            self.waited = self.waited.saturating_add(now.saturating_sub(since));
        }
        patience.checked_sub(self.waited).filter(|left| !left.is_zero())
    }

    #[inline]
    fn moved(&mut self, timer: &Timer, moved: usize, step: usize) {
        if let Some(since) = self.since.take() {
            self.waited = self.waited.saturating_add(timer.exact().saturating_sub(since));
        }
        self.moved = self.moved.saturating_add(moved);
        if self.moved >= step {
            (self.waited, self.moved) = (Duration::ZERO, 0);
        }
    }

    /// The connection waits for what is left of `patience`; false if nothing is.
    #[cold]
    pub fn wait(&mut self, client: &Client, what: Waits, patience: Duration) -> bool {
        let left = self.begin(&client.worker.patience, patience);
        client.wait(what, left.unwrap_or_default());
        left.is_some()
    }

    /// `moved` bytes came or went. After `step` of them the patience is whole again.
    #[inline]
    pub fn came(&mut self, client: &Client, what: Waits, moved: usize, step: usize) {
        client.came(what);
        self.moved(&client.worker.patience, moved, step);
    }
}

/// The same for a stream: a connection has one deadline, its streams wait each for their own.
#[derive(Default)]
pub struct Patience {
    pace: Pace,
    /// Made when something is waited for.
    deadline: Option<Deadline>,
}

impl Patience {
    /// Waits; true when the time is over.
    pub fn is_over(&mut self, cx: &Context<'_>, timer: &Timer, patience: Duration) -> bool {
        let deadline = self.deadline.get_or_insert_with(|| timer.deadline());
        if !deadline.is_armed() {
            match self.pace.begin(timer, patience) {
                Some(left) => deadline.arm(left),
                None => return true,
            }
        }
        deadline.poll_expired(cx)
    }

    /// `moved` bytes came or went. After `step` of them the patience is whole again.
    pub fn came(&mut self, timer: &Timer, moved: usize, step: usize) {
        if let Some(deadline) = &self.deadline {
            deadline.disarm();
        }
        self.pace.moved(timer, moved, step);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waiting_for_something_else_in_between_makes_no_wait_longer() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build_local(Default::default());
        runtime.unwrap().block_on(async {
            let (timer, mut pace) = (Timer::new(), Pace::default());
            let patience = Duration::from_millis(60);
            assert_eq!(pace.begin(&timer, patience), Some(patience));
            for _ in 0..2 {
                tokio::time::sleep(Duration::from_millis(40)).await;
                assert!(pace.begin(&timer, patience) < Some(Duration::from_millis(21)));
            }
            assert_eq!(pace.begin(&timer, patience), None);
            pace.moved(&timer, 1, 1);
            assert_eq!(pace.begin(&timer, patience), Some(patience));
        });
    }
}
