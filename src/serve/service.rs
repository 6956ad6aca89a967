//! What a service manager is told (sd_notify(3)). Without one nothing is sent.

use sd_notify::NotifyState as State;
use std::time::Duration;

/// It serves.
pub fn ready(status: &str) {
    tell(&[State::Ready, State::Status(status)]);
}

/// It reads its program again; [`ready`] follows, however that ends.
pub fn reloading() {
    match State::monotonic_usec_now() {
        Ok(now) => tell(&[State::Reloading, now]),
        Err(error) => tracing::warn!("the service manager is not told of the reload: {error}"),
    }
}

/// It drains.
pub fn stopping() {
    tell(&[State::Stopping, State::Status("draining: requests in flight end")]);
}

/// Another process is the service from now on.
pub fn succeeded_by(process: u32) {
    tell(&[State::MainPid(process), State::Ready, State::Status("serving, as a new process")]);
}

/// How often the manager wants to hear that all is well: twice in the time after which it would end the process.
pub fn watchdog() -> Option<Duration> {
    sd_notify::watchdog_enabled().map(|limit| limit / 2)
}

/// All is well.
pub fn well() {
    tell(&[State::Watchdog]);
}

fn tell(states: &[State<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::warn!("the service manager cannot be told: {error}");
    }
}
