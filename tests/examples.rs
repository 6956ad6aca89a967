//! What the examples say of themselves, asked of `gw explain`.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

/// The decision on a request: `gw explain` with these arguments, in `examples/`.
fn explain(arguments: &[&str]) -> Value {
    let out = Command::new(env!("CARGO_BIN_EXE_gw"))
        .arg("explain")
        .args(arguments)
        .args(["--format", "json"])
        .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("examples"))
        .env("GW_JWT_SECRET", "a-development-secret-of-32-bytes")
        .env("GW_EXPORT_KEY", "s3cr3t")
        .env("GW_ANON_KEY", "anon-key")
        .env("GW_SERVICE_KEY", "service-key")
        .output()
        .unwrap();
    serde_json::from_slice(&out.stdout).unwrap_or_else(|error| {
        panic!(
            "{arguments:?}: {error}\n{}{}",
            String::from_utf8_lossy(&out.stdout),
            String::from_utf8_lossy(&out.stderr)
        )
    })
}

/// Where it goes (an upstream) or with what status it is answered here.
#[track_caller]
fn says(wanted: &str, arguments: &[&str]) {
    let explained = explain(arguments);
    let outcome = &explained["outcome"];
    let found = match outcome["kind"].as_str() {
        Some("forward") => outcome["upstream"].as_str().unwrap().to_owned(),
        _ => outcome["status"].to_string(),
    };
    assert_eq!(found, wanted, "{arguments:?}: {explained:#}");
}

const ORDER: &str = "http://api.shop.example/orders/0191b3a0-0000-7000-8000-000000000001";

#[test]
fn quickstart() {
    says("200", &["quickstart.gw", "GET", "/hello/world"]);
    let order = explain(&["quickstart.gw", "GET", "/orders/7"]);
    assert_eq!(order["sent"]["url"].as_str().map(|url| url.ends_with("/internal/orders/7")), Some(true), "{order:#}");
    assert_eq!(explain(&["quickstart.gw", "GET", "/orders/x"])["outcome"]["route"], "ANY /{rest...}");
    says("service", &["quickstart.gw", "GET", "/x", "--times", "5"]);
    says("429", &["quickstart.gw", "GET", "/x", "--times", "6"]);
}

#[test]
fn canary() {
    let orders = "http://api.shop.example/orders";
    says("orders-canary", &["canary.gw", "GET", orders, "-H", "x-beta: 1"]);
    says("orders-canary", &["canary.gw", "GET", ORDER, "--ip", "203.0.113.9"]);
    says("orders", &["canary.gw", "GET", ORDER]);
    says("orders", &["canary.gw", "DELETE", ORDER, "--ip", "203.0.113.9"]);
    says("orders", &["canary.gw", "POST", orders, "-H", "x-beta: 1"]);
    says("404", &["canary.gw", "GET", "http://shop.example/orders"]);
    // An address keeps its side, and about one in ten goes to the canary.
    let side = |n: u8| {
        let ip = format!("198.51.100.{n}");
        let side = || explain(&["canary.gw", "GET", orders, "--ip", &ip])["outcome"]["upstream"].clone();
        let first = side();
        if n.is_multiple_of(8) {
            assert_eq!(first, side(), "{ip}");
        }
        first == "orders-canary"
    };
    let canaries = (0..60).filter(|n| side(*n)).count();
    assert!((1..=18).contains(&canaries), "{canaries} of 60");
}

#[test]
fn jwt_limits() {
    let as_free = ["--as", "customer:{\"id\": \"u1\", \"tier\": \"free\"}"];
    let ask = |wanted: &str, request: &[&str]| says(wanted, &[&["jwt-limits.gw"], request, &as_free].concat());
    ask("orders", &["GET", "/orders", "--times", "60"]);
    ask("429", &["GET", "/orders", "--times", "61"]);
    ask("orders", &["GET", "/users/u1"]);
    ask("404", &["GET", "/users/u2"]);
    ask("403", &["GET", "/admin/x"]);
    ask("415", &["POST", "/orders", "-H", "content-type: text/plain", "-d", "x"]);
    says(
        "orders",
        &[
            "jwt-limits.gw",
            "GET",
            "/admin",
            "--as",
            "customer:{\"id\": \"a\", \"tier\": \"pro\", \"roles\": [\"admin\"]}",
        ],
    );
    says("401", &["jwt-limits.gw", "GET", "/orders"]);
    says("200", &["jwt-limits.gw", "GET", "/health"]);
}

#[test]
fn partners() {
    says(
        "catalog",
        &["partners.gw", "GET", "/v1/catalog/export", "--as", "partner:{\"id\": \"acme\", \"plan\": \"gold\"}"],
    );
    says(
        "403",
        &["partners.gw", "GET", "/v1/catalog/export", "--as", "partner:{\"id\": \"initech\", \"plan\": \"silver\"}"],
    );
    says("401", &["partners.gw", "GET", "/v1/catalog", "-H", "x-api-key: gwk_wrong"]);
    says("401", &["partners.gw", "GET", "/v1/catalog"]);
}

