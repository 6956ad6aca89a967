//! What the workers share of one upstream.

use super::budget::Budget;
use super::config::{Config, Host, Scheme, Server};
use super::endpoint::{Endpoint, Member, Set};
use super::oauth::Oauth;
use super::tls::{Tls, TlsError};
use std::net::SocketAddr;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::{Acquire, Release};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;
use tokio::sync::watch;

/// What the workers share of one upstream: its configuration, TLS, its endpoints, and its retry budget.
///
/// The endpoints change seldom. A worker keeps what it made of them and compares [`Shared::version`], one load, before it
/// uses it; nothing on the way of a request takes a lock.
pub struct Shared {
    /// The configuration it was made from.
    pub config: Config,
    pub(super) workers: u32,
    pub(super) tls: Option<Tls>,
    oauth: Option<Arc<Oauth>>,
    budget: Budget,
    began: Instant,
    version: AtomicU32,
    set: watch::Sender<Arc<Set>>,
    /// What is known of each server of the configuration.
    found: Mutex<Vec<Found>>,
    /// Held while one is ejected: two at once could be too many.
    pub(super) ejecting: Mutex<()>,
}

/// What is known of a server.
#[derive(Clone, Debug, Default)]
struct Found {
    /// Its endpoints; none before it was first looked for.
    endpoints: Option<Vec<Candidate>>,
    /// Why it was not found when last looked for.
    failure: Option<String>,
}

/// An endpoint that DNS has.
#[derive(Clone, Debug, PartialEq)]
pub struct Candidate {
    /// The server, with its name and port.
    pub server: Server,
    /// Its address.
    pub address: SocketAddr,
    /// Its weight.
    pub weight: u32,
    /// Lower before higher.
    pub tier: u32,
}

impl Shared {
    /// Made once for all `workers`; reads certificate authorities if a server speaks TLS. Endpoints that `old` has, too, are
    /// taken over with all that is known about them.
    ///
    /// # Errors
    /// The certificate authorities cannot be read.
    pub fn new(config: Config, workers: u32, old: Option<&Shared>) -> Result<Arc<Self>, TlsError> {
        let secure = config.servers.iter().any(|server| server.scheme == Scheme::Https);
        let tls = if secure { Some(Tls::new(&config.tls)?) } else { None };
        let oauth = config.oauth.as_ref();
        let oauth = oauth.map(|oauth| Oauth::new(&config.name, oauth, old.and_then(|old| old.oauth.as_ref())));
        let oauth = oauth.transpose()?;
        let found = config.servers.iter().map(|server| match server.host {
            Host::Ip(ip) => {
                let address = SocketAddr::new(ip, server.port);
                let tier = if server.backup { Member::BACKUP } else { 0 };
                let own = Candidate { server: server.clone(), address, weight: server.weight.max(1), tier };
                Found { endpoints: Some(vec![own]), failure: None }
            }
            _ => old.and_then(|old| old.found(server)).unwrap_or_default(),
        });
        let found = Mutex::new(found.collect());
        let set = old.map(|old| old.set()).unwrap_or_default();
        let shared = Self {
            workers,
            tls,
            oauth,
            budget: Budget::new(config.budget),
            began: Instant::now(),
            version: AtomicU32::new(0),
            set: watch::Sender::new(set),
            found,
            ejecting: Mutex::new(()),
            config,
        };
        shared.renew();
        // What nobody asks about any more is not held against them.
        for member in &shared.set().members {
            if shared.config.health.is_none() {
                member.endpoint.set_healthy(true);
            }
            if shared.config.eject.is_none() {
                member.endpoint.readmit();
            }
        }
        Ok(Arc::new(shared))
    }

    /// Counts a request for the retry budget: once a request, however many attempts it takes. `second` is any clock of whole
    /// seconds that does not go back; one that comes late is good enough.
    pub fn count_request(&self, second: u32) {
        self.budget.deposit(second);
    }

