//! `limit`: how many, in how long, for whom (language.md, section 5).
//!
//! | kind | counts | never admits more than |
//! | --- | --- | --- |
//! | sliding | what the last window holds | the count in any window |
//! | bucket | GCRA, a token bucket without a timer | burst + rate · t in any time t |
//! | fixed | what this calendar window (UTC) holds | the count in a calendar window |
//! | concurrent | what is under way | the count at once |
//!
//! The counting itself is in [`Counter`], pure; where counters live is behind [`Counters`].

mod bucket;
mod concurrent;
mod fields;
mod fixed;
mod sliding;

pub use bucket::Bucket;
pub use concurrent::{Concurrent, Hold, Release};
pub use fields::{RateLimits, policy_item, remaining_item, retry_after};
pub use fixed::Fixed;
pub use sliding::Sliding;

use crate::model::value::Rate;
use jiff::Timestamp;
use std::time::Duration;

/// How a limit counts, and how many it lets through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `limit 100/min`: at most so many in any window.
    Sliding(Rate),
    /// `limit 10/s burst 20`: a token bucket that holds `burst` tokens.
    Bucket {
        /// How fast it fills.
        rate: Rate,
        /// How many may come at once.
        burst: u64,
    },
    /// `limit 10_000/day fixed`: a calendar window in UTC.
    Fixed(Rate),
    /// `limit 20 concurrent`: so many at once.
    Concurrent(u64),
}

impl Kind {
    /// How many a client may have used of an untouched limit.
    pub fn capacity(&self) -> u64 {
        match *self {
            Kind::Sliding(rate) | Kind::Fixed(rate) => rate.count,
            Kind::Bucket { burst, .. } => burst,
            Kind::Concurrent(max) => max,
        }
    }

    /// A number that differs where counts cannot be carried over: another kind, another window.
    /// A bucket carries its debt over to any rate.
    pub fn shape(&self) -> u64 {
        match self {
            Kind::Sliding(rate) => nanos(rate.per) << 2,
            Kind::Fixed(rate) => (nanos(rate.per) << 2) | 1,
            Kind::Bucket { .. } => 2,
            Kind::Concurrent(_) => 3,
        }
    }
}

/// One limit to be tested for one request.
#[derive(Clone, Copy, Debug)]
pub struct Check<'a> {
    /// The limit's identity: the same number for the same place across reloads.
    pub limit: u64,
    /// Whom it counts: any bytes; empty for one counter.
    pub key: &'a [u8],
    /// How.
    pub kind: Kind,
    /// `report-only`: counts, and says when it would refuse, and lets through.
    pub report_only: bool,
}

/// Where a limit stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// How many an untouched limit has.
    pub capacity: u64,
    /// How many are left.
    pub remaining: u64,
    /// When all of it is there again if no more is taken.
    pub reset: Duration,
    /// When the next one will be let through; zero when one would be now.
    /// For concurrent limits, which cannot know, a second.
    pub wait: Duration,
}

impl Standing {
    /// Nearer to refusing than `other`: a smaller share is left.
    fn tighter_than(&self, other: &Standing) -> bool {
        let mine = u128::from(self.remaining) * u128::from(other.capacity);
        let theirs = u128::from(other.remaining) * u128::from(self.capacity);
        mine < theirs || (mine == theirs && self.reset > other.reset)
    }
}

/// What the counters said to the limits of one phase.
#[derive(Debug, Default)]
pub struct Verdict {
    /// The first limit that refuses, and where it stands. Then nothing was taken.
    pub refused: Option<(usize, Standing)>,
    /// The enforced limit with the smallest share left, after taking.
    pub tightest: Option<(usize, Standing)>,
    /// The `report-only` limits that would have refused.
    pub reported: Vec<usize>,
    /// What concurrent limits hold for this request: keep it until the response has ended.
    pub holds: Vec<Hold>,
}

