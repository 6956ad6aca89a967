//! TLS on listeners, and the PROXY protocol before it.

use super::Compiler;
use crate::diagnostic::{Code, Diagnostic};
use crate::model::ast::{ForwardField, Listener, Scheme, TlsVersion};
use crate::plan::{CertificateFiles, ClientCertificates, Tls};
use crate::source::Span;

impl Compiler<'_> {
    /// What a listener speaks TLS with; none for `http`.
    pub(super) fn listener_tls(&mut self, l: &Listener) -> Option<Tls> {
        if l.scheme == Scheme::Http {
            self.only_with_tls(l);
            return None;
        }
        if l.certificates.is_empty() && l.acme.is_none() && !l.damaged {
            self.d.push(
                Diagnostic::new(Code::E0620, l.span, "this listener speaks https and has no certificate")
                    .label("nothing to show to clients")
                    .help("add `{ certificate \"shop.pem\" key \"shop.key\" }`, or `{ acme { agree terms } }` to have one issued"),
            );
        }
        if let Some(redirect) = &l.redirect_https {
            self.d.push(
                Diagnostic::new(Code::E0621, redirect.span, "`redirect https` on a listener that speaks https")
                    .label("leads from https to https")
                    .help("put it into a listener that speaks http"),
            );
        }
        let mut certificates = Vec::new();
        for pair in &l.certificates {
            let certificate = self.path(&pair.certificate, "`certificate`");
            let key = self.path(&pair.key, "`key`");
            let (Some(certificate), Some(key)) = (certificate, key) else { continue };
            certificates.push(CertificateFiles { certificate, key, origin: self.origin(pair.span) });
        }
        let clients = l.client_certificates.as_ref().and_then(|c| {
            let ca = self.path(c.ca.as_ref()?, "`ca`")?;
            Some(ClientCertificates { required: c.required, ca, origin: self.origin(c.span) })
        });
        let min = l.tls_min.as_ref().map_or(TlsVersion::V1_2, |min| min.value);
        let tls = Tls { certificates, min, clients };
        self.plan.watched.extend(tls.files().cloned());
        Some(tls)
    }

    /// Settings that say nothing without TLS.
    fn only_with_tls(&mut self, l: &Listener) {
        let certificates = l.certificates.iter().map(|c| ("certificate", c.span));
        let acme = l.acme.iter().map(|acme| ("acme", acme.span));
        let clients = l.client_certificates.iter().map(|c| ("client-certificates", c.span));
        let min = l.tls_min.iter().map(|min| ("tls", min.span));
        let mut settings: Vec<(&str, Span)> = certificates.chain(acme).chain(clients).chain(min).collect();
        settings.sort_by_key(|(_, span)| span.start);
        if let Some(((word, first), more)) = settings.split_first() {
            let message = format!("`{word}` on a listener that speaks http");
            let mut diagnostic = Diagnostic::new(Code::E0621, *first, message)
                .label("says nothing without TLS")
                .help("write `listen https …`, or remove it");
            for (_, span) in more {
                diagnostic = diagnostic.also(*span, "nor does this");
            }
            self.d.push(diagnostic);
        }
    }

    /// The header that balancers write is read by some listener, and somebody believes it.
    pub(super) fn proxy_protocol(&mut self) {
        let program = self.program;
        let trust = program.trust.first().filter(|trust| trust.using.value == ForwardField::ProxyProtocol);
        let mut listeners = program.listeners.iter().filter_map(|l| l.proxy_protocol);
        match (trust, listeners.next()) {
            (Some(trust), None) if program.listeners.iter().all(|l| !l.damaged) => self.d.push(
                Diagnostic::new(Code::E0624, trust.using.span, "no listener reads the PROXY protocol")
                    .label("so nothing says who the client is")
                    .help("add `proxy-protocol` to the listeners behind these proxies"),
            ),
            (None, Some(listener)) => self.d.push(
                Diagnostic::new(Code::W0624, listener, "nobody is believed who sends this header")
                    .label("`client.ip` is the balancer's address")
                    .help("add `trust proxies 10.0.0.0/8 using proxy-protocol`, with the balancer's network"),
            ),
            _ => {}
        }
    }
}
