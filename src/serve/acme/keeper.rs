//! Keeps the certificate of one name: reads it, orders it, renews it in time.

use super::Shown;
use super::ca::Ca;
use super::certificate::{self, Issued};
use super::schedule::{self, Kind, NAP};
use super::trouble::Trouble;
use smol_str::SmolStr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};

/// An order may take so long.
const ORDER: Duration = Duration::from_secs(10 * 60);
/// A certificate that could not be written is written again after so long.
const SAVE_AGAIN: Duration = Duration::from_secs(5 * 60);

/// Keeps one name.
pub(super) struct Keeper {
    ca: Arc<Ca>,
    name: SmolStr,
    shown: Shown,
    /// How many orders are under way at once.
    turns: Arc<Semaphore>,
    held: Option<Held>,
    /// How often it failed since the last certificate.
    failures: u32,
}

struct Held {
    issued: Issued,
    /// It is on disk.
    saved: bool,
    /// When it is renewed.
    due: SystemTime,
    /// The CA is asked then whether it suggests another time.
    ask: SystemTime,
    /// From when until when the CA suggests.
    window: Option<(SystemTime, SystemTime)>,
}

impl Held {
    fn new(issued: Issued, saved: bool) -> Held {
        let due = schedule::renewal(issued.validity, fastrand::f64());
        Held { issued, saved, due, ask: SystemTime::UNIX_EPOCH, window: None }
    }
}

impl Keeper {
    /// What is on disk serves from now on, or a stand-in.
    pub fn new(ca: Arc<Ca>, name: SmolStr, shown: Shown, turns: Arc<Semaphore>) -> Keeper {
        let mut keeper = Keeper { ca, name, shown, turns, held: None, failures: 0 };
        keeper.look();
        if keeper.held.is_none() {
            match certificate::stand_in(&keeper.name) {
                Ok(stand_in) => keeper.shown.issued.put(&keeper.name, stand_in),
                Err(error) => tracing::error!(name = %keeper.name, "acme: no stand-in: {error}"),
            }
        }
        keeper
    }

    /// Forever.
    pub async fn run(mut self) {
        self.rest().await;
        loop {
            self.wait().await;
            let Ok(turn) = self.turns.clone().acquire_owned().await else { return };
            let outcome = match timeout(ORDER, self.renew()).await {
                Ok(outcome) => outcome,
                Err(_) => Err(Trouble::here("the CA takes too long")),
            };
            drop(turn);
            let pause = match outcome {
                Ok(()) => {
                    self.failures = 0;
                    self.remember();
                    schedule::LEAST
                }
                Err(trouble) => {
                    self.failures = self.failures.saturating_add(1);
                    let pause = schedule::pause(self.failures, trouble.kind, fastrand::f64());
                    self.complain(&trouble, pause);
                    if trouble.kind != Kind::Here {
                        self.remember();
                    }
                    pause
                }
            };
            sleep(pause).await;
        }
    }

    fn remember(&self) {
        if let Err(error) = self.ca.store.keep_failures(&self.name, self.failures) {
            tracing::warn!(name = %self.name, "acme: {error}");
        }
    }

    /// What is left of a pause from before a restart.
    async fn rest(&mut self) {
        let Some((failures, at)) = self.ca.store.failures(&self.name) else { return };
        self.failures = failures;
        if failures < schedule::PATIENT {
            return;
        }
        let until = at.checked_add(schedule::pause(failures, Kind::Refused, 0.0)).unwrap_or(at);
        let Ok(left) = until.duration_since(SystemTime::now()) else { return };
        tracing::warn!(
            name = %self.name,
            again_in_seconds = left.as_secs(),
            "acme: the CA has refused {failures} times: a restart does not ask at once; `{}` remembers it",
            self.ca.store.failures_file(&self.name).display()
        );
        sleep(left).await;
    }

    /// Until the certificate is due.
    async fn wait(&mut self) {
        loop {
            let now = SystemTime::now();
            let Some(held) = &mut self.held else { return };
            if !held.saved {
                held.saved = self.ca.store.keep_certificate(&self.name, &held.issued.pem).is_ok();
            }
            if held.ask <= now {
                self.ask().await;
            }
            let Some(held) = &self.held else { return };
            let Ok(left) = held.due.duration_since(SystemTime::now()) else { return };
            if left.is_zero() {
                return;
            }
            sleep(left.min(if held.saved { NAP } else { SAVE_AGAIN })).await;
        }
    }

