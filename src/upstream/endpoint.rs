//! Endpoints: the addresses that requests go to, and what all workers know about each.

use super::config::{Host, Scheme, Server};
use super::eject::Ejection;
use super::{balance, tls};
use crate::plan;
use rustls::pki_types::ServerName;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::LazyLock;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64};
use std::time::{Duration, Instant};

/// How long an address that took no connection is passed over at first; each further failure doubles it.
const SUSPECT_FIRST: Duration = Duration::from_secs(1);
/// And at most.
const SUSPECT_MOST: Duration = Duration::from_secs(10);

/// One address of one server. It stays the same over changes of DNS and reloads of the program, as long as what it is made
/// of does, and with it all that is known about it.
#[derive(Debug)]
pub struct Endpoint {
    /// Made of scheme, name, address, port and prefix: the same in every process.
    pub id: u64,
    /// What it is an address of.
    pub server: Server,
    /// The server as the decision code knows it: its authority and prefix.
    pub target: plan::Server,
    /// Where connections go.
    pub address: SocketAddr,
    /// The name in its certificate; none for `http`.
    pub(super) tls_name: Option<ServerName<'static>>,
    load: Load,
    marks: Marks,
    pub(super) ejection: Ejection,
}

/// Requests that an endpoint is answering now. Alone on its cache line.
#[derive(Debug, Default)]
#[repr(align(64))]
struct Load(AtomicU32);

/// Why an endpoint should not be used. All zero for one that is well: then the hot path reads one byte.
#[derive(Debug, Default)]
struct Marks {
    bits: AtomicU8,
    suspect_until: AtomicU64,
    suspicions: AtomicU32,
}

/// It took no connection when last asked.
const SUSPECT: u8 = 1;
/// Its health check fails.
const UNHEALTHY: u8 = 2;
/// It failed too many requests.
const EJECTED: u8 = 4;
/// It has answered a health check, well or not. Says nothing about its use.
const PROBED: u8 = 8;
const ANY: u8 = SUSPECT | UNHEALTHY | EJECTED;

/// Whether an endpoint may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It may.
    Up,
    /// Only if there is no other: it took no connection when last asked.
    Suspect,
    /// Not at all.
    Down,
}

impl Endpoint {
    /// The endpoint of `server` at `address`.
    ///
    /// # Errors
    /// The name of an `https` server is not one that a certificate can have.
    pub fn new(server: Server, address: SocketAddr) -> io::Result<Endpoint> {
        let tls_name = match server.scheme {
            Scheme::Https => Some(tls::server_name(&server.host)?),
            Scheme::Http => None,
        };
        let authority = server.authority();
        let target = plan::Server {
            tls: server.scheme == Scheme::Https,
            host: match &server.host {
                Host::Name(name) | Host::Srv(name) => name.into(),
                Host::Ip(ip) => ip.to_string().into(),
            },
            port: server.port,
            authority: authority.into(),
            prefix: server.prefix.as_str().into(),
            weight: server.weight,
            backup: server.backup,
            srv: false,
        };
        Ok(Endpoint {
            id: identity(&server, address),
            server,
            target,
            address,
            tls_name,
            load: Load::default(),
            marks: Marks::default(),
            ejection: Ejection::default(),
        })
    }

    /// Requests that it is answering now, where that is counted.
    pub(super) fn load(&self) -> &AtomicU32 {
        &self.load.0
    }

    /// Whether it may be used.
    #[inline]
    pub fn state(&self) -> State {
        match self.marks.bits.load(Relaxed) & ANY {
            0 => State::Up,
            bits => self.marked(bits),
        }
    }

    #[cold]
    fn marked(&self, bits: u8) -> State {
        if bits & UNHEALTHY != 0 {
            return State::Down;
        }
        if bits & EJECTED != 0 {
            if !self.ejection.is_over() {
                return State::Down;
            }
            self.readmit();
        }
        if bits & SUSPECT != 0 && millis() < self.marks.suspect_until.load(Relaxed) {
            return State::Suspect;
        }
        State::Up
    }

    /// It was chosen. If it is under suspicion this request is to find out: true, and the others wait for what comes of it.
    #[inline]
    pub(super) fn chosen(&self) -> bool {
        let suspect = self.marks.bits.load(Relaxed) & SUSPECT != 0;
        if suspect {
            self.marks.suspect_until.store(after(SUSPECT_MOST), Relaxed);
        }
        suspect
    }

