//! Statements into phases: everything that happens to a request before its target.

use super::Compiler;
use super::expr::{self, Caller, Env, Typed};
use super::route::Seen;
use super::routes::Requirement;
use super::scope::{Block, Flat};
use crate::diagnostic::{Code, Diagnostic};
use crate::model::ast::{self, AssignVerb, Assignment, Expr, LimitKind, Place, Statement, StatementKind};
use crate::model::facts::{Phase, Reads};
use crate::model::ir::Ir;
use crate::model::types::Type;
use crate::model::value::Value;
use crate::plan::{Edit, Guard, Inbound, LimitAmount, LimitUse, Mirror, Origin, Require, Step, TimeoutParts};
use crate::policy::cors;
use crate::source::Span;
use http::HeaderName;
use smol_str::SmolStr;
use std::rc::Rc;
use std::sync::Arc;

/// Which message an edit changes.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Message {
    Request,
    Response,
}

impl<'p> Compiler<'p> {
    /// The statements of all blocks around a route, outer first, sorted into phases.
    pub(super) fn inbound(&mut self, blocks: &[Rc<Block<'p>>], seen: &mut Seen<'p>) -> Inbound {
        let mut cors = Vec::new();
        let mut body_max = Vec::new();
        let mut accepts = Vec::new();
        let mut timeouts = Vec::new();
        let mut retries = Vec::new();
        let mut mirrors = Vec::new();
        let (mut edge_requires, mut requires, mut body_requires) = (Vec::new(), Vec::new(), Vec::new());
        let (mut edge_limits, mut limits) = (Vec::new(), Vec::new());
        let mut edits = Vec::new();
        let mut buffer_body: Option<Origin> = None;
        let mut reads_body = |reads: Reads, origin: &Origin| {
            if reads.any_of(Reads::BODY) && buffer_body.is_none() {
                buffer_body = Some(origin.clone());
            }
        };
        for (depth, f) in blocks.iter().enumerate().flat_map(|(i, b)| b.statements.iter().map(move |f| (i, f))) {
            let origin = self.origin(f.statement.span);
            seen.under(f);
            match &f.statement.kind {
                StatementKind::Cors(c) => {
                    let config = c.as_ref().map(|c| Arc::new(cors::Cors::new(self.cors(c))));
                    cors.push((depth, self.step(f, Phase::Request, config, &origin, seen).0));
                }
                StatementKind::BodyMax(size) => {
                    let max = size.as_ref().map_or(Some(u64::MAX), |e| self.argument_size(e, f, seen));
                    body_max.push((depth, self.step(f, Phase::Request, max.unwrap_or(u64::MAX), &origin, seen).0));
                }
                StatementKind::Accepts(types) => {
                    let types = types.iter().filter_map(|e| self.media_type(e)).collect();
                    accepts.push((depth, self.step(f, Phase::Request, types, &origin, seen).0));
                }
                StatementKind::Timeout(parts) => {
                    let none = TimeoutParts { alone: true, ..TimeoutParts::default() };
                    let parts = parts.as_ref().map_or(none, |t| self.timeout_parts(t));
                    timeouts.push((depth, self.step(f, Phase::Caller, parts, &origin, seen).0));
                }
                StatementKind::Retry(r) => {
                    let parts = self.retry_parts(r);
                    retries.push((depth, self.step(f, Phase::Caller, parts, &origin, seen).0));
                }
                StatementKind::Mirror { share, to } => {
                    if let Some(what) = self.mirror(share, to, f, seen) {
                        mirrors.push(self.step(f, Phase::Body, what, &origin, seen).0);
                    }
                }
                StatementKind::Require { condition, status, title } => {
                    let (what, typed) = self.require(condition, status.as_ref(), title.as_ref(), f, seen);
                    let (step, guard) = self.step(f, Phase::Body, what, &origin, seen);
                    if !step.report_only {
                        let meaning = self.meaning(f, &step);
                        seen.requires.push(Requirement { span: f.statement.span, meaning });
                    }
                    match typed.phase.max(guard) {
                        Phase::Constant | Phase::Client | Phase::Request => edge_requires.push(step),
                        Phase::Caller => requires.push(step),
                        _ => {
                            reads_body(Reads::BODY, &origin);
                            body_requires.push(step);
                        }
                    }
                }
                StatementKind::Limit(l) => {
                    let (what, phase) = self.limit(l, f, seen);
                    let (step, guard) = self.step(f, Phase::Caller, what, &origin, seen);
                    match phase.max(guard) {
                        Phase::Constant | Phase::Client => edge_limits.push(step),
                        _ => limits.push(step),
                    }
                }
                StatementKind::Request(list) => {
                    for a in list {
                        let Some((edit, reads)) = self.edit(a, Message::Request, Phase::Body, f, seen) else {
                            continue;
                        };
                        let origin = self.origin(a.span);
                        reads_body(reads, &origin);
                        edits.push(self.edit_step(a, f, Phase::Body, edit, origin, seen));
                    }
                }
                _ => {}
            }
        }
        Inbound {
            cors: nearest(cors),
            body_max: nearest(body_max),
            accepts: nearest(accepts),
            edge_requires: edge_requires.into(),
            edge_limits: edge_limits.into(),
            auth: None,
            requires: requires.into(),
            limits: limits.into(),
            buffer_body,
            body_requires: body_requires.into(),
            edits: edits.into(),
            timeouts: merged(timeouts),
            retries: inner_first(retries),
            mirrors: mirrors.into(),
        }
    }

    /// A statement with its guards; also the phase in which the guards are known.
    pub(super) fn step<T>(
        &mut self,
        f: &Flat<'p>,
        phase: Phase,
        what: T,
        origin: &Origin,
        seen: &mut Seen<'p>,
    ) -> (Step<T>, Phase) {
        let (guards, latest) = self.guards(f, phase, seen);
        (Step { what, guards, report_only: f.statement.report_only.is_some(), origin: origin.clone() }, latest)
    }

    /// An assignment with the guards of its statement and its own.
    pub(super) fn edit_step(
        &mut self,
        a: &'p Assignment,
        f: &Flat<'p>,
        phase: Phase,
        edit: Edit,
        origin: Origin,
        seen: &mut Seen<'p>,
    ) -> Step<Edit> {
        let (mut step, _) = self.step(f, phase, edit, &origin, seen);
        if let Some(w) = &a.when {
            let typed = self.typed(w, Some(&Type::Bool), phase, "a `when`", seen, f.arguments.as_ref());
            self.undecided(&typed, "what stands before it is never done");
            let guard = Guard { condition: typed.ir, origin: self.origin(w.span) };
            step.guards = step.guards.into_vec().into_iter().chain([guard]).collect();
        }
        step
    }

    /// Warns of a `when` that is always the same.
    pub(super) fn undecided(&mut self, when: &Typed, never: &str) {
        let (message, help) = match when.decided() {
            None => return,
            Some(true) => ("this `when` always holds".to_owned(), "remove the condition"),
            Some(false) => {
                (format!("this `when` never holds: {never}"), "remove it with its condition, or correct that")
            }
        };
        let holds = when.decided() == Some(true);
        self.d.push(Diagnostic::new(Code::W0601, when.span, message).label(format!("is {holds}")).help(help));
    }

    /// Which condition a `require` is: the same for two that ask the same. One that reads a parameter means another
    /// segment elsewhere, and is only itself.
    fn meaning(&mut self, f: &Flat<'p>, step: &Step<Require>) -> u32 {
        let parts = || std::iter::once(&step.what.condition).chain(step.guards.iter().map(|g| &g.condition));
        let asks = match parts().any(super::route::reads_parameter) {
            true => format!("{:?}", f.statement.span),
            false => format!("{:?}", parts().collect::<Vec<_>>()),
        };
        let next = self.meanings.len() as u32;
        *self.meanings.entry(asks).or_insert(next)
    }

    fn require(
        &mut self,
        condition: &'p Expr,
        status: Option<&Expr>,
        title: Option<&Expr>,
        f: &Flat<'p>,
        seen: &mut Seen<'p>,
    ) -> (Require, Typed) {
        let typed = self.typed(condition, Some(&Type::Bool), Phase::Body, "a `require`", seen, f.arguments.as_ref());
        if let Some(holds) = typed.decided() {
            let (message, help) = match holds {
                true => ("this `require` always holds", "remove it"),
                false => {
                    ("this `require` never holds, so nobody gets through", "remove the route, or correct the condition")
                }
            };
            self.d.push(Diagnostic::new(Code::W0601, condition.span, message).label(format!("is {holds}")).help(help));
        }
        let status = status.and_then(|e| self.status(e, 400..=599, "the status of a `require`"));
        let title = title.and_then(|e| self.text(e, "the title of a `require`"));
        (Require { condition: typed.ir.clone(), status, title }, typed)
    }

    fn limit(&mut self, l: &'p ast::Limit, f: &Flat<'p>, seen: &mut Seen<'p>) -> (LimitUse, Phase) {
        let ty = if matches!(l.kind, LimitKind::Concurrent) { Type::Int } else { Type::Rate };
        let amount =
            self.typed(&l.amount, Some(&ty), Phase::Caller, "the rate of a `limit`", seen, f.arguments.as_ref());
        let id = f.limit.unwrap_or(crate::plan::LimitId(0));
        match &amount.constant {
            Some(Value::Rate(r)) => self.plan.limits[id.index()].constant = Some(LimitAmount::Rate(*r)),
            Some(Value::Int(n)) if *n < 1 => {
                self.d.push(
                    Diagnostic::new(Code::E0602, l.amount.span, format!("a limit of {n} lets nothing through"))
                        .label("must be 1 or more"),
                );
            }
            Some(Value::Int(n)) => self.plan.limits[id.index()].constant = Some(LimitAmount::Count(*n as u64)),
            _ => {}
        }
        if let Some(Value::Rate(r)) = &amount.constant
            && r.count == 0
        {
            self.d.push(
                Diagnostic::new(Code::E0602, l.amount.span, "a limit of 0 lets nothing through")
                    .label("must be 1 or more")
                    .help("to refuse everything write `require false`, or remove the route"),
            );
        }
        let mut phase = amount.phase;
        let mut key = Vec::new();
        if let Some(by) = &l.by {
            let arguments = f.arguments.as_ref().map(|a| self.arguments_of(a, seen)).unwrap_or_default();
            let env = Env {
                params: &seen.params,
                caller: seen.caller.as_ref().map_or(Caller::Unauthenticated, Caller::Known),
                phase: Phase::Caller,
                arguments: &arguments,
                settled: &seen.settled,
                ..Env::constant(&self.globals, "the key of a `limit`")
            };
            let mut quiet = crate::diagnostic::Diagnostics::default();
            let d = if seen.damaged { &mut quiet } else { &mut *self.d };
            for part in expr::check_key(by, l.else_skip, &env, d) {
                expr::forbid_secret(&part, "the key of a limit", d);
                phase = phase.max(part.phase);
                seen.bound |= super::route::reads_parameter(&part.ir);
                key.push(part.ir);
            }
        }
        (LimitUse { limit: id, amount: amount.ir, key: key.into(), else_skip: l.else_skip }, phase)
    }

    /// A `limit` of an upstream: it sees the request, and no caller.
    pub(super) fn upstream_limit(&mut self, upstream: &str, nth: usize, s: &'p Statement) -> Option<Step<LimitUse>> {
        let StatementKind::Limit(l) = &s.kind else { return None };
        let limit = self.limit_identity(l, s.span, &format!("upstream {upstream}"), nth as u32);
        let f = Flat {
            statement: s,
            guards: s.when.iter().map(|w| (w, None)).collect(),
            arguments: None,
            used: None,
            limit: Some(limit),
        };
        let mut seen = Seen::default();
        seen.under(&f);
        let (what, _) = self.limit(l, &f, &mut seen);
        let origin = self.origin(s.span);
        Some(self.step(&f, Phase::Request, what, &origin, &mut seen).0)
    }

    /// `send header.X = E` of an upstream.
    pub(super) fn upstream_edit(&mut self, a: &'p Assignment) -> Option<Step<Edit>> {
        let mut seen = Seen::default();
        let typed = self.typed(a.value.as_ref()?, None, Phase::Request, "a field that is sent", &mut seen, None);
        let Place::Header(name) = &a.place.value else { return None };
        let edit = Edit::SetHeader(self.header(name, a.place.span, "write `host …`")?, typed.ir);
        Some(Step { what: edit, guards: Box::default(), report_only: false, origin: self.origin(a.span) })
    }

    /// One assignment, and what its value reads.
    pub(super) fn edit(
        &mut self,
        a: &'p Assignment,
        message: Message,
        phase: Phase,
        f: &Flat<'p>,
        seen: &mut Seen<'p>,
    ) -> Option<(Edit, Reads)> {
        let expected = match a.place.value {
            Place::Method => Some(Type::Method),
            Place::Status => Some(Type::Status),
            _ => None,
        };
        let outside = seen.settled.len();
        seen.settled.extend(a.when.iter().flat_map(expr::settled));
        let value = a.value.as_ref().map(|v| {
            let place = if message == Message::Request {
                "the value of a request field"
            } else {
                "the value of a response field"
            };
            self.typed(v, expected.as_ref(), phase, place, seen, f.arguments.as_ref())
        });
        seen.settled.truncate(outside);
        if let Some(v) = &value {
            let place = match (message, &a.place.value) {
                (Message::Request, Place::Header(_) | Place::Cookie(_)) => None,
                (Message::Request, Place::Query(_) | Place::Path) => Some("a URL"),
                (Message::Response, _) => Some("a response"),
                _ => Some("this place"),
            };
            if let Some(place) = place {
                expr::forbid_secret(v, place, self.d);
            }
            self.textual(v);
        }
        let reads = value.as_ref().map(|v| v.reads).unwrap_or_default();
        let ir = value.map(|v| v.ir);
        let edit = match (&a.place.value, a.verb, ir) {
            (Place::Header(n), verb, ir) => {
                let host = match message {
                    Message::Request => "write `set host = …`",
                    Message::Response => "an answer has no host",
                };
                let name = self.header(n, a.place.span, host)?;
                match (verb, ir) {
                    (AssignVerb::Set, Some(v)) => Edit::SetHeader(name, v),
                    (AssignVerb::Add, Some(v)) => Edit::AddHeader(name, v),
                    _ => Edit::RemoveHeader(name),
                }
            }
            (Place::Query(n), AssignVerb::Set, Some(v)) => Edit::SetQuery(n.clone(), v),
            (Place::Query(n), AssignVerb::Add, Some(v)) => Edit::AddQuery(n.clone(), v),
            (Place::Query(n), _, _) => Edit::RemoveQuery(n.clone()),
            (Place::Cookie(n), AssignVerb::Remove, _) => Edit::RemoveCookie(n.clone()),
            (Place::Cookie(n), _, Some(v)) => Edit::SetCookie(n.clone(), v),
            (Place::Status, AssignVerb::Set, Some(v)) => Edit::SetStatus(v),
            (Place::Path, AssignVerb::Set, Some(v)) => Edit::SetPath(v),
            (Place::Method, AssignVerb::Set, Some(v)) => Edit::SetMethod(v),
            (Place::Host, AssignVerb::Set, Some(v)) => Edit::SetHost(v),
            // What cannot be written here is refused when it is read.
            _ => return None,
        };
        Some((edit, reads))
    }

    /// A field that may be written: not one that frames the message or belongs to the connection.
    fn header(&mut self, name: &SmolStr, span: Span, host: &'static str) -> Option<HeaderName> {
        let help = match name.as_str() {
            "host" => host,
            "content-length" | "transfer-encoding" | "trailer" | "te" => "the gateway frames messages itself",
            "connection" | "keep-alive" | "proxy-connection" | "upgrade" => {
                "it belongs to the connection, not to the message"
            }
            _ if name.contains('_') => "header names with underscores are refused: write `-`",
            _ => match HeaderName::try_from(name.as_str()) {
                Ok(h) => return Some(h),
                Err(_) => "a field name has letters, digits and `-`",
            },
        };
        self.d.push(
            Diagnostic::new(Code::E0608, span, format!("the header `{name}` cannot be written"))
                .label("not here")
                .help(help),
        );
        None
    }

    /// A value that can be a header, query or cookie value.
    fn textual(&mut self, v: &Typed) {
        let inner = match &v.ty {
            Type::Optional(t) => t,
            t => t,
        };
        if matches!(inner, Type::List(_) | Type::Map(_) | Type::Record(_) | Type::Bytes) {
            self.d.push(
                Diagnostic::new(Code::E0609, v.span, format!("a `{}` is not one text", v.ty))
                    .label("a field holds one text")
                    .help("use join(list, \",\") for a list, json(value) for an object, base64(data) for bytes"),
            );
        }
    }

    fn mirror(&mut self, share: &'p Expr, to: &ast::Name, f: &Flat<'p>, seen: &mut Seen<'p>) -> Option<Mirror> {
        const PLACE: &str = "the share of a `mirror`";
        let typed = self.typed(share, Some(&Type::Percent), Phase::Constant, PLACE, seen, f.arguments.as_ref());
        let to = self.upstream_ref(&ast::UpstreamRef::Name(to.clone()))?;
        match expr::constant(&typed, PLACE, self.d) {
            Some(Value::Percent(share)) => Some(Mirror { share: *share, to }),
            _ => None,
        }
    }

    fn argument_size(&mut self, e: &'p Expr, f: &Flat<'p>, seen: &mut Seen<'p>) -> Option<u64> {
        let typed = self.typed(e, Some(&Type::Size), Phase::Constant, "`body max`", seen, f.arguments.as_ref());
        match expr::constant(&typed, "`body max`", self.d) {
            Some(Value::Size(n)) => Some(*n),
            _ => None,
        }
    }

    fn media_type(&mut self, e: &Expr) -> Option<SmolStr> {
        let text = self.text(e, "a media type")?;
        let token =
            |s: &str| !s.is_empty() && s.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$&-^_.+*".contains(&b));
        let sound = text.split_once('/').is_some_and(|(a, b)| token(a) && token(b));
        if !sound {
            self.d.push(
                Diagnostic::new(Code::E0610, e.span, format!("`{text}` is not a media type"))
                    .label("must be TYPE/SUBTYPE")
                    .help("such as \"application/json\", \"image/*\""),
            );
            return None;
        }
        Some(SmolStr::new(text.to_ascii_lowercase()))
    }

    fn cors_origin(&mut self, e: &Expr) -> Option<cors::Origin> {
        let text = self.text(e, "an origin")?;
        cors::Origin::parse(&text)
            .map_err(|why| {
                self.d.push(
                    Diagnostic::new(Code::E0611, e.span, format!("`{text}` is no origin"))
                        .label("not an origin")
                        .help(why),
                )
            })
            .ok()
    }

    fn cors_header(&mut self, e: &Expr) -> Option<HeaderName> {
        let text = self.text(e, "a header name")?;
        let name = HeaderName::try_from(text.as_str());
        name.map_err(|_| {
            self.d.push(
                Diagnostic::new(Code::E0611, e.span, format!("`{text}` is no header name")).label("not a field name"),
            )
        })
        .ok()
    }

    fn cors(&mut self, c: &ast::Cors) -> cors::Config {
        let before = self.d.len();
        let origins = match c.any_origin {
            Some(_) => cors::Origins::Any,
            None => cors::Origins::Listed(c.origins.iter().filter_map(|e| self.cors_origin(e)).collect()),
        };
        let headers = match c.any_header {
            true => cors::Headers::Any,
            false => cors::Headers::Listed(c.headers.iter().filter_map(|e| self.cors_header(e)).collect()),
        };
        let config = cors::Config {
            origins,
            methods: c.methods.iter().map(|m| m.value.clone()).collect(),
            headers,
            expose: c.expose.iter().filter_map(|e| self.cors_header(e)).collect(),
            credentials: c.credentials,
            max_age: c.max_age.as_ref().and_then(|e| self.duration(e, "`max-age`")),
        };
        // An origin that could not be read is no missing one.
        let unread = self.d.len() > before || c.damaged;
        if let Some(problem) = cors::problem(&config).filter(|_| !unread) {
            self.d.push(Diagnostic::new(Code::E0611, c.span, problem.to_string()).label("this cors block"));
        }
        config
    }
}

impl Edit {
    /// The expressions it evaluates.
    pub fn values(&self) -> impl Iterator<Item = &Ir> {
        match self {
            Edit::SetHeader(_, v)
            | Edit::AddHeader(_, v)
            | Edit::SetQuery(_, v)
            | Edit::AddQuery(_, v)
            | Edit::SetCookie(_, v)
            | Edit::SetPath(v)
            | Edit::SetMethod(v)
            | Edit::SetHost(v)
            | Edit::SetStatus(v) => Some(v),
            Edit::RemoveHeader(_) | Edit::RemoveQuery(_) | Edit::RemoveCookie(_) => None,
        }
        .into_iter()
    }
}

/// Innermost first, and in one block the guarded ones first, as written.
pub(super) fn inner_first<T>(mut outer_first: Vec<(usize, Step<T>)>) -> Box<[Step<T>]> {
    outer_first.sort_by_key(|(depth, s)| (std::cmp::Reverse(*depth), s.guards.is_empty()));
    outer_first.into_iter().map(|(_, s)| s).collect()
}

/// Timeouts as they are merged: of a block, `timeout none` stands last, and nothing outside of an unguarded one holds.
fn merged(mut outer_first: Vec<(usize, Step<TimeoutParts>)>) -> Box<[Step<TimeoutParts>]> {
    outer_first.sort_by_key(|(depth, s)| (std::cmp::Reverse(*depth), s.what.alone, s.guards.is_empty()));
    let alone = outer_first.iter().position(|(_, s)| s.what.alone && s.guards.is_empty());
    outer_first.truncate(alone.map_or(usize::MAX, |at| at + 1));
    outer_first.into_iter().map(|(_, s)| s).collect()
}

/// As [`inner_first`]; what stands outside of an unguarded one can never hold.
pub(super) fn nearest<T>(outer_first: Vec<(usize, Step<T>)>) -> Box<[Step<T>]> {
    let mut list = inner_first(outer_first).into_vec();
    if let Some(i) = list.iter().position(|s| s.guards.is_empty()) {
        list.truncate(i + 1);
    }
    list.into()
}
