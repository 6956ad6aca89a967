//! Phases 7 and 8: what is sent on, and where.

use super::admit::{Refused, holds, nearest};
use super::answer::Answer;
use super::facts::Reader;
use super::limits::{limit_key, limit_kind};
use super::outgoing::Fields;
use super::path::{encode_segment, encode_url, makes_dot_segment, normalise};
use super::world::{Trace, World};
use super::{Decided, Outcome};
use crate::model::eval::eval;
use crate::model::ir::Ir;
use crate::model::value::Value;
use crate::plan::{
    self, Balance, Inbound, PathPart, PathTemplate, Plan, RetryParts, Route, Sides, Step, Target, TimeoutParts,
    UpstreamId, defaults,
};
use crate::policy::grpc;
use crate::policy::limit::Check;
use crate::policy::problem::FailureKind;
use bytes::Bytes;
use http::Method;
use std::borrow::Cow;
use std::hash::{DefaultHasher, Hasher};
use std::time::Duration;

/// A request on its way to an upstream.
#[derive(Debug)]
pub struct Forward {
    /// Where to.
    pub upstream: UpstreamId,
    /// Its method, if it is not the client's.
    pub method: Option<Method>,
    /// Its path, if it is not the client's; without a server's prefix.
    pub path: Option<String>,
    /// Its query, if it is not the client's: `Some(None)` for no query.
    pub query: Option<Option<String>>,
    /// The Host, if a `request` block sets it.
    pub host: Option<String>,
    /// What is done to the header fields.
    pub fields: Fields,
    /// All four parts but the total are set.
    pub timeouts: TimeoutParts,
    /// What is retried.
    pub retry: RetryParts,
    /// The key of `balance hash`.
    pub hash: Option<u64>,
    /// The server that a sticky cookie names.
    pub sticky: Option<u64>,
    /// The body, where it was buffered.
    pub body: Option<Bytes>,
    /// The most bytes of a streaming body.
    pub body_max: Option<u64>,
    /// Copies that go elsewhere.
    pub mirrors: Vec<Forward>,
}

/// Finds the route's target, and what it gets.
pub(super) fn choose<'r, W: World, T: Trace>(
    decided: &mut Decided<'r>,
    route: &'r Route,
    world: &W,
    trace: &T,
) -> Result<(), Refused> {
    let mut target = &route.target;
    loop {
        let reader = Reader { cx: &decided.cx, world, trace, response: None };
        match target {
            Target::Choice { condition, then, otherwise, origin } => {
                let chosen = eval(condition, &reader).is_ok_and(|v| v.is_true());
                trace.step("target", origin, || {
                    format!("the condition {}", if chosen { "holds" } else { "does not hold" })
                });
                target = if chosen { then } else { otherwise };
            }
            Target::Respond(r) => {
                trace.step("target", &r.origin, || format!("answered here with {}", r.status));
                decided.outcome = Outcome::Answer(Answer::fixed(r, &reader)?);
                return Ok(());
            }
            Target::Redirect { status, location, origin } => {
                let Some(location) = place(location, &reader) else {
                    return Err(Refused::new(FailureKind::Internal, "the location of a redirect has no text"));
                };
                trace.step("target", origin, || format!("redirected to {location:?}"));
                decided.outcome = Outcome::Answer(Answer::redirect(*status, &location));
                return Ok(());
            }
            Target::Forward(f) => {
                return forward(decided, route, f, world, trace);
            }
        }
    }
}

/// The location of a redirect. As behind `at`, a parameter stays one segment, `{rest}` keeps its slashes, and what stands behind a
/// `?` is a part of a query.
fn place<'a, W: World, T: Trace>(location: &'a Ir, reader: &Reader<'a, W, T>) -> Option<String> {
    let text = |ir: &'a Ir| eval(ir, reader).ok().and_then(|value| value.text().map(|text| text.into_owned()));
    let Ir::Text(parts) = location else { return text(location).map(|text| encode_url(&text)) };
    let (mut out, mut in_query) = (String::new(), false);
    for part in parts {
        let value = text(part)?;
        match part {
            Ir::Const(_) => {
                in_query |= value.contains(['?', '#']);
                out.push_str(&value);
            }
            _ if in_query => out.push_str(&encode_query(&value)),
            Ir::Param(slot) => {
                let raw = reader.cx.captures.as_ref().and_then(|captures| captures.raw(usize::from(*slot)));
                match raw {
                    Some(raw) => out.push_str(raw.strip_prefix('/').unwrap_or(raw)),
                    None => out.push_str(&encode_segment(&value)),
                }
            }
            _ => out.push_str(&value),
        }
    }
    Some(encode_url(&out))
}

