//! What a certificate authority asks for before it issues (RFC 8555, section 8): answered by whichever listener it
//! comes to, in whichever worker.

use ahash::AHashMap;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{ServerConfig, crypto::aws_lc_rs};
use std::sync::{Arc, PoisonError, RwLock};

/// The protocol of TLS-ALPN-01 (RFC 8737).
const ACME_TLS: &[u8] = b"acme-tls/1";

/// Challenges that are to be answered. One for the process.
#[derive(Debug, Default)]
pub struct Challenges {
    /// The certificate to show, by domain in lower case.
    tls: RwLock<AHashMap<String, Arc<CertifiedKey>>>,
}

impl Challenges {
    /// Shows this certificate to who asks for `domain` by `acme-tls/1` and nothing else; none shows it no longer.
    #[allow(dead_code, reason = "for `acme`")]
    pub fn set_tls(&self, domain: &str, certificate: Option<Arc<CertifiedKey>>) {
        let mut tls = self.tls.write().unwrap_or_else(PoisonError::into_inner);
        match certificate {
            Some(certificate) => drop(tls.insert(domain.to_ascii_lowercase(), certificate)),
            None => drop(tls.remove(domain)),
        }
    }

    /// How to shake hands with who asks for a challenge; none for every other client. Such a connection ends with
    /// the handshake, and needs no client certificate.
    pub fn config(&self, hello: &ClientHello<'_>) -> Option<Arc<ServerConfig>> {
        let mut protocols = hello.alpn()?;
        if protocols.next() != Some(ACME_TLS) || protocols.next().is_some() {
            return None;
        }
        let key = self.tls.read().unwrap_or_else(PoisonError::into_inner).get(hello.server_name()?)?.clone();
        let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()));
        let config = config.with_safe_default_protocol_versions().ok()?.with_no_client_auth();
        let mut config = config.with_cert_resolver(Arc::new(Always(key)));
        config.alpn_protocols = vec![ACME_TLS.to_vec()];
        Some(Arc::new(config))
    }
}

#[derive(Debug)]
struct Always(Arc<CertifiedKey>);

impl ResolvesServerCert for Always {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.clone())
    }
}
