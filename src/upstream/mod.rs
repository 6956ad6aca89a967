//! The HTTP client towards upstream servers, written for one job: to carry a request and its response
//! with little work and no doubt. HTTP/1.1 is its own; for HTTP/2 see [`http2`].
//!
//! An [`Upstream`] belongs to one worker and never leaves its thread: pools, buffers and deadlines need no
//! locks. What workers share of an upstream is in [`Shared`]. One exchange goes
//! [`Upstream::pick`] → [`Upstream::exchange`], or with a connection in hand, [`send`].
//!
//! What makes it fast: the caller writes the request head straight into the connection's buffer; a small
//! body goes out with it in one `send`; the response head is parsed where it lies, and its values and the
//! body are slices of the read buffer; an idle connection is checked without a system call; a deadline is
//! a number in a cell ([`timer`]).
//!
//! What makes it safe: a response whose end is in doubt is [`ErrorKind::Malformed`] and its connection is
//! closed (RFC 9112, 6.3, 9.6, 11). So is a connection on which a byte follows a complete response.
#![deny(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic))]

mod attempt;
pub mod balance;
mod body;
pub mod budget;
pub mod burst;
pub mod chunked;
pub mod config;
mod conn;
pub mod decode;
pub mod echo;
pub mod eject;
mod endpoint;
mod error;
pub mod head;
mod health;
pub mod http2;
pub mod keeper;
mod oauth;
pub mod offline;
mod pool;
mod resolve;
mod send;
mod shared;
mod stream;
#[cfg(test)]
mod tests;
pub mod timer;
pub mod tls;
mod upgrade;
mod upload;

pub use body::UpstreamBody;
pub use config::{Config, Limits, Server, Timeouts};
pub use conn::Conn;
pub use endpoint::{Endpoint, Set, State};
pub use error::{ErrorKind, ExchangeError, Malformed};
pub use oauth::Oauth;
pub use send::{Answer, Request, WriteHead, send};
pub use shared::Shared;
pub use upgrade::Upgraded;

use balance::{Balancer, Facts, Tried};
use burst::Burst;
use bytes::Bytes;
use conn::{Connector, Wire};
use http::HeaderValue;
use http_body::Body;
use pool::{Pool, Want};
use std::cell::{Cell, RefCell};
use std::error::Error;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;
use timer::Timer;

/// One upstream in one worker: its endpoints' pools and the choice among them.
pub struct Upstream {
    shared: Arc<Shared>,
    timer: Timer,
    burst: Burst<Wire>,
    /// The version of the endpoints that `members` are made of.
    version: Cell<u32>,
    members: Rc<RefCell<Members>>,
    rng: RefCell<fastrand::Rng>,
    /// The token, and the version that it is of.
    token: RefCell<(u32, Option<HeaderValue>)>,
}

/// What a worker made of the endpoints.
struct Members {
    set: Arc<Set>,
    pools: Vec<Rc<Pool>>,
    balancer: Balancer,
}

/// A chosen endpoint. It stays usable when it is no longer one of the upstream's.
#[derive(Clone)]
pub struct Picked {
    pool: Rc<Pool>,
    /// It is under suspicion, and this request is to find out.
    trial: bool,
}

impl Picked {
    fn new(pool: Rc<Pool>) -> Self {
        Self { trial: pool.endpoint().chosen(), pool }
    }

    /// What was chosen.
    #[must_use]
    pub fn endpoint(&self) -> &Endpoint {
        self.pool.endpoint()
    }

    /// Connections of this worker to it, idle or in use.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.pool.connections()
    }
}

impl Upstream {
    /// An upstream without connections. It lives in the runtime that it is made in; dropping it closes its
    /// idle connections, and those in use when they are done.
    ///
    /// # Panics
    /// Outside a `LocalRuntime` or `LocalSet`.
    #[must_use]
    pub fn new(shared: Arc<Shared>, timer: &Timer) -> Self {
        let version = shared.version();
        let burst = Burst::new();
        let members = Members::new(&shared, timer, &burst, &[]);
        let members = Rc::new(RefCell::new(members));
        tokio::task::spawn_local(pool::reaper(Rc::downgrade(&members), shared.config.pool.idle));
        Self {
            version: Cell::new(version),
            members,
            timer: timer.clone(),
            burst,
            shared,
            rng: RefCell::new(fastrand::Rng::new()),
            token: RefCell::default(),
        }
    }

    /// What this worker shares with the others.
    #[must_use]
    pub fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// Chooses an endpoint. `key` is that of `balance hash` ([`balance::hash_key`]); `sticky` is the id of the endpoint that
    /// the client was at; `tried` are those that failed this request. `None` if none may be used.
    #[inline]
    #[must_use]
    pub fn pick(&self, key: u64, sticky: Option<u64>, tried: &Tried) -> Option<Picked> {
        if self.version.get() != self.shared.version() {
            self.renew();
        }
        let members = self.members.borrow();
        if let Some(id) = sticky.filter(|id| !tried.has(*id))
            && let Some(pool) = members.pools.iter().find(|pool| pool.endpoint().id == id)
            && pool.endpoint().state() == State::Up
        {
            return Some(Picked::new(pool.clone()));
        }
        let state = |at: usize| members.pools.get(at).map_or(State::Down, |pool| pool.endpoint().state());
        let load = |at: usize| members.pools.get(at).map_or(0, |pool| pool.endpoint().load().load(Relaxed));
        let facts = Facts { state: &state, load: &load, key, tried };
        let at = members.balancer.pick(&facts, &mut self.rng.borrow_mut())?;
        members.pools.get(at).map(|pool| Picked::new(pool.clone()))
    }

