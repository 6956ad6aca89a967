//! Certificates by ACME, from a real CA: Debian's `pebble`, with `pebble-challtestsrv` as its DNS. Everything is started
//! here, on free ports, and ends with its test.

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// The longest that anything may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

const ISSUED: &str = "acme: a new certificate serves";

/// A process with what it says.
struct Process {
    child: Child,
    log: Arc<Mutex<String>>,
}

impl Process {
    fn start(command: &mut Command) -> Process {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
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
        Process { child, log }
    }

    fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    fn count(&self, text: &str) -> usize {
        self.log().matches(text).count()
    }

    #[track_caller]
    fn await_log(&self, text: &str, times: usize) {
        let began = Instant::now();
        while self.count(text) < times {
            assert!(began.elapsed() < PATIENCE, "`{text}` is not {times} times in the log:\n{}", self.log());
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Ends it as an administrator does, and waits.
    fn end(mut self) {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
        assert!(self.child.wait().unwrap().success(), "{}", self.log());
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A port that was free a moment ago.
fn free_port() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

/// A CA, and where it looks for whoever asks.
struct Ca {
    dir: TempDir,
    acme: SocketAddr,
    management: SocketAddr,
    /// Where it looks for http-01 and tls-alpn-01: where gw listens.
    http: SocketAddr,
    tls: SocketAddr,
    pebble: Option<Process>,
    dns: Option<Process>,
    validity: u64,
}

/// None, and says so, where the CA is not installed; in CI it must be.
fn ca(validity: u64) -> Option<Ca> {
    for program in ["pebble", "pebble-challtestsrv"] {
        let found = Command::new(program).arg("-h").stdout(Stdio::null()).stderr(Stdio::null()).status();
        if found.is_err() {
            assert!(
                std::env::var("CI").as_deref() != Ok("true"),
                "{program} is not installed (Debian: apt-get install pebble)"
            );
            eprintln!("skipped: {program} is not installed (Debian: apt-get install pebble)");
            return None;
        }
    }
    let dir = tempfile::tempdir().unwrap();
    let own = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    std::fs::write(dir.path().join("pebble.pem"), own.cert.pem()).unwrap();
    std::fs::write(dir.path().join("pebble.key"), own.signing_key.serialize_pem()).unwrap();
    let [acme, management, http, tls] = [(); 4].map(|()| free_port());
    Some(Ca { dir, acme, management, http, tls, pebble: None, dns: None, validity })
}

impl Ca {
    fn start(&mut self) {
        let path = |name: &str| self.dir.path().join(name);
        let dns = free_port().to_string();
        let mut server = Command::new("pebble-challtestsrv");
        server.args(["-dns01", &dns, "-management", &free_port().to_string(), "-defaultIPv6", ""]);
        server.args(["-http01", "", "-https01", "", "-tlsalpn01", ""]);
        let server = Process::start(&mut server);
        server.await_log("Starting management server", 1);
        self.dns = Some(server);
        let config = serde_json::json!({ "pebble": {
            "listenAddress": self.acme, "managementListenAddress": self.management,
            "certificate": path("pebble.pem"), "privateKey": path("pebble.key"),
            "httpPort": self.http.port(), "tlsPort": self.tls.port(),
            "ocspResponderURL": "", "externalAccountBindingRequired": false,
            "certificateValidityPeriod": self.validity,
        }});
        std::fs::write(path("pebble.json"), config.to_string()).unwrap();
        let mut pebble = Command::new("pebble");
        pebble.arg("-config").arg(path("pebble.json")).args(["-dnsserver", &dns]);
        let pebble = Process::start(pebble.env("PEBBLE_VA_NOSLEEP", "1"));
        pebble.await_log("ACME directory available at", 1);
        self.pebble = Some(pebble);
    }

    /// How many certificates it has issued.
    fn issued(&self) -> usize {
        self.pebble.as_ref().unwrap().count("Issued certificate serial")
    }

    /// Whom its clients trust.
    fn roots(&self) -> Arc<RootCertStore> {
        let mut own = RootCertStore::empty();
        own.add(CertificateDer::from_pem_file(self.dir.path().join("pebble.pem")).unwrap()).unwrap();
        let mut tls = connect(self.management, "127.0.0.1", &Arc::new(own)).unwrap();
        tls.write_all(b"GET /roots/0 HTTP/1.0\r\n\r\n").unwrap();
        let mut answer = String::new();
        let _ = tls.read_to_string(&mut answer);
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(answer.as_bytes()).unwrap()).unwrap();
        Arc::new(roots)
    }

    /// A gateway for these hosts, with `settings` in its `acme`.
    fn gateway(&self, settings: &str, hosts: &str) -> Process {
        self.program(settings, hosts);
        self.serve()
    }

    fn program(&self, settings: &str, hosts: &str) {
        let (http, tls, acme) = (self.http, self.tls, self.acme);
        let new = self.dir.path().join("new");
        let program = format!(
            "listen http {http} {{ redirect https port {port} }}\n\
             listen https {tls} {{\n  acme {{\n    agree terms\n    email \"ops@shop.example\"\n    \
             directory https://{acme}/dir\n    ca \"pebble.pem\"\n    store \"state\"\n    {settings}\n  }}\n}}\n\
             api shop {{\n  host {hosts}\n  route GET /hello -> respond 200 text \"hello\"\n}}\n",
            port = tls.port()
        );
        std::fs::write(&new, program).unwrap();
        std::fs::rename(new, self.dir.path().join("gateway.gw")).unwrap();
    }

    fn serve(&self) -> Process {
        let mut gw = self.gw();
        let gw = Process::start(gw.args(["serve", "gateway.gw", "--workers", "2", "--log-format", "json"]));
        gw.await_log("\"message\":\"ready\"", 1);
        gw
    }

    fn gw(&self) -> Command {
        let mut gw = Command::new(env!("CARGO_BIN_EXE_gw"));
        gw.current_dir(self.dir.path());
        gw
    }

    /// The certificate that a client sees who trusts the CA.
    fn certificate(&self, name: &str, roots: &Arc<RootCertStore>) -> Result<CertificateDer<'static>, String> {
        let tls = connect(self.tls, name, roots)?;
        Ok(tls.conn.peer_certificates().unwrap()[0].clone().into_owned())
    }
}

type Tls = StreamOwned<ClientConnection, TcpStream>;

/// A connection whose handshake is done.
fn connect(address: SocketAddr, name: &str, roots: &Arc<RootCertStore>) -> Result<Tls, String> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = config.with_root_certificates(roots.clone()).with_no_client_auth();
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let mut connection = ClientConnection::new(Arc::new(config), name).unwrap();
    let mut tcp = TcpStream::connect(address).map_err(|error| error.to_string())?;
    tcp.set_read_timeout(Some(PATIENCE)).unwrap();
    while connection.is_handshaking() {
        connection.complete_io(&mut tcp).map_err(|error| error.to_string())?;
    }
    Ok(StreamOwned::new(connection, tcp))
}

/// One request on a connection that stays.
fn hello(tls: &mut Tls, host: &str) -> String {
    tls.write_all(format!("GET /hello HTTP/1.1\r\nhost: {host}\r\n\r\n").as_bytes()).unwrap();
    let mut answer = String::new();
    let mut byte = [0];
    while !answer.ends_with("\r\n\r\nhello") {
        assert_eq!(tls.read(&mut byte).expect("the connection is kept"), 1, "{answer}");
        answer.push(byte[0].into());
    }
    answer
}

#[test]
fn issued_kept_over_restarts_and_for_a_new_host_alone() {
    let Some(mut ca) = ca(90 * 86_400) else { return };
    let shop = "shop.example";
    // No CA yet: handshakes end, with a certificate that nobody trusts.
    let gw = ca.gateway("challenge tls-alpn-01 forwarded", shop);
    gw.await_log("acme: no new certificate", 1);
    assert!(gw.log().contains("cannot reach the CA") && gw.log().contains("stand-in serves"), "{}", gw.log());
    let nobody = {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(ca.dir.path().join("pebble.pem")).unwrap()).unwrap();
        Arc::new(roots)
    };
    assert!(ca.certificate(shop, &nobody).unwrap_err().contains("UnknownIssuer"));
    // It comes.
    ca.start();
    gw.await_log(ISSUED, 1);
    let roots = ca.roots();
    let first = ca.certificate(shop, &roots).unwrap();
    assert!(hello(&mut connect(ca.tls, shop, &roots).unwrap(), shop).starts_with("HTTP/1.1 200"));
    assert_eq!(ca.issued(), 1);
    // What is kept is its owner's alone.
    let state = ca.dir.path().join(format!("state/127.0.0.1_{}_dir", ca.acme.port()));
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&state), 0o700);
    for file in ["account.json", "shop.example.pem"] {
        assert_eq!(mode(&state.join(file)), 0o600, "{file}");
    }
    let key = std::fs::read_to_string(state.join("shop.example.pem")).unwrap();
    let key = key.lines().nth(1).unwrap();
    assert!(!gw.log().contains(key) && !gw.log().contains("PRIVATE"), "no key is ever logged");
    // A reload that brings a host orders for that host alone.
    ca.program("challenge tls-alpn-01 forwarded", "shop.example, api.shop.example");
    gw.await_log(ISSUED, 2);
    let other = ca.certificate("api.shop.example", &roots).unwrap();
    assert_eq!(ca.certificate(shop, &roots).as_ref(), Ok(&first));
    assert_eq!(ca.issued(), 2);
    gw.end();
    // A restart orders nothing: what is kept serves from the first handshake on.
    let gw = ca.serve();
    assert_eq!(ca.certificate(shop, &roots), Ok(first));
    assert_eq!(ca.certificate("api.shop.example", &roots), Ok(other));
    assert!(!gw.log().contains("acme: ordering"), "{}", gw.log());
    gw.end();
    assert_eq!(ca.issued(), 2);
    // The check asks no CA.
    drop(ca.pebble.take());
    assert!(ca.gw().args(["check", "gateway.gw"]).status().unwrap().success());
    let checked = ca.gw().args(["serve", "--check", "gateway.gw"]).output().unwrap();
    let said = String::from_utf8_lossy(&checked.stdout).into_owned() + &String::from_utf8_lossy(&checked.stderr);
    assert!(checked.status.success() && said.contains("acme: 2 of 2 names have a certificate"), "{said}");
}

