//! From a request's head to what happens to it: phases 1 to 8 in their order.

use super::facts::{Context, Failed, Head, Reader, media_type_fits};
use super::limits::limits;
use super::path::{Normalised, PathError};
use super::route::{self, RouteHead, RouteOutcome, RouteTrace};
use super::world::{BodyFailure, Refusal, Trace, World};
use super::{Answer, Decided, Outcome, target};
use crate::model::eval::eval;
use crate::model::value::Value;
use crate::plan::{AuthId, AuthKind, AuthUse, Guard, Inbound, Origin, Plan, Require, RouteId, Step, defaults};
use crate::policy::auth::Failure;
use crate::policy::cors;
use crate::policy::problem::FailureKind;
use http::header::{ACCESS_CONTROL_ALLOW_ORIGIN, ALLOW, CONTENT_TYPE, ORIGIN, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use smol_str::format_smolstr;

/// A refusal on its way out: what went wrong, and fields for the answer.
pub(super) struct Refused {
    pub failed: Failed,
    pub fields: Vec<(HeaderName, HeaderValue)>,
}

impl Refused {
    pub(super) fn new(kind: FailureKind, detail: impl Into<String>) -> Refused {
        Refused {
            failed: Failed { kind, status: kind.status().as_u16(), title: None, reason: None, detail: detail.into() },
            fields: Vec::new(),
        }
    }
}

/// Decides what happens to a request.
///
/// `path` is what [`super::path::normalise`] made of the target; `head.path` is that path, or the raw one where it is
/// refused.
pub async fn decide<'r, W: World, T: Trace>(
    plan: &'r Plan,
    head: &'r Head<'r>,
    path: Result<&'r Normalised<'r>, PathError>,
    world: &W,
    trace: &T,
) -> Decided<'r> {
    let mut decided = Decided::new(plan, head);
    decide_in(&mut decided, path, world, trace).await;
    decided
}

/// The same where it stands: a kilobyte need not be moved for each request.
pub async fn decide_in<'r, W: World, T: Trace>(
    decided: &mut Decided<'r>,
    path: Result<&'r Normalised<'r>, PathError>,
    world: &W,
    trace: &T,
) {
    if let Err(refused) = run(decided, path, world, trace).await {
        decided.cx.failure = Some(refused.failed);
        decided.outcome = Outcome::Refuse(refused.fields);
    }
}

