//! How the gateway speaks to servers: HTTP/2 with and without TLS, gRPC, certificates of both sides.

use super::certificates::{Authority, Identity};
use super::support::*;
use bytes::{Buf, BufMut, Bytes};
use http::{Request, Response, StatusCode, Version};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{HandshakeKind, RootCertStore, ServerConfig};
use std::pin::Pin;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::SeqCst;
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio_rustls::TlsAcceptor;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::codegen::tokio_stream::{Stream, StreamExt, wrappers::ReceiverStream};
use tonic::{Code, Status, Streaming};

type Body = UnsyncBoxBody<Bytes, Box<dyn std::error::Error + Send + Sync>>;
type Answering = Pin<Box<dyn Future<Output = Response<Body>> + Send>>;

/// A hyper server in a thread of its own.
struct Hyper {
    address: std::net::SocketAddr,
    connections: Arc<AtomicUsize>,
    /// Handshakes that resumed a session.
    resumed: Arc<AtomicUsize>,
    /// The names that clients asked for.
    names: Arc<Mutex<Vec<Option<String>>>>,
}

impl Hyper {
    fn new(
        tls: Option<ServerConfig>,
        service: impl Fn(Request<Incoming>) -> Answering + Send + Sync + 'static,
    ) -> Hyper {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let server = Hyper {
            address: listener.local_addr().unwrap(),
            connections: Arc::default(),
            resumed: Arc::default(),
            names: Arc::default(),
        };
        let (connections, resumed, names) = (server.connections.clone(), server.resumed.clone(), server.names.clone());
        let service = Arc::new(service);
        let acceptor = tls.map(|tls| TlsAcceptor::from(Arc::new(tls)));
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async move {
                let listener = tokio::net::TcpListener::from_std(listener).unwrap();
                loop {
                    let (tcp, _) = listener.accept().await.unwrap();
                    connections.fetch_add(1, SeqCst);
                    let (service, acceptor) = (service.clone(), acceptor.clone());
                    let (resumed, names) = (resumed.clone(), names.clone());
                    tokio::spawn(async move {
                        let Some(acceptor) = acceptor else { return connection(tcp, true, service).await };
                        let Ok(tls) = acceptor.accept(tcp).await else { return };
                        let (_, session) = tls.get_ref();
                        resumed.fetch_add((session.handshake_kind() == Some(HandshakeKind::Resumed)).into(), SeqCst);
                        names.lock().unwrap().push(session.server_name().map(str::to_owned));
                        let http2 = session.alpn_protocol() == Some(b"h2");
                        connection(tls, http2, service).await;
                    });
                }
            });
        });
        server
    }

    /// Tells each request's version, host and body; a body's trailers come back as such.
    fn telling(tls: Option<ServerConfig>) -> Hyper {
        Hyper::new(tls, |request| Box::pin(tell(request)))
    }

    fn port(&self) -> u16 {
        self.address.port()
    }
}

async fn connection<T, S>(stream: T, http2: bool, service: Arc<S>)
where
    T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    S: Fn(Request<Incoming>) -> Answering + Send + Sync + 'static,
{
    let service = service_fn(move |request| {
        let answering = service(request);
        async move { Ok::<_, std::convert::Infallible>(answering.await) }
    });
    let io = TokioIo::new(stream);
    if http2 {
        let _ = hyper::server::conn::http2::Builder::new(TokioExecutor::new()).serve_connection(io, service).await;
    } else {
        let _ = hyper::server::conn::http1::Builder::new().serve_connection(io, service).with_upgrades().await;
    }
}

fn body(text: impl Into<Bytes>) -> Body {
    Full::new(text.into()).map_err(|never| match never {}).boxed_unsync()
}

