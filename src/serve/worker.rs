//! A worker: one thread, one runtime, its own sockets and pools. No request changes threads; a connection may, before
//! its first.

use super::balance::{Full, Loads, Seat};
use super::client::Client;
use super::connection;
use super::generation::{Generation, Local};
use super::http2;
use super::listen::Port;
use super::open_files;
use super::stream::Stream;
use super::tls::Challenges;
use crate::state::memory::MemoryCounters;
use crate::upstream::burst::Burst;
use crate::upstream::timer::Timer;
use http::HeaderValue;
use hyper::server::conn::http1;
use jiff::Timestamp;
use std::cell::{Cell, RefCell};
use std::hint::black_box;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinHandle;

/// The granularity of what clients are waited for.
const CLIENT_TICK: Duration = Duration::from_millis(100);
/// How long after a connection was put to rest the allocator is reminded of what it freed: mimalloc waits a second.
const TIDY: Duration = Duration::from_millis(1200);
/// A block that has no page in common with others, so that mimalloc looks around when it goes.
const LARGE: usize = 1024 * 1024;
/// How long nothing is accepted after that failed.
const BREATH: Duration = Duration::from_millis(50);
/// How often that is tried again at a socket that is to be closed: for a second, in all.
const LAST_BREATHS: u32 = 20;

/// What the connections of a worker share.
pub struct Worker {
    /// For upstreams.
    pub timer: Timer,
    /// For clients.
    pub patience: Timer,
    /// The limits' counters, shared by all workers.
    pub counters: MemoryCounters,
    /// The name of this process.
    pub instance: Arc<str>,
    /// What certificate authorities ask for.
    pub challenges: Arc<Challenges>,
    /// Requests are logged.
    pub access_log: bool,
    /// How hyper serves.
    pub http: http1::Builder,
    /// Answers over HTTP/1.1 that are about to go out.
    pub answers: Burst<Option<Stream>>,
    /// Frames of HTTP/2 that are about to go out.
    pub frames: Burst<http2::Wire>,
    /// How `h2` serves.
    pub http2: h2::server::Builder,
    /// Who serves the streams of HTTP/2.
    pub desks: Rc<http2::Desks>,
    /// Copies for mirrors that are under way.
    pub copies: Cell<usize>,
    /// The second that [`Worker::date`] knows, and its text.
    date: RefCell<(i64, HeaderValue)>,
    number: usize,
    loads: Arc<Loads>,
    /// All workers, this one too.
    colleagues: RefCell<Arc<[mpsc::UnboundedSender<Command>]>>,
    clients: RefCell<Vec<Weak<Client>>>,
    ports: RefCell<Vec<Listening>>,
    /// Ports that were closed last: a colleague may still hand over a connection of theirs.
    closed: RefCell<Vec<Rc<Port>>>,
    /// Connections of ports that colleagues have opened and this worker has not yet.
    early: RefCell<Vec<Accepted>>,
    /// What is still under way is cut off.
    cutting_off: Cell<bool>,
    /// A connection was put to rest.
    pub rested: Notify,
    /// A connection has ended.
    left: Notify,
}

struct Listening {
    port: Rc<Port>,
    accepting: Vec<Accepting>,
}

struct Accepting {
    stop: Rc<Notify>,
    task: JoinHandle<()>,
}

/// What a worker is made with.
#[derive(Clone)]
pub struct Setup {
    /// The limits' counters.
    pub counters: MemoryCounters,
    /// The name of this process.
    pub instance: Arc<str>,
    /// What certificate authorities ask for.
    pub challenges: Arc<Challenges>,
    /// Requests are logged.
    pub access_log: bool,
    /// The connections of all workers.
    pub loads: Arc<Loads>,
}

/// One of a worker's sockets, for a new address.
pub type Socket = (SocketAddr, TcpListener, Arc<AtomicUsize>);

/// Where a worker says how it went.
pub type Answer = mpsc::UnboundedSender<io::Result<()>>;

/// What a worker is told.
pub enum Command {
    /// Make ready to serve this; these sockets are new.
    Prepare(Arc<Generation>, Vec<Socket>, Answer),
    /// Serve what was prepared.
    Commit(Answer),
    /// All workers have: no connection of a closed port is on its way.
    Settle,
    /// Forget what was prepared.
    Abandon,
    /// These are all workers.
    Colleagues(Arc<[mpsc::UnboundedSender<Command>]>),
    /// Serve a connection that another worker has accepted.
    Adopt(Accepted),
    /// Say that all is well.
    Report(Answer),
    /// Take no more connections, and end when all are gone.
    Drain,
    /// End at once: with this thread's runtime everything ends that is under way.
    CutOff,
    /// Panic.
    #[cfg(test)]
    Panic,
}

