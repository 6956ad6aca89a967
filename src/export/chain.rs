//! The statements that hold for a route, in the order in which they run.

use crate::model::statements::Phase;
use crate::plan::{Guard, Inbound, Origin, Outbound, Plan, Route, Step};
use smol_str::SmolStr;

/// A statement that holds for a route.
#[derive(Clone, Debug)]
pub struct Stated<'p> {
    /// When it runs.
    pub phase: Phase,
    /// As written, and where.
    pub origin: &'p Origin,
    /// The `when`s around it and at its end.
    pub guards: &'p [Guard],
    /// `report-only`.
    pub report_only: bool,
    /// The name of its counter, for a `limit`.
    pub limit: Option<&'p SmolStr>,
}

impl Stated<'_> {
    /// The conditions that its own text does not show: those of the `when` blocks around it.
    pub fn outer_conditions(&self) -> impl Iterator<Item = &str> {
        self.guards.iter().map(|g| g.origin.text.as_str()).filter(|text| !self.origin.text.ends_with(text))
    }
}

/// The statements of a route, phase after phase.
pub fn stated<'p>(plan: &'p Plan, route: &'p Route) -> Vec<Stated<'p>> {
    let mut chain = Chain { plan, list: Vec::new() };
    chain.inbound(&route.inbound);
    chain.outbound(&route.outbound);
    chain.list
}

/// The statements that hold for requests that met no route.
pub fn unrouted(plan: &Plan) -> Vec<Stated<'_>> {
    let mut chain = Chain { plan, list: Vec::new() };
    chain.outbound(&plan.unrouted);
    chain.list
}

struct Chain<'p> {
    plan: &'p Plan,
    list: Vec<Stated<'p>>,
}

impl<'p> Chain<'p> {
    fn inbound(&mut self, inbound: &'p Inbound) {
        self.add(Phase::Edge, &inbound.cors);
        self.add(Phase::Edge, &inbound.body_max);
        self.add(Phase::Edge, &inbound.accepts);
        self.add(Phase::Edge, &inbound.edge_requires);
        self.limits(Phase::Edge, &inbound.edge_limits);
        self.add(Phase::Authenticate, inbound.auth.as_slice());
        self.add(Phase::Authorize, &inbound.requires);
        self.limits(Phase::Limit, &inbound.limits);
        self.add(Phase::Validate, &inbound.body_requires);
        self.add(Phase::Request, &inbound.edits);
        self.add(Phase::Target, &inbound.timeouts);
        self.add(Phase::Target, &inbound.retries);
        self.add(Phase::Target, &inbound.mirrors);
    }

    fn outbound(&mut self, outbound: &'p Outbound) {
        self.add(Phase::Response, &outbound.on_upstream);
        self.add(Phase::Response, &outbound.on_error);
        self.add(Phase::Response, &outbound.edits);
        self.add(Phase::Record, &outbound.tags);
        self.add(Phase::Record, &outbound.log);
    }

    fn add<T>(&mut self, phase: Phase, steps: &'p [Step<T>]) {
        self.list.extend(steps.iter().map(|step| Stated {
            phase,
            origin: &step.origin,
            guards: &step.guards,
            report_only: step.report_only,
            limit: None,
        }));
    }

    fn limits(&mut self, phase: Phase, steps: &'p [Step<crate::plan::LimitUse>]) {
        let first = self.list.len();
        self.add(phase, steps);
        for (stated, step) in self.list.iter_mut().skip(first).zip(steps) {
            stated.limit = self.plan.limits.get(step.what.limit.index()).map(|limit| &limit.name);
        }
    }
}
