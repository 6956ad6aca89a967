//! The rows of settings: what stands in the blocks of declarations.

use super::{Context as C, Row};

pub(super) static ROWS: &[Row] = &[
    // listen
    Row::new("redirect", C::LISTEN, "https [port INT]")
        .doc("redirects every request to https")
        .example("redirect https port 8443"),
    Row::new("max", C::LISTEN, "connections INT")
        .doc("how many connections may be open at once")
        .example("max connections 10_000"),
    Row::new("header", C::LISTEN, "max SIZE").doc("how large the head of a request may be").example("header max 32KiB"),
    Row::new("timeout", C::LISTEN, "header DURATION, idle DURATION")
        .doc("how long a head may take, and how long a connection may rest")
        .example("timeout header 10s, idle 1m"),
    Row::new("certificate", C::LISTEN, "\"PATH\" key \"PATH\"")
        .doc("a certificate chain and its key, chosen by server name")
        .example("certificate \"shop.pem\" key \"shop.key\"")
        .many(),
    Row::new("acme", C::LISTEN, "{…}")
        .doc("certificates that a CA issues and renews by ACME (RFC 8555)")
        .example("acme { agree terms; domains \"shop.example\" }"),
    Row::new("client-certificates", C::LISTEN, "required|optional { ca \"PATH\" }")
        .doc("asks clients for certificates")
        .example("client-certificates required { ca \"ca.pem\" }"),
    Row::new("tls", C::LISTEN, "min 1.2|1.3")
        .doc("the oldest TLS that is spoken; 1.2 by default")
        .example("tls min 1.3"),
    Row::new("protocols", C::LISTEN, "h1, h2, h2c")
        .doc("which versions of HTTP are spoken: `h2` by TLS's ALPN, `h2c` without TLS; by default h1, and h2 with TLS")
        .example("protocols h1, h2"),
    Row::new("proxy-protocol", C::LISTEN, "")
        .doc("expects the PROXY protocol's header before each connection")
        .example("proxy-protocol"),
    Row::new("ca", C::CLIENT_CERTIFICATES, "\"PATH\"")
        .doc("the certificates of those who sign for clients")
        .example("ca \"clients-ca.pem\""),
    // acme
    Row::new("agree", C::ACME, "terms")
        .doc("you have read the CA's terms of service and agree to them")
        .example("agree terms"),
    Row::new("domains", C::ACME, "\"NAME\", …")
        .doc("the names to have certificates for; by default the exact hosts of the apis on the listener")
        .example("domains \"shop.example\", \"www.shop.example\""),
    Row::new("email", C::ACME, "\"ADDRESS\", …")
        .doc("whom the CA may write to")
        .example("email \"ops@shop.example\""),
    Row::new("directory", C::ACME, "staging|production|URL")
        .doc("whose certificates: Let's Encrypt's (`production`, the default, or `staging` for trials), or those of the CA at a URL")
        .example("directory staging"),
    Row::new("store", C::ACME, "\"DIR\"")
        .doc("where account and certificates are kept; by default `acme` in `$STATE_DIRECTORY`, else `/var/lib/gw/acme`")
        .example("store \"state/acme\""),
    Row::new("challenge", C::ACME, "tls-alpn-01|http-01 [forwarded]")
        .doc("how the CA sees that a name is yours: in a handshake at port 443 (the default), or by a request at port 80; `forwarded` where that port is another one here")
        .example("challenge http-01"),
    Row::new("ca", C::ACME, "\"PATH\"")
        .doc("the root certificate of a private CA's own server, instead of the system's")
        .example("ca \"internal-ca.pem\""),
    Row::new("external-account", C::ACME, "\"ID\" key SECRET")
        .doc("ties the account to one that you have with the CA already; the key is base64url, as CAs give it")
        .example("external-account \"kid-1\" key acme-key"),
    // upstream
    Row::new("server", C::UPSTREAM, "URL [weight INT] [backup]")
        .doc("one server; each address that its name has is used")
        .example("server http://orders-1.internal:8080 weight 2")
        .many(),
    Row::new("echo", C::UPSTREAM, "")
        .doc("a built-in server that answers with a JSON description of the request")
        .example("echo"),
    Row::new("balance", C::UPSTREAM, "p2c|round-robin|random|least-requests|hash EXPR")
        .doc("which server is next")
        .example("balance least-requests"),
    Row::new("pool", C::UPSTREAM, "[max INT] [idle DURATION]")
        .doc("how many connections there may be to a server, and how long unused ones are kept")
        .example("pool max 64 idle 30s"),
    Row::new("timeout", C::UPSTREAM, "connect DURATION, response DURATION, idle DURATION")
        .doc("how long connecting, the first byte, and a pause may take")
        .example("timeout connect 500ms, response 2s"),
    Row::new(
        "retry",
        C::UPSTREAM,
        "[INT] [on connect|reset|timeout|STATUS, …] [budget PERCENT] [backoff DURATION..DURATION]",
    )
    .doc("what is tried again, how often")
    .example("retry 1 on connect, 503 budget 20%"),
    Row::new("limit", C::UPSTREAM, "RATE|INT [burst INT|fixed|concurrent] [by KEY] [else skip] [name NAME]")
        .doc("how much the upstream is asked")
        .example("limit 500/s")
        .many(),
    Row::new("max", C::UPSTREAM, "requests INT [pending INT]")
        .doc("how many requests may be in flight, and how many may wait, for `timeout connect` at most")
        .example("max requests 200 pending 50"),
    Row::new("tls", C::UPSTREAM, "{…}")
        .doc("how https to the servers is spoken")
        .example("tls { ca \"internal-ca.pem\" }"),
    Row::new("host", C::UPSTREAM, "preserve|\"NAME\"")
        .doc("the Host that servers see: the client's, or this one; by default their own")
        .example("host preserve"),
    Row::new("send", C::UPSTREAM, "header.NAME = EXPR")
        .doc("a header that every request to it carries")
        .example("send header.x-gateway = \"gw\"")
        .many(),
    Row::new("discover", C::UPSTREAM, "dns HOST:PORT|srv HOST [https]")
        .doc("the addresses of a name, or the servers of its SRV records (RFC 2782)")
        .example("discover dns orders.internal:8080")
        .many(),
    Row::new("sticky", C::UPSTREAM, "cookie NAME [for DURATION]")
        .doc("keeps a client at one server, by a cookie that names it to nobody else")
        .example("sticky cookie shard"),
    Row::new("protocol", C::UPSTREAM, "h1|h2|h2c|auto").doc("the version of HTTP spoken to it").example("protocol h2c"),
    Row::new("health", C::UPSTREAM, "{…}")
        .doc("asks servers whether they are well")
        .example("health { GET /healthz; every 5s; timeout 1s; healthy after 2; unhealthy after 3 }"),
    Row::new("GET", C::HEALTH, "PATH").doc("what is asked for").example("GET /healthz"),
    Row::new("HEAD", C::HEALTH, "PATH").doc("what is asked for, without its body").example("HEAD /healthz"),
    Row::new("every", C::HEALTH, "DURATION").doc("how often each server is asked").example("every 5s"),
    Row::new("timeout", C::HEALTH, "DURATION").doc("how long an answer may take").example("timeout 1s"),
    Row::new("healthy", C::HEALTH, "after INT")
        .doc("how many good answers in a row bring a server back")
        .example("healthy after 2"),
    Row::new("unhealthy", C::HEALTH, "after INT")
        .doc("how many bad answers in a row take a server out")
        .example("unhealthy after 3"),
    Row::new("expect", C::HEALTH, "status STATUS, …")
        .doc("which statuses are good; by default 2xx")
        .example("expect status 2xx, 304"),
    Row::new("host", C::HEALTH, "\"NAME\"")
        .doc("the Host of the question; by default the server's")
        .example("host \"orders\""),
    Row::new("port", C::HEALTH, "INT").doc("where it is asked; by default the server's own port").example("port 9000"),
    Row::new("eject", C::UPSTREAM, "after INT failures for DURATION|over PERCENT for DURATION")
        .doc("leaves out servers that fail requests, for a while")
        .example("eject after 5 failures for 30s"),
    Row::new("oauth", C::UPSTREAM, "{…}")
        .doc("fetches a token for the gateway (OAuth 2.0, client credentials) and sends it with every request")
        .example(
            "oauth { token-endpoint https://id.example.com/token; client-id \"gw\"; client-secret orders-secret; scopes \"orders\" }",
        ),
    Row::new("token-endpoint", C::UPSTREAM_OAUTH, "URL")
        .doc("who is asked for tokens: `https`, but for the machine itself")
        .example("token-endpoint https://id.example.com/oauth/token"),
    Row::new("client-id", C::UPSTREAM_OAUTH, "EXPR").doc("who the gateway is there").example("client-id \"gw\""),
    Row::new("client-secret", C::UPSTREAM_OAUTH, "EXPR")
        .doc("what proves it: an input of type `secret`")
        .example("client-secret orders-secret"),
    Row::new("credentials", C::UPSTREAM_OAUTH, "basic|body")
        .doc("how they are sent: by HTTP Basic (the default, `client_secret_basic`), or in the form (`client_secret_post`)")
        .example("credentials body"),
    Row::new("scopes", C::UPSTREAM_OAUTH, "\"SCOPE\", …")
        .doc("what the token is to allow; by default what the server gives")
        .example("scopes \"orders:read\", \"orders:write\""),
    Row::new("audience", C::UPSTREAM_OAUTH, "\"TEXT\"")
        .doc("whom the token is for, where the server wants to be told")
        .example("audience \"https://orders.example.com\""),
    Row::new("ca", C::UPSTREAM_OAUTH, "\"PATH\"")
        .doc("the certificates that are trusted at the token endpoint instead of the system's")
        .example("ca \"internal-ca.pem\""),
    Row::new("ca", C::UPSTREAM_TLS, "\"PATH\"")
        .doc("the certificates that are trusted instead of the system's")
        .example("ca \"internal-ca.pem\""),
    Row::new("certificate", C::UPSTREAM_TLS, "\"PATH\" key \"PATH\"")
        .doc("the gateway's own certificate chain and its key, for servers that ask for one")
        .example("certificate \"gw.pem\" key \"gw.key\""),
    Row::new("server-name", C::UPSTREAM_TLS, "\"NAME\"")
        .doc("the name that is asked for and that the server's certificate must have, instead of the server's own")
        .example("server-name \"orders.internal\""),
    // auth
    Row::new("issuer", C::JWT, "\"TEXT\", …|any")
        .doc("who must have signed")
        .example("issuer \"https://id.example.com/\""),
    Row::new("audience", C::JWT, "\"TEXT\", …|any").doc("whom the token must be for").example("audience \"shop-api\""),
    Row::new("algorithms", C::JWT, "NAME, …").doc("which signatures are accepted").example("algorithms RS256, ES256"),
    Row::new("jwks", C::JWT, "file \"PATH\"")
        .doc("the issuer's keys, as a JSON Web Key Set")
        .example("jwks file \"keys.json\""),
    Row::new("key", C::JWT, "file \"PATH\"").doc("one public key in PEM").example("key file \"public.pem\""),
    Row::new("secret", C::JWT, "EXPR").doc("the shared secret of HS256, HS384 and HS512").example("secret jwt-secret"),
    Row::new("leeway", C::JWT, "DURATION").doc("how far clocks may differ").example("leeway 30s"),
    Row::new("keys", C::API_KEY, "file \"PATH\"|{ NAME: INPUT, … }")
        .doc("the keys: hashed in a file of `gw keys`, or named inputs")
        .example("keys file \"partners.keys\""),
    Row::new("from", C::JWT.or(C::API_KEY), "header.NAME|cookie.NAME|query.NAME")
        .doc("where the credential stands; by default `Authorization: Bearer` of a jwt, `X-Api-Key` of an api-key")
        .example("from header.x-api-key"),
    Row::new("claims", C::JWT.or(C::API_KEY), "{ NAME: TYPE [from PATH], … }")
        .doc("what is known about the caller, typed")
        .example("claims { tier: \"free\" | \"pro\", roles: [string] from realm_access.roles }"),
    Row::new("forward", C::JWT.or(C::API_KEY), "credentials")
        .doc("sends the credential on to the upstream")
        .example("forward credentials"),
    // api
    Row::new("host", C::API, "HOST, …")
        .doc("the hosts that the api answers to")
        .example("host api.example.com, *.shop.example"),
    Row::new("listen", C::API, "NAME, …").doc("the listeners that the api stands on").example("listen internal"),
    Row::new("paths", C::API, "allow encoded-slash, empty-segments, semicolon")
        .doc("lets in paths that are refused by default")
        .example("paths allow encoded-slash"),
    Row::new("trailing-slash", C::API, "redirect|ignore")
        .doc("what becomes of `/orders/` where `/orders` is declared, and the other way round")
        .example("trailing-slash redirect"),
    // cors
    Row::new("origins", C::CORS, "\"ORIGIN\", …|any")
        .doc("which origins may read answers")
        .example("origins \"https://shop.example\""),
    Row::new("methods", C::CORS, "METHOD, …")
        .doc("which methods may be used; by default those of the routes")
        .example("methods GET, POST"),
    Row::new("headers", C::CORS, "\"NAME\", …|any")
        .doc("which request headers may be sent")
        .example("headers \"content-type\""),
    Row::new("expose", C::CORS, "\"NAME\", …")
        .doc("which response headers scripts may read")
        .example("expose \"x-total\""),
    Row::new("credentials", C::CORS, "").doc("cookies and credentials may come along").example("credentials"),
    Row::new("max-age", C::CORS, "DURATION").doc("how long a preflight's answer may be kept").example("max-age 1h"),
    // request and response
    Row::new("set", C::REQUEST.or(C::RESPONSE), "PLACE = EXPR")
        .doc("writes, over what is there")
        .example("set header.x-shop = \"1\"")
        .many(),
    Row::new("add", C::REQUEST.or(C::RESPONSE), "PLACE = EXPR")
        .doc("writes, beside what is there")
        .example("add header.vary = \"accept\"")
        .many(),
    Row::new("remove", C::REQUEST.or(C::RESPONSE), "PLACE").doc("takes away").example("remove header.server").many(),
    // invariant
    Row::new("for", C::INVARIANT, "route [where EXPR]")
        .doc("which routes are looked at")
        .example("for route where route.path != \"/health\""),
    Row::new("expect", C::INVARIANT, "EXPR").doc("what must hold for each").example("expect route.auth != none"),
];
