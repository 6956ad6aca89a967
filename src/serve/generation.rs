//! What serves between two reloads. A reload makes a new one beside it and hands it to the workers.

use super::tls::{Endpoint, Issued};
use crate::load::materials::{Materials, Problem};
use crate::model::ast::UpstreamProtocol;
use crate::model::value::Secret;
use crate::plan::{self, Plan, UpstreamId};
use crate::policy::forwarded;
use crate::upstream::budget::Limits as Budget;
use crate::upstream::config::{self, Host, Http2, Pem, Pool, Protocol, Scheme};
use crate::upstream::timer::Timer;
use crate::upstream::tls::{self, TlsError};
use crate::upstream::{Config, Shared, Upstream};
use std::net::IpAddr;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// A plan with everything that its workers share.
pub struct Generation {
    /// What is decided by.
    pub plan: Arc<Plan>,
    /// Tables and keys.
    pub materials: Materials,
    /// Whose word on the client's address counts.
    pub trust: Option<forwarded::Trust>,
    /// By listener; none without TLS.
    endpoints: Vec<Option<Arc<Endpoint>>>,
    /// Certificates that are obtained while serving.
    issued: Arc<Issued>,
    /// By [`UpstreamId`]; none for `echo`.
    upstreams: Vec<Option<Arc<Shared>>>,
    /// By [`UpstreamId`]; none without `max requests`.
    gates: Vec<Option<Arc<Gate>>>,
}

impl Generation {
    /// A new generation of `plan`; what did not change is shared with `old`. The error is a sentence.
    pub fn new(
        plan: Arc<Plan>,
        old: Option<&Generation>,
        issued: &Arc<Issued>,
        workers: usize,
    ) -> Result<(Generation, Vec<Problem>), String> {
        let (materials, mut problems) = Materials::read(&plan, old.map(|old| (&*old.plan, &old.materials)));
        let endpoints = Endpoint::all(
            &plan.listeners,
            &old.map(Generation::by_listener).unwrap_or_default(),
            issued,
            &mut problems,
        );
        let workers = u32::try_from(workers).unwrap_or(u32::MAX);
        let upstreams =
            plan.upstreams.iter().map(|upstream| share(upstream, old, workers)).collect::<Result<_, _>>()?;
        let gates = plan.upstreams.iter().map(|upstream| gate(upstream, old)).collect();
        let trust = plan.trust.as_ref().map(forwarded::Trust::from);
        let issued = issued.clone();
        Ok((Generation { plan, materials, trust, endpoints, issued, upstreams, gates }, problems))
    }

    /// The same with tables, keys and certificates read anew, those of upstreams, too: a listener may have the same files.
    pub fn with_fresh_materials(&self, workers: usize) -> (Generation, Vec<Problem>) {
        let (materials, mut problems) = Materials::read(&self.plan, Some((&self.plan, &self.materials)));
        let endpoints = Endpoint::all(&self.plan.listeners, &self.by_listener(), &self.issued, &mut problems);
        let workers = u32::try_from(workers).unwrap_or(u32::MAX);
        let upstreams = self.plan.upstreams.iter().zip(&self.upstreams).map(|(upstream, before)| {
            share(upstream, Some(self), workers).unwrap_or_else(|message| {
                problems.push(Problem { message, fatal: false });
                before.clone()
            })
        });
        let upstreams = upstreams.collect();
        let fresh = Generation {
            plan: self.plan.clone(),
            materials,
            trust: self.trust.clone(),
            endpoints,
            issued: self.issued.clone(),
            upstreams,
            gates: self.gates.clone(),
        };
        (fresh, problems)
    }

    /// What a listener speaks TLS with.
    pub fn endpoint(&self, listener: usize) -> Option<&Arc<Endpoint>> {
        self.endpoints.get(listener)?.as_ref()
    }

    /// The listeners that have others than in `old`, a generation of the same plan.
    pub fn with_new_certificates<'g>(&'g self, old: &'g Generation) -> impl Iterator<Item = &'g str> {
        let all = self.plan.listeners.iter().zip(self.endpoints.iter().zip(&old.endpoints));
        all.filter_map(|(listener, pair)| match pair {
            (Some(new), Some(old)) if !Arc::ptr_eq(new, old) => Some(listener.name.as_str()),
            _ => None,
        })
    }

