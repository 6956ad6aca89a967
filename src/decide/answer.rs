//! Phase 9: what happens to an answer, whoever gave it.

use super::admit::holds;
use super::facts::{Failed, Reader};
use super::outgoing::field_value;
use super::world::{Trace, World};
use super::{Context, Decided, Outcome, Refused};
use crate::model::ast::StatusMatch;
use crate::model::eval::eval;
use crate::model::ir::Ir;
use crate::model::value::Value;
use crate::plan::{Edit, Outbound, Respond, RespondBody};
use crate::policy::grpc;
use crate::policy::problem::{self, FailureKind};
use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, LOCATION, SET_COOKIE};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, response};
use smol_str::SmolStr;

/// An answer that the gateway gives itself.
#[derive(Debug)]
pub struct Answer {
    /// Its status.
    pub status: u16,
    /// Its fields, without framing.
    pub fields: Vec<(HeaderName, HeaderValue)>,
    /// Its body.
    pub body: Bytes,
}

impl Answer {
    /// Without a body.
    pub fn empty(status: u16) -> Answer {
        Answer { status, fields: Vec::new(), body: Bytes::new() }
    }

    /// To another place.
    pub fn redirect(status: u16, location: &str) -> Answer {
        let mut answer = Answer::empty(status);
        answer.field(LOCATION, location);
        answer
    }

    /// Adds a field; a value that no field may hold is left out.
    pub fn field(&mut self, name: HeaderName, value: &str) {
        self.fields.extend(field_value(value).map(|v| (name, v)));
    }

    /// `respond …`.
    pub(super) fn fixed<'a, W: World, T: Trace>(r: &'a Respond, reader: &Reader<'a, W, T>) -> Result<Answer, Refused> {
        let value = |ir: &'a Ir| {
            eval(ir, reader)
                .map_err(|e| Refused::new(FailureKind::Internal, format!("the body of {}: {e}", r.origin.text)))
        };
        let text = |ir: &'a Ir| value(ir).map(|v| v.text().map(|t| t.into_owned()).unwrap_or_default());
        let mut answer = Answer::empty(r.status);
        let (body, media): (Bytes, &'static str) = match &r.body {
            RespondBody::None => return Ok(answer),
            RespondBody::Json(ir) => {
                let json = value(ir)?.to_json();
                (serde_json::to_vec(&json).unwrap_or_default().into(), "application/json")
            }
            RespondBody::Text(ir) => (text(ir)?.into(), "text/plain; charset=utf-8"),
            RespondBody::Html(ir) => (text(ir)?.into(), "text/html; charset=utf-8"),
            RespondBody::File(bytes, media) => (bytes.clone(), media),
            RespondBody::Problem(ir) => {
                let title = text(ir)?;
                let kind = reader.cx.failure.as_ref().map_or(FailureKind::Internal, |f| f.kind);
                let body = problem::body(kind, status(r.status), Some(&title), reader.cx.head.id);
                (body.into(), "application/problem+json")
            }
        };
        answer.body = body;
        answer.fields.push((CONTENT_TYPE, HeaderValue::from_static(media)));
        Ok(answer)
    }
}

static RATELIMIT: HeaderName = HeaderName::from_static("ratelimit");
static RATELIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

