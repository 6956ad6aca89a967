//! Changing what is served.

use super::changes::{Changes, Kept};
use super::inherit::Inherited;
use super::{Failure, Gateway, generation, log_problems, read};
use std::sync::Arc;

impl Gateway {
    /// Reads the program again, and serves it if it is good.
    pub(super) async fn reload(&mut self) {
        if self.options.root.as_os_str() == "-" {
            tracing::warn!("a program from standard input cannot be read again");
            return;
        }
        if let Err(failures) = self.try_reload().await {
            for failure in failures {
                tracing::error!("not reloaded: {failure}; what was served before is served still");
            }
        }
    }

    async fn try_reload(&mut self) -> Result<(), Failure> {
        let (program, plan) = read(&self.options, &mut self.watcher, &mut self.origins, Some(&self.generation.plan))?;
        let options = &self.options;
        if program.means_the_same(&self.program) {
            self.program = program;
            tracing::info!("nothing changed: the program means the same");
            return Ok(());
        }
        let old = self.generation.clone();
        let (generation, problems) = generation(plan, Some(&old), self.acme.issued(), options.workers)?;
        let generation = Arc::new(generation);
        let bound = self.sockets.missing(&generation.plan, &mut Inherited::default(), options.workers)?;
        self.hand_out(generation.clone(), bound).await?;
        self.program = program;
        log_problems(&problems);
        let changes = Changes::between(&old.plan, &generation.plan);
        changes.iter().for_each(|change| tracing::info!("{change}"));
        let kept = Kept::between(&old, &generation);
        tracing::info!(
            changes = changes.iter().count(),
            kept_listeners = kept.listeners,
            kept_upstreams = kept.upstreams,
            kept_limits = kept.limits,
            "reloaded"
        );
        Ok(())
    }

    /// Reads tables and keys again: a file has changed, or it is time to look.
    pub(super) async fn refresh(&mut self, has_changed: bool) {
        let (generation, problems) = self.generation.with_fresh_materials(self.options.workers);
        log_problems(&problems);
        let (generation, old) = (Arc::new(generation), self.generation.clone());
        match self.hand_out(generation.clone(), Vec::new()).await {
            Ok(()) => {
                for listener in generation.with_new_certificates(&old) {
                    tracing::info!(listener, "new certificates");
                }
                match has_changed {
                    true => tracing::info!("tables and keys were read again"),
                    false => tracing::debug!("tables and keys were read again, as it was time to"),
                }
            }
            Err(failures) => failures.iter().for_each(|failure| tracing::error!("{failure}")),
        }
    }
}
