//! The rows of declarations, and of the words that say what kind of thing is declared.

use super::{Context as C, Row};

const SCOPES: C = C::TOP.or(C::API).or(C::GROUP);

pub(super) static ROWS: &[Row] = &[
    Row::new("import", SCOPES, "\"FILE\"")
        .doc("brings in the declarations of a file, or of every file that a glob matches")
        .example("import \"policies/*.gw\"")
        .many(),
    Row::new("input", C::TOP, "NAME: TYPE [= DEFAULT]")
        .doc("what differs between environments, from `GW_NAME` or `--inputs`")
        .example("input orders-url: url = http://localhost:7001")
        .many(),
    Row::new("listen", C::TOP, "[NAME] http|https ADDRESS [{…}]")
        .doc("an address that connections are accepted on")
        .example("listen internal http 127.0.0.1:9000")
        .many(),
    Row::new("trust", C::TOP, "proxies CIDR, … using x-forwarded-for|forwarded|proxy-protocol")
        .doc("whose word on the client's address counts, and in which field")
        .example("trust proxies 10.0.0.0/8 using x-forwarded-for"),
    Row::new("let", C::TOP, "NAME = EXPR")
        .doc("a constant")
        .example("let free-tier = 100/min")
        .many(),
    Row::new("table", C::TOP, "NAME: TYPE = VALUE | NAME: TYPE from file \"PATH\" [every DURATION] [on failure keep|clear]")
        .doc("typed data that may change while serving, without a reload")
        .example("table blocked: [cidr] from file \"blocked.txt\"")
        .many(),
    Row::new("upstream", C::TOP, "NAME URL | NAME {…} | * {…}")
        .doc("a service that requests are sent to; `*` sets defaults for all")
        .example("upstream users http://users.internal:7000")
        .many(),
    Row::new("auth", C::TOP, "NAME = KIND {…}")
        .doc("a way to find out who calls")
        .example("auth partner = api-key { keys file \"partners.keys\" }")
        .many(),
    Row::new("policy", C::TOP, "NAME[(NAME: TYPE, …)] {…}")
        .doc("a list of policy statements with parameters, put in place by `use`")
        .example("policy metered(allowed: rate) { limit allowed by caller }")
        .many(),
    Row::new("api", C::TOP, "NAME [PREFIX] {…}")
        .doc("routes that belong together, with their hosts, listeners and policies")
        .example("api shop /shop { route GET /items -> http://localhost:7000 }")
        .many(),
    Row::new("group", SCOPES, "[PREFIX] {…}")
        .doc("routes that share a prefix and policies")
        .example("group /admin { route ANY /{rest...} -> http://localhost:7000 }")
        .many(),
    Row::new("route", SCOPES, "[NAME] METHOD, …|ANY PATTERN [when CONDITION] -> TARGET [{…}]")
        .doc("which requests go where")
        .example("route get-user GET /users/{id: int} -> http://localhost:7000")
        .many(),
    Row::new("state", C::TOP, "memory")
        .doc("where counters live")
        .example("state memory"),
    Row::new("invariant", C::TOP, "\"TITLE\" {…}")
        .doc("what must hold for every route, checked before anything listens")
        .example("invariant \"every write is authenticated\" { for route where route.methods has any [POST, PUT]; expect route.auth != none }")
        .many(),
    Row::new("admin", C::TOP, "ADDRESS {…}")
        .doc("an address for operators: health, metrics, dashboard")
        .example("admin 127.0.0.1:9090")
        .later(),
    Row::new("access-log", C::TOP, "…")
        .doc("where and how requests are logged")
        .example("access-log json")
        .later(),
    Row::new("metrics", C::TOP, "…").doc("what is counted and where it is read").example("metrics prometheus").later(),
    Row::new("trace", C::TOP, "…").doc("where spans are sent").example("trace otlp http://localhost:4318").later(),
    Row::new("analytics", C::TOP, "…").doc("who uses what, over time").example("analytics on").later(),
    Row::new("test", C::TOP, "\"TITLE\" {…}")
        .doc("a request and what must come of it")
        .example("test \"home\" { request GET http://localhost/; expect status == 200 }")
        .many()
        .later(),
    Row::new("version", C::API, "NAME [extends NAME] {…} | from path|header.NAME|query.NAME|media-type \"…\"")
        .doc("versions of an api side by side")
        .example("version v1 { route GET /daily -> http://localhost:7000 }")
        .many()
        .later(),
    // What kind of thing it is.
    Row::new("http", C::SCHEME, "ADDRESS [{…}]").doc("HTTP without TLS").example("http :8080"),
    Row::new("https", C::SCHEME, "ADDRESS {…}").doc("HTTP over TLS").example("https :8443 { certificate \"shop.pem\" key \"shop.key\" }"),
    Row::new("jwt", C::AUTH_KIND, "{…}")
        .doc("signed bearer tokens (RFC 7519)")
        .example("jwt { issuer any; audience any; algorithms RS256; key file \"public.pem\" }"),
    Row::new("api-key", C::AUTH_KIND, "{…}")
        .doc("keys handed out to callers, kept as hashes")
        .example("api-key { from header.x-api-key; keys file \"partners.keys\" }"),
    Row::new("introspection", C::AUTH_KIND, "{…}").doc("tokens that the issuer is asked about (RFC 7662)").example("introspection { }").later(),
    Row::new("oidc", C::AUTH_KIND, "{…}").doc("browser login with a session").example("oidc { }").later(),
    Row::new("mtls", C::AUTH_KIND, "{…}").doc("client certificates").example("mtls { }").later(),
    Row::new("basic", C::AUTH_KIND, "{…}").doc("user name and password (RFC 7617)").example("basic { }").later(),
    Row::new("external", C::AUTH_KIND, "{…}").doc("another service decides").example("external { }").later(),
    Row::new("hmac", C::AUTH_KIND, "{…}").doc("signed requests").example("hmac { }").later(),
    Row::new("respond", C::TARGET, "STATUS [json EXPR|text EXPR|html EXPR|file \"PATH\"|problem \"TITLE\"]")
        .doc("a fixed answer")
        .example("respond 200 json { ok: true }"),
    Row::new("redirect", C::TARGET, "STATUS EXPR")
        .doc("sends the client elsewhere")
        .example("redirect 308 \"https://example.com/\""),
    Row::new("files", C::TARGET, "\"DIR\" [index \"FILE\"] [fallback \"FILE\"]").doc("static files").example("files \"public\"").later(),
    Row::new("compose", C::TARGET, "{…}").doc("one answer from several services").example("compose { }").later(),
    Row::new("json", C::RESPOND, "EXPR").doc("a JSON body").example("json { ok: true }"),
    Row::new("text", C::RESPOND, "EXPR").doc("a plain text body").example("text \"hello\""),
    Row::new("html", C::RESPOND, "EXPR").doc("an HTML body").example("html \"<p>hello</p>\""),
    Row::new("file", C::RESPOND, "\"PATH\"").doc("a body read from a file when the program is loaded").example("file \"sorry.html\""),
    Row::new("problem", C::RESPOND, "\"TITLE\"").doc("an RFC 9457 problem with this title").example("problem \"we are closed\""),
];
