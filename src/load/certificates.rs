//! Certificates and their keys, in PEM files: what they say, and whether they belong together.
//!
//! `serve` needs all of them. The check looks at those that are there: certificates are often put in place by whoever
//! deploys, and private keys are nothing for the machine that checks.

use crate::diagnostic::{Code, Diagnostic, Diagnostics};
use crate::plan::{CertificateFiles, Listener, Plan};
use crate::source::{FileId, Files, Sources, Span};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use smol_str::{SmolStr, format_smolstr};
use std::path::Path;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};

/// A certificate with those that vouch for it, its own first.
#[derive(Clone, Debug)]
pub struct Chain {
    /// As they are sent.
    pub certificates: Vec<CertificateDer<'static>>,
    /// The names that it is for, in lower case: `shop.example`, `*.shop.example`, addresses.
    pub names: Vec<SmolStr>,
    /// It counts from here
    pub from: Timestamp,
    /// to here.
    pub until: Timestamp,
    /// The kind of its key, as an object identifier: clients may know one kind and not another.
    kind: String,
}

impl Chain {
    /// Reads PEM. The error is the end of a sentence that begins with the file.
    pub fn read(pem: &[u8]) -> Result<Chain, String> {
        let certificates: Vec<_> = CertificateDer::pem_slice_iter(pem)
            .collect::<Result<_, _>>()
            .map_err(|error| format!("it is not PEM: {error}"))?;
        let Some(first) = certificates.first() else {
            return Err("it holds no certificate (`-----BEGIN CERTIFICATE-----`)".into());
        };
        let (_, own) =
            X509Certificate::from_der(first).map_err(|error| format!("its certificate cannot be read: {error}"))?;
        let time =
            |time: x509_parser::time::ASN1Time| Timestamp::from_second(time.timestamp()).unwrap_or(Timestamp::MAX);
        let (from, until) = (time(own.validity().not_before), time(own.validity().not_after));
        let (names, kind) = (names(&own), own.public_key().algorithm.algorithm.to_id_string());
        Ok(Chain { names, from, until, kind, certificates })
    }

    /// With its key. The error is the end of a sentence that begins with the key's file.
    pub fn with_key(&self, pem: &[u8]) -> Result<CertifiedKey, String> {
        let key = PrivateKeyDer::from_pem_slice(pem).map_err(|_| match std::str::from_utf8(pem) {
            Ok(text) if text.contains("ENCRYPTED") => {
                "the key is encrypted; `openssl pkey -in KEY -out PLAIN` writes it without its password".to_owned()
            }
            _ => "it holds no private key (`-----BEGIN PRIVATE KEY-----`)".to_owned(),
        })?;
        let provider = rustls::crypto::aws_lc_rs::default_provider();
        CertifiedKey::from_der(self.certificates.clone(), key, &provider).map_err(|error| match error {
            rustls::Error::InconsistentKeys(_) => "the key does not belong to the certificate".to_owned(),
            error => format!("the key cannot be used: {error}"),
        })
    }

    /// It is for this name, or for everything that this pattern stands for (`*.x` or `{name}.x`).
    pub fn covers(&self, host: &str) -> bool {
        let parent = || host.split_once('.').map(|(_, parent)| parent);
        let is_pattern = host.starts_with(['*', '{']);
        self.names.iter().any(|name| match name.strip_prefix("*.") {
            Some(suffix) => parent() == Some(suffix),
            None => !is_pattern && name == host,
        })
    }
}

fn names(certificate: &X509Certificate) -> Vec<SmolStr> {
    let extension = certificate.subject_alternative_name().ok().flatten();
    let general = extension.iter().flat_map(|extension| &extension.value.general_names);
    let mut names: Vec<SmolStr> = general
        .filter_map(|name| match name {
            GeneralName::DNSName(name) => Some(SmolStr::new(name.to_ascii_lowercase())),
            GeneralName::IPAddress(bytes) => address(bytes),
            _ => None,
        })
        .collect();
    if names.is_empty() {
        // Clients want alternative names; so this one only chooses.
        let common = certificate.subject().iter_common_name().filter_map(|name| name.as_str().ok());
        names.extend(common.map(|name| SmolStr::new(name.to_ascii_lowercase())));
    }
    names
}

fn address(bytes: &[u8]) -> Option<SmolStr> {
    let four = <[u8; 4]>::try_from(bytes).map(std::net::IpAddr::from);
    let address = four.or_else(|_| <[u8; 16]>::try_from(bytes).map(std::net::IpAddr::from));
    address.ok().map(|address| format_smolstr!("{address}"))
}

/// The authorities of a PEM file. The error is the end of a sentence that begins with the file.
pub fn authorities(pem: &[u8]) -> Result<RootCertStore, String> {
    let mut store = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem) {
        let certificate = certificate.map_err(|error| format!("it is not PEM: {error}"))?;
        store.add(certificate).map_err(|error| format!("a certificate in it cannot be used: {error}"))?;
    }
    if store.is_empty() {
        return Err("it holds no certificate (`-----BEGIN CERTIFICATE-----`)".into());
    }
    Ok(store)
}