async fn tell(request: Request<Incoming>) -> Response<Body> {
    let (parts, incoming) = request.into_parts();
    let authority = parts.uri.authority().map(ToString::to_string);
    let host = authority.or_else(|| Some(parts.headers.get("host")?.to_str().ok()?.to_owned()));
    let version = if parts.version == Version::HTTP_2 { "h2" } else { "h1" };
    let collected = incoming.collect().await.unwrap();
    let trailers = collected.trailers().cloned();
    let te = parts.headers.get("te").map_or("-", |te| te.to_str().unwrap());
    let fields = trailers.iter().flatten().map(|(name, value)| format!(" {name}:{}", value.to_str().unwrap()));
    let fields: String = fields.collect();
    let text = format!("{version} {} {} te={te}{fields}", host.unwrap_or_default(), collected.to_bytes().len());
    let body = Full::new(Bytes::from(text)).map_err(|never| match never {});
    Response::new(match trailers {
        Some(trailers) => body.with_trailers(async { Some(Ok(trailers)) }).boxed_unsync(),
        None => body.boxed_unsync(),
    })
}

/// How a test's server speaks TLS; with `clients`, it wants certificates that these have signed.
fn tls(identity: &Identity, protocols: &[&str], clients: Option<&Authority>) -> ServerConfig {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ServerConfig::builder_with_provider(provider.clone()).with_safe_default_protocol_versions().unwrap();
    let builder = match clients {
        None => builder.with_no_client_auth(),
        Some(authority) => {
            let mut roots = RootCertStore::empty();
            roots.add(CertificateDer::from_pem_slice(authority.pem.as_bytes()).unwrap()).unwrap();
            builder.with_client_cert_verifier(
                WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build().unwrap(),
            )
        }
    };
    let chain = vec![CertificateDer::from_pem_slice(identity.chain.as_bytes()).unwrap()];
    let key = PrivateKeyDer::from_pem_slice(identity.key.as_bytes()).unwrap();
    let mut config = builder.with_single_cert(chain, key).unwrap();
    config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
    config
}

fn program(servers: &str) -> String {
    format!("listen http LISTEN {{ protocols h1, h2c }}\nupstream up {{ {servers} }}\nroute ANY /{{rest...}} -> up\n")
}

fn https(port: u16, more: &str) -> String {
    program(&format!("server https://127.0.0.1:{port}; {more}"))
}

#[test]
fn h2c_to_a_server() {
    let server = Hyper::telling(None);
    let gateway = Gateway::serve(&program(&format!("server http://{}; protocol h2c", server.address)));
    let address = server.address;
    assert_eq!(gateway.get("/").text(), format!("h2 {address} 0 te=-"));
    let large = "x".repeat(300_000);
    let post = format!("POST / HTTP/1.1\r\nhost: test\r\ncontent-length: {}\r\n\r\n{large}", large.len());
    assert_eq!(gateway.ask(&post).text(), format!("h2 {address} 300000 te=-"));
    let head = gateway.connect().tap(|client| client.send(b"HEAD / HTTP/1.1\r\nhost: test\r\n\r\n")).try_answer(true);
    assert_eq!(head.unwrap().status, 200);
    // Two workers, a connection each.
    std::thread::scope(|scope| {
        for _ in 0..20 {
            scope.spawn(|| assert_eq!(gateway.get("/").status, 200));
        }
    });
    assert!(server.connections.load(SeqCst) <= 2);
}

trait Tap: Sized {
    fn tap(mut self, with: impl FnOnce(&mut Self)) -> Self {
        with(&mut self);
        self
    }
}

impl Tap for Client {}

#[test]
fn trailers_of_http1_clients_reach_http2_servers_and_come_back() {
    let server = Hyper::telling(None);
    let gateway = Gateway::serve(&program(&format!("server http://{}; protocol h2c", server.address)));
    let request = "POST / HTTP/1.1\r\nhost: test\r\nte: trailers\r\nconnection: te\r\ntransfer-encoding: chunked\r\n\r\n\
                   3\r\nabc\r\n0\r\nx-sum: 9\r\n\r\n";
    let answer = gateway.ask(request);
    assert_eq!(answer.text(), format!("h2 {} 3 te=trailers x-sum:9", server.address));
}

