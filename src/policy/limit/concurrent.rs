//! How many at once. What was taken is given back when its [`Hold`] is dropped, whatever ended the request:
//! its response, a failure, or a client that went away.

use super::Standing;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// How many are under way.
#[derive(Debug, Default)]
pub struct Concurrent {
    under_way: u64,
}

impl Concurrent {
    /// Where it stands.
    pub fn standing(&self, max: u64) -> Standing {
        let remaining = max.saturating_sub(self.under_way);
        let wait = if remaining > 0 { Duration::ZERO } else { Duration::from_secs(1) };
        Standing { capacity: max, remaining, reset: wait, wait }
    }

    /// One more is under way.
    pub fn take(&mut self) {
        self.under_way = self.under_way.saturating_add(1);
    }

    /// One has ended.
    pub fn release(&mut self) {
        self.under_way = self.under_way.saturating_sub(1);
    }

    /// None is under way.
    pub fn spent(&self) -> bool {
        self.under_way == 0
    }
}

/// A store that takes back what a [`Hold`] held.
pub trait Release: Send + Sync {
    /// The one that `slot` was given for has ended.
    fn release(&self, slot: u128);
}

/// One request's place in a concurrent limit, given back when dropped.
#[must_use = "dropping it gives the place back"]
pub struct Hold {
    store: Arc<dyn Release>,
    slot: u128,
}

impl Hold {
    /// A place that `store` gave under `slot`.
    pub fn new(store: Arc<dyn Release>, slot: u128) -> Hold {
        Hold { store, slot }
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.store.release(self.slot);
    }
}

impl fmt::Debug for Hold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hold")
    }
}