    fn by_listener(&self) -> Vec<(&plan::Listener, &Option<Arc<Endpoint>>)> {
        self.plan.listeners.iter().zip(&self.endpoints).collect()
    }

    /// What a peer's requests say of who they come from counts.
    pub fn trusts_fields_of(&self, peer: IpAddr) -> bool {
        self.trust.as_ref().is_some_and(|trust| trust.trusts_fields_of(peer))
    }

    /// The limit of an upstream's requests at once, if it has one.
    pub fn gate(&self, id: UpstreamId) -> Option<&Arc<Gate>> {
        self.gates.get(id.index())?.as_ref()
    }

    /// What the workers share of each upstream that has servers.
    pub fn upstreams(&self) -> impl Iterator<Item = &Arc<Shared>> {
        self.upstreams.iter().flatten()
    }

    /// The names of upstreams that are shared with `old`.
    pub fn kept_of<'g>(&'g self, old: &'g Generation) -> impl Iterator<Item = &'g str> {
        let shared = |(upstream, shared): (&'g plan::Upstream, &'g Option<Arc<Shared>>)| {
            let before = old.shared_of(&upstream.name)?;
            shared.as_ref().filter(|shared| Arc::ptr_eq(shared, before)).map(|_| upstream.name.as_str())
        };
        self.plan.upstreams.iter().zip(&self.upstreams).filter_map(shared)
    }

    fn shared_of(&self, name: &str) -> Option<&Arc<Shared>> {
        let at = self.plan.upstreams.iter().position(|upstream| upstream.name == name)?;
        self.upstreams.get(at)?.as_ref()
    }
}

fn share(upstream: &plan::Upstream, old: Option<&Generation>, workers: u32) -> Result<Option<Arc<Shared>>, String> {
    if upstream.echo {
        return Ok(None);
    }
    let wrong = |error: &dyn std::fmt::Display| format!("upstream `{}`: {error}", upstream.name);
    let config = config(upstream, workers).map_err(|error| wrong(&error))?;
    if let Some(same) = old.and_then(|old| old.shared_of(&upstream.name)).filter(|shared| shared.config == config) {
        return Ok(Some(same.clone()));
    }
    let oauth = config.oauth.iter().map(|oauth| &oauth.server);
    for server in config.servers.iter().chain(oauth).filter(|server| server.scheme == Scheme::Https) {
        tls::server_name(&server.host).map_err(|error| wrong(&error))?;
    }
    let before = old.and_then(|old| old.shared_of(&upstream.name));
    Shared::new(config, workers, before.map(|before| &**before)).map(Some).map_err(|error| wrong(&error))
}

/// The client's configuration. Reads the files that TLS needs: it is another one when they have changed.
fn config(upstream: &plan::Upstream, workers: u32) -> Result<Config, TlsError> {
    let server = |server: &plan::Server| config::Server {
        scheme: if server.tls { Scheme::Https } else { Scheme::Http },
        host: if server.srv { Host::Srv(server.host.to_string()) } else { Host::from(server.host.as_str()) },
        port: server.port,
        prefix: server.prefix.to_string(),
        weight: server.weight,
        backup: server.backup,
    };
    let balance = match &upstream.balance {
        plan::Balance::P2c => config::Balance::P2c,
        plan::Balance::RoundRobin => config::Balance::RoundRobin,
        plan::Balance::Random => config::Balance::Random,
        plan::Balance::LeastRequests => config::Balance::LeastRequests,
        plan::Balance::Hash(_) => config::Balance::Hash,
    };
    let share = upstream.retry.budget.unwrap_or(plan::defaults::RETRY_BUDGET) / 100.0;
    let pem = |path: &Option<PathBuf>| path.as_deref().map(Pem::read).transpose();
    let tls = if upstream.servers.iter().any(|server| server.tls) {
        let plan::UpstreamTls { ca, identity, name } = &upstream.tls;
        let identity = identity.as_ref().map(|(chain, key)| Ok((Pem::read(chain)?, Pem::read(key)?))).transpose()?;
        config::Tls { roots: pem(ca)?, identity, name: name.as_ref().map(ToString::to_string) }
    } else {
        config::Tls::default()
    };
    let oauth = upstream.oauth.as_ref().map(|oauth| {
        let plan::Oauth { client_id, client_secret, scopes, audience, .. } = oauth;
        Ok(config::Oauth {
            server: server(&oauth.server),
            path: oauth.path.to_string(),
            client_id: client_id.to_string(),
            // Nothing is served while an input has no value.
            client_secret: client_secret.clone().unwrap_or_else(|| Secret::new("")),
            credentials: oauth.credentials,
            scope: (!scopes.is_empty()).then(|| scopes.join(" ")),
            audience: audience.as_ref().map(ToString::to_string),
            tls: config::Tls { roots: pem(&oauth.ca)?, ..config::Tls::default() },
        })
    });
    Ok(Config {
        oauth: oauth.transpose()?,
        name: upstream.name.to_string(),
        servers: upstream.servers.iter().map(server).collect(),
        balance,
        pool: Pool {
            max: u32::try_from(upstream.pool_max).ok().map(|max| max.saturating_mul(workers)),
            protocol: match upstream.protocol {
                Some(UpstreamProtocol::H1) => Protocol::Http1,
                Some(UpstreamProtocol::H2 | UpstreamProtocol::H2c) => Protocol::Http2,
                Some(UpstreamProtocol::Auto) | None => Protocol::Auto,
            },
            idle: upstream.pool_idle.unwrap_or(plan::defaults::POOL_IDLE),
            http2: Http2 { idle: upstream.pool_idle.unwrap_or(plan::defaults::POOL_IDLE_H2), ..Http2::default() },
            ..Pool::default()
        },
        tls,
        budget: Budget { share: share as f32, ..Budget::default() },
        health: upstream.health.clone(),
        eject: upstream.eject,
    })
}