#[test]
fn trailers_of_buffered_bodies_go_along() {
    let telling = Hyper::telling(None);
    let server = Server::answering(|got| ok(&format!("{} {}", got.body.len(), got.trailers.trim())));
    let gateway = Gateway::serve(&format!(
        "listen http LISTEN\nupstream two {{ server http://{}; protocol h2c }}\nupstream one {}\n\
         route POST /one -> one {{ require body.ok == true }}\nroute POST /two -> two {{ require body.ok == true }}\n",
        telling.address,
        server.url()
    ));
    for (path, said) in
        [("/one", "11 x-sum: 9".to_owned()), ("/two", format!("h2 {} 11 te=- x-sum:9", telling.address))]
    {
        let answer = gateway.ask(&format!(
            "POST {path} HTTP/1.1\r\nhost: test\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n\
             b\r\n{{\"ok\":true}}\r\n0\r\nx-sum: 9\r\n\r\n"
        ));
        assert_eq!(answer.text(), said);
    }
}

#[test]
fn a_body_that_comes_too_slowly_is_408_buffered_or_not() {
    let server = Server::text("x");
    let gateway = Gateway::serve(&format!(
        "listen http LISTEN {{ timeout idle 500ms }}\nupstream up {}\n\
         route POST /buffered -> up {{ require body.ok == true }}\nroute POST /streaming -> up {{ timeout idle 500ms }}\n",
        server.url()
    ));
    for path in ["/buffered", "/streaming"] {
        let mut client = gateway.connect();
        client.send(format!("POST {path} HTTP/1.1\r\nhost: test\r\ncontent-length: 9\r\n\r\nabc").as_bytes());
        assert_eq!(client.answer().status, 408, "{path}");
    }
}

#[test]
fn over_tls_the_server_chooses() {
    let authority = Authority::new("tests");
    let identity = authority.sign("127.0.0.1");
    let files = [("ca.pem", authority.pem.as_str())];
    for (protocols, protocol, version) in [
        (&["h2", "http/1.1"][..], "", "h2"),
        (&["http/1.1"], "", "h1"),
        (&[], "protocol auto", "h1"),
        (&["h2", "http/1.1"], "protocol h1", "h1"),
        (&["h2"], "protocol h2", "h2"),
    ] {
        let server = Hyper::telling(Some(tls(&identity, protocols, None)));
        let gateway =
            Gateway::with_files(&https(server.port(), &format!("{protocol}; tls {{ ca \"ca.pem\" }}")), &files);
        for _ in 0..5 {
            let answer = gateway.get("/");
            assert_eq!(answer.text(), format!("{version} {} 0 te=-", server.address), "{protocols:?} {protocol}");
        }
    }
    // One that offers no HTTP/2 where it must.
    let server = Hyper::telling(Some(tls(&identity, &[], None)));
    let gateway = Gateway::with_files(&https(server.port(), "protocol h2; tls { ca \"ca.pem\" }"), &files);
    assert_eq!(gateway.get("/").status, 502);
    gateway.await_log("the server does not offer HTTP/2");
}

