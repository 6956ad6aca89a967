//! Sockets that listen: bound or taken over before anything is served, and kept, so that a worker that fails or a new
//! process finds them with all who wait in them.

use super::Failure;
use super::inherit::Inherited;
use super::listen;
use crate::plan::Plan;
use smol_str::SmolStr;
use socket2::{Domain, Protocol, SockRef, Socket, Type};
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

/// Connections that the kernel keeps before they are accepted.
const BACKLOG: i32 = 4096;

/// An address with its sockets.
pub struct Bound {
    /// Where, as the program says.
    pub address: SocketAddr,
    /// Each is another one to the kernel.
    sockets: Vec<TcpListener>,
    /// Connections of all workers together.
    pub open: Arc<AtomicUsize>,
}

impl Bound {
    /// What a worker accepts from. Every socket is someone's; where there are too few, they are shared.
    pub fn share(&self, worker: usize, workers: usize) -> io::Result<Vec<TcpListener>> {
        let own = self.sockets.iter().skip(worker).step_by(workers.max(1));
        let shared = worker.checked_rem(self.sockets.len()).filter(|_| worker >= self.sockets.len());
        own.chain(shared.and_then(|at| self.sockets.get(at))).map(TcpListener::try_clone).collect()
    }

    /// The sockets, to be handed on.
    pub fn sockets(&self) -> &[TcpListener] {
        &self.sockets
    }
}

/// The sockets of a running gateway.
#[derive(Default)]
pub struct Sockets(Vec<Bound>);

impl Sockets {
    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Bound> {
        self.0.iter()
    }

    /// Those that `plan` needs and that are not there: taken from `inherited`, else bound.
    pub fn missing(&self, plan: &Plan, inherited: &mut Inherited, workers: usize) -> Result<Vec<Bound>, Failure> {
        let (mut bound, mut failures) = (Vec::<Bound>::new(), Failure::new());
        for (name, address) in listen::addresses(plan) {
            if self.0.iter().any(|bound| bound.address == address) {
                continue;
            }
            let ours = self.0.iter().any(|bound| is_within(bound.address, address));
            let sockets = match inherited.take(name, address) {
                sockets if sockets.is_empty() => has_port(address).and_then(|()| bind(address, workers, ours)),
                sockets => complete(sockets, workers),
            };
            match sockets {
                Ok(sockets) => bound.push(Bound { address, sockets, open: Arc::default() }),
                Err(error) => failures.push(explain(name, address, &error)),
            }
        }
        if !failures.is_empty() {
            return Err(failures);
        }
        // Only now that all are there: beside the sockets of another process these get their share of its clients.
        for Bound { address, sockets, .. } in &bound {
            if let Some(error) = sockets.iter().find_map(|socket| SockRef::from(socket).listen(BACKLOG).err()) {
                failures.push(explain(&listener_at(plan, *address), *address, &error));
            }
        }
        if failures.is_empty() { Ok(bound) } else { Err(failures) }
    }

    /// Takes in new sockets and closes those that `plan` does not need. Workers that still accept from one of these
    /// close it for good.
    pub fn settle(&mut self, plan: &Plan, new: Vec<Bound>) {
        self.0.extend(new);
        self.0.retain(|bound| listen::addresses(plan).any(|(_, address)| address == bound.address));
    }
}

/// One socket for each worker. `ours`: this process listens on a wider or narrower address of the port already.
fn bind(address: SocketAddr, workers: usize, ours: bool) -> io::Result<Vec<TcpListener>> {
    if !ours {
        // SO_REUSEPORT would quietly share the port with another gateway of this user: ask without it first.
        socket(address, false)?;
    }
    (0..workers.max(1)).map(|_| Ok(socket(address, true)?.into())).collect()
}

/// Sockets that this process was given, with more beside them where there is not one for each worker.
fn complete(mut sockets: Vec<TcpListener>, workers: usize) -> io::Result<Vec<TcpListener>> {
    for socket in &sockets {
        let socket = SockRef::from(socket);
        socket.set_nonblocking(true)?;
        socket.set_tcp_nodelay(true)?;
    }
    let Some(first) = sockets.first() else { return Ok(sockets) };
    let address = first.local_addr()?;
    if SockRef::from(first).reuse_port()? {
        while sockets.len() < workers {
            // Whoever bound the first may have been another user: then the workers share it.
            let Ok(socket) = socket(address, true) else { break };
            sockets.push(socket.into());
        }
    }
    Ok(sockets)
}

