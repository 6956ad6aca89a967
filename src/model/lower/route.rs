//! `route`.

use super::reader::{Reader, listed};
use super::{pattern, statement, target};
use crate::diagnostic::{Code, Diagnostic, nearest};
use crate::model::ast::{Route, Spanned, Target, TargetKind};
use crate::model::statements::Context;
use crate::syntax::tree::{Item, ItemKind};
use http::Method;

const METHODS: [&str; 9] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "CONNECT", "TRACE"];

/// `route [NAME] METHODS PATTERN [when E] -> TARGET [{…}]`.
pub(super) fn route(r: &mut Reader) -> Option<Route> {
    let name = name(r);
    let methods_start = r.cursor.span();
    let methods = methods(r);
    let methods_span = methods_start.to(r.span());
    let pattern = pattern::pattern(r);
    let when = r.when();
    let arrow = r.cursor.op("->").is_some();
    if !arrow {
        no_arrow(r);
    }
    // In a damaged head what follows may be anything.
    let target = match arrow {
        true => target::target(r),
        false => Target { kind: TargetKind::Error, span: r.cursor.span() },
    };
    let span = r.span();
    // The braces of a target that is not supported are not the route's.
    let block = if arrow && !matches!(target.kind, TargetKind::Error) { r.cursor.braces() } else { None };
    let statements = block.map(|b| statement::block(b, Context::ROUTE, r.d)).unwrap_or_default();
    r.end();
    let damaged = r.failed;
    // Nothing more is said about what could not be read to its end.
    let kind = if damaged { TargetKind::Error } else { target.kind };
    let target = Target { kind, ..target };
    Some(Route { name, methods, methods_span, pattern, when, target, statements, docs: r.docs(), span, damaged })
}

/// A name, unless the next word is a method.
fn name(r: &mut Reader) -> Option<crate::model::ast::Name> {
    let Some(Item { kind: ItemKind::Name(word), span, .. }) = r.cursor.peek() else { return None };
    if is_method(word) {
        return None;
    }
    // `route get /x`: a method in lower case rather than a name without a method.
    if METHODS.contains(&word.to_ascii_uppercase().as_str()) || word == "any" {
        match r.cursor.peek_at(1).map(|i| &i.kind) {
            Some(ItemKind::Name(second)) if is_method(second) => {}
            _ => {
                r.fail(method_case(word, *span));
                return None;
            }
        }
    }
    // `route users/{id} -> a`: the pattern's mistake.
    match r.cursor.peek_at(1) {
        Some(Item { kind: ItemKind::Path(_), spaced: false, .. }) => None,
        _ => r.declared("a route"),
    }
}

fn is_method(word: &str) -> bool {
    !word.is_empty() && word.bytes().all(|b| b.is_ascii_uppercase() || b == b'-' || b == b'_')
}

fn method_case(word: &str, span: crate::source::Span) -> Box<Diagnostic> {
    Diagnostic::new(Code::E0516, span, "methods are written in upper case")
        .label("in lower case")
        .help(format!("write `{}`", word.to_ascii_uppercase()))
}

/// `GET, POST` or `ANY`, which is the empty list.
fn methods(r: &mut Reader) -> Vec<Spanned<Method>> {
    let mut list: Vec<Spanned<Method>> = Vec::new();
    if let Some(any) = r.word("ANY") {
        if r.cursor.at_op(",") {
            r.fail(
                Diagnostic::new(Code::E0516, any, "`ANY` stands alone")
                    .label("beside other methods")
                    .help("write `ANY`, or the methods without it"),
            );
            while r.cursor.op(",").is_some() {
                r.cursor.name();
            }
        }
        return list;
    }
    loop {
        if let Some(one) = method(r) {
            match list.iter().find(|m| m.value == one.value) {
                Some(first) => {
                    let first = first.span;
                    r.fail(
                        Diagnostic::new(Code::E0516, one.span, format!("`{}` stands twice", one.value))
                            .label("again here")
                            .also(first, "first here")
                            .help("keep one"),
                    );
                }
                None => list.push(one),
            }
        }
        if r.cursor.op(",").is_none() {
            break;
        }
    }
    // `GET POST /x`
    if let Some(Item { kind: ItemKind::Name(word), span, .. }) = r.cursor.peek()
        && is_method(word)
        && !list.is_empty()
    {
        r.fail(
            Diagnostic::new(Code::E0516, span.before(), "expected a comma between methods").label("expected `,`").help(
                match list.iter().any(|m| m.value == *word.as_str()) {
                    true => format!("`{word}` stands there already"),
                    false => format!("write `{}, {word}`", list[list.len() - 1].value),
                },
            ),
        );
        r.cursor.next();
    }
    list
}

/// One method.
pub(super) fn method(r: &mut Reader) -> Option<Spanned<Method>> {
    let (word, span) = match r.cursor.peek() {
        Some(Item { kind: ItemKind::Name(word), span, .. }) => (word.as_str(), *span),
        _ => {
            r.fail(
                Diagnostic::new(Code::E0516, r.cursor.span(), "expected a method")
                    .label("expected a method before this")
                    .help("write `GET`, several as `GET, POST`, or `ANY`"),
            );
            return None;
        }
    };
    if !is_method(word) {
        if METHODS.contains(&word.to_ascii_uppercase().as_str()) {
            r.cursor.next();
            r.fail(method_case(word, span));
        } else {
            r.fail(
                Diagnostic::new(Code::E0516, span, format!("expected a method, found `{word}`"))
                    .label("expected a method")
                    .help("write `GET`, several as `GET, POST`, or `ANY`"),
            );
        }
        return None;
    }
    r.cursor.next();
    if word == "ANY" {
        r.fail(
            Diagnostic::new(Code::E0516, span, "`ANY` stands alone")
                .label("beside other methods")
                .help("write `ANY`, or the methods without it"),
        );
        return None;
    }
    if !METHODS.contains(&word)
        && let Some(near) = nearest(word, METHODS)
    {
        r.fail(
            Diagnostic::new(Code::E0516, span, format!("`{word}` is no method that clients send"))
                .label("unknown")
                .help(format!("did you mean `{near}`?")),
        );
        return None;
    }
    match Method::from_bytes(word.as_bytes()) {
        Ok(value) => Some(Spanned { value, span }),
        Err(_) => {
            r.fail(
                Diagnostic::new(Code::E0516, span, format!("`{word}` is no method"))
                    .label("unknown")
                    .help(format!("known are {}", listed(&METHODS))),
            );
            None
        }
    }
}

fn no_arrow(r: &mut Reader) {
    let span = r.cursor.span();
    let help = match r.cursor.peek().map(|i| &i.kind) {
        Some(ItemKind::Name(name)) => format!("write `-> {name}`"),
        Some(ItemKind::Url(_)) => "write `-> http://…`".to_owned(),
        Some(ItemKind::Op(op)) if matches!(op.as_str(), "=" | ":" | "-" | ">") => {
            "the arrow is written `->`".to_owned()
        }
        _ => "say where the requests go: `-> NAME`, `-> http://localhost:3000`, `-> respond 404`".to_owned(),
    };
    r.fail(Diagnostic::new(Code::E0514, span, "expected `->` and a target").label("expected `->`").help(help));
}
