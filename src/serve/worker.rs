//! A worker: one thread, one runtime, its own sockets and pools. No request changes threads.

use super::client::Client;
use super::connection;
use super::generation::{Generation, Local};
use super::listen::Port;
use crate::state::memory::MemoryCounters;
use crate::upstream::timer::Timer;
use hyper::server::conn::http1;
use std::cell::{Cell, RefCell};
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::sync::{Notify, mpsc};

/// The granularity of what clients are waited for.
const CLIENT_TICK: Duration = Duration::from_millis(100);

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
    /// Requests are logged.
    pub access_log: bool,
    /// How hyper serves.
    pub http: http1::Builder,
    clients: RefCell<Vec<Weak<Client>>>,
    ports: RefCell<Vec<Listening>>,
    /// Connections.
    open: Cell<usize>,
    emptied: Notify,
}

struct Listening {
    port: Rc<Port>,
    stop: Rc<Notify>,
}

/// What a worker is made with.
pub struct Setup {
    /// The limits' counters.
    pub counters: MemoryCounters,
    /// The name of this process.
    pub instance: Arc<str>,
    /// Requests are logged.
    pub access_log: bool,
}

/// A worker's share of a new address.
pub type Socket = (SocketAddr, TcpListener, Arc<AtomicUsize>);

/// What a worker is told.
pub enum Command {
    /// Serve this from now on; these sockets are new.
    Serve(Arc<Generation>, Vec<Socket>, mpsc::UnboundedSender<io::Result<()>>),
    /// Take no more connections, and end when all are gone.
    Drain,
}

/// Runs a worker in this thread until it has drained.
pub fn run(setup: Setup, commands: mpsc::UnboundedReceiver<Command>) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .enable_time()
        .event_interval(61)
        .build_local(tokio::runtime::LocalOptions::default())?;
    seed();
    runtime.block_on(work(setup, commands));
    Ok(())
}

/// Seeds this thread's dice from the operating system.
fn seed() {
    let mut bytes = [0; 8];
    if aws_lc_rs::rand::fill(&mut bytes).is_ok() {
        fastrand::seed(u64::from_ne_bytes(bytes));
    }
}

async fn work(setup: Setup, mut commands: mpsc::UnboundedReceiver<Command>) {
    let mut http = http1::Builder::new();
    // Our own guard and deadlines stand before hyper's.
    http.half_close(false).header_read_timeout(None);
    let worker = Rc::new(Worker {
        timer: Timer::new(),
        patience: Timer::with_tick(CLIENT_TICK),
        counters: setup.counters,
        instance: setup.instance,
        access_log: setup.access_log,
        http,
        clients: RefCell::default(),
        ports: RefCell::default(),
        open: Cell::new(0),
        emptied: Notify::new(),
    });
    let mut current: Option<Rc<Local>> = None;
    while let Some(command) = commands.recv().await {
        match command {
            Command::Serve(generation, sockets, done) => {
                let local = Rc::new(Local::new(generation, current.as_deref(), &worker.timer));
                current = Some(local.clone());
                let outcome = worker.serve(&local, sockets);
                // Who asked may be gone on the way to the end.
                let _ = done.send(outcome);
            }
            Command::Drain => break,
        }
    }
    worker.stop(|_| true);
    while worker.open.get() > 0 {
        worker.emptied.notified().await;
    }
}

impl Worker {
    /// Remembers a connection, to tell it when to close.
    pub fn enrol(&self, client: &Rc<Client>) {
        let mut clients = self.clients.borrow_mut();
        if clients.len() == clients.capacity() {
            clients.retain(|client| client.strong_count() > 0);
        }
        clients.push(Rc::downgrade(client));
    }

