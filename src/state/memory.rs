//! Counters in memory, shared by all workers of a process.
//!
//! - A counter is found by a keyed 128-bit hash of its limit and key, so no text of a key is kept.
//! - Counters are spread over shards, each with its lock; the locks that a request needs are taken in
//!   ascending order and held together, so all its limits are tested and taken as one.
//! - Counters that nothing depends on any more are swept a few at each new one.
//! - When a shard is full and none can be swept, new keys share one counter of their limit in that shard.
//!   So a flood of keys can neither push out the counters of others nor pass unlimited; what it costs is
//!   that new keys are limited together with the flood until it ends.

use crate::policy::limit::{Check, Counter, Counters, Hold, Kind, Nanos, Release, Standing, Verdict, moment};
use jiff::Timestamp;
use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, BuildHasherDefault, Hasher};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Shards. A power of two.
const SHARDS: usize = 64;
/// Counters looked at for sweeping at each new one: two would keep up, four gain on it.
const SWEPT: usize = 4;
/// Counters looked at when there is no room.
const SWEPT_WHEN_FULL: usize = 64;
/// Checks of one call whose slots fit on the stack.
const FEW: usize = 16;

/// Counters in memory. Clones share them.
#[derive(Clone)]
pub struct MemoryCounters {
    store: Arc<Store>,
}

struct Store {
    shards: [Mutex<Shard>; SHARDS],
    /// SipHash: what a stranger cannot foresee.
    strong: RandomState,
    /// The other 64 bits, cheaper.
    wide: ahash::RandomState,
    /// The most counters in a shard, shared ones not counted.
    cap: usize,
}

#[derive(Clone, Copy)]
enum SlotKind {
    /// A key's own counter.
    Own,
    /// The one that keys without room share.
    Shared,
}

/// Entries in a slab, so that a sweep can go on where it stopped.
#[derive(Default)]
struct Shard {
    index: HashMap<u128, usize, BuildHasherDefault<Folded>>,
    entries: Vec<Entry>,
    hand: usize,
}

struct Entry {
    slot: u128,
    counter: Counter,
}

impl MemoryCounters {
    /// The most counters kept unless told otherwise: about 100 to 600 bytes each when in use.
    pub const DEFAULT_CAPACITY: usize = 1_000_000;

    /// A store of at most about `capacity` counters (rounded up to a number for each of its 64 shards).
    pub fn new(capacity: usize) -> MemoryCounters {
        MemoryCounters {
            store: Arc::new(Store {
                shards: std::array::from_fn(|_| Mutex::default()),
                strong: RandomState::new(),
                wide: ahash::RandomState::new(),
                cap: capacity.div_ceil(SHARDS).max(1),
            }),
        }
    }

