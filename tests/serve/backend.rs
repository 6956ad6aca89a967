//! Servers that can be taken away, and a name server that says where they are.

use crate::support::{Got, ok, read_request};
use std::collections::HashMap;
use std::io::{BufReader, Write};
use std::net::{IpAddr, Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};

/// A server that answers with its name until it is told otherwise.
pub struct Backend {
    pub address: SocketAddr,
    state: Arc<State>,
}

type Behaviour = Box<dyn Fn(&Got, &mut TcpStream) -> bool + Send + Sync>;

struct State {
    requests: AtomicUsize,
    dead: AtomicBool,
    streams: Mutex<Vec<TcpStream>>,
    behaviour: Mutex<Arc<Behaviour>>,
}

impl Backend {
    pub fn new(name: &'static str) -> Backend {
        Backend::on("127.0.0.1:0".parse().unwrap(), name)
    }

    /// Servers at these addresses of this machine and one port.
    pub fn same_port<const N: usize>(ips: [&str; N], names: [&'static str; N]) -> [Backend; N] {
        for _ in 0..50 {
            let port = TcpListener::bind("0.0.0.0:0").unwrap().local_addr().unwrap().port();
            let at = |ip: &str| SocketAddr::new(ip.parse().unwrap(), port);
            let listeners: Vec<_> = ips.iter().filter_map(|ip| TcpListener::bind(at(ip)).ok()).collect();
            if listeners.len() == N {
                let mut all = listeners.into_iter().zip(names).map(|(listener, name)| Backend::serve(listener, name));
                return std::array::from_fn(|_| all.next().unwrap());
            }
        }
        panic!("no port that is free at {ips:?}");
    }

    /// At this address, also again after it was killed there.
    pub fn on(address: SocketAddr, name: &'static str) -> Backend {
        Backend::serve(TcpListener::bind(address).unwrap(), name)
    }

    fn serve(listener: TcpListener, name: &'static str) -> Backend {
        let address = listener.local_addr().unwrap();
        let behaviour: Behaviour = Box::new(move |_, stream| stream.write_all(&ok(name)).is_ok());
        let state = Arc::new(State {
            requests: AtomicUsize::new(0),
            dead: AtomicBool::new(false),
            streams: Mutex::default(),
            behaviour: Mutex::new(Arc::new(behaviour)),
        });
        let own = state.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if own.dead.load(SeqCst) {
                    return;
                }
                stream.set_nodelay(true).unwrap();
                own.streams.lock().unwrap().push(stream.try_clone().unwrap());
                let state = own.clone();
                std::thread::spawn(move || state.connection(stream));
            }
        });
        Backend { address, state }
    }

    /// What it does with requests from now on; false ends the connection.
    pub fn does(&self, what: impl Fn(&Got, &mut TcpStream) -> bool + Send + Sync + 'static) {
        *self.state.behaviour.lock().unwrap() = Arc::new(Box::new(what));
    }

    /// Answers everything with this status.
    pub fn says(&self, status: u16) {
        self.does(move |_, stream| write!(stream, "HTTP/1.1 {status} x\r\ncontent-length: 0\r\n\r\n").is_ok());
    }

    /// Answers with its name again.
    pub fn recovers(&self, name: &'static str) {
        self.does(move |_, stream| stream.write_all(&ok(name)).is_ok());
    }

    pub fn requests(&self) -> usize {
        self.state.requests.load(SeqCst)
    }

    /// Its connections break, and nobody listens any more.
    pub fn kill(&self) {
        if !self.state.dead.swap(true, SeqCst) {
            let _ = TcpStream::connect(self.address);
        }
        for stream in self.state.streams.lock().unwrap().drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

/// A program with these servers and further settings of their upstream, and everything sent to them.
pub fn program(servers: &[&Backend], settings: &str) -> String {
    let servers: String = servers.iter().map(|server| format!("  server http://{}\n", server.address)).collect();
    format!("listen http LISTEN\nupstream app {{\n{servers}{settings}\n}}\nroute ANY /{{rest...}} -> app\n")
}

impl Drop for Backend {
    fn drop(&mut self) {
        self.kill();
    }
}

impl State {
    fn connection(&self, mut stream: TcpStream) {
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        while let Some(got) = read_request(&mut reader) {
            self.requests.fetch_add(1, SeqCst);
            let behaviour = self.behaviour.lock().unwrap().clone();
            if !behaviour(&got, &mut stream) {
                let _ = stream.shutdown(Shutdown::Both);
                return;
            }
        }
    }
}

/// A name server.
pub struct Dns {
    pub address: SocketAddr,
    zone: Arc<Mutex<Zone>>,
}

#[derive(Default)]
struct Zone {
    ttl: u32,
    addresses: HashMap<String, Vec<Ipv4Addr>>,
    services: HashMap<String, Vec<(u16, u16, u16, String)>>,
    asked: usize,
}

impl Dns {
    pub fn new(ttl: u32) -> Dns {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = socket.local_addr().unwrap();
        let zone = Arc::new(Mutex::new(Zone { ttl, ..Zone::default() }));
        let own = zone.clone();
        std::thread::spawn(move || {
            let mut query = [0; 1500];
            while let Ok((length, from)) = socket.recv_from(&mut query) {
                if let Some(answer) = own.lock().unwrap().answer(&query[..length]) {
                    let _ = socket.send_to(&answer, from);
                }
            }
        });
        Dns { address, zone }
    }

    /// The addresses of a name; none, and it does not exist.
    pub fn set(&self, name: &str, addresses: &[IpAddr]) {
        let only_4 = |ip: &IpAddr| match ip {
            IpAddr::V4(ip) => *ip,
            IpAddr::V6(_) => panic!("a test of IPv6"),
        };
        self.zone.lock().unwrap().addresses.insert(name.into(), addresses.iter().map(only_4).collect());
    }

    /// The SRV records of a name: priority, weight, port, target.
    pub fn set_srv(&self, name: &str, records: &[(u16, u16, u16, &str)]) {
        let records = records.iter().map(|(p, w, port, target)| (*p, *w, *port, (*target).to_owned())).collect();
        self.zone.lock().unwrap().services.insert(name.into(), records);
    }

    pub fn asked(&self) -> usize {
        self.zone.lock().unwrap().asked
    }
}

impl Zone {
    /// The answer to a query of one question (RFC 1035, 4).
    fn answer(&mut self, query: &[u8]) -> Option<Vec<u8>> {
        self.asked += 1;
        let mut at = 12;
        let mut labels = Vec::new();
        loop {
            let length = usize::from(*query.get(at)?);
            at += 1;
            if length == 0 {
                break;
            }
            labels.push(String::from_utf8_lossy(query.get(at..at + length)?).to_ascii_lowercase());
            at += length;
        }
        let name = labels.join(".");
        let kind = u16::from_be_bytes([*query.get(at)?, *query.get(at + 1)?]);
        let end = at + 4;
        let known = self.addresses.get(&name);
        let services = self.services.get(&name);
        let data: Vec<Vec<u8>> = match kind {
            1 => known.into_iter().flatten().map(|ip| ip.octets().to_vec()).collect(),
            33 => services.into_iter().flatten().map(service).collect(),
            _ => Vec::new(),
        };
        let exists = known.is_some_and(|all| !all.is_empty()) || services.is_some_and(|all| !all.is_empty());
        let mut answer = query.get(..2)?.to_vec();
        answer.extend([0x85, if exists { 0x80 } else { 0x83 }, 0, 1]);
        answer.extend((data.len() as u16).to_be_bytes());
        answer.extend([0; 4]);
        answer.extend(query.get(12..end)?);
        for data in data {
            answer.extend([0xc0, 12]);
            answer.extend(kind.to_be_bytes());
            answer.extend([0, 1]);
            answer.extend(self.ttl.to_be_bytes());
            answer.extend((data.len() as u16).to_be_bytes());
            answer.extend(data);
        }
        Some(answer)
    }
}

fn service((priority, weight, port, target): &(u16, u16, u16, String)) -> Vec<u8> {
    let mut data: Vec<u8> = [priority, weight, port].iter().flat_map(|number| number.to_be_bytes()).collect();
    for label in target.split('.').filter(|label| !label.is_empty()) {
        data.push(label.len() as u8);
        data.extend(label.as_bytes());
    }
    data.push(0);
    data
}
