//! Random gateways and the requests to them. Words are few, so that routes overlap and conditions hold now and then.

use crate::{ALICE, BOB, Ports, SECRET, Token};
use bytes::Bytes;
use fastrand::Rng;
use gw::explain::Request;
use gw::plan::Plan;
use http::{HeaderMap, HeaderName, HeaderValue, Method};

pub fn pick<'a, T: ?Sized>(rng: &mut Rng, list: &[&'a T]) -> &'a T {
    list[rng.usize(..list.len())]
}

fn one_in(rng: &mut Rng, n: u32) -> bool {
    rng.u32(..n) == 0
}

/// What every gateway has: who may call, where requests go, and policies to use.
pub const COMMON: &str = r#"
input alice: secret
input bob: secret
input signing: secret
let common = 1_000_000/h
table nets: [cidr] = [127.0.0.0/8, 10.0.0.0/8]
table names: {string: string} = { x: "ix", y: "ypsilon" }
auth key = api-key { keys { alice: alice, bob: bob } }
auth in-query = api-key { from query.key; keys { alice: alice } }
auth in-cookie = api-key { from cookie.k; keys { bob: bob }; forward credentials }
auth token = jwt {
  issuer any
  audience "shop"
  algorithms HS256
  secret signing
  claims { tier: "free" | "pro"; org: string?; roles: [string] from realm.roles }
}
policy metered(allowed: rate, mark: string) {
  limit allowed by header.x-a ?? mark
  response { set header.x-mark = mark }
}
policy guarded(least: int) {
  require len(path) >= least else 421 "Short"
  when method == POST { request { set header.x-least = text(least) } }
}
"#;

/// A gateway. Not all of them check.
pub fn gateway(rng: &mut Rng, ports: &Ports) -> String {
    let Ports { main, second, redirecting, far } = ports;
    let mut out = format!(
        "listen http 127.0.0.1:{main}\nlisten second http 127.0.0.1:{second}\n\
         listen old http 127.0.0.1:{redirecting} {{ redirect https port 8443 }}\n{COMMON}"
    );
    let settings =
        ["", "host preserve", "host \"fixed.example\"", "send header.x-gw = alice", "send header.x-to = path"];
    for name in ["one", "two"] {
        out += &format!("upstream {name} {{ echo; {} }}\n", pick(rng, &settings));
    }
    let sticky = pick(rng, &["", "sticky cookie shard", "balance hash header.x-a ?? \"\"", "retry 2 on connect, 503"]);
    out += &format!("upstream far {{ server http://127.0.0.1:{far}/far; {}; {sticky} }}\n", pick(rng, &settings));
    match rng.u8(..6) {
        0 => out += "trust proxies 127.0.0.0/8, 10.0.0.0/8 using x-forwarded-for\n",
        1 => out += "trust proxies 127.0.0.0/8, 10.0.0.0/8 using forwarded\n",
        _ => {}
    }
    for statement in statements(rng, 3) {
        out += &format!("{statement}\n");
    }
    if rng.u8(..4) > 0 {
        out += "route all ANY /{rest...} -> two { auth none }\n";
    }
    let hosts = ["", "", "  host a.example\n", "  host *.example\n", "  host {tenant}.example\n"];
    for api in 0..rng.usize(1..3) {
        let prefix = pick(rng, &["", "", "", " /x", " /{lead}"]);
        let host = if one_in(rng, 8) { pick(rng, &hosts) } else { pick(rng, &hosts[..5]) };
        out += &format!("api a{api}{prefix} {{\n{host}");
        if one_in(rng, 4) {
            out += &format!("  paths allow {}\n", pick(rng, &["semicolon, empty-segments", "encoded-slash"]));
        }
        if one_in(rng, 4) {
            out += &format!("  trailing-slash {}\n", pick(rng, &["redirect", "ignore"]));
        }
        if one_in(rng, 4) {
            out += "  listen second\n";
        }
        for statement in statements(rng, 3) {
            out += &format!("  {statement}\n");
        }
        let mut names = Vec::new();
        names.extend(host.contains("tenant").then_some("tenant"));
        names.extend(prefix.contains("lead").then_some("lead"));
        let mut number = 0..;
        for _ in 0..rng.usize(2..8) {
            out += &route(rng, number.next().unwrap_or(0), &names);
        }
        for group in 0..rng.usize(..2) {
            out += &format!("  group{} {{\n", pick(rng, &["", " /y", " /{g}"]));
            for statement in statements(rng, 3) {
                out += &format!("  {statement}\n");
            }
            for _ in 0..rng.usize(1..3) {
                out += &route(rng, number.next().unwrap_or(0) + 100 * group, &names);
            }
            out += "  }\n";
        }
        out += "}\n";
    }
    out
}

