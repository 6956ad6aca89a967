//! The workers, as the main thread sees them.

use super::Failure;
use super::generation::Generation;
use super::sockets::Bound;
use super::worker::{self, Answer, Command, Setup};
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;

/// All workers.
pub struct Crew {
    workers: Vec<mpsc::UnboundedSender<Command>>,
    setup: Setup,
    ended: mpsc::UnboundedReceiver<usize>,
    end: mpsc::UnboundedSender<usize>,
}

/// Tells the main thread that a worker has ended, also by a panic.
struct Ends(usize, mpsc::UnboundedSender<usize>);

impl Drop for Ends {
    fn drop(&mut self) {
        // On the way to the end nobody listens.
        let _ = self.1.send(self.0);
    }
}

impl Crew {
    /// Starts so many workers, which serve nothing yet.
    pub fn start(workers: usize, setup: Setup) -> io::Result<Crew> {
        let (end, ended) = mpsc::unbounded_channel();
        let mut crew = Crew { workers: Vec::new(), setup, ended, end };
        for number in 0..workers {
            let worker = crew.spawn(number)?;
            crew.workers.push(worker);
        }
        crew.introduce();
        Ok(crew)
    }

    fn spawn(&self, number: usize) -> io::Result<mpsc::UnboundedSender<Command>> {
        let (commands, received) = mpsc::unbounded_channel();
        let (setup, ends) = (self.setup.clone(), Ends(number, self.end.clone()));
        std::thread::Builder::new().name(format!("gw-worker-{number}")).spawn(move || {
            let _ends = ends;
            if let Err(error) = worker::run(number, setup, received) {
                tracing::error!("a worker cannot run: {error}");
            }
        })?;
        Ok(commands)
    }

    /// Makes the workers known to each other.
    fn introduce(&self) {
        let all: Arc<[_]> = self.workers.clone().into();
        self.tell(|| Command::Colleagues(all.clone()));
    }

    fn tell(&self, command: impl Fn() -> Command) {
        for worker in &self.workers {
            // One that has ended is heard of otherwise.
            let _ = worker.send(command());
        }
    }

    /// Asks every worker and waits for all answers.
    async fn ask(&self, command: impl Fn(usize, Answer) -> io::Result<Command>) -> Result<(), Failure> {
        let (answer, mut answers) = mpsc::unbounded_channel();
        for (number, worker) in self.workers.iter().enumerate() {
            let command = command(number, answer.clone()).map_err(|error| vec![error.to_string()])?;
            let _ = worker.send(command);
        }
        drop(answer);
        let (mut well, mut failures) = (0usize, Failure::new());
        while let Some(answer) = answers.recv().await {
            match answer {
                Ok(()) => well = well.saturating_add(1),
                Err(error) => failures.push(format!("a worker cannot serve: {error}")),
            }
        }
        if well < self.workers.len() && failures.is_empty() {
            failures.push("a worker has stopped".into());
        }
        if failures.is_empty() { Ok(()) } else { Err(failures) }
    }

    /// Makes every worker ready to serve `generation`, with its share of the sockets that are new. If one cannot, all
    /// forget it.
    pub async fn prepare(&self, generation: &Arc<Generation>, new: &[Bound]) -> Result<(), Failure> {
        let workers = self.workers.len();
        let ready = self.ask(|number, answer| {
            let sockets = share(new, number, workers)?;
            Ok(Command::Prepare(generation.clone(), sockets, answer))
        });
        let ready = ready.await;
        if ready.is_err() {
            self.abandon();
        }
        ready
    }

    /// Every worker forgets what it prepared.
    pub fn abandon(&self) {
        self.tell(|| Command::Abandon);
    }

    /// Every worker serves what was prepared. A worker that has stopped meanwhile is started again with the same.
    pub async fn commit(&self) {
        let _ = self.ask(|_, answer| Ok(Command::Commit(answer))).await;
        self.tell(|| Command::Settle);
    }

    /// Waits until a worker has ended that was not told to.
    pub async fn ended(&mut self) -> usize {
        match self.ended.recv().await {
            Some(number) => number,
            None => std::future::pending().await,
        }
    }

