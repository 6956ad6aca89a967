//! The connections of one worker to one endpoint: the last one used is the first one used again, and when
//! there may be no more, requests wait in line.

use super::Members;
use super::config;
use super::conn::{Conn, Connector, Wire};
use super::endpoint::Endpoint;
use super::error::{ErrorKind, ExchangeError};
use super::shared::Shared;
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::time::Instant;

/// After so much idleness a connection gives its buffers away; until then the next request finds them warm.
const COLD: Duration = Duration::from_secs(1);

pub(super) struct Pool {
    connector: Connector,
    /// Requests are counted, because the balance asks.
    pub(super) counts: Cell<bool>,
    /// Connections that this worker may have.
    max: usize,
    limits: config::Pool,
    /// Oldest first.
    idle: RefCell<VecDeque<Box<Wire>>>,
    /// Slots given out: connections in use or being made.
    used: Cell<usize>,
    waiting: RefCell<VecDeque<oneshot::Sender<Grant>>>,
}

/// What the first in line gets: the right to a connection, and one that just became free.
type Grant = (Slot, Option<Box<Wire>>);

/// How a connection is chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Want {
    /// An idle one if there is one.
    Any,
    /// The same, but first ask the kernel whether it is still open: for requests that cannot be repeated.
    Sure,
    /// A new one.
    Fresh,
}

impl Pool {
    pub(super) fn new(connector: Connector, shared: &Shared) -> Rc<Self> {
        let limits = shared.config.pool;
        let share = |max: u32| max.div_ceil(shared.workers.max(1)).max(1) as usize;
        Rc::new(Self {
            connector,
            counts: Cell::new(false),
            max: limits.max.map_or(usize::MAX, share),
            limits,
            idle: RefCell::default(),
            used: Cell::new(0),
            waiting: RefCell::default(),
        })
    }

    /// Where its connections go.
    pub(super) fn endpoint(&self) -> &Arc<Endpoint> {
        &self.connector.endpoint
    }

    /// A connection, within `connect` if it must be waited for or made.
    pub(super) async fn checkout(self: &Rc<Self>, want: Want, connect: Duration) -> Result<Conn, ExchangeError> {
        let mut end = None;
        // What is slow is boxed: every request would carry the room for it.
        let (slot, granted) = match Slot::take(self) {
            Some(slot) => (slot, None),
            None => Box::pin(self.wait(*end.insert(Instant::now() + connect))).await?,
        };
        if want != Want::Fresh {
            let ask = want == Want::Sure;
            let granted = granted.and_then(|mut wire| wire.stream.is_quiet(ask).then_some(wire));
            if let Some(wire) = granted.or_else(|| self.pop(ask)) {
                return Ok(Conn::new(wire, slot));
            }
        }
        let end = end.unwrap_or_else(|| Instant::now() + connect);
        let wire = Box::pin(self.connector.connect(end)).await?;
        Ok(Conn::new(Box::new(wire), slot))
    }

    /// The idle connection that was used last, if it is still good.
    fn pop(&self, ask: bool) -> Option<Box<Wire>> {
        loop {
            let mut wire = self.idle.borrow_mut().pop_back()?;
            if wire.stream.is_quiet(ask) {
                return Some(wire);
            }
        }
    }

    async fn wait(self: &Rc<Self>, end: Instant) -> Result<Grant, ExchangeError> {
        if self.waiting.borrow().len() >= self.limits.pending {
            return Err(ExchangeError::new(ErrorKind::Overloaded));
        }
        // Who waits for a server makes it busier.
        let _counted = Counted::new(self);
        let (sender, receiver) = oneshot::channel();
        self.waiting.borrow_mut().push_back(sender);
        let left = end.saturating_duration_since(Instant::now());
        let granted = self.connector.timer.deadline().timeout(left, receiver).await;
        if granted.is_none() {
            self.waiting.borrow_mut().retain(|sender| !sender.is_closed());
        }
        granted.and_then(Result::ok).ok_or_else(|| ExchangeError::new(ErrorKind::ConnectTimeout))
    }

    /// Hands a free slot, and what connection there is, to the first who still waits.
    fn grant(self: &Rc<Self>) {
        loop {
            if self.used.get() >= self.max {
                return;
            }
            let Some(sender) = self.waiting.borrow_mut().pop_front() else {
                return;
            };
            if sender.is_closed() {
                continue;
            }
            if let Some(slot) = Slot::take(self) {
                // Not refused: the receiver lives on this thread and was there a line ago.
                let wire = self.idle.borrow_mut().pop_back();
                drop(sender.send((slot, wire)));
            }
            return;
        }
    }

    /// Closes what was idle for too long or was closed by the server, and takes the buffers of what is idle
    /// for a while.
    pub(super) fn reap(&self) {
        let now = self.connector.timer.exact();
        self.idle.borrow_mut().retain_mut(|wire| {
            let unused = now.saturating_sub(wire.since);
            if unused >= COLD {
                wire.shrink();
            }
            unused < self.limits.idle && wire.stream.is_quiet(false)
        });
    }

    /// Connections that are open or being made.
    pub(super) fn connections(&self) -> usize {
        self.used.get() + self.idle.borrow().len()
    }
}

/// Reaps until the upstream is gone.
pub(super) async fn reaper(members: Weak<RefCell<Members>>, idle: Duration) {
    let every = (idle / 4).clamp(Duration::from_millis(50), Duration::from_secs(2));
    loop {
        tokio::time::sleep(every).await;
        let Some(members) = members.upgrade() else { return };
        members.borrow().pools.iter().for_each(|pool| pool.reap());
    }
}

/// The right to one connection.
pub(super) struct Slot {
    counted: Counted,
}

impl Slot {
    fn take(pool: &Rc<Pool>) -> Option<Self> {
        let used = pool.used.get();
        if used >= pool.max {
            return None;
        }
        pool.used.set(used + 1);
        Some(Self { counted: Counted::new(pool) })
    }

    pub(super) fn put_back(self, mut wire: Box<Wire>) {
        let pool = &self.counted.pool;
        wire.deadline.disarm();
        wire.reused = true;
        wire.since = pool.connector.timer.coarse();
        let mut idle = pool.idle.borrow_mut();
        // A fresh connection may have been made beside idle ones.
        if idle.len() + pool.used.get() > pool.max {
            idle.pop_front();
        }
        idle.push_back(wire);
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let pool = &self.counted.pool;
        pool.used.set(pool.used.get().saturating_sub(1));
        if !pool.waiting.borrow().is_empty() {
            pool.grant();
        }
    }
}

/// A request that counts for the balance, where somebody counts.
struct Counted {
    pool: Rc<Pool>,
    counts: bool,
}

impl Counted {
    fn new(pool: &Rc<Pool>) -> Self {
        let counts = pool.counts.get();
        if counts {
            pool.endpoint().load().fetch_add(1, Relaxed);
        }
        Self { pool: pool.clone(), counts }
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        if self.counts {
            self.pool.endpoint().load().fetch_sub(1, Relaxed);
        }
    }
}