#[test]
fn teams() {
    let product = "/catalog/products/0191b3a0-0000-7000-8000-000000000001";
    let employee =
        |team: &str, roles: &str| format!("employee:{{\"id\": \"e\", \"team\": \"{team}\", \"roles\": [{roles}]}}");
    says("products", &["teams/gateway.gw", "GET", product]);
    says("401", &["teams/gateway.gw", "PUT", product]);
    says("403", &["teams/gateway.gw", "PUT", product, "--as", &employee("billing", "")]);
    says("products", &["teams/gateway.gw", "PUT", product, "--as", &employee("catalog", "")]);
    says("products", &["teams/gateway.gw", "PUT", product, "--as", &employee("billing", "\"admin\"")]);
    says("429", &["teams/gateway.gw", "GET", "/catalog/search", "--times", "11"]);
    says("401", &["teams/gateway.gw", "GET", "/billing/invoices/7"]);
}

/// A team that forgets the login breaks the invariant of the root file.
#[test]
fn teams_keep_the_invariants() {
    let folder = tempfile::tempdir().unwrap();
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/teams");
    std::fs::create_dir(folder.path().join("teams")).unwrap();
    for file in ["gateway.gw", "shared.gw", "issuer.jwks.json", "teams/catalog.gw"] {
        std::fs::copy(from.join(file), folder.path().join(file)).unwrap();
    }
    let billing = std::fs::read_to_string(from.join("teams/billing.gw")).unwrap();
    std::fs::write(folder.path().join("teams/billing.gw"), billing.replace("  use members(\"billing\")\n", ""))
        .unwrap();
    let out = Command::new(env!("CARGO_BIN_EXE_gw")).arg("check").current_dir(folder.path()).output().unwrap();
    let text = String::from_utf8(out.stdout).unwrap();
    assert_eq!(out.status.code(), Some(1), "{text}");
    assert!(text.contains("break the invariant \"what anybody may call is limited\""), "{text}");
}

#[test]
fn environments() {
    fn staging<'a>(arguments: &[&'a str]) -> Vec<&'a str> {
        [&["environments/gateway.gw"], arguments, &["--inputs", "environments/staging.toml"]].concat()
    }
    says("orders", &staging(&["GET", "http://staging.shop.example/orders/1"]));
    says("404", &staging(&["GET", "http://api.shop.example/orders/1"]));
    says("403", &staging(&["GET", "http://staging.shop.example/exports/1"]));
    let export = explain(&staging(&["GET", "http://staging.shop.example/exports/1", "--ip", "10.1.2.3"]));
    assert_eq!(export["outcome"]["upstream"], "exports", "{export:#}");
    let sent = export["sent"]["headers"].to_string();
    assert!(sent.contains("Bearer <secret>") && !export.to_string().contains("s3cr3t"), "{export:#}");
}

#[test]
fn from_nginx() {
    let api = "http://api.example.com/api/warehouse";
    let client = ["--as", "client:{\"id\": \"client_one\"}"];
    let ask = |wanted: &str, method: &str, path: &str, more: &[&str]| {
        says(wanted, &[&["from-nginx.gw", method, &format!("{api}{path}")], more, &client].concat());
    };
    ask("inventory", "GET", "/inventory", &[]);
    ask("inventory", "GET", "/inventory/shelf/4/box/7", &[]);
    ask("pricing", "PATCH", "/pricing/item", &[]);
    ask("405", "DELETE", "/pricing/item", &[]);
    ask("400", "GET", "/nothing", &[]);
    ask("429", "GET", "/inventory", &["--times", "11"]);
    says("401", &["from-nginx.gw", "GET", &format!("{api}/inventory")]);
}

#[test]
fn from_kong() {
    let ask = |wanted: &str, path: &str, more: &[&str]| says(wanted, &[&["from-kong.gw", "GET", path], more].concat());
    ask("auth", "/auth/v1/verify", &[]);
    ask("401", "/auth/v1/user", &[]);
    ask("auth", "/auth/v1/user", &["-H", "apikey: anon-key"]);
    ask("401", "/rest/v1/todos?apikey=anon-key", &[]);
    ask("realtime", "/realtime/v1/websocket?apikey=anon-key", &[]);
    ask("403", "/realtime/v1/api/tenants/x", &["-H", "apikey: service-key"]);
    ask("403", "/pg/tables", &["-H", "apikey: anon-key"]);
    ask("meta", "/pg/tables", &["-H", "apikey: service-key"]);
    ask("storage", "/storage/v1/object/x", &[]);
    ask("403", "/mcp", &[]);
    ask("403", "/project/default", &[]);
    ask("studio", "/project/default", &["--ip", "127.0.0.1"]);
    let rest = explain(&["from-kong.gw", "GET", "/rest/v1/todos?id=1", "-H", "apikey: anon-key"]);
    assert_eq!(rest["sent"]["url"], "http://rest:3000/todos?id=1", "{rest:#}");
    assert!(rest["sent"]["headers"].to_string().contains("apikey"), "the key passes on: {rest:#}");
}
