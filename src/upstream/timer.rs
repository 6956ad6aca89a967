//! The worker's coarse timer: one task ticks for all connections of a worker, and a deadline is a number in
//! a cell. Arming and disarming cost a store each; nothing is registered for a request. The timer looks only at
//! deadlines that were armed since the last tick: one that rests costs nothing.

use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::rc::{Rc, Weak};
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use tokio::time::Instant;

/// The granularity: a deadline fires up to three ticks late, and never early.
pub const TICK: Duration = Duration::from_millis(10);

/// Not armed.
const NEVER: u64 = u64::MAX;
/// Marks a number of ticks from the next tick on: who arms need not know the time.
const FROM_NEXT: u64 = 1 << 63;

/// A worker's timer. Cheap to clone; made inside the worker's runtime. Its task sleeps while no deadline is
/// armed and ends with the last handle.
#[derive(Clone)]
pub struct Timer(Rc<Clock>);

struct Clock {
    start: Instant,
    /// The granularity in milliseconds.
    tick: u32,
    /// Whole ticks since `start`, as of the last tick.
    now: Cell<u64>,
    /// The ticking task, while it sleeps because nothing is armed.
    sleeping: RefCell<Option<Waker>>,
    /// All that are armed, and those that no longer are since the last tick.
    entries: RefCell<Vec<Rc<Entry>>>,
}

struct Entry {
    at: Cell<u64>,
    /// It is among the clock's.
    listed: Cell<bool>,
    waker: RefCell<Option<Waker>>,
}

impl Timer {
    /// Starts the ticking task of this worker.
    ///
    /// # Panics
    /// Outside a `LocalRuntime` or `LocalSet`.
    #[must_use]
    pub fn new() -> Self {
        Self::with_tick(TICK)
    }

    /// The same with another granularity, from a millisecond on.
    ///
    /// # Panics
    /// Outside a `LocalRuntime` or `LocalSet`.
    #[must_use]
    pub fn with_tick(every: Duration) -> Self {
        let clock = Rc::new(Clock {
            start: Instant::now(),
            tick: u32::try_from(every.as_millis()).unwrap_or(u32::MAX).max(1),
            now: Cell::new(0),
            sleeping: RefCell::new(None),
            entries: RefCell::default(),
        });
        tokio::task::spawn_local(tick(Rc::downgrade(&clock)));
        Self(clock)
    }

    /// A new deadline, not armed.
    #[must_use]
    pub fn deadline(&self) -> Deadline {
        let entry = Entry { at: Cell::new(NEVER), listed: Cell::new(false), waker: RefCell::new(None) };
        Deadline { clock: self.0.clone(), entry: Rc::new(entry) }
    }

    /// The time since the timer began, as of the last tick. It stands still while nothing is armed.
    #[must_use]
    pub fn coarse(&self) -> Duration {
        Duration::from_millis(self.0.now.get().saturating_mul(self.0.tick.into()))
    }

    /// The whole seconds of [`Timer::coarse`].
    #[must_use]
    pub fn second(&self) -> u32 {
        u32::try_from(self.coarse().as_secs()).unwrap_or(u32::MAX)
    }

    /// The time since the timer began.
    #[must_use]
    pub fn exact(&self) -> Duration {
        self.0.start.elapsed()
    }
}

impl Default for Timer {
    fn default() -> Self {
        Self::new()
    }
}

async fn tick(clock: Weak<Clock>) {
    let mut woken = Vec::new();
    loop {
        let slept = poll_fn(|cx| match clock.upgrade() {
            None => Poll::Ready(false),
            Some(clock) if !clock.entries.borrow().is_empty() => Poll::Ready(true),
            Some(clock) => {
                clock.sleeping.replace(Some(cx.waker().clone()));
                Poll::Pending
            }
        });
        if !slept.await {
            return;
        }
        let Some(every) = clock.upgrade().map(|clock| clock.tick) else {
            return;
        };
        tokio::time::sleep(Duration::from_millis(every.into())).await;
        let Some(clock) = clock.upgrade() else { return };
        clock.advance(&mut woken);
        drop(clock);
        for waker in woken.drain(..) {
            waker.wake();
        }
    }
}

impl Clock {
    fn refresh(&self) -> u64 {
        let elapsed = self.start.elapsed();
        let millis = elapsed.as_secs().saturating_mul(1000).saturating_add(elapsed.subsec_millis().into());
        let now = millis / u64::from(self.tick);
        self.now.set(now);
        now
    }

