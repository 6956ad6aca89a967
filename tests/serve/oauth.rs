//! Tokens that are fetched for an upstream.

use crate::support::{Gateway, PATIENCE, Server, eventually, field, free_port, ok};
use std::io::Write;
use std::net::TcpListener;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Duration;

const SECRET: &str = "s3cr3t/with:signs";

/// A token server: what it answers, and what it was asked.
struct Tokens {
    server: Server,
    says: Arc<Mutex<Says>>,
    asked: Arc<Mutex<Vec<String>>>,
}

/// The answer to a question of this number.
type Says = Box<dyn Fn(usize) -> Vec<u8> + Send>;

impl Tokens {
    fn new(says: impl Fn(usize) -> Vec<u8> + Send + 'static) -> Tokens {
        let says: Arc<Mutex<Says>> = Arc::new(Mutex::new(Box::new(says)));
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (answers, heard) = (says.clone(), asked.clone());
        let server = Server::answering(move |got| {
            let mut heard = heard.lock().unwrap();
            heard.push(format!("{}{}", got.head, String::from_utf8_lossy(&got.body)));
            answers.lock().unwrap()(heard.len())
        });
        Tokens { server, says, asked }
    }

    fn says(&self, says: impl Fn(usize) -> Vec<u8> + Send + 'static) {
        *self.says.lock().unwrap() = Box::new(says);
    }

    fn asked(&self) -> usize {
        self.asked.lock().unwrap().len()
    }
}

/// Tokens `token-1-x`, `token-2-x`, … that live so many seconds.
fn numbered(seconds: u64) -> impl Fn(usize) -> Vec<u8> + Send + 'static {
    move |n| ok(&format!("{{\"access_token\":\"token-{n}-x\",\"token_type\":\"Bearer\",\"expires_in\":{seconds}}}"))
}

fn refusal(status: &str, body: &str) -> Vec<u8> {
    format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n\r\n{body}", body.len()).into_bytes()
}

/// Answers with the Authorization that it got.
fn orders() -> Server {
    Server::answering(|got| ok(field(&got.head, "authorization").unwrap_or("none")))
}

fn serve(endpoint: &str, orders: &str, more: &str) -> Gateway {
    Gateway::with_args(
        &program(endpoint, orders, more),
        &[("inputs.toml", &format!("orders-secret = \"{SECRET}\"\n"))],
        &["--inputs", "inputs.toml"],
    )
}

fn program(endpoint: &str, orders: &str, more: &str) -> String {
    format!(
        r#"listen http LISTEN
input orders-secret: secret
upstream orders {{
  server {orders}
  timeout connect 5s
  oauth {{
    token-endpoint {endpoint}/realms/a/token/?tenant=1
    client-id "gw 1"
    client-secret orders-secret
    scopes "orders:read", "orders:write"
    audience "https://orders"
  }}
}}
{more}
route ANY /own -> orders {{ request {{ set header.authorization = "Own x" }} }}
route ANY /{{rest...}} -> orders
"#
    )
}

/// No word of tokens or the secret is in the log.
#[track_caller]
fn assert_silent(gateway: &Gateway) {
    let log = gateway.log();
    let encoded = "Z3clMjAx";
    for word in ["s3cr3t", "s3cr3t%2Fwith%3Asigns", "token-", "hidden", encoded] {
        assert!(!log.contains(word), "`{word}` is in the log:\n{log}");
    }
}

#[test]
fn a_token_is_fetched_once_and_replaces_the_clients_credential() {
    let (tokens, orders) = (Tokens::new(numbered(3600)), orders());
    let gateway = serve(&tokens.server.url(), &orders.url(), "");
    let ask =
        |path: &str| gateway.ask(&format!("GET {path} HTTP/1.1\r\nhost: a\r\nauthorization: Bearer client\r\n\r\n"));
    for _ in 0..10 {
        assert_eq!(ask("/a").text(), "Bearer token-1-x");
    }
    assert_eq!(ask("/own").text(), "Own x");
    assert_eq!(tokens.asked(), 1);
    let question = tokens.asked.lock().unwrap()[0].clone();
    assert!(question.starts_with("POST /realms/a/token/?tenant=1 HTTP/1.1\r\n"), "{question}");
    // gw%201:s3cr3t%2Fwith%3Asigns
    assert_eq!(field(&question, "authorization"), Some("Basic Z3clMjAxOnMzY3IzdCUyRndpdGglM0FzaWducw=="));
    assert_eq!(field(&question, "content-type"), Some("application/x-www-form-urlencoded"));
    let body = "grant_type=client_credentials&scope=orders%3Aread%20orders%3Awrite&audience=https%3A%2F%2Forders";
    assert!(question.ends_with(body), "{question}");
    assert_silent(&gateway);
}

