//! A CA that only says when it would have certificates renewed (RFC 9773): pebble of Debian does not.

use super::Shown;
use super::ca::Ca;
use super::certificate::{Issued, tests::pem};
use super::keeper::Keeper;
use super::store::Store;
use crate::model::ast::AcmeChallenge;
use crate::plan::Issuer;
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use smol_str::{SmolStr, format_smolstr};
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};
use tokio::sync::Semaphore;

/// Serves a directory and this window until the test ends; gives its URL, what it was asked, and puts its certificate
/// into `ca_file`.
fn suggests(window: (&str, &str), ca_file: &Path) -> (SmolStr, Arc<Mutex<Vec<String>>>) {
    let own = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    std::fs::write(ca_file, own.cert.pem()).unwrap();
    let key = PrivatePkcs8KeyDer::from(own.signing_key.serialize_der());
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = config.with_no_client_auth().with_single_cert(vec![own.cert.der().clone()], key.into()).unwrap();
    let (config, socket) = (Arc::new(config), TcpListener::bind("127.0.0.1:0").unwrap());
    let base = format!("https://{}", socket.local_addr().unwrap());
    let directory = serde_json::json!({
        "newNonce": format!("{base}/nonce"), "newAccount": format!("{base}/account"),
        "newOrder": format!("{base}/order"), "renewalInfo": format!("{base}/renewal"),
    });
    let window = serde_json::json!({ "suggestedWindow": { "start": window.0, "end": window.1 } });
    let asked = Arc::new(Mutex::new(Vec::new()));
    let log = asked.clone();
    std::thread::spawn(move || {
        for tcp in socket.incoming().map_while(Result::ok) {
            let connection = ServerConnection::new(config.clone()).unwrap();
            let mut tls = BufReader::new(StreamOwned::new(connection, tcp));
            let mut line = String::new();
            while tls.read_line(&mut line).is_ok_and(|n| n > 0) {
                let path = line.split(' ').nth(1).unwrap_or_default().to_owned();
                while line != "\r\n" {
                    line.clear();
                    tls.read_line(&mut line).unwrap();
                }
                line.clear();
                let body = if path == "/dir" { &directory } else { &window }.to_string();
                log.lock().unwrap().push(path);
                let head = format!("HTTP/1.1 200 OK\r\nretry-after: 21600\r\ncontent-length: {}\r\n\r\n", body.len());
                tls.get_mut().write_all(format!("{head}{body}").as_bytes()).unwrap();
            }
        }
    });
    (format_smolstr!("{base}/dir"), asked)
}

#[test]
fn a_certificate_is_renewed_when_the_ca_suggests() {
    let dir = tempfile::tempdir().unwrap();
    let ca_file = dir.path().join("ca.pem");
    let (directory, asked) = suggests(("2040-01-01T00:00:00Z", "2040-01-02T00:00:00Z"), &ca_file);
    let issuer = Issuer {
        directory: directory.clone(),
        emails: Box::default(),
        store: None,
        challenge: AcmeChallenge::TlsAlpn01,
        ca_file: Some(ca_file),
        external_account: None,
    };
    let store = Store::open(dir.path(), &directory).unwrap();
    let (_, key) = instant_acme::Key::generate_pkcs8().unwrap();
    let account = serde_json::json!({ "emails": [], "credentials": {
        "id": "https://ca.example/account/1", "directory": directory.as_str(),
        "key_pkcs8": BASE64_URL_SAFE_NO_PAD.encode(key.secret_pkcs8_der()),
    }});
    store.keep_account(&account.to_string()).unwrap();
    // By its time alone it would be renewed in 2033.
    let text = pem("shop.example", 1_700_000_000, 2_200_000_000);
    store.keep_certificate("shop.example", &text).unwrap();
    let ca = Arc::new(Ca::new(issuer, store));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let issued = Issued::read(text, "shop.example").unwrap();
        let at = |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        let (begins, ends) = (at(2_208_988_800), at(2_209_075_200));
        let window = ca.window("shop.example", &issued).await.expect("the CA suggests one");
        assert_eq!((window.0, window.1), (begins, ends));
        assert!(window.2 > Duration::from_secs(21_000), "{:?}", window.2);
        let turns = Arc::new(Semaphore::new(1));
        let mut keeper = Keeper::new(ca, SmolStr::new("shop.example"), Shown::default(), turns);
        keeper.ask().await;
        let due = keeper.due().unwrap();
        assert!(due >= begins && due <= ends, "{due:?}");
        keeper.ask().await;
        assert_eq!(keeper.due(), Some(due), "one window gives one moment");
    });
    let asked = asked.lock().unwrap();
    assert!(asked.iter().any(|path| path.starts_with("/renewal/") && path.contains('.')), "{asked:?}");
    assert!(asked.iter().all(|path| path == "/dir" || path.starts_with("/renewal/")), "nothing is ordered: {asked:?}");
}