async fn run<'r, W: World, T: Trace>(
    decided: &mut Decided<'r>,
    path: Result<&'r Normalised<'r>, PathError>,
    world: &W,
    trace: &T,
) -> Result<(), Refused> {
    let plan = decided.cx.plan;
    let head = decided.cx.head;
    let path = path.map_err(|e| Refused::new(FailureKind::BadRequest, e.to_string()))?;
    let listener = plan.listeners.get(head.listener);
    if let Some((l, port)) = listener.and_then(|l| Some((l, l.redirect_https?))) {
        trace.step("listener", &l.origin, || "everything is redirected to https".into());
        let port = if port == 443 { String::new() } else { format!(":{port}") };
        let query = head.query.map(|q| format!("?{q}")).unwrap_or_default();
        let host = if head.host.contains(':') { format!("[{}]", head.host) } else { head.host.to_owned() };
        // `OPTIONS *` is about the server, and its URL has no path (RFC 9112, 3.2.4).
        let path = if head.path == "*" { "" } else { head.path };
        decided.outcome = Outcome::Answer(Answer::redirect(308, &format!("https://{host}{port}{path}{query}")));
        return Ok(());
    }
    let preflight = cors::preflight_method(head.method, head.headers);
    if let Some(outcome) = meet(decided, path, preflight.as_ref(), world, trace)? {
        decided.outcome = outcome;
        return Ok(());
    }
    let Some((id, route)) = decided.cx.route else {
        return Err(Refused::new(FailureKind::Internal, "no route"));
    };
    let inbound = &route.inbound;
    if let Some(outcome) = edge(decided, id, inbound, preflight.as_ref(), world, trace)? {
        decided.outcome = outcome;
        return Ok(());
    }
    requires(&decided.cx, "edge", &inbound.edge_requires, world, trace)?;
    // A future that has nothing to do costs being made.
    if !inbound.edge_limits.is_empty() {
        limits(decided, "edge", &inbound.edge_limits, world, trace).await?;
    }
    if let Some(auth) = &inbound.auth {
        authenticate(&mut decided.cx, auth, world, trace)?;
    }
    requires(&decided.cx, "authorize", &inbound.requires, world, trace)?;
    if !inbound.limits.is_empty() {
        limits(decided, "limit", &inbound.limits, world, trace).await?;
    }
    if let Some(origin) = &inbound.buffer_body {
        Box::pin(buffer(&mut decided.cx, inbound, origin, world, trace)).await?;
        requires(&decided.cx, "validate", &inbound.body_requires, world, trace)?;
    }
    target::choose(decided, route, world, trace)?;
    let chosen = match &decided.outcome {
        Outcome::Forward(forward) => plan.upstream(forward.upstream),
        _ => None,
    };
    if let Some(upstream) = chosen.filter(|upstream| !upstream.limits.is_empty()) {
        target::upstream_limits(decided, upstream, world, trace).await?;
    }
    match &mut decided.outcome {
        Outcome::Forward(forward) if target::has_oauth(plan, forward) => {
            // Boxed: other requests would carry the room for it.
            Box::pin(target::authorize(plan, forward, world, trace)).await
        }
        _ => Ok(()),
    }
}

/// Finds the route. An outcome is an answer that needs none.
fn meet<'r, W: World, T: Trace>(
    decided: &mut Decided<'r>,
    path: &'r Normalised<'r>,
    preflight: Option<&Method>,
    world: &W,
    trace: &T,
) -> Result<Option<Outcome>, Refused> {
    let (plan, head) = (decided.cx.plan, decided.cx.head);
    let router = plan.listeners.get(head.listener).and_then(|l| plan.routers.get(l.router));
    let Some(router) = router else {
        return Err(Refused::new(FailureKind::Internal, "a listener without a router"));
    };
    let find = |method: &Method| {
        let request = RouteHead { method, host: head.host, path, query: head.query };
        route::route(
            router,
            &request,
            |id, captures| {
                let Some((id, r)) = plan.routes.get(id as usize).map(|r| (RouteId(id), r)) else { return false };
                let Some(guard) = &r.when else { return true };
                let mut cx = Context::new(plan, head);
                cx.route = Some((id, r));
                cx.captures = Some(captures.clone());
                let reader = Reader { cx: &cx, world, trace, response: None };
                eval(&guard.condition, &reader).is_ok_and(|v| v.is_true())
            },
            &mut Candidates(trace),
        )
    };
    let mut outcome = find(preflight.unwrap_or(head.method));
    if preflight.is_some() {
        let has_cors = matches!(&outcome, RouteOutcome::Found { route, .. }
            if plan.routes.get(*route as usize).is_some_and(|r| !r.inbound.cors.is_empty()));
        if !has_cors {
            outcome = find(head.method);
        }
    }
    match outcome {
        RouteOutcome::Found { route, captures } => {
            let Some(r) = plan.routes.get(route as usize) else {
                return Err(Refused::new(FailureKind::Internal, "a route without a plan"));
            };
            decided.cx.route = Some((RouteId(route), r));
            decided.cx.captures = Some(captures);
            Ok(None)
        }
        RouteOutcome::Options { allow } => {
            let mut answer = Answer::empty(204);
            answer.field(ALLOW, &allow);
            Ok(Some(Outcome::Answer(answer)))
        }
        RouteOutcome::RedirectSlash { route, location } => {
            if let Some(r) = plan.routes.get(route as usize) {
                trace.step("route", &r.origin, || {
                    format!("stands at {}: `trailing-slash redirect` sends the client there", r.pattern)
                });
            }
            Ok(Some(Outcome::Answer(Answer::redirect(308, &location))))
        }
        RouteOutcome::MethodNotAllowed { allow } => {
            let mut refused = Refused::new(
                FailureKind::MethodNotAllowed,
                format!("no route at this path has {}; it has {allow}", head.method),
            );
            refused.fields.extend(HeaderValue::try_from(allow).ok().map(|v| (ALLOW, v)));
            Err(refused)
        }
        RouteOutcome::BadPath(why) => Err(Refused::new(FailureKind::BadRequest, why.to_string())),
        RouteOutcome::NotFound => Err(Refused::new(FailureKind::NoRoute, "no route fits")),
    }
}

