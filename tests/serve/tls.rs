//! Listeners with TLS, and the PROXY protocol before it: certificates made here, clients of rustls.

use super::support::*;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{
    ClientConfig, ClientConnection, DigitallySignedStruct, HandshakeKind, ProtocolVersion, RootCertStore,
    SignatureScheme, StreamOwned, SupportedProtocolVersion,
};
use std::io::{BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};

/// Signs certificates.
struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: rcgen::Certificate,
}

/// A certificate with its key.
struct Pair {
    pem: String,
    key: String,
    der: CertificateDer<'static>,
}

impl Authority {
    fn new(name: &str) -> Authority {
        let mut params = CertificateParams::new(Vec::<String>::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        Authority { issuer: Issuer::new(params, key), certificate }
    }

    fn sign(&self, names: &[&str], subject: &[(DnType, &str)]) -> Pair {
        let names: Vec<String> = names.iter().map(ToString::to_string).collect();
        let mut params = CertificateParams::new(names).unwrap();
        params.distinguished_name = rcgen::DistinguishedName::new();
        subject.iter().for_each(|(kind, value)| params.distinguished_name.push(kind.clone(), *value));
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        Pair { pem: certificate.pem(), key: key.serialize_pem(), der: certificate.der().clone() }
    }

    fn server(&self, names: &[&str]) -> Pair {
        self.sign(names, &[(DnType::CommonName, "server")])
    }

    fn client(&self, name: &str) -> Pair {
        self.sign(&[], &[(DnType::OrganizationName, "Shop, Ltd"), (DnType::CommonName, name)])
    }
}

/// What a client says of itself and accepts.
struct Offer<'a> {
    versions: &'a [&'static SupportedProtocolVersion],
    protocols: &'a [&'a [u8]],
    pair: Option<&'a Pair>,
    /// Without, every certificate is accepted.
    trusts: Option<&'a Authority>,
}

impl Default for Offer<'_> {
    fn default() -> Self {
        Offer { versions: rustls::ALL_VERSIONS, protocols: &[b"http/1.1"], pair: None, trusts: None }
    }
}

impl Offer<'_> {
    fn config(&self) -> Arc<ClientConfig> {
        let mut provider = aws_lc_rs::default_provider();
        // As browsers have it.
        provider.kx_groups = vec![aws_lc_rs::kx_group::X25519MLKEM768, aws_lc_rs::kx_group::X25519];
        let provider = Arc::new(provider);
        let builder = ClientConfig::builder_with_provider(provider.clone());
        let builder = builder.with_protocol_versions(self.versions).unwrap();
        let builder = match self.trusts {
            Some(authority) => {
                let mut roots = RootCertStore::empty();
                roots.add(authority.certificate.der().clone()).unwrap();
                builder.with_root_certificates(roots)
            }
            None => builder.dangerous().with_custom_certificate_verifier(Arc::new(Everyone(provider))),
        };
        let mut config = match self.pair {
            Some(pair) => {
                let key = <PrivateKeyDer as rustls::pki_types::pem::PemObject>::from_pem_slice(pair.key.as_bytes());
                builder.with_client_auth_cert(vec![pair.der.clone()], key.unwrap()).unwrap()
            }
            None => builder.with_no_client_auth(),
        };
        config.alpn_protocols = self.protocols.iter().map(|name| name.to_vec()).collect();
        Arc::new(config)
    }
}

#[derive(Debug)]
struct Everyone(Arc<CryptoProvider>);

impl ServerCertVerifier for Everyone {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls12_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls13_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

/// A connection with TLS.
struct Secure(BufReader<StreamOwned<ClientConnection, TcpStream>>);

impl Secure {
    /// The error is of the handshake, whoever ended it.
    fn connect(address: SocketAddr, name: &str, config: Arc<ClientConfig>) -> Result<Secure, String> {
        Secure::behind(address, &[], name, config)
    }

    /// `first` is sent before everything else.
    fn behind(address: SocketAddr, first: &[u8], name: &str, config: Arc<ClientConfig>) -> Result<Secure, String> {
        let mut tcp = TcpStream::connect(address).unwrap();
        tcp.set_read_timeout(Some(PATIENCE)).unwrap();
        tcp.set_nodelay(true).unwrap();
        tcp.write_all(first).map_err(|error| error.to_string())?;
        let mut tls = ClientConnection::new(config, ServerName::try_from(name.to_owned()).unwrap()).unwrap();
        while tls.is_handshaking() {
            tls.complete_io(&mut tcp).map_err(|error| error.to_string())?;
        }
        Ok(Secure(BufReader::new(StreamOwned::new(tls, tcp))))
    }