    /// [`Counters::take`], which is ready at once.
    pub fn take_now(&self, checks: &[Check<'_>], now: Timestamp) -> Verdict {
        let now = moment(now);
        let mut verdict = Verdict::default();
        match checks {
            [] => {}
            [check] => {
                let slot = self.store.slot(check);
                let mut shard = self.store.lock(slot);
                let place = shard.place(slot, check, now, &self.store);
                if shard.test(place, check, 0, now, &mut verdict) {
                    self.take_one(&mut shard, place, check, 0, now, &mut verdict);
                }
            }
            several => self.take_several(several, now, &mut verdict),
        }
        verdict
    }

    fn take_several(&self, checks: &[Check<'_>], now: Nanos, verdict: &mut Verdict) {
        let mut few = [0; FEW];
        let mut many;
        let slots: &mut [u128] = match few.get_mut(..checks.len()) {
            Some(few) => few,
            None => {
                many = vec![0; checks.len()];
                &mut many
            }
        };
        let mut needed = 0u64;
        for (slot, check) in slots.iter_mut().zip(checks) {
            *slot = self.store.slot(check);
            needed |= 1 << shard_of(*slot);
        }
        let mut locked: [Option<MutexGuard<'_, Shard>>; SHARDS] = [const { None }; SHARDS];
        for (number, (held, shard)) in locked.iter_mut().zip(&self.store.shards).enumerate() {
            if needed & (1 << number) != 0 {
                *held = Some(lock(shard));
            }
        }
        for (index, (slot, check)) in slots.iter_mut().zip(checks).enumerate() {
            if let Some(Some(shard)) = locked.get_mut(shard_of(*slot)) {
                let place = shard.place(*slot, check, now, &self.store);
                *slot = place.slot;
                shard.test(place, check, index, now, verdict);
            }
        }
        if verdict.refused.is_some() {
            return;
        }
        for (index, (slot, check)) in slots.iter().zip(checks).enumerate() {
            // One counter named twice counts the request once.
            let again = slots.iter().take(index).any(|earlier| earlier == slot);
            if again || verdict.reported.contains(&index) {
                continue;
            }
            // Asked for again: making room for a later check may have moved it.
            if let Some(Some(shard)) = locked.get_mut(shard_of(*slot)) {
                let place = shard.place(*slot, check, now, &self.store);
                self.take_one(shard, place, check, index, now, verdict);
            }
        }
    }

    fn take_one(
        &self,
        shard: &mut Shard,
        place: Place,
        check: &Check<'_>,
        index: usize,
        now: Nanos,
        verdict: &mut Verdict,
    ) {
        let Some(entry) = shard.entries.get_mut(place.at) else { return };
        entry.counter.take(&check.kind, now);
        if !check.report_only {
            verdict.note(index, entry.counter.standing(&check.kind, now));
        }
        if let Kind::Concurrent(_) = check.kind {
            verdict.holds.push(Hold::new(self.store.clone(), place.slot));
        }
    }

    /// [`Counters::peek`], which is ready at once.
    pub fn peek_now(&self, checks: &[Check<'_>], now: Timestamp) -> Vec<Standing> {
        let now = moment(now);
        let standing = |check: &Check<'_>| {
            let slot = self.store.slot(check);
            let mut shard = self.store.lock(slot);
            let shared = self.store.shared_slot(check, shard_of(slot));
            let full = shard.entries.len() >= self.store.cap;
            let at = shard.index.get(&slot).or_else(|| shard.index.get(&shared).filter(|_| full)).copied();
            match at.and_then(|at| shard.entries.get_mut(at)) {
                Some(entry) => entry.counter.standing(&check.kind, now),
                None => Counter::new(&check.kind).standing(&check.kind, now),
            }
        };
        checks.iter().map(standing).collect()
    }

    /// How many counters there are.
    pub fn len(&self) -> usize {
        self.store.shards.iter().map(|shard| lock(shard).entries.len()).sum()
    }

    /// There is no counter.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Forgets every counter that nothing depends on at `now`. New counters do this bit by bit; called now
    /// and then, memory is given back when the traffic has gone.
    pub fn sweep(&self, now: Timestamp) {
        let now = moment(now);
        for shard in &self.store.shards {
            let mut shard = lock(shard);
            let all = shard.entries.len();
            shard.hand = 0;
            shard.sweep(all, now);
            if shard.entries.len() < shard.entries.capacity() / 4 {
                shard.entries.shrink_to_fit();
                shard.index.shrink_to_fit();
            }
        }
    }
}

impl Default for MemoryCounters {
    fn default() -> MemoryCounters {
        MemoryCounters::new(MemoryCounters::DEFAULT_CAPACITY)
    }
}

impl Counters for MemoryCounters {
    fn take<'a>(&'a self, checks: &'a [Check<'a>], now: Timestamp) -> impl Future<Output = Verdict> + 'a {
        std::future::ready(self.take_now(checks, now))
    }

    fn peek<'a>(&'a self, checks: &'a [Check<'a>], now: Timestamp) -> impl Future<Output = Vec<Standing>> + 'a {
        std::future::ready(self.peek_now(checks, now))
    }
}

impl Store {
    fn slot(&self, check: &Check<'_>) -> u128 {
        self.hash(check, SlotKind::Own, check.key)
    }

