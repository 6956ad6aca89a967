//! What becomes of well-formed declarations and statements.

use super::read;
use crate::model::ast::*;
use crate::model::types::Type;

/// The program of a text without mistakes.
fn good(text: &str) -> Program {
    let (program, list) = read(text);
    assert!(list.is_empty(), "{text}\n{list:#?}");
    program
}

/// The one route of a program.
fn route(text: &str) -> Route {
    match good(text).root.members.pop() {
        Some(Member::Route(route)) => route,
        other => panic!("no route: {other:?}"),
    }
}

/// The statements of a route's block.
fn statements(text: &str) -> Vec<Statement> {
    route(&format!("route GET /x -> a {{\n{text}\n}}")).statements
}

fn statement(text: &str) -> Statement {
    let mut list = statements(text);
    assert_eq!(list.len(), 1);
    list.remove(0)
}

/// A pattern as the router sees it.
fn pattern(text: &str) -> String {
    let pattern = route(&format!("route GET {text} -> a")).pattern;
    let mut out = String::new();
    for segment in &pattern.segments {
        out += &match segment {
            Segment::Literal(text) => format!("/{text}"),
            Segment::Param { name, ty, prefix, suffix } => format!("/{prefix}{{{} {ty:?}}}{suffix}", name.text),
            Segment::Rest(name) => format!("/{{{}...}}", name.text),
        };
    }
    out + if pattern.trailing_slash { "/" } else { "" }
}

