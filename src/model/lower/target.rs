//! What stands behind `->`.

use super::reader::{Reader, error, listed};
use super::respond::respond;
use crate::diagnostic::{Code, Diagnostic};
use crate::model::ast::{Expr, ExprKind, Forward, Name, Spanned, Target, TargetKind, TextPart, UpstreamRef, Weighted};
use crate::model::statements::{self, Context};
use crate::model::value::Value;
use crate::syntax::tree::{Item, ItemKind};
use smol_str::SmolStr;

/// A target; `None` where it is one whose block is not the route's (`compose`), which is not supported yet.
pub(super) fn target(r: &mut Reader) -> Target {
    let start = r.cursor.span();
    let kind = kind(r);
    let span = start.to(r.span());
    if !matches!(kind, TargetKind::Forward(_)) || r.failed {
        return Target { kind, span };
    }
    if r.word("when").is_none() {
        return Target { kind, span };
    }
    let condition = r.expr("a condition");
    let otherwise = if r.word("else").is_some() {
        target(r)
    } else {
        let end = r.cursor.span();
        r.fail(
            Diagnostic::new(Code::E0518, end, "a target with `when` needs an `else`")
                .label("expected `else` and another target")
                .help("say where the others go: `-> a when … else b`; a route for some requests has its `when` before `->`"),
        );
        Target { kind: TargetKind::Error, span: end }
    };
    let whole = start.to(r.span());
    let then = Target { kind, span };
    Target { kind: TargetKind::Choice { condition, then: Box::new(then), otherwise: Box::new(otherwise) }, span: whole }
}

fn kind(r: &mut Reader) -> TargetKind {
    let start = r.cursor.span();
    if let Some(Item { kind: ItemKind::Name(word), .. }) = r.cursor.peek()
        && let Some(row) = statements::find(word, Context::TARGET)
    {
        r.cursor.next();
        return match row.word {
            "respond" => TargetKind::Respond(respond(r, start)),
            "redirect" => redirect(r),
            word => {
                r.unsupported(start, &format!("`{word}`"));
                TargetKind::Error
            }
        };
    }
    let mut to: Vec<Weighted> = Vec::new();
    loop {
        let Some(one) = weighted(r) else { return TargetKind::Error };
        to.push(one);
        if r.cursor.op(",").is_none() {
            break;
        }
    }
    if to.len() > 1
        && let Some(bare) = to.iter().find(|w| w.percent.is_none())
    {
        let (name, span) = match &bare.upstream {
            UpstreamRef::Name(name) => (name.text.clone(), name.span),
            UpstreamRef::Url(url) => (SmolStr::new("http://…"), url.span),
        };
        r.fail(
            Diagnostic::new(Code::E0515, span, "each of several upstreams needs its share")
                .label("without a share")
                .help(format!("write `90% a, 10% b`; here `{}% {name}`", 100 / to.len())),
        );
    }
    // A share that is missing is reported; their sum is not.
    let several = to.len() > 1;
    for bare in to.iter_mut().filter(|w| several && w.percent.is_none()) {
        bare.percent = Some(error(start));
    }
    let mut forward = Forward { to, at: None, by: None };
    loop {
        if forward.at.is_none() && r.word("at").is_some() {
            forward.at = at(r);
        } else if forward.by.is_none() && r.word("by").is_some() {
            forward.by = Some(r.key());
        } else {
            break;
        }
        if r.failed {
            break;
        }
    }
    TargetKind::Forward(forward)
}

fn redirect(r: &mut Reader) -> TargetKind {
    if let Some(Item { kind: ItemKind::Str(_) | ItemKind::Url(_) | ItemKind::Path(_), .. }) = r.cursor.peek() {
        r.expected_with("a status", Some("the status comes first: `redirect 308 \"https://…\"`".to_owned()));
    }
    let status = r.expr("a status, such as `308`");
    let location = match r.cursor.peek() {
        Some(Item { kind: ItemKind::Braces(_), .. }) | None => {
            r.expected_with("where to", Some("write `redirect 308 \"https://shop.example/\"`".to_owned()));
            error(r.cursor.span())
        }
        _ => r.expr("where to"),
    };
    TargetKind::Redirect { status, location }
}

