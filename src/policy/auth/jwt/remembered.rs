//! Good tokens, remembered: a signature costs tens of microseconds, a look-up less than one.
//!
//! Only tokens that were verified are here, so strangers cannot fill it; a set's oldest token gives way.

use super::Valid;
use crate::policy::auth::Caller;
use ahash::RandomState;
use jiff::Timestamp;
use std::sync::{Arc, Mutex, PoisonError};

/// Sets of tokens, each with its lock.
const SETS: usize = 1024;
/// Tokens in a set.
const WAYS: usize = 8;
/// Longer tokens are verified each time: with this, at most 32 MiB are kept.
const LONGEST: usize = 4096;

/// Up to 8,192 tokens with their callers.
pub(super) struct Remembered {
    sets: Box<[Mutex<Vec<Entry>>]>,
    keyed: RandomState,
}

struct Entry {
    hash: u64,
    token: Box<str>,
    good: Good,
}

/// A verified token's caller, and when it is valid: time goes on, so ask at each use.
#[derive(Clone)]
pub(super) struct Good {
    pub(super) caller: Arc<Caller>,
    pub(super) valid: Valid,
}

impl Default for Remembered {
    fn default() -> Remembered {
        Remembered { sets: (0..SETS).map(|_| Mutex::default()).collect(), keyed: RandomState::new() }
    }
}

impl Remembered {
    /// The caller of a token that is the same in every byte. The set is chosen by a keyed hash, so the
    /// time that comparing takes tells a stranger nothing.
    pub(super) fn get(&self, token: &str) -> Option<Good> {
        let hash = self.keyed.hash_one(token);
        let set = self.set(hash)?.lock().unwrap_or_else(PoisonError::into_inner);
        set.iter().find(|entry| entry.hash == hash && *entry.token == *token).map(|entry| entry.good.clone())
    }

    /// Remembers a verified token.
    pub(super) fn put(&self, token: &str, caller: &Arc<Caller>, valid: Valid, now: Timestamp) {
        if token.len() > LONGEST {
            return;
        }
        let hash = self.keyed.hash_one(token);
        let Some(set) = self.set(hash) else { return };
        let mut set = set.lock().unwrap_or_else(PoisonError::into_inner);
        set.retain(|entry| now < entry.good.valid.until && !(entry.hash == hash && *entry.token == *token));
        if set.len() >= WAYS {
            set.remove(0);
        }
        set.push(Entry { hash, token: token.into(), good: Good { caller: caller.clone(), valid } });
    }

    fn set(&self, hash: u64) -> Option<&Mutex<Vec<Entry>>> {
        self.sets.get(hash as usize % SETS)
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.sets.iter().map(|set| set.lock().unwrap().len()).sum()
    }
}

impl std::fmt::Debug for Remembered {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Remembered")
    }
}