#[test]
fn patterns() {
    assert_eq!(pattern("/"), "/");
    assert_eq!(pattern("/a/b"), "/a/b");
    assert_eq!(pattern("/a/"), "/a/");
    assert_eq!(pattern("/{rest...}"), "/{rest...}");
    assert_eq!(pattern("/a/{id: int}/{rest...}"), "/a/{id Int}/{rest...}");
    assert_eq!(pattern("/report-{day: date}.csv"), "/report-{day Date}.csv");
    assert_eq!(pattern("/{a}/{b: uuid}/{c: uint}/{d: string}"), "/{a String}/{b Uuid}/{c Uint}/{d String}");
    assert_eq!(pattern("/v1/books:search"), "/v1/books:search");
    assert_eq!(pattern("/%61%2d/%c3%a4"), "/a-/%C3%A4", "normalised as a request's path is");
    assert_eq!(pattern("\"/a,b c/{id}\""), "/a,b%20c/{id String}", "quoted");
    let route = route(r#"route GET /{code: matches r"[a-z]{2}|xx"} -> a"#);
    let Segment::Param { ty: ParamType::Matches(regex), .. } = &route.pattern.segments[0] else { panic!() };
    assert!(regex.is_match("de") && regex.is_match("xx") && !regex.is_match("dex"), "anchored as a whole");
}

#[test]
fn hosts() {
    let Some(Member::Scope(api)) =
        good("api a { host API.example.com, *.example.com, {tenant}.example.com, 10.0.0.1, [::1] }").root.members.pop()
    else {
        panic!()
    };
    let hosts: Vec<_> = api.hosts.iter().map(|h| (h.head.clone(), h.suffix.as_str())).collect();
    assert_eq!(
        hosts,
        [
            (HostHead::Exact, "api.example.com"),
            (HostHead::Wildcard, "example.com"),
            (HostHead::Param("tenant".into()), "example.com"),
            (HostHead::Exact, "10.0.0.1"),
            (HostHead::Exact, "[::1]"),
        ]
    );
}

#[test]
fn targets() {
    let forward = |text: &str| match route(&format!("route GET /x/{{id}} -> {text}")).target.kind {
        TargetKind::Forward(forward) => forward,
        other => panic!("{other:?}"),
    };
    let one = forward("a at /y/{id}/z by client.ip");
    assert_eq!((one.to.len(), one.at.map(|at| at.value.len()), one.by.map(|k| k.parts.len())), (1, Some(3), Some(1)));
    let two = forward("90% a, 10% http://localhost:7001 by caller");
    assert!(two.to.iter().all(|w| w.percent.is_some()));
    assert!(matches!(two.to[1].upstream, UpstreamRef::Url(_)));
    let shares = forward("share a, rest b");
    assert!(shares.to.iter().all(|w| matches!(w.percent, Some(Expr { kind: ExprKind::Name(_), .. }))));
    let TargetKind::Choice { otherwise, .. } =
        route("route GET /x -> a when caller.id == \"1\" else respond 404 { tag a = 1 }").target.kind
    else {
        panic!()
    };
    assert!(matches!(otherwise.kind, TargetKind::Respond(_)));
    let json = route("route GET /x -> respond 200 json { ok: true } { tag a = 1 }");
    assert!(matches!(json.target.kind, TargetKind::Respond(Respond { body: RespondBody::Json(_), .. })));
    assert_eq!(json.statements.len(), 1, "a target's own braces come first");
    let redirect = route("route GET /x -> redirect 308 \"https://a.example{path}\"");
    assert!(matches!(redirect.target.kind, TargetKind::Redirect { .. }));
}

#[test]
fn heads_of_routes() {
    let r = route("## One.\n## Two.\nroute list GET, POST /x when header.x-beta == \"1\"\n  -> a");
    assert_eq!(r.name.map(|n| n.text), Some("list".into()));
    assert_eq!(r.methods.iter().map(|m| m.value.as_str()).collect::<Vec<_>>(), ["GET", "POST"]);
    assert!(r.when.is_some());
    assert_eq!(r.docs, "One.\nTwo.");
    assert!(route("route ANY /x -> a").methods.is_empty());
    assert_eq!(route("route PURGE /x -> a").methods[0].value.as_str(), "PURGE");
}

#[test]
fn scopes() {
    let program = good(
        "api shop /v1 {\n host shop.example\n listen public, internal\n paths allow encoded-slash, semicolon\n trailing-slash ignore\n \
         auth none\n group { route GET /a -> a }\n group /b { auth customer; route GET / -> a }\n}",
    );
    let Member::Scope(api) = &program.root.members[0] else { panic!() };
    assert_eq!(
        (api.kind, api.listen.len(), api.paths.len(), api.statements.len(), api.members.len()),
        (ScopeKind::Api, 2, 2, 1, 2)
    );
    assert_eq!(api.trailing_slash.as_ref().map(|t| t.value), Some(TrailingSlash::Ignore));
    let Member::Scope(group) = &api.members[1] else { panic!() };
    assert!(group.kind == ScopeKind::Group && group.prefix.is_some() && group.members.len() == 1);
}

#[test]
fn upstreams() {
    let program = good(
        "upstream a http://a.internal:7000\nupstream * { timeout connect 1s }\nupstream b {\n server http://b weight 2\n server http://c backup\n \
         balance hash client.ip\n pool idle 5s max 3\n timeout connect 500ms, response 2s, idle 1m\n retry 2 on connect, 5xx, 503 budget 20% backoff 25ms..1s\n \
         limit 20 concurrent\n max requests 5 pending 6\n tls { ca \"ca.pem\" }\n host preserve\n send header.x-a = \"1\"\n send header[\"X-B\"] = \"2\"\n}",
    );
    assert_eq!((program.upstreams.len(), program.upstream_defaults.len()), (2, 1));
    let b = &program.upstreams[1];
    assert!(!b.damaged && b.servers[1].backup && b.servers[0].weight.is_some());
    assert!(matches!(b.balance, Some(Spanned { value: Balance::Hash(_), .. })));
    assert!(b.pool_max.is_some() && b.pool_idle.is_some() && b.max_pending.is_some() && b.tls.is_some());
    let retry = b.retry.as_ref().unwrap();
    assert_eq!(
        retry.on.iter().map(|o| o.value).collect::<Vec<_>>(),
        [RetryOn::Connect, RetryOn::Class(5), RetryOn::Status(503)]
    );
    assert!(retry.count.is_some() && retry.budget.is_some() && retry.backoff.is_some());
    assert_eq!(b.send[1].place.value, Place::Header("x-b".into()));
    assert!(matches!(b.limits[0].kind, StatementKind::Limit(Limit { kind: LimitKind::Concurrent, .. })));
}

#[test]
fn auths() {
    let program = good(
        "auth a = jwt {\n issuer \"x\"\n audience any\n algorithms RS256, ES256\n jwks file \"k.json\"\n from cookie.session\n leeway 30s\n \
         claims {\n  tier: \"free\" | \"pro\"\n  org: string?, roles: [string] from realm_access.roles\n  odd: int from [\"https://x/odd\"]\n }\n}\n\
         auth b = api-key { from query.key; keys { one: key-one, two: key-two }; forward credentials }",
    );
    let [a, b] = program.auths.as_slice() else { panic!() };
    let AuthKind::Jwt { issuer, audience, algorithms, keys, .. } = &a.kind else { panic!() };
    assert!(matches!((issuer, audience), (Some(OrAny::Texts(_)), Some(OrAny::Any(_)))));
    assert!(algorithms.len() == 2 && matches!(keys, Some(Spanned { value: JwtKeys::JwksFile(_), .. })));
    assert_eq!(a.from.as_ref().map(|f| f.value.clone()), Some(CredentialPlace::Cookie("session".into())));
    let claims: Vec<_> = a.claims.iter().map(|c| (c.name.text.as_str(), c.path.join(">"))).collect();
    assert_eq!(
        claims,
        [
            ("tier", "tier".into()),
            ("org", "org".into()),
            ("roles", "realm_access>roles".into()),
            ("odd", "https://x/odd".into())
        ]
    );
    assert_eq!(a.claims[1].ty.value, Type::Optional(Box::new(Type::String)));
    let AuthKind::ApiKey { keys: Some(Spanned { value: ApiKeys::Named(keys), .. }) } = &b.kind else { panic!() };
    assert!(keys.len() == 2 && b.forward_credentials && !b.damaged);
}

#[test]
fn other_declarations() {
    let program = good(
        "input a: url = http://localhost:1\nlet b = 100/min\ntable c: [cidr] from file \"c.txt\" every 30s on failure clear\n\
         table d: [string] = [\"x\"]\nlisten http :80 { redirect https port 8443 }\nlisten in http 127.0.0.1:90 { max connections 5; header max 8KiB; timeout idle 5s, header 3s }\n\
         trust proxies 10.0.0.0/8, 192.168.0.0/16 using forwarded\npolicy p(a: rate, b: string) { limit a by b }\npolicy q { auth none }\nstate memory\n\
         invariant \"x\" { for route where route.name != \"a\"; expect route.auth != none }",
    );
    assert!(
        program.tables[0].clear_on_failure && program.tables[0].every.is_some() && program.tables[1].value.is_some()
    );
    assert!(program.listeners[0].redirect_https.as_ref().is_some_and(|r| r.value.is_some()));
    assert_eq!(program.listeners[1].name.as_ref().map(|n| n.text.as_str()), Some("in"));
    assert!(program.listeners[1].timeout_header.is_some() && program.listeners[1].timeout_idle.is_some());
    assert_eq!((program.trust[0].proxies.len(), program.trust[0].using.value), (2, ForwardField::Forwarded));
    assert_eq!(
        (program.policies[0].parameters.len(), program.policies[1].parameters.len(), program.state.len()),
        (2, 0, 1)
    );
    assert!(program.invariants[0].filter.is_some());
}

#[test]
fn limits() {
    let limit = |text: &str| match statement(text).kind {
        StatementKind::Limit(limit) => limit,
        other => panic!("{other:?}"),
    };
    assert!(matches!(limit("limit 100/min").kind, LimitKind::Sliding));
    let bucket = limit("limit 10/s burst 20 by caller, header.x-shop ?? \"none\" name shared");
    assert!(matches!(bucket.kind, LimitKind::Bucket(_)));
    assert_eq!((bucket.by.map(|k| k.parts.len()), bucket.name.map(|n| n.text)), (Some(2), Some("shared".into())));
    assert!(matches!(limit("limit 10_000/day fixed by caller").kind, LimitKind::Fixed));
    assert!(matches!(limit("limit 20 concurrent exact").kind, LimitKind::Concurrent));
    assert!(limit("limit 10/s by header.x-shop else skip").else_skip);
    let reported = statement("limit report-only 10/s by client.ip when method == POST");
    assert!(reported.report_only.is_some() && reported.when.is_some());
}

#[test]
fn policy_statements() {
    let list = statements(
        "require report-only caller.id == \"x\" else 404 \"no such user\"\nauth a or b\nauth optional a\nauth none\ncors none\n\
         cors { origins any; methods GET, PUT; headers \"x-a\", \"x-b\"; expose \"x-c\"; credentials; max-age 1h } when method == GET\n\
         body max 1MiB\nbody none\naccepts \"application/json\", \"text/plain\"\ntimeout total 5s, idle 1m\ntimeout none\nretry none\nretry budget 10%\n\
         on error respond 500 json { a: 1 }\non error limited, upstream-timeout respond 503 problem \"busy\" when method == GET\n\
         on upstream 5xx, 404 respond 404\ntag team = \"a\"\nlog none\nlog header.user-agent, who = caller.id\nuse p(1, 2)\nuse q\n\
         when method == POST { limit 5/s; when path == \"/x\" { body max 1KiB } }\n\
         request { set header.x-a = caller.id when method == GET; add query.b = \"1\"; remove cookie.c; set path = \"/y\"; set method = GET; set host = \"h\" }\n\
         response { set status = 201; remove header.server; set header[\"Odd.Name\"] = \"1\" }",
    );
    assert_eq!(list.len(), 24);
    let StatementKind::Require { status: Some(_), title: Some(_), .. } = &list[0].kind else { panic!() };
    assert!(list[0].report_only.is_some());
    assert!(matches!(&list[1].kind, StatementKind::Auth(AuthUse::Required(names)) if names.len() == 2));
    let StatementKind::Cors(Some(cors)) = &list[5].kind else { panic!() };
    assert!(
        cors.any_origin.is_some()
            && cors.methods.len() == 2
            && cors.headers.len() == 2
            && cors.credentials
            && list[5].when.is_some()
    );
    assert!(matches!(&list[13].kind, StatementKind::OnError { kinds, .. } if kinds.is_empty()));
    assert!(matches!(&list[16].kind, StatementKind::Tag { .. }));
    let StatementKind::Log(Some(fields)) = &list[18].kind else { panic!() };
    assert_eq!(fields.iter().map(|(n, _)| n.text.as_str()).collect::<Vec<_>>(), ["header.user-agent", "who"]);
    assert!(matches!(&list[21].kind, StatementKind::When { statements, .. } if statements.len() == 2));
    let StatementKind::Request(set) = &list[22].kind else { panic!() };
    assert!(set.len() == 6 && set[0].when.is_some() && set[2].value.is_none());
    let StatementKind::Response(set) = &list[23].kind else { panic!() };
    assert_eq!(set[2].place.value, Place::Header("odd.name".into()));
}

#[test]
fn a_damaged_declaration_keeps_its_name() {
    let (program, list) = read(
        "upstream a { sever http://x }\nupstream b localhost:1\nauth c = jwtt { }\nauth d = oidc { }\ntable e\npolicy f(x) { boo }\nlet g",
    );
    assert_eq!(list.len(), 8, "{list:#?}");
    assert!(program.upstreams.len() == 2 && program.upstreams.iter().all(|u| u.damaged));
    assert!(program.auths.len() == 2 && program.auths.iter().all(|a| a.damaged));
    assert_eq!((program.tables.len(), program.policies.len(), program.lets.len()), (1, 1, 1));
}
