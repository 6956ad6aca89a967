//! A gateway, servers and clients for the tests; all end with the test.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// The longest that anything may take on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// A running gateway.
pub struct Gateway {
    pub address: SocketAddr,
    pub dir: tempfile::TempDir,
    pub child: Child,
    log: Arc<Mutex<String>>,
}

/// A port that was free a moment ago.
pub fn free_port() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

impl Gateway {
    /// Serves `program`, in which `LISTEN` stands for the address.
    pub fn serve(program: &str) -> Gateway {
        Gateway::with_files(program, &[])
    }

    /// The same, with files beside the program.
    pub fn with_files(program: &str, files: &[(&str, &str)]) -> Gateway {
        Gateway::with_args(program, files, &[])
    }

    /// The same, with further arguments of `gw serve`.
    pub fn with_args(program: &str, files: &[(&str, &str)], args: &[&str]) -> Gateway {
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in files {
            std::fs::write(dir.path().join(name), text).unwrap();
        }
        Gateway::start(program, dir, Command::new(env!("CARGO_BIN_EXE_gw")), args)
    }

    /// The same in a folder of files, by a command that lacks only its arguments.
    pub fn start(program: &str, dir: tempfile::TempDir, mut command: Command, args: &[&str]) -> Gateway {
        let address = free_port();
        let file = dir.path().join("gateway.gw");
        std::fs::write(&file, program.replace("LISTEN", &address.to_string())).unwrap();
        command.args(["serve", "gateway.gw", "--log-format", "json"]).args(args);
        if !args.contains(&"--workers") {
            command.args(["--workers", "2"]);
        }
        let child = command.current_dir(dir.path()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
        let mut child = child.unwrap();
        let log = Arc::new(Mutex::new(String::new()));
        let (out, err) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
        for pipe in [Box::new(out) as Box<dyn Read + Send>, Box::new(err)] {
            let log = log.clone();
            std::thread::spawn(move || {
                for line in BufReader::new(pipe).lines().map_while(Result::ok) {
                    let mut log = log.lock().unwrap();
                    log.push_str(&line);
                    log.push('\n');
                }
            });
        }
        let gateway = Gateway { address, dir, child, log };
        gateway.await_log("\"message\":\"ready\"");
        gateway
    }

    /// The processes that have served, in order.
    pub fn processes(&self) -> Vec<u32> {
        let log = self.log();
        let ready = log.lines().filter(|line| line.contains("\"message\":\"ready\""));
        let id = |line: &str| serde_json::from_str::<serde_json::Value>(line).ok()?["pid"].as_u64()?.try_into().ok();
        ready.filter_map(id).collect()
    }

    pub fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    /// Waits until the log has `text` and gives it.
    #[track_caller]
    pub fn await_log(&self, text: &str) -> String {
        self.await_log_times(text, 1)
    }

    #[track_caller]
    pub fn await_log_times(&self, text: &str, times: usize) -> String {
        let began = Instant::now();
        loop {
            let log = self.log();
            if log.matches(text).count() >= times {
                return log;
            }
            assert!(began.elapsed() < PATIENCE, "`{text}` is not {times} times in the log:\n{log}");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Replaces a file as editors do.
    pub fn replace(&self, name: &str, text: &str) {
        let text = text.replace("LISTEN", &self.address.to_string());
        let new = self.path(".new");
        std::fs::write(&new, text).unwrap();
        std::fs::rename(new, self.path(name)).unwrap();
    }

    pub fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args([name, &id]).status().unwrap().success());
    }

    /// A connection to it.
    pub fn connect(&self) -> Client {
        Client::connect(self.address)
    }

    /// One request on a connection of its own.
    pub fn get(&self, path: &str) -> Answer {
        self.ask(&format!("GET {path} HTTP/1.1\r\nhost: test\r\n\r\n"))
    }

    pub fn ask(&self, request: &str) -> Answer {
        let mut client = self.connect();
        client.send(request.as_bytes());
        client.answer()
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        for successor in self.processes().into_iter().filter(|id| *id != self.child.id()) {
            let _ = Command::new("kill").args(["-KILL", &successor.to_string()]).stderr(Stdio::null()).status();
        }
    }
}

/// Clients that ask without a pause, until they are told to stop.
pub struct Load {
    stop: Arc<AtomicBool>,
    clients: Vec<std::thread::JoinHandle<Tally>>,
    pub asked: Arc<AtomicUsize>,
}

/// What became of requests.
#[derive(Debug, Default)]
pub struct Tally {
    pub answered: usize,
    /// The connection had served before and was closed before a byte of the answer: as HTTP allows at any time, so the
    /// request went again on a new connection (RFC 9112, 9.3.1).
    pub again: usize,
    pub failed: Vec<String>,
}

impl Load {
    /// `clients` keep their connections, and as many make a new one for each request.
    pub fn on(address: SocketAddr, path: &str, clients: usize) -> Load {
        let (stop, asked) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let clients = (0..clients * 2).map(|number| {
            let (stop, asked, path) = (stop.clone(), asked.clone(), path.to_owned());
            std::thread::spawn(move || ask_on(address, &path, number % 2 == 0, &stop, &asked))
        });
        Load { clients: clients.collect(), stop, asked }
    }

