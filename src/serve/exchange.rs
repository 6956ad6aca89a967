//! A request on its way to an upstream: attempts until one gives an answer.

use super::body::{ClientFailure, End, RequestBody};
use super::client::{Client, Interim};
use super::generation::Gate;
use super::mirror;
use super::world::Live;
use crate::decide::{self, BodyFailure, Decided, Forward};
use crate::model::ast::RetryOn;
use crate::plan::{self, Server, defaults};
use crate::policy::problem::FailureKind;
use crate::upstream::balance::Tried;
use crate::upstream::config::Timeouts;
use crate::upstream::timer::Deadline;
use crate::upstream::{
    Answer, Endpoint, ErrorKind, ExchangeError, Limits, Picked, Request, Shared, Upgraded, Upstream, UpstreamBody,
    WriteHead, echo, eject, http2,
};
use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode, response};
use http_body::Body;
use smol_str::{SmolStr, ToSmolStr};
use std::error::Error;
use std::future::poll_fn;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};
use tokio::sync::OwnedSemaphorePermit;

/// The most that `echo` reads of a body.
const ECHO_BODY: u64 = 1024 * 1024;

/// An upstream's answer.
pub struct Got {
    /// The server that gave it.
    pub server: SmolStr,
    /// Which of its addresses.
    pub endpoint: u64,
    /// From the first attempt to its head, where somebody wants to know.
    pub time: Option<Duration>,
    /// What it is.
    pub answer: Reached,
}

/// The kinds of answers.
pub enum Reached {
    /// A head, and a body that is still on its way.
    Response(response::Parts, Streaming),
    /// All of it.
    Whole(response::Parts, Bytes),
    /// 101, and how long nothing may move.
    Upgrade(response::Parts, Box<Upgraded>, Duration),
}

/// A body on its way, and when it must have come.
pub struct Streaming {
    /// The body.
    pub body: UpstreamBody<RequestBody>,
    /// The end of `timeout total`.
    pub total: Option<Rc<Deadline>>,
    /// Where somebody judges the server.
    pub verdict: Option<Box<Verdict>>,
}

/// Judges a server when its answer has come, or broke off.
pub struct Verdict {
    shared: Arc<Shared>,
    picked: Picked,
    failed: bool,
    /// The client said when the answer must have come (`grpc-timeout`).
    by_client: bool,
}

impl Verdict {
    /// The body broke off, and not because of the client.
    pub fn failed(&mut self) {
        self.failed = true;
    }

    /// `timeout total` is over.
    pub fn late(&mut self) {
        self.failed = !self.by_client;
    }
}

impl Drop for Verdict {
    fn drop(&mut self) {
        self.shared.judge(self.picked.endpoint(), self.failed.then_some("its answer broke off"));
    }
}

/// No answer.
pub struct Failure {
    /// Which kind.
    pub kind: FailureKind,
    /// Another status than the kind's.
    pub status: Option<u16>,
    /// What exactly, for the log.
    pub detail: String,
}

impl Failure {
    /// Of a kind, and what exactly.
    pub fn new(kind: FailureKind, detail: impl Into<String>) -> Failure {
        Failure { kind, status: None, detail: detail.into() }
    }
}

/// Sends the request until a server answers or no attempt is left.
pub async fn forward(
    decided: &Decided<'_>,
    forward: &Forward,
    world: &Live<'_>,
    client: &Rc<Client>,
    end: &mut End,
) -> Result<Got, Failure> {
    let Some(plan) = decided.cx.plan.upstream(forward.upstream) else {
        return Err(Failure::new(FailureKind::Internal, "an upstream without a plan"));
    };
    let total = forward.timeouts.total.map(|total| {
        let deadline = client.worker.timer.deadline();
        deadline.arm(total);
        deadline
    });
    if let Some(gate) = world.local.generation.gate(forward.upstream) {
        end.permit = Some(match gate.try_enter() {
            Some(permit) => permit,
            None => Box::pin(line_up(gate, forward, client, total.as_ref())).await?,
        });
    }
    let mut body = world.body.borrow_mut().take();
    let mut trailers = None;
    if let Some(bytes) = &forward.body {
        trailers = body.as_mut().and_then(RequestBody::take_trailers);
        body = Some(RequestBody::whole(bytes.clone(), trailers.clone(), client.clone()));
    }
    let idle = forward.timeouts.idle.unwrap_or(defaults::IDLE);
    if let (Some(body), None) = (&mut body, &forward.body) {
        body.limit(forward.body_max.unwrap_or(u64::MAX), idle);
    }
    if !forward.mirrors.is_empty() {
        mirror::begin(decided, forward, world.local, client, &mut body);
    }
    let Some(upstream) = world.local.upstream(forward.upstream) else {
        return answer_echo(decided, forward, plan, client, body).await;
    };
    let attempts = Attempts { decided, forward, upstream, client, idle, interim: &world.interim, trailers };
    attempts.run(body, total, end).await
}