    /// Listens where `local` says, and no longer where it does not.
    fn serve(self: &Rc<Self>, local: &Rc<Local>, sockets: Vec<Socket>) -> io::Result<()> {
        let listeners = &local.plan().listeners;
        let place = |address: SocketAddr| listeners.iter().position(|listener| listener.address == address);
        self.stop(|port| place(port.address).is_none());
        for listening in &*self.ports.borrow() {
            if let Some(at) = place(listening.port.address) {
                listening.port.renew(local.clone(), at);
            }
        }
        for (address, socket, open) in sockets {
            let Some(at) = place(address) else { continue };
            let socket = tokio::net::TcpListener::from_std(socket)?;
            let port = Rc::new(Port::new((address, open), local.clone(), at));
            let stop = Rc::new(Notify::new());
            tokio::task::spawn_local(accept(self.clone(), port.clone(), socket, stop.clone()));
            self.ports.borrow_mut().push(Listening { port, stop });
        }
        Ok(())
    }

    /// Closes ports, and their connections once they are idle.
    fn stop(&self, gone: impl Fn(&Port) -> bool) {
        self.ports.borrow_mut().retain(|listening| {
            let stays = !gone(&listening.port);
            if !stays {
                listening.stop.notify_one();
            }
            stays
        });
        let clients: Vec<_> = self.clients.borrow().iter().filter_map(Weak::upgrade).collect();
        clients.iter().filter(|client| gone(&client.port)).for_each(|client| client.close());
    }

    fn spawn(self: &Rc<Self>, port: &Rc<Port>, tcp: TcpStream, peer: SocketAddr) {
        let Some(counted) = Counted::new(self, port) else {
            // Best effort: the client may be gone.
            let _ =
                tcp.try_write(b"HTTP/1.1 503 Service Unavailable\r\nconnection: close\r\ncontent-length: 0\r\n\r\n");
            tracing::warn!(listener = %port.name(), client = %peer.ip(), "connection refused: `max connections` are open");
            return;
        };
        let (worker, port) = (self.clone(), port.clone());
        tokio::task::spawn_local(async move {
            let _counted = counted;
            connection::serve(worker, port, tcp, peer).await;
        });
    }
}

/// A connection counts until this is dropped, also by a panic.
struct Counted(Rc<Worker>, Rc<Port>);

impl Counted {
    fn new(worker: &Rc<Worker>, port: &Rc<Port>) -> Option<Counted> {
        if !port.enter() {
            return None;
        }
        worker.open.set(worker.open.get().saturating_add(1));
        Some(Counted(worker.clone(), port.clone()))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.1.leave();
        let open = self.0.open.get().saturating_sub(1);
        self.0.open.set(open);
        if open == 0 {
            self.0.emptied.notify_one();
        }
    }
}

async fn accept(worker: Rc<Worker>, port: Rc<Port>, socket: tokio::net::TcpListener, stop: Rc<Notify>) {
    loop {
        tokio::select! {
            biased;
            () = stop.notified() => break,
            accepted = socket.accept() => match accepted {
                Ok((tcp, peer)) => worker.spawn(&port, tcp, peer),
                Err(error) => {
                    if !is_of_one_connection(&error) {
                        tracing::warn!(listener = %port.name(), %error, "cannot accept connections");
                        tokio::time::sleep(Duration::from_millis(50)).await;
                    }
                }
            }
        }
    }
    // Who has connected and was not yet accepted would be reset.
    if let Ok(socket) = socket.into_std() {
        while let Ok((tcp, peer)) = socket.accept() {
            let tcp = tcp.set_nonblocking(true).and_then(|()| TcpStream::from_std(tcp));
            if let Ok(tcp) = tcp {
                worker.spawn(&port, tcp, peer);
            }
        }
    }
    // They have their first request answered, and no other.
    let clients: Vec<_> = worker.clients.borrow().iter().filter_map(Weak::upgrade).collect();
    clients.iter().filter(|client| Rc::ptr_eq(&client.port, &port)).for_each(|client| client.close());
}

/// The connection was gone before it was accepted: nothing is wrong with the socket that listens.
fn is_of_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionRefused | io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset
    )
}
