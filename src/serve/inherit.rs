//! What this process was given when it began: sockets that listen, from a service manager (`LISTEN_FDS`) or from the
//! gateway that it takes over from.

use super::sockets::is_same;
use listenfd::ListenFd;
use socket2::Domain;
use std::io::Write;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::net::UnixStream;

/// The name of the socket on which a new process tells the old one that it serves.
pub const READY: &str = "gw-ready";
/// What it says there.
pub const SERVES: &[u8] = b"serves\n";

/// Sockets that nobody has taken yet.
#[derive(Default)]
pub struct Inherited {
    listening: Vec<(String, TcpListener)>,
    predecessor: Option<UnixStream>,
    /// Sentences about what cannot be used.
    pub problems: Vec<String>,
}

/// How a listener's sockets are called between two gateways. `LISTEN_FDNAMES` has colons between names.
pub fn name_of(address: SocketAddr) -> String {
    address.to_string().replace(':', "+")
}

impl Inherited {
    /// Takes what the environment tells of. To be called once, before there are other threads.
    pub fn from_env() -> Inherited {
        let names = std::env::var("LISTEN_FDNAMES").unwrap_or_default();
        let mut names = names.split(':');
        let mut fds = ListenFd::from_env();
        let mut inherited = Inherited::default();
        for at in 0..fds.len() {
            let name = names.next().unwrap_or_default();
            if name == READY {
                let stream = fds.take_custom(at, Domain::UNIX.into(), socket2::Type::STREAM.into(), "Unix socket");
                inherited.predecessor = stream.ok().flatten();
                continue;
            }
            // A copy has the lowest number that is free; what came may stand high above the others.
            let taken = fds.take_tcp_listener(at).and_then(|socket| socket.map(|s| s.try_clone()).transpose());
            match taken {
                Ok(Some(socket)) => inherited.listening.push((name.to_owned(), socket)),
                Ok(None) => {}
                Err(error) => inherited.problems.push(format!("the socket `{name}` that was passed: {error}")),
            }
        }
        inherited
    }

    /// The sockets for a listener, by its address or its name.
    pub fn take(&mut self, listener: &str, address: SocketAddr) -> Vec<TcpListener> {
        let passed = name_of(address);
        let fits = |(name, socket): &mut (String, TcpListener)| {
            name == listener || *name == passed || socket.local_addr().is_ok_and(|at| is_same(at, address))
        };
        self.listening.extract_if(.., fits).map(|(_, socket)| socket).collect()
    }

    /// There is a gateway that waits for this one to serve.
    pub fn has_predecessor(&self) -> bool {
        self.predecessor.is_some()
    }

    /// Tells the gateway before this one that it may end. Sentences about sockets that no listener wants, which are closed.
    pub fn settle(&mut self) -> Vec<String> {
        if let Some(mut predecessor) = self.predecessor.take() {
            // It may be gone: then nobody has to be told.
            let _ = predecessor.write_all(SERVES);
        }
        let unwanted = self.listening.drain(..).map(|(name, socket)| match socket.local_addr() {
            Ok(address) => format!("no listener wants the socket `{name}` ({address}) that was passed"),
            Err(_) => format!("no listener wants the socket `{name}` that was passed"),
        });
        let mut problems = std::mem::take(&mut self.problems);
        problems.extend(unwanted);
        problems
    }
}
