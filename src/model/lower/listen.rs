//! `listen` and `trust proxies`.

use super::reader::{Reader, error, settings, twice, unsupported};
use super::timeouts;
use crate::diagnostic::{Code, Diagnostic, nearest};
use crate::model::ast::{Expr, ForwardField, HttpVersion, Listener, Spanned, Trust};
use crate::model::statements::{self, Context};
use crate::syntax::tree::{Item, ItemKind};

/// `listen [NAME] http ADDRESS {…}`.
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
    let supported = scheme(r);
    let mut listener = Listener {
        name,
        address: address(r),
        redirect_https: None,
        max_connections: None,
        header_max: None,
        protocols: Vec::new(),
        timeout_header: None,
        timeout_idle: None,
        docs: r.docs(),
        span: r.span(),
    };
    if let Some(block) = r.cursor.braces()
        && supported
    {
        settings(block, Context::LISTEN, r.d, |r| setting(r, &mut listener));
    }
    r.end();
    Some(listener)
}

/// False for one that is not supported yet: what its block says belongs to it.
fn scheme(r: &mut Reader) -> bool {
    match r.cursor.peek() {
        Some(Item { kind: ItemKind::Name(word), span, .. }) => match statements::find(word, Context::SCHEME) {
            Some(row) => {
                r.cursor.next();
                if !row.supported {
                    r.unsupported(*span, &format!("`{word}`"));
                    return false;
                }
            }
            None => {
                r.no_such_word(&["http", "https"]);
                r.cursor.next();
            }
        },
        Some(item) => {
            let text = super::reader::plain(item).unwrap_or_else(|| "ADDRESS".to_owned());
            let port = text.bytes().all(|b| b.is_ascii_digit());
            let text = if port { format!(":{text}") } else { text };
            r.expected_with("`http` before the address", Some(format!("write `listen http {text}`")));
        }
        None => r.expected("`http` and an address"),
    }
    true
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
        "header" => {
            r.expect_word("max");
            listener.header_max = Some(r.expr("a size, such as `32KiB`"));
        }
        "protocols" => protocols(r, &mut listener.protocols),
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

/// `trust proxies CIDR, … using FIELD`.
pub(super) fn trust(r: &mut Reader) -> Option<Trust> {
    r.expect_word("proxies");
    let proxies = if r.failed { Vec::new() } else { r.exprs("a network, such as `10.0.0.0/8`") };
    r.expect_word("using");
    let using = match r.cursor.peek() {
        Some(Item { kind: ItemKind::Name(word), span, .. }) if word == "proxy-protocol" => {
            r.d.push(unsupported(*span, "`proxy-protocol`"));
            r.failed = true;
            None
        }
        _ if r.failed => None,
        _ => r.one_of(&[("x-forwarded-for", ForwardField::XForwardedFor), ("forwarded", ForwardField::Forwarded)]),
    };
    r.end();
    let using = using.unwrap_or(Spanned { value: ForwardField::XForwardedFor, span: r.cursor.span() });
    Some(Trust { proxies, using, span: r.span() })
}