impl Decided<'_> {
    /// What happens when the upstream could not be asked or gave no answer.
    pub fn fail(&mut self, kind: FailureKind, detail: impl Into<String>) {
        let refused = Refused::new(kind, detail);
        self.cx.failure = Some(refused.failed);
        self.outcome = Outcome::Refuse(refused.fields);
    }

    /// The answer that the gateway gives: to what is refused or failed, and what a route answers itself.
    ///
    /// Not for requests that go to an upstream: see [`Decided::respond`].
    pub fn answer<W: World, T: Trace>(&mut self, world: &W, trace: &T) -> (response::Parts, Bytes) {
        let outcome = std::mem::replace(&mut self.outcome, Outcome::Refuse(Vec::new()));
        let (answer, fields) = match outcome {
            Outcome::Answer(a) => (a, Vec::new()),
            Outcome::Refuse(fields) => (self.refusal(world, trace), fields),
            Outcome::Forward(_) => {
                self.cx.failure = Some(Refused::new(FailureKind::Internal, "nobody was asked").failed);
                (self.refusal(world, trace), Vec::new())
            }
        };
        let (mut parts, ()) = http::Response::new(()).into_parts();
        parts.status = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        for (name, value) in answer.fields.into_iter().chain(fields) {
            parts.headers.append(name, value);
        }
        if let Some(f) = &self.cx.failure {
            let told = if self.cx.is_grpc() { status(f.status) } else { parts.status };
            let value = problem::proxy_status(f.kind, told);
            parts.headers.insert(HeaderName::from_static("proxy-status"), value);
        }
        self.edit(&mut parts, world, trace);
        (parts, answer.body)
    }

    /// The answer to a failure: the first `on error` that fits, else problem+json (RFC 9457).
    fn refusal<W: World, T: Trace>(&mut self, world: &W, trace: &T) -> Answer {
        let cx = &self.cx;
        let Some(failed) = cx.failure.clone() else {
            return Answer::empty(500);
        };
        let reader = Reader { cx, world, trace, response: None };
        for step in &outbound(cx).on_error {
            let fits = step.what.kinds.is_empty() || step.what.kinds.contains(&failed.kind);
            if !fits || !holds(&step.guards, &reader) {
                continue;
            }
            match Answer::fixed(&step.what.respond, &reader) {
                Ok(answer) if cx.is_grpc() => {
                    // Its reader knows no other bodies; what it is told stays.
                    let told = match &step.what.respond.body {
                        RespondBody::Problem(ir) | RespondBody::Text(ir) => eval(ir, &reader).ok(),
                        _ => None,
                    };
                    let told = told.as_ref().and_then(Value::text);
                    let refusal = grpc_refusal(&failed, answer.status, told.as_deref());
                    trace.step("response", &step.origin, || {
                        format!("answers `{}` with {}, as {}", failed.kind.name(), answer.status, shown(&refusal))
                    });
                    return refusal;
                }
                Ok(answer) => {
                    trace.step("response", &step.origin, || {
                        format!("answers `{}` with {}", failed.kind.name(), answer.status)
                    });
                    return answer;
                }
                Err(_) => continue,
            }
        }
        if cx.is_grpc() {
            return grpc_refusal(&failed, failed.status, None);
        }
        default_refusal(&failed, cx.head.id)
    }

    /// What happens to an upstream's answer: `on upstream`, then `response`. The body given replaces the upstream's.
    ///
    /// Hop-by-hop fields must be gone already.
    pub fn respond<W: World, T: Trace>(&self, parts: &mut response::Parts, world: &W, trace: &T) -> Option<Bytes> {
        let mut body = None;
        let list = &outbound(&self.cx).on_upstream;
        if !list.is_empty() {
            let reader = Reader { cx: &self.cx, world, trace, response: Some((parts.status, &parts.headers)) };
            let fits = |m: &StatusMatch| match m {
                StatusMatch::Status(s) => *s == parts.status.as_u16(),
                StatusMatch::Class(c) => u16::from(*c) == parts.status.as_u16() / 100,
            };
            let found = list.iter().find(|s| s.what.statuses.iter().any(fits) && holds(&s.guards, &reader));
            if let Some((step, answer)) = found.and_then(|s| Some((s, Answer::fixed(&s.what.respond, &reader).ok()?))) {
                trace.step("response", &step.origin, || {
                    format!("replaces the upstream's {} with {}", parts.status, answer.status)
                });
                parts.status = StatusCode::from_u16(answer.status).unwrap_or(parts.status);
                replace_body_fields(&mut parts.headers);
                for (name, value) in answer.fields {
                    parts.headers.insert(name, value);
                }
                body = Some(answer.body);
            }
        }
        self.edit(parts, world, trace);
        body
    }

    /// Tells the client which server it is at, if it does not know. Before [`Decided::respond`].
    pub fn stick(&self, server: u64, headers: &mut HeaderMap) {
        let Outcome::Forward(forward) = &self.outcome else { return };
        let upstream = self.cx.plan.upstream(forward.upstream);
        let Some(sticky) = upstream.and_then(|upstream| upstream.sticky.as_ref()) else { return };
        if forward.sticky == Some(server) {
            return;
        }
        let mut cookie = format!("{}={server:016x}; Path=/; HttpOnly; SameSite=Lax", sticky.cookie);
        if let Some(period) = sticky.period {
            cookie.push_str(&format!("; Max-Age={}", period.as_secs().max(1)));
        }
        if self.cx.head.scheme == "https" {
            cookie.push_str("; Secure");
        }
        if let Some(value) = field_value(&cookie) {
            headers.append(SET_COOKIE, value);
        }
    }

    /// RateLimit and CORS fields, then `response { … }`.
    fn edit<W: World, T: Trace>(&self, parts: &mut response::Parts, world: &W, trace: &T) {
        if let Some(limits) = &self.rate_limits {
            for (name, value) in [(&RATELIMIT_POLICY, &limits.policy), (&RATELIMIT, &limits.remaining)] {
                if let Some(v) = value {
                    parts.headers.insert(name.clone(), v.clone());
                }
            }
        }
        if let Some(cors) = &self.cors {
            cors.apply(self.cx.head.headers, &mut parts.headers);
        }
        let steps = &outbound(&self.cx).edits;
        if steps.is_empty() {
            return;
        }
        // All values are read from the answer as it came, before the first is written.
        let mut writes: Vec<(&Edit, Option<Value<'static>>)> = Vec::with_capacity(steps.len());
        {
            let reader = Reader { cx: &self.cx, world, trace, response: Some((parts.status, &parts.headers)) };
            for step in steps {
                if !holds(&step.guards, &reader) {
                    trace.step("response", &step.origin, || "not done: its `when` does not hold".into());
                    continue;
                }
                let value =
                    step.what.values().next().map(|ir| eval(ir, &reader).map_or(Value::Null, Value::into_static));
                trace.step("response", &step.origin, || "done".into());
                writes.push((&step.what, value));
            }
        }
        for (edit, value) in writes {
            let text = value.as_ref().and_then(|v| v.text()).and_then(|t| field_value(&t));
            match (edit, text) {
                (Edit::SetHeader(name, _), Some(v)) => {
                    parts.headers.insert(name, v);
                }
                (Edit::SetHeader(name, _), None) | (Edit::RemoveHeader(name), _) => {
                    parts.headers.remove(name);
                }
                (Edit::AddHeader(name, _), Some(v)) => {
                    parts.headers.append(name, v);
                }
                (Edit::SetCookie(name, _), Some(v)) => {
                    let cookie = [name.as_bytes(), b"=", v.as_bytes(), b"; Path=/; HttpOnly; SameSite=Lax"].concat();
                    if let Ok(v) = HeaderValue::from_bytes(&cookie) {
                        parts.headers.append(SET_COOKIE, v);
                    }
                }
                (Edit::RemoveCookie(name), _) => {
                    if let Some(v) = field_value(&format!("{name}=; Path=/; Max-Age=0")) {
                        parts.headers.append(SET_COOKIE, v);
                    }
                }
                (Edit::SetStatus(_), _) => {
                    if let Some(Value::Status(s)) = value
                        && let Ok(s) = StatusCode::from_u16(s)
                    {
                        parts.status = s;
                    }
                }
                _ => {}
            }
        }
    }

    /// `tag`s and the fields of `log`, when the request is over; no line at all where `log none` holds.
    pub fn record<W: World>(
        &self,
        status: StatusCode,
        headers: &HeaderMap,
        world: &W,
    ) -> Option<Vec<(SmolStr, String)>> {
        let outbound = outbound(&self.cx);
        if outbound.log.is_empty() && outbound.tags.is_empty() {
            return Some(Vec::new());
        }
        let reader = Reader { cx: &self.cx, world, trace: &(), response: Some((status, headers)) };
        let mut fields = Vec::new();
        let mut push = |name: &SmolStr, ir| {
            let value = eval(ir, &reader).ok();
            fields.extend(value.as_ref().and_then(|v| v.text()).map(|t| (name.clone(), t.into_owned())));
        };
        for step in outbound.tags.iter().filter(|s| holds(&s.guards, &reader)) {
            push(&step.what.0, &step.what.1);
        }
        if let Some(step) = super::admit::nearest(&outbound.log, &reader) {
            for (name, ir) in step.what.as_deref()? {
                push(name, ir);
            }
        }
        Some(fields)
    }
}