    fn tls(&self) -> &ClientConnection {
        &self.0.get_ref().conn
    }

    fn certificate(&self) -> CertificateDer<'static> {
        self.tls().peer_certificates().unwrap()[0].clone().into_owned()
    }

    fn send(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.0.get_mut().write_all(bytes)?;
        self.0.get_mut().flush()
    }

    fn answer(&mut self) -> Option<Answer> {
        read_answer(&mut self.0, false)
    }

    /// None where the connection ended: in TLS 1.3 a client learns after its handshake that it is turned away.
    fn get(&mut self, path: &str) -> Option<Answer> {
        self.send(format!("GET {path} HTTP/1.1\r\nhost: shop.example\r\n\r\n").as_bytes()).ok()?;
        self.answer()
    }
}

fn get(address: SocketAddr, offer: &Offer) -> Option<String> {
    let mut secure = Secure::connect(address, "shop.example", offer.config()).ok()?;
    secure.get("/").map(|answer| answer.text())
}

fn serve(settings: &str, files: &[(&str, &str)]) -> Gateway {
    Gateway::with_files(
        &format!(
            "listen public https LISTEN {{ certificate \"a.pem\" key \"a.key\"; {settings} }}\n\
             route GET / -> respond 200 text \"{{client.certificate ?? \"nobody\"}} {{scheme}}\"\n"
        ),
        files,
    )
}

#[test]
fn the_name_chooses_the_certificate() {
    let authority = Authority::new("ours");
    let [a, b, wild] =
        [&["shop.example"][..], &["b.example", "api.c.example"], &["*.c.example"]].map(|names| authority.server(names));
    let gateway = serve(
        "certificate \"b.pem\" key \"b.key\"; certificate \"w.pem\" key \"w.key\"",
        &[
            ("a.pem", &a.pem),
            ("a.key", &a.key),
            ("b.pem", &b.pem),
            ("b.key", &b.key),
            ("w.pem", &wild.pem),
            ("w.key", &wild.key),
        ],
    );
    let config = Offer::default().config();
    for (name, wanted) in [
        ("shop.example", &a),
        ("B.Example", &b),
        ("api.c.example", &b),
        ("www.c.example", &wild),
        ("x.www.c.example", &a),
        ("c.example", &a),
        ("unknown.example", &a),
        ("127.0.0.1", &a),
    ] {
        let mut secure = Secure::connect(gateway.address, name, config.clone()).unwrap();
        assert_eq!(secure.certificate(), wanted.der, "{name}");
        assert_eq!(secure.get("/").unwrap().text(), "nobody https", "{name}");
    }
    // A connection that has rested goes on.
    let mut secure = Secure::connect(gateway.address, "b.example", config).unwrap();
    for _ in 0..2 {
        assert_eq!(secure.get("/").unwrap().text(), "nobody https");
        std::thread::sleep(std::time::Duration::from_millis(1300));
    }
    assert_eq!(secure.get("/").unwrap().text(), "nobody https");
    // And as somebody would who checks.
    let honest = Offer { trusts: Some(&authority), ..Offer::default() }.config();
    assert!(Secure::connect(gateway.address, "www.c.example", honest.clone()).is_ok());
    assert!(Secure::connect(gateway.address, "unknown.example", honest).is_err());
}