/// A connection that nobody serves yet.
pub struct Accepted {
    tcp: std::net::TcpStream,
    peer: SocketAddr,
    /// The address of the listener, as the program says.
    address: SocketAddr,
    seat: Seat,
}

/// What will be served once all workers can.
struct Prepared {
    local: Rc<Local>,
    sockets: Vec<(SocketAddr, tokio::net::TcpListener, Arc<AtomicUsize>)>,
}

/// Runs worker `number` in this thread until it has drained.
pub fn run(number: usize, setup: Setup, commands: mpsc::UnboundedReceiver<Command>) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .enable_time()
        .event_interval(61)
        .build_local(tokio::runtime::LocalOptions::default())?;
    seed();
    runtime.block_on(work(number, setup, commands));
    Ok(())
}

/// Seeds this thread's dice from the operating system.
fn seed() {
    let mut bytes = [0; 8];
    if aws_lc_rs::rand::fill(&mut bytes).is_ok() {
        fastrand::seed(u64::from_ne_bytes(bytes));
    }
}

async fn work(number: usize, setup: Setup, mut commands: mpsc::UnboundedReceiver<Command>) {
    let mut http = http1::Builder::new();
    // Our own guard and deadlines stand before hyper's, and `Stream::is_gone` looks after clients.
    http.half_close(true).header_read_timeout(None);
    let worker = Rc::new(Worker {
        timer: Timer::new(),
        patience: Timer::with_tick(CLIENT_TICK),
        counters: setup.counters,
        instance: setup.instance,
        challenges: setup.challenges,
        access_log: setup.access_log,
        http,
        answers: Burst::new(),
        frames: Burst::new(),
        http2: http2::builder(),
        desks: Rc::default(),
        copies: Cell::new(0),
        date: RefCell::new((i64::MIN, HeaderValue::from_static(""))),
        number,
        loads: setup.loads,
        colleagues: RefCell::new(Arc::new([])),
        clients: RefCell::default(),
        ports: RefCell::default(),
        closed: RefCell::default(),
        early: RefCell::default(),
        cutting_off: Cell::new(false),
        rested: Notify::new(),
        left: Notify::new(),
    });
    tokio::task::spawn_local(tidy(worker.clone()));
    let (mut current, mut prepared) = (None::<Rc<Local>>, None::<Prepared>);
    let mut draining = false;
    while !(draining && worker.loads.close(number)) {
        let command = tokio::select! {
            biased;
            command = commands.recv() => command,
            () = worker.left.notified(), if draining => continue,
        };
        match command {
            Some(Command::Prepare(generation, sockets, answer)) => {
                let outcome = worker.prepare(generation, sockets, current.as_deref());
                // Who asked may be gone on the way to the end, here and below.
                let _ = answer.send(outcome.map(|made| prepared = Some(made)));
            }
            Some(Command::Commit(answer)) => {
                if let Some(Prepared { local, sockets }) = prepared.take() {
                    current = Some(local.clone());
                    worker.serve(&local, sockets).await;
                }
                let early = worker.early.take();
                early.into_iter().for_each(|accepted| worker.adopt(accepted));
                let _ = answer.send(Ok(()));
            }
            Some(Command::Settle) => {
                worker.closed.borrow_mut().clear();
                worker.early.borrow_mut().clear();
            }
            Some(Command::Abandon) => prepared = None,
            Some(Command::Colleagues(all)) => {
                worker.colleagues.replace(all);
            }
            Some(Command::Adopt(accepted)) => worker.adopt(accepted),
            Some(Command::Report(answer)) => {
                let _ = answer.send(Ok(()));
            }
            Some(Command::Drain) => {
                draining = true;
                prepared = None;
                worker.stop(|_| true).await;
            }
            Some(Command::CutOff) => return worker.cutting_off.set(true),
            #[cfg(test)]
            Some(Command::Panic) => panic!("as the test asked"),
            None => return,
        }
    }
}

impl Worker {
    /// Remembers a connection, to tell it when to close.
    pub fn enrol(&self, client: &Rc<Client>) {
        let mut clients = self.clients.borrow_mut();
        if clients.len() == clients.capacity() {
            clients.retain(|client| client.strong_count() > 0);
            // A list that stays almost full would be gone through for every connection.
            let alive = clients.len();
            clients.reserve(alive.max(16));
        }
        clients.push(Rc::downgrade(client));
        if client.port.is_closed() {
            client.close();
        }
    }

