//! `listen` and `trust proxies`.

use super::reader::{Reader, error, settings, twice};
use super::{acme, timeouts};
use crate::diagnostic::{Code, Diagnostic, nearest};
use crate::model::ast::{
    CertificateFiles, ClientCertificates, Expr, ForwardField, HttpVersion, Listener, Scheme, Spanned, TlsVersion, Trust,
};
use crate::model::statements::{self, Context};
use crate::syntax::tree::{Item, ItemKind};

/// `listen [NAME] http|https ADDRESS {…}`.
pub(super) fn listen(r: &mut Reader) -> Option<Listener> {
    let name = match (r.cursor.peek().map(|i| &i.kind), r.cursor.peek_at(1).map(|i| &i.kind)) {
        (Some(ItemKind::Name(word)), _) if statements::find(word, Context::SCHEME).is_some() => None,
        // `htp :8080`
        (Some(ItemKind::Name(word)), second)
            if !matches!(second, Some(ItemKind::Name(_))) && nearest(word, ["http", "https"]).is_some() =>
        {
            None
        }
        (
            Some(ItemKind::Name(_)),
            Some(ItemKind::Name(_) | ItemKind::Op(_) | ItemKind::Number(_) | ItemKind::Socket6(_)),
        ) => r.declared("a listener"),
        _ => None,
    };
    let mut listener = Listener {
        name,
        scheme: scheme(r),
        address: address(r),
        redirect_https: None,
        max_connections: None,
        header_max: None,
        protocols: Vec::new(),
        timeout_header: None,
        timeout_idle: None,
        acme: None,
        certificates: Vec::new(),
        client_certificates: None,
        tls_min: None,
        proxy_protocol: None,
        docs: r.docs(),
        span: r.span(),
        damaged: r.failed,
    };
    if let Some(block) = r.cursor.braces() {
        listener.damaged |= settings(block, Context::LISTEN, r.d, |r| setting(r, &mut listener));
    }
    r.end();
    Some(listener)
}

fn scheme(r: &mut Reader) -> Scheme {
    match r.cursor.peek() {
        Some(Item { kind: ItemKind::Name(word), .. }) => {
            let known = [("http", Scheme::Http), ("https", Scheme::Https)].into_iter().find(|(name, _)| name == word);
            if known.is_none() {
                r.no_such_word(&["http", "https"]);
            }
            r.cursor.next();
            return known.map_or(Scheme::Http, |(_, scheme)| scheme);
        }
        Some(item) => {
            let text = super::reader::plain(item).unwrap_or_else(|| "ADDRESS".to_owned());
            let port = text.bytes().all(|b| b.is_ascii_digit());
            let text = if port { format!(":{text}") } else { text };
            r.expected_with("`http` before the address", Some(format!("write `listen http {text}`")));
        }
        None => r.expected("`http` and an address"),
    }
    Scheme::Http
}

fn address(r: &mut Reader) -> Expr {
    match r.cursor.peek() {
        Some(Item { kind: ItemKind::Number(port), span, .. }) if port.bytes().all(|b| b.is_ascii_digit()) => {
            let help = format!("write `:{port}` for every address of this machine, or `127.0.0.1:{port}`");
            r.fail(
                Diagnostic::new(Code::E0204, *span, format!("`{port}` is no address"))
                    .label("a port begins with a colon")
                    .help(help),
            );
            r.cursor.next();
            error(*span)
        }
        Some(Item { kind: ItemKind::Braces(_), .. }) | None => {
            r.expected("an address, such as `:8080`");
            error(r.cursor.span())
        }
        _ => r.expr("an address, such as `:8080`"),
    }
}