#[test]
fn versions_protocols_and_key_exchange() {
    let a = Authority::new("ours").server(&["shop.example"]);
    let files = [("a.pem", a.pem.as_str()), ("a.key", a.key.as_str())];
    let gateway = serve("", &files);
    let old = Offer { versions: &[&rustls::version::TLS12], ..Offer::default() };
    let secure = Secure::connect(gateway.address, "shop.example", old.config()).unwrap();
    assert_eq!(secure.tls().protocol_version(), Some(ProtocolVersion::TLSv1_2));
    assert_eq!(secure.tls().alpn_protocol(), Some(&b"http/1.1"[..]));
    let none = Offer { protocols: &[], ..Offer::default() };
    let secure = Secure::connect(gateway.address, "shop.example", none.config()).unwrap();
    assert_eq!(secure.tls().protocol_version(), Some(ProtocolVersion::TLSv1_3));
    assert_eq!(secure.tls().alpn_protocol(), None);
    let group = secure.tls().negotiated_key_exchange_group().unwrap().name();
    assert_eq!(group, rustls::NamedGroup::X25519MLKEM768);
    let odd = Offer { protocols: &[b"gopher"], ..Offer::default() };
    let error = Secure::connect(gateway.address, "shop.example", odd.config()).err().unwrap();
    assert!(error.contains("NoApplicationProtocol"), "{error}");
    gateway.await_log("\"message\":\"TLS: ");

    let strict = serve("tls min 1.3", &files);
    let error = Secure::connect(strict.address, "shop.example", old.config()).err().unwrap();
    assert!(error.contains("ProtocolVersion"), "{error}");
    assert!(get(strict.address, &Offer::default()).is_some());
}

/// As many connections as make it certain enough that both workers had one.
const SEVERAL: usize = 16;

fn resumed(address: SocketAddr, config: &Arc<ClientConfig>) -> Vec<bool> {
    let one = |_| {
        let mut secure = Secure::connect(address, "shop.example", config.clone()).unwrap();
        // Tickets come behind the handshake.
        assert_eq!(secure.get("/").unwrap().status, 200);
        secure.tls().handshake_kind() == Some(HandshakeKind::Resumed)
    };
    (0..SEVERAL).map(one).collect()
}

#[test]
fn sessions_are_resumed_in_every_worker_and_over_reloads() {
    let authority = Authority::new("ours");
    let [a, b] = [(); 2].map(|()| authority.server(&["shop.example"]));
    let gateway = serve("", &[("a.pem", &a.pem), ("a.key", &a.key)]);
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        let config = Offer { versions: &[version], ..Offer::default() }.config();
        let all = resumed(gateway.address, &config);
        assert!(!all[0] && all[1..].iter().all(|resumed| *resumed), "{all:?}");
        let program = std::fs::read_to_string(gateway.path("gateway.gw")).unwrap();
        let reloads = gateway.log().matches("\"message\":\"reloaded\"").count();
        gateway.replace("gateway.gw", &format!("{program}route GET /{reloads} -> respond 204\n"));
        gateway.await_log_times("\"message\":\"reloaded\"", reloads + 1);
        assert!(resumed(gateway.address, &config).iter().all(|resumed| *resumed), "after a reload");
    }
    let config = Offer::default().config();
    resumed(gateway.address, &config);
    gateway.replace("a.key", &b.key);
    gateway.replace("a.pem", &b.pem);
    gateway.await_log("new certificates");
    assert!(resumed(gateway.address, &config).iter().all(|resumed| *resumed), "after a new certificate");
}

#[test]
fn clients_show_certificates() {
    let (ours, theirs) = (Authority::new("ours"), Authority::new("theirs"));
    let (alice, mallory) = (ours.client("alice"), theirs.client("alice"));
    let a = ours.server(&["shop.example"]);
    let ca = ours.certificate.pem();
    let files = [("a.pem", a.pem.as_str()), ("a.key", a.key.as_str()), ("ca.pem", ca.as_str())];
    let versions = [[&rustls::version::TLS12], [&rustls::version::TLS13]];
    let offers = |pair| [0, 1].map(|at| Offer { versions: &versions[at], pair, ..Offer::default() });
    let required = serve("client-certificates required { ca \"ca.pem\" }", &files);
    let optional = serve("client-certificates optional { ca \"ca.pem\" }", &files);
    let subject = "CN=alice,O=Shop\\, Ltd https".to_owned();
    for offer in offers(Some(&alice)) {
        assert_eq!(get(required.address, &offer), Some(subject.clone()));
        assert_eq!(get(optional.address, &offer), Some(subject.clone()));
        // A session remembers who came.
        let config = offer.config();
        for _ in 0..4 {
            let mut secure = Secure::connect(required.address, "shop.example", config.clone()).unwrap();
            assert_eq!(secure.get("/").unwrap().text(), subject);
        }
    }
    for offer in offers(None) {
        assert_eq!(get(required.address, &offer), None);
        assert_eq!(get(optional.address, &offer), Some("nobody https".into()));
    }
    for offer in offers(Some(&mallory)) {
        assert_eq!(get(required.address, &offer), None);
        assert_eq!(get(optional.address, &offer), None, "one that is not good is no better than none");
    }
    required.await_log("\"message\":\"TLS: ");
}