/// `max requests N pending M`.
pub struct Gate {
    slots: Arc<Semaphore>,
    max: u64,
    pending: u64,
    waiting: AtomicU64,
}

fn gate(upstream: &plan::Upstream, old: Option<&Generation>) -> Option<Arc<Gate>> {
    let max = upstream.max_requests?;
    let pending = upstream.max_pending.unwrap_or(0);
    let same = old.and_then(|old| {
        let at = old.plan.upstreams.iter().position(|u| u.name == upstream.name)?;
        old.gates.get(at)?.clone().filter(|gate| gate.max == max && gate.pending == pending)
    });
    let slots = usize::try_from(max).unwrap_or(usize::MAX).min(Semaphore::MAX_PERMITS);
    Some(same.unwrap_or_else(|| {
        Arc::new(Gate { slots: Arc::new(Semaphore::new(slots)), max, pending, waiting: AtomicU64::new(0) })
    }))
}

impl Gate {
    /// The right to one request, if one is free.
    pub fn try_enter(&self) -> Option<OwnedSemaphorePermit> {
        self.slots.clone().try_acquire_owned().ok()
    }

    /// The right to one request; none when too many wait already.
    pub async fn enter(&self) -> Option<OwnedSemaphorePermit> {
        struct Waits<'a>(&'a AtomicU64);
        impl Drop for Waits<'_> {
            fn drop(&mut self) {
                self.0.fetch_sub(1, Relaxed);
            }
        }
        let before = self.waiting.fetch_add(1, Relaxed);
        let _waits = Waits(&self.waiting);
        if before >= self.pending {
            return None;
        }
        self.slots.clone().acquire_owned().await.ok()
    }
}

/// A generation in one worker, with the worker's own connections.
pub struct Local {
    /// What it is made of.
    pub generation: Arc<Generation>,
    upstreams: Vec<Option<Rc<Upstream>>>,
}

impl Local {
    /// In a worker's runtime. Pools of upstreams that did not change are taken over from `old`.
    pub fn new(generation: Arc<Generation>, old: Option<&Local>, timer: &Timer) -> Local {
        let before = |shared: &Arc<Shared>| {
            old?.upstreams.iter().flatten().find(|upstream| Arc::ptr_eq(upstream.shared(), shared)).cloned()
        };
        let upstreams = generation.upstreams.iter().map(|shared| {
            let shared = shared.as_ref()?;
            match before(shared) {
                Some(same) => Some(same),
                None => Some(Rc::new(Upstream::new(shared.clone(), timer))),
            }
        });
        let upstreams = upstreams.collect();
        Local { generation, upstreams }
    }

    /// What is decided by.
    #[inline]
    pub fn plan(&self) -> &Plan {
        &self.generation.plan
    }

    /// An upstream's client; none for `echo`.
    #[inline]
    pub fn upstream(&self, id: UpstreamId) -> Option<&Rc<Upstream>> {
        self.upstreams.get(id.index())?.as_ref()
    }
}
