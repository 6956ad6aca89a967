//! Host patterns.

use super::reader::{Reader, plain};
use crate::diagnostic::{Code, Diagnostic};
use crate::model::ast::{HostHead, HostPattern};
use crate::source::Span;
use crate::syntax::tree::{Item, ItemKind, StrPart};
use smol_str::SmolStr;

/// `HOST, …`.
pub(super) fn hosts(r: &mut Reader) -> Vec<HostPattern> {
    let mut hosts = Vec::new();
    loop {
        hosts.extend(host(r));
        if r.failed || r.cursor.op(",").is_none() {
            return hosts;
        }
    }
}

fn host(r: &mut Reader) -> Option<HostPattern> {
    let span = r.cursor.span();
    let text: SmolStr = match r.cursor.peek().map(|i| &i.kind) {
        Some(ItemKind::Name(text) | ItemKind::Number(text) | ItemKind::Host(text) | ItemKind::Socket6(text)) => {
            text.clone()
        }
        Some(ItemKind::Raw(text)) => text.clone(),
        Some(ItemKind::Str(parts)) => match parts.as_slice() {
            [StrPart::Text(text, _)] => text.clone(),
            _ => plain_host(parts),
        },
        Some(ItemKind::List(items)) => match items.as_slice() {
            [Item { kind: ItemKind::Ip6(ip), .. }] => SmolStr::new(format!("[{ip}]")),
            _ => {
                r.expected_with(
                    "a host",
                    Some("hosts stand without brackets, at commas: `host a.example.com, b.example.com`".to_owned()),
                );
                return None;
            }
        },
        Some(ItemKind::Ip6(ip)) => {
            let help = format!("write `[{ip}]`");
            r.fail(
                Diagnostic::new(Code::E0510, span, "an IPv6 address stands in brackets")
                    .label("without brackets")
                    .help(help),
            );
            return None;
        }
        Some(ItemKind::Url(_)) => {
            r.fail(
                Diagnostic::new(Code::E0510, span, "a host is a name, not a URL")
                    .label("expected a host name")
                    .help("write the name alone: `host api.example.com`"),
            );
            return None;
        }
        Some(ItemKind::Op(op)) if op.starts_with(':') => {
            r.fail(port(span, ""));
            return None;
        }
        Some(ItemKind::Op(op)) if op == "*" => {
            r.fail(
                Diagnostic::new(Code::E0510, span, "`*` alone is no host")
                    .label("every host")
                    .help("an api without `host` stands in every host; below a domain it is `*.example.com`"),
            );
            return None;
        }
        Some(ItemKind::Braces(_)) => {
            r.fail(
                Diagnostic::new(Code::E0510, span, "a parameter is one label of a host")
                    .label("a domain is missing")
                    .help("write `{tenant}.example.com`"),
            );
            return None;
        }
        _ => {
            r.expected("a host, such as `api.example.com`");
            return None;
        }
    };
    r.cursor.next();
    read(r, &text, span)
}

/// The text of `"{tenant}.example.com"`.
fn plain_host(parts: &[StrPart]) -> SmolStr {
    let mut text = String::new();
    for part in parts {
        match part {
            StrPart::Text(t, _) => text.push_str(t),
            StrPart::Hole(items, _) => {
                text.push('{');
                items.iter().filter_map(plain).for_each(|t| text.push_str(&t));
                text.push('}');
            }
        }
    }
    text.into()
}

fn read(r: &mut Reader, text: &str, span: Span) -> Option<HostPattern> {
    if text.starts_with('[') {
        let end = text.find(']').map_or(text.len(), |i| i + 1);
        let (address, rest) = text.split_at(end);
        if rest.starts_with(':') {
            r.fail(port(span, address));
            return None;
        }
        return match address[1..end.max(2) - 1].parse::<std::net::Ipv6Addr>() {
            Ok(ip) => Some(HostPattern { head: HostHead::Exact, suffix: format!("[{ip}]").into(), span }),
            Err(_) => {
                r.fail(
                    Diagnostic::new(Code::E0510, span, format!("`{text}` is no IPv6 address")).label("not an address"),
                );
                None
            }
        };
    }
    if !text.is_ascii() {
        r.fail(
            Diagnostic::new(Code::E0512, span, "a host is written in ASCII")
                .label("not ASCII")
                .help("clients send the encoded form of an international name: write `xn--…` (punycode)"),
        );
        return None;
    }
    if let Some((name, number)) = text.rsplit_once(':')
        && number.bytes().all(|b| b.is_ascii_digit())
    {
        r.fail(port(span, name));
        return None;
    }
    let (head, suffix) = if let Some(rest) = text.strip_prefix("*.") {
        (HostHead::Wildcard, rest)
    } else if let Some((name, rest)) = text.strip_prefix('{').and_then(|t| t.split_once('}')) {
        r.check_declared(name, span, "a parameter");
        match rest.strip_prefix('.') {
            Some(rest) => (HostHead::Param(name.into()), rest),
            None => {
                r.fail(
                    Diagnostic::new(Code::E0510, span, "a parameter is a whole label of a host")
                        .label("text beside the parameter")
                        .help(format!("write `{{{name}}}.example.com`")),
                );
                return None;
            }
        }
    } else {
        (HostHead::Exact, text)
    };
    let bad = suffix.split('.').find(|label| {
        let inside = label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
        label.is_empty() || label.len() > 63 || !inside || label.starts_with('-') || label.ends_with('-')
    });
    if let Some(label) = bad {
        let message = match label {
            "" => format!("`{text}` has an empty label"),
            label => format!("`{label}` is no label of a host"),
        };
        let help = match label.contains(['*', '{']) {
            true => "`*` and `{name}` stand first, alone before a dot: `*.example.com`, `{tenant}.example.com`",
            false => "labels are letters, digits and hyphens, at most 63: `api.example.com`",
        };
        r.fail(Diagnostic::new(Code::E0510, span, message).label("not a host").help(help));
        return None;
    }
    Some(HostPattern { head, suffix: suffix.to_ascii_lowercase().into(), span })
}

fn port(span: Span, name: &str) -> Box<Diagnostic> {
    let help = match name {
        "" => "which port an api stands on is said by `listen NAME`".to_owned(),
        name => format!("write `{name}`; which port an api stands on is said by `listen NAME`"),
    };
    Diagnostic::new(Code::E0511, span, "the port does not take part in matching a host").label("with a port").help(help)
}