    /// The slot of the counter that new keys share in a full shard, in that same shard.
    fn shared_slot(&self, check: &Check<'_>, shard: usize) -> u128 {
        (self.hash(check, SlotKind::Shared, b"") & !(SHARDS as u128 - 1)) | shard as u128
    }

    /// The head has one length, so no two inputs are the same bytes.
    fn hash(&self, check: &Check<'_>, kind: SlotKind, key: &[u8]) -> u128 {
        let mut head = [kind as u8; 17];
        let fields = check.limit.to_le_bytes().into_iter().chain(check.kind.shape().to_le_bytes());
        for (byte, field) in head.iter_mut().zip(fields) {
            *byte = field;
        }
        let mut strong = self.strong.build_hasher();
        let mut wide = self.wide.build_hasher();
        for bytes in [&head, key] {
            strong.write(bytes);
            wide.write(bytes);
        }
        u128::from(strong.finish()) << 64 | u128::from(wide.finish())
    }

    fn lock(&self, slot: u128) -> MutexGuard<'_, Shard> {
        let [first, ..] = &self.shards;
        lock(self.shards.get(shard_of(slot)).unwrap_or(first))
    }
}

impl Release for Store {
    fn release(&self, slot: u128) {
        let mut shard = self.lock(slot);
        let at = shard.index.get(&slot).copied();
        if let Some(Entry { counter: Counter::Concurrent(counter), .. }) = at.and_then(|at| shard.entries.get_mut(at)) {
            counter.release();
        }
    }
}

/// Where a counter is: under which slot, and at which place in the slab.
#[derive(Clone, Copy)]
struct Place {
    slot: u128,
    at: usize,
}

impl Shard {
    /// The counter of `slot`, made if it is new; where there is no room, the shared one.
    fn place(&mut self, slot: u128, check: &Check<'_>, now: Nanos, store: &Store) -> Place {
        if let Some(at) = self.index.get(&slot) {
            return Place { slot, at: *at };
        }
        self.sweep(SWEPT, now);
        if self.entries.len() >= store.cap {
            self.sweep(SWEPT_WHEN_FULL, now);
        }
        if self.entries.len() < store.cap {
            return self.add(slot, check);
        }
        let slot = store.shared_slot(check, shard_of(slot));
        match self.index.get(&slot) {
            Some(at) => Place { slot, at: *at },
            None => self.add(slot, check),
        }
    }

    fn add(&mut self, slot: u128, check: &Check<'_>) -> Place {
        let at = self.entries.len();
        self.entries.push(Entry { slot, counter: Counter::new(&check.kind) });
        self.index.insert(slot, at);
        Place { slot, at }
    }

    /// Asks one limit: true when one may be taken.
    fn test(&mut self, place: Place, check: &Check<'_>, index: usize, now: Nanos, verdict: &mut Verdict) -> bool {
        let Some(entry) = self.entries.get_mut(place.at) else { return false };
        let standing = entry.counter.standing(&check.kind, now);
        if standing.remaining > 0 {
            return true;
        }
        if check.report_only {
            verdict.reported.push(index);
        } else if verdict.refused.is_none() {
            verdict.refused = Some((index, standing));
        }
        false
    }

    /// Looks at up to `most` entries from where the hand stands, and forgets those that are spent.
    fn sweep(&mut self, most: usize, now: Nanos) {
        for _ in 0..most.min(self.entries.len()) {
            if self.hand >= self.entries.len() {
                self.hand = 0;
            }
            let Some(entry) = self.entries.get(self.hand) else { return };
            if !entry.counter.spent(now) {
                self.hand = self.hand.wrapping_add(1);
                continue;
            }
            self.index.remove(&entry.slot);
            self.entries.swap_remove(self.hand);
            if let Some(moved) = self.entries.get(self.hand) {
                self.index.insert(moved.slot, self.hand);
            }
        }
    }
}

fn shard_of(slot: u128) -> usize {
    (slot & (SHARDS as u128 - 1)) as usize
}

/// A panic while a shard was locked leaves counters that are at worst one off: go on with them.
fn lock(shard: &Mutex<Shard>) -> MutexGuard<'_, Shard> {
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Slots are hashes already.
#[derive(Default)]
struct Folded(u64);

