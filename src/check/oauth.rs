//! `oauth` of an upstream: who is asked for tokens, and what for.

use super::upstream::parse_server;
use super::{Compiler, names};
use crate::diagnostic::{Code, Diagnostic};
use crate::model::ast::{self, Expr, ExprKind};
use crate::model::types::Type;
use crate::model::value::Value;
use crate::plan::{Oauth, Server};
use smol_str::SmolStr;
use std::net::IpAddr;

impl Compiler<'_> {
    /// `oauth {…}`.
    pub(super) fn oauth(&mut self, o: &ast::Oauth) -> Option<Oauth> {
        let needed = [
            ("token-endpoint", &o.endpoint, "token-endpoint https://id.example.com/token"),
            ("client-id", &o.client_id, "client-id \"gw\""),
            ("client-secret", &o.client_secret, "client-secret NAME`, with `input NAME: secret"),
        ];
        let missing: Vec<_> = needed.iter().filter(|(_, given, _)| given.is_none() && !o.damaged).collect();
        if !missing.is_empty() {
            let words: Vec<String> = missing.iter().map(|(word, ..)| format!("`{word}`")).collect();
            let examples: Vec<String> = missing.iter().map(|(.., example)| format!("`{example}`")).collect();
            self.d.push(
                Diagnostic::new(Code::E0644, o.span, format!("`oauth` has no {}", words.join(" and no ")))
                    .label("no token could be fetched")
                    .help(format!("add {}", examples.join(", "))),
            );
        }
        let endpoint = o.endpoint.as_ref().and_then(|e| self.token_endpoint(e));
        let client_id = o.client_id.as_ref().and_then(|e| self.text(e, "`client-id`"));
        let secret = o.client_secret.as_ref().map(|e| self.outside(e, &Type::Secret, "`client-secret`").constant);
        let scopes = o.scopes.iter().filter_map(|e| self.oauth_scope(e)).collect();
        let audience = o.audience.as_ref().and_then(|e| self.text(e, "`audience`"));
        let ca = o.ca.as_ref().and_then(|e| self.path(e, "`ca`"));
        self.plan.watched.extend(ca.clone());
        let (server, path) = endpoint?;
        let client_secret = match secret {
            Some(Some(Value::Secret(secret))) => Some(secret),
            _ => None,
        };
        Some(Oauth {
            server,
            path,
            client_id: client_id?,
            client_secret,
            credentials: o.credentials.as_ref().map_or_else(Default::default, |kind| kind.value),
            scopes,
            audience,
            ca,
            origin: self.origin(o.span),
        })
    }

    fn token_endpoint(&mut self, e: &Expr) -> Option<(Server, SmolStr)> {
        let typed = self.outside(e, &Type::Url, "`token-endpoint`");
        let known = typed.constant.is_some();
        let value = typed.constant.or_else(|| match &e.kind {
            ExprKind::Name(n) if typed.ty == Type::Url => names::placeholder(n, &Type::Url),
            _ => None,
        });
        let Some(Value::Str(url)) = value else { return None };
        let (base, query) = url.find('?').map_or((&*url, ""), |at| url.split_at(at));
        let server = match parse_server(base) {
            Ok(server) => server,
            Err((what, help)) => {
                let help = if what.contains("credentials") {
                    "they are `client-id` and `client-secret`".to_owned()
                } else {
                    help
                };
                self.d.push(
                    Diagnostic::new(Code::E0645, e.span, format!("the URL of a token endpoint {what}"))
                        .label("no token endpoint")
                        .help(help),
                );
                return None;
            }
        };
        if known && !server.tls && !is_this_machine(&server.host) {
            self.d.push(
                Diagnostic::new(Code::E0645, e.span, "the client's secret would cross the network in clear text")
                    .label("not https")
                    .help("write https://…; OAuth allows no other (RFC 6749, 3.2), and gw only the machine itself"),
            );
            return None;
        }
        let path = base.split_once("://").and_then(|(_, rest)| rest.find('/').and_then(|at| rest.get(at..)));
        let path = SmolStr::new(format!("{}{query}", path.unwrap_or("/")));
        if !path.bytes().all(|b| b.is_ascii_graphic()) {
            self.d.push(
                Diagnostic::new(Code::E0645, e.span, "the URL of a token endpoint has characters that no URL has")
                    .label("no token endpoint")
                    .help("percent-encode them"),
            );
            return None;
        }
        Some((Server { prefix: SmolStr::default(), ..server }, path))
    }

    /// One scope: any printable ASCII but blanks, quotes and backslashes (RFC 6749, 3.3).
    fn oauth_scope(&mut self, e: &Expr) -> Option<SmolStr> {
        let scope = self.text(e, "`scopes`")?;
        let sound = !scope.is_empty() && scope.bytes().all(|b| b.is_ascii_graphic() && b != b'"' && b != b'\\');
        if !sound {
            let parts: Vec<String> = scope.split_ascii_whitespace().map(|part| format!("\"{part}\"")).collect();
            let help = match parts.len() {
                0 | 1 => "scopes are printable ASCII without blanks, quotes and backslashes".to_owned(),
                _ => format!("scopes stand one by one: `scopes {}`", parts.join(", ")),
            };
            self.d.push(
                Diagnostic::new(Code::E0646, e.span, format!("{scope:?} is no scope"))
                    .label("not one scope")
                    .help(help),
            );
        }
        sound.then_some(scope)
    }
}

/// What is sent there leaves the machine by no network.
fn is_this_machine(host: &str) -> bool {
    host == "localhost" || host.ends_with(".localhost") || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}
