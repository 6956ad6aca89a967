//! When certificates are renewed, and how long a failure is waited out.

use super::certificate::Validity;
use std::time::{Duration, SystemTime};

/// Between two orders of a name, whatever its certificate says.
pub(super) const LEAST: Duration = Duration::from_secs(2);
/// The longest nap: clocks change and machines sleep.
pub(super) const NAP: Duration = Duration::from_secs(60 * 60);
/// Between two questions about renewal (RFC 9773, 4.3) at least, and at most.
const ASK_LEAST: Duration = Duration::from_secs(60 * 60);
const ASK_MOST: Duration = Duration::from_secs(24 * 60 * 60);
/// A failure of the way to the CA is waited out for at most so long.
const UNREACHED_MOST: Duration = Duration::from_secs(15 * 60);
/// A failure that the CA may count against us, likewise. Let's Encrypt allows five an hour for each name.
const REFUSED_FIRST: Duration = Duration::from_secs(5 * 60);
const REFUSED_MOST: Duration = Duration::from_secs(12 * 60 * 60);

/// From so many refusals on, a restart does not ask at once either.
pub(super) const PATIENT: u32 = 3;

/// What went wrong, as far as it tells when to try again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// The CA was not reached, or something failed here: trying costs nobody anything.
    Here,
    /// The CA said no.
    Refused,
    /// The CA said that it is asked too often.
    TooOften,
}

/// When a certificate is renewed: at two thirds of its time, and up to a thirtieth earlier, so that many do not all come at
/// once. `dice` is in 0..1.
pub(super) fn renewal(validity: Validity, dice: f64) -> SystemTime {
    let life = validity.ends.duration_since(validity.begins).unwrap_or_default();
    let after = life.mul_f64(2.0 / 3.0 - dice.clamp(0.0, 1.0) / 30.0);
    validity.begins.checked_add(after).unwrap_or(validity.ends)
}

/// A moment of the window that a CA suggests, by `dice`.
pub(super) fn moment(begins: SystemTime, ends: SystemTime, dice: f64) -> SystemTime {
    let length = ends.duration_since(begins).unwrap_or_default();
    begins.checked_add(length.mul_f64(dice.clamp(0.0, 1.0))).unwrap_or(begins)
}

/// How long until a CA is asked again about renewal.
pub(super) fn ask_again(retry_after: Duration) -> Duration {
    retry_after.clamp(ASK_LEAST, ASK_MOST)
}

/// How long to wait after so many failures in a row.
pub(super) fn pause(failures: u32, kind: Kind, dice: f64) -> Duration {
    let doublings = failures.saturating_sub(1).min(16);
    let doubled = |first: Duration| first.saturating_mul(1u32.checked_shl(doublings).unwrap_or(u32::MAX));
    let pause = match kind {
        Kind::Here => doubled(LEAST).min(UNREACHED_MOST),
        Kind::Refused => doubled(REFUSED_FIRST).min(REFUSED_MOST),
        Kind::TooOften => doubled(REFUSED_FIRST.saturating_mul(12)).min(REFUSED_MOST),
    };
    pause.mul_f64(1.0 + 0.2 * dice.clamp(0.0, 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
    }

    const HOUR: Duration = Duration::from_secs(3600);

    #[test]
    fn certificates_are_renewed_at_two_thirds_of_their_time() {
        let validity = Validity { begins: at(100), ends: at(100 + 90 * 86_400) };
        assert_eq!(renewal(validity, 0.0), at(100 + 60 * 86_400));
        assert_eq!(renewal(validity, 1.0), at(100 + 57 * 86_400));
        // A clock that is wrong is no reason to panic.
        assert_eq!(renewal(Validity { begins: at(10), ends: at(5) }, 0.5), at(10));
    }

    #[test]
    fn a_window_gives_a_moment_in_it() {
        assert_eq!(moment(at(10), at(20), 0.0), at(10));
        assert_eq!(moment(at(10), at(20), 0.5), at(15));
        assert_eq!(moment(at(20), at(10), 0.5), at(20));
        assert_eq!(ask_again(Duration::ZERO), HOUR);
        assert_eq!(ask_again(6 * HOUR), 6 * HOUR);
        assert_eq!(ask_again(400 * HOUR), 24 * HOUR);
    }

    #[test]
    fn a_ca_that_says_no_is_asked_less_and_less() {
        let pauses = |kind| [1, 2, 3, 40].map(|failures| pause(failures, kind, 0.0).as_secs());
        assert_eq!(pauses(Kind::Here), [2, 4, 8, 900]);
        assert_eq!(pauses(Kind::Refused), [300, 600, 1200, 43_200]);
        assert_eq!(pauses(Kind::TooOften), [3600, 7200, 14_400, 43_200]);
        assert!(pause(1, Kind::Refused, 1.0) > pause(1, Kind::Refused, 0.0));
        // In the first hour: within what Let's Encrypt allows for failures.
        let mut passed = 0;
        let tries = (1..)
            .take_while(|&n| {
                passed += pause(n, Kind::Refused, 0.0).as_secs();
                passed < 3600
            })
            .count();
        assert!(tries < 5, "{tries}");
    }
}
