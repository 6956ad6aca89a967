//! From names to endpoints. Each name of an upstream is followed by one task for the whole process: it asks again when the
//! answer's time is over, and keeps the last good answer while there is no other.

use super::config::{Host, Server};
use super::endpoint::Member;
use super::shared::{Candidate, Shared};
use hickory_resolver::TokioResolver;
use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolverConfig};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::proto::rr::RData;
use std::cell::RefCell;
use std::fmt::Write;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

/// An answer is used at least so long, whatever its TTL.
const FLOOR: Duration = Duration::from_secs(1);
/// And at most so long.
const CEILING: Duration = Duration::from_secs(60);
/// A name without an answer is asked for again after so long at first; each further failure doubles it.
const AGAIN_FIRST: Duration = Duration::from_millis(500);
/// And at most.
const AGAIN_MOST: Duration = Duration::from_secs(30);
/// The files that say how names are resolved.
const FILES: [&str; 2] = ["/etc/resolv.conf", "/etc/hosts"];

/// Resolves as the system's files say, as they are now.
pub(super) struct Resolver {
    /// Asked instead of the system's servers.
    server: Option<SocketAddr>,
    made: RefCell<Option<(TokioResolver, Changed)>>,
}

/// When the files changed last.
type Changed = [Option<SystemTime>; 2];

impl Resolver {
    pub(super) fn new(server: Option<SocketAddr>) -> Self {
        Self { server, made: RefCell::new(None) }
    }

    /// What resolves now: made anew when the system's files have changed.
    fn current(&self) -> Result<TokioResolver, String> {
        let changed = FILES.map(|file| std::fs::metadata(file).and_then(|data| data.modified()).ok());
        if let Some((resolver, same)) = &*self.made.borrow()
            && *same == changed
        {
            return Ok(resolver.clone());
        }
        let provider = TokioRuntimeProvider::default();
        let mut builder = match self.server {
            Some(server) => {
                let mut connections = vec![ConnectionConfig::udp(), ConnectionConfig::tcp()];
                connections.iter_mut().for_each(|connection| connection.port = server.port());
                let server = NameServerConfig::new(server.ip(), true, connections);
                let config = ResolverConfig::from_parts(None, Vec::new(), vec![server]);
                TokioResolver::builder_with_config(config, provider)
            }
            // Without a server in the file names of /etc/hosts can still be found.
            None => TokioResolver::builder(provider.clone())
                .unwrap_or_else(|_| TokioResolver::builder_with_config(ResolverConfig::default(), provider)),
        };
        let options = builder.options_mut();
        options.positive_max_ttl = Some(CEILING);
        options.negative_max_ttl = Some(FLOOR);
        let resolver = builder.build().map_err(|error| error.to_string())?;
        self.made.replace(Some((resolver.clone(), changed)));
        Ok(resolver)
    }