/// Says what is wrong with the certificates of `plan` that are there. `now` is the time.
pub(super) fn check(plan: &Plan, sources: &Sources, files: &dyn Files, now: Timestamp, d: &mut Diagnostics) {
    for listener in &plan.listeners {
        let Some(tls) = &listener.tls else { continue };
        let mut read: Vec<(&CertificateFiles, Chain)> = Vec::new();
        for pair in &tls.certificates {
            let place = place(sources, &pair.origin);
            let Some(text) = there(files, &pair.certificate) else { continue };
            match text.and_then(|text| Chain::read(text.as_bytes())) {
                Ok(chain) => {
                    of_time(&chain, place, now, d);
                    of_key(pair, &chain, place, files, d);
                    read.push((pair, chain));
                }
                Err(why) => {
                    let message = format!("the certificate `{}` cannot be used: {why}", pair.certificate.display());
                    d.push(
                        Diagnostic::new(Code::E0622, place, message)
                            .label("named here")
                            .help("the file holds the certificate and those between it and its authority, in PEM"),
                    );
                }
            }
        }
        if let Some(clients) = &tls.clients
            && let Some(text) = there(files, &clients.ca)
            && let Err(why) = text.and_then(|text| authorities(text.as_bytes()))
        {
            let message = format!("the authority `{}` cannot be used: {why}", clients.ca.display());
            let place = place(sources, &clients.origin);
            d.push(
                Diagnostic::new(Code::E0622, place, message)
                    .label("named here")
                    .help("the file holds the certificates of those who sign for clients, in PEM"),
            );
        }
        unused(&read, sources, d);
        if read.len() == tls.certificates.len() && !read.is_empty() {
            uncovered(plan, listener, &read, sources, d);
        }
    }
}

/// The text of a file; none if it is not there.
fn there(files: &dyn Files, path: &Path) -> Option<Result<String, String>> {
    let found = files.glob(path).is_ok_and(|found| !found.is_empty());
    found.then(|| files.read(path))
}

fn of_time(chain: &Chain, place: Span, now: Timestamp, d: &mut Diagnostics) {
    let day = |time: Timestamp| time.to_zoned(TimeZone::UTC).date();
    if chain.until < now {
        d.push(
            Diagnostic::new(Code::W0620, place, format!("the certificate expired on {}", day(chain.until)))
                .label("clients refuse it")
                .help("renew it; `gw serve` takes the new file without a restart"),
        );
    } else if chain.from > now {
        d.push(
            Diagnostic::new(Code::W0620, place, format!("the certificate counts from {} only", day(chain.from)))
                .label("clients refuse it until then"),
        );
    }
}

fn of_key(pair: &CertificateFiles, chain: &Chain, place: Span, files: &dyn Files, d: &mut Diagnostics) {
    let Some(text) = there(files, &pair.key) else { return };
    if let Err(why) = text.and_then(|text| chain.with_key(text.as_bytes())) {
        let message = format!("the key `{}` cannot be used: {why}", pair.key.display());
        d.push(
            Diagnostic::new(Code::E0623, place, message)
                .label("named here")
                .help("name the key that the certificate was asked for with"),
        );
    }
}

/// Certificates all of whose names an earlier one has, with a key of the same kind.
fn unused(read: &[(&CertificateFiles, Chain)], sources: &Sources, d: &mut Diagnostics) {
    for (at, (pair, chain)) in read.iter().enumerate() {
        let earlier = read.iter().take(at).find(|(_, earlier)| {
            earlier.kind == chain.kind
                && !chain.names.is_empty()
                && chain.names.iter().all(|name| earlier.names.contains(name))
        });
        if let Some((first, _)) = earlier {
            let names = chain.names.join(", ");
            d.push(
                Diagnostic::new(
                    Code::W0622,
                    place(sources, &pair.origin),
                    format!("another certificate is for {names}, too"),
                )
                .label("never used")
                .also(place(sources, &first.origin), "this one comes first")
                .help("remove one of them"),
            );
        }
    }
}

/// Hosts of the listener's apis for which it has no certificate.
fn uncovered(
    plan: &Plan,
    listener: &Listener,
    read: &[(&CertificateFiles, Chain)],
    sources: &Sources,
    d: &mut Diagnostics,
) {
    let routes = plan.routers.get(listener.router).map(|router| router.routes()).unwrap_or_default();
    let routes = routes.iter().filter_map(|route| plan.routes.get(route.id as usize));
    let mut missing: Vec<&str> = Vec::new();
    for host in routes.flat_map(|route| &route.hosts) {
        let issued = listener.acme.iter().flat_map(|acme| &acme.domains).any(|domain| domain == host);
        if !missing.contains(&host.as_str()) && !issued && !read.iter().any(|(_, chain)| chain.covers(host)) {
            missing.push(host);
        }
    }
    if missing.is_empty() {
        return;
    }
    let has: Vec<&str> = read.iter().flat_map(|(_, chain)| &chain.names).map(SmolStr::as_str).collect();
    let message = format!("the listener `{}` has no certificate for {}", listener.name, missing.join(", "));
    d.push(
        Diagnostic::new(Code::W0621, place(sources, &listener.origin), message)
            .label(format!(
                "its certificates are for {}",
                if has.is_empty() { "nobody".to_owned() } else { has.join(", ") }
            ))
            .help("add a certificate for each host of its apis, or say `listen` in the apis that stand elsewhere"),
    );
}

/// The line that a plan's origin stands in.
fn place(sources: &Sources, origin: &crate::plan::Origin) -> Span {
    let id = FileId(u32::from(origin.file));
    let (file, line) = (sources.file(id), origin.line as usize);
    let (start, text) = (file.line_start(line), file.line(line));
    let indent = text.len() - text.trim_start().len();
    let text = text.trim();
    let text = text.strip_suffix('{').map_or(text, str::trim_end);
    Span::new(id, start + indent, start + indent + text.len())
}
