//! The connections of one worker to one endpoint: the last one used is the first one used again, and when
//! there may be no more, requests wait in line.

use super::Members;
use super::config::{self, Protocol, Timeouts};
use super::conn::{Conn, Connector, Wire};
use super::endpoint::Endpoint;
use super::error::{ErrorKind, ExchangeError};
use super::http2::Links;
use super::shared::Shared;
use super::tls::Offer;
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
    pub(super) connector: Connector,
    /// Requests are counted, because the balance asks.
    pub(super) counts: Cell<bool>,
    /// Connections that this worker may have.
    max: usize,
    pub(super) limits: config::Pool,
    /// Oldest first.
    idle: RefCell<VecDeque<Rc<RefCell<Wire>>>>,
    /// Slots given out: connections in use or being made.
    used: Cell<usize>,
    waiting: RefCell<VecDeque<oneshot::Sender<Grant>>>,
    /// Connections that speak HTTP/2. Their places count as used.
    pub(super) links: Links,
    /// With `protocol auto` over TLS: the server chose HTTP/1.1.
    http1: Cell<bool>,
}

/// Why no connection came free.
pub(super) const NONE_FREE: &str = "none came free within `timeout connect`";

/// Why nobody more may wait for one.
pub(super) const LINE_FULL: &str = "too many wait for one";

/// What the first in line gets: the right to a connection, and one that just became free.
type Grant = (Slot, Option<Rc<RefCell<Wire>>>);

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
        let limits = shared.config.pool.clone();
        let share = |max: u32| max.div_ceil(shared.workers.max(1)).max(1) as usize;
        Rc::new(Self {
            connector,
            counts: Cell::new(false),
            max: limits.max.map_or(usize::MAX, share),
            limits,
            idle: RefCell::default(),
            used: Cell::new(0),
            waiting: RefCell::default(),
            links: Links::default(),
            http1: Cell::new(false),
        })
    }

    /// Where its connections go.
    pub(super) fn endpoint(&self) -> &Arc<Endpoint> {
        &self.connector.endpoint
    }

    /// Whether HTTP/1.1 is what requests to this server are sent in, as far as is known.
    #[inline]
    pub(super) fn is_http1(&self) -> bool {
        match self.limits.protocol {
            Protocol::Http1 => true,
            Protocol::Http2 => false,
            Protocol::Auto => !self.connector.is_tls() || self.http1.get(),
        }
    }

    /// Whether only HTTP/2 may be spoken.
    pub(super) fn is_strictly_http2(&self) -> bool {
        self.limits.protocol == Protocol::Http2
    }

    /// What the server chose; a failed handshake says that it may choose anew.
    pub(super) fn set_http1(&self, chosen: bool) {
        self.http1.set(chosen);
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
            let granted = granted.filter(|wire| wire.borrow_mut().stream.is_quiet(ask));
            if let Some(wire) = granted.or_else(|| self.pop(ask)) {
                return Ok(Conn::new(wire, slot));
            }
        }
        let end = end.unwrap_or_else(|| Instant::now() + connect);
        let (stream, deadline) = Box::pin(self.connector.connect(end, Offer::Http1)).await?;
        Ok(Conn::new(Rc::new(RefCell::new(Wire::new(stream, deadline))), slot))
    }

    /// The idle connection that was used last, if it is still good.
    fn pop(&self, ask: bool) -> Option<Rc<RefCell<Wire>>> {
        loop {
            let wire = self.idle.borrow_mut().pop_back()?;
            if wire.borrow_mut().stream.is_quiet(ask) {
                return Some(wire);
            }
        }
    }

    async fn wait(self: &Rc<Self>, end: Instant) -> Result<Grant, ExchangeError> {
        if self.waiting.borrow().len() >= self.limits.pending {
            return Err(ExchangeError::because(ErrorKind::Overloaded, LINE_FULL));
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
        // The server has done nothing wrong: all that it may have is in use.
        granted.and_then(Result::ok).ok_or_else(|| ExchangeError::because(ErrorKind::Overloaded, NONE_FREE))
    }

    #[inline]
    fn give_place(self: &Rc<Self>) {
        self.used.set(self.used.get().saturating_sub(1));
        if !self.waiting.borrow().is_empty() {
            self.grant();
        }
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
        self.idle.borrow_mut().retain(|wire| {
            let mut wire = wire.borrow_mut();
            let unused = now.saturating_sub(wire.since);
            if unused >= COLD {
                wire.shrink();
            }
            unused < self.limits.idle && wire.stream.is_quiet(false)
        });
        self.reap_links(now);
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
        members.borrow().pools.iter().for_each(|pool| {
            pool.reap();
            // A place may have come free where HTTP/1.1 had them all, or a server in doubt has answered.
            pool.grant_streams();
            pool.serve_waiting(Timeouts::default().connect);
        });
    }
}

/// The place of an HTTP/2 connection among those that the pool may have.
pub(super) struct Place(Weak<Pool>);

impl Place {
    pub(super) fn take(pool: &Rc<Pool>) -> Option<Self> {
        let used = pool.used.get();
        if used >= pool.max {
            return None;
        }
        pool.used.set(used + 1);
        Some(Self(Rc::downgrade(pool)))
    }

    /// The connection turned out to speak HTTP/1.1.
    pub(super) fn into_slot(mut self, pool: &Rc<Pool>) -> Slot {
        self.0 = Weak::new();
        Slot { counted: Counted::new(pool) }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(pool) = self.0.upgrade() {
            pool.give_place();
        }
    }
}

/// The right to one connection, for a request.
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

    pub(super) fn pool(&self) -> &Rc<Pool> {
        &self.counted.pool
    }

    pub(super) fn put_back(self, wire: Rc<RefCell<Wire>>) {
        let pool = &self.counted.pool;
        {
            let mut wire = wire.borrow_mut();
            wire.deadline.disarm();
            wire.reused = true;
            wire.since = pool.connector.timer.coarse();
        }
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
        self.counted.pool.give_place();
    }
}

/// A request that counts for the balance, where somebody counts.
pub(super) struct Counted {
    pool: Rc<Pool>,
    counts: bool,
}

impl Counted {
    pub(super) fn pool(&self) -> &Rc<Pool> {
        &self.pool
    }

    pub(super) fn new(pool: &Rc<Pool>) -> Self {
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
