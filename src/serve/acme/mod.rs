//! Certificates by ACME (RFC 8555): kept on disk, ordered, renewed.
//!
//! All of it runs in the main thread, which only waits otherwise. Workers see certificates by name ([`Issued`]) and the
//! answers to a CA's questions ([`Challenges`]). Starting and reloading never wait for a CA.

mod ca;
mod certificate;
mod keeper;
mod schedule;
mod store;
mod trouble;

use super::tls::{Challenges, Issued};
use crate::plan::{Issuer, Plan};
use ca::Ca;
use keeper::Keeper;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use smol_str::SmolStr;
use std::path::PathBuf;
use std::sync::Arc;
use store::Store;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

/// Orders that are under way at once.
const ORDERS: usize = 4;

/// Keeps the certificates that a plan asks for.
pub struct Acme {
    shown: Shown,
    turns: Arc<Semaphore>,
    names: Vec<Kept>,
}

/// What workers look up.
#[derive(Clone, Default)]
struct Shown {
    issued: Arc<Issued>,
    challenges: Arc<Challenges>,
}

/// A name whose certificate is kept.
struct Kept {
    ca: Arc<Ca>,
    name: SmolStr,
    task: JoinHandle<()>,
}

impl Drop for Kept {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// What a plan needs, ready to be kept.
pub struct Prepared(Vec<(Arc<Ca>, SmolStr)>);

impl Default for Acme {
    fn default() -> Acme {
        Acme { shown: Shown::default(), turns: Arc::new(Semaphore::new(ORDERS)), names: Vec::new() }
    }
}

impl Acme {
    /// The certificates, for listeners.
    pub fn issued(&self) -> &Arc<Issued> {
        &self.shown.issued
    }

    /// What CAs ask, for listeners.
    pub fn challenges(&self) -> &Arc<Challenges> {
        &self.shown.challenges
    }

    /// Makes sure that what `plan` asks for can be kept. Nothing is ordered yet. The errors are sentences.
    pub fn prepare(&self, plan: &Plan) -> Result<Prepared, Vec<String>> {
        let (mut cas, mut names, mut failures) = (Vec::<Arc<Ca>>::new(), Vec::new(), Vec::new());
        for acme in plan.listeners.iter().filter_map(|listener| listener.acme.as_ref()) {
            let known = cas.iter().chain(self.names.iter().map(|kept| &kept.ca)).find(|ca| ca.issuer == acme.issuer);
            let ca = match known {
                Some(ca) => ca.clone(),
                None => match open(&acme.issuer) {
                    Ok(ca) => Arc::new(ca),
                    Err(failure) => {
                        failures.push(failure);
                        continue;
                    }
                },
            };
            for domain in &acme.domains {
                let there = |(other, name): &(Arc<Ca>, SmolStr)| Arc::ptr_eq(other, &ca) && name == domain;
                if !names.iter().any(there) {
                    names.push((ca.clone(), domain.clone()));
                }
            }
            cas.push(ca);
        }
        failures.dedup();
        if failures.is_empty() { Ok(Prepared(names)) } else { Err(failures) }
    }

    /// Keeps these names and no others. What was kept before and is still asked for goes on.
    pub fn keep(&mut self, Prepared(wanted): Prepared) {
        let is = |kept: &Kept, (ca, name): &(Arc<Ca>, SmolStr)| Arc::ptr_eq(&kept.ca, ca) && kept.name == *name;
        for gone in self.names.extract_if(.., |kept| !wanted.iter().any(|wanted| is(kept, wanted))) {
            if !wanted.iter().any(|(_, name)| *name == gone.name) {
                self.shown.issued.remove(&gone.name);
            }
        }
        for new in wanted {
            if self.names.iter().any(|kept| is(kept, &new)) {
                continue;
            }
            let (ca, name) = new;
            let keeper = Keeper::new(ca.clone(), name.clone(), self.shown.clone(), self.turns.clone());
            self.names.push(Kept { ca, name, task: tokio::spawn(keeper.run()) });
        }
    }

    /// Orders no more.
    pub fn stop(&mut self) {
        self.names.clear();
    }
}

/// Looks at what is kept for `plan`, in sentences. Nothing is written, and no CA is asked.
pub fn rehearse(plan: &Plan) -> Result<Vec<String>, Vec<String>> {
    let (mut said, mut failures) = (Vec::new(), Vec::new());
    for acme in plan.listeners.iter().filter_map(|listener| listener.acme.as_ref()) {
        let root = root(&acme.issuer);
        let store = Store::at(&root, &acme.issuer.directory);
        failures.extend(readable(&acme.issuer).err());
        let mut there = 0usize;
        for name in &acme.domains {
            match store.certificate(name) {
                Ok(found) => there = there.saturating_add(usize::from(found.is_some())),
                Err(error) => failures.push(error),
            }
        }
        let (of, root) = (acme.domains.len(), root.display());
        said.push(format!("acme: {there} of {of} names have a certificate in `{root}`; the others will be ordered"));
    }
    if failures.is_empty() { Ok(said) } else { Err(failures) }
}

fn open(issuer: &Issuer) -> Result<Ca, String> {
    let store = Store::open(&root(issuer), &issuer.directory)?;
    readable(issuer)?;
    Ok(Ca::new(issuer.clone(), store))
}

fn root(issuer: &Issuer) -> PathBuf {
    issuer.store.clone().unwrap_or_else(state_directory)
}

/// The `ca` file holds a certificate.
fn readable(issuer: &Issuer) -> Result<(), String> {
    let Some(file) = &issuer.ca_file else { return Ok(()) };
    let read = CertificateDer::from_pem_file(file).map(drop);
    read.map_err(|error| format!("acme: `ca` names `{}`, which holds no certificate: {error}", file.display()))
}

/// Where a machine keeps state: what systemd says, or `/var/lib`.
fn state_directory() -> PathBuf {
    let given = std::env::var_os("STATE_DIRECTORY").filter(|given| !given.is_empty());
    let given = given.and_then(|given| std::env::split_paths(&given).next());
    given.unwrap_or_else(|| PathBuf::from("/var/lib/gw")).join("acme")
}

#[cfg(test)]
mod tests;
