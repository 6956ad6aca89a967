//! Certificates by ACME: for which names, from whom, and whether the CA's questions can be answered.

use super::Compiler;
use super::routes::RouteFacts;
use crate::diagnostic::{Code, Diagnostic};
use crate::model::ast::{self, AcmeChallenge, AcmeDirectory, HostHead, Scheme};
use crate::model::types::Type;
use crate::model::value::Value;
use crate::plan::{Acme, Issuer};
use crate::source::Span;
use smol_str::SmolStr;

/// Let's Encrypt's directories.
const PRODUCTION: &str = "https://acme-v02.api.letsencrypt.org/directory";
const STAGING: &str = "https://acme-staging-v02.api.letsencrypt.org/directory";

impl Compiler<'_> {
    /// The `acme` of each listener. The names are by default those of the hosts on it, so the routes must be known.
    pub(super) fn acme(&mut self, routes: &[RouteFacts]) {
        let program = self.program;
        for (at, listener) in program.listeners.iter().enumerate() {
            // On one without TLS it is out of place, which is said there.
            if let Some(acme) = listener.acme.as_ref().filter(|_| listener.scheme == Scheme::Https) {
                let compiled = self.acme_of(at, acme, routes);
                if let Some(listener) = self.plan.listeners.get_mut(at) {
                    listener.acme = Some(compiled);
                }
            }
        }
    }

    fn acme_of(&mut self, at: usize, acme: &ast::Acme, routes: &[RouteFacts]) -> Acme {
        if acme.agreed.is_none() && !acme.damaged {
            self.d.push(
                Diagnostic::new(Code::E0666, acme.span, "`acme` does not say that you agree to the CA's terms")
                    .label("CAs give no certificate without")
                    .help(
                        "read the CA's terms of service (https://letsencrypt.org/repository/), and write `agree terms`",
                    ),
            );
        }
        let directory = self.acme_directory(acme);
        let emails = acme.emails.iter().filter_map(|e| self.acme_email(e)).collect();
        let store = acme.store.as_ref().and_then(|e| self.path(e, "`store`"));
        let ca_file = acme.ca.as_ref().and_then(|e| self.path(e, "`ca`"));
        let external_account = acme.external_account.as_ref().and_then(|(id, key)| {
            let id = self.text(id, "the id of `external-account`");
            let key = match self.outside(key, &Type::Secret, "the key of `external-account`").constant {
                Some(Value::Secret(secret)) => Some(secret),
                _ => None,
            };
            id.map(|id| (id, key))
        });
        let challenge = acme.challenge.as_ref().map_or(AcmeChallenge::TlsAlpn01, |challenge| challenge.value);
        self.acme_ports(at, acme, challenge);
        let domains = self.acme_domains(at, acme, routes);
        Acme {
            issuer: Issuer { directory, emails, store, challenge, ca_file, external_account },
            domains,
            origin: self.origin(acme.span),
        }
    }

    fn acme_directory(&mut self, acme: &ast::Acme) -> SmolStr {
        let e = match &acme.directory {
            None | Some(AcmeDirectory::Production) => return SmolStr::new_static(PRODUCTION),
            Some(AcmeDirectory::Staging) => return SmolStr::new_static(STAGING),
            Some(AcmeDirectory::Url(e)) => e,
        };
        match self.constant(e, &Type::Url, "`directory`") {
            Some(Value::Str(url)) if !url.starts_with("https://") => {
                self.d.push(
                    Diagnostic::new(Code::E0669, e.span, "the directory of a CA is an `https` URL")
                        .label("not https")
                        .help("RFC 8555 allows no other; a private CA's root goes into `ca \"PATH\"`"),
                );
                SmolStr::default()
            }
            Some(Value::Str(url)) => SmolStr::new(url),
            _ => SmolStr::default(),
        }
    }

    fn acme_email(&mut self, e: &ast::Expr) -> Option<SmolStr> {
        let email = self.text(e, "`email`")?;
        let (local, domain) = email.split_once('@').unwrap_or_default();
        let sound = |c: char| c.is_ascii_graphic() && !matches!(c, '@' | ',' | '?' | '<' | '>' | '"' | ':');
        if local.is_empty() || domain.is_empty() || !local.chars().chain(domain.chars()).all(sound) {
            let help = match email.strip_prefix("mailto:") {
                Some(rest) => format!("write `\"{rest}\"`"),
                None => "write one address: `email \"ops@shop.example\"`; several at commas".to_owned(),
            };
            self.d.push(
                Diagnostic::new(Code::E0669, e.span, format!("`{email}` is no e-mail address"))
                    .label("not an address")
                    .help(help),
            );
            return None;
        }
        Some(email)
    }

    /// The CA connects to a port of its choice: something must be there.
    fn acme_ports(&mut self, at: usize, acme: &ast::Acme, challenge: AcmeChallenge) {
        let span = acme.challenge.as_ref().map_or(acme.span, |challenge| challenge.span);
        let (name, port) = (challenge.name(), challenge.port());
        // 0 is that of an input without a value.
        let ports: Vec<u16> = match challenge {
            AcmeChallenge::TlsAlpn01 => self.plan.listeners.get(at).map(|l| l.address.port()).into_iter().collect(),
            AcmeChallenge::Http01 => {
                self.plan.listeners.iter().filter(|l| l.tls.is_none()).map(|l| l.address.port()).collect()
            }
        };
        if ports.is_empty() {
            self.d.push(
                Diagnostic::new(Code::E0668, span, format!("the CA asks at port {port}, where nothing listens"))
                    .label(format!("{name} is answered by an http listener"))
                    .help("add `listen http :80 { redirect https }`, or leave `challenge` out"),
            );
        } else if !acme.forwarded && !ports.contains(&port) && !ports.contains(&0) {
            let own = ports.first().copied().unwrap_or_default();
            self.d.push(
                Diagnostic::new(Code::W0666, span, format!("the CA asks at port {port}, and gw listens at {own}"))
                    .label(format!("{name} may not arrive"))
                    .help(format!("listen at :{port}; if port {port} leads here from outside, say so: `challenge {name} forwarded`")),
            );
        }
    }

    fn acme_domains(&mut self, at: usize, acme: &ast::Acme, routes: &[RouteFacts]) -> Box<[SmolStr]> {
        let public = !matches!(acme.directory, Some(AcmeDirectory::Url(_)));
        let mut domains: Vec<SmolStr> = Vec::new();
        for e in &acme.domains {
            let Some(written) = self.text(e, "`domains`") else { continue };
            match certifiable(&written, public) {
                Ok(domain) if domains.contains(&domain) => self.d.push(
                    Diagnostic::new(Code::E0667, e.span, format!("`{domain}` is named twice")).label("again here"),
                ),
                Ok(domain) => domains.push(domain),
                Err((why, help)) => self.d.push(
                    Diagnostic::new(Code::E0667, e.span, format!("`{written}` {why}"))
                        .label("no certificate for this")
                        .help(help),
                ),
            }
        }
        let own = self.program.listeners.get(at).is_some_and(|l| !l.certificates.is_empty());
        let mut seen: Vec<Span> = Vec::new();
        let here = |route: &&RouteFacts| u32::try_from(at).is_ok_and(|at| route.listeners.contains(&at));
        for host in routes.iter().filter(here).flat_map(|route| &route.key.hosts) {
            if seen.contains(&host.span) {
                continue;
            }
            seen.push(host.span);
            let name = host.suffix.to_ascii_lowercase();
            let exact = host.head == HostHead::Exact;
            let found = if exact { certifiable(&name, public) } else { Err(WILDCARD) };
            match found {
                Ok(domain) if acme.domains.is_empty() => {
                    if !domains.contains(&domain) {
                        domains.push(domain);
                    }
                }
                Ok(domain) if domains.contains(&domain) || own => {}
                Ok(domain) => self.d.push(
                    Diagnostic::new(Code::W0621, host.span, format!("there is no certificate for `{domain}`"))
                        .label("clients that ask for it are shown another name's")
                        .also(acme.span, "this lists the names itself")
                        .help(format!("add it: `domains …, \"{domain}\"`")),
                ),
                Err(_) if own => {}
                Err((why, help)) => self.d.push(
                    Diagnostic::new(Code::W0621, host.span, "there is no certificate for this host")
                        .label(format!("it {why}"))
                        .help(help),
                ),
            }
        }
        if domains.is_empty() && acme.domains.is_empty() && !acme.damaged && self.d.errors() == 0 {
            self.d.push(
                Diagnostic::new(Code::E0667, acme.span, "`acme` has no name to have a certificate for")
                    .label("no api on this listener has an exact host")
                    .help("name them: `domains \"shop.example\"`, or give the apis hosts: `host shop.example`"),
            );
        }
        domains.into()
    }
}