    /// Everything that may fail.
    fn prepare(
        &self,
        generation: Arc<Generation>,
        sockets: Vec<Socket>,
        current: Option<&Local>,
    ) -> io::Result<Prepared> {
        let local = Rc::new(Local::new(generation, current, &self.timer));
        let sockets = sockets
            .into_iter()
            .map(|(address, socket, open)| Ok((address, tokio::net::TcpListener::from_std(socket)?, open)));
        Ok(Prepared { local, sockets: sockets.collect::<io::Result<_>>()? })
    }

    /// What ends now ends because the gateway does.
    pub fn is_cutting_off(&self) -> bool {
        self.cutting_off.get()
    }

    /// `Date`, made once a second.
    pub fn date(&self, now: Timestamp) -> HeaderValue {
        let mut date = self.date.borrow_mut();
        if date.0 != now.as_second() {
            let text = httpdate::fmt_http_date(now.into());
            *date = (now.as_second(), HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static("")));
        }
        date.1.clone()
    }

    /// Listens where `local` says, and no longer where it does not.
    async fn serve(
        self: &Rc<Self>,
        local: &Rc<Local>,
        sockets: Vec<(SocketAddr, tokio::net::TcpListener, Arc<AtomicUsize>)>,
    ) {
        let listeners = &local.plan().listeners;
        let place = |address: SocketAddr| listeners.iter().position(|listener| listener.address == address);
        let mut otherwise: Vec<Rc<Port>> = Vec::new();
        for listening in &*self.ports.borrow() {
            if let Some(at) = place(listening.port.address)
                && listening.port.renew(local.clone(), at)
            {
                otherwise.push(listening.port.clone());
            }
        }
        // Who came without TLS, or without showing a certificate, is to come again.
        self.close_clients(|port| otherwise.iter().any(|other| std::ptr::eq(&**other, port)));
        for (address, socket, open) in sockets {
            let Some(at) = place(address) else { continue };
            let mut ports = self.ports.borrow_mut();
            let known = ports.iter().position(|listening| listening.port.address == address);
            let known = known.unwrap_or_else(|| {
                let port = Rc::new(Port::new((address, open), local.clone(), at));
                ports.push(Listening { port, accepting: Vec::new() });
                ports.len().saturating_sub(1)
            });
            if let Some(listening) = ports.get_mut(known) {
                let stop = Rc::new(Notify::new());
                let accepting = accept(self.clone(), listening.port.clone(), socket, stop.clone());
                listening.accepting.push(Accepting { stop, task: tokio::task::spawn_local(accepting) });
            }
        }
        self.stop(|port| place(port.address).is_none()).await;
    }

    /// Closes ports, and their connections once they are idle. When this ends, their sockets are closed.
    async fn stop(&self, gone: impl Fn(&Port) -> bool) {
        let stopped: Vec<_> = self.ports.borrow_mut().extract_if(.., |listening| gone(&listening.port)).collect();
        for Listening { port, accepting } in &stopped {
            port.close();
            accepting.iter().for_each(|accepting| accepting.stop.notify_one());
        }
        for Listening { port, accepting } in stopped {
            self.closed.borrow_mut().push(port);
            for accepting in accepting {
                // A panic has been reported.
                let _ = accepting.task.await;
            }
        }
        self.close_clients(gone);
    }

    fn close_clients(&self, of: impl Fn(&Port) -> bool) {
        let clients: Vec<_> = self.clients.borrow().iter().filter_map(Weak::upgrade).collect();
        clients.iter().filter(|client| of(&client.port)).for_each(|client| client.close());
    }

    /// Serves a connection, or has a colleague serve it.
    fn accepted(self: &Rc<Self>, port: &Rc<Port>, tcp: TcpStream, peer: SocketAddr) {
        let seat = match Seat::find(&self.loads, self.number, &port.open, port.max()) {
            Ok(seat) if seat.worker == self.number => return self.spawn(port, tcp, peer, seat),
            Ok(seat) => seat,
            Err(full) => return refuse(port, &tcp, peer, full),
        };
        let Ok(tcp) = tcp.into_std() else { return };
        let address = port.address;
        let colleague = self.colleagues.borrow().get(seat.worker).cloned();
        let back = match colleague {
            Some(colleague) => match colleague.send(Command::Adopt(Accepted { tcp, peer, address, seat })) {
                Err(mpsc::error::SendError(Command::Adopt(back))) => back,
                _ => return,
            },
            None => Accepted { tcp, peer, address, seat },
        };
        let seat = back.seat.with(self.number);
        self.adopt(Accepted { seat, ..back });
    }

    /// Serves a connection that a colleague has accepted.
    fn adopt(self: &Rc<Self>, accepted: Accepted) {
        let fits = |port: &&Rc<Port>| port.address == accepted.address;
        let open = self.ports.borrow().iter().map(|listening| &listening.port).find(fits).cloned();
        let Some(port) = open.or_else(|| self.closed.borrow().iter().find(fits).cloned()) else {
            return self.early.borrow_mut().push(accepted);
        };
        let Accepted { tcp, peer, seat, .. } = accepted;
        // What cannot be registered has failed before: the client is gone, or there is no memory.
        if let Ok(tcp) = TcpStream::from_std(tcp) {
            self.spawn(&port, tcp, peer, seat);
        }
    }

    fn spawn(self: &Rc<Self>, port: &Rc<Port>, tcp: TcpStream, peer: SocketAddr, seat: Seat) {
        let (worker, port) = (self.clone(), port.clone());
        let counted = Counted { _seat: seat, worker: self.clone() };
        tokio::task::spawn_local(async move {
            let _counted = counted;
            connection::serve(worker, port, tcp, peer).await;
        });
    }
}

