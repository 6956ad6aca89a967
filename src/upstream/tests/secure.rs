//! Servers that speak TLS.

use super::*;
use crate::upstream::ErrorKind;
use crate::upstream::config::Protocol;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::path::{Path, PathBuf};
use std::sync::Arc;

fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src/upstream/tests/tls").join(name)
}

/// A TLS server that answers with the name and protocol that the client asked for and the length of the
/// body; with `close`, it ends the response by closing the connection, without `close_notify`.
async fn secure(close: bool) -> Scripted {
    let chain = vec![CertificateDer::from_pem_file(file("server.pem")).unwrap()];
    let key = PrivateKeyDer::from_pem_file(file("server.key")).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    server(move |_, stream| {
        let acceptor = acceptor.clone();
        async move {
            let Ok(mut tls) = acceptor.accept(stream).await else {
                return;
            };
            let (_, session) = tls.get_ref();
            let name = session.server_name().unwrap_or("none").to_owned();
            let protocol = String::from_utf8_lossy(session.alpn_protocol().unwrap_or_default()).into_owned();
            let mut text = Vec::new();
            loop {
                while !text.ends_with(b"\r\n\r\n") {
                    match tls.read_u8().await {
                        Ok(byte) => text.push(byte),
                        Err(_) => return,
                    }
                }
                let length = String::from_utf8(std::mem::take(&mut text)).unwrap();
                let length = length.lines().find_map(|line| line.strip_prefix("content-length: "));
                let mut body = vec![0; length.map_or(0, |length| length.parse().unwrap())];
                tls.read_exact(&mut body).await.unwrap();
                let body = format!("{name} {protocol} {}", body.len());
                let framing = if close { String::new() } else { format!("content-length: {}\r\n", body.len()) };
                tls.write_all(format!("HTTP/1.1 200 OK\r\n{framing}\r\n{body}").as_bytes()).await.unwrap();
                tls.flush().await.unwrap();
                if close {
                    return;
                }
            }
        }
    })
    .await
}

fn roots(name: &str) -> config::Tls {
    config::Tls { roots: Some(config::Pem::read(&file(name)).unwrap()), ..Default::default() }
}

fn https(server: &Scripted, host: &str, tls: config::Tls) -> Upstream {
    let mut config = config(server.address);
    config.servers[0].scheme = Scheme::Https;
    config.servers[0].host = Host::from(host);
    config.pool.protocol = Protocol::Http1;
    upstream(Config { tls, ..config })
}

#[test]
fn requests_over_tls_share_a_connection() {
    local(async {
        let server = secure(false).await;
        for (host, name) in [("localhost", "localhost"), ("127.0.0.1", "none")] {
            let before = server.connections.get();
            let up = https(&server, host, roots("ca.pem"));
            for _ in 0..3 {
                assert_eq!(get(&up).await.unwrap().body, format!("{name} http/1.1 0").as_bytes());
            }
            let large = vec![7; 200_000];
            assert_eq!(post(&up, body(&large, true)).await.unwrap().body, format!("{name} http/1.1 200000").as_bytes());
            assert!(server.connections.get() - before <= 2, "localhost may be tried at ::1 first");
        }
    });
}

#[test]
fn certificates_are_verified() {
    local(async {
        let server = secure(false).await;
        let mut wrong = config(server.address);
        wrong.servers[0].scheme = Scheme::Https;
        for up in [upstream(wrong), https(&server, "127.0.0.2", roots("ca.pem"))] {
            let error = get(&up).await.unwrap_err();
            assert!(matches!(error.kind, ErrorKind::Tls | ErrorKind::Refused), "{error}");
            assert!(error.kind.is_connect());
        }
    });
}

#[test]
fn an_end_without_close_notify_is_no_end() {
    local(async {
        let server = secure(true).await;
        let up = https(&server, "127.0.0.1", roots("ca.pem"));
        assert_eq!(get(&up).await.unwrap_err().kind, ErrorKind::Closed);
    });
}

#[test]
fn authorities_that_cannot_be_read() {
    let error = config::Pem::read(&file("no-such-file.pem")).unwrap_err().to_string();
    assert!(error.contains("no-such-file.pem"), "{error}");
    let mut config = config(([127, 0, 0, 1], 1).into());
    config.servers[0].scheme = Scheme::Https;
    config.tls = roots("server.key");
    let error = Shared::new(config, 1, None).err().expect("no authorities").to_string();
    assert!(error.contains("no certificate"), "{error}");
}