/// Waits for one of `max requests`, no longer than a connection may take.
async fn line_up(
    gate: &Gate,
    forward: &Forward,
    client: &Client,
    total: Option<&Deadline>,
) -> Result<OwnedSemaphorePermit, Failure> {
    let full = |detail| Failure::new(FailureKind::Overloaded, detail);
    let patience = client.worker.timer.deadline();
    let turn = patience.timeout(forward.timeouts.connect.unwrap_or(defaults::CONNECT), gate.enter());
    match within(total, turn).await {
        None => Err(failure(Missed::Total)),
        Some(None) => Err(full("none of the upstream's `max requests` ended within `timeout connect`")),
        Some(Some(None)) => Err(full("`max requests` of the upstream are under way")),
        Some(Some(Some(permit))) => Ok(permit),
    }
}

struct Attempts<'a, 'r> {
    decided: &'a Decided<'r>,
    forward: &'a Forward,
    upstream: &'a Upstream,
    client: &'a Rc<Client>,
    idle: Duration,
    interim: &'a Interim<'a>,
    /// Those of a buffered body.
    trailers: Option<Box<HeaderMap>>,
}

impl Attempts<'_, '_> {
    async fn run(&self, mut body: Option<RequestBody>, total: Option<Deadline>, end: &mut End) -> Result<Got, Failure> {
        // Reading a clock is a hundredth of the whole cost of a small request.
        let wanted = end.record.is_some() || self.decided.reads_upstream_time();
        let began = wanted.then(Instant::now);
        let bodiless = body.as_ref().is_none_or(Body::is_end_stream);
        let buffered = self.forward.body.is_some();
        let method = self.forward.method.as_ref().unwrap_or(self.decided.cx.head.method);
        self.upstream.shared().count_request(self.client.worker.timer.second());
        let mut tried = Tried::default();
        let mut left = self.forward.retries();
        let mut settled = false;
        loop {
            let Some(picked) = self.upstream.pick(self.forward.hash.unwrap_or(0), self.forward.sticky, &tried) else {
                if settled {
                    return Err(Failure::new(FailureKind::UpstreamUnhealthy, "no server is usable"));
                }
                let settling = Box::pin(self.upstream.settle(self.connect()));
                let outcome = within(total.as_ref(), settling).await.ok_or(Missed::Total);
                outcome.and_then(|settled| settled.map_err(Missed::Exchange)).map_err(failure)?;
                settled = true;
                continue;
            };
            let (picked, outcome) = self.reach(picked, method, &mut body, &mut tried, total.as_ref(), end).await;
            let endpoint = picked.endpoint();
            if let Err(Missed::Total) = outcome {
                return Err(failure(Missed::Total));
            }
            let again = left > 0
                && match &outcome {
                    Ok(answer) => {
                        method.is_idempotent() && (bodiless || buffered) && self.retries_status(answer.status())
                    }
                    Err(Missed::Exchange(error)) => self.retries_error(error, method, bodiless || buffered),
                    Err(Missed::Total) => false,
                }
                && self.upstream.shared().allow_retry(
                    self.client.worker.timer.second(),
                    self.forward.retry.budget.map(|percent| (percent / 100.0) as f32),
                );
            if !again {
                let answer = outcome.map_err(failure)?;
                if answer.status() == StatusCode::UNAUTHORIZED
                    && let Some(oauth) = self.upstream.shared().oauth()
                    && let Some(sent) = self.forward.fields.authorization()
                {
                    oauth.rejected(sent);
                }
                let verdict = self.verdict(&picked, &answer);
                return Ok(Got {
                    server: endpoint.target.authority.clone(),
                    endpoint: endpoint.id,
                    time: began.map(|began| began.elapsed()),
                    answer: answer.into_reached(total, self.idle, verdict),
                });
            }
            if let Some(record) = &mut end.record {
                record.failed.push(match &outcome {
                    Ok(answer) => answer.status().as_u16().to_smolstr(),
                    Err(Missed::Exchange(error)) => word(error.kind),
                    Err(Missed::Total) => SmolStr::default(),
                });
            }
            drop(outcome);
            tried.add(endpoint.id);
            let pause = self.pause(self.forward.retries().saturating_sub(left));
            within(total.as_ref(), pause).await.ok_or_else(|| failure(Missed::Total))?;
            left = left.saturating_sub(1);
            if let Some(bytes) = &self.forward.body {
                body = Some(RequestBody::whole(bytes.clone(), self.trailers.clone(), self.client.clone()));
            }
        }
    }

