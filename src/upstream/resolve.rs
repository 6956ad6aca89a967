//! From a server's host to socket addresses. A name is resolved when a connection is made and remembered
//! by the worker for a few seconds.

use super::config::{Host, Server};
use super::error::{ErrorKind, ExchangeError};
use std::cell::RefCell;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::time::Instant;

/// How long a worker remembers the addresses of a name.
pub const REMEMBERED: Duration = Duration::from_secs(5);

/// The addresses of one server.
pub(super) enum Resolver {
    Fixed(SocketAddr),
    Name { host: String, port: u16, known: RefCell<Option<(Instant, Vec<SocketAddr>)>> },
}

impl Resolver {
    pub(super) fn new(server: &Server) -> Self {
        match &server.host {
            Host::Ip(ip) => Self::Fixed(SocketAddr::new(*ip, server.port)),
            Host::Name(name) => Self::Name { host: name.clone(), port: server.port, known: RefCell::default() },
        }
    }

    /// All addresses, the one that answered last first. Never empty.
    pub(super) async fn addresses(&self) -> Result<Vec<SocketAddr>, ExchangeError> {
        let (host, port, known) = match self {
            Self::Fixed(address) => return Ok(vec![*address]),
            Self::Name { host, port, known } => (host, port, known),
        };
        let last = match &*known.borrow() {
            Some((at, addresses)) if at.elapsed() < REMEMBERED => return Ok(addresses.clone()),
            Some((_, addresses)) => addresses.first().copied(),
            None => None,
        };
        let found = tokio::net::lookup_host((host.as_str(), *port)).await;
        let found = found.map_err(|error| ExchangeError::because(ErrorKind::Dns, error))?;
        let mut addresses: Vec<_> = found.collect();
        if addresses.is_empty() {
            return Err(ExchangeError::new(ErrorKind::Dns));
        }
        addresses.sort_by_key(|address| Some(*address) != last);
        known.replace(Some((Instant::now(), addresses.clone())));
        Ok(addresses)
    }

    /// Notes that `address` answered, so that the next connection asks it first.
    pub(super) fn answered(&self, address: SocketAddr) {
        if let Self::Name { known, .. } = self
            && let Some((_, addresses)) = &mut *known.borrow_mut()
        {
            addresses.sort_by_key(|other| *other != address);
        }
    }
}