    /// Takes a retry from the budget, if one is left of `share` (0.2 is one for five requests), or of the upstream's own.
    #[must_use]
    pub fn allow_retry(&self, second: u32, share: Option<f32>) -> bool {
        match share {
            Some(share) => self.budget.withdraw_of(second, share),
            None => self.budget.withdraw(second),
        }
    }

    /// Its token, if one is fetched for it.
    #[must_use]
    pub fn oauth(&self) -> Option<&Arc<Oauth>> {
        self.oauth.as_ref()
    }

    /// Changes whenever the endpoints do.
    #[inline]
    pub(super) fn version(&self) -> u32 {
        self.version.load(Acquire)
    }

    /// The endpoints as they are now.
    #[must_use]
    pub fn set(&self) -> Arc<Set> {
        self.set.borrow().clone()
    }

    /// Tells of changes of the endpoints.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<Arc<Set>> {
        self.set.subscribe()
    }

    /// A server was looked for: these are its endpoints, or it was not found and keeps those that it had. Says whether
    /// anything changed.
    pub(super) fn publish(&self, server: usize, outcome: Result<Vec<Candidate>, String>) -> bool {
        let mut found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(known) = found.get_mut(server) else { return false };
        let before = known.endpoints.clone();
        match outcome {
            Ok(mut endpoints) => {
                // DNS turns its answers round.
                endpoints.sort_by_key(|candidate| (candidate.tier, candidate.address));
                endpoints.dedup_by_key(|candidate| candidate.address);
                *known = Found { endpoints: Some(endpoints), failure: None };
            }
            Err(why) => {
                known.failure = Some(why);
                known.endpoints.get_or_insert_default();
            }
        }
        let changed = known.endpoints != before;
        drop(found);
        self.renew();
        changed
    }

    /// What is known of the same server.
    fn found(&self, server: &Server) -> Option<Found> {
        let same = |other: &Server| {
            (other.scheme, &other.host, other.port, &other.prefix)
                == (server.scheme, &server.host, server.port, &server.prefix)
        };
        let at = self.config.servers.iter().position(same)?;
        let found = self.found.lock().unwrap_or_else(PoisonError::into_inner).get(at)?.clone();
        let place = |candidate: Candidate| match server.host {
            Host::Srv(_) => candidate,
            _ => Candidate {
                weight: server.weight.max(1),
                tier: if server.backup { Member::BACKUP } else { 0 },
                server: Server { weight: server.weight, backup: server.backup, ..candidate.server },
                ..candidate
            },
        };
        Some(Found { endpoints: found.endpoints.map(|all| all.into_iter().map(place).collect()), ..found })
    }

    /// Makes the set anew of what is known. Endpoints that it has already stay the same.
    fn renew(&self) {
        let found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        let old = self.set();
        let mut members = Vec::new();
        for (server, candidate) in found
            .iter()
            .enumerate()
            .flat_map(|(at, found)| found.endpoints.iter().flatten().map(move |candidate| (at, candidate)))
        {
            match Endpoint::new(candidate.server.clone(), candidate.address) {
                Ok(fresh) => {
                    let same = old.members.iter().map(|member| &member.endpoint).find(|known| known.id == fresh.id);
                    let endpoint = same.cloned().unwrap_or_else(|| Arc::new(fresh));
                    let (weight, tier) = (candidate.weight, candidate.tier);
                    members.push(Member { endpoint, server, weight, tier });
                }
                Err(error) => {
                    let server = candidate.server.authority();
                    tracing::error!(upstream = self.config.name, server, "the server cannot be used: {error}");
                }
            }
        }
        let set = Set {
            pending: found.iter().any(|found| found.endpoints.is_none()),
            failure: found.iter().find_map(|found| found.failure.clone()),
            members,
        };
        let changed = set.members != old.members;
        self.set.send_replace(Arc::new(set));
        if changed {
            self.version.fetch_add(1, Release);
            self.readmit();
        }
    }

    pub(super) fn second(&self) -> u32 {
        u32::try_from(self.began.elapsed().as_secs()).unwrap_or(u32::MAX)
    }
}
