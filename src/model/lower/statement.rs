//! Policy statements.

use super::reader::{Reader, settings};
use super::respond::respond;
use super::{assign, cors, limit, timeouts};
use crate::diagnostic::{Code, Diagnostic, Diagnostics, nearest};
use crate::model::ast::{AuthUse, Expr, Name, Respond, Statement, StatementKind};
use crate::model::cursor::Cursor;
use crate::model::statements::{Context, FAILURES};
use crate::source::Span;
use crate::syntax::tree::{Block, Item, ItemKind};

/// The policy statements of a block.
pub(super) fn block(block: &Block, context: Context, d: &mut Diagnostics) -> Vec<Statement> {
    let mut list = Vec::new();
    settings(block, context, d, |r| list.extend(policy(r)));
    list
}

/// A policy statement, whatever could be read of it. The reader's end is the caller's to check.
pub(super) fn policy(r: &mut Reader) -> Option<Statement> {
    let docs = r.docs();
    let mut report_only = None;
    let kind = kind(r, &mut report_only);
    let at = r.cursor.span();
    let mut when = match kind {
        Some(StatementKind::When { .. }) => None,
        _ => r.when(),
    };
    if matches!(kind, Some(StatementKind::Auth(_))) && when.is_some() {
        r.fail(
            Diagnostic::new(Code::E0202, at, "`auth` may not stand under `when`")
                .label("a condition may not switch protection off")
                .help("put `when` before `->`, in a route of its own, and give that route its `auth`"),
        );
        when = None;
    }
    Some(Statement { kind: kind?, when, report_only, docs, span: r.span() })
}

fn kind(r: &mut Reader, report_only: &mut Option<Span>) -> Option<StatementKind> {
    Some(match r.row.word {
        "require" => {
            *report_only = r.word("report-only");
            require(r)
        }
        "auth" => StatementKind::Auth(auth(r)),
        "limit" => {
            let (limit, report) = limit::limit(r);
            *report_only = report;
            StatementKind::Limit(limit)
        }
        "cors" => {
            let cors = cors::cors(r);
            if cors.is_none() && r.failed {
                return None;
            }
            StatementKind::Cors(cors)
        }
        "body" => match r.word("none") {
            Some(_) => StatementKind::BodyMax(None),
            None => {
                if let Some(Item { kind: ItemKind::Number(size), .. }) = r.cursor.peek() {
                    r.expected_with("`max`", Some(format!("write `body max {size}`")));
                }
                r.expect_word("max");
                StatementKind::BodyMax(Some(r.expr("a size, such as `1MiB`")))
            }
        },
        "accepts" => match r.word("none") {
            Some(_) => StatementKind::Accepts(Vec::new()),
            None => {
                media_types(r);
                StatementKind::Accepts(r.exprs("a media type in quotes, such as `\"application/json\"`"))
            }
        },
        "request" => StatementKind::Request(assignments(r, Context::REQUEST)?),
        "response" => StatementKind::Response(assignments(r, Context::RESPONSE)?),
        "timeout" => match r.word("none") {
            Some(_) => StatementKind::Timeout(None),
            None => StatementKind::Timeout(Some(timeouts::timeouts(r))),
        },
        "retry" => StatementKind::Retry(timeouts::retry(r)),
        "mirror" => {
            let share = r.expr("a percentage, such as `5%`");
            r.expect_word("to");
            StatementKind::Mirror { share, to: r.reference("the name of an upstream")? }
        }
        "on" => on(r)?,
        "tag" => {
            let name = r.declared("a tag")?;
            if r.cursor.op("=").is_none() {
                r.expected("`=`");
                r.cursor.op(":");
            }
            StatementKind::Tag { name, value: r.expr("a value") }
        }
        "log" => log(r),
        "use" => {
            let policy = r.reference("the name of a policy")?;
            let arguments = match r.cursor.peek() {
                Some(Item { kind: ItemKind::Paren(items), span, .. }) => {
                    r.cursor.next();
                    arguments(r, items, *span)
                }
                _ => Vec::new(),
            };
            StatementKind::Use { policy, arguments }
        }
        "when" => {
            let condition = r.expr("a condition");
            let statements = match r.block() {
                Some(b) => block(b, Context::WHEN, r.d),
                None => Vec::new(),
            };
            StatementKind::When { condition, statements }
        }
        // Rows that are not supported have no reader, and the test of the examples knows every other.
        _ => return None,
    })
}

