//! One mistake, one message: which code, about which words.

use super::told;

/// Each text with its diagnostics, `CODE words`.
fn check(cases: &[(&str, &[&str])]) {
    let mut wrong = String::new();
    for (text, wanted) in cases {
        let told = told(text);
        let short: Vec<&str> = told.iter().map(|t| t.split(" | ").next().unwrap_or(t).trim_end()).collect();
        if short != *wanted {
            wrong += &format!("{text}\n  wanted {wanted:?}\n  got {told:#?}\n");
        }
        assert!(told.iter().all(|t| !t.ends_with("| -")), "no help: {told:?}");
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn listeners() {
    check(&[
        ("listen 80", &["E0204 80"]),
        ("listen 80;", &["E0204 80"]),
        ("listen http 8080", &["E0204 8080"]),
        ("listen http", &["E0204"]),
        ("listen :8080", &["E0204 :8080"]),
        ("listen htp :8080", &["E0208 htp"]),
        ("listen Public http :8080", &["E0205 Public"]),
        ("listen http :8080 { max connections 5 max }", &["E0203 max"]),
        ("listen http :8080 { timeout heder 5s }", &["E0208 heder"]),
        ("listen http :8080 { redirect http }", &["E0208 http"]),
        ("trust proxies 10.0.0.0/8", &["E0204"]),
        ("trust 10.0.0.0/8 using x-forwarded-for", &["E0204 10.0.0.0/8"]),
        ("trust proxies 10.0.0.0/8 using x-real-ip", &["E0208 x-real-ip"]),
    ]);
}

#[test]
fn constants_and_tables() {
    check(&[
        ("let x 5", &["E0204 5"]),
        ("let x: int = 5", &["E0204 :"]),
        ("let X = 5", &["E0205 X"]),
        ("input a = 5", &["E0204 ="]),
        ("input a: strin", &["E0403 strin"]),
        ("table t = [1]", &["E0204 ="]),
        ("table t: [cidr]", &["E0204"]),
        (r#"table t: [cidr] from "x""#, &[r#"E0204 "x""#]),
        ("table t: [cidr] from file x.txt", &["E0204 x.txt"]),
        (r#"table t: [cidr] from file "x" evry 5s"#, &["E0203 evry"]),
        (r#"table t: [cidr] from file "x" on failure drop"#, &["E0208 drop"]),
        ("table t: [cidr] from redis", &["E0901 redis"]),
    ]);
}

#[test]
fn upstreams() {
    check(&[
        ("upstream a", &["E0204"]),
        ("upstream a localhost:3000", &["E0204 localhost:3000"]),
        ("upstream a = http://a", &["E0204 ="]),
        (r#"upstream "a" http://a"#, &[r#"E0204 "a""#]),
        ("upstream any http://a", &["E0205 any"]),
        ("upstream a.b http://a", &["E0205 a.b"]),
        ("upstream a { servers http://a }", &["E0201 servers"]),
        ("upstream a { server http://a wieght 2 }", &["E0203 wieght"]),
        ("upstream a { timeout = 5s }", &["E0209 ="]),
        ("upstream a { timeout 5s }", &["E0204 5s"]),
        ("upstream a { timeout: response 5s }", &["E0209 :"]),
        ("upstream a { timeout connect 5s response 2s }", &["E0203 response"]),
        ("upstream a { timeout connect 5s, connect 2s }", &["E0206 connect"]),
        ("upstream a { retry 3 times }", &["E0203 times"]),
        ("upstream a { retry 3 on 503 504 }", &["E0203 504"]),
        ("upstream a { retry on conect }", &["E0208 conect"]),
        ("upstream a { retry 1 on 999 }", &["E0208 999"]),
        ("upstream a { retry 1 on connect backoff 5s }", &["E0204"]),
        ("upstream a { balance roundrobin }", &["E0208 roundrobin"]),
        ("upstream a { pool 5 }", &["E0204 5"]),
        ("upstream a { host a.example }", &["E0204 a.example"]),
        ("upstream a { send x-user = 1 }", &["E0210 x-user"]),
        ("upstream a { send header.x 1 }", &["E0204 1"]),
        ("upstream a { balance p2c; balance random }", &["E0206 balance"]),
        ("upstream a { tls { verify false } }", &["E0201 verify"]),
    ]);
}

#[test]
fn auths() {
    check(&[
        ("auth a = jwtt { }", &["E0208 jwtt"]),
        ("auth a = jwt", &["E0215"]),
        ("auth a jwt { }", &["E0204 jwt"]),
        ("auth a { }", &["E0204 { }"]),
        (r#"auth a = jwt { isuer "x" }"#, &["E0201 isuer"]),
        (r#"auth a = jwt { issuer = "x" }"#, &["E0209 ="]),
        (r#"auth a = jwt { algorithms "RS256" }"#, &[r#"E0204 "RS256""#]),
        (r#"auth a = jwt { jwks "keys.json" }"#, &[r#"E0204 "keys.json""#]),
        ("auth a = jwt { jwks https://a/keys }", &["E0901 https://a/keys"]),
        (r#"auth a = jwt { secret x; key file "a" }"#, &["E0206 key"]),
        (r#"auth a = jwt { issuer "a"; issuer "b" }"#, &["E0206 issuer"]),
        ("auth a = jwt { claims { tier string } }", &["E0204"]),
        (r#"auth a = jwt { claims { "tier": string } }"#, &[r#"E0204 "tier": string"#]),
        ("auth a = jwt { claims { tier: strng } }", &["E0403 strng"]),
        ("auth a = jwt { claims { tier: string frm x } }", &["E0203 frm"]),
        ("auth a = jwt { claims { tier: string, tier: int } }", &["E0206 tier"]),
        ("auth a = jwt { claims tier: string }", &["E0215 tier"]),
        ("auth a = api-key { from x-api-key }", &["E0208 x-api-key"]),
        ("auth a = jwt { from query.token }", &["E0208 query.token"]),
        ("auth a = api-key { keys { a: x, b y } }", &["E0204"]),
        ("auth a = oidc { whatever; }", &["E0901 oidc"]),
    ]);
}

#[test]
fn scopes() {
    check(&[
        ("policy p(a) { }", &["E0204"]),
        ("policy p(a: rate, a: int) { }", &["E0206 a"]),
        ("policy p(a: rate) limit a", &["E0215 limit"]),
        ("api { route GET /x -> a }", &["E0204 { route GET /x -> a }"]),
        ("group a { }", &["E0204 a"]),
        ("api a { hosts x }", &["E0201 hosts"]),
        ("api a { listen :80 }", &["E0204 :80"]),
        ("api a { paths allow slash }", &["E0208 slash"]),
        ("api a { trailing-slash strict }", &["E0208 strict"]),
        ("invariant x { expect route.auth != none }", &["E0204 x"]),
        (r#"invariant "x" { for routes where x; expect y }"#, &["E0208 routes"]),
        (r#"invariant "x" { for route if x }"#, &["E0203 if"]),
        ("state redis http://x", &["E0901 redis"]),
        ("state memroy", &["E0208 memroy"]),
        ("import common.gw", &["E0204 common.gw"]),
        (r#"import "a" "b""#, &[r#"E0203 "b""#]),
        ("api a { host a..b }", &["E0203 .."]),
    ]);
}

#[test]
fn patterns_and_hosts() {
    check(&[
        ("api a x { }", &["E0501 x"]),
        ("group /x/{rest...} { }", &["E0506 rest"]),
        ("api a { host shop.example:80; host b }", &["E0511 shop.example:80", "E0206 host"]),
        ("route GET x -> a", &["E0501 x"]),
        ("route GET x/{id} -> a", &["E0501 x/{id}"]),
        ("route GET /a//b -> a", &["E0502 /"]),
        ("route GET /a/:id/* -> a", &["E0517 :id"]),
        ("route GET /a/{id}{b} -> a", &["E0505 {b}"]),
        ("route GET /a/{*rest} -> a", &["E0505 {*rest}"]),
        ("route GET /a/{id: int64} -> a", &["E0508 int64"]),
        ("route GET /a/{id: matches [a-z]+} -> a", &["E0509 [a-z]+"]),
        (r#"route GET /a/{id: matches "[a-z"} -> a"#, &[r#"E0509 "[a-z""#]),
        ("route GET /a/%zz/%00 -> a", &["E0513 %zz"]),
        ("route GET /a/{}/x -> a", &["E0505 {}"]),
        ("route GET /{rest...}/ -> a", &["E0506 /"]),
        (r#"api a { host "bücher.example" }"#, &[r#"E0512 "bücher.example""#]),
        ("api a { host {t}x.example }", &["E0510 {t}"]),
        ("api a { host [::1]:80 }", &["E0511 [::1]:80"]),
        ("api a { host http://a }", &["E0510 http://a"]),
    ]);
}

#[test]
fn routes_and_targets() {
    check(&[
        ("route /x -> a", &["E0516 /x"]),
        ("route get /x -> a", &["E0516 get"]),
        ("route GET POST /x -> a", &["E0516"]),
        ("route GET, ANY /x -> a", &["E0516 ANY"]),
        ("route GTE /x -> a", &["E0516 GTE"]),
        ("route GET /x a", &["E0514 a"]),
        ("route GET /x = a", &["E0514 ="]),
        ("route GET /x ->", &["E0204"]),
        ("route GET /x", &["E0514"]),
        (r#"route GET /x -> "http://a""#, &[r#"E0204 "http://a""#]),
        ("route GET /x -> localhost:3000", &["E0204 localhost:3000"]),
        ("route GET /x -> 404", &["E0204 404"]),
        ("route GET /x -> a, b", &["E0515 a"]),
        ("route GET /x -> 90 a, 10 b", &["E0204 90"]),
        ("route GET /x -> a when x == 1", &["E0518"]),
        ("route GET /x -> a at internal", &["E0204 internal"]),
        ("route GET /x -> respond json {}", &["E0204 json"]),
        (r#"route GET /x -> respond 200 "x""#, &[r#"E0204 "x""#]),
        (r#"route GET /x -> redirect "x""#, &[r#"E0204 "x""#]),
        ("route GET /x -> redirect 301", &["E0204"]),
    ]);
}

#[test]
fn policy_statements() {
    check(&[
        ("route GET /x -> a { proxy_set_header X y }", &["E0201 proxy_set_header"]),
        ("route GET /x -> a { route GET /y -> b }", &["E0202 route"]),
        ("route GET /x -> a { limit 5/s burst 3 burst 4 }", &["E0206 burst"]),
        ("route GET /x -> a { limit 5/s per client.ip }", &["E0203 per"]),
        ("route GET /x -> a { limit 5/s by caller leased }", &["E0901 leased"]),
        (r#"route GET /x -> a { require caller.id else "no" }"#, &[r#"E0204 "no""#]),
        (r#"route GET /x -> a { require caller.id == "x", caller.y == "z" }"#, &["E0203 ,"]),
        ("route GET /x -> a { auth a, b }", &["E0204 ,"]),
        ("route GET /x -> a { auth a when x == 1 }", &["E0202 when"]),
        ("route GET /x -> a { when x == 1 { auth a } }", &["E0202 auth"]),
        ("route GET /x -> a { auth none or b }", &["E0208 none"]),
        ("route GET /x -> a { cors { origins * } }", &["E0204 *"]),
        ("route GET /x -> a { body 1MiB }", &["E0204 1MiB"]),
        ("route GET /x -> a { accepts application/json }", &["E0204 application"]),
        ("route GET /x -> a { request set header.x = 1 }", &["E0204 set"]),
        ("route GET /x -> a { request { header.x = 1 } }", &["E0201 header.x"]),
        ("route GET /x -> a { request { set header.x: 1 } }", &["E0204 :"]),
        ("route GET /x -> a { request { set x-user = 1 } }", &["E0210 x-user"]),
        ("route GET /x -> a { request { set header.a.b = 1 } }", &["E0210 header.a.b"]),
        ("route GET /x -> a { request { set body.x = 1 } }", &["E0901 body.x"]),
        (r#"route GET /x -> a { response { set path = "x" } }"#, &["E0210 path"]),
        ("route GET /x -> a { response { add status = 4 } }", &["E0210 status"]),
        ("route GET /x -> a { on error 503 respond 500 }", &["E0204 503"]),
        ("route GET /x -> a { on error upstrem-timeout respond 500 }", &["E0208 upstrem-timeout"]),
        ("route GET /x -> a { on upstream 5xx -> respond 500 }", &["E0204 ->"]),
        ("route GET /x -> a { on upstram 5xx respond 500 }", &["E0208 upstram"]),
        ("route GET /x -> a { log lower(host) }", &["E0204 lower(host)"]),
        ("route GET /x -> a { tag x: 1 }", &["E0204 :"]),
        ("route GET /x -> a { metered(5/s) }", &["E0201 metered"]),
        ("route GET /x -> a { use metered(5/s }", &["E0106 ("]),
        ("route a GET /x -> a { timeout total 5s; timeout response 2s } limit 5/s", &["E0203 limit"]),
    ]);
}

#[test]
fn words() {
    check(&[
        ("rout GET /x -> a", &["E0201 rout"]),
        ("server { listen 80; }", &["E0202 server"]),
        ("location /x { proxy_pass http://a; }", &["E0201 location"]),
        ("/x -> a", &["E0207 /x"]),
        ("{ }", &["E0207 { }"]),
        ("GET /x -> a", &["E0202 GET"]),
    ]);
}