#[test]
fn credentials_go_in_the_form_where_that_is_said() {
    let (tokens, orders) = (Tokens::new(numbered(3600)), orders());
    let program = program(&tokens.server.url(), &orders.url(), "").replace("scopes", "credentials body\n    scopes");
    let inputs = format!("orders-secret = \"{SECRET}\"\n");
    let gateway = Gateway::with_args(&program, &[("inputs.toml", &inputs)], &["--inputs", "inputs.toml"]);
    assert_eq!(gateway.get("/").text(), "Bearer token-1-x");
    let question = tokens.asked.lock().unwrap()[0].clone();
    assert_eq!(field(&question, "authorization"), None);
    let body = "grant_type=client_credentials&client_id=gw%201&client_secret=s3cr3t%2Fwith%3Asigns&scope=orders%3Aread";
    assert!(question.contains(body), "{question}");
    // Another way is another question.
    gateway.replace("gateway.gw", &program.replace("credentials body", "credentials basic"));
    gateway.await_log("\"message\":\"reloaded\"");
    assert_eq!(gateway.get("/").text(), "Bearer token-2-x");
    assert!(field(&tokens.asked.lock().unwrap()[1], "authorization").is_some());
    assert_silent(&gateway);
}

#[test]
fn it_is_renewed_before_it_expires_and_kept_while_it_is_good() {
    let (tokens, orders) = (Tokens::new(numbered(2)), orders());
    let gateway = serve(&tokens.server.url(), &orders.url(), "");
    assert_eq!(gateway.get("/").text(), "Bearer token-1-x");
    eventually("renewed", || gateway.get("/").text() == "Bearer token-2-x");
    tokens.says(|_| refusal("503 Busy", "hidden"));
    let log = gateway.await_log("could not be renewed");
    assert!(log.contains("the token endpoint answered with 503"), "{log}");
    gateway.await_log("the token has expired");
    let answer = gateway.get("/");
    assert_eq!(answer.status, 503);
    gateway.await_log("`orders` has no token: the token endpoint answered with 503");
    tokens.says(numbered(3600));
    eventually("there again", || gateway.get("/").status == 200);
    assert_silent(&gateway);
}

#[test]
fn the_first_requests_wait_for_the_first_token() {
    // Takes connections, and answers when it is told.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let orders = orders();
    let gateway = serve(&endpoint, &orders.url(), "");
    let (mut stream, _) = listener.accept().unwrap();
    let mut client = gateway.connect();
    client.send(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n");
    stream.write_all(&numbered(60)(1)).unwrap();
    assert_eq!(client.answer().text(), "Bearer token-1-x");
}

#[test]
fn requests_wait_for_a_token_no_longer_than_for_a_connection() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let orders = orders();
    let quick = program(&endpoint, &orders.url(), "").replace("timeout connect 5s", "timeout connect 100ms");
    let inputs = format!("orders-secret = \"{SECRET}\"\n");
    let gateway = Gateway::with_args(&quick, &[("inputs.toml", &inputs)], &["--inputs", "inputs.toml"]);
    assert_eq!(gateway.get("/").status, 503);
    gateway.await_log("`orders` has no token: the token endpoint has not answered yet");
}