/// Passes what the router asks on to who watches.
struct Candidates<'t, T>(&'t T);

impl<T: Trace> RouteTrace for Candidates<'_, T> {
    const ON: bool = T::ON;
    fn candidate(&mut self, route: u32, verdict: route::Verdict<'_>) {
        self.0.candidate(route, verdict);
    }
}

/// The conditions around a statement hold. One that cannot be evaluated does not.
pub(super) fn holds<'a, W: World, T: Trace>(guards: &'a [Guard], reader: &Reader<'a, W, T>) -> bool {
    guards.iter().all(|g| eval(&g.condition, reader).is_ok_and(|v| v.is_true()))
}

/// Of what "nearest wins": the first whose conditions hold.
pub(super) fn nearest<'a, X, W: World, T: Trace>(
    steps: &'a [Step<X>],
    reader: &Reader<'a, W, T>,
) -> Option<&'a Step<X>> {
    steps.iter().find(|s| holds(&s.guards, reader))
}

/// CORS, the body's length and type.
fn edge<'r, W: World, T: Trace>(
    decided: &mut Decided<'r>,
    _: RouteId,
    inbound: &'r Inbound,
    preflight: Option<&Method>,
    world: &W,
    trace: &T,
) -> Result<Option<Outcome>, Refused> {
    let cx = &decided.cx;
    let reader = Reader { cx, world, trace, response: None };
    if let Some(step) = nearest(&inbound.cors, &reader)
        && let Some(rules) = &step.what
    {
        if preflight.is_some() {
            let mut answer = Answer::empty(204);
            let fields = rules.preflight(cx.head.headers, &route_methods(cx));
            trace.step("edge", &step.origin, || {
                let may = if fields.contains_key(ACCESS_CONTROL_ALLOW_ORIGIN) { "may" } else { "may not" };
                let origin = cx.head.headers.get(ORIGIN).map(|o| format!("{o:?} {may} call")).unwrap_or_default();
                format!("a CORS preflight, answered here: {origin}")
            });
            answer.fields.extend(super::answer::fields(fields));
            return Ok(Some(Outcome::Answer(answer)));
        }
        trace.step("edge", &step.origin, || match cx.head.headers.get(ORIGIN) {
            None => "the request names no Origin".into(),
            Some(o) => {
                let mut told = HeaderMap::new();
                rules.apply(cx.head.headers, &mut told);
                let may = if told.contains_key(ACCESS_CONTROL_ALLOW_ORIGIN) { "may" } else { "may not" };
                format!("{o:?} {may} read the answer")
            }
        });
        decided.cors = Some(rules.clone());
    }
    let cx = &decided.cx;
    let reader = Reader { cx, world, trace, response: None };
    if cx.head.body_length != Some(0)
        && let Some(step) = nearest(&inbound.body_max, &reader)
    {
        let max = step.what;
        let too_large = cx.head.body_length.is_some_and(|n| n > max);
        trace.step("edge", &step.origin, || match cx.head.body_length {
            Some(n) if too_large => format!("the body has {n} bytes, more than {max}"),
            Some(n) => format!("the body has {n} bytes, at most {max}"),
            None => format!("the body is cut off after {max} bytes"),
        });
        if too_large {
            return Err(Refused::new(FailureKind::BodyTooLarge, format!("more than {max} bytes")));
        }
    }
    if cx.head.body_length != Some(0)
        && let Some(step) = nearest(&inbound.accepts, &reader)
        && !step.what.is_empty()
    {
        let sent = cx.head.headers.get(CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or_default();
        let fits = step.what.iter().any(|t| media_type_fits(t, sent));
        trace.step("edge", &step.origin, || match (sent, fits) {
            ("", _) => "the request has no content-type".to_owned(),
            (sent, true) => format!("{sent:?} is accepted"),
            (sent, false) => format!("{sent:?} is not accepted"),
        });
        if !fits {
            let accepted = step.what.join(", ");
            let why = match sent {
                "" => format!("there is no content-type, and it must be one of {accepted}"),
                sent => format!("{sent:?} is not one of {accepted}"),
            };
            return Err(Refused::new(FailureKind::UnsupportedType, why));
        }
    }
    Ok(None)
}

fn route_methods(cx: &Context<'_>) -> Vec<Method> {
    cx.route.map(|(_, r)| r.methods.clone()).unwrap_or_default()
}

fn requires<W: World, T: Trace>(
    cx: &Context<'_>,
    phase: &'static str,
    steps: &[Step<Require>],
    world: &W,
    trace: &T,
) -> Result<(), Refused> {
    for step in steps {
        let reader = Reader { cx, world, trace, response: None };
        if !holds(&step.guards, &reader) {
            trace.step(phase, &step.origin, || "not asked: its `when` does not hold".into());
            continue;
        }
        let value = eval(&step.what.condition, &reader);
        if value.as_ref().is_ok_and(Value::is_true) {
            trace.step(phase, &step.origin, || "holds".into());
            continue;
        }
        let why = match value {
            Ok(_) => "does not hold".to_owned(),
            Err(e) => format!("cannot be evaluated: {e}"),
        };
        if step.report_only {
            trace.step(phase, &step.origin, || format!("{why}; report-only, so the request goes on"));
            continue;
        }
        let anonymous = cx.caller.is_none() && cx.route.is_some_and(|(_, r)| r.inbound.auth.is_some());
        let kind = if anonymous && phase != "edge" && step.what.status.is_none() {
            FailureKind::Unauthenticated
        } else {
            FailureKind::Forbidden
        };
        let mut refused = Refused::new(kind, format!("{} {why}", step.origin.text));
        if let Some(status) = step.what.status {
            refused.failed.status = status;
        }
        if let Some(title) = &step.what.title {
            refused.failed.title = Some(title.clone());
        }
        if kind == FailureKind::Unauthenticated {
            refused.failed.reason = Some("missing");
            refused.fields = challenges(cx, &[]);
        }
        trace.step(phase, &step.origin, || format!("{why}: refused with {}", refused.failed.status));
        return Err(refused);
    }
    Ok(())
}

/// A challenge for each auth that would do; what is wrong is said of the credential that was wrong (RFC 6750, 3.1).
fn challenges(cx: &Context<'_>, failures: &[(AuthId, Failure)]) -> Vec<(HeaderName, HeaderValue)> {
    let auth = cx.route.and_then(|(_, r)| r.inbound.auth.as_ref());
    let mut values: Vec<HeaderValue> = Vec::new();
    for id in auth.iter().flat_map(|a| a.what.alternatives.iter()) {
        let failure = failures.iter().find(|(of, _)| of == id).map_or(&Failure::Missing, |(_, failure)| failure);
        let value = match cx.plan.auths.get(id.index()).map(|a| &a.kind) {
            Some(AuthKind::Jwt { .. }) => failure.bearer_challenge(),
            Some(AuthKind::ApiKey { .. }) => failure.api_key_challenge(),
            None => continue,
        };
        if !values.contains(&value) {
            values.push(value);
        }
    }
    values.into_iter().map(|v| (WWW_AUTHENTICATE, v)).collect()
}

/// Tries the alternatives in order; those without a credential are passed over.
fn authenticate<W: World, T: Trace>(
    cx: &mut Context<'_>,
    step: &Step<AuthUse>,
    world: &W,
    trace: &T,
) -> Result<(), Refused> {
    let mut failures: Vec<(AuthId, Failure)> = Vec::new();
    for id in &step.what.alternatives {
        let name = cx.plan.auths.get(id.index()).map(|a| a.name.clone()).unwrap_or_default();
        match world.authenticate(*id, cx.head.headers, cx.head.query) {
            Ok(caller) => {
                trace.step("authenticate", &step.origin, || format!("{name} accepts {:?}", caller.id));
                cx.caller = Some((*id, caller));
                return Ok(());
            }
            Err(Refusal::Credential(Failure::Missing)) => {
                trace.step("authenticate", &step.origin, || format!("{name}: no credential"));
            }
            Err(Refusal::Credential(f)) => {
                trace.step("authenticate", &step.origin, || format!("{name}: {f}"));
                failures.push((*id, f));
            }
            Err(Refusal::KeysUnavailable) => {
                trace.step("authenticate", &step.origin, || format!("{name}: there are no keys to verify with"));
                return Err(Refused::new(FailureKind::KeysUnavailable, format!("`{name}` has no keys")));
            }
        }
    }
    match failures.first() {
        None if step.what.optional => {
            trace.step("authenticate", &step.origin, || "optional: the caller is anonymous".into());
            Ok(())
        }
        first => {
            let failure = first.map_or(&Failure::Missing, |(_, failure)| failure);
            let mut refused = Refused::new(FailureKind::Unauthenticated, failure.to_string());
            refused.failed.reason = Some(failure.word());
            refused.fields = challenges(cx, &failures);
            Err(refused)
        }
    }
}

/// Reads the whole body, because a line of the program needs it.
async fn buffer<W: World, T: Trace>(
    cx: &mut Context<'_>,
    inbound: &Inbound,
    origin: &Origin,
    world: &W,
    trace: &T,
) -> Result<(), Refused> {
    let said = {
        let reader = Reader { cx, world, trace, response: None };
        nearest(&inbound.body_max, &reader).map(|s| s.what)
    };
    let max = said.unwrap_or(defaults::BODY_BUFFER);
    match world.body(max).await {
        Ok(body) => {
            trace.step("validate", origin, || {
                format!("the body is read whole ({} bytes), because this line needs it", body.len())
            });
            cx.body = Some(body);
        }
        Err(why) => {
            let (kind, detail) = match why {
                BodyFailure::TooLarge => (FailureKind::BodyTooLarge, format_smolstr!("more than {max} bytes")),
                BodyFailure::Broken => (FailureKind::BadRequest, "the body broke off".into()),
                BodyFailure::Timeout => (FailureKind::BadRequest, "the body came too slowly".into()),
            };
            trace.step("validate", origin, || detail.to_string());
            let mut refused = Refused::new(kind, detail);
            if why == BodyFailure::Timeout {
                refused.failed.status = 408;
            }
            return Err(refused);
        }
    }
    let json = cx.head.headers.get(CONTENT_TYPE).and_then(|v| v.to_str().ok()).is_some_and(is_json);
    if json && cx.body.as_ref().is_some_and(|b| !b.is_empty()) && cx.json().is_none() {
        return Err(Refused::new(FailureKind::BadRequest, "the body is not JSON"));
    }
    Ok(())
}

/// `application/json`, `application/problem+json; charset=utf-8`.
fn is_json(content_type: &str) -> bool {
    let kind = content_type.split(';').next().unwrap_or_default().trim();
    kind.eq_ignore_ascii_case("application/json") || kind.to_ascii_lowercase().ends_with("+json")
}
