//! `timeout` and `retry`, which stand in routes and in upstreams.

use super::reader::{Reader, twice};
use crate::diagnostic::{Code, Diagnostic};
use crate::model::ast::{Expr, Retry, RetryOn, Spanned, StatusMatch, Timeouts};
use crate::syntax::tree::{Item, ItemKind};

/// `NAME DURATION, …`: each part once, in any order.
pub(super) fn parts(r: &mut Reader, parts: &mut [(&str, &mut Option<Expr>)]) {
    let words: Vec<&str> = parts.iter().map(|(w, _)| *w).collect();
    loop {
        if let Some(Item { kind: ItemKind::Number(time), .. }) = r.cursor.peek() {
            let help = format!("say which time: `{} {} {time}`", r.row.word, words.first().unwrap_or(&""));
            return r.expected_with(&format!("one of {}", super::reader::listed(&words)), Some(help));
        }
        let choices: Vec<(&str, usize)> = words.iter().enumerate().map(|(i, w)| (*w, i)).collect();
        let Some(which) = r.one_of(&choices) else { return };
        let value = r.expr("a duration, such as `2s`");
        if let Some((word, slot)) = parts.get_mut(which.value)
            && let Some(first) = slot.replace(value)
        {
            return r.fail(twice(word, which.span, first.span, r.row));
        }
        if r.failed || r.cursor.op(",").is_none() {
            return;
        }
    }
}

/// The parts that the row of a `timeout` names.
pub(super) fn timeouts(r: &mut Reader) -> Timeouts {
    let mut t = Timeouts::default();
    let upstream = r.row.arguments.starts_with("connect");
    match upstream {
        true => parts(r, &mut [("connect", &mut t.connect), ("response", &mut t.response), ("idle", &mut t.idle)]),
        false => parts(r, &mut [("total", &mut t.total), ("response", &mut t.response), ("idle", &mut t.idle)]),
    }
    t
}

/// `retry N on …, budget P% backoff D..D`, `retry none`.
pub(super) fn retry(r: &mut Reader) -> Retry {
    let mut retry = Retry { count: None, on: Vec::new(), budget: None, backoff: None, none: false, span: r.keyword };
    if r.word("none").is_some() {
        retry.none = true;
        retry.span = r.span();
        return retry;
    }
    if !["on", "budget", "backoff"].iter().any(|w| r.cursor.at_word(w)) {
        retry.count = Some(r.expr("how often, such as `2`"));
    }
    while !r.failed {
        if let Some(at) = r.word("on") {
            if !retry.on.is_empty() {
                r.fail(twice("on", at, retry.on[0].span, r.row));
            }
            on(r, &mut retry.on);
        } else if let Some(at) = r.word("budget") {
            let share = r.expr("a percentage, such as `20%`");
            if let Some(first) = retry.budget.replace(share) {
                r.fail(twice("budget", at, first.span, r.row));
            }
        } else if let Some(at) = r.word("backoff") {
            let from = r.expr("a duration, such as `25ms`");
            if r.cursor.op("..").is_none() {
                r.expected_with(
                    "`..` and the longest pause",
                    Some("a backoff has two ends: `backoff 25ms..1s`".to_owned()),
                );
            }
            let to = r.expr("a duration, such as `1s`");
            if let Some((first, _)) = retry.backoff.replace((from, to)) {
                r.fail(twice("backoff", at, first.span, r.row));
            }
        } else {
            break;
        }
    }
    retry.span = r.span();
    retry
}

fn on(r: &mut Reader, on: &mut Vec<Spanned<RetryOn>>) {
    loop {
        let next = match r.cursor.peek() {
            Some(Item { kind: ItemKind::Number(_), .. }) => status(r).map(|s| Spanned {
                value: match s.value {
                    StatusMatch::Status(s) => RetryOn::Status(s),
                    StatusMatch::Class(c) => RetryOn::Class(c),
                },
                span: s.span,
            }),
            Some(Item { kind: ItemKind::Name(_), .. }) => {
                r.one_of(&[("connect", RetryOn::Connect), ("reset", RetryOn::Reset), ("timeout", RetryOn::Timeout)])
            }
            _ => {
                r.expected("what is retried on: `connect`, `reset`, `timeout` or a status");
                None
            }
        };
        let Some(next) = next else { return };
        on.push(next);
        if r.cursor.op(",").is_none() {
            return;
        }
    }
}

/// A status or a class: `404`, `5xx`.
pub(super) fn status(r: &mut Reader) -> Option<Spanned<StatusMatch>> {
    let (text, span) = match r.cursor.peek() {
        Some(Item { kind: ItemKind::Number(text), span, .. }) => (text.as_str(), *span),
        _ => {
            r.expected("a status such as `404`, or a class such as `5xx`");
            return None;
        }
    };
    r.cursor.next();
    let class = text.strip_suffix("xx").and_then(|c| c.parse::<u8>().ok()).filter(|c| (1..=5).contains(c));
    let one = || text.parse::<u16>().ok().filter(|s| (100..=599).contains(s));
    match class.map(StatusMatch::Class).or_else(|| one().map(StatusMatch::Status)) {
        Some(value) => Some(Spanned { value, span }),
        None => {
            r.fail(
                Diagnostic::new(Code::E0208, span, format!("`{text}` is no status"))
                    .label("not a status")
                    .help("a status is 100 to 599, a class is `1xx` to `5xx`"),
            );
            None
        }
    }
}
