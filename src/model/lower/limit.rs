//! `limit`.

use super::reader::{Reader, twice};
use crate::diagnostic::{Code, Diagnostic};
use crate::model::ast::{Limit, LimitKind};
use crate::source::Span;
use crate::syntax::tree::{Item, ItemKind};

/// `limit [report-only] RATE [burst N | fixed | concurrent] [by KEY] [else skip] [name N]`, options in any order.
pub(super) fn limit(r: &mut Reader) -> (Limit, Option<Span>) {
    let report_only = r.word("report-only");
    if r.cursor.at_word("by") {
        r.expected_with("a rate", Some("the rate comes first: `limit 100/min by …`".to_owned()));
    }
    let amount = r.expr("a rate such as `100/min`, or a number before `concurrent`");
    let mut limit = Limit { amount, kind: LimitKind::Sliding, by: None, else_skip: false, name: None };
    let mut seen: Vec<(&'static str, &'static str, Span)> = Vec::new();
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
        if let Some((_, other, first)) = seen.iter().find(|(g, ..)| *g == group).copied() {
            r.fail(match other == word {
                true => twice(word, span, first, r.row),
                false => Diagnostic::new(Code::E0206, span, format!("`{other}` and `{word}` exclude each other"))
                    .label("cannot be said, too")
                    .also(first, "said here")
                    .help("keep the one that is meant"),
            });
            break;
        }
        seen.push((group, word, span));
        match word {
            "burst" => limit.kind = LimitKind::Bucket(r.expr("a number")),
            "fixed" => limit.kind = LimitKind::Fixed,
            "concurrent" => limit.kind = LimitKind::Concurrent,
            "by" => limit.by = Some(r.key()),
            "else" => {
                if let Some(Item { kind: ItemKind::Number(status), .. }) = r.cursor.peek() {
                    let help =
                        format!("a limit answers with 429; another answer is `on error limited respond {status}`");
                    r.expected_with("`skip`", Some(help));
                }
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