    /// No connection came about.
    pub(super) fn refused(&self) {
        let before = self.marks.suspicions.load(Relaxed);
        self.marks.suspicions.store(before.saturating_add(1).min(8), Relaxed);
        let pause = SUSPECT_FIRST.saturating_mul(1 << before.min(8)).min(SUSPECT_MOST);
        self.marks.suspect_until.store(after(pause), Relaxed);
        self.marks.bits.fetch_or(SUSPECT, Relaxed);
    }

    /// A connection came about, or the request that was to find out had an answer on one from before.
    pub(super) fn accepted(&self) {
        if self.marks.bits.load(Relaxed) & SUSPECT != 0 {
            self.marks.suspicions.store(0, Relaxed);
            self.marks.bits.fetch_and(!SUSPECT, Relaxed);
        }
    }
}

impl Endpoint {
    /// It passes its health checks, as far as is known.
    pub fn is_healthy(&self) -> bool {
        self.marks.bits.load(Relaxed) & UNHEALTHY == 0
    }

    pub(super) fn set_healthy(&self, healthy: bool) {
        match healthy {
            true => self.marks.bits.fetch_and(!UNHEALTHY, Relaxed),
            false => self.marks.bits.fetch_or(UNHEALTHY, Relaxed),
        };
    }

    /// It has been asked whether it is well, now or before.
    pub(super) fn was_probed(&self) -> bool {
        self.marks.bits.fetch_or(PROBED, Relaxed) & PROBED != 0
    }

    /// It is out because it failed requests.
    pub(super) fn is_ejected(&self) -> bool {
        self.marks.bits.load(Relaxed) & EJECTED != 0 && !self.ejection.is_over()
    }

    /// Takes it out for a while that grows from time to time.
    pub(super) fn eject(&self, period: Duration) -> Duration {
        let length = self.ejection.begin(period);
        self.marks.bits.fetch_or(EJECTED, Relaxed);
        length
    }

    /// Its time is over: who sees it first says so.
    pub(super) fn readmit(&self) {
        if self.marks.bits.fetch_and(!EJECTED, Relaxed) & EJECTED != 0 {
            let (server, address) = (self.target.authority.as_str(), self.address);
            tracing::info!(server, %address, "an ejected server is used again");
        }
    }
}

fn identity(server: &Server, address: SocketAddr) -> u64 {
    let Server { scheme, host, prefix, .. } = server;
    let name = match host {
        Host::Name(name) | Host::Srv(name) => name.as_str(),
        Host::Ip(_) => "",
    };
    balance::hash_key(format!("{scheme:?}|{name}|{address}|{prefix}").as_bytes())
}

/// Milliseconds since the process first asked.
pub(super) fn millis() -> u64 {
    static BEGAN: LazyLock<Instant> = LazyLock::new(Instant::now);
    u64::try_from(BEGAN.elapsed().as_millis()).unwrap_or(u64::MAX)
}

/// So long from now, in [`millis`].
pub(super) fn after(pause: Duration) -> u64 {
    millis().saturating_add(u64::try_from(pause.as_millis()).unwrap_or(u64::MAX))
}

/// The endpoints of an upstream at one time.
#[derive(Debug, Default)]
pub struct Set {
    /// All of them.
    pub members: Vec<Member>,
    /// A name has not been asked for yet.
    pub pending: bool,
    /// Why a name gave no address.
    pub failure: Option<String>,
}

/// An endpoint with its place among the others.
#[derive(Clone, Debug)]
pub struct Member {
    /// It.
    pub endpoint: Arc<Endpoint>,
    /// Which of the upstream's servers it belongs to.
    pub server: usize,
    /// Its share, at least 1.
    pub weight: u32,
    /// Who is asked first: lower before higher, and backups last.
    pub tier: u32,
}

impl Member {
    /// The tier of backups.
    pub const BACKUP: u32 = u32::MAX;
}

impl PartialEq for Member {
    fn eq(&self, other: &Member) -> bool {
        Arc::ptr_eq(&self.endpoint, &other.endpoint)
            && (self.server, self.weight, self.tier) == (other.server, other.weight, other.tier)
    }
}