fn route(rng: &mut Rng, i: usize, outer: &[&str]) -> String {
    let mut pattern = String::new();
    let mut names: Vec<String> = outer.iter().map(|n| (*n).to_owned()).collect();
    for depth in 0..*pick(rng, &[&1, &1, &2, &2, &3]) {
        let n = format!("p{depth}");
        match rng.u8(..10) {
            0..=4 => pattern += &format!("/{}", pick(rng, &["x", "y", "z"])),
            5 => pattern += &format!("/{{{n}}}"),
            6 => pattern += &format!("/{{{n}: int}}"),
            7 => pattern += &format!("/r-{{{n}: date}}"),
            8 => pattern += &format!("/{{{n}: matches r\"^[a-z]$\"}}"),
            _ => pattern += &format!("/{{{n}}}.json"),
        }
        if pattern.contains(&format!("{{{n}")) {
            names.push(n);
        }
    }
    match rng.u8(..5) {
        0 | 1 => {
            pattern += "/{rest...}";
            names.push("rest".into());
        }
        2 => pattern += "/",
        _ => {}
    }
    let methods = pick(rng, &["GET", "GET", "ANY", "ANY", "POST", "GET, POST", "DELETE", "OPTIONS", "HEAD, PUT"]);
    let when = match rng.u8(..8) {
        0 => " when header.x-a == \"1\"",
        1 => " when query.q != null",
        2 => " when client.ip in nets",
        3 => " when cookie.c == \"1\" or host ends-with \"b.example\"",
        _ => "",
    };
    let target = target(rng, i, &names);
    let mut block = statements(rng, 5);
    if one_in(rng, 2) {
        let auths = [
            "auth key",
            "auth optional key",
            "auth none",
            "auth token",
            "auth in-query or key",
            "auth in-cookie",
            "auth optional token or key",
        ];
        let auth = pick(rng, &auths);
        block.push(auth.to_owned());
        let known = match auth {
            "auth none" => &[][..],
            "auth token" => &[
                "require caller.tier == \"pro\" else 402 \"Pay\"",
                "require \"admin\" in caller.roles",
                "request { set header.x-org = caller.org ?? \"none\"; add header.x-tier = match caller.tier { \"free\": \"f\", \"pro\": \"p\" } }",
                "limit (match caller.tier { \"free\": common, \"pro\": 2_000_000/h }) by caller",
            ][..],
            auth if auth.contains("optional") => &["require caller != null", "require caller == null else 409"][..],
            _ => &[
                "require caller.id == \"alice\"",
                "request { set header.x-caller = \"{caller.id} by {caller.via}\" }",
                "limit 1_000_000/h by caller",
                "response { set header.x-caller = caller.id }",
            ][..],
        };
        if !known.is_empty() {
            block.push(pick(rng, known).to_owned());
        }
    }
    let block = if block.is_empty() { String::new() } else { format!(" {{\n    {}\n  }}", block.join("\n    ")) };
    format!("  route r{i} {methods} {pattern}{when} -> {target}{block}\n")
}

fn target(rng: &mut Rng, i: usize, names: &[String]) -> String {
    let hole = names.iter().map(|n| format!("/{{{n}}}")).collect::<String>();
    match rng.u8(..24) {
        0 => format!("respond {} text \"route {i} of {{path}}\"", pick(rng, &["200", "201", "404"])),
        1 => "respond 200 json { path: path, q: query.q, host: host, sku: body.sku, list: [path, scheme] }".into(),
        2 => "respond 410 problem \"Gone {header.x-a ?? \"\"}\"".into(),
        3 => "respond 204".into(),
        4 => "redirect 307 \"/elsewhere?a=1\"".into(),
        5 => format!("redirect 301 \"https://other.example/to{hole}?from={{path}}\""),
        6 => format!("redirect 302 \"/at{hole}\" "),
        7 => format!("one at /at{hole}"),
        8 => format!("two at /at{hole}?fixed={{path}}&q={{query.q ?? \"\"}}"),
        9 => format!("far at /at{hole}/{{header.x-a ?? \"none\"}}"),
        10 => "one at /x/{text(len(path))}".into(),
        11 => "one when header.x-a == \"1\" else two".into(),
        12 => format!("far at /b{hole} when (body.qty ?? 0) == 3 else one"),
        13 => "one when query.q == \"1\" else respond 402 problem \"Pay\"".into(),
        14 => "one when cookie.c == \"1\" else redirect 303 \"/login?to={path}\"".into(),
        15 => "50% one, 50% two by header.x-a ?? path".into(),
        16 => format!("50% one, 30% two, 20% far at /w{hole} by client.ip, path"),
        17 | 18 => "far".into(),
        _ => pick(rng, &["one", "two"]).to_owned(),
    }
}