fn forward<'r, W: World, T: Trace>(
    decided: &mut Decided<'r>,
    route: &'r Route,
    f: &'r plan::Forward,
    world: &W,
    trace: &T,
) -> Result<(), Refused> {
    let internal = |what: &str| Refused::new(FailureKind::Internal, what.to_owned());
    let id = {
        let reader = Reader { cx: &decided.cx, world, trace, response: None };
        side(f, &reader).ok_or_else(|| internal("a target without an upstream"))?
    };
    decided.cx.upstream = Some(id);
    let cx = &decided.cx;
    let upstream = cx.plan.upstream(id).ok_or_else(|| internal("an upstream without a plan"))?;
    let reader = Reader { cx, world, trace, response: None };
    let inbound = &route.inbound;
    let mut forward = outline(id, f, inbound, &reader)?;
    trace.step("target", &f.origin, || {
        let how = match &f.to {
            Sides::One(_) => "",
            Sides::Shares(_) if f.by.is_empty() => ", by chance",
            Sides::Shares(_) => ", by its key",
        };
        let path = forward.path.as_ref().map(|p| format!(" as {p}")).unwrap_or_default();
        format!("goes to `{}`{path}{how}", upstream.name)
    });
    for step in upstream.send.iter().chain(&inbound.edits) {
        if !holds(&step.guards, &reader) {
            trace.step("request", &step.origin, || "not done: its `when` does not hold".into());
            continue;
        }
        edit(&mut forward, &step.what, &reader)?;
        trace.step("request", &step.origin, || "done".into());
    }
    for step in inbound.mirrors.iter().filter(|s| holds(&s.guards, &reader)) {
        mirror(&mut forward, step, f, inbound, &reader);
    }
    for step in inbound.timeouts.iter().filter(|s| holds(&s.guards, &reader)) {
        forward.timeouts = forward.timeouts.or(step.what);
    }
    forward.timeouts = forward.timeouts.or_upstream(upstream.timeouts);
    if cx.is_grpc()
        && let Some(deadline) = grpc::timeout(cx.head.headers)
        && forward.timeouts.total.is_none_or(|total| deadline < total)
    {
        trace.step("target", &f.origin, || {
            format!("the call's own deadline (`grpc-timeout`) ends it after {} ms", deadline.as_millis())
        });
        forward.timeouts.total = Some(deadline);
    }
    if inbound.retries.is_empty() {
        forward.retry = upstream.retry.clone();
    } else {
        for step in inbound.retries.iter().filter(|s| holds(&s.guards, &reader)) {
            forward.retry = forward.retry.or(&step.what);
        }
        forward.retry = forward.retry.or(&upstream.retry);
    }
    if let Balance::Hash(key) = &upstream.balance {
        forward.hash = Some(hash_key(std::slice::from_ref(key), &reader));
    }
    if let Some(sticky) = &upstream.sticky {
        let value = super::facts::cookie(cx.head.headers, &sticky.cookie);
        forward.sticky = value.and_then(sticky_id);
        // It is between the client and the gateway.
        if value.is_some() {
            forward.fields.cookie(&sticky.cookie, None);
        }
        trace.step("target", &sticky.origin, || match (value, forward.sticky) {
            (None, _) => "no cookie yet: whichever server it goes to, it gets one".into(),
            (Some(_), Some(_)) => "to the server that the cookie names, if it can be used".into(),
            (Some(_), None) => "the cookie is none of these: it gets a new one".into(),
        });
    }
    forward.body = cx.body.clone();
    decided.outcome = Outcome::Forward(forward);
    Ok(())
}

