//! Which certificate a client sees: by the name that it asks for.

use ahash::AHashMap;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use smol_str::SmolStr;
use std::sync::{Arc, PoisonError, RwLock};

/// A certificate with its key, and the names that it is for.
#[derive(Clone, Debug)]
pub struct Certificate {
    /// In lower case: `shop.example`, `*.shop.example`.
    pub names: Vec<SmolStr>,
    /// What is shown, and what proves it.
    pub key: Arc<CertifiedKey>,
}

/// Certificates by name. Several may be for one name, with keys of different kinds: the first that the client
/// understands is taken.
#[derive(Debug, Default)]
struct Index {
    by_name: AHashMap<SmolStr, Vec<Arc<CertifiedKey>>>,
    first: Option<Arc<CertifiedKey>>,
}

impl Index {
    fn new(certificates: &[Certificate]) -> Index {
        let mut index = Index { by_name: AHashMap::new(), first: certificates.first().map(|first| first.key.clone()) };
        for certificate in certificates {
            for name in &certificate.names {
                index.by_name.entry(name.clone()).or_default().push(certificate.key.clone());
            }
        }
        index
    }

    fn find(&self, name: &str, hello: &ClientHello) -> Option<Arc<CertifiedKey>> {
        let all = self.by_name.get(name)?;
        let understood = all.iter().find(|key| key.key.choose_scheme(hello.signature_schemes()).is_some());
        understood.or(all.first()).cloned()
    }
}

/// Certificates that were obtained while serving (ACME), by name. One for the process: whoever obtains them holds this,
/// and so does each [`super::Endpoint`] that may show them.
#[derive(Debug, Default)]
pub struct Issued(RwLock<AHashMap<SmolStr, Arc<CertifiedKey>>>);

impl Issued {
    /// Shows this for a name (in lower case) from now on.
    pub fn put(&self, name: &SmolStr, key: Arc<CertifiedKey>) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).insert(name.clone(), key);
    }

    /// Shows nothing for a name any more.
    pub fn remove(&self, name: &str) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).remove(name);
    }

    fn find(&self, name: &str) -> Option<Arc<CertifiedKey>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).get(name).cloned()
    }
}

/// The certificates of a listener.
///
/// A name's own certificate goes before one with a wildcard (which stands for one label), and files go before what was
/// issued. A client that names nobody, or somebody unknown, sees the first: it may know better than we do.
#[derive(Debug)]
pub struct Certificates {
    files: Index,
    /// For these names the listener shows what is issued.
    names: Box<[SmolStr]>,
    issued: Arc<Issued>,
}

impl Certificates {
    /// Those of files, in order, and what is issued for `names`.
    pub fn new(files: &[Certificate], names: Box<[SmolStr]>, issued: Arc<Issued>) -> Certificates {
        Certificates { files: Index::new(files), names, issued }
    }

    fn named(&self, name: &str, hello: &ClientHello) -> Option<Arc<CertifiedKey>> {
        let own = self.files.find(name, hello);
        let own = own.or_else(|| self.names.iter().find(|own| *own == name).and_then(|own| self.issued.find(own)));
        own.or_else(|| {
            let (_, parent) = name.split_once('.')?;
            self.files.find(&format!("*.{parent}"), hello)
        })
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let named = hello.server_name().and_then(|name| self.named(name, &hello));
        let first = || self.files.first.clone().or_else(|| self.issued.find(self.names.first()?));
        named.or_else(first)
    }
}
