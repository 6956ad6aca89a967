//! Serving: the process around the workers.
//!
//! The main thread reads the program, binds its addresses, starts a worker for each core and then only waits: for
//! signals, and for files that change. A reload makes a [`Generation`] and hands it to the workers; requests under way
//! end with the one they began with.
#![deny(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic))]

mod body;
mod changes;
mod client;
mod connection;
mod exchange;
mod generation;
mod guard;
mod host;
mod listen;
mod program;
mod request;
mod stream;
mod transport;
mod tunnel;
mod worker;
mod world;

use crate::diagnostic::render::Look;
use crate::load::watch::Watcher;
use crate::observe::access;
use crate::state::memory::MemoryCounters;
use crate::upstream::keeper::Keeper;
use changes::Changes;
use generation::Generation;
use listen::Bound;
use program::Program;
use smol_str::SmolStr;
use std::collections::BTreeSet;
use std::future::pending;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;
use worker::{Command, Setup};

/// What to serve, and how.
pub struct Options {
    /// The program's root file; `-` is standard input.
    pub root: PathBuf,
    /// A TOML file with inputs.
    pub inputs: Option<PathBuf>,
    /// Threads.
    pub workers: usize,
    /// How long requests in flight may take once the gateway is told to end.
    pub drain: Duration,
    /// The DNS server that is asked instead of the system's.
    pub resolver: Option<SocketAddr>,
    /// How diagnostics look on standard error.
    pub look: Look,
}

/// Why the gateway does not serve: sentences for whoever starts it. What is wrong with the program has been printed.
pub type Failure = Vec<String>;

/// Serves until a signal ends it.
pub fn run(options: Options) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| vec![error.to_string()])?;
    runtime.block_on(async {
        let mut gateway = Gateway::start(options).await?;
        gateway.serve().await
    })
}

struct Gateway {
    options: Options,
    program: Program,
    generation: Arc<Generation>,
    addresses: BTreeSet<SocketAddr>,
    workers: Vec<Running>,
    keeper: Keeper,
}

struct Running {
    commands: mpsc::UnboundedSender<Command>,
    thread: JoinHandle<()>,
}

impl Gateway {
    async fn start(options: Options) -> Result<Gateway, Failure> {
        let (program, plan) = Program::read(&options.root, options.inputs.as_deref(), options.look)?;
        let (generation, problems) =
            Generation::new(Arc::new(plan), None, options.workers).map_err(|error| vec![error])?;
        let fatal: Failure =
            problems.iter().filter(|problem| problem.fatal).map(|problem| problem.message.clone()).collect();
        if !fatal.is_empty() {
            return Err(fatal);
        }
        let bound = bind(listen::addresses(&generation.plan), options.workers)?;
        let counters = MemoryCounters::new(MemoryCounters::DEFAULT_CAPACITY);
        let instance: Arc<str> = instance().into();
        let workers = (0..options.workers).map(|number| {
            let (counters, instance) = (counters.clone(), instance.clone());
            spawn(number, Setup { counters, instance, access_log: access::is_on() })
        });
        let workers =
            workers.collect::<io::Result<_>>().map_err(|error| vec![format!("cannot start a thread: {error}")])?;
        let keeper = Keeper::new(options.resolver);
        let generation = Arc::new(generation);
        let mut gateway = Gateway { options, program, generation, addresses: BTreeSet::new(), workers, keeper };
        gateway.addresses.extend(bound.iter().map(|bound| bound.address));
        gateway.hand_out(bound).await?;
        log_problems(&problems);
        for (name, address) in listen::addresses(&gateway.generation.plan) {
            tracing::info!(listener = name.as_str(), address = %address, "listening");
        }
        tracing::info!(
            program = %gateway.options.root.display(),
            routes = gateway.generation.plan.routes.len(),
            workers = gateway.workers.len(),
            pid = std::process::id(),
            "ready"
        );
        Ok(gateway)
    }