/// The request as it would go to an upstream, without what `send` and `request` do.
fn outline<'a, W: World, T: Trace>(
    id: UpstreamId,
    f: &'a plan::Forward,
    inbound: &'a Inbound,
    reader: &Reader<'a, W, T>,
) -> Result<Forward, Refused> {
    let cx = reader.cx;
    let mut fields = Fields::default();
    fields.remove_credentials(cx);
    let mut forward = Forward {
        upstream: id,
        method: None,
        path: None,
        query: None,
        host: None,
        fields,
        timeouts: TimeoutParts::default(),
        retry: RetryParts::default(),
        hash: None,
        sticky: None,
        body: None,
        body_max: nearest(&inbound.body_max, reader).map(|s| s.what).filter(|n| *n != u64::MAX),
        mirrors: Vec::new(),
    };
    if let Some(query) = forward.fields.query_without_credentials(cx) {
        forward.query = Some(Some(query).filter(|q| !q.is_empty()));
    }
    if let Some(at) = &f.at {
        rewrite(&mut forward, at, reader)?;
    }
    Ok(forward)
}

/// A copy for another upstream: what the route does to the request, and what that upstream is sent. What cannot be made is
/// not sent: no copy fails the request.
fn mirror<'a, W: World, T: Trace>(
    forward: &mut Forward,
    step: &'a Step<plan::Mirror>,
    f: &'a plan::Forward,
    inbound: &'a Inbound,
    reader: &Reader<'a, W, T>,
) {
    let plan::Mirror { share, to } = step.what;
    let Some(upstream) = reader.cx.plan.upstream(to) else { return };
    reader.trace.step("target", &step.origin, || {
        let chance = if share < 100.0 { format!("by chance, {share} times in 100, ") } else { String::new() };
        format!("{chance}copied to `{}`, whose answer is discarded", upstream.name)
    });
    let bits = (reader.world.random() >> 64) as u64;
    // 53 bits fill a float's fraction exactly.
    if (bits >> 11) as f64 / (1u64 << 53) as f64 * 100.0 >= share {
        return;
    }
    let reader = Reader { cx: reader.cx, world: reader.world, trace: &(), response: None };
    let Ok(mut copy) = outline(to, f, inbound, &reader) else { return };
    for step in upstream.send.iter().chain(&inbound.edits) {
        if holds(&step.guards, &reader) && edit(&mut copy, &step.what, &reader).is_err() {
            return;
        }
    }
    copy.timeouts = upstream.timeouts;
    forward.mirrors.push(copy);
}

/// A sticky cookie's value: 16 hexadecimal digits.
fn sticky_id(value: &str) -> Option<u64> {
    let sound = value.len() == 16 && value.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    u64::from_str_radix(value, 16).ok().filter(|_| sound)
}

/// The side of a weighted target: by key, or by chance.
fn side<W: World, T: Trace>(f: &plan::Forward, reader: &Reader<'_, W, T>) -> Option<UpstreamId> {
    let shares = match &f.to {
        Sides::One(only) => return Some(*only),
        Sides::Shares(shares) => shares,
    };
    let bits = match f.by.is_empty() {
        true => (reader.world.random() >> 64) as u64,
        false => hash_key(&f.by, reader),
    };
    // 53 bits fill a float's fraction exactly.
    let mut point = (bits >> 11) as f64 / (1u64 << 53) as f64 * 100.0;
    for (share, id) in shares {
        if point < *share {
            return Some(*id);
        }
        point -= share;
    }
    shares.last().map(|(_, id)| *id)
}

/// The same key gives the same number in every process.
fn hash_key<W: World, T: Trace>(parts: &[Ir], reader: &Reader<'_, W, T>) -> u64 {
    let mut hasher = DefaultHasher::new();
    for part in parts {
        let value = eval(part, &Reader { ..*reader });
        match value.as_ref().ok().and_then(|v| v.text()) {
            Some(t) => hasher.write(t.as_bytes()),
            None => hasher.write_u8(0),
        }
        hasher.write_u8(0x1f);
    }
    // SipHash's bits are even; the low ones decide the side of short keys too.
    hasher.finish()
}