    /// Asks the CA when it would have the certificate renewed.
    pub(super) async fn ask(&mut self) {
        let Some(held) = &mut self.held else { return };
        let suggested = timeout(Duration::from_secs(60), self.ca.window(&self.name, &held.issued)).await.ok().flatten();
        let again = match suggested {
            Some((begins, ends, again)) => {
                // One window gives one moment, however often it is asked for.
                if held.window != Some((begins, ends)) {
                    held.window = Some((begins, ends));
                    held.due = schedule::moment(begins, ends, fastrand::f64());
                }
                schedule::ask_again(again)
            }
            None => schedule::ask_again(Duration::ZERO),
        };
        held.ask = SystemTime::now().checked_add(again).unwrap_or(held.due);
    }

    /// When it is renewed next.
    #[cfg(test)]
    pub(super) fn due(&self) -> Option<SystemTime> {
        self.held.as_ref().map(|held| held.due)
    }

    /// A new certificate: another process's, or ordered now.
    async fn renew(&mut self) -> Result<(), Trouble> {
        let _lock = self.ca.store.lock(&self.name).await.map_err(Trouble::here)?;
        if self.look() && self.held.as_ref().is_some_and(|held| held.due > SystemTime::now()) {
            return Ok(());
        }
        tracing::info!(name = %self.name, ca = self.ca.issuer.directory.as_str(), "acme: ordering a certificate");
        let old = self.held.as_ref().map(|held| &held.issued);
        let issued = self.ca.order(&self.name, old, &self.shown.challenges).await?;
        let now = SystemTime::now();
        let (begins, ends) = (issued.validity.begins, issued.validity.ends);
        if ends <= now {
            let advice = Some("is the clock of this machine right?".to_owned());
            return Err(Trouble {
                kind: Kind::Refused,
                advice,
                ..Trouble::here("the new certificate is over already")
            });
        }
        let saved = self.ca.store.keep_certificate(&self.name, &issued.pem);
        if let Err(error) = &saved {
            tracing::error!(
                name = %self.name,
                "acme: {error}; the certificate serves, and would be ordered again after a restart"
            );
        }
        self.shown.issued.put(&self.name, issued.certified.clone());
        let held = Held::new(issued, saved.is_ok());
        tracing::info!(
            name = %self.name,
            from = %time(begins),
            until = %time(ends),
            renewal = %time(held.due),
            "acme: a new certificate serves"
        );
        self.held = Some(held);
        Ok(())
    }

    /// Takes what is on disk if it is better than what is held; whether it was.
    fn look(&mut self) -> bool {
        let read = self.ca.store.certificate(&self.name).and_then(|pem| match pem {
            Some(pem) => Issued::read(pem, &self.name).map(Some),
            None => Ok(None),
        });
        match read {
            Ok(Some(issued)) => {
                let better = self.held.as_ref().is_none_or(|held| issued.validity.ends > held.issued.validity.ends);
                if better {
                    self.shown.issued.put(&self.name, issued.certified.clone());
                    self.held = Some(Held::new(issued, true));
                }
                better
            }
            Ok(None) => false,
            Err(error) => {
                tracing::warn!(name = %self.name, "acme: the certificate that is kept cannot be used: {error}");
                false
            }
        }
    }

    fn complain(&self, trouble: &Trouble, pause: Duration) {
        let serves = match &self.held {
            None => "a self-signed stand-in serves".to_owned(),
            Some(held) if held.issued.validity.ends <= SystemTime::now() => {
                format!("the certificate that ended at {} serves", time(held.issued.validity.ends))
            }
            Some(held) => format!("the one from before serves until {}", time(held.issued.validity.ends)),
        };
        let what = &trouble.what;
        let advice = trouble.advice.as_ref().map_or_else(String::new, |advice| format!("; {advice}"));
        tracing::error!(
            name = %self.name,
            again_in_seconds = pause.as_secs(),
            "acme: no new certificate: {what}{advice}; {serves}"
        );
    }
}

/// As logs have times.
fn time(at: SystemTime) -> jiff::Timestamp {
    let seconds = at.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs());
    i64::try_from(seconds).ok().and_then(|s| jiff::Timestamp::from_second(s).ok()).unwrap_or_default()
}
