//! Sockets that listen: bound before anything is served, one for each worker.

use super::generation::Local;
use crate::plan::Plan;
use smol_str::SmolStr;
use socket2::{Domain, Protocol, Socket, Type};
use std::cell::{Cell, RefCell};
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

/// Connections that the kernel keeps before they are accepted.
const BACKLOG: i32 = 4096;

/// An address with the sockets of all workers.
pub struct Bound {
    /// Where.
    pub address: SocketAddr,
    /// One for each worker.
    pub sockets: Vec<TcpListener>,
    /// Connections of all workers together.
    pub open: Arc<AtomicUsize>,
}

/// Binds `address` for so many workers. The error is a sentence for whoever starts the gateway.
pub fn bind(name: &str, address: SocketAddr, workers: usize) -> Result<Bound, String> {
    let failed = |error: io::Error| explain(name, address, &error);
    // SO_REUSEPORT would quietly share the port with another gateway of this user: ask without it first.
    socket(address, false).map_err(failed)?;
    let sockets = (0..workers.max(1)).map(|_| {
        let socket = socket(address, true)?;
        socket.listen(BACKLOG)?;
        Ok(socket.into())
    });
    Ok(Bound { address, sockets: sockets.collect::<io::Result<_>>().map_err(failed)?, open: Arc::default() })
}

fn socket(address: SocketAddr, shared: bool) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.set_tcp_nodelay(true)?;
    if address.is_ipv6() {
        // `[::]:80` also takes IPv4, whatever the system's default.
        socket.set_only_v6(false)?;
    }
    if shared {
        socket.set_reuse_port(true)?;
    }
    socket.bind(&address.into())?;
    Ok(socket)
}

fn explain(name: &str, address: SocketAddr, error: &io::Error) -> String {
    let port = address.port();
    let why = match error.kind() {
        io::ErrorKind::AddrInUse => {
            format!("the port is in use; `ss -ltnp 'sport = :{port}'` shows by which process")
        }
        io::ErrorKind::PermissionDenied if port < 1024 => {
            "ports below 1024 need a privilege; listen on one above, or give it: `setcap cap_net_bind_service=+ep \"$(command -v gw)\"`"
                .to_owned()
        }
        io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
        io::ErrorKind::AddrNotAvailable => "this machine has no such address".to_owned(),
        _ => error.to_string(),
    };
    format!("cannot listen on {address} (`{name}`): {why}")
}

/// A listener in one worker.
pub struct Port {
    /// Where it is bound.
    pub address: SocketAddr,
    /// The newest generation that has this listener, and which of the plan's it is.
    current: RefCell<(Rc<Local>, usize)>,
    patience: Cell<Patience>,
    /// Connections of all workers together.
    pub open: Arc<AtomicUsize>,
    max: Cell<usize>,
    header_max: Cell<usize>,
    name: RefCell<SmolStr>,
}

/// How long a listener waits for its clients.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// For the end of a request's head.
    pub header: Duration,
    /// For the next request, and for bytes to be taken.
    pub idle: Duration,
}

impl Port {
    /// The listener at `index` of the plan.
    pub fn new(bound: (SocketAddr, Arc<AtomicUsize>), local: Rc<Local>, index: usize) -> Port {
        let port = Port {
            address: bound.0,
            current: RefCell::new((local.clone(), index)),
            patience: Cell::new(Patience { header: Duration::MAX, idle: Duration::MAX }),
            open: bound.1,
            max: Cell::new(usize::MAX),
            header_max: Cell::new(usize::MAX),
            name: RefCell::default(),
        };
        port.renew(local, index);
        port
    }

    /// Serves another generation from now on.
    pub fn renew(&self, local: Rc<Local>, index: usize) {
        if let Some(listener) = local.plan().listeners.get(index) {
            self.patience.set(Patience { header: listener.timeout_header, idle: listener.timeout_idle });
            self.max.set(listener.max_connections.unwrap_or(usize::MAX));
            self.header_max.set(listener.header_max);
            self.name.replace(listener.name.clone());
        }
        self.current.replace((local, index));
    }

    /// What serves now, and which listener of its plan this is.
    #[inline]
    pub fn current(&self) -> (Rc<Local>, usize) {
        self.current.borrow().clone()
    }

    /// How long it waits.
    #[inline]
    pub fn patience(&self) -> Patience {
        self.patience.get()
    }

    /// Most bytes of a head.
    pub fn header_max(&self) -> usize {
        self.header_max.get()
    }

    /// Counts a connection, if there may be one more.
    pub fn enter(&self) -> bool {
        let before = self.open.fetch_add(1, Relaxed);
        if before >= self.max.get() {
            self.open.fetch_sub(1, Relaxed);
            return false;
        }
        true
    }

    /// A counted connection has ended.
    pub fn leave(&self) {
        self.open.fetch_sub(1, Relaxed);
    }

    /// Its name, or its address.
    pub fn name(&self) -> SmolStr {
        self.name.borrow().clone()
    }
}

/// The addresses of a plan's listeners with their names.
pub fn addresses(plan: &Plan) -> impl Iterator<Item = (&SmolStr, SocketAddr)> {
    plan.listeners.iter().map(|listener| (&listener.name, listener.address))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_in_use_says_how_to_find_who_has_it() {
        let other = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = other.local_addr().unwrap();
        let error = bind("public", address, 2).err().unwrap();
        assert!(error.contains("`public`") && error.contains("ss -ltnp"), "{error}");
        // Another gateway, which would share.
        drop(other);
        let first = bind("public", address, 2).unwrap();
        assert_eq!(first.sockets.len(), 2);
        assert!(bind("public", address, 1).err().unwrap().contains("in use"));
    }
}