    /// The Authorization field with the token that is fetched for it; see [`Oauth`]. Waits for the first one.
    ///
    /// # Errors
    /// Why there is none.
    pub async fn token(&self, patience: Duration) -> Result<HeaderValue, String> {
        let Some(oauth) = self.shared.oauth() else { return Err("none is fetched".to_owned()) };
        // Before what it is the version of.
        let version = oauth.version();
        if self.token.borrow().0 != version {
            self.token.replace((version, oauth.current()));
        }
        let known = self.token.borrow().1.clone();
        match known {
            Some(token) => Ok(token),
            None => oauth.wait(patience, &self.timer).await,
        }
    }

    /// There is more than one endpoint.
    #[inline]
    #[must_use]
    pub fn has_several(&self) -> bool {
        self.members.borrow().pools.len() > 1
    }

    /// Another address of the same server, for a request that found nobody at this one.
    #[must_use]
    pub fn sibling(&self, of: &Picked, tried: &Tried) -> Option<Picked> {
        let members = self.members.borrow();
        let place = |pool: &Rc<Pool>| members.set.members.iter().find(|m| Arc::ptr_eq(&m.endpoint, pool.endpoint()));
        let server = place(&of.pool)?.server;
        let others = members.set.members.iter().zip(&members.pools).filter(|(member, pool)| {
            let endpoint = pool.endpoint();
            member.server == server && !tried.has(endpoint.id) && endpoint.state() != State::Down
        });
        let best = others.min_by_key(|(_, pool)| pool.endpoint().state() != State::Up);
        best.map(|(_, pool)| Picked::new(pool.clone()))
    }

    /// Nothing could be chosen: waits for names that are being looked for, for `patience` at most.
    ///
    /// # Errors
    /// Nothing is being looked for, or it was not found.
    pub async fn settle(&self, patience: Duration) -> Result<(), ExchangeError> {
        let mut watch = self.shared.watch();
        if watch.borrow().pending {
            let settled = watch.wait_for(|set| !set.pending || !set.members.is_empty());
            if self.timer.deadline().timeout(patience, settled).await.is_none() {
                return Err(ExchangeError::because(ErrorKind::Dns, "no answer yet"));
            }
            // The version may say so a moment later.
            self.renew();
            if !self.shared.set().members.is_empty() {
                return Ok(());
            }
        }
        let set = self.shared.set();
        Err(match (&set.failure, set.members.is_empty()) {
            (_, false) => ExchangeError::new(ErrorKind::Unhealthy),
            (Some(why), true) => ExchangeError::because(ErrorKind::Dns, why.clone()),
            (None, true) => ExchangeError::because(ErrorKind::Dns, "it has no addresses"),
        })
    }

    /// Follows the endpoints. Pools of those that stay stay, too; connections of those that are gone end with what they
    /// are doing.
    #[cold]
    fn renew(&self) {
        self.version.set(self.shared.version());
        let fresh = Members::new(&self.shared, &self.timer, &self.burst, &self.members.borrow().pools);
        // What goes is dropped when nothing is borrowed.
        let gone = self.members.replace(fresh);
        drop(gone);
    }

    /// An HTTP/1.1 connection to an endpoint: an idle one, a new one, or one that is waited for in line, within `connect`.
    ///
    /// # Errors
    /// Those of connecting, and [`ErrorKind::Overloaded`].
    pub async fn connect(&self, picked: &Picked, connect: Duration) -> Result<Conn, ExchangeError> {
        picked.pool.checkout(Want::Any, connect).await
    }

    /// One attempt at a request: takes a connection or a stream and [`send`]s. Where an idle connection turns out
    /// to have been closed by the server, a request that may be repeated is sent again on a new one, which
    /// is still the same attempt.
    ///
    /// # Errors
    /// Any.
    pub async fn exchange<B>(
        &self,
        picked: &Picked,
        request: &mut Request<'_>,
        head: impl WriteHead,
        body: &mut Option<B>,
    ) -> Result<Answer<B>, ExchangeError>
    where
        B: Body<Data = Bytes, Error: Into<Box<dyn Error + Send + Sync>>> + Unpin,
    {
        let answer = picked.pool.exchange(request, &head, body).await;
        if picked.trial && answer.is_ok() {
            picked.endpoint().accepted();
        }
        answer
    }
}

impl Members {
    fn new(shared: &Shared, timer: &Timer, burst: &Burst<Wire>, old: &[Rc<Pool>]) -> Self {
        let set = shared.set();
        let balancer = Balancer::new(shared.config.balance, &set.members);
        let pool = |endpoint: &Arc<Endpoint>| {
            let known = old.iter().find(|pool| Arc::ptr_eq(pool.endpoint(), endpoint));
            let pool = known.cloned().unwrap_or_else(|| pool_of(shared, endpoint.clone(), timer, burst));
            pool.counts.set(balancer.needs_load());
            pool
        };
        let pools = set.members.iter().map(|member| pool(&member.endpoint)).collect();
        Self { set, pools, balancer }
    }
}

/// A pool of an endpoint, empty.
fn pool_of(shared: &Shared, endpoint: Arc<Endpoint>, timer: &Timer, burst: &Burst<Wire>) -> Rc<Pool> {
    let tls = shared.tls.clone().zip(endpoint.tls_name.clone());
    let tls = tls.map(|(tls, name)| {
        let name = tls.name().unwrap_or(name);
        (tls, name)
    });
    Pool::new(Connector { endpoint, tls, timer: timer.clone(), burst: burst.clone() }, shared)
}