/// What holds for the answer: the route's, or the top level's where no route was met.
fn outbound<'c>(cx: &'c Context<'_>) -> &'c Outbound {
    cx.route.map_or(&cx.plan.unrouted, |(_, r)| &r.outbound)
}

fn default_refusal(failed: &Failed, id: &str) -> Answer {
    let mut answer = Answer::empty(failed.status);
    answer.body = problem::body(failed.kind, status(failed.status), failed.title.as_deref(), id).into();
    answer.fields.push((CONTENT_TYPE, problem::CONTENT_TYPE));
    answer
}

/// A failure for a gRPC client: a status of gRPC's in the head of an answer without a body ("Trailers-Only").
fn grpc_refusal(failed: &Failed, http: u16, told: Option<&str>) -> Answer {
    let title = told.or(failed.title.as_deref()).unwrap_or(problem::default_title(failed.kind, status(http)));
    let mut answer = Answer::empty(200);
    answer.fields.push((CONTENT_TYPE, grpc::MEDIA_TYPE));
    answer.fields.extend(grpc::fields(grpc::status(failed.kind, http), title));
    answer
}

/// `grpc-status N`.
fn shown(answer: &Answer) -> String {
    let found = answer.fields.iter().find(|(name, _)| *name == grpc::STATUS);
    format!("grpc-status {}", found.and_then(|(_, value)| value.to_str().ok()).unwrap_or_default())
}

fn status(code: u16) -> StatusCode {
    StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}

/// What described the body that is replaced.
fn replace_body_fields(headers: &mut HeaderMap) {
    for name in [
        CONTENT_LENGTH,
        CONTENT_TYPE,
        http::header::CONTENT_ENCODING,
        http::header::CONTENT_RANGE,
        http::header::ETAG,
        http::header::LAST_MODIFIED,
        http::header::ACCEPT_RANGES,
    ] {
        headers.remove(name);
    }
}

/// A header map's fields, one by one.
pub(super) fn fields(map: http::HeaderMap) -> Vec<(HeaderName, HeaderValue)> {
    let mut last = None;
    map.into_iter()
        .filter_map(|(name, value)| {
            last = name.or(last.take());
            last.clone().map(|n| (n, value))
        })
        .collect()
}
