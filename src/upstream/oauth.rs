//! Tokens for an upstream: fetched by client credentials (RFC 6749, 4.4) by one task of the process, before the first
//! request needs one, and renewed before they expire. Neither tokens nor secrets are in what is logged.

use super::balance::Tried;
use super::budget;
use super::config::{Balance, Config, Oauth as Settings, Pool};
use super::shared::Shared;
use super::timer::Timer;
use super::tls::TlsError;
use super::{Answer, ErrorKind, ExchangeError, Request, Timeouts, Upstream};
use crate::model::ast::OauthCredentials;
use crate::model::value::duration_text;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use http::{HeaderValue, Method, StatusCode};
use http_body::Body;
use serde_json::Value;
use std::fmt::Write;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::{Acquire, Release};
use std::time::{Duration, Instant};
use tokio::sync::{Notify, watch};

/// How long an answer of the token endpoint may take, connecting included.
const PATIENCE: Duration = Duration::from_secs(10);
/// The longest answer that is read, and the longest token.
const ANSWER: usize = 64 * 1024;
const TOKEN: usize = 16 * 1024;
/// How long a token lives that does not say so, and at most: then it is renewed in any case.
const LIFE: Duration = Duration::from_secs(5 * 60);
const LIFE_MOST: Duration = Duration::from_secs(7 * 24 * 60 * 60);
/// The pause after a failure, which doubles with each further one.
const PAUSE: Duration = Duration::from_secs(1);
const PAUSE_MOST: Duration = Duration::from_secs(60);
/// How often a server's 401 is reason to fetch another token.
const REJECTIONS: Duration = Duration::from_secs(60);
/// The errors that RFC 6749 (5.2) and its extensions have. Other words are not repeated: they could say anything.
const ERRORS: [&str; 9] = [
    "invalid_request",
    "invalid_client",
    "invalid_grant",
    "unauthorized_client",
    "unsupported_grant_type",
    "invalid_scope",
    "invalid_target",
    "server_error",
    "temporarily_unavailable",
];

/// The token of an upstream, which its workers share. It outlives reloads that leave its settings alone.
pub struct Oauth {
    settings: Settings,
    upstream: String,
    /// The token endpoint, an upstream of its own.
    pub(super) endpoint: Arc<Shared>,
    version: AtomicU32,
    state: watch::Sender<State>,
    /// The task has something to do before its time.
    wake: Notify,
}

/// What is known.
struct State {
    token: Option<Token>,
    /// Why there is no token.
    failure: Option<String>,
    /// When the next one is fetched.
    due: Instant,
    /// When a server last refused one.
    rejected: Option<Instant>,
}

struct Token {
    /// The value of the Authorization field.
    value: HeaderValue,
    expires: Instant,
}

impl Oauth {
    /// Without a token; `old` where its settings are the same.
    ///
    /// # Errors
    /// The certificate authorities cannot be read.
    pub(super) fn new(upstream: &str, settings: &Settings, old: Option<&Arc<Oauth>>) -> Result<Arc<Oauth>, TlsError> {
        if let Some(same) = old.filter(|old| old.settings == *settings && old.upstream == upstream) {
            return Ok(same.clone());
        }
        let config = Config {
            name: format!("the token endpoint of `{upstream}`"),
            servers: vec![settings.server.clone()],
            balance: Balance::default(),
            pool: Pool::default(),
            tls: settings.tls.clone(),
            budget: budget::Limits::default(),
            health: None,
            eject: None,
            oauth: None,
        };
        let state = State { token: None, failure: None, due: Instant::now(), rejected: None };
        Ok(Arc::new(Oauth {
            settings: settings.clone(),
            upstream: upstream.to_owned(),
            endpoint: Shared::new(config, 1, None)?,
            version: AtomicU32::new(0),
            state: watch::Sender::new(state),
            wake: Notify::new(),
        }))
    }

    /// Changes whenever the token does.
    #[inline]
    pub(super) fn version(&self) -> u32 {
        self.version.load(Acquire)
    }

