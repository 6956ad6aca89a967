//! What an upstream is: its servers, how they are balanced and pooled, and how patient the client is.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

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
    /// Which authorities sign the certificates of `https` servers.
    pub roots: Roots,
    /// The retry budget of the upstream.
    pub budget: crate::upstream::budget::Limits,
}

impl Config {
    /// Some of its servers are found by DNS.
    #[must_use]
    pub fn is_dynamic(&self) -> bool {
        self.servers.iter().any(|server| !matches!(server.host, Host::Ip(_)))
    }
}

/// One server, or the servers that DNS has under one name.
#[derive(Clone, Debug, PartialEq)]
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
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pool {
    /// Connections to one server, for all workers together; a worker may open its share, rounded up. `None`: no limit.
    pub max: Option<u32>,
    /// How long an unused connection is kept.
    pub idle: Duration,
    /// Requests of one worker that may wait for a connection of one server.
    pub pending: usize,
}

impl Default for Pool {
    fn default() -> Self {
        Self { max: None, idle: Duration::from_secs(60), pending: 1024 }
    }
}

/// The trusted authorities for `https` servers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Roots {
    /// Those of the operating system.
    #[default]
    System,
    /// Those of a PEM file and no others.
    File(PathBuf),
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
