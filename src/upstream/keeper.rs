//! What upstreams need besides requests: names followed, servers asked whether they are well,
//! tokens fetched. One thread for the process,
//! begun when the first upstream needs it.

use super::config::Host;
use super::resolve::{self, Resolver};
use super::shared::Shared;
use super::timer::Timer;
use super::{health, oauth};
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

/// Keeps the upstreams of the program that is served.
pub struct Keeper {
    resolver: Option<SocketAddr>,
    thread: Option<mpsc::UnboundedSender<Vec<Arc<Shared>>>>,
}

impl Keeper {
    /// A keeper that has nothing to do. `resolver` is asked for names instead of the system's servers.
    #[must_use]
    pub fn new(resolver: Option<SocketAddr>) -> Self {
        Self { resolver, thread: None }
    }

    /// Keeps these from now on, and others no longer.
    ///
    /// # Errors
    /// A thread cannot be started.
    pub fn keep(&mut self, all: impl Iterator<Item = Arc<Shared>>) -> io::Result<()> {
        let all: Vec<_> = all.filter(|shared| needs_keeping(shared)).collect();
        if self.thread.is_none() && all.is_empty() {
            return Ok(());
        }
        if self.thread.is_none() {
            let (sender, commands) = mpsc::unbounded_channel();
            let resolver = self.resolver;
            std::thread::Builder::new().name("gw-keeper".into()).spawn(move || {
                if let Err(error) = run(resolver, commands) {
                    tracing::error!("names cannot be followed and servers not be checked: {error}");
                }
            })?;
            self.thread = Some(sender);
        }
        if let Some(thread) = &self.thread {
            // A thread that is gone has said why.
            let _ = thread.send(all);
        }
        Ok(())
    }
}

fn needs_keeping(shared: &Shared) -> bool {
    shared.config.is_dynamic() || shared.config.health.is_some() || shared.oauth().is_some()
}

fn run(server: Option<SocketAddr>, mut commands: mpsc::UnboundedReceiver<Vec<Arc<Shared>>>) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build_local(tokio::runtime::LocalOptions::default())?;
    runtime.block_on(async {
        let (resolver, timer) = (Rc::new(Resolver::new(server)), Timer::new());
        let mut kept: Vec<Kept> = Vec::new();
        while let Some(all) = commands.recv().await {
            kept.retain(|kept| all.iter().any(|shared| Arc::ptr_eq(shared, &kept.shared)));
            for shared in all {
                if !kept.iter().any(|kept| Arc::ptr_eq(&kept.shared, &shared)) {
                    kept.push(Kept::begin(shared, &resolver, &timer));
                }
            }
        }
    });
    Ok(())
}

/// An upstream that is kept, and the tasks that do it. They end with it.
struct Kept {
    shared: Arc<Shared>,
    tasks: Vec<JoinHandle<()>>,
}

impl Kept {
    fn begin(shared: Arc<Shared>, resolver: &Rc<Resolver>, timer: &Timer) -> Kept {
        let mut tasks = follow(&shared, resolver);
        if shared.config.health.is_some() {
            tasks.push(tokio::task::spawn_local(health::watch(shared.clone(), timer.clone())));
        }
        if let Some(oauth) = shared.oauth() {
            tasks.append(&mut follow(&oauth.endpoint, resolver));
            tasks.push(tokio::task::spawn_local(oauth::keep(oauth.clone(), timer.clone())));
        }
        Kept { shared, tasks }
    }
}

/// Follows the names of its servers.
fn follow(shared: &Arc<Shared>, resolver: &Rc<Resolver>) -> Vec<JoinHandle<()>> {
    let names = shared.config.servers.iter().enumerate();
    let names = names.filter(|(_, server)| !matches!(server.host, Host::Ip(_)));
    let names = names.map(|(at, _)| tokio::task::spawn_local(resolve::follow(shared.clone(), at, resolver.clone())));
    names.collect()
}

impl Drop for Kept {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}
