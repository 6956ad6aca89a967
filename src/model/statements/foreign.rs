//! Words of other gateways and languages, and how the same is said here.

/// What someone who writes `word` probably wants, as a help.
pub fn foreign(word: &str) -> Option<&'static str> {
    Some(match word {
        "proxy_pass" | "reverse_proxy" | "proxy-pass" | "backend" | "default_backend" => {
            "a route says where its requests go: `route GET /path -> http://localhost:3000`"
        }
        "location" | "handle" | "path" | "paths" | "endpoint" | "match" | "rule" | "router" | "routers" => {
            "a path is declared by a route: `route ANY /path/{rest...} -> http://localhost:3000`"
        }
        "server" | "virtualhost" | "frontend" | "site" | "entryPoints" => {
            "ports are declared by `listen http :8080`, hosts by `host` in an `api NAME { … }`"
        }
        "server_name" | "hostname" | "hosts" | "domain" => "hosts stand in an api: `api shop { host shop.example … }`",
        "service" | "cluster" | "services" | "backends" | "upstreams" => {
            "a service is an upstream: `upstream NAME http://host:port`"
        }
        "return" | "rewrite" => {
            "a fixed answer or redirect is a target: `-> respond 404`, `-> redirect 308 \"/new\"`; another path is `-> NAME at /other`"
        }
        "limit_req" | "rate_limit" | "rate-limit" | "ratelimit" | "rate-limiting" | "throttle" | "quota" => {
            "requests are limited by `limit 10/s burst 20 by client.ip`"
        }
        "add_header" | "more_set_headers" => "response headers are set by `response { set header.NAME = VALUE }`",
        "proxy_set_header" | "header_up" => "request headers are set by `request { set header.NAME = VALUE }`",
        "client_max_body_size" => "body sizes are limited by `body max 1MiB`",
        "proxy_connect_timeout" | "proxy_read_timeout" | "timeouts" => {
            "times stand together: `timeout connect 500ms, response 2s`"
        }
        "allow" => "who may pass is said by `require client.ip in [10.0.0.0/8]`",
        "deny" | "block" | "reject" => "who may not pass is said by `require client.ip not in [192.0.2.0/24]`",
        "include" | "source" => "files are brought in by `import \"file.gw\"`",
        "const" | "var" | "def" | "define" | "variable" => "a constant is `let NAME = VALUE`",
        "env" | "param" | "variables" => "what differs between environments is `input NAME: TYPE = DEFAULT`",
        "if" | "else" | "unless" | "elif" => {
            "a condition is `when`: behind a statement, or `when EXPR { … }` around several"
        }
        "plugin" | "plugins" | "middleware" | "middlewares" | "filter" | "filters" => {
            "statements stand in the route itself, or in a `policy NAME() { … }` that is put in place by `use NAME()`"
        }
        "jwt" | "api-key" | "key-auth" | "basic_auth" | "auth_basic" | "auth_request" => {
            "a way to authenticate is declared, `auth NAME = jwt { … }`, and demanded, `auth NAME`"
        }
        "ssl_certificate" | "ssl" | "tls" => {
            "TLS belongs to a listener: `listen https :8443 { certificate \"shop.pem\" key \"shop.key\" }`"
        }
        "get" | "post" | "put" | "patch" | "delete" | "head" | "options" | "any" | "GET" | "POST" | "PUT" | "PATCH"
        | "DELETE" | "HEAD" | "OPTIONS" | "ANY" => "a route begins with `route`: `route GET /path -> NAME`",
        "respond" => "`respond` is a target, `-> respond 404`, or stands behind `on error`",
        "forward" => "a route says where its requests go: `-> NAME`",
        "and" | "or" | "by" | "at" => "this goes on with a statement that has ended: join it with the line above",
        _ => return None,
    })
}