#[test]
fn certificates_of_servers_are_verified() {
    let (authority, other) = (Authority::new("tests"), Authority::new("others"));
    let files = [("ca.pem", authority.pem.as_str()), ("other.pem", other.pem.as_str())];
    for (identity, settings, says) in [
        (authority.sign("127.0.0.1"), "tls { ca \"ca.pem\" }", None),
        (authority.sign("127.0.0.1"), "tls { ca \"other.pem\" }", Some("UnknownIssuer")),
        (authority.sign("127.0.0.1"), "", Some("UnknownIssuer")),
        (authority.sign("127.0.0.2"), "tls { ca \"ca.pem\" }", Some("not valid for name")),
        (authority.sign_expired("127.0.0.1"), "tls { ca \"ca.pem\" }", Some("expired")),
        (authority.sign("orders.internal"), "tls { ca \"ca.pem\" server-name \"orders.internal\" }", None),
        (authority.sign("orders.internal"), "tls { ca \"ca.pem\" }; host \"orders.internal:8443\"", None),
        (authority.sign("127.0.0.1"), "tls { ca \"ca.pem\" server-name \"x.internal\" }", Some("not valid for name")),
    ] {
        let settings = settings.replace("\" server", "\"; server");
        let server = Hyper::telling(Some(tls(&identity, &["h2"], None)));
        let gateway = Gateway::with_files(&https(server.port(), &settings), &files);
        let answer = gateway.get("/");
        match says {
            None => assert_eq!(answer.status, 200, "{settings}"),
            Some(says) => {
                assert_eq!(answer.status, 502, "{settings}");
                assert!(!answer.text().contains("Issuer"));
                let log = gateway.await_log("the TLS handshake failed").to_ascii_lowercase();
                assert!(log.contains(&says.to_ascii_lowercase()), "{says}: {log}");
            }
        }
        if settings.contains("orders.internal") {
            assert_eq!(server.names.lock().unwrap()[0].as_deref(), Some("orders.internal"));
        }
    }
}

#[test]
fn the_gateway_has_a_certificate_and_changes_it() {
    let (authority, clients) = (Authority::new("servers"), Authority::new("clients"));
    let identity = authority.sign("127.0.0.1");
    let (good, bad) = (clients.sign("gateway"), Authority::new("nobody").sign("gateway"));
    for protocols in [&["h2"][..], &["http/1.1"]] {
        let server = Hyper::telling(Some(tls(&identity, protocols, Some(&clients))));
        let files = [("ca.pem", authority.pem.as_str()), ("gw.pem", &bad.chain), ("gw.key", &bad.key)];
        let gateway = Gateway::with_files(&https(server.port(), "tls { ca \"ca.pem\" }"), &files);
        assert_eq!(gateway.get("/").status, 502);
        let with = "tls { ca \"ca.pem\"; certificate \"gw.pem\" key \"gw.key\" }";
        gateway.replace("gateway.gw", &https(server.port(), with));
        gateway.await_log("\"message\":\"reloaded\"");
        assert_eq!(gateway.get("/").status, 502);
        // A key of another certificate changes nothing; the right one is taken without a word in the program.
        gateway.replace("gw.key", &good.key);
        gateway.await_log("does not belong to the certificate");
        gateway.replace("gw.pem", &good.chain);
        gateway.await_log_times("\"message\":\"reloaded\"", 2);
        assert_eq!(gateway.get("/").status, 200);
    }
}

#[test]
fn a_certificate_that_a_listener_has_too_changes_for_both() {
    let (authority, clients) = (Authority::new("servers"), Authority::new("clients"));
    let (good, bad) = (clients.sign("gateway"), Authority::new("nobody").sign("gateway"));
    let server = Hyper::telling(Some(tls(&authority.sign("127.0.0.1"), &["http/1.1"], Some(&clients))));
    let files = [("ca.pem", authority.pem.as_str()), ("gw.pem", &bad.chain), ("gw.key", &bad.key)];
    let pair = "certificate \"gw.pem\" key \"gw.key\"";
    let program = https(server.port(), &format!("tls {{ ca \"ca.pem\"; {pair} }}"));
    let gateway =
        Gateway::with_files(&format!("{program}\nlisten secure https {} {{ {pair} }}\n", free_port()), &files);
    assert_eq!(gateway.get("/").status, 502);
    gateway.replace("gw.key", &good.key);
    gateway.replace("gw.pem", &good.chain);
    gateway.await_log("new certificates");
    let taken = (0..500).any(|_| {
        std::thread::sleep(std::time::Duration::from_millis(10));
        gateway.get("/").status == 200
    });
    assert!(taken, "{}", gateway.log());
}