#[test]
fn renewed_without_a_dropped_connection() {
    let Some(mut ca) = ca(15) else { return };
    ca.start();
    let gw = ca.gateway("challenge tls-alpn-01 forwarded", "shop.example");
    gw.await_log(ISSUED, 1);
    let roots = ca.roots();
    let first = ca.certificate("shop.example", &roots).unwrap();
    let mut kept = connect(ca.tls, "shop.example", &roots).unwrap();
    let began = Instant::now();
    while gw.count(ISSUED) < 2 {
        assert!(began.elapsed() < PATIENCE, "{}", gw.log());
        hello(&mut kept, "shop.example");
        hello(&mut connect(ca.tls, "shop.example", &roots).unwrap(), "shop.example");
        std::thread::sleep(Duration::from_millis(20));
    }
    hello(&mut kept, "shop.example");
    assert_ne!(ca.certificate("shop.example", &roots).unwrap(), first);
    assert!(!gw.log().contains("\"level\":\"error\""), "{}", gw.log());
}

#[test]
fn http_01_is_answered_by_a_listener_that_redirects() {
    let Some(mut ca) = ca(90 * 86_400) else { return };
    ca.start();
    let gw = ca.gateway("challenge http-01 forwarded", "shop.example");
    gw.await_log(ISSUED, 1);
    assert!(ca.certificate("shop.example", &ca.roots()).is_ok());
    assert!(gw.log().contains("/.well-known/acme-challenge/"), "{}", gw.log());
    // When the CA has asked, that path is one like others.
    let mut plain = TcpStream::connect(ca.http).unwrap();
    plain.write_all(b"GET /.well-known/acme-challenge/x HTTP/1.0\r\nhost: shop.example\r\n\r\n").unwrap();
    let mut answer = String::new();
    plain.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.0 308"), "{answer}");
}