    /// Waits until so many more requests were answered.
    #[track_caller]
    pub fn await_requests(&self, more: usize) {
        let (began, wanted) = (Instant::now(), self.asked.load(SeqCst) + more);
        while self.asked.load(SeqCst) < wanted {
            assert!(began.elapsed() < PATIENCE, "no {more} more requests were answered");
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// No more requests: what became of all.
    pub fn stop(self) -> Tally {
        self.stop.store(true, SeqCst);
        let mut all = Tally::default();
        for client in self.clients {
            let tally = client.join().unwrap();
            all.answered += tally.answered;
            all.again += tally.again;
            all.failed.extend(tally.failed);
        }
        all
    }
}

fn ask_on(address: SocketAddr, path: &str, keep: bool, stop: &AtomicBool, asked: &AtomicUsize) -> Tally {
    let mut tally = Tally::default();
    let mut kept: Option<Client> = None;
    while !stop.load(SeqCst) {
        let fresh = kept.is_none();
        let mut client = match kept.take().map_or_else(|| Client::try_connect(address), Ok) {
            Ok(client) => client,
            // Nobody listens: not a request that failed.
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionRefused => {
                std::thread::sleep(Duration::from_millis(5));
                continue;
            }
            Err(error) => {
                tally.failed.push(error.to_string());
                continue;
            }
        };
        let close = if keep { "" } else { "connection: close\r\n" };
        let sent = write!(client.stream, "GET {path} HTTP/1.1\r\nhost: test\r\n{close}\r\n");
        match sent.ok().and_then(|()| client.try_answer(false)) {
            Some(answer) if answer.status == 200 => {
                tally.answered += 1;
                asked.fetch_add(1, SeqCst);
                kept = Some(client).filter(|_| answer.header("connection") != Some("close"));
            }
            Some(answer) => tally.failed.push(format!("{}: {}", answer.head, answer.text())),
            None if !fresh => tally.again += 1,
            None => tally.failed.push("a new connection was closed without an answer".into()),
        }
    }
    tally
}

/// A connection that speaks HTTP byte by byte.
pub struct Client {
    pub stream: TcpStream,
    pub reader: BufReader<TcpStream>,
}

/// A response.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: Vec<u8>,
    pub trailers: String,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        field(&self.head, name)
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

pub fn field<'h>(head: &'h str, name: &str) -> Option<&'h str> {
    head.lines().skip(1).find_map(|line| {
        let (key, value) = line.split_once(':')?;
        key.eq_ignore_ascii_case(name).then(|| value.trim())
    })
}

impl Client {
    pub fn connect(address: SocketAddr) -> Client {
        Client::try_connect(address).unwrap()
    }

    pub fn try_connect(address: SocketAddr) -> std::io::Result<Client> {
        let stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_nodelay(true)?;
        Ok(Client { reader: BufReader::new(stream.try_clone()?), stream })
    }

    pub fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).unwrap();
    }

    /// The next response, of which the request was no HEAD.
    #[track_caller]
    pub fn answer(&mut self) -> Answer {
        self.try_answer(false).expect("the connection was closed without an answer")
    }

    pub fn try_answer(&mut self, head_only: bool) -> Option<Answer> {
        read_answer(&mut self.reader, head_only)
    }

    /// The other side closes, and nothing more comes.
    #[track_caller]
    pub fn assert_closed(&mut self) {
        let mut rest = Vec::new();
        if let Err(error) = self.reader.read_to_end(&mut rest) {
            // A reset is an end, too.
            assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
        }
        assert_eq!(String::from_utf8_lossy(&rest), "");
    }
}