    fn advance(&self, woken: &mut Vec<Waker>) {
        let now = self.refresh();
        self.entries.borrow_mut().retain(|entry| {
            match entry.at.get() {
                NEVER => entry.listed.set(false),
                // One more, because this tick may have begun before the deadline was armed.
                at if at & FROM_NEXT != 0 => entry.at.set(now.saturating_add(at ^ FROM_NEXT).saturating_add(1)),
                at if at <= now => woken.extend(entry.waker.take()),
                _ => {}
            }
            entry.listed.get()
        });
    }
}

impl Drop for Clock {
    fn drop(&mut self) {
        if let Some(waker) = self.sleeping.take() {
            waker.wake();
        }
    }
}

/// One deadline, used again and again by one connection.
pub struct Deadline {
    clock: Rc<Clock>,
    entry: Rc<Entry>,
}

impl Deadline {
    /// Sets the deadline to `after` from now, whatever it was.
    pub fn arm(&self, after: Duration) {
        let nanos = u64::try_from(after.as_nanos()).unwrap_or(u64::MAX);
        let ticks = nanos.div_ceil(u64::from(self.clock.tick) * 1_000_000);
        self.entry.at.set(FROM_NEXT | ticks);
        if !self.entry.listed.replace(true) {
            self.list();
        }
    }

    #[cold]
    fn list(&self) {
        self.clock.entries.borrow_mut().push(self.entry.clone());
        if let Some(waker) = self.clock.sleeping.take() {
            waker.wake();
        }
    }

    /// Takes the deadline back.
    pub fn disarm(&self) {
        self.entry.at.set(NEVER);
    }

    /// The deadline is set.
    pub fn is_armed(&self) -> bool {
        self.entry.at.get() != NEVER
    }

    /// The deadline was set and is over.
    #[must_use]
    pub fn is_over(&self) -> bool {
        // What is not armed, and what counts from the next tick on, is greater than any time.
        self.entry.at.get() <= self.clock.now.get()
    }

    /// Whether the deadline is over; if it is armed and not yet over, the task is woken when it is.
    pub fn poll_expired(&self, cx: &Context<'_>) -> bool {
        if self.is_over() || !self.is_armed() {
            return self.is_over();
        }
        let mut waker = self.entry.waker.borrow_mut();
        match &mut *waker {
            Some(waker) if waker.will_wake(cx.waker()) => {}
            waker => *waker = Some(cx.waker().clone()),
        }
        false
    }

    /// Wakes the task that waits for the deadline, before it is over.
    pub fn wake(&self) {
        if let Some(waker) = self.entry.waker.take() {
            waker.wake();
        }
    }

    /// Runs `future` for at most `after`; `None` when the time is over.
    pub async fn timeout<F: Future>(&self, after: Duration, future: F) -> Option<F::Output> {
        let mut future = pin!(future);
        self.arm(after);
        let output = poll_fn(|cx| match future.as_mut().poll(cx) {
            Poll::Ready(output) => Poll::Ready(Some(output)),
            Poll::Pending if self.poll_expired(cx) => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        })
        .await;
        self.disarm();
        output
    }
}

impl Drop for Deadline {
    fn drop(&mut self) {
        self.disarm();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::upstream::tests::local;

    const SLOW_MACHINE: Duration = Duration::from_secs(1);

    #[test]
    fn a_deadline_fires_late_by_three_ticks_at_most_and_never_early() {
        local(async {
            let timer = Timer::new();
            let deadline = timer.deadline();
            for ms in [1, 10, 35, 120] {
                tokio::time::sleep(Duration::from_millis(7)).await;
                let begun = std::time::Instant::now();
                let wait = Duration::from_millis(ms);
                assert!(deadline.timeout(wait, std::future::pending::<()>()).await.is_none());
                let took = begun.elapsed();
                assert!(took >= wait, "{took:?} for {wait:?}");
                assert!(took < wait + 3 * TICK + SLOW_MACHINE, "{took:?} for {wait:?}");
            }
        });
    }

    #[test]
    fn what_ends_in_time_is_handed_on_and_disarms() {
        local(async {
            let timer = Timer::new();
            let deadline = timer.deadline();
            assert_eq!(deadline.timeout(Duration::from_millis(50), async { 7 }).await, Some(7));
            timer.0.advance(&mut Vec::new());
            assert!(timer.0.entries.borrow().is_empty());
            // And can be armed again.
            assert_eq!(deadline.timeout(TICK, std::future::pending::<()>()).await, None);
            deadline.arm(TICK);
            drop(deadline);
            timer.0.advance(&mut Vec::new());
            assert!(timer.0.entries.borrow().is_empty());
        });
    }
}