    /// One attempt at a server: where an address takes no connection, its others are asked in the time that is left for
    /// connecting.
    #[allow(clippy::too_many_arguments, reason = "the state of one request's attempts")]
    async fn reach(
        &self,
        mut picked: Picked,
        method: &Method,
        body: &mut Option<RequestBody>,
        tried: &mut Tried,
        total: Option<&Deadline>,
        end: &mut End,
    ) -> (Picked, Result<Answered, Missed>) {
        let began = self.upstream.has_several().then(Instant::now);
        let mut connect = self.connect();
        loop {
            let endpoint = picked.endpoint();
            if let Some(record) = &mut end.record {
                record.attempts = record.attempts.saturating_add(1);
                record.server = endpoint.target.authority.clone();
            }
            let outcome = self.attempt(&picked, connect, method, body, total).await;
            if self.upstream.shared().judges() {
                self.judge(endpoint, &outcome, body.is_some());
            }
            let Err(Missed::Exchange(error)) = &outcome else { return (picked, outcome) };
            // An earlier stream may have taken some of the body.
            if error.body_consumed || !matches!(error.kind, ErrorKind::Refused | ErrorKind::Connect) {
                return (picked, outcome);
            }
            tried.add(endpoint.id);
            let Some(next) = self.upstream.sibling(&picked, tried) else { return (picked, outcome) };
            connect = self.connect().saturating_sub(began.map_or(Duration::ZERO, |began| began.elapsed()));
            if let Some(record) = &mut end.record {
                record.failed.push(word(error.kind));
            }
            picked = next;
        }
    }

    /// What this attempt says about the server. A good head is judged when its body has come. While the request was still
    /// being sent, nobody knows who was slow; and a client that sets the time says nothing about a server.
    #[cold]
    fn judge(&self, endpoint: &Endpoint, outcome: &Result<Answered, Missed>, sending: bool) {
        let failure = match outcome {
            Ok(answer) if eject::is_failure(answer.status()) => answer.status().as_u16().to_smolstr(),
            Ok(_) => return,
            Err(Missed::Total) if sending || self.decided.cx.is_grpc() => return,
            Err(Missed::Total) => word(ErrorKind::ResponseTimeout),
            Err(Missed::Exchange(error)) if eject::is_servers(error.kind) => word(error.kind),
            Err(Missed::Exchange(_)) => return,
        };
        self.upstream.shared().judge(endpoint, Some(&failure));
    }

    fn verdict(&self, picked: &Picked, answer: &Answered) -> Option<Box<Verdict>> {
        let shared = self.upstream.shared();
        (shared.judges() && !eject::is_failure(answer.status())).then(|| {
            Box::new(Verdict {
                shared: shared.clone(),
                picked: picked.clone(),
                failed: false,
                by_client: self.decided.cx.is_grpc(),
            })
        })
    }

    fn connect(&self) -> Duration {
        self.forward.timeouts.connect.unwrap_or(defaults::CONNECT)
    }