impl Verdict {
    /// Notes where the enforced limit at `index` stands.
    pub fn note(&mut self, index: usize, standing: Standing) {
        if self.tightest.is_none_or(|(_, least)| standing.tighter_than(&least)) {
            self.tightest = Some((index, standing));
        }
    }
}

/// A store of counters. In memory an answer is ready at once; a shared store asks the network.
pub trait Counters {
    /// Tests all `checks`; if none refuses, takes one of each; all of it at once.
    fn take<'a>(&'a self, checks: &'a [Check<'a>], now: Timestamp) -> impl Future<Output = Verdict> + 'a;

    /// Where each limit stands, taking nothing.
    fn peek<'a>(&'a self, checks: &'a [Check<'a>], now: Timestamp) -> impl Future<Output = Vec<Standing>> + 'a;
}

/// The state of one limit for one key.
#[derive(Debug)]
pub enum Counter {
    /// Of [`Kind::Sliding`].
    Sliding(Sliding),
    /// Of [`Kind::Bucket`].
    Bucket(Bucket),
    /// Of [`Kind::Fixed`].
    Fixed(Fixed),
    /// Of [`Kind::Concurrent`].
    Concurrent(Concurrent),
}

impl Counter {
    /// An untouched counter.
    pub fn new(kind: &Kind) -> Counter {
        match kind {
            Kind::Sliding(rate) => Counter::Sliding(Sliding::new(rate.per)),
            Kind::Bucket { .. } => Counter::Bucket(Bucket::default()),
            Kind::Fixed(rate) => Counter::Fixed(Fixed::new(rate.per)),
            Kind::Concurrent(_) => Counter::Concurrent(Concurrent::default()),
        }
    }

    /// Where the counter stands under `kind` at `now`. Spends nothing; forgets what time has settled.
    /// A counter of another shape than `kind` stands as an untouched one.
    pub fn standing(&mut self, kind: &Kind, now: Nanos) -> Standing {
        match (self, kind) {
            (Counter::Sliding(c), Kind::Sliding(rate)) => c.standing(rate.count, now),
            (Counter::Bucket(c), Kind::Bucket { rate, burst }) => c.standing(*rate, *burst, now),
            (Counter::Fixed(c), Kind::Fixed(rate)) => c.standing(rate.count, now),
            (Counter::Concurrent(c), Kind::Concurrent(max)) => c.standing(*max),
            (_, kind) => Counter::new(kind).standing(kind, now),
        }
    }

    /// Takes one, which [`Counter::standing`] must have allowed at the same `now`.
    pub fn take(&mut self, kind: &Kind, now: Nanos) {
        match (self, kind) {
            (Counter::Sliding(c), Kind::Sliding(_)) => c.take(now),
            (Counter::Bucket(c), Kind::Bucket { rate, .. }) => c.take(*rate, now),
            (Counter::Fixed(c), Kind::Fixed(_)) => c.take(now),
            (Counter::Concurrent(c), Kind::Concurrent(_)) => c.take(),
            (counter, kind) => {
                *counter = Counter::new(kind);
                counter.take(kind, now);
            }
        }
    }

    /// Nothing would change if this counter were forgotten at `now`.
    pub fn spent(&self, now: Nanos) -> bool {
        match self {
            Counter::Sliding(c) => c.spent(now),
            Counter::Bucket(c) => c.spent(now),
            Counter::Fixed(c) => c.spent(now),
            Counter::Concurrent(c) => c.spent(),
        }
    }
}

/// Nanoseconds since 1970 in UTC (or of a length): good until 2554.
pub type Nanos = u64;

/// A moment as [`Nanos`]; what lies before 1970 is 1970.
pub fn moment(now: Timestamp) -> Nanos {
    u64::try_from(now.as_nanosecond()).unwrap_or(0)
}

/// A length as [`Nanos`], at least one.
fn nanos(length: Duration) -> Nanos {
    u64::try_from(length.as_nanos()).unwrap_or(u64::MAX).max(1)
}