fn require(r: &mut Reader) -> StatementKind {
    let condition = r.expr("a condition");
    let (mut status, mut title) = (None, None);
    if r.word("else").is_some() {
        match r.cursor.peek() {
            Some(Item { kind: ItemKind::Str(_) | ItemKind::Raw(_), .. }) => {
                r.expected_with("a status", Some("the status comes first: `else 403 \"title\"`".to_owned()));
            }
            Some(Item { kind: ItemKind::Name(word), .. }) if word == "respond" => {
                r.expected_with(
                    "a status",
                    Some("`require … else 403 \"title\"`; the whole answer is replaced by `on error forbidden respond …`".to_owned()),
                );
            }
            _ => {}
        }
        status = Some(r.expr("a status, such as `403`"));
        if let Some(Item { kind: ItemKind::Str(_) | ItemKind::Raw(_), .. }) = r.cursor.peek() {
            title = Some(r.expr("a title in quotes"));
        }
    }
    StatementKind::Require { condition, status, title }
}

/// Where no name can be read, it is reported and none of no auths is demanded.
fn auth(r: &mut Reader) -> AuthUse {
    if r.cursor.at_word("none")
        && !matches!(r.cursor.peek_at(1), Some(Item { kind: ItemKind::Name(or), .. }) if or == "or")
    {
        r.cursor.next();
        return AuthUse::None;
    }
    let optional = r.word("optional").is_some();
    let mut names = Vec::new();
    while let Some(name) = r.reference("the name of an auth, or `none`") {
        names.push(name);
        if r.cursor.at_op(",") {
            r.expected_with(
                "`or`",
                Some("alternatives stand with `or` between them: `auth customer or partner`".to_owned()),
            );
            break;
        }
        if r.cursor.at_word("and") {
            r.expected_with("`or`", Some("one of several is demanded with `or`; `and` is not possible".to_owned()));
            break;
        }
        if r.word("or").is_none() {
            break;
        }
    }
    if let Some(none) = names.iter().find(|n| n.text == "none").map(|n| n.span) {
        r.fail(
            Diagnostic::new(Code::E0208, none, "`none` is no alternative")
                .label("stands alone")
                .help("callers without credentials are let in by `auth optional NAME`"),
        );
        names.retain(|n| n.text != "none");
    }
    if optional { AuthUse::Optional(names) } else { AuthUse::Required(names) }
}

/// `accepts application/json`: without quotes it is a name and a path.
fn media_types(r: &mut Reader) {
    if let (Some(Item { kind: ItemKind::Name(first), .. }), Some(Item { kind: ItemKind::Path(_), spaced: false, .. })) =
        (r.cursor.peek(), r.cursor.peek_at(1))
    {
        let rest = r.cursor.peek_at(1).and_then(super::reader::plain).unwrap_or_default();
        r.expected_with("a media type in quotes", Some(format!("write `accepts \"{first}{rest}\"`")));
    }
}

fn assignments(r: &mut Reader, context: Context) -> Option<Vec<crate::model::ast::Assignment>> {
    if let Some(Item { kind: ItemKind::Name(word), .. }) = r.cursor.peek()
        && matches!(word.as_str(), "set" | "add" | "remove")
    {
        let help = format!("assignments stand in a block: `{} {{ {word} … }}`", r.row.word);
        r.expected_with("`{`", Some(help));
        return None;
    }
    let block = r.block()?;
    Some(assign::block(r, block, context))
}