    /// The token as it is now.
    pub(super) fn current(&self) -> Option<HeaderValue> {
        self.state.borrow().token.as_ref().map(|token| token.value.clone())
    }

    /// Waits for the first token, for `patience` at most, and no longer than until it is known that there is none.
    pub(super) async fn wait(&self, patience: Duration, timer: &Timer) -> Result<HeaderValue, String> {
        let mut watch = self.state.subscribe();
        let known = watch.wait_for(|state| state.token.is_some() || state.failure.is_some());
        match timer.deadline().timeout(patience, known).await {
            Some(Ok(state)) => match (&state.token, &state.failure) {
                (Some(token), _) => Ok(token.value.clone()),
                (None, why) => Err(why.clone().unwrap_or_default()),
            },
            Some(Err(_)) => Err("nobody fetches it".to_owned()),
            None => Err("the token endpoint has not answered yet".to_owned()),
        }
    }

    /// A server answered with 401 to a request with this Authorization: another token is fetched, if it was this one, and
    /// once a minute. Until then this one is sent on: what the server meant may be something else.
    #[cold]
    pub fn rejected(&self, sent: &HeaderValue) {
        let now = Instant::now();
        let counts = |state: &State| {
            state.token.as_ref().is_some_and(|token| token.value == *sent)
                && state.rejected.is_none_or(|last| now.saturating_duration_since(last) >= REJECTIONS)
        };
        if !counts(&self.state.borrow()) {
            return;
        }
        let changed = self.state.send_if_modified(|state| {
            let counts = counts(state);
            if counts {
                (state.rejected, state.due) = (Some(now), now);
            }
            counts
        });
        if changed {
            let upstream = self.upstream.as_str();
            tracing::warn!(upstream, "oauth: a server answered with 401; another token is fetched");
            self.wake.notify_one();
        }
    }

    fn publish(&self, change: impl FnOnce(&mut State)) {
        self.state.send_modify(change);
        self.version.fetch_add(1, Release);
    }

    /// When there is something to do: to fetch, or to stop using what has expired.
    fn next(&self) -> (Instant, Option<Instant>) {
        let state = self.state.borrow();
        (state.due, state.token.as_ref().map(|token| token.expires))
    }
}

/// Fetches tokens for ever.
pub(super) async fn keep(oauth: Arc<Oauth>, timer: Timer) {
    let client = Upstream::new(oauth.endpoint.clone(), &timer);
    let upstream = oauth.upstream.as_str();
    let mut failures = 0u32;
    loop {
        let (due, expires) = oauth.next();
        let until = expires.map_or(due, |expires| expires.min(due));
        tokio::select! {
            () = tokio::time::sleep_until(until.into()) => {}
            () = oauth.wake.notified() => continue,
        }
        if expires.is_some_and(|expires| expires <= Instant::now()) {
            tracing::error!(upstream, "oauth: the token has expired");
            oauth.publish(|state| {
                state.token = None;
                state.failure.get_or_insert_with(|| "it has expired".to_owned());
            });
            continue;
        }
        if due > Instant::now() {
            continue;
        }
        let outcome = match tokio::time::timeout(PATIENCE, fetch(&oauth.settings, &client)).await {
            Ok(outcome) => outcome,
            Err(_) => Err(format!("no answer within {}", duration_text(PATIENCE))),
        };
        let now = Instant::now();
        match outcome {
            Ok((value, life)) => {
                // Several gateways do not come at one moment.
                let renewal = life.mul_f64(0.75 + fastrand::f64() / 10.0).max(PAUSE);
                if expires.is_none() || failures > 0 {
                    tracing::info!(upstream, "oauth: there is a token, for {}", duration_text(life));
                }
                failures = 0;
                oauth.publish(|state| {
                    state.token = Some(Token { value, expires: now + life });
                    (state.due, state.failure) = (now + renewal, None);
                });
            }
            Err(why) => {
                let most = PAUSE.saturating_mul(1u32.checked_shl(failures.min(16)).unwrap_or(u32::MAX)).min(PAUSE_MOST);
                let pause = most.mul_f64(0.5 + fastrand::f64() / 2.0);
                failures = failures.saturating_add(1);
                let rest = expires.map(|expires| Duration::from_secs(expires.saturating_duration_since(now).as_secs()));
                let pause_text = duration_text(Duration::from_millis(pause.as_millis() as u64));
                match rest {
                    Some(rest) => tracing::warn!(
                        upstream,
                        "oauth: the token could not be renewed and is good for another {}: {why}; next try in {pause_text}",
                        duration_text(rest)
                    ),
                    None => tracing::error!(upstream, "oauth: there is no token: {why}; next try in {pause_text}"),
                }
                oauth.publish(|state| (state.due, state.failure) = (now + pause, Some(why)));
            }
        }
    }
}