    /// Starts a worker again. Its connections are lost; who waited in its sockets is not.
    pub async fn restart(
        &mut self,
        number: usize,
        generation: &Arc<Generation>,
        all: &[&Bound],
    ) -> Result<(), Failure> {
        let failed = |error: io::Error| vec![format!("a worker cannot be started again: {error}")];
        let worker = self.spawn(number).map_err(failed)?;
        let workers = self.workers.len();
        let sockets = share(all.iter().copied(), number, workers).map_err(failed)?;
        let (answer, mut answers) = mpsc::unbounded_channel();
        let _ = worker.send(Command::Prepare(generation.clone(), sockets, answer.clone()));
        let _ = worker.send(Command::Commit(answer));
        for _ in 0..2 {
            answers.recv().await.unwrap_or_else(|| Err(io::Error::other("it stopped"))).map_err(failed)?;
        }
        if let Some(old) = self.workers.get_mut(number) {
            *old = worker;
        }
        self.introduce();
        Ok(())
    }

    /// All workers answer within `patience`.
    pub async fn is_well(&self, patience: Duration) -> bool {
        let asked = self.ask(|_, answer| Ok(Command::Report(answer)));
        tokio::time::timeout(patience, asked).await.is_ok_and(|answers| answers.is_ok())
    }

    /// Ends what is still under way, and waits until that is logged, if it does not take long: a worker may hang.
    pub async fn cut_off(&mut self, patience: Duration) {
        self.tell(|| Command::CutOff);
        let all = async {
            for _ in 0..self.workers.len() {
                self.ended.recv().await;
            }
        };
        let _ = tokio::time::timeout(patience, all).await;
    }

    /// No more connections; waits until all have ended.
    pub async fn drain(&self) {
        self.tell(|| Command::Drain);
        for worker in &self.workers {
            worker.closed().await;
        }
    }
}

fn share<'b>(
    bound: impl IntoIterator<Item = &'b Bound>,
    worker: usize,
    workers: usize,
) -> io::Result<Vec<worker::Socket>> {
    let mut shares = Vec::new();
    for bound in bound {
        let own = bound.share(worker, workers)?;
        shares.extend(own.into_iter().map(|socket| (bound.address, socket, bound.open.clone())));
    }
    Ok(shares)
}

#[cfg(test)]
mod tests {
    use super::super::balance::Loads;
    use super::super::inherit::Inherited;
    use super::super::sockets::Sockets;
    use super::*;
    use crate::state::memory::MemoryCounters;
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream};

    #[test]
    fn a_worker_that_panics_is_started_again_and_who_waited_is_served() {
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let program = format!("listen http {address}\nroute GET /n -> respond 200 text \"well\"\n");
        let files = crate::load::MemoryFiles::default();
        let checked = crate::load::check(&files, "a.gw".as_ref(), program.into_bytes(), &Default::default());
        let (generation, _) = Generation::new(Arc::new(checked.plan.unwrap()), None, &Arc::default(), 1).unwrap();
        let generation = Arc::new(generation);
        let bound = Sockets::default().missing(&generation.plan, &mut Inherited::default(), 1).unwrap();
        let setup = Setup {
            counters: MemoryCounters::new(16),
            instance: "test".into(),
            challenges: Arc::default(),
            access_log: false,
            loads: Arc::new(Loads::new(1, usize::MAX)),
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut crew = Crew::start(1, setup).unwrap();
            crew.prepare(&generation, &bound).await.unwrap();
            crew.commit().await;
            crew.tell(|| Command::Panic);
            assert_eq!(crew.ended().await, 0);
            let mut client = TcpStream::connect(address).unwrap();
            client.write_all(b"GET /n HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").unwrap();
            assert!(!crew.is_well(Duration::from_secs(5)).await);
            let all: Vec<&Bound> = bound.iter().collect();
            crew.restart(0, &generation, &all).await.unwrap();
            assert!(crew.is_well(Duration::from_secs(5)).await);
            let mut answer = String::new();
            client.read_to_string(&mut answer).unwrap();
            assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("well"), "{answer}");
            drop(bound);
            crew.drain().await;
        });
    }
}
