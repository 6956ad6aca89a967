//! What upstreams are spoken to in: the version of HTTP, and TLS.

use super::Compiler;
use crate::diagnostic::{Code, Diagnostic};
use crate::model::ast::{self, Spanned, UpstreamProtocol};
use crate::plan::{HostHeader, Server, UpstreamTls};
use crate::source::Span;
use smol_str::SmolStr;
use std::net::IpAddr;

impl Compiler<'_> {
    /// The version of HTTP, which each server's scheme must be able to carry.
    pub(super) fn protocol(
        &mut self,
        written: Option<&Spanned<UpstreamProtocol>>,
        servers: &[(Server, Span)],
    ) -> Option<UpstreamProtocol> {
        let protocol = written?;
        for (server, span) in servers.iter().filter(|(server, _)| is_known(server)) {
            let (message, help) = match (protocol.value, server.tls) {
                (UpstreamProtocol::H2c, true) => (
                    "`h2c` is HTTP/2 without TLS, and this server's URL is `https`",
                    "write `protocol h2`, or `auto` to let the server choose",
                ),
                (UpstreamProtocol::H2, false) => (
                    "`h2` is HTTP/2 over TLS, and this server's URL is `http`",
                    "write `protocol h2c` if the server speaks HTTP/2 without TLS, or an `https` URL",
                ),
                _ => continue,
            };
            self.d.push(
                Diagnostic::new(Code::E0656, *span, message)
                    .label("cannot be spoken to like this")
                    .also(protocol.span, "the version that is said here")
                    .help(help),
            );
        }
        Some(protocol.value)
    }

    /// How TLS is spoken: what the upstream says goes before what `upstream *` says, part by part.
    pub(super) fn upstream_tls(
        &mut self,
        u: &ast::Upstream,
        all: Option<&ast::Upstream>,
        servers: &[(Server, Span)],
        host: &HostHeader,
    ) -> UpstreamTls {
        let secure = |(server, _): &(Server, Span)| server.tls || !is_known(server);
        if let Some(tls) = u.tls.as_ref().filter(|_| !u.damaged && !servers.iter().any(secure)) {
            self.d.push(
                Diagnostic::new(Code::E0657, tls.span, "a `tls` block, and no server of the upstream is `https`")
                    .label("nothing is spoken over TLS here")
                    .help("write `https://…` where TLS is meant, or remove the block"),
            );
        }
        let both = [u.tls.as_ref(), all.and_then(|all| all.tls.as_ref())];
        let tls = || both.iter().copied().flatten();
        let ca = tls().find_map(|tls| tls.ca.as_ref()).and_then(|e| self.path(e, "`ca`"));
        let identity = tls().find_map(|tls| tls.identity.as_ref());
        let identity = identity.and_then(|(chain, key)| {
            Some((self.path(chain, "`certificate`")?, self.path(key, "a certificate's key")?))
        });
        self.plan.watched.extend(ca.clone());
        self.plan.watched.extend(identity.iter().flat_map(|(chain, key)| [chain.clone(), key.clone()]));
        let name = match tls().find_map(|tls| tls.server_name.as_ref()) {
            Some(e) => self.text(e, "`server-name`").and_then(|name| {
                let sound = is_server_name(&name);
                if !sound {
                    self.d.push(
                        Diagnostic::new(Code::E0658, e.span, format!("`{name}` is not a name that a certificate has"))
                            .label("neither the name of a host nor an address")
                            .help("write the host alone, without scheme, port or path"),
                    );
                }
                sound.then_some(name)
            }),
            // Whoever says another host means another certificate.
            None => match host {
                HostHeader::Fixed(host) => Some(without_port(host)).filter(|host| is_server_name(host)),
                HostHeader::Server | HostHeader::Preserve => None,
            },
        };
        UpstreamTls { ca, identity, name }
    }
}

/// A server whose URL is an input without a value may be anything.
fn is_known(server: &Server) -> bool {
    !server.host.ends_with(".input.invalid")
}

fn without_port(host: &str) -> SmolStr {
    let bare = match host.rsplit_once(':') {
        Some((name, port)) if !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit()) => name,
        _ => host,
    };
    SmolStr::new(bare.trim_start_matches('[').trim_end_matches(']'))
}

fn is_server_name(name: &str) -> bool {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
    };
    name.parse::<IpAddr>().is_ok() || (name.len() <= 253 && name.trim_end_matches('.').split('.').all(label))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_a_certificate_may_have() {
        for name in ["orders.internal", "localhost", "a_b.example", "10.0.0.1", "::1"] {
            assert!(is_server_name(name), "{name}");
        }
        for name in ["", "https://a", "a:443", "a b", "-a.example", "a..b", "*.example.com", "[::1]"] {
            assert!(!is_server_name(name), "{name}");
        }
    }

    #[test]
    fn hosts_without_their_port() {
        for (host, bare) in [("a.example:8443", "a.example"), ("a.example", "a.example"), ("[::1]:443", "::1")] {
            assert_eq!(without_port(host), bare);
        }
    }
}
