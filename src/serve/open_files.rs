//! Open files: as many as the system lets this process have, a share of them for clients, and a clear word when they end.

use crate::plan::Plan;
use std::io;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// What the process needs besides connections, and what each worker needs.
const OWN: u64 = 32;
const WORKER: u64 = 8;
/// How often the same is said.
const PAUSE: Duration = Duration::from_secs(60);

/// The limit, once it is raised.
static LIMIT: AtomicU64 = AtomicU64::new(u64::MAX);

/// Raises the limit to what the system allows, and gives it.
pub fn raise() -> u64 {
    let limit = rlimit::increase_nofile_limit(u64::MAX).or_else(|error| {
        tracing::warn!("cannot raise the limit of open files: {error}");
        rlimit::Resource::NOFILE.get_soft()
    });
    let limit = limit.unwrap_or(u64::MAX);
    LIMIT.store(limit, Relaxed);
    limit
}

/// How many clients may be connected: three of four files, so that there are some for servers, keys and reloads.
pub fn clients(limit: u64, workers: usize) -> usize {
    let workers = u64::try_from(workers).unwrap_or(u64::MAX);
    let own = OWN.saturating_add(workers.saturating_mul(WORKER));
    usize::try_from(limit.saturating_sub(own) / 4 * 3).unwrap_or(usize::MAX).max(1)
}

/// A sentence if the listeners promise more connections than there can be.
pub fn too_few(plan: &Plan, limit: u64, workers: usize) -> Option<String> {
    let most = clients(limit, workers);
    let promised = plan.listeners.iter().filter_map(|listener| listener.max_connections).fold(0, usize::saturating_add);
    (promised > most).then(|| {
        format!(
            "`max connections` allows {promised} clients, but this process may open {limit} files, enough for {most} \
             clients and their servers; {REMEDY}"
        )
    })
}

const REMEDY: &str =
    "raise the limit: `LimitNOFILE=` of the service, `ulimit -Hn` of the shell, `--ulimit nofile=` of the container";

/// Says that a client was refused because too many files are open.
pub fn complain(listener: &str) {
    if may_speak() {
        let limit = LIMIT.load(Relaxed);
        tracing::error!(
            listener,
            limit,
            "connections are refused: this process may open {limit} files, and clients have their share of them; {REMEDY}"
        );
    }
}

/// Says why connections cannot be accepted.
pub fn cannot_accept(listener: &str, error: &io::Error) {
    if !may_speak() {
        return;
    }
    let limit = LIMIT.load(Relaxed);
    // EMFILE and ENFILE: the process's files and the system's.
    match error.raw_os_error() {
        Some(24) => tracing::error!(
            listener,
            limit,
            "connections wait: this process has {limit} files open and may open no more; {REMEDY}"
        ),
        Some(23) => tracing::error!(
            listener,
            "connections wait: the system may open no more files; raise `sysctl fs.file-max` or close what has them open"
        ),
        _ => tracing::error!(listener, %error, "connections wait: they cannot be accepted"),
    }
}

/// Once a minute, whoever asks.
fn may_speak() -> bool {
    static BEGAN: OnceLock<Instant> = OnceLock::new();
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let now = BEGAN.get_or_init(Instant::now).elapsed().as_secs();
    let next = NEXT.load(Relaxed);
    now >= next && NEXT.compare_exchange(next, now.saturating_add(PAUSE.as_secs()), Relaxed, Relaxed).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn some_files_are_left_for_servers() {
        assert_eq!(clients(1024, 2), 732);
        assert_eq!(clients(16, 2), 1);
        assert!(clients(u64::MAX, 2) > 1_000_000);
    }

    #[test]
    fn the_same_is_said_once_a_minute() {
        assert!(may_speak());
        assert!((0..1000).all(|_| !may_speak()));
    }
}