fn setting(r: &mut Reader, listener: &mut Listener) {
    match r.row.word {
        "redirect" => {
            let start = r.keyword;
            r.expect_word("https");
            let port = r.word("port").map(|_| r.expr("a port"));
            listener.redirect_https = Some(Spanned { value: port, span: start });
        }
        "max" => {
            r.expect_word("connections");
            listener.max_connections = Some(r.expr("a number"));
        }
        "acme" => listener.acme = acme::acme(r),
        "header" => {
            r.expect_word("max");
            listener.header_max = Some(r.expr("a size, such as `32KiB`"));
        }
        "protocols" => protocols(r, &mut listener.protocols),
        "certificate" => {
            let certificate = r.file();
            r.expect_word("key");
            let key = r.file();
            listener.certificates.push(CertificateFiles { certificate, key, span: r.span() });
        }
        "client-certificates" => listener.client_certificates = Some(client_certificates(r)),
        "tls" => {
            r.expect_word("min");
            listener.tls_min = version(r);
        }
        "proxy-protocol" => listener.proxy_protocol = Some(r.keyword),
        _ => timeouts::parts(r, &mut [("header", &mut listener.timeout_header), ("idle", &mut listener.timeout_idle)]),
    }
}

/// `protocols h1, h2, h2c`.
fn protocols(r: &mut Reader, protocols: &mut Vec<Spanned<HttpVersion>>) {
    let words = [("h1", HttpVersion::H1), ("h2", HttpVersion::H2), ("h2c", HttpVersion::H2c)];
    while let Some(next) = r.one_of(&words) {
        if let Some(first) = protocols.iter().find(|p| p.value == next.value) {
            let word = words.iter().find(|(_, version)| *version == next.value).map_or("", |(word, _)| word);
            return r.fail(twice(word, next.span, first.span, r.row));
        }
        protocols.push(next);
        if r.failed || r.cursor.op(",").is_none() {
            return;
        }
    }
}

/// `client-certificates required|optional { ca P }`.
fn client_certificates(r: &mut Reader) -> ClientCertificates {
    let required = r.one_of(&[("required", true), ("optional", false)]).is_none_or(|required| required.value);
    let span = r.span();
    let mut ca = None;
    if let Some(block) = r.block() {
        r.failed |= settings(block, Context::CLIENT_CERTIFICATES, r.d, |r| ca = Some(r.file()));
        if ca.is_none() {
            let help = "name who signs for clients: `ca \"clients-ca.pem\"`";
            r.fail(
                Diagnostic::new(Code::E0204, span, "`client-certificates` needs a `ca`")
                    .label("nobody signs for these clients")
                    .help(help),
            );
        }
    }
    ClientCertificates { required, ca, span }
}

fn version(r: &mut Reader) -> Option<Spanned<TlsVersion>> {
    let version = match r.cursor.peek() {
        Some(Item { kind: ItemKind::Number(text), span, .. }) => {
            let version = match text.as_str() {
                "1.2" => Some(TlsVersion::V1_2),
                "1.3" => Some(TlsVersion::V1_3),
                _ => None,
            };
            version.map(|value| Spanned { value, span: *span })
        }
        _ => None,
    };
    match version {
        Some(_) => drop(r.cursor.next()),
        None => r.expected_with("`1.2` or `1.3`", Some("older versions are broken, and not spoken".to_owned())),
    }
    version
}

/// `trust proxies CIDR, … using FIELD`.
pub(super) fn trust(r: &mut Reader) -> Option<Trust> {
    r.expect_word("proxies");
    let proxies = if r.failed { Vec::new() } else { r.exprs("a network, such as `10.0.0.0/8`") };
    r.expect_word("using");
    let fields = [
        ("x-forwarded-for", ForwardField::XForwardedFor),
        ("forwarded", ForwardField::Forwarded),
        ("proxy-protocol", ForwardField::ProxyProtocol),
    ];
    let using = if r.failed { None } else { r.one_of(&fields) };
    r.end();
    let using = using.unwrap_or(Spanned { value: ForwardField::XForwardedFor, span: r.cursor.span() });
    Some(Trust { proxies, using, span: r.span() })
}