    /// The addresses of a name, and how long they are good.
    async fn addresses(&self, name: &str) -> Result<(Vec<IpAddr>, Duration), String> {
        if is_localhost(name) {
            return Ok((vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()], CEILING));
        }
        let found = self.current()?.lookup_ip(name).await.map_err(|error| reason(name, &error))?;
        let addresses: Vec<_> = found.iter().collect();
        if addresses.is_empty() {
            return Err(format!("`{name}` has no addresses"));
        }
        Ok((addresses, found.valid_until().saturating_duration_since(Instant::now())))
    }

    /// The endpoints of a server, and how long they are good. What a part of them was before stands in for it where it is
    /// not found.
    async fn candidates(&self, server: &Server, before: &[Candidate]) -> Result<(Vec<Candidate>, Duration), String> {
        match &server.host {
            Host::Ip(_) => Ok((Vec::new(), CEILING)),
            Host::Name(name) => {
                let (addresses, good) = self.addresses(name).await?;
                let candidate = |ip| Candidate {
                    server: server.clone(),
                    address: SocketAddr::new(ip, server.port),
                    weight: server.weight.max(1),
                    tier: if server.backup { Member::BACKUP } else { 0 },
                };
                Ok((addresses.into_iter().map(candidate).collect(), good))
            }
            Host::Srv(name) => self.services(name, server, before).await,
        }
    }

    async fn services(
        &self,
        name: &str,
        server: &Server,
        before: &[Candidate],
    ) -> Result<(Vec<Candidate>, Duration), String> {
        let found = self.current()?.srv_lookup(name).await.map_err(|error| reason(name, &error))?;
        let mut good = found.valid_until().saturating_duration_since(Instant::now());
        let records = found.answers().iter().filter_map(|record| match &record.data {
            // A lone dot says that there is no such service (RFC 2782).
            RData::SRV(service) if !service.target.is_root() => Some(service),
            _ => None,
        });
        let mut all = Vec::new();
        let mut failure = format!("`{name}` has no SRV records");
        for service in records {
            let host = service.target.to_utf8().trim_end_matches('.').to_owned();
            let own = Server { host: Host::Name(host.clone()), port: service.port, ..server.clone() };
            // A weight of zero is chosen seldom, not never.
            let (weight, tier) = (u32::from(service.weight).max(1), u32::from(service.priority));
            match self.addresses(&format!("{host}.")).await {
                Ok((addresses, until)) => {
                    good = good.min(until);
                    let candidate = |ip| Candidate {
                        server: own.clone(),
                        address: SocketAddr::new(ip, service.port),
                        weight,
                        tier,
                    };
                    all.extend(addresses.into_iter().map(candidate));
                }
                Err(why) => {
                    let known = before.iter().filter(|old| old.server == own);
                    all.extend(known.cloned().map(|old| Candidate { weight, tier, ..old }));
                    failure = why;
                    good = FLOOR;
                }
            }
        }
        if all.is_empty() { Err(failure) } else { Ok((all, good)) }
    }
}

/// RFC 6761, 6.3.
fn is_localhost(name: &str) -> bool {
    let name = name.trim_end_matches('.');
    name.eq_ignore_ascii_case("localhost") || name.to_ascii_lowercase().ends_with(".localhost")
}

fn reason(name: &str, error: &hickory_resolver::net::NetError) -> String {
    if error.is_nx_domain() {
        format!("there is no name `{name}`")
    } else if error.is_no_records_found() {
        format!("`{name}` has no addresses")
    } else {
        format!("`{name}`: {error}")
    }
}

/// Follows the name of one server of an upstream for ever.
pub(super) async fn follow(shared: Arc<Shared>, at: usize, resolver: std::rc::Rc<Resolver>) {
    let Some(server) = shared.config.servers.get(at) else { return };
    let (upstream, name) = (shared.config.name.as_str(), server.authority());
    let mut known: Option<Vec<Candidate>> = None;
    let mut failures = 0u32;
    loop {
        let pause = match resolver.candidates(server, known.as_deref().unwrap_or_default()).await {
            Ok((found, good)) => {
                let changed = shared.publish(at, Ok(found.clone()));
                if changed || failures > 0 {
                    tracing::info!(upstream, server = name, addresses = shown(&found), "resolved");
                }
                known = Some(found);
                failures = 0;
                good.clamp(FLOOR, CEILING)
            }
            Err(why) => {
                shared.publish(at, Err(why.clone()));
                let fate = match &known {
                    Some(_) => "the addresses from before stay in use",
                    None => "requests that need it fail",
                };
                // Once for each time of trouble.
                if failures == 0 {
                    tracing::warn!(upstream, server = name, "cannot be resolved: {why}; {fate} until it can");
                }
                failures = failures.saturating_add(1);
                AGAIN_FIRST.saturating_mul(1 << (failures - 1).min(8)).min(AGAIN_MOST)
            }
        };
        // Those who asked together do not ask together again.
        tokio::time::sleep(pause.mul_f64(1.0 + fastrand::f64() / 10.0)).await;
    }
}

fn shown(found: &[Candidate]) -> String {
    let mut text = String::new();
    for candidate in found {
        let gap = if text.is_empty() { "" } else { ", " };
        // Writing to a string does not fail.
        let _ = write!(text, "{gap}{}", candidate.address);
    }
    text
}
