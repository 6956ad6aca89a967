//! Which servers an upstream has and which of them may be used: `discover`, `health`, `eject`, `sticky`.

use super::reader::{Reader, settings};
use super::timeouts;
use crate::model::ast::{Discover, Eject, Health, Name, Sticky};
use crate::model::statements::Context;
use crate::syntax::tree::{Item, ItemKind, StrPart};
use http::Method;

/// `dns NAME:PORT [https]`, `srv NAME [https]`.
pub(super) fn discover(r: &mut Reader) -> Option<Discover> {
    let srv = r.one_of(&[("dns", false), ("srv", true)])?.value;
    let example = if srv { "_http._tcp.orders.internal" } else { "orders.internal:8080" };
    let name = match r.cursor.peek() {
        Some(Item { kind: ItemKind::Str(parts), span, .. }) => match parts.as_slice() {
            [StrPart::Text(text, _)] => Some(Name { text: text.clone(), span: *span }),
            _ => None,
        },
        Some(Item { kind: ItemKind::Name(text) | ItemKind::Host(text), span, .. }) => {
            Some(Name { text: text.clone(), span: *span })
        }
        Some(Item { kind: ItemKind::Url(_), .. }) => {
            r.expected_with(
                &format!("a name such as `{example}`"),
                Some("a URL is a `server`: each address of its name is used".to_owned()),
            );
            None
        }
        _ => None,
    };
    let Some(name) = name else {
        r.expected(&format!("a name such as `{example}`"));
        return None;
    };
    r.cursor.next();
    Some(Discover { srv, name, https: r.word("https").is_some() })
}

/// `health {…}`.
pub(super) fn health(r: &mut Reader) -> Option<Health> {
    let block = r.block()?;
    let mut h = Health {
        probe: None,
        every: None,
        timeout: None,
        healthy: None,
        unhealthy: None,
        expect: Vec::new(),
        host: None,
        port: None,
        damaged: false,
        span: r.keyword,
    };
    h.damaged = settings(block, Context::HEALTH, r.d, |r| match r.row.word {
        "every" => h.every = Some(r.expr("a duration, such as `5s`")),
        "timeout" => h.timeout = Some(r.expr("a duration, such as `1s`")),
        "healthy" => h.healthy = after(r),
        "unhealthy" => h.unhealthy = after(r),
        "expect" => {
            r.expect_word("status");
            loop {
                h.expect.extend(timeouts::status(r));
                if r.failed || r.cursor.op(",").is_none() {
                    break;
                }
            }
        }
        "host" => h.host = Some(r.expr("a host in quotes")),
        "port" => h.port = Some(r.expr("a port")),
        method => {
            let method = if method == "HEAD" { Method::HEAD } else { Method::GET };
            let path = r.expr("a path, such as `/healthz`");
            if let Some((_, first)) = &h.probe {
                let first = first.span;
                r.fail(super::reader::twice(r.row.word, r.keyword, first, r.row));
            }
            h.probe = Some((method, path));
        }
    });
    r.failed |= h.damaged;
    Some(h)
}

fn after(r: &mut Reader) -> Option<crate::model::ast::Expr> {
    r.expect_word("after");
    Some(r.expr("a number of answers in a row"))
}

/// `eject after N failures for D`, `eject over P% for D`.
pub(super) fn eject(r: &mut Reader) -> Option<Eject> {
    let share = r.one_of(&[("after", false), ("over", true)])?.value;
    let amount = r.expr(if share { "a percentage, such as `50%`" } else { "a number, such as `5`" });
    if !share && r.word("failure").is_none() {
        r.expect_word("failures");
    }
    r.expect_word("for");
    let period = r.expr("a duration, such as `30s`");
    let (after, over) = if share { (None, Some(amount)) } else { (Some(amount), None) };
    Some(Eject { after, over, period, span: r.span() })
}

/// `sticky cookie NAME [for D]`.
pub(super) fn sticky(r: &mut Reader) -> Option<Sticky> {
    r.expect_word("cookie")?;
    let cookie = match r.cursor.peek() {
        Some(Item { kind: ItemKind::Str(parts), span, .. }) => match parts.as_slice() {
            [StrPart::Text(text, _)] => Some(Name { text: text.clone(), span: *span }),
            _ => None,
        },
        Some(Item { kind: ItemKind::Name(text), span, .. }) => Some(Name { text: text.clone(), span: *span }),
        _ => None,
    };
    let Some(cookie) = cookie else {
        r.expected("the name of a cookie");
        return None;
    };
    r.cursor.next();
    let period = r.word("for").map(|_| r.expr("a duration, such as `1h`"));
    Some(Sticky { cookie, period, span: r.span() })
}