    async fn attempt(
        &self,
        picked: &Picked,
        connect: Duration,
        method: &Method,
        body: &mut Option<RequestBody>,
        total: Option<&Deadline>,
    ) -> Result<Answered, Missed> {
        let entropy = fastrand::u128(..);
        let timeouts = &self.forward.timeouts;
        let mut interim = |status: StatusCode, headers: HeaderMap| self.interim.send(status, headers);
        let mut request = Request {
            method,
            expect_continue: false,
            upgrade: self.decided.cx.head.upgrade.is_some(),
            timeouts: Timeouts { connect, response: timeouts.response.unwrap_or(defaults::RESPONSE), idle: self.idle },
            limits: Limits::default(),
            interim: self.interim.is_welcome().then_some(&mut interim as &mut dyn FnMut(StatusCode, HeaderMap)),
        };
        let server = &picked.endpoint().target;
        let head = Outgoing { decided: self.decided, forward: self.forward, server, entropy };
        let exchange = self.upstream.exchange(picked, &mut request, head, body);
        match within(total, exchange).await.ok_or(Missed::Total)? {
            Ok(Answer::Response(response)) => {
                let (parts, body) = response.into_parts();
                Ok(Answered::Response(parts, body))
            }
            Ok(Answer::Upgrade(response)) => {
                let (parts, upgraded) = response.into_parts();
                let asked = self.decided.cx.head.upgrade;
                if !asked.is_some_and(|asked| decide::is_offered(asked, &parts.headers)) {
                    return Err(Missed::Exchange(crate::upstream::Malformed::UnexpectedUpgrade.into()));
                }
                Ok(Answered::Upgrade(parts, Box::new(upgraded)))
            }
            Err(error) => Err(Missed::Exchange(error)),
        }
    }

    fn retries_status(&self, status: StatusCode) -> bool {
        self.on().iter().any(|on| match on {
            RetryOn::Status(code) => *code == status.as_u16(),
            RetryOn::Class(class) => u16::from(*class) == status.as_u16() / 100,
            RetryOn::Connect | RetryOn::Reset | RetryOn::Timeout => false,
        })
    }

    fn retries_error(&self, error: &ExchangeError, method: &Method, repeatable: bool) -> bool {
        if matches!(
            error.kind,
            ErrorKind::RequestBody
                | ErrorKind::Overloaded
                | ErrorKind::Unhealthy
                | ErrorKind::NoUpgrade
                | ErrorKind::Unsendable
        ) {
            return false;
        }
        if error.kind == ErrorKind::Unprocessed {
            let on = self.on().contains(&RetryOn::Connect) || self.on().contains(&RetryOn::Reset);
            return on && (repeatable || !error.body_consumed);
        }
        if error.kind.is_connect() {
            return (repeatable || !error.body_consumed) && self.on().contains(&RetryOn::Connect);
        }
        let on = if error.kind.is_timeout() { RetryOn::Timeout } else { RetryOn::Reset };
        method.is_idempotent() && (repeatable || !error.body_consumed) && self.on().contains(&on)
    }

    fn on(&self) -> &[RetryOn] {
        self.forward.retry.on.as_deref().unwrap_or(&[RetryOn::Connect])
    }

    /// A while that doubles each time, by chance shorter, so that those who failed together do not return together.
    async fn pause(&self, retries: u32) {
        let (shortest, longest) = self.forward.retry.backoff.unwrap_or(defaults::BACKOFF);
        let most = shortest.saturating_mul(1u32.checked_shl(retries).unwrap_or(u32::MAX)).min(longest);
        let pause = shortest.min(most).mul_f64(0.5 + fastrand::f64() / 2.0).max(most.mul_f64(fastrand::f64()));
        if !pause.is_zero() {
            tokio::time::sleep(pause).await;
        }
    }
}

/// The head of a request, for whichever version of HTTP the server speaks.
struct Outgoing<'a, 'r> {
    decided: &'a Decided<'r>,
    forward: &'a Forward,
    server: &'a Server,
    entropy: u128,
}

impl WriteHead for Outgoing<'_, '_> {
    #[inline]
    fn http1(&self, out: &mut Vec<u8>) {
        self.decided.outgoing(self.forward, self.server, self.entropy, out);
    }

    fn http2(&self, out: &mut http2::Head) {
        self.decided.outgoing(self.forward, self.server, self.entropy, out);
    }
}

enum Answered {
    Response(response::Parts, UpstreamBody<RequestBody>),
    Upgrade(response::Parts, Box<Upgraded>),
}

impl Answered {
    fn status(&self) -> StatusCode {
        match self {
            Answered::Response(parts, _) | Answered::Upgrade(parts, _) => parts.status,
        }
    }

    fn into_reached(self, total: Option<Deadline>, idle: Duration, verdict: Option<Box<Verdict>>) -> Reached {
        match self {
            Answered::Response(parts, body) => {
                Reached::Response(parts, Streaming { body, total: total.map(Rc::new), verdict })
            }
            Answered::Upgrade(parts, upgraded) => Reached::Upgrade(parts, upgraded, idle),
        }
    }
}