/// Asks once. The token as an Authorization field, and how long it lives.
async fn fetch(settings: &Settings, client: &Upstream) -> Result<(HeaderValue, Duration), String> {
    let (status, body) = ask(settings, client).await?;
    let json: Option<Value> = serde_json::from_slice(&body).ok();
    if status != StatusCode::OK {
        let error = json.as_ref().and_then(|json| json.get("error")?.as_str());
        let error = error.filter(|error| ERRORS.contains(error));
        return Err(match error {
            Some(error) => format!("the token endpoint answered with {} ({error})", status.as_u16()),
            None => format!("the token endpoint answered with {}", status.as_u16()),
        });
    }
    read(&json.ok_or("the token endpoint's answer is not JSON")?).map_err(str::to_owned)
}

/// RFC 6749, 5.1.
fn read(json: &Value) -> Result<(HeaderValue, Duration), &'static str> {
    let text = |name: &str| json.get(name).and_then(Value::as_str);
    let token = text("access_token").ok_or("the token endpoint's answer has no `access_token`")?;
    let kind = text("token_type").ok_or("the token endpoint's answer has no `token_type`")?;
    if !kind.eq_ignore_ascii_case("bearer") {
        return Err("the token endpoint gave a token of another type than `Bearer`");
    }
    if token.is_empty() || token.len() > TOKEN || !token.bytes().all(|b| b.is_ascii_graphic()) {
        return Err("the token endpoint gave a token that no header can carry");
    }
    let life = match json.get("expires_in") {
        None | Some(Value::Null) => LIFE,
        // Some servers write it in quotes.
        Some(value) => {
            let seconds = value.as_f64().or_else(|| value.as_str()?.parse().ok());
            let seconds = seconds.filter(|seconds| *seconds >= 1.0).ok_or("the token is given for no time")?;
            Duration::try_from_secs_f64(seconds).unwrap_or(LIFE_MOST).min(LIFE_MOST)
        }
    };
    let mut value =
        HeaderValue::from_str(&format!("Bearer {token}")).map_err(|_| "a token that no header can carry")?;
    value.set_sensitive(true);
    Ok((value, life))
}

