//! Listeners and trusted proxies.

use super::Compiler;
use crate::diagnostic::{Code, Diagnostic};
use crate::model::ast::{ExprKind, HttpVersion, Scheme, Spanned};
use crate::model::types::Type;
use crate::model::value::Value;
use crate::plan::{Listener, Protocols, Trust, defaults};
use ipnet::IpNet;
use smol_str::{SmolStr, format_smolstr};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

impl Compiler<'_> {
    pub(super) fn listeners(&mut self) {
        let program = self.program;
        let mut bound: Vec<(SocketAddr, crate::source::Span)> = Vec::new();
        for l in &program.listeners {
            let address = match self.constant(&l.address, &Type::Address, "the address of a listener") {
                Some(Value::Address(a)) => a,
                _ => SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            };
            // What stands for an input that is not bound has this port, too.
            if address.port() == 0 && matches!(l.address.kind, ExprKind::Literal(Value::Address(_))) {
                self.d.push(
                    Diagnostic::new(Code::E0602, l.address.span, "the port of a listener is 0")
                        .label("clients must know it")
                        .help("ports are 1 to 65535"),
                );
            }
            if address.port() != 0 {
                if let Some((_, first)) = bound.iter().find(|(a, _)| same_socket(*a, address)) {
                    self.d.push(
                        Diagnostic::new(
                            Code::E0302,
                            l.address.span,
                            format!("two listeners have the address {address}"),
                        )
                        .label("only one of them can bind it")
                        .also(*first, "the other one")
                        .help("give each listener its own port, or its own address"),
                    );
                }
                bound.push((address, l.address.span));
            }
            let redirect_https = l.redirect_https.as_ref().map(|port| {
                let port = port.value.as_ref().and_then(|e| self.count(e, 1, "the port of `redirect https`"));
                port.and_then(|p| u16::try_from(p).ok()).unwrap_or(443)
            });
            let header_max = l.header_max.as_ref().and_then(|e| {
                let n = self.size(e, "`header max`")?;
                if !(1024..=1024 * 1024).contains(&n) {
                    self.d.push(
                        Diagnostic::new(Code::E0602, e.span, "`header max` must be between 1KiB and 1MiB")
                            .label("out of range"),
                    );
                }
                usize::try_from(n).ok()
            });
            let protocols = self.protocols(l.scheme, &l.protocols);
            let listener = Listener {
                name: l.name.as_ref().map_or_else(|| format_smolstr!("{address}"), |n| n.text.clone()),
                address,
                redirect_https,
                router: 0,
                max_connections: l
                    .max_connections
                    .as_ref()
                    .and_then(|e| self.count(e, 1, "`max connections`"))
                    .map(|n| n as usize),
                protocols,
                header_max: header_max.unwrap_or(defaults::HEADER_MAX),
                timeout_header: l
                    .timeout_header
                    .as_ref()
                    .and_then(|e| self.duration(e, "`timeout header`"))
                    .unwrap_or(defaults::TIMEOUT_HEADER),
                timeout_idle: l
                    .timeout_idle
                    .as_ref()
                    .and_then(|e| self.duration(e, "`timeout idle`"))
                    .unwrap_or(defaults::TIMEOUT_IDLE),
                tls: self.listener_tls(l),
                proxy_protocol: l.proxy_protocol.is_some(),
                acme: None,
                origin: self.origin(l.span),
            };
            self.plan.listeners.push(listener);
        }
        if let Some(t) = program.trust.first() {
            let proxies = t.proxies.iter().filter_map(|e| self.network(e)).collect();
            self.plan.trust = Some(Trust { proxies, using: t.using.value, origin: self.origin(t.span) });
        }
        self.proxy_protocol();
    }

    /// What a listener speaks: what it says, or HTTP/1.1 and, with TLS, HTTP/2.
    fn protocols(&mut self, scheme: Scheme, said: &[Spanned<HttpVersion>]) -> Protocols {
        let (own, message, label, help) = match scheme {
            Scheme::Http => (
                HttpVersion::H2c,
                "`h2` on a listener without TLS",
                "`h2` is agreed upon in TLS",
                "HTTP/2 without TLS is called `h2c`",
            ),
            Scheme::Https => (
                HttpVersion::H2,
                "`h2c` on a listener with TLS",
                "`h2c` is spoken without TLS",
                "HTTP/2 over TLS is called `h2`",
            ),
        };
        let wrong = said.iter().find(|p| p.value != HttpVersion::H1 && p.value != own);
        if let Some(wrong) = wrong {
            self.d.push(Diagnostic::new(Code::E0630, wrong.span, message).label(label).help(help));
        }
        let has = |version| said.iter().any(|p| p.value == version);
        match said.is_empty() {
            true => Protocols { h1: true, h2: scheme == Scheme::Https },
            false => Protocols { h1: has(HttpVersion::H1), h2: has(own) },
        }
    }

    /// A network, or one address as a network.
    fn network(&mut self, e: &crate::model::ast::Expr) -> Option<IpNet> {
        use crate::model::ast::ExprKind;
        let ty = match &e.kind {
            ExprKind::Literal(Value::Ip(_)) => Type::Ip,
            _ => Type::Cidr,
        };
        match self.constant(e, &ty, "a trusted proxy")? {
            Value::Cidr(n) => Some(n),
            Value::Ip(IpAddr::V4(a)) => Some(IpNet::new_assert(a.into(), 32)),
            Value::Ip(IpAddr::V6(a)) => Some(IpNet::new_assert(a.into(), 128)),
            _ => None,
        }
    }

    /// The listeners that an api's `listen` names; all that do not redirect without one.
    pub(super) fn listener_names(&mut self, names: &[crate::model::ast::Name]) -> Vec<SmolStr> {
        let known: Vec<SmolStr> =
            self.program.listeners.iter().filter_map(|l| l.name.as_ref()).map(|n| n.text.clone()).collect();
        for n in names {
            if !known.contains(&n.text) {
                let near = crate::diagnostic::nearest(&n.text, known.iter().map(SmolStr::as_str));
                let all = || known.iter().map(|n| format!("`{n}`")).collect::<Vec<_>>().join(", ");
                let help = match (near, known.as_slice()) {
                    (Some(near), _) => format!("there is one called `{near}`"),
                    (None, []) => format!("give one a name: `listen {} http :8080`", n.text),
                    (None, _) => format!("there is {}", all()),
                };
                self.d.push(
                    Diagnostic::new(Code::E0313, n.span, format!("no listener is called `{}`", n.text))
                        .label("not declared in this program")
                        .help(help),
                );
            } else if let Some(l) = self.plan.listeners.iter().find(|l| l.name == n.text && l.redirect_https.is_some())
            {
                let line = l.origin.line;
                self.d.push(
                    Diagnostic::new(
                        Code::E0303,
                        n.span,
                        format!("the listener `{}` redirects everything to https", n.text),
                    )
                    .label("so nothing of this api could be reached there")
                    .help(format!("remove `redirect https` from line {line}, or name another listener")),
                );
            }
        }
        names.iter().map(|n| n.text.clone()).collect()
    }
}

/// Binding both would fail: the same port, and the same address or one of them is every address.
fn same_socket(a: SocketAddr, b: SocketAddr) -> bool {
    a.port() == b.port() && (a.ip() == b.ip() || a.ip().is_unspecified() || b.ip().is_unspecified())
}