#[test]
fn every_bad_answer_has_a_line_that_tells_no_secret() {
    let long = ok(&format!("{{\"access_token\":\"{}\"}}", "hidden".repeat(20_000)));
    let cases: Vec<(Vec<u8>, &str)> = vec![
        (ok("hidden"), "answer is not JSON"),
        (ok("{\"token\":\"hidden\",\"token_type\":\"bearer\"}"), "has no `access_token`"),
        (ok("{\"access_token\":\"hidden\"}"), "has no `token_type`"),
        (ok("{\"access_token\":\"hidden\",\"token_type\":\"mac\"}"), "another type than `Bearer`"),
        (ok("{\"access_token\":\"hidden\\r\\na: b\",\"token_type\":\"bearer\"}"), "no header can carry"),
        (refusal("400 Bad", "{\"error\":\"invalid_scope\",\"error_description\":\"hidden\"}"), "400 (invalid_scope)"),
        (refusal("401 No", "{\"error\":\"hidden\"}"), "the token endpoint answered with 401;"),
        (refusal("302 Found", ""), "the token endpoint answered with 302;"),
        (long, "answer is too long"),
        (b"hidden\r\n\r\n".to_vec(), "cannot be reached"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 9000\r\n\r\n{\"hidden".to_vec(), "broke off"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 9000\r\n\r\n{\"hidden".to_vec(), "closed the connection early"),
    ];
    let orders = orders();
    std::thread::scope(|all| {
        for (answer, wanted) in cases {
            let orders = &orders;
            all.spawn(move || {
                let (late, cut) = (wanted == "broke off", wanted == "closed the connection early");
                let server = Server::raw(move |mut stream, mut reader| {
                    while crate::support::read_request(&mut reader).is_some() {
                        let sent = stream.write_all(&answer);
                        if late {
                            // Its head is read alone.
                            std::thread::sleep(Duration::from_millis(100));
                        }
                        if sent.is_err() || late || cut {
                            return;
                        }
                    }
                });
                let gateway = serve(&server.url(), &orders.url(), "");
                gateway.await_log(wanted);
                gateway.await_log("oauth: there is no token");
                assert_eq!(gateway.get("/").status, 503, "{wanted}");
                assert_silent(&gateway);
            });
        }
    });
}

#[test]
fn nobody_at_the_token_endpoint_is_no_reason_not_to_start() {
    let (address, orders) = (free_port(), orders());
    let gateway = serve(&format!("http://{address}"), &orders.url(), "");
    gateway.await_log("cannot be reached");
    assert_eq!(gateway.get("/").status, 503);
    let listener = TcpListener::bind(address).unwrap();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            stream.write_all(&numbered(60)(7)).unwrap();
            std::thread::sleep(PATIENCE);
        }
    });
    eventually("a token at last", || gateway.get("/").text() == "Bearer token-7-x");
}

#[test]
fn a_401_fetches_another_token_once() {
    let tokens = Tokens::new(numbered(3600));
    let refused = Arc::new(AtomicUsize::new(0));
    let count = refused.clone();
    let orders = Server::answering(move |got| match field(&got.head, "authorization") {
        Some("Bearer token-2-x") if got.head.starts_with("GET /good ") => ok("good"),
        _ => {
            count.fetch_add(1, SeqCst);
            refusal("401 Unauthorized", "")
        }
    });
    let gateway = serve(&tokens.server.url(), &orders.url(), "");
    // What the program wrote is not the token.
    assert_eq!(gateway.get("/own").status, 401);
    assert_eq!(tokens.asked(), 1);
    assert_eq!(gateway.get("/good").status, 401);
    eventually("another token", || gateway.get("/good").text() == "good");
    for _ in 0..20 {
        assert_eq!(gateway.get("/bad").status, 401);
    }
    assert_eq!((tokens.asked(), gateway.log().matches("answered with 401; another").count()), (2, 1));
    assert_silent(&gateway);
}

#[test]
fn a_reload_keeps_the_token_of_settings_that_stay() {
    let (tokens, orders) = (Tokens::new(numbered(3600)), orders());
    let (endpoint, url) = (tokens.server.url(), orders.url());
    let gateway = serve(&endpoint, &url, "");
    assert_eq!(gateway.get("/").text(), "Bearer token-1-x");
    // Another upstream otherwise.
    let program = program(&endpoint, &url, "").replace("timeout connect 5s", "timeout connect 5s; pool max 7 idle 9s");
    gateway.replace("gateway.gw", &program);
    gateway.await_log_times("\"message\":\"reloaded\"", 1);
    assert_eq!((gateway.get("/").text().as_str(), tokens.asked()), ("Bearer token-1-x", 1));
    gateway.replace("gateway.gw", &program.replace("\"orders:read\", ", ""));
    gateway.await_log_times("\"message\":\"reloaded\"", 2);
    assert_eq!((gateway.get("/").text().as_str(), tokens.asked()), ("Bearer token-2-x", 2));
    assert_silent(&gateway);
}

#[test]
fn copies_carry_the_token_of_where_they_go() {
    let (tokens, orders) = (Tokens::new(numbered(3600)), orders());
    let more = "upstream plain { server ORDERS }\nroute GET /copied -> plain { mirror 100% to orders }\n";
    let seen = Arc::new(Mutex::new(Vec::new()));
    let heard = seen.clone();
    let plain = Server::answering(move |got| ok(field(&got.head, "authorization").unwrap_or("none")));
    let copies = Server::answering(move |got| {
        heard.lock().unwrap().push(field(&got.head, "authorization").unwrap_or("none").to_owned());
        ok("")
    });
    drop(orders);
    let gateway = serve(&tokens.server.url(), &copies.url(), &more.replace("ORDERS", &plain.url()));
    assert_eq!(gateway.get("/a").status, 200);
    assert_eq!(gateway.get("/copied").text(), "none");
    eventually("a copy", || seen.lock().unwrap().len() == 2);
    assert_eq!(*seen.lock().unwrap(), ["Bearer token-1-x", "Bearer token-1-x"]);
}
