//! Serving: the process around the workers.
//!
//! The main thread reads the program, binds its addresses, starts a worker for each core and then only waits: for
//! signals, for files that change, for workers that fail. A reload makes a [`Generation`] and hands it to the workers;
//! requests under way end with the one they began with.
#![deny(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic))]

mod acme;
mod answers;
mod balance;
mod body;
mod changes;
mod chunks;
mod client;
mod connection;
mod crew;
mod exchange;
mod generation;
mod guard;
mod host;
mod http2;
mod inherit;
mod listen;
mod mirror;
mod open_files;
mod pace;
mod program;
mod proxy_protocol;
mod refused;
mod rehearsal;
mod reload;
mod request;
mod service;
mod sockets;
mod stream;
mod tls;
mod transport;
mod tunnel;
mod upgrade;
mod worker;
mod world;

use crate::diagnostic::render::Look;
use crate::load::materials::Problem;
use crate::load::watch::Watcher;
use crate::observe::access;
use crate::plan::Plan;
use crate::state::memory::MemoryCounters;
use crate::upstream::keeper::Keeper;
use acme::Acme;
use balance::Loads;
use crew::Crew;
use generation::Generation;
use inherit::Inherited;
use program::{Origins, Program};
use sockets::{Bound, Sockets};
use std::future::pending;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tls::Issued;
use tokio::signal::unix::{Signal, SignalKind, signal};
use upgrade::{Origin, Upgrade};
use worker::Setup;

pub use rehearsal::rehearse;

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
    /// How long a new binary may take until it serves.
    pub upgrade: Duration,
    /// How diagnostics look on standard error.
    pub look: Look,
}

/// Why the gateway does not serve: sentences for whoever starts it. What is wrong with the program has been printed.
pub type Failure = Vec<String>;

/// How long the workers have to log what is cut off.
const CUT_OFF: Duration = Duration::from_secs(1);

/// Serves until a signal ends it.
pub fn run(options: Options) -> Result<(), Failure> {
    let inherited = Inherited::from_env();
    let origin = Origin::of_this_process();
    tell_panics();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| vec![error.to_string()])?;
    runtime.block_on(async {
        let mut signals = Signals::new().map_err(|error| vec![format!("cannot listen to signals: {error}")])?;
        let mut gateway = Gateway::start(options, inherited).await?;
        gateway.serve(&mut signals, &origin).await
    })
}

struct Gateway {
    options: Options,
    program: Program,
    generation: Arc<Generation>,
    sockets: Sockets,
    crew: Crew,
    keeper: Keeper,
    /// None where the system cannot watch.
    watcher: Option<Watcher>,
    /// Where the program that was read last is from, good or bad.
    origins: Origins,
    acme: Acme,
}

/// From the beginning: what comes while the gateway starts is not lost, and does not end it.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
    upgrade: Signal,
}

impl Signals {
    fn new() -> std::io::Result<Signals> {
        Ok(Signals {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
            upgrade: signal(SignalKind::user_defined2())?,
        })
    }