/// `on error KIND, … respond …`, `on upstream STATUS, … respond …`.
fn on(r: &mut Reader) -> Option<StatementKind> {
    if r.word("error").is_some() {
        let mut kinds = Vec::new();
        while !r.failed && !r.cursor.at_word("respond") {
            if let Some(kind) = failure(r) {
                kinds.push(kind);
            }
            if r.cursor.op(",").is_none() {
                break;
            }
        }
        return Some(StatementKind::OnError { kinds, respond: answer(r)? });
    }
    if r.word("upstream").is_some() {
        let mut statuses = Vec::new();
        loop {
            statuses.extend(timeouts::status(r));
            if r.failed || r.cursor.op(",").is_none() {
                break;
            }
        }
        return Some(StatementKind::OnUpstream { statuses, respond: answer(r)? });
    }
    r.no_such_word(&["error", "upstream"]);
    None
}

fn failure(r: &mut Reader) -> Option<Name> {
    if let Some(Item { kind: ItemKind::Number(status), .. }) = r.cursor.peek() {
        let help = match FAILURES.iter().find(|(_, s)| status == &s.to_string()) {
            Some((kind, _)) => format!(
                "the gateway's own failures have names: `{kind}`; an upstream's statuses are `on upstream {status}`"
            ),
            None => format!("an upstream's statuses are `on upstream {status}`"),
        };
        r.expected_with("a kind of failure", Some(help));
        return None;
    }
    let name = r.reference("a kind of failure, such as `upstream-timeout`")?;
    if !FAILURES.iter().any(|(kind, _)| *kind == name.text) {
        let help = match nearest(&name.text, FAILURES.iter().map(|(k, _)| *k)) {
            Some(near) => format!("did you mean `{near}`?"),
            None => {
                let kinds: Vec<&str> = FAILURES.iter().map(|(k, _)| *k).collect();
                format!("it is one of {}", super::reader::listed(&kinds))
            }
        };
        r.fail(
            Diagnostic::new(Code::E0208, name.span, format!("there is no failure of kind `{}`", name.text))
                .label("unknown")
                .help(help),
        );
        return None;
    }
    Some(name)
}

fn answer(r: &mut Reader) -> Option<Respond> {
    if r.cursor.at_op("->") {
        r.expected_with(
            "`respond`",
            Some("the answer follows without an arrow: `on error … respond 503 …`".to_owned()),
        );
        return None;
    }
    let start = r.expect_word("respond")?;
    Some(respond(r, start))
}

/// `log NAME = EXPR, …`, `log EXPR, …`, `log none`.
fn log(r: &mut Reader) -> StatementKind {
    if r.word("none").is_some() {
        return StatementKind::Log(None);
    }
    let mut fields: Vec<(Name, Expr)> = Vec::new();
    loop {
        let named = matches!(r.cursor.peek_at(1), Some(Item { kind: ItemKind::Op(op), .. }) if op == "=");
        let name = match r.cursor.peek() {
            Some(Item { kind: ItemKind::Name(_), .. }) if named => r.declared("a field"),
            Some(Item { kind: ItemKind::Name(text), span, .. }) => Some(Name { text: text.clone(), span: *span }),
            _ => {
                r.expected_with("the name of a field", Some("a field has a name: `log user = caller.id`".to_owned()));
                None
            }
        };
        let Some(name) = name else { break };
        if named {
            r.cursor.op("=");
        }
        let before = r.cursor;
        let value = r.expr("a value");
        // `log lower(host)` has no name that a reader of the log would look for.
        if !named && before.rest().len() > r.cursor.rest().len() + 1 {
            r.fail(
                Diagnostic::new(Code::E0204, value.span, "a field of the log has a name")
                    .label("without a name")
                    .help("write `log NAME = …`"),
            );
        }
        fields.push((name, value));
        if r.failed || r.cursor.op(",").is_none() {
            break;
        }
    }
    StatementKind::Log(Some(fields))
}

/// `(a, b)`: each part an expression.
fn arguments(r: &mut Reader, items: &[Item], whole: Span) -> Vec<Expr> {
    if items.is_empty() {
        return Vec::new();
    }
    let mut list = Vec::new();
    for part in Cursor::new(items, whole).split_commas() {
        let span = part.first().map_or(whole, |i| i.span);
        let before = r.d.len();
        let mut scratch = Diagnostics::default();
        let d = if r.failed { &mut scratch } else { &mut *r.d };
        list.push(crate::model::expr::expr_of(part, span, d));
        r.failed |= r.d.len() > before;
    }
    list
}
