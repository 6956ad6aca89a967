//! Servers that fail requests are left out for a while. Counted only where the program says `eject`.

use super::budget::Window;
use super::endpoint::{Endpoint, State, after, millis};
use super::error::ErrorKind;
use super::shared::Shared;
use crate::plan::EjectWhen;
use http::StatusCode;
use std::sync::PoisonError;
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

impl Shared {
    /// The same bounds when others have gone: some come back before their time, those first that were to come back first.
    pub(super) fn readmit(&self) {
        if !self.judges() {
            return;
        }
        let _alone = self.ejecting.lock().unwrap_or_else(PoisonError::into_inner);
        let set = self.set();
        let all = set.members.iter().map(|member| &member.endpoint);
        let mut ejected: Vec<_> = all.clone().filter(|endpoint| endpoint.is_ejected()).collect();
        // Who fails health checks would not be used.
        ejected.sort_by_key(|endpoint| (!endpoint.is_healthy(), endpoint.ejection.until.load(Relaxed)));
        let nobody = || all.clone().all(|endpoint| endpoint.state() == State::Down);
        let mut left = ejected.len();
        for endpoint in ejected {
            if left <= set.members.len() / 2 && !(endpoint.is_healthy() && nobody()) {
                return;
            }
            endpoint.readmit();
            left -= 1;
        }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Eject;
    use crate::upstream::config::{Config, Host};
    use crate::upstream::shared::Candidate;
    use crate::upstream::tests::config;
    use std::sync::Arc;

    const FAILED: Option<&str> = Some("500");

    /// Six addresses of one name, whose servers are ejected for one failure.
    fn six() -> (Arc<Shared>, Vec<Candidate>) {
        let mut config: Config = config(([127, 0, 0, 1], 80).into());
        config.servers[0].host = Host::Name("app.test".into());
        config.eject = Some(Eject { when: EjectWhen::Failures(1), period: Duration::from_secs(60) });
        let server = config.servers[0].clone();
        let at = |n| Candidate { server: server.clone(), address: ([10, 0, 0, n], 80).into(), weight: 1, tier: 0 };
        let candidates: Vec<_> = (1..=6).map(at).collect();
        let shared = Shared::new(config, 1, None).unwrap();
        shared.publish(0, Ok(candidates.clone()));
        (shared, candidates)
    }

    /// The last numbers of the addresses that are out.
    fn out(shared: &Shared) -> Vec<String> {
        let set = shared.set();
        let ejected = set.members.iter().filter(|member| member.endpoint.is_ejected());
        ejected.map(|member| member.endpoint.address.ip().to_string().replace("10.0.0.", "")).collect()
    }

    #[test]
    fn bounds_hold_when_dns_takes_others_away() {
        let (shared, candidates) = six();
        let set = shared.set();
        for member in &set.members {
            shared.judge(&member.endpoint, FAILED);
            // The first is out for longest.
            set.members[0].endpoint.ejection.until.store(after(Duration::from_secs(600)), Relaxed);
        }
        assert_eq!(out(&shared), ["1", "2", "3"]);
        shared.publish(0, Ok(candidates[..5].to_vec()));
        assert_eq!(out(&shared), ["1", "3"]);
        shared.publish(0, Ok(candidates[..3].to_vec()));
        assert_eq!(out(&shared), ["1"]);
        shared.publish(0, Ok(candidates[..1].to_vec()));
        assert_eq!(out(&shared), [""; 0]);
    }

    #[test]
    fn who_fails_requests_is_better_than_nobody() {
        let (shared, _) = six();
        let set = shared.set();
        set.members[..3].iter().for_each(|member| shared.judge(&member.endpoint, FAILED));
        for (n, still) in [(0, 3), (3, 3), (4, 3), (5, 2), (1, 1), (2, 1)] {
            set.members[n].endpoint.set_healthy(false);
            shared.readmit();
            assert_eq!(out(&shared).len(), still, "without {n}");
        }
        // It would not be used anyway.
        assert_eq!(out(&shared), ["1"]);
    }
}
