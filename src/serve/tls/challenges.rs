//! What a certificate authority asks for before it issues (RFC 8555, section 8): answered by whichever listener it
//! comes to, in whichever worker.

use ahash::AHashMap;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{ServerConfig, crypto::aws_lc_rs};
use smol_str::SmolStr;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

/// The protocol of TLS-ALPN-01 (RFC 8737).
const ACME_TLS: &[u8] = b"acme-tls/1";

/// Where HTTP-01 asks for a token (RFC 8555, 8.3).
const WELL_KNOWN: &str = "/.well-known/acme-challenge/";

/// Challenges that are to be answered. One for the process.
#[derive(Debug, Default)]
pub struct Challenges {
    /// TLS-ALPN-01: the certificate to show, by domain in lower case.
    tls: RwLock<AHashMap<SmolStr, Arc<CertifiedKey>>>,
    /// HTTP-01: what proves the account, by token.
    tokens: RwLock<AHashMap<SmolStr, SmolStr>>,
    /// How many tokens there are: mostly none, and then requests ask no further.
    pending: AtomicUsize,
}

impl Challenges {
    /// Shows this certificate to who asks for `domain` by `acme-tls/1` and nothing else, until what is returned goes.
    pub fn answer_handshake(self: &Arc<Self>, domain: &SmolStr, certificate: Arc<CertifiedKey>) -> Answering {
        write(&self.tls).insert(domain.clone(), certificate);
        Answering { challenges: self.clone(), what: Answer::Handshake(domain.clone()) }
    }

    /// Answers requests for this token, until what is returned goes.
    pub fn answer_token(self: &Arc<Self>, token: &str, proof: &str) -> Answering {
        let token = SmolStr::new(token);
        let mut tokens = write(&self.tokens);
        tokens.insert(token.clone(), SmolStr::new(proof));
        self.pending.store(tokens.len(), Relaxed);
        drop(tokens);
        Answering { challenges: self.clone(), what: Answer::Token(token) }
    }

    /// What a request for this path is answered with; none while no authority asks for it.
    #[inline]
    pub fn token(&self, path: &str) -> Option<SmolStr> {
        if self.pending.load(Relaxed) == 0 {
            return None;
        }
        read(&self.tokens).get(path.strip_prefix(WELL_KNOWN)?).cloned()
    }

    /// How to shake hands with who asks for a challenge; none for every other client. Such a connection ends with
    /// the handshake, and needs no client certificate.
    pub fn config(&self, hello: &ClientHello<'_>) -> Option<Arc<ServerConfig>> {
        let mut protocols = hello.alpn()?;
        if protocols.next() != Some(ACME_TLS) || protocols.next().is_some() {
            return None;
        }
        let key = read(&self.tls).get(hello.server_name()?)?.clone();
        let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()));
        let config = config.with_safe_default_protocol_versions().ok()?.with_no_client_auth();
        let mut config = config.with_cert_resolver(Arc::new(Always(key)));
        config.alpn_protocols = vec![ACME_TLS.to_vec()];
        Some(Arc::new(config))
    }
}

/// An authority is asking; when this goes, it has asked.
#[must_use]
pub struct Answering {
    challenges: Arc<Challenges>,
    what: Answer,
}

enum Answer {
    Handshake(SmolStr),
    Token(SmolStr),
}

impl Drop for Answering {
    fn drop(&mut self) {
        match &self.what {
            Answer::Handshake(domain) => drop(write(&self.challenges.tls).remove(domain)),
            Answer::Token(token) => {
                let mut tokens = write(&self.challenges.tokens);
                tokens.remove(token);
                self.challenges.pending.store(tokens.len(), Relaxed);
            }
        }
    }
}

fn read<T>(lock: &RwLock<T>) -> RwLockReadGuard<'_, T> {
    lock.read().unwrap_or_else(PoisonError::into_inner)
}

fn write<T>(lock: &RwLock<T>) -> RwLockWriteGuard<'_, T> {
    lock.write().unwrap_or_else(PoisonError::into_inner)
}

#[derive(Debug)]
struct Always(Arc<CertifiedKey>);

impl ResolvesServerCert for Always {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_answered_only_while_an_authority_asks() {
        let challenges = Arc::new(Challenges::default());
        let found = |path: &str| challenges.token(path);
        assert_eq!(found("/.well-known/acme-challenge/abc"), None);
        let answering = challenges.answer_token("abc", "abc.thumb");
        let other = challenges.answer_token("def", "def.thumb");
        assert_eq!(found("/.well-known/acme-challenge/abc").as_deref(), Some("abc.thumb"));
        for path in ["/.well-known/acme-challenge/ab", "/.well-known/acme-challenge/", "/abc", ""] {
            assert_eq!(found(path), None, "{path}");
        }
        drop(answering);
        assert_eq!(found("/.well-known/acme-challenge/abc"), None);
        assert!(found("/.well-known/acme-challenge/def").is_some());
        drop(other);
        assert_eq!(challenges.pending.load(Relaxed), 0);
    }
}
