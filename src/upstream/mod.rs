//! The HTTP/1.1 client towards upstream servers, written for one job: to carry a request and its response
//! with little work and no doubt.
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

pub mod balance;
mod body;
pub mod budget;
pub mod chunked;
pub mod config;
mod conn;
pub mod decode;
pub mod echo;
mod error;
pub mod head;
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
pub use error::{ErrorKind, ExchangeError, Malformed};
pub use send::{Answer, Request, send};
pub use shared::Shared;
pub use upgrade::Upgraded;

use balance::{Balancer, Facts, Tried};
use bytes::Bytes;
use config::Scheme;
use conn::Connector;
use http_body::Body;
use pool::{Pool, Want};
use resolve::Resolver;
use std::cell::RefCell;
use std::error::Error;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use timer::Timer;

/// One upstream in one worker: its servers' pools and the choice among them.
pub struct Upstream {
    shared: Arc<Shared>,
    pools: Vec<Rc<Pool>>,
    balancer: Balancer,
    rng: RefCell<fastrand::Rng>,
}

impl Upstream {
    /// An upstream without connections. It lives in the runtime that it is made in; dropping it closes its
    /// idle connections, and those in use when they are done.
    ///
    /// # Errors
    /// The name of an `https` server is not one that a certificate can have.
    ///
    /// # Panics
    /// Outside a `LocalRuntime` or `LocalSet`.
    pub fn new(shared: Arc<Shared>, timer: &Timer) -> std::io::Result<Self> {
        let config = &shared.config;
        let pools: Vec<_> = config
            .servers
            .iter()
            .enumerate()
            .map(|(at, server)| {
                let tls = match (server.scheme, &shared.tls) {
                    (Scheme::Https, Some(tls)) => Some((tls.clone(), tls::server_name(&server.host)?)),
                    _ => None,
                };
                let connector = Connector { resolver: Resolver::new(server), tls, timer: timer.clone() };
                Ok(Pool::new(connector, shared.clone(), at))
            })
            .collect::<std::io::Result<_>>()?;
        let weak = pools.iter().map(Rc::downgrade).collect();
        tokio::task::spawn_local(pool::reaper(weak, config.pool.idle));
        let balancer = Balancer::new(config.balance, &config.servers);
        Ok(Self { balancer, pools, shared, rng: RefCell::new(fastrand::Rng::new()) })
    }

    /// What this worker shares with the others.
    #[must_use]
    pub fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// A server by its place, as [`Upstream::pick`] returns it.
    #[must_use]
    pub fn server(&self, server: usize) -> Option<&Server> {
        self.shared.config.servers.get(server)
    }

    /// Connections of this worker to a server, idle or in use.
    #[must_use]
    pub fn connections(&self, server: usize) -> usize {
        self.pools.get(server).map_or(0, |pool| pool.connections())
    }

    /// Chooses a server. `key` is that of `balance hash` ([`balance::hash_key`]); `tried` are those that
    /// failed this request. `None` if none may be used.
    #[inline]
    #[must_use]
    pub fn pick(&self, key: u64, tried: &Tried) -> Option<usize> {
        if let [_] = self.pools.as_slice() {
            return Some(0);
        }
        let load = |at| self.shared.load(at).map_or(0, |load| load.load(std::sync::atomic::Ordering::Relaxed));
        self.balancer.pick(&Facts { up: &|_| true, load: &load, key, tried }, &mut self.rng.borrow_mut())
    }

    /// A connection to a server: an idle one, a new one, or one that is waited for in line, within
    /// `connect`.
    ///
    /// # Errors
    /// Those of connecting, and [`ErrorKind::Overloaded`].
    pub async fn connect(&self, server: usize, connect: Duration) -> Result<Conn, ExchangeError> {
        self.pool(server)?.checkout(Want::Any, connect).await
    }

    /// One attempt at a request: takes a connection and [`send`]s. Where an idle connection turns out to
    /// have been closed by the server, a request that may be repeated is sent again on a new one, which
    /// is still the same attempt.
    ///
    /// # Errors
    /// Any.
    pub async fn exchange<B>(
        &self,
        server: usize,
        request: &mut Request<'_>,
        head: impl Fn(&mut Vec<u8>),
        body: &mut Option<B>,
    ) -> Result<Answer<B>, ExchangeError>
    where
        B: Body<Data = Bytes, Error: Into<Box<dyn Error + Send + Sync>>> + Unpin,
    {
        let pool = self.pool(server)?;
        let repeatable = request.method.is_idempotent() && body.as_ref().is_none_or(Body::is_end_stream);
        let mut want = if repeatable { Want::Any } else { Want::Sure };
        loop {
            let conn = pool.checkout(want, request.timeouts.connect).await?;
            match send(conn, request, &head, body).await {
                Err(error) if error.stale && !error.body_consumed && request.method.is_idempotent() => {
                    want = Want::Fresh;
                }
                outcome => return outcome,
            }
        }
    }

    fn pool(&self, server: usize) -> Result<&Rc<Pool>, ExchangeError> {
        self.pools.get(server).ok_or_else(|| ExchangeError::because(ErrorKind::Connect, "no such server"))
    }
}