#[test]
fn what_is_wrong_with_files_is_said_at_start() {
    let authority = Authority::new("tests");
    let (one, two) = (authority.sign("a"), authority.sign("b"));
    for (files, says) in [
        (vec![], "`gw.pem`: there is no such file"),
        (vec![("gw.pem", one.key.as_str()), ("gw.key", &one.key)], "`gw.pem`: no certificate in the file"),
        (vec![("gw.pem", one.chain.as_str()), ("gw.key", &one.chain)], "`gw.key`: no private key in the file"),
        (vec![("gw.pem", one.chain.as_str()), ("gw.key", &two.key)], "`gw.key`: the key does not belong"),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let text =
            https(1, "tls { certificate \"gw.pem\" key \"gw.key\" }").replace("LISTEN", &free_port().to_string());
        std::fs::write(dir.path().join("gateway.gw"), text).unwrap();
        for (name, text) in files {
            std::fs::write(dir.path().join(name), text).unwrap();
        }
        let command = std::process::Command::new(env!("CARGO_BIN_EXE_gw"))
            .args(["serve", "gateway.gw"])
            .current_dir(dir.path())
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&command.stderr).into_owned();
        assert!(!command.status.success() && said.contains("upstream `up`") && said.contains(says), "{says}: {said}");
    }
}

#[test]
fn sessions_are_resumed() {
    let authority = Authority::new("tests");
    let server = Hyper::telling(Some(tls(&authority.sign("127.0.0.1"), &["http/1.1"], None)));
    let settings = "protocol h1; pool idle 100ms; tls { ca \"ca.pem\" }";
    let gateway = Gateway::with_files(&https(server.port(), settings), &[("ca.pem", &authority.pem)]);
    while server.resumed.load(SeqCst) == 0 {
        assert_eq!(gateway.get("/").status, 200);
        assert!(server.connections.load(SeqCst) < 20);
        std::thread::sleep(std::time::Duration::from_millis(200));
    }
}

#[test]
fn websockets_get_a_connection_of_http1() {
    let authority = Authority::new("tests");
    let identity = authority.sign("127.0.0.1");
    let serve = |protocols: &[&str]| {
        Hyper::new(Some(tls(&identity, protocols, None)), |request| {
            Box::pin(async move {
                if request.headers().get("upgrade").is_none() {
                    return tell(request).await;
                }
                tokio::spawn(async move {
                    let upgraded = hyper::upgrade::on(request).await.unwrap();
                    let (mut read, mut write) = tokio::io::split(TokioIo::new(upgraded));
                    write.write_all(b"hello").await.unwrap();
                    let _ = tokio::io::copy(&mut read, &mut write).await;
                });
                let mut response = Response::new(body(""));
                *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
                response.headers_mut().insert("connection", "upgrade".parse().unwrap());
                response.headers_mut().insert("upgrade", "websocket".parse().unwrap());
                response
            })
        })
    };
    let upgrade = b"GET /chat HTTP/1.1\r\nhost: test\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n";
    let server = serve(&["h2", "http/1.1"]);
    let files = [("ca.pem", authority.pem.as_str())];
    let gateway = Gateway::with_files(&https(server.port(), "tls { ca \"ca.pem\" }"), &files);
    assert!(gateway.get("/").text().starts_with("h2 "));
    let mut client = gateway.connect();
    client.send(upgrade);
    assert_eq!(client.try_answer(true).unwrap().status, 101);
    client.send(b"echo");
    let mut came = [0; 9];
    std::io::Read::read_exact(&mut client.reader, &mut came).unwrap();
    assert_eq!(&came, b"helloecho");
    assert!(gateway.get("/").text().starts_with("h2 "));

    let server = serve(&["h2"]);
    let gateway = Gateway::with_files(&https(server.port(), "protocol h2; tls { ca \"ca.pem\" }"), &files);
    let mut client = gateway.connect();
    client.send(upgrade);
    assert_eq!(client.answer().status, 502);
    gateway.await_log("only HTTP/2 is spoken to this upstream");
}

