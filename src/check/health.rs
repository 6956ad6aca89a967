//! Which servers an upstream has and which of them may be used: `discover`, `health`, `eject`, `sticky`.

use super::Compiler;
use super::budget::shown;
use super::upstream::parse_server;
use crate::diagnostic::{Code, Diagnostic};
use crate::model::ast::{self, StatusMatch};
use crate::model::types::Type;
use crate::model::value::Value;
use crate::plan::{Eject, EjectWhen, Health, Server, Sticky, defaults};
use smol_str::SmolStr;
use std::net::IpAddr;

impl<'p> Compiler<'p> {
    /// `discover …`: a server by name.
    pub(super) fn discovered(&mut self, d: &ast::Discover) -> Option<Server> {
        let text = d.name.text.to_ascii_lowercase();
        let scheme = if d.https { "https" } else { "http" };
        let (host, port) = text.rsplit_once(':').unwrap_or((&text, ""));
        let (what, help) = if text.parse::<std::net::SocketAddr>().is_ok() || host.parse::<IpAddr>().is_ok() {
            ("is an address and not a name", format!("an address is a server: `server {scheme}://{text}`"))
        } else if !is_dns_name(host) {
            ("is no name that DNS could have", "names are letters, digits, `-` and `_` between dots".to_owned())
        } else if d.srv && !port.is_empty() {
            ("has a port", format!("SRV records say the ports: `discover srv {host}`"))
        } else if !d.srv && port.is_empty() {
            (
                "has no port",
                format!("write `discover dns {host}:80`; names whose records say the port are found by `discover srv`"),
            )
        } else {
            if d.srv {
                let host = SmolStr::new(host.trim_end_matches('.'));
                let authority = host.clone();
                return Some(Server {
                    tls: d.https,
                    host,
                    port: 0,
                    authority,
                    prefix: SmolStr::default(),
                    weight: 1,
                    backup: false,
                    srv: true,
                });
            }
            match parse_server(&format!("{scheme}://{text}")) {
                Ok(server) => return Some(server),
                Err((what, help)) => (what, help),
            }
        };
        self.d.push(
            Diagnostic::new(Code::E0640, d.name.span, format!("`{}` {what}", d.name.text))
                .label("cannot be looked up")
                .help(help),
        );
        None
    }

    /// `health {…}`.
    pub(super) fn health(&mut self, h: &ast::Health) -> Option<Health> {
        let Some((method, path)) = &h.probe else {
            if !h.damaged {
                self.d.push(
                    Diagnostic::new(Code::E0641, h.span, "a `health` that asks for nothing")
                        .label("what is a server asked?")
                        .help("say it: `health { GET /healthz; every 5s }`"),
                );
            }
            return None;
        };
        let place = path.span;
        let path = self.text(path, "the path of a `health`")?;
        if !path.starts_with('/') || !path.bytes().all(|b| matches!(b, 0x21..=0x7e) && b != b'#') {
            self.d.push(
                Diagnostic::new(Code::E0641, place, format!("`{path}` is not a path that can be asked for"))
                    .label("not a path")
                    .help("a path begins with `/` and has only ASCII: `GET /healthz`"),
            );
            return None;
        }
        let every = h.every.as_ref().and_then(|e| self.duration(e, "`every`")).unwrap_or(defaults::HEALTH_EVERY);
        let said = h.timeout.as_ref().and_then(|e| Some((e.span, self.duration(e, "`timeout`")?)));
        if let Some((span, timeout)) = said.filter(|(_, timeout)| *timeout > every) {
            self.d.push(
                Diagnostic::new(Code::E0641, span, "a health check that waits longer than its interval")
                    .label(format!("{} is longer than {}", shown(timeout), shown(every)))
                    .help(format!("make the timeout {} or shorter, or `every` longer", shown(every))),
            );
        }
        let mut times = |e: &Option<ast::Expr>, place, default| match e {
            Some(e) => self.count(e, 1, place).map_or(default, |n| u32::try_from(n).unwrap_or(u32::MAX)),
            None => default,
        };
        let healthy = times(&h.healthy, "`healthy after`", defaults::HEALTHY_AFTER);
        let unhealthy = times(&h.unhealthy, "`unhealthy after`", defaults::UNHEALTHY_AFTER);
        let host = h.host.as_ref().and_then(|e| Some((e.span, self.text(e, "`host`")?)));
        if let Some((span, host)) = &host
            && host.parse::<http::uri::Authority>().is_err()
        {
            self.d.push(Diagnostic::new(Code::E0641, *span, format!("`{host}` is no host")).label("not a host"));
        }
        let port = h.port.as_ref().and_then(|e| match self.constant(e, &Type::Int, "`port`")? {
            Value::Int(n) if (1..=65535).contains(&n) => u16::try_from(n).ok(),
            Value::Int(n) => {
                self.d
                    .push(Diagnostic::new(Code::E0602, e.span, format!("`port` is {n}")).label("ports are 1 to 65535"));
                None
            }
            _ => None,
        });
        let expect = match h.expect.is_empty() {
            true => Box::from([StatusMatch::Class(2)]),
            false => h.expect.iter().map(|s| s.value).collect(),
        };
        Some(Health {
            method: method.clone(),
            path,
            every,
            timeout: said.map_or(defaults::HEALTH_TIMEOUT.min(every), |(_, timeout)| timeout),
            healthy,
            unhealthy,
            expect,
            host: host.map(|(_, host)| host),
            port,
        })
    }