/// `at PATH`.
fn rewrite<'a, W: World, T: Trace>(
    forward: &mut Forward,
    at: &'a PathTemplate,
    reader: &Reader<'a, W, T>,
) -> Result<(), Refused> {
    let bad = |what: String| Refused::new(FailureKind::BadRequest, what);
    let text = |text: Option<Cow<'a, str>>| text.ok_or_else(|| bad(format!("a value of `at {}` has no text", at.text)));
    let eval = |ir: &'a Ir| eval(ir, reader).map(Value::into_text).map_err(|e| bad(e.to_string()));
    let mut out = String::with_capacity(64);
    for part in &at.path {
        match part {
            PathPart::Text(t) => out.push_str(t),
            PathPart::Rest(slot) => {
                // The rest begins with its slash, so `/admin` at `/x/{rest}` sends `/x`, and `/admin/` sends `/x/`.
                if out.ends_with('/') {
                    out.pop();
                }
                let rest = reader.cx.captures.as_ref().and_then(|c| c.raw(usize::from(*slot)));
                out.push_str(rest.unwrap_or_default());
            }
            PathPart::Param(slot) => out.push_str(&encode_segment(&text(reader.param_text(*slot))?)),
            PathPart::Value(ir) => out.push_str(&encode_segment(&text(eval(ir)?)?)),
        }
    }
    if out.is_empty() {
        out.push('/');
    }
    if makes_dot_segment(&out) {
        return Err(bad(format!("a value would make a dot segment of `at {}`", at.text)));
    }
    forward.path = Some(out);
    if let Some(parts) = &at.query {
        let mut query = String::new();
        for part in &parts.0 {
            match part {
                PathPart::Text(t) => query.push_str(t),
                PathPart::Rest(_) => {}
                PathPart::Param(slot) => query.push_str(&encode_query(&text(reader.param_text(*slot))?)),
                PathPart::Value(ir) => query.push_str(&encode_query(&text(eval(ir)?)?)),
            }
        }
        forward.query = Some(Some(query).filter(|q| !q.is_empty()));
    }
    Ok(())
}

fn edit<'a, W: World, T: Trace>(
    forward: &mut Forward,
    edit: &'a plan::Edit,
    reader: &Reader<'a, W, T>,
) -> Result<(), Refused> {
    use plan::Edit;
    let fail = |e: crate::model::eval::EvalError| Refused::new(FailureKind::Internal, e.to_string());
    let text = |ir: &'a Ir| eval(ir, reader).map(|v| v.into_text().map(|t| t.into_owned())).map_err(fail);
    match edit {
        Edit::SetHeader(name, v) => forward.fields.set(name, text(v)?.as_deref()),
        Edit::AddHeader(name, v) => forward.fields.add(name, text(v)?.as_deref()),
        Edit::RemoveHeader(name) => forward.fields.set(name, None),
        Edit::SetCookie(name, v) => forward.fields.cookie(name, text(v)?.as_deref()),
        Edit::RemoveCookie(name) => forward.fields.cookie(name, None),
        Edit::SetQuery(name, v) => set_query(forward, reader, name, text(v)?.as_deref(), true),
        Edit::AddQuery(name, v) => set_query(forward, reader, name, text(v)?.as_deref(), false),
        Edit::RemoveQuery(name) => set_query(forward, reader, name, None, true),
        Edit::SetHost(v) => forward.host = text(v)?,
        Edit::SetMethod(v) => match eval(v, reader).map_err(fail)? {
            crate::model::value::Value::Method(m) => forward.method = Some(m),
            _ => return Err(Refused::new(FailureKind::Internal, "a method that is none")),
        },
        Edit::SetPath(v) => {
            let path = text(v)?.unwrap_or_default();
            let normal =
                normalise(&path).map_err(|e| Refused::new(FailureKind::BadRequest, format!("`set path`: {e}")))?;
            forward.path = Some(normal.into_cow().into_owned());
        }
        Edit::SetStatus(_) => {}
    }
    Ok(())
}

fn set_query<W: World, T: Trace>(
    forward: &mut Forward,
    reader: &Reader<'_, W, T>,
    name: &str,
    value: Option<&str>,
    replace: bool,
) {
    let now = match &forward.query {
        Some(q) => q.clone().unwrap_or_default(),
        None => reader.cx.head.query.unwrap_or_default().to_owned(),
    };
    let encoded = encode_query(name);
    let own = |p: &str| p.split('=').next().is_some_and(|k| k == name || k.eq_ignore_ascii_case(&encoded));
    let mut parts: Vec<String> =
        now.split('&').filter(|p| !(p.is_empty() || replace && own(p))).map(str::to_owned).collect();
    if let Some(v) = value {
        parts.push(format!("{encoded}={}", encode_query(v)));
    }
    forward.query = Some(Some(parts.join("&")).filter(|q| !q.is_empty()));
}