pub const STATEMENTS: &[&str] = &[
    "require header.x-b != \"no\"",
    "require client.ip in nets else 404",
    "require client.ip not in 203.0.113.0/24",
    "require (query.q ?? \"\") != \"bad\" else 409 \"Not now\"",
    "require report-only not (path starts-with \"/z\")",
    "require not (path matches r\"/z$\") else 451 \"Not here\"",
    "require body.qty != 4 else 422 \"Not four\"",
    "require len(headers(\"x-many\")) < 2",
    "require (names[query.q ?? \"\"] ?? \"none\") != \"ix\"",
    "require method in [GET, HEAD, POST, OPTIONS] when header.x-a == \"2\"",
    "limit 1_000_000/h by client.ip",
    "limit 50_000/min burst 1_000 by header.x-a ?? \"none\"",
    "limit 9_000/s by query.q else skip",
    "limit 800_000/day fixed by path name shared",
    "limit 800 concurrent",
    "limit report-only common by header.x-b ?? \"none\"",
    "limit 70_000/min when header.x-a == \"1\"",
    "body max 10B",
    "body none",
    "body max 20B when header.x-a == \"1\"",
    "accepts \"text/*\", \"application/json\"",
    "accepts none",
    "accepts \"application/json\" when method == POST",
    "request { set header.x-path = path; add header.x-a = \"more\"; set query.added = \"a b&c\"; remove cookie.c }",
    "request { set header.x-q = query.q ?? \"none\"; set cookie.d = \"new\"; remove query.q }",
    "request { add query.q = \"two\"; add header.x-host = host; set header.x-uri = request.uri }",
    "request { set host = \"set.example\"; set method = POST }",
    "request { set path = \"/set/{path}\" } ",
    "request { set header.x-sku = text(body.sku); set header.x-len = text(len(path)) }",
    "request { set header[\"X-Odd.Name\"] = hash(host); remove header.user-agent }",
    "request { set header.x-forwarded-for = \"1.2.3.4\"; remove header.x-forwarded-proto; remove header.via }",
    "request { set header.x-join = join(headers(\"x-many\"), \"+\") }",
    "request { set header.x-cond = \"yes\" when header.x-a == \"1\"; remove query.a when query.q != null }",
    "response { set header.x-answer = \"yes\"; remove header.server }",
    "response { set header.x-status = text(response.status) when response.status >= 400 }",
    "response { add header.vary = \"accept\"; set cookie.seen = path; remove cookie.old }",
    "response { set header.x-two = \"yes\" when upstream.name == two; set header.x-server = upstream.server }",
    "response { set header.x-route = text(route.name); set header.x-sku = text(body.sku) }",
    "response { remove header.content-type; set header.x-type = response.header.content-type ?? \"none\" }",
    "cors { origins \"https://shop.example\"; credentials; max-age 1h }",
    "cors { origins any; methods GET, DELETE; headers \"x-a\"; expose \"x-answer\" }",
    "cors { origins \"https://*.example\"; headers any }",
    "cors none",
    "cors { origins any } when header.x-a == \"1\"",
    "on error no-route, forbidden respond 418 problem \"A teapot\"",
    "on error respond 503 json { kind: error.kind, status: error.status, title: error.title }",
    "on error bad-request respond 400 text \"bad {path}\"",
    "on error unauthenticated respond 401 json { why: error.reason, to: route.name }",
    "on error respond 500 html \"<p>{error.title}</p>\" when header.x-a == \"1\"",
    "on upstream 200 respond 203 text \"replaced {header.x-c}\" when header.x-c != null",
    "response { set status = 299 when header.x-c != null }",
    "on upstream 5xx, 404 respond 502 problem \"Down\"",
    "timeout total 20s, response 10s",
    "timeout none",
    "retry 1 on connect, 502",
    "retry none",
    "mirror 100% to two",
    "tag word = header.x-a ?? \"\"",
    "log none",
    "use metered(common, \"m1\")",
    "use guarded(3)",
    "use guarded(2) when header.x-a == \"2\"",
    "when header.x-a == \"1\" { require query.q != \"worse\" else 422 }",
    "when header.x-c != null { request { set header.x-c2 = header.x-c }; response { set header.x-c3 = header.x-c } }",
    "when method == POST { body max 1KiB; accepts \"application/json\"; when query.q == \"1\" { limit 1_000_000/h } }",
];

