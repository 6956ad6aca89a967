//! Servers that fail requests are left out for a while. Counted only where the program says `eject`.

use super::budget::Window;
use super::endpoint::{Endpoint, State, after, millis};
use super::error::ErrorKind;
use super::shared::Shared;
use crate::plan::EjectWhen;
use http::StatusCode;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicU32, AtomicU64};
use std::time::Duration;

/// Requests within the window before a share of them says anything.
const ENOUGH: u64 = 20;
/// A server that is ejected again and again stays out so many times as long at most.
const LONGEST: u32 = 10;

/// What is known of the failures of an endpoint.
#[derive(Debug, Default)]
pub(super) struct Ejection {
    /// Failures in a row.
    failures: AtomicU32,
    /// Requests and failures of late.
    window: Window,
    /// When it ends or ended, and how long it is or was, in milliseconds.
    until: AtomicU64,
    length: AtomicU64,
    /// How often it was ejected without a time of peace in between.
    times: AtomicU32,
}

impl Ejection {
    pub(super) fn is_over(&self) -> bool {
        millis() >= self.until.load(Relaxed)
    }

    /// The first time `period`, and each time longer by as much. Who has been in for as long as it was out begins anew.
    pub(super) fn begin(&self, period: Duration) -> Duration {
        let peace = millis().saturating_sub(self.until.load(Relaxed));
        let before = if peace > self.length.load(Relaxed) { 0 } else { self.times.load(Relaxed) };
        let times = before.saturating_add(1).min(LONGEST);
        let length = period.saturating_mul(times);
        self.times.store(times, Relaxed);
        self.length.store(u64::try_from(length.as_millis()).unwrap_or(u64::MAX), Relaxed);
        self.until.store(after(length), Relaxed);
        self.failures.store(0, Relaxed);
        self.window.clear();
        length
    }
}

impl Shared {
    /// Somebody looks at failures.
    #[inline]
    #[must_use]
    pub fn judges(&self) -> bool {
        self.config.eject.is_some()
    }

    /// A request went well at this endpoint, or failed because of `failure`.
    pub fn judge(&self, endpoint: &Endpoint, failure: Option<&str>) {
        let Some(eject) = self.config.eject else { return };
        let ejection = &endpoint.ejection;
        let reason = match (eject.when, failure) {
            (EjectWhen::Failures(_), None) => {
                if ejection.failures.load(Relaxed) != 0 {
                    ejection.failures.store(0, Relaxed);
                }
                return;
            }
            (EjectWhen::Failures(most), Some(last)) => {
                let failures = ejection.failures.fetch_add(1, Relaxed).saturating_add(1);
                if failures < most {
                    return;
                }
                format!("{failures} failures in a row, the last: {last}")
            }
            (EjectWhen::Share(share), failure) => {
                let second = self.second();
                ejection.window.count(second);
                let Some(last) = failure else { return };
                ejection.window.count_part(second);
                let (all, failed) = ejection.window.sum(second);
                if all < ENOUGH || failed as f64 * 100.0 <= share * all as f64 {
                    return;
                }
                format!("{failed} of {all} requests failed, the last: {last}")
            }
        };
        self.eject(endpoint, eject.period, &reason);
    }

    /// At most half of the endpoints, and never the last that can be used.
    fn eject(&self, endpoint: &Endpoint, period: Duration, reason: &str) {
        let Ok(_alone) = self.ejecting.try_lock() else { return };
        if endpoint.is_ejected() {
            return;
        }
        let set = self.set();
        let others = set.members.iter().map(|member| &member.endpoint).filter(|other| other.id != endpoint.id);
        let ejected = others.clone().filter(|other| other.is_ejected()).count();
        let usable = others.filter(|other| other.state() != State::Down).count();
        if usable == 0 || ejected + 1 > set.members.len() / 2 {
            return;
        }
        let length = endpoint.eject(period);
        let (server, address) = (endpoint.target.authority.as_str(), endpoint.address);
        let upstream = self.config.name.as_str();
        tracing::warn!(upstream, server, %address, seconds = length.as_secs_f64(), "server ejected: {reason}");
    }
}

/// Statuses that say that a server is not well. 501 and 505 are about the request.
#[must_use]
pub fn is_failure(status: StatusCode) -> bool {
    status.is_server_error()
        && status != StatusCode::NOT_IMPLEMENTED
        && status != StatusCode::HTTP_VERSION_NOT_SUPPORTED
}

/// Failures that are the server's, not the client's or the gateway's.
#[must_use]
pub fn is_servers(kind: ErrorKind) -> bool {
    use ErrorKind::{Dns, NoUpgrade, Overloaded, RequestBody, Unhealthy, Unprocessed, Unsendable};
    // A server that is shutting down says that it did nothing with a request.
    !matches!(kind, RequestBody | Overloaded | Unhealthy | Dns | Unprocessed | NoUpgrade | Unsendable)
}
