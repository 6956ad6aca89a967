//! TLS towards servers: rustls, with the system's authorities or those of a file.

use super::config::{Host, Roots};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use std::path::Path;
use std::sync::Arc;
use std::{fmt, io};

/// Why `https` servers cannot be used.
#[derive(Debug)]
pub struct TlsError(String);

impl fmt::Display for TlsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for TlsError {}

/// The client configuration for `roots`: TLS 1.2 and 1.3, ALPN `http/1.1`.
///
/// # Errors
/// No usable certificate in the file, or none on the system.
pub fn client_config(roots: &Roots) -> Result<Arc<ClientConfig>, TlsError> {
    let store = match roots {
        Roots::System => system_roots()?,
        Roots::File(path) => file_roots(path)?,
    };
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| TlsError(error.to_string()))?
        .with_root_certificates(store)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

/// The name that the server's certificate must have, and that SNI carries.
///
/// # Errors
/// The host is not a DNS name.
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

fn file_roots(path: &Path) -> Result<RootCertStore, TlsError> {
    let fail = |error: &dyn fmt::Display| TlsError(format!("`{}`: {error}", path.display()));
    let mut store = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(path).map_err(|error| fail(&error))? {
        let certificate = certificate.map_err(|error| fail(&error))?;
        store.add(certificate).map_err(|error| fail(&error))?;
    }
    if store.is_empty() {
        return Err(fail(&"no certificate in the file"));
    }
    Ok(store)
}