/// Gives the system back what connections had that rest now: the allocator does so only while it has other work.
async fn tidy(worker: Rc<Worker>) {
    loop {
        worker.rested.notified().await;
        tokio::time::sleep(TIDY).await;
        drop(black_box(Vec::<u8>::with_capacity(LARGE)));
    }
}

fn refuse(port: &Port, tcp: &TcpStream, peer: SocketAddr, full: Full) {
    // Best effort: the client may be gone.
    let _ = tcp.try_write(port.refusal());
    match full {
        Full::Listener => {
            tracing::warn!(listener = %port.name(), client = %peer.ip(), "connection refused: `max connections` are open");
        }
        Full::Process => open_files::complain(&port.name()),
    }
}

/// A connection of this worker, until this is dropped, also by a panic.
struct Counted {
    _seat: Seat,
    worker: Rc<Worker>,
}

impl Drop for Counted {
    fn drop(&mut self) {
        // Heard once the seat is gone, too: nobody else runs in this thread.
        self.worker.left.notify_one();
    }
}

async fn accept(worker: Rc<Worker>, port: Rc<Port>, socket: tokio::net::TcpListener, stop: Rc<Notify>) {
    loop {
        tokio::select! {
            biased;
            () = stop.notified() => break,
            accepted = socket.accept() => match accepted {
                Ok((tcp, peer)) => worker.accepted(&port, tcp, peer),
                Err(error) if is_of_one_connection(&error) => {}
                Err(error) => {
                    open_files::cannot_accept(&port.name(), &error);
                    tokio::time::sleep(BREATH).await;
                }
            }
        }
    }
    // Who has connected and was not yet accepted would be reset.
    let Ok(socket) = socket.into_std() else { return };
    let take = |(tcp, peer): (std::net::TcpStream, SocketAddr)| {
        let tcp = tcp.set_nonblocking(true).and_then(|()| TcpStream::from_std(tcp));
        if let Ok(tcp) = tcp {
            worker.accepted(&port, tcp, peer);
        }
    };
    take_rest(|| socket.accept(), take, |error| open_files::cannot_accept(&port.name(), error)).await;
}

/// Takes whoever waits at a socket that is to be closed. Where that fails, it is tried again for a while.
async fn take_rest<T>(accept: impl Fn() -> io::Result<T>, take: impl Fn(T), complain: impl Fn(&io::Error)) {
    let mut breaths = LAST_BREATHS;
    loop {
        match accept() {
            Ok(accepted) => take(accepted),
            Err(error) if is_of_one_connection(&error) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock || breaths == 0 => return,
            Err(error) => {
                breaths = breaths.saturating_sub(1);
                complain(&error);
                tokio::time::sleep(BREATH).await;
            }
        }
    }
}

/// The connection was gone before it was accepted: nothing is wrong with the socket that listens.
fn is_of_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionRefused | io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_error_is_not_the_end_of_those_who_wait() {
        let emfile = || Err(io::Error::from_raw_os_error(24));
        let gone = || Err(io::ErrorKind::ConnectionAborted.into());
        let none = || Err(io::ErrorKind::WouldBlock.into());
        for (script, wanted, complaints) in [
            (vec![Ok(1), gone(), gone(), Ok(2), emfile(), emfile(), Ok(3), none(), Ok(4)], vec![1, 2, 3], 2),
            ((0..100).map(|_| emfile()).collect(), vec![], LAST_BREATHS),
        ] {
            let script = RefCell::new(script.into_iter());
            let (taken, heard) = (RefCell::new(Vec::new()), Cell::new(0));
            let accept = || script.borrow_mut().next().unwrap();
            take_rest(accept, |n: i32| taken.borrow_mut().push(n), |_| heard.set(heard.get() + 1)).await;
            assert_eq!((taken.into_inner(), heard.get()), (wanted, complaints));
        }
    }
}