impl Hasher for Folded {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u128(&mut self, slot: u128) {
        self.0 = (slot >> 64) as u64 ^ (slot as u64).rotate_left(32);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::value::Rate;
    use std::time::Duration;

    fn rate(count: u64, secs: u64) -> Rate {
        Rate { count, per: Duration::from_secs(secs) }
    }

    fn check(limit: u64, key: &[u8], kind: Kind) -> Check<'_> {
        Check { limit, key, kind, report_only: false }
    }

    fn at(secs: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + secs).unwrap()
    }

    #[test]
    fn all_are_tested_then_all_are_taken() {
        let counters = MemoryCounters::default();
        let wide = check(1, b"a", Kind::Sliding(rate(10, 60)));
        let narrow = check(2, b"", Kind::Fixed(rate(1, 60)));
        let first = counters.take_now(&[wide, narrow], at(0));
        assert!(first.refused.is_none());
        assert_eq!(first.tightest.unwrap().0, 1);
        for _ in 0..3 {
            let refused = counters.take_now(&[wide, narrow], at(1)).refused.unwrap();
            assert_eq!((refused.0, refused.1.remaining), (1, 0));
        }
        assert_eq!(counters.peek_now(&[wide], at(1))[0].remaining, 9, "a refused request takes nothing");
    }

    #[test]
    fn report_only_counts_and_lets_through() {
        let counters = MemoryCounters::default();
        let checks = [Check { report_only: true, ..check(1, b"a", Kind::Sliding(rate(1, 60))) }];
        let both = [checks[0], check(2, b"a", Kind::Sliding(rate(5, 60)))];
        assert!(counters.take_now(&checks, at(0)).reported.is_empty());
        assert_eq!(counters.take_now(&checks, at(0)).reported, [0]);
        let verdict = counters.take_now(&both, at(0));
        assert!(verdict.refused.is_none());
        assert_eq!((verdict.reported, verdict.tightest.unwrap().0), (vec![0], 1));
    }

    #[test]
    fn peek_takes_nothing_and_keeps_nothing() {
        let counters = MemoryCounters::default();
        let checks = [check(1, b"a", Kind::Bucket { rate: rate(1, 1), burst: 3 })];
        for _ in 0..5 {
            assert_eq!(counters.peek_now(&checks, at(0))[0].remaining, 3);
        }
        assert!(counters.is_empty());
    }

    #[test]
    fn a_new_count_keeps_the_counter_and_another_key_or_limit_does_not_share_it() {
        let counters = MemoryCounters::default();
        let sliding = |limit, key, count| check(limit, key, Kind::Sliding(rate(count, 60)));
        counters.take_now(&[sliding(1, b"a", 2)], at(0));
        assert_eq!(counters.peek_now(&[sliding(1, b"a", 9)], at(0))[0].remaining, 8);
        assert_eq!(counters.peek_now(&[sliding(1, b"b", 9)], at(0))[0].remaining, 9);
        assert_eq!(counters.peek_now(&[sliding(2, b"a", 9)], at(0))[0].remaining, 9);
        let empty = counters.peek_now(&[sliding(1, b"", 9)], at(0))[0].remaining;
        assert_eq!(empty, 9);
    }

    #[test]
    fn one_counter_named_twice_counts_a_request_once() {
        let counters = MemoryCounters::default();
        let twice = [check(7, b"k", Kind::Fixed(rate(2, 60))); 2];
        assert!(counters.take_now(&twice, at(0)).refused.is_none());
        assert!(counters.take_now(&twice, at(0)).refused.is_none());
        assert!(counters.take_now(&twice, at(0)).refused.is_some());
    }

    #[test]
    fn many_checks_are_one_decision() {
        let counters = MemoryCounters::default();
        let keys: Vec<[u8; 1]> = (0..40).map(|n| [n]).collect();
        let checks: Vec<Check<'_>> =
            keys.iter().map(|key| check(1, key, Kind::Fixed(rate(if key[0] == 39 { 1 } else { 5 }, 60)))).collect();
        assert!(counters.take_now(&checks, at(0)).refused.is_none());
        assert_eq!(counters.take_now(&checks, at(0)).refused.unwrap().0, 39);
        assert!(counters.peek_now(&checks, at(0))[..39].iter().all(|standing| standing.remaining == 4));
    }

    #[test]
    fn a_dropped_hold_gives_its_place_back() {
        let counters = MemoryCounters::default();
        let checks = [check(1, b"a", Kind::Concurrent(2))];
        let first = counters.take_now(&checks, at(0));
        let second = counters.take_now(&checks, at(0));
        assert!(counters.take_now(&checks, at(0)).refused.is_some());
        counters.sweep(at(1_000_000));
        drop(first);
        let third = counters.take_now(&checks, at(0));
        assert!(third.refused.is_none());
        drop((second, third));
        counters.sweep(at(0));
        assert!(counters.is_empty());
    }

    #[test]
    fn no_more_than_allowed_under_threads() {
        use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::SeqCst};
        let counters = MemoryCounters::default();
        let (inside, taken) = (AtomicI64::new(0), AtomicU64::new(0));
        std::thread::scope(|scope| {
            for thread in 0..4u8 {
                let (counters, inside, taken) = (&counters, &inside, &taken);
                scope.spawn(move || {
                    let own = [thread];
                    // In different orders: locks must not wait for each other in a ring.
                    let mut checks = vec![
                        check(1, b"", Kind::Concurrent(3)),
                        check(2, b"", Kind::Sliding(rate(500, 60))),
                        check(3, &own, Kind::Sliding(rate(1_000_000, 60))),
                    ];
                    checks.rotate_left(usize::from(thread) % 3);
                    for _ in 0..2_000 {
                        let verdict = counters.take_now(&checks, at(0));
                        if verdict.refused.is_none() {
                            assert!(inside.fetch_add(1, SeqCst) < 3);
                            taken.fetch_add(1, SeqCst);
                            inside.fetch_sub(1, SeqCst);
                        }
                    }
                });
            }
        });
        let taken = taken.into_inner();
        assert!(taken <= 500, "{taken} of 500");
        let own: u64 = (0..4u8)
            .map(|thread| {
                1_000_000
                    - counters.peek_now(&[check(3, &[thread], Kind::Sliding(rate(1_000_000, 60)))], at(0))[0].remaining
            })
            .sum();
        assert_eq!(own, taken, "each request took one of each limit or none");
    }

    #[test]
    fn a_flood_of_keys_is_bounded_and_neither_forgets_nor_passes() {
        let counters = MemoryCounters::new(64 * 8);
        let kind = Kind::Sliding(rate(3, 60));
        let victim = [check(1, b"victim", kind)];
        for _ in 0..3 {
            assert!(counters.take_now(&victim, at(0)).refused.is_none());
        }
        let passed = (0..20_000u32)
            .filter(|n| counters.take_now(&[check(1, &n.to_be_bytes(), kind)], at(1)).refused.is_none())
            .count();
        assert!(counters.len() <= 64 * 8 + 64, "{} counters", counters.len());
        assert!(passed <= 64 * 8 + 64 * 3, "{passed} passed");
        assert!(counters.take_now(&victim, at(1)).refused.is_some(), "the flood freed the victim");
        // When the flood's counters have run out, new keys have their own again.
        assert!((0..1_000u32).all(|n| {
            let key = (n + 1_000_000).to_be_bytes();
            counters.take_now(&[check(1, &key, Kind::Sliding(rate(1, 1)))], at(120 + i64::from(n))).refused.is_none()
        }));
        assert!(counters.len() <= 64 * 8 + 64);
    }

    #[test]
    fn what_is_spent_is_swept_by_what_is_new() {
        let counters = MemoryCounters::default();
        for n in 0..50_000u32 {
            counters.take_now(&[check(1, &n.to_be_bytes(), Kind::Sliding(rate(5, 1)))], at(i64::from(n) / 1_000));
        }
        assert!(counters.len() < 5_000, "{} counters for about 1,000 in use", counters.len());
    }
}
