//! What an upstream is: its servers, how they are balanced and pooled, and how patient the client is.

use super::tls::TlsError;
use crate::model::ast::OauthCredentials;
use crate::model::value::Secret;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use std::{fmt, io};
use zeroize::Zeroizing;

/// An upstream as the client needs it. Two equal configurations may share pools over a reload.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// The name in the program, for errors and logs.
    pub name: String,
    /// At least one server.
    pub servers: Vec<Server>,
    /// How a server is chosen.
    pub balance: Balance,
    /// How connections are kept.
    pub pool: Pool,
    /// How TLS is spoken to `https` servers.
    pub tls: Tls,
    /// The retry budget of the upstream.
    pub budget: crate::upstream::budget::Limits,
    /// Servers are asked whether they are well.
    pub health: Option<crate::plan::Health>,
    /// Servers that fail are left out.
    pub eject: Option<crate::plan::Eject>,
    /// Tokens are fetched for it.
    pub oauth: Option<Oauth>,
}

impl Config {
    /// Some of its servers are found by DNS.
    #[must_use]
    pub fn is_dynamic(&self) -> bool {
        self.servers.iter().any(|server| !matches!(server.host, Host::Ip(_)))
    }
}

/// One server, or the servers that DNS has under one name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// `http` or `https`.
    pub scheme: Scheme,
    /// The authority's host.
    pub host: Host,
    /// The TCP port.
    pub port: u16,
    /// A path that goes before every request path: empty or `/x/y`, without a slash at its end.
    pub prefix: String,
    /// Its share among the servers, at least 1.
    pub weight: u32,
    /// Used only when no other server is usable.
    pub backup: bool,
}

impl Server {
    /// The value of `Host` for this server: the port is left out where the scheme implies it (RFC 9110, 7.2).
    #[must_use]
    pub fn authority(&self) -> String {
        let host = match &self.host {
            Host::Name(name) => name.clone(),
            // The records say the port.
            Host::Srv(name) => return name.clone(),
            Host::Ip(IpAddr::V4(ip)) => ip.to_string(),
            Host::Ip(IpAddr::V6(ip)) => format!("[{ip}]"),
        };
        if self.port == self.scheme.default_port() { host } else { format!("{host}:{}", self.port) }
    }
}

/// The transport to a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// Plain TCP.
    Http,
    /// TLS.
    Https,
}

impl Scheme {
    /// 80 or 443.
    #[must_use]
    pub fn default_port(self) -> u16 {
        match self {
            Self::Http => 80,
            Self::Https => 443,
        }
    }
}

/// A server's host: an address needs no resolving.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Host {
    /// A name: each of its addresses is a server.
    Name(String),
    /// A name of SRV records (RFC 2782): they say names, ports, weights and who is asked first.
    Srv(String),
    /// An address.
    Ip(IpAddr),
}

impl From<&str> for Host {
    /// Reads `10.0.0.1`, `::1`, `[::1]` as addresses and everything else as a name.
    fn from(text: &str) -> Self {
        let bare = text.strip_prefix('[').and_then(|t| t.strip_suffix(']')).unwrap_or(text);
        bare.parse().map_or_else(|_| Self::Name(text.to_owned()), Self::Ip)
    }
}

/// How a server is chosen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Balance {
    /// The less busy of two drawn by weight.
    #[default]
    P2c,
    /// In turn, smoothly weighted.
    RoundRobin,
    /// Drawn by weight.
    Random,
    /// The least busy for its weight.
    LeastRequests,
    /// The same server for the same key, as long as it is there.
    Hash,
}

/// How connections to one server are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pool {
    /// Which version of HTTP is spoken.
    pub protocol: Protocol,
    /// How HTTP/2 connections are kept.
    pub http2: Http2,
    /// Connections to one server, for all workers together; a worker may open its share, rounded up. `None`: no limit.
    pub max: Option<u32>,
    /// How long an unused HTTP/1.1 connection is kept.
    pub idle: Duration,
    /// Requests of one worker that may wait for a connection of one server.
    pub pending: usize,
}

impl Default for Pool {
    fn default() -> Self {
        Self {
            protocol: Protocol::Auto,
            http2: Http2::default(),
            max: None,
            idle: Duration::from_secs(4),
            pending: 1024,
        }
    }
}

/// The version of HTTP that is spoken to servers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Protocol {
    /// What the server chooses in the TLS handshake; HTTP/1.1 where there is none.
    #[default]
    Auto,
    /// HTTP/1.1.
    Http1,
    /// HTTP/2, with prior knowledge where there is no TLS.
    Http2,
}

/// How HTTP/2 connections are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Http2 {
    /// How long an unused connection is kept.
    pub idle: Duration,
    /// Streams at once on a connection, where the server allows as many.
    pub streams: usize,
    /// Bytes of a response head, as SETTINGS_MAX_HEADER_LIST_SIZE counts them.
    pub head: u32,
    /// How long a connection with requests on it may be silent before the server is asked for a sign of life.
    pub silence: Duration,
    /// How long it has for that.
    pub answer: Duration,
}

impl Default for Http2 {
    fn default() -> Self {
        Self {
            idle: Duration::from_secs(60),
            streams: 256,
            head: 64 * 1024,
            silence: Duration::from_secs(10),
            answer: Duration::from_secs(5),
        }
    }
}

/// How TLS is spoken to `https` servers. Certificates are always verified.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tls {
    /// The trusted authorities: those of a PEM file and no others; by default those of the operating system.
    pub roots: Option<Pem>,
    /// The gateway's own certificate chain and its key.
    pub identity: Option<(Pem, Pem)>,
    /// The name that certificates must have, and that SNI carries, instead of the server's.
    pub name: Option<String>,
}

/// How tokens are fetched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Oauth {
    /// Who gives them.
    pub server: Server,
    /// Path and query of the token endpoint.
    pub path: String,
    /// Who the gateway is there.
    pub client_id: String,
    /// What proves it.
    pub client_secret: Secret,
    /// How both are sent.
    pub credentials: OauthCredentials,
    /// Scopes, with blanks between them.
    pub scope: Option<String>,
    /// Whom the token is for.
    pub audience: Option<String>,
    /// How TLS is spoken to the token endpoint.
    pub tls: Tls,
}

/// A PEM file as it was read: another text makes another configuration.
#[derive(Clone, PartialEq, Eq)]
pub struct Pem {
    /// Where it was read from.
    pub path: PathBuf,
    pub(super) text: Arc<Zeroizing<Vec<u8>>>,
}

impl Pem {
    /// Reads a file.
    ///
    /// # Errors
    /// It cannot be read, with its name.
    pub fn read(path: &Path) -> Result<Self, TlsError> {
        let text = std::fs::read(path).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => TlsError::of(path, &"there is no such file"),
            _ => TlsError::of(path, &error),
        })?;
        Ok(Self { path: path.to_owned(), text: Arc::new(Zeroizing::new(text)) })
    }
}

impl fmt::Debug for Pem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.path.fmt(f)
    }
}

/// How long the parts of an exchange may take. Granularity: [`crate::upstream::timer::TICK`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// Waiting for a pooled connection, resolving, connecting and the TLS handshake, all together.
    pub connect: Duration,
    /// From the end of the request to the head of the final response.
    pub response: Duration,
    /// Between two pieces of a body, in either direction.
    pub idle: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self { connect: Duration::from_secs(5), response: Duration::from_secs(30), idle: Duration::from_secs(60) }
    }
}

/// What a server may send at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a response head.
    pub head: usize,
    /// Bytes of a trailer section.
    pub trailers: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { head: 64 * 1024, trailers: 8 * 1024 }
    }
}