/// Fewer than `most` for one block. Routes that others fall through to need the same `require`s: there are fewer of these.
fn statements(rng: &mut Rng, most: usize) -> Vec<String> {
    let mut all: Vec<String> = Vec::new();
    for _ in 0..rng.usize(..most) {
        let one = pick(rng, STATEMENTS);
        let word = one.split(' ').next().unwrap_or_default();
        let once = matches!(word, "cors" | "body" | "accepts" | "timeout" | "retry" | "log");
        if !(once && all.iter().any(|s| s.starts_with(word)) || one.starts_with("require") && one_in(rng, 2)) {
            all.push(one.to_owned());
        }
    }
    all
}

/// A request to one of the ports.
pub fn request(rng: &mut Rng, ports: &Ports, token: &Token, plan: &Plan) -> Request {
    // Every other one is meant for a route.
    let meant = plan.routes.get(rng.usize(..plan.routes.len() * 2 + 1));
    let mut path = String::new();
    let common = ["x", "y", "z", "x", "y", "7", "r-2026-01-02", "a.json"];
    let odd = [
        "-1",
        "%7Ex",
        "..",
        ".",
        "a%2Fb",
        "a;b",
        "",
        "%zz",
        "caf%C3%A9",
        "x%20y",
        "%2e%2e",
        "a|b",
        "a\"b",
        "a:b@c",
        "%5C",
        "X",
        "x..y",
        "%00",
        "a%3fb",
        "+",
        "café",
    ];
    let segments = if meant.is_some() { 0 } else { rng.usize(1..5) };
    path += &meant.map(|route| filled(&route.pattern)).unwrap_or_default();
    for _ in 0..segments {
        path += "/";
        path += if one_in(rng, 25) { pick(rng, &odd) } else { pick(rng, &common) };
    }
    if one_in(rng, if meant.is_some() { 20 } else { 6 }) {
        path += "/";
    }
    if one_in(rng, 400) {
        path += &"x/".repeat(20_000);
    }
    let queries = [
        "",
        "",
        "",
        "?q=1",
        "?q=bad&a=2",
        "?q=worse",
        "?a=%20+b&q",
        "?",
        "?q=x&q=y",
        "?&&a=%zz",
        "?q=%00",
        "?%71=1",
        "?key=wrong",
        "?a=1&key=alices-key-is-a-long-one-1234567&b=2",
        "?a=1?b=2",
    ];
    let query = if one_in(rng, 50) { pick(rng, &["?q=é", "?q=^\\"]) } else { pick(rng, &queries) };
    let hosts = [
        "a.example",
        "a.example",
        "a.example",
        "b.example",
        "A.Example.",
        "localhost",
        "x.y.example",
        "127.0.0.1",
        "[::1]",
        "[2001:DB8::0:1]",
        "my_service",
        "a..example",
    ];
    let host = if one_in(rng, 8) { pick(rng, &hosts) } else { pick(rng, &hosts[..5]) };
    let methods = ["GET", "GET", "GET", "HEAD", "POST", "POST", "DELETE", "OPTIONS", "PUT", "PATCH", "PURGE"];
    let own = meant.and_then(|route| route.methods.first()).filter(|_| !one_in(rng, 3));
    let method = match own {
        Some(own) => own.as_str(),
        None if one_in(rng, 100) => "TRACE",
        None => pick(rng, &methods),
    };
    let method = Method::from_bytes(method.as_bytes()).unwrap();
    let mut headers = HeaderMap::new();
    let mut maybe = |rng: &mut Rng, often: u8, name: &'static str, values: &[&str]| {
        if rng.u8(..100) < often {
            let value = HeaderValue::from_bytes(pick(rng, values).as_bytes()).unwrap();
            headers.append(HeaderName::from_static(name), value);
        }
    };
    maybe(rng, 50, "x-a", &["1", "2"]);
    maybe(rng, 30, "x-b", &["no", "yes"]);
    maybe(rng, 10, "x-c", &["", "a,b", "ümlaut", "\"q\""]);
    for _ in 0..2 {
        maybe(rng, 20, "x-many", &["m", "n"]);
        maybe(rng, 20, "cookie", &["c=1; d=2", "e=3; k=nobody", "c; =x; d=", "c=\"1\";shard=junk; old=1"]);
    }
    maybe(rng, 20, "cookie", &[&format!("k={BOB}")]);
    maybe(rng, 40, "x-api-key", &[ALICE, BOB, "wrong"]);
    maybe(rng, 30, "authorization", &[&token.pro, &token.free, &token.late, "Bearer x.y.z", "Basic YTpi"]);
    maybe(rng, 30, "origin", &["https://shop.example", "https://evil.example", "null"]);
    maybe(rng, 20, "access-control-request-method", &["GET", "POST", "DELETE"]);
    maybe(rng, 10, "access-control-request-headers", &["x-a", "x-a, x-z", "X-A"]);
    maybe(rng, 20, "x-forwarded-for", &["203.0.113.9", "203.0.113.9, 10.1.1.1", "unknown"]);
    maybe(rng, 10, "forwarded", &["for=203.0.113.7;proto=https", "for=\"[2001:db8::1]\", for=10.0.0.1", "x"]);
    maybe(rng, 10, "x-forwarded-proto", &["https", "gopher"]);
    maybe(rng, 10, "x-forwarded-host", &["outer.example"]);
    maybe(rng, 10, "x-request-id", &["given-1", "", "with space"]);
    maybe(rng, 10, "traceparent", &["00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "junk"]);
    maybe(rng, 10, "tracestate", &["a=1"]);
    maybe(rng, 10, "via", &["1.1 other"]);
    maybe(rng, 10, "te", &["trailers", "gzip"]);
    maybe(rng, 10, "user-agent", &["curl/8"]);
    maybe(rng, 4, "connection", &["keep-alive", "x-c", "X-A, x-b", "upgrade"]);
    maybe(rng, 1, "connection", &["cookie", "x forwarded"]);
    maybe(rng, 5, "upgrade", &["websocket", "h2c"]);
    maybe(rng, 3, "expect", &["100-continue"]);
    maybe(rng, 1, "expect", &["200-ok"]);
    maybe(rng, 1, "x_under", &["1"]);
    maybe(rng, 2, "proxy-authorization", &["Basic YTpi"]);
    maybe(rng, 2, "keep-alive", &["timeout=5"]);
    let types =
        ["text/plain", "image/png", "application/json", "Application/JSON; charset=utf-8", "application/grpc", "json"];
    maybe(rng, 50, "content-type", &types);
    if one_in(rng, 200) {
        for _ in 0..101 {
            headers.append("x-many", HeaderValue::from_static("m"));
        }
    }
    let bodies = [
        "",
        "short",
        "longer than ten bytes",
        "{\"qty\": 3, \"sku\": \"a1\"}",
        "{\"qty\": 4}",
        "{\"sku\": [1]}",
        "[1]",
        "{\"qty\":",
        "{\"sku\": \"line\\nbreak\"}",
    ];
    let body = match method {
        Method::POST | Method::PUT | Method::PATCH => pick(rng, &bodies),
        _ if one_in(rng, 20) => pick(rng, &bodies),
        _ => "",
    };
    let port = pick(rng, &[&ports.main, &ports.main, &ports.main, &ports.main, &ports.second, &ports.redirecting]);
    Request {
        method,
        url: format!("http://{host}:{port}{path}{query}"),
        headers,
        body: Bytes::copy_from_slice(body.as_bytes()),
        caller: None,
        ip: [127, 0, 0, 1].into(),
        certificate: None,
        at: jiff::Timestamp::now(),
        times: 1,
    }
}

/// A path that fits the pattern.
fn filled(pattern: &str) -> String {
    let mut path = String::new();
    for (i, part) in pattern.split(['{', '}']).enumerate() {
        path += match part {
            text if i % 2 == 0 => text,
            int if int.ends_with("int") => "7",
            date if date.ends_with("date") => "2026-01-02",
            rest if rest.ends_with("...") => "x/y",
            _ => "x",
        };
    }
    path
}

/// The secret that tokens are signed with stands beside them.
pub fn token() -> Token {
    let signed = |claims: serde_json::Value| {
        use base64::Engine;
        let part = |bytes: &[u8]| base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes);
        let text = format!("{}.{}", part(br#"{"alg":"HS256","typ":"JWT"}"#), part(claims.to_string().as_bytes()));
        let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, SECRET.as_bytes());
        format!("Bearer {text}.{}", part(aws_lc_rs::hmac::sign(&key, text.as_bytes()).as_ref()))
    };
    let now = jiff::Timestamp::now().as_second();
    let claims = |tier: &str, roles: &[&str], exp: i64| {
        signed(
            serde_json::json!({ "sub": "carol", "aud": "shop", "exp": exp, "tier": tier, "realm": { "roles": roles } }),
        )
    };
    Token {
        pro: claims("pro", &["admin"], now + 9_999),
        free: claims("free", &[], now + 9_999),
        late: claims("pro", &[], now - 9_999),
    }
}