/// A response, if one comes.
pub fn read_answer(reader: &mut impl BufRead, head_only: bool) -> Option<Answer> {
    let head = read_head(reader)?;
    let status: u16 = head.split(' ').nth(1)?.parse().ok()?;
    let mut answer = Answer { status, head, body: Vec::new(), trailers: String::new() };
    if head_only || status < 200 || status == 204 || status == 304 {
        return Some(answer);
    }
    if answer.header("transfer-encoding").is_some() {
        (answer.body, answer.trailers) = read_chunks(reader)?;
    } else if let Some(length) = answer.header("content-length") {
        answer.body = vec![0; length.parse().unwrap()];
        reader.read_exact(&mut answer.body).ok()?;
    } else {
        reader.read_to_end(&mut answer.body).ok()?;
    }
    Some(answer)
}

pub fn read_head(reader: &mut impl BufRead) -> Option<String> {
    let mut head = String::new();
    loop {
        let mut line = Vec::new();
        if reader.read_until(b'\n', &mut line).ok()? == 0 {
            return None;
        }
        if line == b"\r\n" {
            return Some(head);
        }
        // A byte is a character, whichever it is.
        head.extend(line.into_iter().map(char::from));
    }
}

pub fn read_chunks(reader: &mut impl BufRead) -> Option<(Vec<u8>, String)> {
    let mut body = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let size = usize::from_str_radix(line.trim().split(';').next()?, 16).ok()?;
        if size == 0 {
            return Some((body, read_head(reader)?));
        }
        let at = body.len();
        body.resize(at + size, 0);
        reader.read_exact(&mut body[at..]).ok()?;
        let mut end = [0; 2];
        reader.read_exact(&mut end).ok()?;
    }
}

/// A server: a thread a connection.
pub struct Server {
    pub address: SocketAddr,
    pub connections: Arc<AtomicUsize>,
}

/// A request as a server gets it.
pub struct Got {
    pub head: String,
    pub body: Vec<u8>,
    pub trailers: String,
}

impl Server {
    /// `serve` has each connection to itself.
    pub fn raw(serve: impl Fn(TcpStream, BufReader<TcpStream>) + Send + Sync + 'static) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let connections = Arc::new(AtomicUsize::new(0));
        let (serve, count) = (Arc::new(serve), connections.clone());
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                count.fetch_add(1, SeqCst);
                let serve = serve.clone();
                stream.set_nodelay(true).unwrap();
                std::thread::spawn(move || {
                    let reader = BufReader::new(stream.try_clone().unwrap());
                    serve(stream, reader);
                });
            }
        });
        Server { address, connections }
    }

    /// Each request is answered with the text that `answer` makes of it.
    pub fn answering(answer: impl Fn(&Got) -> Vec<u8> + Send + Sync + 'static) -> Server {
        Server::raw(move |mut stream, mut reader| {
            while let Some(got) = read_request(&mut reader) {
                if stream.write_all(&answer(&got)).is_err() {
                    return;
                }
            }
        })
    }

    pub fn text(text: &'static str) -> Server {
        Server::answering(move |_| ok(text))
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

/// Waits until something holds.
#[track_caller]
pub fn eventually(what: &str, holds: impl Fn() -> bool) {
    let began = Instant::now();
    while !holds() {
        assert!(began.elapsed() < PATIENCE, "{what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

pub fn ok(text: &str) -> Vec<u8> {
    format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{text}", text.len()).into_bytes()
}

pub fn read_request(reader: &mut impl BufRead) -> Option<Got> {
    let head = read_head(reader)?;
    let (mut body, mut trailers) = (Vec::new(), String::new());
    if field(&head, "transfer-encoding").is_some() {
        (body, trailers) = read_chunks(reader)?;
    } else if let Some(length) = field(&head, "content-length") {
        body = vec![0; length.parse().ok()?];
        reader.read_exact(&mut body).ok()?;
    }
    Some(Got { head, body, trailers })
}

/// The most memory that a process has used, in KiB.
pub fn peak_memory(id: u32) -> usize {
    let status = std::fs::read_to_string(Path::new("/proc").join(id.to_string()).join("status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}