async fn ask(settings: &Settings, client: &Upstream) -> Result<(StatusCode, Vec<u8>), String> {
    let (id, secret) = (form(&settings.client_id), form(settings.client_secret.expose()));
    let host = settings.server.authority();
    let mut wanted = "grant_type=client_credentials".to_owned();
    let authorization = match settings.credentials {
        OauthCredentials::Basic => {
            format!("authorization: Basic {}\r\n", BASE64_STANDARD.encode(format!("{id}:{secret}")))
        }
        OauthCredentials::Body => {
            let _ = write!(wanted, "&client_id={id}&client_secret={secret}");
            String::new()
        }
    };
    for (name, value) in [("scope", &settings.scope), ("audience", &settings.audience)] {
        if let Some(value) = value {
            let _ = write!(wanted, "&{name}={}", form(value));
        }
    }
    let head = |out: &mut Vec<u8>| {
        for part in [
            "POST ",
            &settings.path,
            " HTTP/1.1\r\nhost: ",
            &host,
            "\r\n",
            &authorization,
            "content-type: application/x-www-form-urlencoded\r\naccept: application/json\r\nuser-agent: gw\r\n",
        ] {
            out.extend_from_slice(part.as_bytes());
        }
    };
    let mut tried = Tried::default();
    let mut last: Option<ExchangeError> = None;
    let response = loop {
        let Some(picked) = client.pick(0, None, &tried) else {
            if let Some(error) = last {
                return Err(format!("the token endpoint cannot be reached: {error}"));
            }
            client.settle(PATIENCE).await.map_err(|error| format!("the token endpoint cannot be reached: {error}"))?;
            // A name with addresses that nothing can be made of.
            if client.pick(0, None, &tried).is_none() {
                return Err("the token endpoint cannot be reached".to_owned());
            }
            continue;
        };
        let timeouts = Timeouts { connect: PATIENCE / 2, response: PATIENCE, idle: PATIENCE };
        let mut request = Request { timeouts, ..Request::new(&Method::POST) };
        match client.exchange(&picked, &mut request, head, &mut Some(wanted.clone())).await {
            Ok(Answer::Response(response)) => break response,
            Ok(Answer::Upgrade(_)) => return Err("the token endpoint answered with 101".to_owned()),
            Err(error) => {
                let id = picked.endpoint().id;
                let next = error.kind.is_connect() && error.kind != ErrorKind::Tls && !tried.has(id);
                if !next {
                    return Err(format!("the token endpoint cannot be reached: {error}"));
                }
                tried.add(id);
                last = Some(error);
            }
        }
    };
    let status = response.status();
    let mut body = pin!(response.into_body());
    let mut read = Vec::new();
    while let Some(frame) = poll_fn(|cx| body.as_mut().poll_frame(cx)).await {
        let frame = frame.map_err(|error| format!("the token endpoint's answer broke off: {error}"))?;
        let data = frame.data_ref().map_or(&[][..], |data: &Bytes| data);
        if read.len() + data.len() > ANSWER {
            return Err("the token endpoint's answer is too long".to_owned());
        }
        read.extend_from_slice(data);
    }
    Ok((status, read))
}

/// As in a form (RFC 6749, appendix B), but for a blank, which is `%20`: every reader takes that.
fn form(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for b in text.bytes() {
        match b {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'*' => out.push(char::from(b)),
            _ => {
                let _ = write!(out, "%{b:02X}");
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn answers_of_a_token_endpoint() {
        let long = "x".repeat(TOKEN + 1);
        for (answer, wanted) in [
            (json!({"access_token": "a.b", "token_type": "Bearer", "expires_in": 60}), Some(60)),
            (json!({"access_token": "a.b", "token_type": "bearer"}), Some(300)),
            (json!({"access_token": "a.b", "token_type": "BEARER", "expires_in": "90"}), Some(90)),
            (json!({"access_token": "a.b", "token_type": "bearer", "expires_in": 1e300}), Some(604_800)),
            (json!({"access_token": "a.b", "token_type": "bearer", "expires_in": 0}), None),
            (json!({"access_token": "a.b", "token_type": "bearer", "expires_in": -5}), None),
            (json!({"access_token": "a.b", "token_type": "bearer", "expires_in": "soon"}), None),
            (json!({"access_token": "a.b", "token_type": "mac"}), None),
            (json!({"access_token": "a.b"}), None),
            (json!({"access_token": "", "token_type": "bearer"}), None),
            (json!({"access_token": "a\r\nx: y", "token_type": "bearer"}), None),
            (json!({"access_token": long, "token_type": "bearer"}), None),
            (json!({"access_token": 5, "token_type": "bearer"}), None),
            (json!(["access_token"]), None),
        ] {
            let life = read(&answer).map(|(_, life)| life.as_secs());
            assert_eq!(life.ok(), wanted, "{answer}");
        }
        let (value, _) = read(&json!({"access_token": "a.b", "token_type": "bearer"})).unwrap();
        assert_eq!((value.to_str().unwrap(), format!("{value:?}").contains("a.b")), ("Bearer a.b", false));
    }

    #[test]
    fn credentials_are_encoded_as_in_forms() {
        assert_eq!(form("a b:c/ü*~"), "a%20b%3Ac%2F%C3%BC*~");
    }
}