/// Waits for `future` until `timeout total`, if there is one, is over.
async fn within<F: Future>(total: Option<&Deadline>, future: F) -> Option<F::Output> {
    let Some(total) = total else { return Some(future.await) };
    let mut future = pin!(future);
    poll_fn(|cx| match future.as_mut().poll(cx) {
        Poll::Ready(output) => Poll::Ready(Some(output)),
        Poll::Pending if total.poll_expired(cx) => Poll::Ready(None),
        Poll::Pending => Poll::Pending,
    })
    .await
}

enum Missed {
    /// `timeout total`.
    Total,
    Exchange(ExchangeError),
}

fn failure(missed: Missed) -> Failure {
    let error = match missed {
        Missed::Total => return Failure::new(FailureKind::UpstreamTimeout, "`timeout total` is over"),
        Missed::Exchange(error) => error,
    };
    if error.kind == ErrorKind::RequestBody {
        let client = error.source().and_then(|source| source.downcast_ref::<ClientFailure>());
        return client_failure(client.map_or(BodyFailure::Broken, |failure| failure.0));
    }
    Failure::new(kind(&error), error.to_string())
}

/// Which of the gateway's failures an upstream's is.
pub fn kind(error: &ExchangeError) -> FailureKind {
    match error.kind {
        ErrorKind::Dns
        | ErrorKind::Refused
        | ErrorKind::Connect
        | ErrorKind::ConnectTimeout
        | ErrorKind::Tls
        | ErrorKind::NoUpgrade => FailureKind::UpstreamConnect,
        ErrorKind::Unsendable | ErrorKind::RequestBody => FailureKind::BadRequest,
        ErrorKind::Overloaded => FailureKind::Overloaded,
        ErrorKind::Unhealthy => FailureKind::UpstreamUnhealthy,
        ErrorKind::ResponseTimeout | ErrorKind::IdleTimeout => FailureKind::UpstreamTimeout,
        ErrorKind::Reset | ErrorKind::Closed | ErrorKind::Malformed(_) | ErrorKind::Unprocessed => {
            FailureKind::UpstreamReset
        }
    }
}

fn client_failure(why: BodyFailure) -> Failure {
    let kind = if why == BodyFailure::TooLarge { FailureKind::BodyTooLarge } else { FailureKind::BadRequest };
    let status = (why == BodyFailure::Timeout).then_some(408);
    Failure { kind, status, detail: ClientFailure(why).to_string() }
}

/// What came of an attempt, in a word for the log.
fn word(kind: ErrorKind) -> SmolStr {
    SmolStr::new_static(match kind {
        ErrorKind::Dns => "dns",
        ErrorKind::Refused => "refused",
        ErrorKind::Connect => "connect",
        ErrorKind::ConnectTimeout => "connect-timeout",
        ErrorKind::Tls => "tls",
        ErrorKind::Overloaded => "overloaded",
        ErrorKind::Unhealthy => "unhealthy",
        ErrorKind::Reset | ErrorKind::Closed => "reset",
        ErrorKind::ResponseTimeout | ErrorKind::IdleTimeout => "timeout",
        ErrorKind::Malformed(_) => "malformed",
        ErrorKind::RequestBody => "request-body",
        ErrorKind::Unprocessed => "refused-stream",
        ErrorKind::NoUpgrade => "upgrade",
        ErrorKind::Unsendable => "request",
    })
}

/// The built-in server.
async fn answer_echo(
    decided: &Decided<'_>,
    forward: &Forward,
    plan: &plan::Upstream,
    client: &Rc<Client>,
    body: Option<RequestBody>,
) -> Result<Got, Failure> {
    let began = Instant::now();
    let max = forward.body_max.unwrap_or(ECHO_BODY).min(ECHO_BODY);
    let body = match body {
        Some(mut body) => body.collect(max).await.map_err(client_failure)?,
        None => Bytes::new(),
    };
    let mut head = Vec::with_capacity(512);
    decided.outgoing(forward, &Server::echo(&plan.name), fastrand::u128(..), &mut head);
    if !body.is_empty() {
        head.extend_from_slice(format!("content-length: {}\r\n", body.len()).as_bytes());
    }
    let (parts, answer) = echo::respond(&head, &body, client.peer.get(), &plan.name).into_parts();
    Ok(Got {
        server: plan.name.clone(),
        endpoint: 0,
        time: Some(began.elapsed()),
        answer: Reached::Whole(parts, answer),
    })
}