/// Whether `address` could be bound now, by nobody else or besides another gateway of this user.
pub fn try_bind(name: &str, address: SocketAddr) -> Result<Vacancy, String> {
    match has_port(address).and_then(|()| socket(address, false)) {
        Ok(_) => Ok(Vacancy::Free),
        Err(error) if error.kind() == io::ErrorKind::AddrInUse && socket(address, true).is_ok() => Ok(Vacancy::Shared),
        Err(error) => Err(explain(name, address, &error)),
    }
}

/// How an address can be bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Vacancy {
    /// Nobody has it.
    Free,
    /// A process of this user has it and shares it, as a running gateway does.
    Shared,
}

/// Each socket would get another port.
fn has_port(address: SocketAddr) -> io::Result<()> {
    match address.port() {
        0 => Err(io::Error::other("clients must know its port, and 0 is none")),
        _ => Ok(()),
    }
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

fn listener_at(plan: &Plan, address: SocketAddr) -> SmolStr {
    let name = listen::addresses(plan).find(|(_, of)| *of == address).map(|(name, _)| name.clone());
    name.unwrap_or_default()
}

/// One of the addresses is every address of the port.
fn is_within(one: SocketAddr, other: SocketAddr) -> bool {
    one.port() == other.port() && (one.ip().is_unspecified() || other.ip().is_unspecified())
}

/// They are the same to the kernel: also if one says "every address" for IPv4 and the other for both.
pub fn is_same(one: SocketAddr, other: SocketAddr) -> bool {
    one == other || (one.port() == other.port() && one.ip().is_unspecified() && other.ip().is_unspecified())
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

#[cfg(test)]
mod tests {
    use super::*;

    fn bound(sockets: usize) -> Bound {
        let sockets = (0..sockets).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
        Bound { address: SocketAddr::from(([127, 0, 0, 1], 0)), sockets, open: Arc::default() }
    }

    #[test]
    fn a_port_in_use_says_how_to_find_who_has_it() {
        let other = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = other.local_addr().unwrap();
        let error = explain("public", address, &bind(address, 2, false).err().unwrap());
        assert!(error.contains("`public`") && error.contains("ss -ltnp"), "{error}");
        // Another gateway, which would share.
        drop(other);
        let first = bind(address, 2, false).unwrap();
        assert_eq!(first.len(), 2);
        SockRef::from(&first[0]).listen(1).unwrap();
        assert_eq!(bind(address, 1, false).err().unwrap().kind(), io::ErrorKind::AddrInUse);
        assert_eq!(try_bind("public", address), Ok(Vacancy::Shared));
        assert!(bind(address, 1, true).is_ok());
    }

    #[test]
    fn every_socket_is_accepted_from_and_every_worker_accepts() {
        for (sockets, workers) in [(1, 1), (1, 4), (2, 2), (2, 3), (5, 2), (4, 1)] {
            let bound = bound(sockets);
            let shares: Vec<_> = (0..workers).map(|worker| bound.share(worker, workers).unwrap()).collect();
            assert!(shares.iter().all(|share| !share.is_empty()), "{sockets} of {workers}");
            let mut ports: Vec<_> = shares.iter().flatten().map(|socket| socket.local_addr().unwrap().port()).collect();
            assert_eq!(ports.len(), sockets.max(workers), "{sockets} of {workers}");
            ports.sort_unstable();
            ports.dedup();
            assert_eq!(ports.len(), sockets, "{sockets} of {workers}");
        }
    }

    #[test]
    fn what_was_given_is_completed_where_the_kernel_lets() {
        let alone = TcpListener::bind("127.0.0.1:0").unwrap();
        assert_eq!(complete(vec![alone], 3).unwrap().len(), 1);
        let shared = bind(SocketAddr::from(([127, 0, 0, 1], 0)), 1, true).unwrap();
        assert_eq!(complete(shared, 3).unwrap().len(), 3);
    }
}
