//! Certificates by ACME (RFC 8555): whom a listener asks, and for which names.

use super::Origin;
use crate::model::ast::AcmeChallenge;
use crate::model::value::Secret;
use smol_str::SmolStr;
use std::path::PathBuf;

/// `acme {…}` of a listener.
#[derive(Debug, Clone)]
pub struct Acme {
    /// Whom it asks, and how.
    pub issuer: Issuer,
    /// For which names: in lower case, each once, one certificate each.
    pub domains: Box<[SmolStr]>,
    /// Where it is declared.
    pub origin: Origin,
}

/// A CA, with what the gateway is and proves to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Issuer {
    /// The URL of its directory.
    pub directory: SmolStr,
    /// Whom it may write to.
    pub emails: Box<[SmolStr]>,
    /// Where account and certificates are kept; none: where this machine keeps state.
    pub store: Option<PathBuf>,
    /// How control over a name is shown.
    pub challenge: AcmeChallenge,
    /// The root certificate of the CA's own server, instead of the system's.
    pub ca_file: Option<PathBuf>,
    /// `external-account "ID" key KEY` (RFC 8555, 7.3.4); no key when only checked, without inputs.
    pub external_account: Option<(SmolStr, Option<Secret>)>,
}
