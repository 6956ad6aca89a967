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

/// Certificates that were obtained while serving (ACME). They outlive generations: whoever obtains them holds this,
/// and so does each [`super::Endpoint`] that may show them.
#[derive(Debug, Default)]
pub struct Issued(RwLock<Arc<Index>>);

#[allow(dead_code, reason = "for `acme`")]
impl Issued {
    /// Shows these from now on, and no others.
    pub fn replace(&self, certificates: &[Certificate]) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(Index::new(certificates));
    }

    fn index(&self) -> Arc<Index> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// The certificates of a listener.
///
/// A name's own certificate goes before one with a wildcard (which stands for one label), and files go before what was
/// issued. A client that names nobody, or somebody unknown, sees the first: it may know better than we do.
#[derive(Debug)]
pub struct Certificates {
    files: Index,
    issued: Option<Arc<Issued>>,
}

impl Certificates {
    /// Those of files, in order, and what may be issued.
    pub fn new(files: &[Certificate], issued: Option<Arc<Issued>>) -> Certificates {
        Certificates { files: Index::new(files), issued }
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let issued = self.issued.as_ref().map(|issued| issued.index());
        let indexes = || [Some(&self.files), issued.as_deref()].into_iter().flatten();
        let named = hello.server_name().and_then(|name| {
            let find = |name: &str| indexes().find_map(|index| index.find(name, &hello));
            find(name).or_else(|| {
                let (_, parent) = name.split_once('.')?;
                find(&format!("*.{parent}"))
            })
        });
        named.or_else(|| indexes().find_map(|index| index.first.clone()))
    }
}