    /// One that ends the process.
    async fn end(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

impl Gateway {
    async fn start(options: Options, mut inherited: Inherited) -> Result<Gateway, Failure> {
        let limit = open_files::raise();
        let mut watcher = Watcher::new().map_err(|error| tracing::warn!("{error}; send SIGHUP to reload")).ok();
        let mut origins = Origins::default();
        let (program, plan) = read(&options, &mut watcher, &mut origins, None)?;
        let workers = options.workers;
        let acme = Acme::default();
        let (generation, problems) = generation(plan, None, acme.issued(), workers)?;
        let bound = Sockets::default().missing(&generation.plan, &mut inherited, workers)?;
        let setup = Setup {
            counters: MemoryCounters::new(MemoryCounters::DEFAULT_CAPACITY),
            instance: instance().into(),
            challenges: acme.challenges().clone(),
            access_log: access::is_on(),
            loads: Arc::new(Loads::new(workers, open_files::clients(limit, workers))),
        };
        let crew = Crew::start(workers, setup).map_err(|error| vec![format!("cannot start a thread: {error}")])?;
        let generation = Arc::new(generation);
        let (sockets, keeper) = (Sockets::default(), Keeper::new(options.resolver));
        let mut gateway =
            Gateway { options, program, generation: generation.clone(), sockets, crew, keeper, watcher, origins, acme };
        gateway.hand_out(generation.clone(), bound).await?;
        log_problems(&problems);
        for (name, address) in listen::addresses(&generation.plan) {
            tracing::info!(listener = name.as_str(), address = %address, "listening");
        }
        if let Some(warning) = open_files::too_few(&generation.plan, limit, workers) {
            tracing::warn!("{warning}");
        }
        if !inherited.has_predecessor() {
            service::ready(&status(&generation));
        }
        inherited.settle().iter().for_each(|problem| tracing::warn!("{problem}"));
        tracing::info!(
            program = %gateway.options.root.display(),
            routes = generation.plan.routes.len(),
            workers,
            pid = std::process::id(),
            "ready"
        );
        Ok(gateway)
    }

    /// Serves `generation` from now on, also on new sockets. Everything that may fail is done first, and then nothing
    /// does: it is served by all workers or by none.
    async fn hand_out(&mut self, generation: Arc<Generation>, new: Vec<Bound>) -> Result<(), Failure> {
        let certificates = self.acme.prepare(&generation.plan)?;
        self.crew.prepare(&generation, &new).await?;
        if let Err(error) = self.keeper.keep(generation.upstreams().cloned()) {
            self.crew.abandon();
            return Err(vec![format!("cannot start a thread: {error}")]);
        }
        self.acme.keep(certificates);
        // A socket that goes is closed for good by the workers.
        self.sockets.settle(&generation.plan, new);
        self.generation = generation;
        self.crew.commit().await;
        Ok(())
    }

    /// Serves until a signal says to end, or another process takes over.
    async fn serve(&mut self, signals: &mut Signals, origin: &std::io::Result<Origin>) -> Result<(), Failure> {
        let watchdog = service::watchdog();
        let (mut well, mut refreshed) = (Instant::now(), Instant::now());
        loop {
            if let Some(watcher) = &mut self.watcher {
                let files = files(&self.options, &self.generation.plan).chain(self.origins.files.iter().cloned());
                watcher.watch(files, self.origins.imports.iter().cloned());
            }
            let changed = async {
                match &mut self.watcher {
                    Some(watcher) => watcher.changed().await,
                    None => pending().await,
                }
            };
            tokio::select! {
                biased;
                _ = signals.terminate.recv() => break,
                _ = signals.interrupt.recv() => break,
                number = self.crew.ended() => if let Err(failures) = self.restart(number).await {
                    self.drain(signals).await;
                    return Err(failures);
                },
                () = after(well, watchdog) => {
                    well = Instant::now();
                    self.report(watchdog).await;
                }
                _ = signals.upgrade.recv() => match self.upgrade(signals, origin).await {
                    Upgraded::No(why) => tracing::error!("no new process: {why}; this one serves as before"),
                    Upgraded::Ended => break,
                    Upgraded::By(process) => {
                        upgrade::hand_over(process);
                        self.drain(signals).await;
                        return Ok(());
                    }
                },
                _ = signals.hangup.recv() => {
                    self.read_again(true, true).await;
                    refreshed = Instant::now();
                }
                files = changed => {
                    let plan = &self.generation.plan;
                    let materials = files.iter().filter(|file| program::is_material(plan, file)).count();
                    self.read_again(materials < files.len(), materials > 0).await;
                }
                () = after(refreshed, period(&self.generation)) => {
                    self.refresh(false).await;
                    refreshed = Instant::now();
                }
            }
        }
        service::stopping();
        self.drain(signals).await;
        Ok(())
    }

    /// Tells the service manager that all is well, if it is.
    async fn report(&self, watchdog: Option<Duration>) {
        match self.crew.is_well(watchdog.unwrap_or(Duration::MAX)).await {
            true => service::well(),
            false => tracing::error!("a worker does not answer"),
        }
    }

    /// Reads the program, its tables and keys, or both.
    async fn read_again(&mut self, program: bool, materials: bool) {
        service::reloading();
        if program {
            self.reload().await;
        }
        if materials {
            self.refresh(true).await;
        }
        service::ready(&status(&self.generation));
    }

    /// Starts the binary that is now in place of this one, with these sockets. Until it serves nothing else happens here:
    /// two that change at once would want the same addresses.
    async fn upgrade(&mut self, signals: &mut Signals, origin: &std::io::Result<Origin>) -> Upgraded {
        let origin = match origin {
            Ok(_) if self.options.root.as_os_str() == "-" => {
                return Upgraded::No("a program from standard input cannot be read again".into());
            }
            Ok(origin) => origin,
            Err(error) => return Upgraded::No(format!("where this one's binary is cannot be told: {error}")),
        };
        tracing::info!("starting a new process to take over");
        let mut upgrade = match Upgrade::start(origin, &self.sockets) {
            Ok(upgrade) => upgrade,
            Err(why) => return Upgraded::No(why),
        };
        let mut serves = std::pin::pin!(upgrade.serves(self.options.upgrade));
        let watchdog = service::watchdog();
        if watchdog.is_some() {
            self.report(watchdog).await;
        }
        let mut well = Instant::now();
        loop {
            tokio::select! {
                biased;
                () = signals.end() => return Upgraded::Ended,
                outcome = &mut serves => return outcome.map_or_else(Upgraded::No, Upgraded::By),
                () = after(well, watchdog) => {
                    well = Instant::now();
                    self.report(watchdog).await;
                }
                number = self.crew.ended() => if let Err(failures) = self.restart(number).await {
                    failures.iter().for_each(|failure| tracing::error!("{failure}"));
                },
            }
        }
    }

    /// A worker has ended by a defect: another takes its place.
    async fn restart(&mut self, number: usize) -> Result<(), Failure> {
        tracing::error!(worker = number, "a worker has failed, and its connections with it; it is started again");
        let all: Vec<&Bound> = self.sockets.iter().collect();
        self.crew.restart(number, &self.generation, &all).await
    }

    /// Lets requests in flight end.
    async fn drain(&mut self, signals: &mut Signals) {
        let seconds = self.options.drain.as_secs();
        tracing::info!(seconds, "draining: no more connections, requests in flight end");
        self.acme.stop();
        // The workers close the sockets for good.
        self.sockets = Sockets::default();
        tokio::select! {
            () = self.crew.drain() => return tracing::info!("drained"),
            () = tokio::time::sleep(self.options.drain) => tracing::warn!("not drained in time: the rest is cut off"),
            () = signals.end() => tracing::warn!("a second signal: the rest is cut off"),
        }
        self.crew.cut_off(CUT_OFF).await;
    }
}

/// How an upgrade ended.
enum Upgraded {
    /// The process of this number is the gateway.
    By(u32),
    /// Nothing happened, and why.
    No(String),
    /// A signal ends everything.
    Ended,
}

/// Every file whose change matters.
fn files<'f>(options: &'f Options, plan: &'f Plan) -> impl Iterator<Item = PathBuf> + 'f {
    let root = Some(&options.root).filter(|root| root.as_os_str() != "-");
    let own = root.into_iter().chain(&options.inputs).cloned();
    let materials = plan.tables.iter().filter_map(|table| table.file.clone());
    own.chain(plan.watched.iter().cloned()).chain(materials)
}

/// Reads the program, and watches its files besides those of `old`. None changes unseen between the two.
fn read(
    options: &Options,
    watcher: &mut Option<Watcher>,
    origins: &mut Origins,
    old: Option<&Plan>,
) -> Result<(Program, Plan), Failure> {
    const TRIES: usize = 3;
    let mut tries = 0usize;
    loop {
        let outcome = Program::read(&options.root, options.inputs.as_deref(), options.look, origins);
        if let Ok((_, plan)) = &outcome {
            origins.files.extend(files(options, plan));
        }
        let watches_more = watcher.as_mut().is_some_and(|watcher| {
            let old = old.into_iter().flat_map(|old| files(options, old));
            watcher.watch(origins.files.iter().cloned().chain(old), origins.imports.iter().cloned())
        });
        tries = tries.saturating_add(1);
        let is_current = match &outcome {
            Ok((program, _)) => program.is_current(options.inputs.as_deref()),
            // What was wrong may have been mended before it was watched.
            Err(_) => !watches_more,
        };
        if tries >= TRIES || is_current {
            return outcome;
        }
    }
}

/// What serves `plan`; what could not be read and is not needed.
fn generation(
    plan: Plan,
    old: Option<&Generation>,
    issued: &Arc<Issued>,
    workers: usize,
) -> Result<(Generation, Vec<Problem>), Failure> {
    let (generation, problems) = Generation::new(Arc::new(plan), old, issued, workers).map_err(|error| vec![error])?;
    let fatal: Failure =
        problems.iter().filter(|problem| problem.fatal).map(|problem| problem.message.clone()).collect();
    if fatal.is_empty() { Ok((generation, problems)) } else { Err(fatal) }
}

/// A panic is a defect of ours. It ends one connection, seldom a worker, and is a line of the log.
fn tell_panics() {
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        let why = panic.payload_as_str().unwrap_or_default();
        tracing::error!(place, why, "a defect of gw: please report it");
        before(panic);
    }));
}

fn log_problems(problems: &[Problem]) {
    for problem in problems {
        tracing::error!("{}", problem.message);
    }
}

/// How often tables are read whatever happens to their files.
fn period(generation: &Generation) -> Option<Duration> {
    generation.plan.tables.iter().filter(|table| table.file.is_some()).filter_map(|table| table.every).min()
}

/// So long after `since`; never without a period.
async fn after(since: Instant, period: Option<Duration>) {
    match period {
        Some(period) => tokio::time::sleep_until((since + period.max(Duration::from_secs(1))).into()).await,
        None => pending().await,
    }
}

/// For a service manager.
fn status(generation: &Generation) -> String {
    format!("serving {} routes", generation.plan.routes.len())
}

/// The name of this process: the machine's and the process id.
fn instance() -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").ok();
    let host = host.or_else(|| std::env::var("HOSTNAME").ok());
    format!("{}-{}", host.as_deref().map_or("gw", str::trim), std::process::id())
}