    /// Hands the generation to the workers, with their shares of the new sockets, and waits until all serve it.
    async fn hand_out(&mut self, bound: Vec<Bound>) -> Result<(), Failure> {
        let kept = self.keeper.keep(self.generation.upstreams().cloned());
        kept.map_err(|error| vec![format!("cannot start a thread: {error}")])?;
        let (done, mut answers) = mpsc::unbounded_channel();
        let mut shares: Vec<Vec<worker::Socket>> = self.workers.iter().map(|_| Vec::new()).collect();
        for Bound { address, sockets, open } in bound {
            for (share, socket) in shares.iter_mut().zip(sockets) {
                share.push((address, socket, open.clone()));
            }
        }
        for (worker, share) in self.workers.iter().zip(shares) {
            // A worker that is gone is missed below.
            let _ = worker.commands.send(Command::Serve(self.generation.clone(), share, done.clone()));
        }
        drop(done);
        let (mut served, mut failures) = (0usize, Failure::new());
        while let Some(answer) = answers.recv().await {
            served = served.saturating_add(1);
            failures.extend(answer.err().map(|error| format!("a worker cannot serve: {error}")));
        }
        if served < self.workers.len() {
            failures.push("a worker has stopped".into());
        }
        if failures.is_empty() { Ok(()) } else { Err(failures) }
    }

    /// Serves until a signal says to end.
    async fn serve(&mut self) -> Result<(), Failure> {
        let listen = |kind| signal(kind).map_err(|error| vec![format!("cannot listen to signals: {error}")]);
        let (mut terminate, mut interrupt) = (listen(SignalKind::terminate())?, listen(SignalKind::interrupt())?);
        let mut hangup = listen(SignalKind::hangup())?;
        let mut watcher = match Watcher::new() {
            Ok(watcher) => Some(watcher),
            Err(error) => {
                tracing::warn!("{error}; send SIGHUP to reload");
                None
            }
        };
        loop {
            if let Some(watcher) = &mut watcher {
                watcher.watch(self.watched());
            }
            let changed = async {
                match &mut watcher {
                    Some(watcher) => watcher.changed().await,
                    None => pending().await,
                }
            };
            tokio::select! {
                biased;
                _ = terminate.recv() => break,
                _ = interrupt.recv() => break,
                _ = hangup.recv() => {
                    self.reload().await;
                    self.refresh().await;
                }
                files = changed => {
                    let plan = &self.generation.plan;
                    let (materials, programs): (Vec<_>, Vec<_>) =
                        files.into_iter().partition(|file| program::is_material(plan, file));
                    if !programs.is_empty() {
                        self.reload().await;
                    }
                    if !materials.is_empty() {
                        self.refresh().await;
                    }
                }
                () = every(self.period()) => self.refresh().await,
            }
        }
        self.drain(terminate, interrupt).await;
        Ok(())
    }

    /// Every file whose change matters.
    fn watched(&self) -> impl Iterator<Item = PathBuf> {
        let root = Some(&self.options.root).filter(|root| root.as_os_str() != "-");
        let own = root.into_iter().chain(&self.options.inputs).cloned();
        let plan = &self.generation.plan;
        let materials = plan.tables.iter().filter_map(|table| table.file.clone());
        own.chain(plan.watched.iter().cloned()).chain(materials)
    }

    /// How often tables are read whatever happens to their files.
    fn period(&self) -> Option<Duration> {
        self.generation.plan.tables.iter().filter(|table| table.file.is_some()).filter_map(|table| table.every).min()
    }