/// A name or value of a query: only unreserved characters stand for themselves (RFC 3986).
fn encode_query(text: &str) -> String {
    use std::fmt::Write;
    let mut out = String::with_capacity(text.len());
    for b in text.bytes() {
        match b {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => out.push(char::from(b)),
            _ => {
                let _ = write!(out, "%{b:02X}");
            }
        }
    }
    out
}

/// The upstream, or that of a copy, gets a token.
#[inline]
pub(super) fn has_oauth(plan: &Plan, forward: &Forward) -> bool {
    let of = |forward: &Forward| plan.upstream(forward.upstream).is_some_and(|upstream| upstream.oauth.is_some());
    of(forward) || forward.mirrors.iter().any(of)
}

/// The token of the upstream's `oauth`, in place of the client's credential. What the program writes itself stays.
pub(super) async fn authorize<W: World, T: Trace>(
    plan: &Plan,
    forward: &mut Forward,
    world: &W,
    trace: &T,
) -> Result<(), Refused> {
    if let Some((upstream, oauth)) = plan.upstream(forward.upstream).and_then(|u| Some((u, u.oauth.as_ref()?))) {
        let own = forward.fields.authorization().is_some();
        trace.step("request", &oauth.origin, || match own {
            true => "the program writes header.authorization itself: the token is not sent".into(),
            false => "header.authorization is the token that is fetched for the upstream".into(),
        });
        if !own {
            let connect = forward.timeouts.connect.unwrap_or(defaults::CONNECT);
            let patience = forward.timeouts.total.map_or(connect, |total| total.min(connect));
            let token = world.token(forward.upstream, patience).await.map_err(|why| {
                let detail = format!("`{}` has no token: {why}", upstream.name);
                Refused::new(FailureKind::UpstreamUnhealthy, detail)
            })?;
            forward.fields.authorize(token);
        }
    }
    // A copy waits for nothing, and goes nowhere without a token.
    for mut copy in std::mem::take(&mut forward.mirrors) {
        let needed = plan.upstream(copy.upstream).is_some_and(|upstream| upstream.oauth.is_some());
        if needed && copy.fields.authorization().is_none() {
            let Ok(token) = world.token(copy.upstream, Duration::ZERO).await else { continue };
            copy.fields.authorize(token);
        }
        forward.mirrors.push(copy);
    }
    Ok(())
}

/// `limit`s of the upstream itself: its failures are `overloaded`, not the client's.
pub(super) async fn upstream_limits<W: World, T: Trace>(
    decided: &mut Decided<'_>,
    upstream: &plan::Upstream,
    world: &W,
    trace: &T,
) -> Result<(), Refused> {
    let plan = decided.cx.plan;
    for step in &upstream.limits {
        let reader = Reader { cx: &decided.cx, world, trace, response: None };
        if !holds(&step.guards, &reader) {
            continue;
        }
        let mut key = Vec::new();
        if !limit_key(&step.what, &reader, &mut key).unwrap_or(false) {
            continue;
        }
        let Some(kind) = limit_kind(plan, &step.what, &reader) else { continue };
        let limit = plan.limits.get(step.what.limit.index()).map_or(0, |l| l.identity);
        let check = [Check { limit, key: &key, kind, report_only: step.report_only }];
        let mut verdict = world.take(&check).await;
        decided.holds.append(&mut verdict.holds);
        trace.step("target", &step.origin, || {
            if verdict.refused.is_some() { "refuses".into() } else { "lets it through".into() }
        });
        if verdict.refused.is_some() {
            return Err(Refused::new(FailureKind::Overloaded, format!("{} of `{}`", step.origin.text, upstream.name)));
        }
    }
    Ok(())
}

impl Forward {
    /// How often beyond the first attempt.
    pub fn retries(&self) -> u32 {
        self.retry.count.unwrap_or(defaults::RETRIES)
    }
}
