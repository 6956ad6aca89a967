//! What a listener speaks TLS with.

use super::certificates::{Certificate, Certificates, Issued};
use crate::load::certificates::{Chain, authorities};
use crate::load::materials::Problem;
use crate::model::ast::TlsVersion;
use crate::plan::{self, Protocols};
use rustls::crypto::CryptoProvider;
use rustls::crypto::aws_lc_rs::{self, Ticketer, kx_group};
use rustls::server::{ProducesTickets, ServerSessionMemoryCache, StoresServerSessions, WebPkiClientVerifier};
use rustls::version::{TLS12, TLS13};
use rustls::{RootCertStore, ServerConfig};
use smol_str::SmolStr;
use std::path::Path;
use std::sync::{Arc, LazyLock};

/// Sessions that are kept for clients without tickets.
const SESSIONS: usize = 8 * 1024;

/// What a listener speaks TLS with. Workers share it; a reload that does not concern it keeps it.
pub struct Endpoint {
    /// For rustls.
    pub config: Arc<ServerConfig>,
    made_from: MadeFrom,
    sessions: Sessions,
}

/// Equal ones make equal endpoints.
#[derive(Clone, Debug, PartialEq, Eq)]
struct MadeFrom {
    /// Certificates and keys as they were read.
    files: Vec<(Vec<u8>, Vec<u8>)>,
    /// For which names certificates are issued.
    names: Box<[SmolStr]>,
    min: TlsVersion,
    protocols: Protocols,
    clients: Option<Clients>,
}

/// Whose certificates are asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Clients {
    required: bool,
    ca: Vec<u8>,
}

/// Where sessions are kept for those who come back. All workers share one, over reloads.
///
/// A session remembers who the client is, and nobody looks at certificates again when it is resumed. So listeners share
/// sessions only where they ask the same of clients, and others get new keys.
#[derive(Clone)]
struct Sessions {
    tickets: Arc<dyn ProducesTickets>,
    cache: Arc<dyn StoresServerSessions + Send + Sync>,
}

static PROVIDER: LazyLock<Arc<CryptoProvider>> = LazyLock::new(|| {
    let mut provider = aws_lc_rs::default_provider();
    // The client's share decides the cost; where it has both, nobody shall decrypt later what is recorded today.
    provider.kx_groups = vec![kx_group::X25519MLKEM768, kx_group::X25519, kx_group::SECP256R1, kx_group::SECP384R1];
    Arc::new(provider)
});

impl Endpoint {
    /// For each listener of a plan: none where it speaks no TLS. What cannot be read now but could be before (`old`, by
    /// the listener's name) stays as it was.
    pub fn all(
        listeners: &[plan::Listener],
        old: &[(&plan::Listener, &Option<Arc<Endpoint>>)],
        issued: &Arc<Issued>,
        problems: &mut Vec<Problem>,
    ) -> Vec<Option<Arc<Endpoint>>> {
        let mut made: Vec<Option<Arc<Endpoint>>> = Vec::with_capacity(listeners.len());
        for listener in listeners {
            let Some(tls) = &listener.tls else {
                made.push(None);
                continue;
            };
            let before = old.iter().find(|(l, _)| l.name == listener.name);
            let before = before.and_then(|(l, endpoint)| Some((l.tls.as_ref()?, endpoint.as_ref()?)));
            let known: Vec<Arc<Endpoint>> =
                made.iter().chain(old.iter().map(|(_, endpoint)| *endpoint)).flatten().cloned().collect();
            let endpoint = match Endpoint::new(listener, tls, issued, before.map(|(_, endpoint)| endpoint), &known) {
                Ok(endpoint) => Some(endpoint),
                Err(why) => {
                    // Of other files the old ones say nothing.
                    let kept =
                        before.filter(|(old, _)| old.files().eq(tls.files())).map(|(_, endpoint)| endpoint.clone());
                    let fate = if kept.is_some() { "; what it had before stays" } else { "" };
                    let message = format!("listener `{}`: {why}{fate}", listener.name);
                    problems.push(Problem { message, fatal: kept.is_none() });
                    kept
                }
            };
            made.push(endpoint);
        }
        made
    }