/// A session of a listener that asks for nothing opens none that asks for a certificate.
#[test]
fn sessions_do_not_lead_past_client_certificates() {
    let ours = Authority::new("ours");
    let a = ours.server(&["shop.example"]);
    let ca = ours.certificate.pem();
    let strict = free_port();
    let gateway = Gateway::with_files(
        &format!(
            "listen public https LISTEN {{ certificate \"a.pem\" key \"a.key\" }}\n\
             listen strict https {strict} {{ certificate \"a.pem\" key \"a.key\"; client-certificates required {{ ca \"ca.pem\" }} }}\n\
             route GET / -> respond 200 text \"{{client.certificate ?? \"nobody\"}}\"\n"
        ),
        &[("a.pem", &a.pem), ("a.key", &a.key), ("ca.pem", &ca)],
    );
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        let config = Offer { versions: &[version], ..Offer::default() }.config();
        assert!(resumed(gateway.address, &config)[1], "the client has a session");
        for _ in 0..4 {
            let refused = Secure::connect(strict, "shop.example", config.clone()).ok().and_then(|mut s| s.get("/"));
            assert!(refused.is_none());
        }
    }
}

#[test]
fn certificates_change_under_load() {
    let authority = Authority::new("ours");
    let pairs: Vec<Pair> = (0..4).map(|_| authority.server(&["shop.example"])).collect();
    let gateway = serve("", &[("a.pem", &pairs[0].pem), ("a.key", &pairs[0].key)]);
    let (stop, asked) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let mut kept = Secure::connect(gateway.address, "shop.example", Offer::default().config()).unwrap();
    let clients: Vec<_> = (0..2)
        .map(|_| {
            let (stop, asked, address) = (stop.clone(), asked.clone(), gateway.address);
            std::thread::spawn(move || {
                while !stop.load(SeqCst) {
                    assert_eq!(get(address, &Offer::default()).as_deref(), Some("nobody https"));
                    asked.fetch_add(1, SeqCst);
                }
            })
        })
        .collect();
    for (n, pair) in pairs.iter().enumerate().skip(1) {
        gateway.replace("a.pem", &pair.pem);
        gateway.replace("a.key", &pair.key);
        gateway.await_log_times("new certificates", n);
        let secure = Secure::connect(gateway.address, "shop.example", Offer::default().config()).unwrap();
        assert_eq!(secure.certificate(), pair.der);
    }
    // What is broken changes nothing.
    gateway.replace("a.pem", "-----BEGIN CERTIFICATE-----\nAAAA\n");
    gateway.await_log("what it had before stays");
    let secure = Secure::connect(gateway.address, "shop.example", Offer::default().config()).unwrap();
    assert_eq!(secure.certificate(), pairs[3].der);
    assert_eq!(kept.get("/").unwrap().status, 200, "a connection lives on");
    stop.store(true, SeqCst);
    clients.into_iter().for_each(|client| client.join().unwrap());
    assert!(asked.load(SeqCst) > 4);
}

#[test]
fn what_is_missing_is_said_before_anything_listens() {
    let authority = Authority::new("ours");
    let a = authority.server(&["shop.example"]);
    let other = authority.server(&["shop.example"]);
    let dir = tempfile::tempdir().unwrap();
    let program = format!(
        "listen public https {} {{ certificate \"a.pem\" key \"a.key\" }}\nroute GET / -> respond 204\n",
        free_port()
    );
    std::fs::write(dir.path().join("gateway.gw"), program).unwrap();
    let run = |command: &str| {
        let mut gw = std::process::Command::new(env!("CARGO_BIN_EXE_gw"));
        let out = gw.args([command, "gateway.gw"]).current_dir(dir.path()).output().unwrap();
        (out.status.code(), String::from_utf8(out.stderr).unwrap() + &String::from_utf8(out.stdout).unwrap())
    };
    assert_eq!(run("check").0, Some(0), "checking needs no certificates");
    let (code, said) = run("serve");
    assert!(
        code == Some(1) && said.contains("listener `public`: the certificate `a.pem`: there is no such file"),
        "{said}"
    );
    std::fs::write(dir.path().join("a.pem"), &a.pem).unwrap();
    assert_eq!(run("check").0, Some(0), "nor keys");
    let (code, said) = run("serve");
    assert!(code == Some(1) && said.contains("the key `a.key`: there is no such file"), "{said}");
    std::fs::write(dir.path().join("a.key"), &other.key).unwrap();
    for command in ["check", "serve"] {
        let (code, said) = run(command);
        assert!(code == Some(1) && said.contains("E0623"), "{said}");
    }
}