type Why = (&'static str, &'static str);

const WILDCARD: Why = (
    "is a wildcard: only DNS-01 shows whose it is, and gw does not speak that",
    "name the hosts one by one in `domains`, or bring a certificate of your own: `certificate \"PATH\" key \"PATH\"`",
);

/// A host name in lower case, if a CA can give a certificate for it; `public` is one of the web's.
fn certifiable(name: &str, public: bool) -> Result<SmolStr, Why> {
    if name.contains(['*', '{']) {
        return Err(WILDCARD);
    }
    if name.contains(['/', ':']) || name.is_empty() {
        return Err(("is no host name", "write the name alone: `\"shop.example\"`"));
    }
    if name.parse::<std::net::IpAddr>().is_ok() || name.starts_with('[') {
        return Err(("is an address", "certificates here are for names: give the machine one"));
    }
    if !name.is_ascii() {
        return Err(("is not ASCII", "write it in its ASCII form, which begins with `xn--`"));
    }
    let label = |label: &str| {
        let ends = label.starts_with('-') || label.ends_with('-');
        (1..=63).contains(&label.len()) && !ends && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
    };
    if name.len() > 253 || !name.split('.').all(label) {
        return Err(("is no host name", "labels of letters, digits and `-`, joined by dots"));
    }
    if public && !name.contains('.') {
        return Err((
            "is a name that only your network knows",
            "public CAs certify names of the public DNS; a private CA is named by `directory https://…`",
        ));
    }
    Ok(SmolStr::new(name.to_ascii_lowercase()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_a_ca_certifies() {
        for (name, wanted) in [
            ("shop.example", Some("shop.example")),
            ("Shop.Example", Some("shop.example")),
            ("xn--bcher-kva.example", Some("xn--bcher-kva.example")),
            ("*.shop.example", None),
            ("{tenant}.shop.example", None),
            ("192.0.2.1", None),
            ("::1", None),
            ("[::1]", None),
            ("bücher.example", None),
            ("https://shop.example", None),
            ("shop.example:443", None),
            ("shop..example", None),
            ("shop.example.", None),
            ("-a.example", None),
            ("a_b.example", None),
            ("../../etc/x", None),
            ("", None),
            ("localhost", None),
        ] {
            assert_eq!(certifiable(name, true).ok().as_deref(), wanted, "{name}");
        }
        assert_eq!(certifiable("localhost", false).as_deref(), Ok("localhost"));
    }
}
