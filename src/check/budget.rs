//! Timeouts and retries checked against each other, with the arithmetic.

use super::Compiler;
use super::scope::Block;
use crate::diagnostic::{Code, Diagnostic};
use crate::model::ast::{self, StatementKind};
use crate::plan::{Route, Target, TimeoutParts, UpstreamId, defaults};
use crate::source::Span;
use std::rc::Rc;
use std::time::Duration;

impl<'p> Compiler<'p> {
    /// Failures are named that are worth another attempt, and nothing says how many attempts there may be.
    pub(super) fn uncounted(&mut self, route: &Route, blocks: &[Rc<Block<'p>>]) {
        if route.inbound.retries.iter().any(|r| !r.guards.is_empty()) {
            return;
        }
        let said = route.inbound.retries.iter();
        let said = said.fold(crate::plan::RetryParts::default(), |inner, r| inner.or(&r.what));
        for id in targets(&route.target) {
            let upstream = &self.plan.upstreams[id.index()];
            let retry = said.clone().or(&upstream.retry);
            if retry.count.is_some() || retry.on.is_none() {
                continue;
            }
            let own = blocks.iter().rev().flat_map(|b| &b.statements).find_map(|f| match &f.statement.kind {
                StatementKind::Retry(r) => Some(r),
                _ => None,
            });
            let written =
                self.program.upstreams.iter().filter(|u| u.name.as_ref().is_some_and(|n| n.text == upstream.name));
            let of_upstream = written.chain(&self.program.upstream_defaults).find_map(|u| u.retry.as_ref());
            let Some(at) = own.or(of_upstream) else { continue };
            self.d.push(
                Diagnostic::new(Code::W0706, at.span, "nothing is ever tried again: the number of retries is missing")
                    .label("says on what, and not how often")
                    .help("write `retry 1 on …`"),
            );
        }
    }

    /// A response timeout that the total cuts off, and retries that cannot fit into it.
    pub(super) fn budget(&mut self, route: &Route, r: &'p ast::Route, blocks: &[Rc<Block<'p>>]) {
        if route.inbound.timeouts.iter().any(|t| !t.guards.is_empty()) {
            return;
        }
        let said = route.inbound.timeouts.iter().fold(TimeoutParts::default(), |inner, t| inner.or(t.what));
        let Some(total) = said
            .total
            .or_else(|| targets(&route.target).iter().find_map(|u| self.plan.upstreams[u.index()].timeouts.total))
        else {
            return;
        };
        let place = |part: fn(&ast::Timeouts) -> &Option<ast::Expr>| -> Option<Span> {
            blocks.iter().rev().flat_map(|b| &b.statements).find_map(|f| match &f.statement.kind {
                StatementKind::Timeout(Some(t)) => part(t).as_ref().map(|e| e.span),
                _ => None,
            })
        };
        let total_place = place(|t| &t.total).unwrap_or(r.span);
        for (word, part, at) in
            [("response", said.response, place(|t| &t.response)), ("connect", said.connect, place(|t| &t.connect))]
        {
            let (Some(part), Some(at)) = (part, at) else { continue };
            if part > total {
                self.d.push(
                    Diagnostic::new(Code::E0704, at, format!("`timeout {word}` can never be reached"))
                        .label(format!("{} is longer than the total", shown(part)))
                        .also(total_place, format!("the whole exchange ends after {}", shown(total)))
                        .help(format!("make the total longer than {}, or `{word}` shorter", shown(part))),
                );
                return;
            }
        }
        for id in targets(&route.target) {
            let upstream = &self.plan.upstreams[id.index()];
            let retry = route
                .inbound
                .retries
                .iter()
                .fold(Default::default(), |inner: crate::plan::RetryParts, r| inner.or(&r.what))
                .or(&upstream.retry);
            let timeouts = said.or_upstream(upstream.timeouts);
            let (Some(response), count) = (timeouts.response, retry.count.unwrap_or(defaults::RETRIES)) else {
                continue;
            };
            let explicit = said.response.is_some() || upstream.timeouts.response != Some(defaults::RESPONSE);
            if count == 0 || !explicit {
                continue;
            }
            let attempts = count + 1;
            let one = response.saturating_add(timeouts.connect.filter(|c| *c != defaults::CONNECT).unwrap_or_default());
            let pauses = retry.backoff.unwrap_or(defaults::BACKOFF).0.saturating_mul(count);
            let all = one.saturating_mul(attempts).saturating_add(pauses);
            if all > total {
                let fit = (total.as_millis() / one.as_millis().max(1)).max(1);
                let name = upstream.name.clone();
                let written = self.program.upstreams.iter().find(|u| u.name.as_ref().is_some_and(|n| n.text == name));
                let of_upstream = written.and_then(|u| u.retry.as_ref()).map(|r| r.span);
                let at = blocks.iter().rev().flat_map(|b| &b.statements).find_map(|f| match &f.statement.kind {
                    StatementKind::Retry(r) => Some(r.span),
                    _ => None,
                });
                self.d.push(
                    Diagnostic::new(
                        Code::W0705,
                        at.or(of_upstream).unwrap_or(total_place),
                        format!("{attempts} attempts at `{name}` do not fit into the total of {}", shown(total)),
                    )
                    .label(format!("{attempts} × {} + {} of pauses = {}", shown(one), shown(pauses), shown(all)))
                    .also(total_place, format!("after {} nothing is tried again", shown(total)))
                    .help(format!(
                        "when each attempt times out only {fit} fit{}: make the total {}, the response timeout shorter, or retry less",
                        if fit == 1 { "s" } else { "" },
                        shown(all)
                    )),
                );
                return;
            }
        }
    }
}

/// Every upstream that a target can reach.
pub(super) fn targets(target: &Target) -> Vec<UpstreamId> {
    match target {
        Target::Forward(f) => f.to.iter().map(|(_, id)| id).collect(),
        Target::Choice { then, otherwise, .. } => {
            let mut all = targets(then);
            all.extend(targets(otherwise));
            all
        }
        _ => Vec::new(),
    }
}

/// `2s`, `250ms`, `1m30s`.
pub(super) fn shown(d: Duration) -> String {
    let ms = d.as_millis();
    match ms {
        0..1000 => format!("{ms}ms"),
        _ if !ms.is_multiple_of(1000) => format!("{}s", ms as f64 / 1000.0),
        _ if ms < 60_000 || !ms.is_multiple_of(60_000) => format!("{}s", ms / 1000),
        _ => format!("{}m", ms / 60_000),
    }
}
