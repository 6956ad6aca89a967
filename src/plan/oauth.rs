//! Tokens for upstreams: OAuth 2.0's client credentials (RFC 6749, 4.4).

use super::{Origin, Server};
use crate::model::ast::OauthCredentials;
use crate::model::value::Secret;
use smol_str::SmolStr;
use std::path::PathBuf;

/// `oauth {…}` of an upstream.
#[derive(Debug, Clone)]
pub struct Oauth {
    /// Who gives tokens; without a prefix.
    pub server: Server,
    /// Path and query of the token endpoint.
    pub path: SmolStr,
    /// Who the gateway is there.
    pub client_id: SmolStr,
    /// What proves it; none when only checked, without inputs.
    pub client_secret: Option<Secret>,
    /// How both are sent.
    pub credentials: OauthCredentials,
    /// What the token is to allow.
    pub scopes: Box<[SmolStr]>,
    /// Whom it is for.
    pub audience: Option<SmolStr>,
    /// A CA file for the token endpoint instead of the system's roots.
    pub ca: Option<PathBuf>,
    /// Where it is declared.
    pub origin: Origin,
}

impl Oauth {
    /// The URL of the token endpoint.
    pub fn endpoint(&self) -> String {
        let scheme = if self.server.tls { "https" } else { "http" };
        format!("{scheme}://{}{}", self.server.authority, self.path)
    }
}