#[test]
fn http_on_a_port_of_https_and_the_way_there() {
    let a = Authority::new("ours").server(&["shop.example"]);
    let public = free_port();
    let gateway = Gateway::with_files(
        &format!(
            "listen public https {public} {{ certificate \"a.pem\" key \"a.key\"; max connections 2 }}\n\
             listen http LISTEN {{ redirect https port {} }}\n\
             route GET /{{rest...}} -> respond 200 text \"{{request.uri}}\"\n",
            public.port()
        ),
        &[("a.pem", &a.pem), ("a.key", &a.key)],
    );
    let mut client = Client::connect(public);
    client.send(b"GET / HTTP/1.1\r\nhost: shop.example\r\n\r\n");
    let answer = client.answer();
    drop(client);
    assert_eq!((answer.status, answer.header("connection")), (400, Some("close")));
    assert!(answer.text().contains("https"), "{answer:?}");

    let mut client = gateway.connect();
    client.send(b"POST /a/b?c=d HTTP/1.1\r\nhost: shop.example:80\r\ncontent-length: 0\r\n\r\n");
    let answer = client.answer();
    assert_eq!(answer.status, 308);
    let location = answer.header("location").unwrap().to_owned();
    let (host, path) = location.strip_prefix("https://").unwrap().split_at("shop.example".len());
    let path = path.strip_prefix(&format!(":{}", public.port())).unwrap();
    let mut secure = Secure::connect(public, host, Offer::default().config()).unwrap();
    assert_eq!(secure.get(path).unwrap().text(), "/a/b?c=d");
    client.send(b"OPTIONS * HTTP/1.1\r\nhost: shop.example\r\n\r\n");
    let server = format!("https://shop.example:{}", public.port());
    assert_eq!(client.answer().header("location"), Some(&*server));

    // One too many is told so in the words of TLS.
    let second = Secure::connect(public, host, Offer::default().config()).unwrap();
    let error = Secure::connect(public, host, Offer::default().config()).err().unwrap();
    assert!(error.contains("InternalError"), "{error}");
    drop((secure, second));
}

#[test]
fn a_handshake_may_take_as_long_as_a_head() {
    let a = Authority::new("ours").server(&["shop.example"]);
    let gateway = serve("timeout header 300ms", &[("a.pem", &a.pem), ("a.key", &a.key)]);
    let mut silent = gateway.connect();
    silent.assert_closed();
    let mut slow = gateway.connect();
    slow.send(&[22, 3, 1, 2, 0, 1, 0]);
    slow.assert_closed();
    // Garbage is answered with an alert.
    let mut odd = gateway.connect();
    odd.send(&[22, 3, 1, 0, 4, 2, 0, 0, 0]);
    let mut told = Vec::new();
    let _ = odd.reader.read_to_end(&mut told);
    assert_eq!(told.first(), Some(&21), "{told:?}");
}

#[test]
fn bodies_of_any_size_go_through() {
    const SIZE: usize = 24 * 1024 * 1024;
    let body = |size: usize| (0..size).map(|at| (at % 251) as u8).collect::<Vec<u8>>();
    let server = Server::answering(move |got| {
        assert!(got.body == body(got.body.len()));
        let mut answer =
            format!("HTTP/1.1 200 OK\r\nx-got: {}\r\ncontent-length: {SIZE}\r\n\r\n", got.body.len()).into_bytes();
        answer.extend_from_slice(&body(SIZE));
        answer
    });
    let gateway = in_front_of(&server);
    let mut secure = Secure::connect(gateway.address, "shop.example", Offer::default().config()).unwrap();
    for _ in 0..2 {
        secure.send(format!("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: {SIZE}\r\n\r\n").as_bytes()).unwrap();
        secure.send(&body(SIZE)).unwrap();
        let answer = secure.answer().unwrap();
        assert_eq!(answer.header("x-got"), Some(SIZE.to_string().as_str()));
        assert!(answer.body == body(SIZE));
    }
    let peak = peak_memory(gateway.child.id());
    assert!(peak < 80 * 1024, "{peak} KiB");
}