fn weighted(r: &mut Reader) -> Option<Weighted> {
    let percent = match (r.cursor.peek().map(|i| &i.kind), r.cursor.peek_at(1).map(|i| &i.kind)) {
        (Some(ItemKind::Number(n)), _) if n.ends_with('%') => Some(r.expr("a percentage")),
        (Some(ItemKind::Number(n)), Some(ItemKind::Name(_) | ItemKind::Url(_)))
            if n.bytes().all(|b| b.is_ascii_digit()) =>
        {
            let help = format!("write `{n}%`");
            r.expected_with("a percentage", Some(help));
            return None;
        }
        (Some(ItemKind::Name(_)), Some(ItemKind::Url(_))) => Some(r.expr("a percentage")),
        (Some(ItemKind::Name(_)), Some(ItemKind::Name(second)))
            if !matches!(second.as_str(), "at" | "by" | "when" | "else") && share_follows(r) =>
        {
            Some(r.expr("a percentage"))
        }
        _ => None,
    };
    let word = match r.cursor.peek().map(|i| &i.kind) {
        Some(ItemKind::Name(word)) => word.as_str(),
        _ => "",
    };
    let help = match (word, r.cursor.peek_at(1)) {
        ("at", Some(Item { kind: ItemKind::Path(_), .. })) => "`at` follows an upstream: `-> NAME at /path`",
        ("file", Some(Item { kind: ItemKind::Str(_), .. })) => "a file is answered by `-> respond 200 file \"…\"`",
        _ => "",
    };
    if !help.is_empty() {
        r.expected_with("an upstream", Some(help.to_owned()));
        return None;
    }
    let upstream = match r.cursor.peek() {
        Some(Item { kind: ItemKind::Name(name), span, .. }) if name.contains(':') || (name.contains('.')) => {
            r.expected_with("an upstream", Some(format!("a URL has a scheme: `http://{name}`")));
            let span = *span;
            r.cursor.next();
            UpstreamRef::Name(Name { text: SmolStr::default(), span })
        }
        Some(Item { kind: ItemKind::Name(name), span, .. }) => {
            r.cursor.next();
            UpstreamRef::Name(Name { text: name.clone(), span: *span })
        }
        Some(Item { kind: ItemKind::Url(_), .. }) => UpstreamRef::Url(r.expr("a URL")),
        Some(Item { kind: ItemKind::Str(_), .. }) => {
            r.expected_with(
                "an upstream",
                Some("names and URLs of upstreams stand without quotes: `-> http://localhost:3000`".to_owned()),
            );
            return None;
        }
        Some(Item { kind: ItemKind::Number(n), .. }) if n.len() == 3 && n.bytes().all(|b| b.is_ascii_digit()) => {
            r.expected_with("an upstream", Some(format!("a fixed answer is `-> respond {n}`")));
            return None;
        }
        Some(Item { kind: ItemKind::Path(_), .. }) => {
            r.expected_with("an upstream", Some("another path stands behind the upstream: `-> NAME at /path`; a redirect is `-> redirect 308 \"/path\"`".to_owned()));
            return None;
        }
        _ => {
            let words: Vec<&str> = statements::rows()
                .filter(|row| row.supported && row.contexts.contains(Context::TARGET))
                .map(|row| row.word)
                .collect();
            r.expected_with("a target", Some(format!("a target is an upstream, a URL, {}", listed(&words))));
            return None;
        }
    };
    Some(Weighted { percent, upstream })
}

/// `share orders, other orders-canary`: two names and a comma, or several of them.
fn share_follows(r: &Reader) -> bool {
    let mut ahead = r.cursor;
    ahead.next();
    ahead.next();
    ahead.at_op(",") || r.cursor.previous().is_some_and(|i| matches!(&i.kind, ItemKind::Op(o) if o == ","))
}

fn at(r: &mut Reader) -> Option<Spanned<Vec<TextPart>>> {
    let span = r.cursor.span();
    match r.cursor.peek().map(|i| &i.kind) {
        Some(ItemKind::Path(_) | ItemKind::Str(_)) => {}
        Some(ItemKind::Name(first)) => {
            r.expected_with("a path", Some(format!("a path begins with `/`: `at /{first}`")));
            return None;
        }
        _ => {
            r.expected("a path, such as `/internal/{id}`");
            return None;
        }
    }
    let value = match r.expr("a path") {
        Expr { kind: ExprKind::Text(parts), .. } => parts,
        Expr { kind: ExprKind::Literal(Value::Str(text)), .. } => vec![TextPart::Text(SmolStr::new(&text))],
        _ => Vec::new(),
    };
    Some(Spanned { value, span })
}