/// Messages are bytes.
#[derive(Clone, Copy, Default)]
struct Raw;

impl Codec for Raw {
    type Encode = Vec<u8>;
    type Decode = Vec<u8>;
    type Encoder = Raw;
    type Decoder = Raw;

    fn encoder(&mut self) -> Raw {
        Raw
    }

    fn decoder(&mut self) -> Raw {
        Raw
    }
}

impl Encoder for Raw {
    type Item = Vec<u8>;
    type Error = Status;

    fn encode(&mut self, item: Vec<u8>, out: &mut EncodeBuf<'_>) -> Result<(), Status> {
        out.put_slice(&item);
        Ok(())
    }
}

impl Decoder for Raw {
    type Item = Vec<u8>;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<Vec<u8>>, Status> {
        let mut item = vec![0; from.remaining()];
        from.copy_to_slice(&mut item);
        Ok(Some(item))
    }
}

/// Answers each message with itself and its number; `fail` ends the call at once, `stop` in the middle.
#[derive(Clone)]
struct Echo;

type Answers = Pin<Box<dyn Stream<Item = Result<Vec<u8>, Status>> + Send>>;

impl tonic::server::StreamingService<Vec<u8>> for Echo {
    type Response = Vec<u8>;
    type ResponseStream = Answers;
    type Future = Pin<Box<dyn Future<Output = Result<tonic::Response<Answers>, Status>> + Send>>;

    fn call(&mut self, request: tonic::Request<Streaming<Vec<u8>>>) -> Self::Future {
        Box::pin(async move {
            if request.metadata().get("x-fail").is_some() {
                let mut status = Status::new(Code::PermissionDenied, "not for you");
                status.metadata_mut().insert("x-why", "policy".parse().unwrap());
                return Err(status);
            }
            let mut count = 0;
            let answers = request.into_inner().map(move |message| {
                let message = message?;
                count += 1;
                match message.as_slice() {
                    b"stop" => Err(Status::new(Code::Aborted, "stopped")),
                    _ => Ok([message.as_slice(), format!(" {count}").as_bytes()].concat()),
                }
            });
            Ok(tonic::Response::new(Box::pin(answers) as Answers))
        })
    }
}

async fn grpc(request: Request<Incoming>) -> Response<Body> {
    let response = tonic::server::Grpc::new(Raw).streaming(Echo, request).await;
    response.map(|body| body.map_err(Into::into).boxed_unsync())
}

