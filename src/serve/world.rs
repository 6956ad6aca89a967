//! The world of a request that is really served.

use super::body::RequestBody;
use super::client::Interim;
use super::generation::Local;
use super::worker::Worker;
use crate::decide::{BodyFailure, Refusal, World};
use crate::model::table::TableData;
use crate::plan::{AuthId, TableId, UpstreamId};
use crate::policy::auth::Caller;
use crate::policy::limit::{Check, Verdict};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue};
use jiff::Timestamp;
use std::cell::RefCell;
use std::sync::Arc;
use std::time::Duration;

/// Clock, dice, counters, keys and the request's body.
pub struct Live<'a> {
    /// The worker that serves it.
    pub worker: &'a Worker,
    /// What it is served by.
    pub local: &'a Local,
    /// When the request came.
    pub now: Timestamp,
    /// How interim responses go out.
    pub interim: Interim<'a>,
    /// The body, until somebody takes it.
    pub body: RefCell<Option<RequestBody>>,
}

impl World for Live<'_> {
    fn now(&self) -> Timestamp {
        self.now
    }

    fn random(&self) -> u128 {
        fastrand::u128(..)
    }

    fn instance(&self) -> &str {
        &self.worker.instance
    }

    fn table(&self, id: TableId) -> Arc<TableData> {
        self.local.generation.materials.table(id)
    }

    fn authenticate(&self, auth: AuthId, headers: &HeaderMap, query: Option<&str>) -> Result<Arc<Caller>, Refusal> {
        self.local.generation.materials.authenticate(auth, headers, query, || self.now)
    }

    fn take<'a>(&'a self, checks: &'a [Check<'a>]) -> impl Future<Output = Verdict> + 'a {
        std::future::ready(self.worker.counters.take_now(checks, self.now))
    }

    async fn token(&self, upstream: UpstreamId, patience: Duration) -> Result<HeaderValue, String> {
        match self.local.upstream(upstream) {
            Some(upstream) => upstream.token(patience).await,
            None => Err("it has no servers".to_owned()),
        }
    }

    async fn body(&self, max: u64) -> Result<Bytes, BodyFailure> {
        let body = self.body.borrow_mut().take();
        match body {
            Some(mut body) => {
                let bytes = body.collect(max).await?;
                // Its trailers are there for whoever sends it on.
                self.body.replace(Some(body));
                Ok(bytes)
            }
            None => Ok(Bytes::new()),
        }
    }
}