#[test]
fn two_gateways_with_one_store_order_once() {
    let Some(mut ca) = ca(90 * 86_400) else { return };
    ca.start();
    ca.program("challenge tls-alpn-01 forwarded", "shop.example");
    let first = ca.serve();
    // The same program at another port: the CA asks the first.
    let program = std::fs::read_to_string(ca.dir.path().join("gateway.gw")).unwrap();
    let other = free_port();
    let program = program.replace(&ca.tls.to_string(), &other.to_string());
    let program = program.replace(&ca.http.to_string(), &free_port().to_string());
    std::fs::write(ca.dir.path().join("other.gw"), program).unwrap();
    let second = Process::start(ca.gw().args(["serve", "other.gw", "--log-format", "json"]));
    first.await_log(ISSUED, 1);
    let roots = ca.roots();
    let began = Instant::now();
    while connect(other, "shop.example", &roots).is_err() {
        assert!(began.elapsed() < PATIENCE, "{}", second.log());
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(ca.issued(), 1);
}

#[test]
fn a_ca_that_says_no_and_a_store_that_cannot_be_written() {
    let Some(mut ca) = ca(90 * 86_400) else { return };
    ca.start();
    // The CA looks for the gateway where nothing listens.
    let right = std::mem::replace(&mut ca.tls, free_port());
    let gw = ca.gateway("challenge tls-alpn-01 forwarded", "shop.example");
    gw.await_log("acme: no new certificate", 1);
    let log = gw.log();
    for text in [
        "the CA refuses",
        "port 443 of shop.example must lead here",
        "a self-signed stand-in serves",
        "\"again_in_seconds\":3",
    ] {
        assert!(log.contains(text), "{text}: {log}");
    }
    gw.end();
    ca.tls = right;
    // Nobody starts without a place for keys.
    std::fs::write(ca.dir.path().join("file"), "").unwrap();
    ca.program("challenge tls-alpn-01 forwarded", "shop.example");
    let program = std::fs::read_to_string(ca.dir.path().join("gateway.gw")).unwrap();
    std::fs::write(ca.dir.path().join("gateway.gw"), program.replace("\"state\"", "\"file\"")).unwrap();
    let failed = ca.gw().args(["serve", "gateway.gw"]).output().unwrap();
    let said = String::from_utf8_lossy(&failed.stderr);
    assert_eq!(failed.status.code(), Some(1));
    assert!(said.contains("cannot keep certificates in `file`: it is not a folder"), "{said}");
}