    fn new(
        listener: &plan::Listener,
        tls: &plan::Tls,
        issued: &Arc<Issued>,
        before: Option<&Arc<Endpoint>>,
        known: &[Arc<Endpoint>],
    ) -> Result<Arc<Endpoint>, String> {
        let files = tls
            .certificates
            .iter()
            .map(|pair| Ok((read("the certificate", &pair.certificate)?, read("the key", &pair.key)?)));
        let files = files.collect::<Result<Vec<_>, String>>()?;
        let clients = match &tls.clients {
            None => None,
            Some(clients) => Some(Clients { required: clients.required, ca: read("the authority", &clients.ca)? }),
        };
        let made_from = MadeFrom {
            files,
            names: listener.acme.as_ref().map(|acme| acme.domains.clone()).unwrap_or_default(),
            min: tls.min,
            protocols: listener.protocols,
            clients,
        };
        if let Some(same) = before.filter(|before| before.made_from == made_from) {
            return Ok(same.clone());
        }
        let pairs = tls.certificates.iter().zip(&made_from.files).map(|(names, (certificate, key))| {
            let named = |what: &str, path: &Path, why| format!("{what} `{}`: {why}", path.display());
            let chain = Chain::read(certificate).map_err(|why| named("the certificate", &names.certificate, why))?;
            let key = chain.with_key(key).map_err(|why| named("the key", &names.key, why))?;
            Ok(Certificate { names: chain.names, key: Arc::new(key) })
        });
        let pairs = pairs.collect::<Result<Vec<_>, String>>()?;
        let authorities = match (&made_from.clients, &tls.clients) {
            (Some(clients), Some(names)) => {
                let store = authorities(&clients.ca);
                Some((store.map_err(|why| format!("the authority `{}`: {why}", names.ca.display()))?, clients.required))
            }
            _ => None,
        };
        let same_clients = known.iter().find(|known| known.made_from.clients == made_from.clients);
        let sessions = same_clients.map_or_else(Sessions::new, |known| Ok(known.sessions.clone()))?;
        let certificates = Certificates::new(&pairs, made_from.names.clone(), issued.clone());
        let config = config(&made_from, authorities, certificates, &sessions)?;
        Ok(Arc::new(Endpoint { config: Arc::new(config), made_from, sessions }))
    }
}

fn read(what: &str, path: &Path) -> Result<Vec<u8>, String> {
    std::fs::read(path).map_err(|error| format!("{what} `{}`: {}", path.display(), crate::load::reason(&error)))
}

impl Sessions {
    fn new() -> Result<Sessions, String> {
        let tickets = Ticketer::new().map_err(|error| format!("no keys for tickets: {error}"))?;
        Ok(Sessions { tickets, cache: ServerSessionMemoryCache::new(SESSIONS) })
    }
}

fn config(
    made_from: &MadeFrom,
    clients: Option<(RootCertStore, bool)>,
    certificates: Certificates,
    sessions: &Sessions,
) -> Result<ServerConfig, String> {
    let failed = |error: &dyn std::fmt::Display| format!("TLS: {error}");
    let versions: &[_] = match made_from.min {
        TlsVersion::V1_2 => &[&TLS13, &TLS12],
        TlsVersion::V1_3 => &[&TLS13],
    };
    let builder = ServerConfig::builder_with_provider(PROVIDER.clone());
    let builder = builder.with_protocol_versions(versions).map_err(|error| failed(&error))?;
    let builder = match clients {
        None => builder.with_no_client_auth(),
        Some((roots, required)) => {
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), PROVIDER.clone());
            let verifier = if required { verifier } else { verifier.allow_unauthenticated() };
            builder.with_client_cert_verifier(verifier.build().map_err(|error| failed(&error))?)
        }
    };
    let mut config = builder.with_cert_resolver(Arc::new(certificates));
    let Protocols { h1, h2 } = made_from.protocols;
    let offered = [(h2, &b"h2"[..]), (h1, b"http/1.1")];
    config.alpn_protocols = offered.iter().filter(|(is, _)| *is).map(|(_, name)| name.to_vec()).collect();
    config.ticketer = sessions.tickets.clone();
    config.session_storage = sessions.cache.clone();
    Ok(config)
}