#[test]
fn grpc_with_tonic_on_both_ends() {
    let authority = Authority::new("tests");
    let plain = Hyper::new(None, |request| Box::pin(grpc(request)));
    let secure = Hyper::new(Some(tls(&authority.sign("127.0.0.1"), &["h2"], None)), |request| Box::pin(grpc(request)));
    for program in [
        program(&format!("server http://{}; protocol h2c", plain.address)),
        https(secure.port(), "tls { ca \"ca.pem\" }"),
    ] {
        let gateway = Gateway::with_files(&program, &[("ca.pem", &authority.pem)]);
        super::http2::run(async {
            let channel = tonic::transport::Endpoint::from_shared(format!("http://{}", gateway.address)).unwrap();
            let mut client = tonic::client::Grpc::new(channel.connect().await.unwrap());
            let path = || http::uri::PathAndQuery::from_static("/test.Echo/Talk");

            // Each answer is there before the next message goes out, and the first before any other.
            let (messages, stream) = tokio::sync::mpsc::channel(1);
            messages.send(b"one".to_vec()).await.unwrap();
            client.ready().await.unwrap();
            let request = tonic::Request::new(ReceiverStream::new(stream));
            let mut answers = client.streaming(request, path(), Raw).await.unwrap().into_inner();
            assert_eq!(answers.message().await.unwrap().unwrap(), b"one 1");
            for (n, message) in [(2, "two"), (3, "three")] {
                messages.send(message.into()).await.unwrap();
                assert_eq!(answers.message().await.unwrap().unwrap(), format!("{message} {n}").as_bytes());
            }
            drop(messages);
            assert_eq!(answers.message().await.unwrap(), None);

            // A failure in the middle is in trailers.
            let request = tonic::Request::new(tonic::codegen::tokio_stream::iter([b"a".to_vec(), b"stop".to_vec()]));
            client.ready().await.unwrap();
            let mut answers = client.streaming(request, path(), Raw).await.unwrap().into_inner();
            assert_eq!(answers.message().await.unwrap().unwrap(), b"a 1");
            let status = answers.message().await.unwrap_err();
            assert_eq!((status.code(), status.message()), (Code::Aborted, "stopped"));

            // One at once has no body at all.
            let mut request = tonic::Request::new(tonic::codegen::tokio_stream::pending());
            request.metadata_mut().insert("x-fail", "1".parse().unwrap());
            client.ready().await.unwrap();
            let status = client.streaming(request, path(), Raw).await.unwrap_err();
            assert_eq!((status.code(), status.message()), (Code::PermissionDenied, "not for you"));
            assert_eq!(status.metadata().get("x-why").unwrap(), "policy");

            // Large messages, in both directions.
            let large = vec![7; 3_000_000];
            let request = tonic::Request::new(tonic::codegen::tokio_stream::once(large.clone()));
            client.ready().await.unwrap();
            let mut answers = client.streaming(request, path(), Raw).await.unwrap().into_inner();
            assert_eq!(answers.message().await.unwrap().unwrap().len(), large.len() + 2);
        });
    }
}

#[test]
fn keep_alive_races_fail_no_get() {
    // Closes right behind every answer, without saying so.
    let server = Server::raw(|mut stream, mut reader| {
        if read_request(&mut reader).is_some() {
            let _ = std::io::Write::write_all(&mut stream, &ok("x"));
        }
    });
    let gateway = Gateway::serve(&program(&format!("server {}", server.url())));
    let failed: usize = std::thread::scope(|scope| {
        let clients: Vec<_> = (0..8)
            .map(|_| {
                scope.spawn(|| {
                    let mut client = gateway.connect();
                    let ask = |client: &mut Client| {
                        client.send(b"GET / HTTP/1.1\r\nhost: test\r\n\r\n");
                        client.answer().status != 200
                    };
                    (0..1250).filter(|_| ask(&mut client)).count()
                })
            })
            .collect();
        clients.into_iter().map(|client| client.join().unwrap()).sum()
    });
    assert_eq!(failed, 0);
}

#[test]
fn a_server_that_shuts_down_loses_no_request() {
    // Each connection is told to go after some requests, as nginx does after `keepalive_requests`.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async move {
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            loop {
                let (tcp, _) = listener.accept().await.unwrap();
                tokio::spawn(async move {
                    let mut connection = h2::server::handshake(tcp).await.unwrap();
                    let mut count = 0;
                    while let Some(Ok((_, mut respond))) = connection.accept().await {
                        count += 1;
                        let _ = respond.send_response(Response::new(()), true);
                        if count == 50 {
                            connection.graceful_shutdown();
                        }
                    }
                });
            }
        });
    });
    let gateway = Gateway::serve(&program(&format!("server http://{address}; protocol h2c")));
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                let mut client = gateway.connect();
                for _ in 0..250 {
                    client.send(b"POST / HTTP/1.1\r\nhost: test\r\ncontent-length: 3\r\n\r\nabc");
                    assert_eq!(client.answer().status, 200);
                }
            });
        }
    });
}
