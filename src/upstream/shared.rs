//! What the workers share of one upstream.

use super::balance::Balancer;
use super::budget::Budget;
use super::config::{Config, Scheme};
use super::tls::{self, TlsError};
use rustls::ClientConfig;
use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::time::Instant;

/// What the workers share of one upstream: its configuration, TLS, how busy its servers are, and its retry
/// budget. No locks.
pub struct Shared {
    /// The configuration it was made from.
    pub config: Config,
    pub(super) workers: u32,
    pub(super) tls: Option<Arc<ClientConfig>>,
    budget: Budget,
    began: Instant,
    /// Empty if nobody asks.
    load: Box<[Load]>,
}

/// Requests that a server is answering now. Alone on its cache line.
#[derive(Debug, Default)]
#[repr(align(64))]
struct Load(AtomicU32);

impl Shared {
    /// Made once for all `workers`; reads certificate authorities if a server speaks TLS.
    ///
    /// # Errors
    /// The certificate authorities cannot be read.
    pub fn new(config: Config, workers: u32) -> Result<Arc<Self>, TlsError> {
        let secure = config.servers.iter().any(|server| server.scheme == Scheme::Https);
        let tls = if secure { Some(tls::client_config(&config.roots)?) } else { None };
        let counted =
            if Balancer::new(config.balance, &config.servers).needs_load() { config.servers.len() } else { 0 };
        Ok(Arc::new(Self {
            workers,
            tls,
            budget: Budget::new(config.budget),
            began: Instant::now(),
            load: (0..counted).map(|_| Load::default()).collect(),
            config,
        }))
    }

    /// Counts a request for the retry budget: once a request, however many attempts it takes.
    pub fn count_request(&self) {
        self.budget.deposit(self.second());
    }

    /// Takes a retry from the budget, if one is left of `share` (0.2 is one for five requests), or of the upstream's own.
    #[must_use]
    pub fn allow_retry(&self, share: Option<f32>) -> bool {
        match share {
            Some(share) => self.budget.withdraw_of(self.second(), share),
            None => self.budget.withdraw(self.second()),
        }
    }

    pub(super) fn load(&self, server: usize) -> Option<&AtomicU32> {
        self.load.get(server).map(|load| &load.0)
    }

    fn second(&self) -> u32 {
        u32::try_from(self.began.elapsed().as_secs()).unwrap_or(u32::MAX)
    }
}
