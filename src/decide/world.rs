//! What a decision needs of the world around it, and who may watch it being made.

use super::route::Verdict;
use crate::model::table::TableData;
use crate::plan::{AuthId, Origin, TableId, UpstreamId};
use crate::policy::auth::{Caller, Failure};
use crate::policy::limit::{self, Check};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue};
use jiff::Timestamp;
use std::sync::Arc;
use std::time::Duration;

/// Clock, randomness, counters, credentials and bodies. `serve` gives the live ones, `explain` ones that read and spend nothing.
pub trait World {
    /// The current time.
    fn now(&self) -> Timestamp;

    /// 128 random bits.
    fn random(&self) -> u128;

    /// The name of this gateway process.
    fn instance(&self) -> &str;

    /// A table as it is now.
    fn table(&self, id: TableId) -> Arc<TableData>;

    /// Whom an auth accepts for this request's credentials.
    fn authenticate(&self, auth: AuthId, headers: &HeaderMap, query: Option<&str>) -> Result<Arc<Caller>, Refusal>;

    /// Tests all limits and, if none refuses, takes one of each.
    fn take<'a>(&'a self, checks: &'a [Check<'a>]) -> impl Future<Output = limit::Verdict> + 'a;

    /// The Authorization field with the token that is fetched for an upstream. Waits for the first one, for `patience` at
    /// most; the error says why there is none.
    fn token(&self, upstream: UpstreamId, patience: Duration) -> impl Future<Output = Result<HeaderValue, String>>;

    /// The whole request body, if it is no longer than `max` bytes.
    fn body(&self, max: u64) -> impl Future<Output = Result<Bytes, BodyFailure>>;
}

/// Why an auth accepted nobody.
#[derive(Clone, Debug)]
pub enum Refusal {
    /// The credential's fault.
    Credential(Failure),
    /// There are no keys to verify it with.
    KeysUnavailable,
}

/// Why there is no body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyFailure {
    /// It is longer than it may be.
    TooLarge,
    /// The client broke off, or sent what cannot be read.
    Broken,
    /// The client was too slow.
    Timeout,
}

/// Watches a decision: every statement that ran, what it read and what it decided.
///
/// `()` watches nothing and compiles to nothing. The closures are called only by those that watch.
pub trait Trace {
    /// Whether anybody watches.
    const ON: bool;

    /// A fact, parameter or table that the statement now running has read.
    fn read(&self, name: impl FnOnce() -> String, value: impl FnOnce() -> String);

    /// A statement ran.
    fn step(&self, phase: &'static str, origin: &Origin, decision: impl FnOnce() -> String);

    /// What was read belongs to the statement `n`, whose step comes later.
    fn keep(&self, _n: usize) {}

    /// The step of the statement `n` comes next.
    fn kept(&self, _n: usize) {}

    /// A candidate route was asked, or would have been.
    fn candidate(&self, route: u32, verdict: Verdict<'_>);
}

impl Trace for () {
    const ON: bool = false;
    fn read(&self, _: impl FnOnce() -> String, _: impl FnOnce() -> String) {}
    fn step(&self, _: &'static str, _: &Origin, _: impl FnOnce() -> String) {}
    fn candidate(&self, _: u32, _: Verdict<'_>) {}
}
