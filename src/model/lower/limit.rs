//! `limit`.

use super::reader::{Reader, twice};
use crate::model::ast::{Limit, LimitKind};
use crate::source::Span;

/// `limit [report-only] RATE [burst N | fixed | concurrent] [by KEY] [else skip] [name N]`, options in any order.
pub(super) fn limit(r: &mut Reader) -> (Limit, Option<Span>) {
    let report_only = r.word("report-only");
    let amount = r.expr("a rate such as `100/min`, or a number before `concurrent`");
    let mut limit = Limit { amount, kind: LimitKind::Sliding, by: None, else_skip: false, name: None };
    let mut seen: Vec<(&'static str, Span)> = Vec::new();
    const OPTIONS: [(&str, &str); 9] = [
        ("burst", "kind"),
        ("fixed", "kind"),
        ("concurrent", "kind"),
        ("by", "by"),
        ("else", "else"),
        ("name", "name"),
        ("exact", "exact"),
        ("leased", "exact"),
        ("on", "on"),
    ];
    while !r.failed {
        let Some((word, group)) = OPTIONS.iter().find(|(w, _)| r.cursor.at_word(w)).copied() else { break };
        let span = r.cursor.span();
        r.cursor.next();
        match seen.iter().find(|(g, _)| *g == group) {
            Some((_, first)) => r.fail(twice(word, span, *first, r.row)),
            None => seen.push((group, span)),
        }
        match word {
            "burst" => limit.kind = LimitKind::Bucket(r.expr("a number")),
            "fixed" => limit.kind = LimitKind::Fixed,
            "concurrent" => limit.kind = LimitKind::Concurrent,
            "by" => limit.by = Some(r.key()),
            "else" => {
                r.expect_word("skip");
                limit.else_skip = true;
            }
            "name" => limit.name = r.declared("a limit"),
            // What is asked for each request is what memory does.
            "exact" => {}
            "leased" => r.unsupported(span, "`leased`"),
            _ => r.unsupported(span, "`on failure`, which belongs to shared state,"),
        }
    }
    (limit, report_only)
}
