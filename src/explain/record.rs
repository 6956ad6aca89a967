//! Records what the decision code does.

use crate::decide::Trace;
use crate::decide::route::Verdict;
use crate::plan::{Origin, Plan};
use serde::Serialize;
use serde_json::{Map, Value as Json};
use std::cell::RefCell;

/// A route that was a candidate.
#[derive(Debug, Clone, Serialize)]
pub struct Asked {
    /// Its name.
    pub route: String,
    /// Its methods and pattern.
    pub pattern: String,
    /// `chosen`, `passed-over` or `not-asked`.
    pub verdict: &'static str,
    /// Why it was passed over.
    pub reason: Option<String>,
    /// Where it is declared.
    pub file: String,
    /// The line, from 1.
    pub line: u32,
}

/// A statement that ran.
#[derive(Debug, Clone, Serialize)]
pub struct Step {
    /// The phase it ran in.
    pub phase: &'static str,
    /// As written.
    pub statement: String,
    /// Where it is written.
    pub file: String,
    /// The line, from 1.
    pub line: u32,
    /// What it read.
    pub reads: Map<String, Json>,
    /// What it decided.
    pub decision: String,
}

/// Watches one decision.
pub(super) struct Recorder<'p> {
    plan: &'p Plan,
    seen: RefCell<Seen>,
}

#[derive(Default)]
struct Seen {
    candidates: Vec<(u32, Asked)>,
    steps: Vec<Step>,
    reads: Map<String, Json>,
    kept: Vec<(usize, Map<String, Json>)>,
}

impl<'p> Recorder<'p> {
    pub fn new(plan: &'p Plan) -> Recorder<'p> {
        Recorder { plan, seen: RefCell::default() }
    }

    /// Some route was asked.
    pub fn has_met(&self) -> bool {
        !self.seen.borrow().candidates.is_empty()
    }

    pub fn into_parts(self) -> (Vec<Asked>, Vec<Step>) {
        let seen = self.seen.into_inner();
        (seen.candidates.into_iter().map(|(_, c)| c).collect(), seen.steps)
    }
}

impl Trace for Recorder<'_> {
    const ON: bool = true;

    fn read(&self, name: impl FnOnce() -> String, value: impl FnOnce() -> String) {
        let text = value();
        let value = serde_json::from_str(&text).unwrap_or(Json::String(text));
        self.seen.borrow_mut().reads.insert(name(), value);
    }

    fn step(&self, phase: &'static str, origin: &Origin, decision: impl FnOnce() -> String) {
        let decision = decision();
        let mut seen = self.seen.borrow_mut();
        let reads = std::mem::take(&mut seen.reads);
        seen.steps.push(Step {
            phase,
            statement: origin.text.to_string(),
            file: self.plan.file(origin).to_owned(),
            line: origin.line,
            reads,
            decision,
        });
    }

    fn keep(&self, n: usize) {
        let mut seen = self.seen.borrow_mut();
        let reads = std::mem::take(&mut seen.reads);
        seen.kept.push((n, reads));
    }

    fn kept(&self, n: usize) {
        let mut seen = self.seen.borrow_mut();
        if let Some(at) = seen.kept.iter().position(|(of, _)| *of == n) {
            seen.reads = seen.kept.swap_remove(at).1;
        }
    }

    fn candidate(&self, route: u32, verdict: Verdict<'_>) {
        let Some(r) = self.plan.routes.get(route as usize) else { return };
        let (word, reason) = match &verdict {
            Verdict::Chosen => ("chosen", None),
            Verdict::NotAsked => ("not-asked", None),
            Verdict::PassedOver(why) => ("passed-over", Some(why.to_string())),
        };
        let mut seen = self.seen.borrow_mut();
        // What a route's `when` read belongs to it, not to the first statement.
        let reads = std::mem::take(&mut seen.reads);
        let reason = reason.map(|why| if reads.is_empty() { why } else { format!("{why} ({})", show_reads(&reads)) });
        // A preflight may walk twice; the second walk counts.
        if let Some((_, known)) = seen.candidates.iter_mut().find(|(id, _)| *id == route) {
            known.verdict = word;
            known.reason = reason;
            return;
        }
        let methods = match r.methods.is_empty() {
            true => "ANY".to_owned(),
            false => r.methods.iter().map(|m| m.as_str()).collect::<Vec<_>>().join(", "),
        };
        let asked = Asked {
            route: r.name.to_string(),
            pattern: format!("{methods} {}", r.pattern),
            verdict: word,
            reason,
            file: self.plan.file(&r.origin).to_owned(),
            line: r.origin.line,
        };
        seen.candidates.push((route, asked));
    }
}

/// `client.ip = "192.0.2.1", id = 4`.
pub(super) fn show_reads(reads: &Map<String, Json>) -> String {
    reads.iter().map(|(n, v)| format!("{n} = {v}")).collect::<Vec<_>>().join(", ")
}
