//! TLS towards servers: rustls, with the system's authorities or those of a file, and the gateway's own certificate
//! where servers ask for one. There is no way to leave verification out.

use super::config::{self, Host, Pem};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use std::path::Path;
use std::sync::Arc;
use std::{fmt, io};

/// Why `https` servers cannot be used.
#[derive(Debug)]
pub struct TlsError(String);

impl TlsError {
    pub(super) fn of(path: &Path, why: &dyn fmt::Display) -> Self {
        Self(format!("`{}`: {why}", path.display()))
    }
}

impl fmt::Display for TlsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for TlsError {}

/// Which versions of HTTP a handshake offers (ALPN).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Offer {
    /// HTTP/1.1.
    Http1,
    /// HTTP/2.
    Http2,
    /// HTTP/2, or else HTTP/1.1.
    Either,
}

/// TLS 1.2 and 1.3 towards the servers of one upstream. Sessions are resumed, whichever worker began them.
#[derive(Clone, Debug)]
pub struct Tls {
    http1: Arc<ClientConfig>,
    http2: Arc<ClientConfig>,
    either: Arc<ClientConfig>,
    name: Option<ServerName<'static>>,
}

impl Tls {
    /// Reads certificates and keys.
    ///
    /// # Errors
    /// What is wrong with a file, or that the system has no authorities.
    pub fn new(config: &config::Tls) -> Result<Self, TlsError> {
        let store = match &config.roots {
            None => system_roots()?,
            Some(pem) => roots(pem)?,
        };
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| TlsError(error.to_string()))?
            .with_root_certificates(store);
        let base = match &config.identity {
            None => builder.with_no_client_auth(),
            Some((chain, key)) => {
                let key_path = &key.path;
                let (chain, key) = (certificates(chain)?, private_key(key)?);
                builder.with_client_auth_cert(chain, key).map_err(|error| match error {
                    rustls::Error::InconsistentKeys(_) => {
                        TlsError::of(key_path, &"the key does not belong to the certificate")
                    }
                    error => TlsError::of(key_path, &error),
                })?
            }
        };
        let name = config.name.as_deref().map(|name| server_name(&Host::from(name))).transpose();
        let name = name.map_err(|error| TlsError(format!("server-name: {error}")))?;
        // Clones share the sessions.
        let offering = |protocols: &[&[u8]]| {
            let mut config = base.clone();
            config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
            Arc::new(config)
        };
        Ok(Self {
            http1: offering(&[b"http/1.1"]),
            http2: offering(&[b"h2"]),
            either: offering(&[b"h2", b"http/1.1"]),
            name,
        })
    }

    /// The name that certificates must have, where it is not the server's.
    pub(super) fn name(&self) -> Option<ServerName<'static>> {
        self.name.clone()
    }

    pub(super) fn config(&self, offer: Offer) -> Arc<ClientConfig> {
        match offer {
            Offer::Http1 => self.http1.clone(),
            Offer::Http2 => self.http2.clone(),
            Offer::Either => self.either.clone(),
        }
    }
}

/// The name that a host's certificate must have, and that SNI carries.
///
/// # Errors
/// It is no name that a certificate can have.
pub fn server_name(host: &Host) -> io::Result<ServerName<'static>> {
    match host {
        Host::Ip(ip) => Ok(ServerName::IpAddress((*ip).into())),
        Host::Name(name) | Host::Srv(name) => ServerName::try_from(name.clone()).map_err(io::Error::other),
    }
}

fn system_roots() -> Result<RootCertStore, TlsError> {
    let found = rustls_native_certs::load_native_certs();
    let mut store = RootCertStore::empty();
    store.add_parsable_certificates(found.certs);
    if store.is_empty() {
        let why = found.errors.first().map_or(String::new(), |error| format!(": {error}"));
        return Err(TlsError(format!("the system has no certificate authorities{why}")));
    }
    Ok(store)
}

fn roots(pem: &Pem) -> Result<RootCertStore, TlsError> {
    let mut store = RootCertStore::empty();
    for certificate in certificates(pem)? {
        store.add(certificate).map_err(|error| TlsError::of(&pem.path, &error))?;
    }
    Ok(store)
}

fn certificates(pem: &Pem) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem.text).collect();
    let found = found.map_err(|error| TlsError::of(&pem.path, &error))?;
    if found.is_empty() { Err(TlsError::of(&pem.path, &"no certificate in the file")) } else { Ok(found) }
}

fn private_key(pem: &Pem) -> Result<PrivateKeyDer<'static>, TlsError> {
    PrivateKeyDer::from_pem_slice(&pem.text).map_err(|error| match error {
        rustls::pki_types::pem::Error::NoItemsFound => TlsError::of(&pem.path, &"no private key in the file"),
        error => TlsError::of(&pem.path, &error),
    })
}