    /// `eject …`.
    pub(super) fn eject(&mut self, e: &ast::Eject) -> Option<Eject> {
        let period = self.duration(&e.period, "`for`");
        let when = match (&e.after, &e.over) {
            (Some(after), _) => {
                EjectWhen::Failures(u32::try_from(self.count(after, 1, "`after`")?).unwrap_or(u32::MAX))
            }
            (None, Some(over)) => EjectWhen::Share(self.percent(over, "`over`")?),
            (None, None) => return None,
        };
        Some(Eject { when, period: period? })
    }

    /// `sticky cookie NAME`.
    pub(super) fn sticky(&mut self, s: &ast::Sticky) -> Option<Sticky> {
        let cookie = &s.cookie.text;
        // A token (RFC 6265, 4.1.1). `__Host-` and `__Secure-` ask for attributes that plain http has not.
        let sound =
            !cookie.is_empty() && cookie.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b));
        let help = match cookie.starts_with("__") {
            true => "browsers keep names that begin with `__Host-` or `__Secure-` for cookies of https",
            false => "a name has letters, digits, `-`, `_` and `.`",
        };
        if !sound || cookie.starts_with("__") {
            self.d.push(
                Diagnostic::new(
                    Code::E0642,
                    s.cookie.span,
                    format!("`{cookie}` cannot be the name of a sticky cookie"),
                )
                .label("not the name of a cookie")
                .help(help),
            );
            return None;
        }
        let period = s.period.as_ref().and_then(|e| self.duration(e, "`for`"));
        Some(Sticky { cookie: cookie.clone(), period, origin: self.origin(s.span) })
    }

    /// What an `echo` has no use for.
    pub(super) fn without_servers(&mut self, u: &ast::Upstream) {
        let Some(echo) = u.echo else { return };
        let said = [
            ("health", u.health.as_ref().map(|h| h.span)),
            ("eject", u.eject.as_ref().map(|e| e.span)),
            ("sticky", u.sticky.as_ref().map(|s| s.span)),
            ("oauth", u.oauth.as_ref().map(|o| o.span)),
        ];
        for (word, span) in said {
            let Some(span) = span else { continue };
            self.d.push(
                Diagnostic::new(Code::E0643, span, format!("`{word}` is about servers, and an `echo` has none"))
                    .label("nothing to do here")
                    .also(echo, "the built-in server answers everything")
                    .help("remove it, or name servers in place of `echo`"),
            );
        }
    }

    /// Settings that choose among servers where there is one.
    pub(super) fn alone(&mut self, u: &ast::Upstream, servers: &[Server]) {
        let [only] = servers else { return };
        if only.srv || only.host.parse::<IpAddr>().is_err() {
            return;
        }
        let said = [("eject", u.eject.as_ref().map(|e| e.span)), ("sticky", u.sticky.as_ref().map(|s| s.span))];
        for (word, span) in said {
            let Some(span) = span else { continue };
            self.d.push(
                Diagnostic::new(Code::W0640, span, format!("`{word}` has nothing to choose from: there is one server"))
                    .label("never does anything")
                    .help("add another `server`, or remove it"),
            );
        }
    }
}

/// Labels of letters, digits, `-` and `_`: service names begin with `_`.
fn is_dns_name(text: &str) -> bool {
    let label = |label: &str| {
        (1..=63).contains(&label.len()) && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
    };
    text.len() <= 253 && text.trim_end_matches('.').split('.').all(label)
}
