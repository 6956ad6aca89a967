//! The access log: one line for each request, when its answer is over.
//!
//! Never in it: header values, queries, credentials, bodies; what a program adds with `tag` and `log` is its own.

use super::line::write_json;
use http::{HeaderValue, Method, Uri};
use smol_str::SmolStr;
use std::fmt;
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// The target of access events.
pub const TARGET: &str = "gw::access";

/// The access log is on: nothing need be remembered of a request if it is not.
pub fn is_on() -> bool {
    tracing::enabled!(target: TARGET, tracing::Level::INFO)
}

/// What is known of a request, for its line.
#[derive(Debug)]
pub struct Record {
    /// Its id.
    pub id: SmolStr,
    /// Its method, where it has one.
    pub method: Option<Method>,
    /// Its target as it came; the query is not written.
    pub target: Target,
    /// Its host as it came.
    pub host: Option<HeaderValue>,
    /// The client's address.
    pub client: IpAddr,
    /// When it came.
    pub began: Instant,
    /// The route it met.
    pub route: SmolStr,
    /// The auth that vouches for the caller.
    pub via: SmolStr,
    /// The answer's status; 0 while there is none.
    pub status: u16,
    /// Where it went.
    pub upstream: SmolStr,
    /// The server that was asked last.
    pub server: SmolStr,
    /// How often servers were asked.
    pub attempts: u32,
    /// What came of the attempts that were not the last: `refused`, `503`, ….
    pub failed: Vec<SmolStr>,
    /// From the first attempt to the head of the answer.
    pub upstream_time: Option<Duration>,
    /// The length of the request's body, where it was said.
    pub received: Option<u64>,
    /// Bytes of the answer's body that hyper took.
    pub sent: u64,
    /// The kind of failure.
    pub error: Option<&'static str>,
    /// What exactly failed.
    pub detail: String,
    /// What the program adds.
    pub tags: Vec<(SmolStr, String)>,
}

/// What a request is for.
#[derive(Debug)]
pub enum Target {
    /// This.
    Uri(Uri),
    /// Its head was refused; this path could be read in it.
    Refused(Option<String>),
}

impl Target {
    fn path(&self) -> Option<&str> {
        match self {
            Target::Uri(uri) => Some(uri.path()),
            Target::Refused(path) => path.as_deref(),
        }
    }
}

impl Record {
    /// The answer ended before its end; `error` is the kind of failure, if it was none of the client's.
    pub fn broke_off(&mut self, error: Option<&'static str>, why: &dyn fmt::Display) {
        self.error = self.error.or(error);
        if self.detail.is_empty() {
            self.detail = why.to_string();
        }
    }

    /// The gateway has ended before the answer.
    pub fn cut_off(&mut self) {
        if self.status == 0 {
            self.status = 503;
        }
        self.broke_off(Some("cut-off"), &"the gateway ended before the answer");
    }

    /// Writes the line.
    pub fn write(mut self: Box<Self>) {
        if self.status == 0 {
            // As nginx writes it: the client went before there was an answer.
            self.status = 499;
            self.detail.push_str("the client broke off");
        }
        let host = self.host.as_ref().map(|host| String::from_utf8_lossy(host.as_bytes()));
        let some = |text: &'_ SmolStr| (!text.is_empty()).then(|| text.clone());
        let (route, via) = (some(&self.route), some(&self.via));
        let (upstream, server) = (some(&self.upstream), some(&self.server));
        tracing::info!(
            target: TARGET,
            id = self.id.as_str(),
            method = self.method.as_ref().map(Method::as_str),
            host = host.as_deref(),
            path = self.target.path(),
            route = route.as_deref(),
            status = u64::from(self.status),
            upstream = upstream.as_deref(),
            server = server.as_deref(),
            attempts = (self.attempts > 0).then_some(u64::from(self.attempts)),
            failed_attempts = (!self.failed.is_empty()).then(|| tracing::field::display(List(&self.failed))),
            ms = millis(self.began.elapsed()),
            upstream_ms = self.upstream_time.map(millis),
            received = self.received,
            sent = self.sent,
            client = %self.client,
            via = via.as_deref(),
            error = self.error,
            detail = (!self.detail.is_empty()).then_some(self.detail.as_str()),
            tags = (!self.tags.is_empty()).then(|| tracing::field::debug(Tags(&self.tags))),
        );
    }
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

struct List<'a>(&'a [SmolStr]);

impl fmt::Display for List<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, item) in self.0.iter().enumerate() {
            write!(f, "{}{item}", if n > 0 { ", " } else { "" })?;
        }
        Ok(())
    }
}

/// A JSON object.
struct Tags<'a>(&'a [(SmolStr, String)]);

impl fmt::Debug for Tags<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = Vec::with_capacity(64);
        for (n, (name, value)) in self.0.iter().enumerate() {
            out.push(if n == 0 { b'{' } else { b',' });
            write_json(&mut out, name);
            out.push(b':');
            write_json(&mut out, value);
        }
        out.push(b'}');
        f.write_str(&String::from_utf8_lossy(&out))
    }
}