#[test]
fn another_protocol_over_tls() {
    let server = Server::raw(|mut stream, mut reader| {
        let got = read_request(&mut reader).unwrap();
        assert_eq!(field(&got.head, "upgrade"), Some("echo"));
        stream
            .write_all(b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: echo\r\n\r\nwelcome")
            .unwrap();
        let mut byte = [0; 1];
        while reader.read(&mut byte).is_ok_and(|n| n > 0) {
            stream.write_all(&[byte[0].to_ascii_uppercase()]).unwrap();
        }
    });
    let a = Authority::new("ours").server(&["shop.example"]);
    let gateway = Gateway::with_files(
        &format!(
            "listen https LISTEN {{ certificate \"a.pem\" key \"a.key\" }}\nroute GET /{{rest...}} -> {}\n",
            server.url()
        ),
        &[("a.pem", &a.pem), ("a.key", &a.key)],
    );
    let mut secure = Secure::connect(gateway.address, "shop.example", Offer::default().config()).unwrap();
    // What is for the other protocol may come at once.
    secure.send(b"GET / HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: echo\r\n\r\nearly").unwrap();
    assert_eq!(secure.answer().unwrap().status, 101);
    let mut got = [0; 12];
    secure.0.read_exact(&mut got).unwrap();
    assert_eq!(&got, b"welcomeEARLY");
    for _ in 0..100 {
        secure.send(b"more").unwrap();
        let mut got = [0; 4];
        secure.0.read_exact(&mut got).unwrap();
        assert_eq!(&got, b"MORE");
    }
}

/// The header of version 2 for 192.0.2.7:9.
fn version2() -> Vec<u8> {
    let mut header = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c".to_vec();
    header.extend_from_slice(&[192, 0, 2, 7, 10, 0, 0, 1, 0, 9, 0, 80]);
    header
}

#[test]
fn a_balancer_says_who_the_client_is() {
    let a = Authority::new("ours").server(&["shop.example"]);
    let [plain, forgetful] = [(); 2].map(|()| free_port());
    let program = |trust: &str| {
        format!(
            "listen public https LISTEN {{ certificate \"a.pem\" key \"a.key\"; proxy-protocol; timeout header 500ms }}\n\
             listen plain http {plain} {{ proxy-protocol }}\n\
             listen forgetful http {forgetful}\n\
             trust proxies {trust} using proxy-protocol\n\
             route GET /{{rest...}} -> respond 200 text \"{{client.ip}} {{scheme}}\"\n"
        )
    };
    let gateway = Gateway::with_files(&program("127.0.0.0/8"), &[("a.pem", &a.pem), ("a.key", &a.key)]);
    let config = Offer::default().config();
    let secure = |first: &[u8]| {
        let mut secure = Secure::behind(gateway.address, first, "shop.example", config.clone()).ok()?;
        Some(secure.get("/")?.text())
    };
    let local = b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0";
    for (header, wanted) in [
        (&b"PROXY TCP4 192.0.2.7 10.0.0.1 9 443\r\n"[..], Some("192.0.2.7")),
        (b"PROXY TCP6 2001:db8::7 ::1 9 443\r\n", Some("2001:db8::7")),
        (b"PROXY UNKNOWN\r\n", Some("127.0.0.1")),
        (local, Some("127.0.0.1")),
        (&version2(), Some("192.0.2.7")),
        (b"", None),
        (b"PROXY TCP4 192.0.2.7 10.0.0.1 443\r\n", None),
        (b"PROXY ", None),
    ] {
        assert_eq!(secure(header), wanted.map(|ip| format!("{ip} https")), "{}", header.escape_ascii());
        let mut client = Client::connect(plain);
        client.send(header);
        // The header may say nothing about a request that comes with it.
        let _ = client.stream.write_all(b"GET / HTTP/1.1\r\nhost: a\r\nx-forwarded-for: 6.6.6.6\r\n\r\n");
        let answer = client.try_answer(false).map(|answer| answer.text());
        assert_eq!(answer, wanted.map(|ip| format!("{ip} http")), "{}", header.escape_ascii());
    }
    gateway.await_log("PROXY protocol: ");
    // Where none is expected, a header is a bad request.
    let mut client = Client::connect(forgetful);
    client.send(b"PROXY TCP4 192.0.2.7 10.0.0.1 9 443\r\nGET / HTTP/1.1\r\nhost: a\r\n\r\n");
    assert_eq!(client.answer().status, 400);

    gateway.replace("gateway.gw", &program("203.0.113.0/24"));
    gateway.await_log("\"message\":\"reloaded\"");
    assert_eq!(secure(&version2()), None, "from anybody else");
    gateway.await_log("the peer is none of `trust proxies`");
}

#[test]
fn a_balancers_header_and_the_first_request_have_one_time() {
    let program = "listen http LISTEN { proxy-protocol; protocols PROTOCOLS; timeout header 3s }\n\
                   trust proxies 127.0.0.0/8 using proxy-protocol\n\
                   route GET /{rest...} -> respond 200 text \"{client.ip}\"\n";
    let clients = ["h1", "h2c", "h1, h2c"].map(|protocols| {
        std::thread::spawn(move || {
            let gateway = Gateway::serve(&program.replace("PROTOCOLS", protocols));
            let began = std::time::Instant::now();
            let mut clients = [gateway.connect(), gateway.connect()];
            std::thread::sleep(std::time::Duration::from_millis(2500));
            clients.iter_mut().for_each(|client| client.send(b"PROXY TCP4 192.0.2.7 10.0.0.1 9 443\r\n"));
            let [mut silent, mut asking] = clients;
            if protocols != "h2c" {
                asking.send(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n");
                assert_eq!(asking.answer().text(), "192.0.2.7");
            }
            // A connection of HTTP/2 is listened to for a second more.
            let _ = silent.stream.read_to_end(&mut Vec::new());
            let took = began.elapsed();
            assert!((3000..5300).contains(&took.as_millis()), "{protocols}: {took:?}");
        })
    });
    clients.into_iter().for_each(|client| client.join().unwrap());
}

#[test]
fn http2_is_agreed_upon() {
    let server = Server::answering(|got| ok(&got.head));
    let gateway = in_front_of(&server);
    let offer = |protocols: &[&'static [u8]]| Offer { protocols, ..Offer::default() }.config();
    let secure = Secure::connect(gateway.address, "shop.example", offer(&[b"http/1.1", b"h2"])).unwrap();
    assert_eq!(secure.tls().alpn_protocol(), Some(&b"h2"[..]), "the gateway's order counts");
    drop(secure);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let head = runtime.block_on(async {
        let tcp = tokio::net::TcpStream::connect(gateway.address).await.unwrap();
        let name = ServerName::try_from("shop.example").unwrap();
        let tls = tokio_rustls::TlsConnector::from(offer(&[b"h2"])).connect(name, tcp).await.unwrap();
        let (mut client, connection) = h2::client::handshake(tls).await.unwrap();
        let driven = tokio::spawn(connection);
        let request = http::Request::post("https://shop.example/a?b=c").body(()).unwrap();
        let (answer, mut body) = client.send_request(request, false).unwrap();
        body.send_data(vec![7; 10_000].into(), true).unwrap();
        let answer = answer.await.unwrap();
        assert_eq!(answer.status(), 200);
        let mut body = answer.into_body();
        let mut text = Vec::new();
        while let Some(data) = body.data().await {
            let data = data.unwrap();
            body.flow_control().release_capacity(data.len()).unwrap();
            text.extend_from_slice(&data);
        }
        driven.abort();
        String::from_utf8(text).unwrap()
    });
    assert!(head.starts_with("POST /a?b=c HTTP/1.1"), "{head}");
    assert_eq!(field(&head, "x-forwarded-proto"), Some("https"));
    // HTTP/1.1 only, where that is said.
    gateway.replace(
        "gateway.gw",
        "listen https LISTEN { certificate \"a.pem\" key \"a.key\"; protocols h1 }\nroute GET / -> respond 204\n",
    );
    gateway.await_log("\"message\":\"reloaded\"");
    let secure = Secure::connect(gateway.address, "shop.example", offer(&[b"h2", b"http/1.1"])).unwrap();
    assert_eq!(secure.tls().alpn_protocol(), Some(&b"http/1.1"[..]));
}

#[test]
fn a_listener_turns_to_tls_and_who_came_without_comes_again() {
    let authority = Authority::new("ca");
    let server = authority.server(&["test"]);
    let program = |listen: &str| format!("listen public {listen}\nroute GET /n -> respond 200 text \"1\"\n");
    let gateway = Gateway::with_files(&program("http LISTEN"), &[("a.pem", &server.pem)]);
    let mut plain = gateway.connect();
    plain.send(b"GET /n HTTP/1.1\r\nhost: test\r\n\r\n");
    assert_eq!(plain.answer().text(), "1");
    let with_tls = program("https LISTEN { certificate \"a.pem\" key \"a.key\" }");
    gateway.replace("gateway.gw", &with_tls);
    let log = gateway.await_log("not reloaded");
    assert!(log.contains("a.key"), "{log}");
    plain.send(b"GET /n HTTP/1.1\r\nhost: test\r\n\r\n");
    assert_eq!(plain.answer().text(), "1", "nothing has changed");
    std::fs::write(gateway.path("a.key"), &server.key).unwrap();
    gateway.replace("gateway.gw", &format!("{with_tls}# again\n"));
    gateway.await_log("\"message\":\"reloaded\"");
    plain.assert_closed();
    let mut client = gateway.connect();
    client.send(b"GET /n HTTP/1.1\r\nhost: test\r\n\r\n");
    assert!(client.try_answer(false).is_none_or(|answer| answer.status == 400), "it speaks TLS only");
}

#[test]
fn who_asks_for_nothing_does_not_keep_the_gateway() {
    let a = Authority::new("ours").server(&["shop.example"]);
    let mut gateway = serve("timeout header 1h", &[("a.pem", &a.pem), ("a.key", &a.key)]);
    let mut quiet = Secure::connect(gateway.address, "shop.example", Offer::default().config()).unwrap();
    let mut half = gateway.connect();
    half.send(&[22, 3, 1, 2, 0, 1, 0]);
    let mut asked = Secure::connect(gateway.address, "shop.example", Offer::default().config()).unwrap();
    assert_eq!(asked.get("/").unwrap().status, 200);
    gateway.signal("-TERM");
    // The end is said in TLS: nobody can cut an answer short unseen.
    for secure in [&mut quiet, &mut asked] {
        assert_eq!(secure.0.read(&mut [0; 1]).unwrap(), 0);
    }
    half.assert_closed();
    assert_eq!(gateway.child.wait().unwrap().code(), Some(0));
}

/// Although what comes behind its request was decrypted already.
#[test]
fn a_client_that_goes_is_noticed() {
    let (asked, requests) = std::sync::mpsc::channel();
    let server = Server::raw(move |_stream, mut reader| {
        if read_head(&mut reader).is_some() {
            asked.send(()).unwrap();
        }
        let _ = std::io::copy(&mut reader, &mut std::io::sink());
    });
    let gateway = in_front_of(&server);
    let config = Offer::default().config();
    let requests = |after: &[u8], late: bool| {
        let mut secure = Secure::connect(gateway.address, "shop.example", config.clone()).unwrap();
        let first = b"GET /left HTTP/1.1\r\nhost: a\r\n\r\n";
        secure.send(&if late { first.to_vec() } else { [first, after].concat() }).unwrap();
        requests.recv_timeout(PATIENCE).unwrap();
        if late {
            secure.send(after).unwrap();
        }
        secure
    };
    for (n, (after, late, polite)) in [
        (&b""[..], false, false),
        (b"", false, true),
        (b"\r\n", false, false),
        (b"GET /next HTTP/1.1\r\nhost: a\r\n\r\n", false, true),
        (b"GET /next HTTP/1.1\r\nhost: a\r\n\r\n", true, false),
        (b"GET /ne", true, true),
    ]
    .into_iter()
    .enumerate()
    {
        let mut secure = requests(after, late);
        if polite {
            let stream = secure.0.get_mut();
            stream.conn.send_close_notify();
            stream.flush().unwrap();
            gateway.await_log_times("\"status\":499", n + 1);
        }
        drop(secure);
        gateway.await_log_times("\"status\":499", n + 1);
    }
}

/// A gateway that speaks TLS and sends everything to one server.
fn in_front_of(server: &Server) -> Gateway {
    let a = Authority::new("ours").server(&["shop.example"]);
    Gateway::with_files(
        &format!(
            "listen https LISTEN {{ certificate \"a.pem\" key \"a.key\" }}\nroute ANY /{{rest...}} -> {}\n",
            server.url()
        ),
        &[("a.pem", &a.pem), ("a.key", &a.key)],
    )
}