    /// Reads the program again, and serves it if it is good.
    async fn reload(&mut self) {
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
        let options = &self.options;
        let (program, plan) = Program::read(&options.root, options.inputs.as_deref(), options.look)?;
        if program == self.program {
            tracing::info!("nothing to reload: the program is the same");
            return Ok(());
        }
        let old = &self.generation;
        let (generation, problems) =
            Generation::new(Arc::new(plan), Some(old), options.workers).map_err(|error| vec![error])?;
        let fatal: Failure =
            problems.iter().filter(|problem| problem.fatal).map(|problem| problem.message.clone()).collect();
        if !fatal.is_empty() {
            return Err(fatal);
        }
        let new = listen::addresses(&generation.plan).filter(|(_, address)| !self.addresses.contains(address));
        let bound = bind(new, options.workers)?;
        log_problems(&problems);
        let changes = Changes::between(&old.plan, &generation.plan);
        self.addresses = listen::addresses(&generation.plan).map(|(_, address)| address).collect();
        self.program = program;
        self.generation = Arc::new(generation);
        self.hand_out(bound).await?;
        for change in changes.iter() {
            tracing::info!("{change}");
        }
        tracing::info!(changes = changes.iter().count(), "reloaded");
        Ok(())
    }

    /// Reads tables and keys again.
    async fn refresh(&mut self) {
        let (generation, problems) = self.generation.with_fresh_materials();
        log_problems(&problems);
        self.generation = Arc::new(generation);
        match self.hand_out(Vec::new()).await {
            Ok(()) => tracing::info!("tables and keys were read again"),
            Err(failures) => failures.iter().for_each(|failure| tracing::error!("{failure}")),
        }
    }

    /// Lets requests in flight end.
    async fn drain(&mut self, mut terminate: Signal, mut interrupt: Signal) {
        let seconds = self.options.drain.as_secs();
        tracing::info!(seconds, "draining: no more connections, requests in flight end");
        let (gone, mut all_gone) = mpsc::channel::<()>(1);
        for worker in self.workers.drain(..) {
            // Already gone is as good.
            let _ = worker.commands.send(Command::Drain);
            let gone = gone.clone();
            std::thread::spawn(move || {
                let panicked = worker.thread.join().is_err();
                drop(gone);
                if panicked {
                    tracing::error!("a worker has panicked");
                }
            });
        }
        drop(gone);
        tokio::select! {
            _ = all_gone.recv() => tracing::info!("drained"),
            () = tokio::time::sleep(self.options.drain) => tracing::warn!("not drained in time: the rest is cut off"),
            _ = terminate.recv() => tracing::warn!("a second signal: the rest is cut off"),
            _ = interrupt.recv() => tracing::warn!("a second signal: the rest is cut off"),
        }
    }
}

fn bind<'p>(addresses: impl Iterator<Item = (&'p SmolStr, SocketAddr)>, workers: usize) -> Result<Vec<Bound>, Failure> {
    let (mut bound, mut failures) = (Vec::<Bound>::new(), Failure::new());
    for (name, address) in addresses {
        match listen::bind(name, address, workers) {
            Ok(one) => bound.push(one),
            Err(error) => failures.push(error),
        }
    }
    if failures.is_empty() { Ok(bound) } else { Err(failures) }
}

fn spawn(number: usize, setup: Setup) -> io::Result<Running> {
    let (commands, received) = mpsc::unbounded_channel();
    let thread = std::thread::Builder::new().name(format!("gw-worker-{number}")).spawn(move || {
        if let Err(error) = worker::run(setup, received) {
            tracing::error!("a worker cannot run: {error}");
        }
    });
    Ok(Running { commands, thread: thread? })
}

fn log_problems(problems: &[crate::load::materials::Problem]) {
    for problem in problems {
        tracing::error!("{}", problem.message);
    }
}

async fn every(period: Option<Duration>) {
    match period {
        Some(period) => tokio::time::sleep(period.max(Duration::from_secs(1))).await,
        None => pending().await,
    }
}

/// The name of this process: the machine's and the process id.
fn instance() -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").ok();
    let host = host.or_else(|| std::env::var("HOSTNAME").ok());
    format!("{}-{}", host.as_deref().map_or("gw", str::trim), std::process::id())
}
