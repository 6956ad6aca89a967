//! THE decision code: a plan, a request and a [`World`] give a decision, watched by a [`Trace`].
//!
//! `serve` and `explain` call the same functions: [`decide`] for what happens to a request, [`Decided::outgoing`] for the head
//! that an upstream gets, [`Decided::respond`] and [`Decided::answer`] for what happens to the answer. Nothing here does I/O.
#![deny(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic))]

mod admit;
mod answer;
mod facts;
mod limits;
mod outgoing;
pub mod path;
pub mod route;
mod target;
mod world;

pub use admit::{decide, decide_in};
pub use answer::Answer;
pub use facts::{Context, Failed, Head, is_offered, upgrade};
pub(crate) use outgoing::hex;
pub use outgoing::{Fields, HeadWriter, Text};
pub use target::Forward;
pub use world::{BodyFailure, Refusal, Trace, World};

use crate::plan::Plan;
use crate::policy::cors::Cors;
use crate::policy::limit::{Hold, RateLimits};
use crate::policy::problem::FailureKind;
use admit::Refused;
use http::{HeaderName, HeaderValue};
use std::sync::Arc;

/// What was decided about a request, with everything that its answer needs.
pub struct Decided<'r> {
    /// What is known.
    pub cx: Context<'r>,
    /// What happens.
    pub outcome: Outcome,
    /// What concurrent limits hold until the answer has ended.
    pub holds: Vec<Hold>,
    /// `RateLimit` fields of the answer.
    pub rate_limits: Option<RateLimits>,
    /// The `cors` that holds for the answer.
    pub cors: Option<Arc<Cors>>,
}

impl<'r> Decided<'r> {
    /// Nothing is decided yet.
    pub fn new(plan: &'r Plan, head: &'r Head<'r>) -> Decided<'r> {
        Decided {
            cx: Context::new(plan, head),
            outcome: Outcome::Refuse(Vec::new()),
            holds: Vec::new(),
            rate_limits: None,
            cors: None,
        }
    }

    /// The route may read `upstream.time`.
    #[inline]
    pub fn reads_upstream_time(&self) -> bool {
        self.cx.route.is_some_and(|(_, route)| !route.outbound.is_empty())
    }

    /// The head cannot be understood, or readers understand it differently.
    pub fn refuse(&mut self, status: u16, why: &str) {
        self.fail(FailureKind::BadRequest, why);
        if let Some(failure) = &mut self.cx.failure {
            failure.status = status;
        }
    }
}

/// What happens to a request.
#[derive(Debug)]
#[allow(
    clippy::large_enum_variant,
    reason = "lives on the stack; a box would cost each forwarded request an allocation"
)]
pub enum Outcome {
    /// It goes to an upstream.
    Forward(Forward),
    /// The gateway answers.
    Answer(Answer),
    /// It is refused: [`Context::failure`] says why; these fields belong to the answer.
    Refuse(Vec<(HeaderName, HeaderValue)>),
}
