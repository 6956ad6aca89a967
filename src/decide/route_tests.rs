use super::*;
use crate::check::routes::testing::keys;
use crate::decide::path::normalise;
use crate::plan::router::nearest;

/// Every candidate in the order asked, as `id verdict`.
#[derive(Default)]
pub(super) struct Heard(Vec<String>);

impl RouteTrace for Heard {
    const ON: bool = true;
    fn candidate(&mut self, route: u32, verdict: Verdict<'_>) {
        self.0.push(match verdict {
            Verdict::Chosen => format!("{route} chosen"),
            Verdict::PassedOver(reason) => format!("{route} {reason}"),
            Verdict::NotAsked => format!("{route} not asked"),
        });
    }
}

/// The outcome in a word or two; `holds` says which `when`s hold.
pub(super) fn outcome(router: &Router, request: &str, holds: bool, trace: &mut impl RouteTrace) -> String {
    let (method, url) = request.split_once(' ').unwrap();
    let (host, target) = url.find('/').map_or((url, ""), |at| url.split_at(at));
    let (path, query) = target.split_once('?').map_or((target, None), |(p, q)| (p, Some(q)));
    let method = Method::from_bytes(method.as_bytes()).unwrap();
    let path = match normalise(if url == "*" { "*" } else { path }) {
        Ok(path) => path,
        Err(error) => return format!("400 {error:?}"),
    };
    let head = RouteHead { method: &method, host, path: &path, query };
    match route(router, &head, |_, _| holds, trace) {
        RouteOutcome::Found { route, captures } => {
            let shown: Vec<_> = captures.iter().map(|(name, value)| format!(" {name}={value}")).collect();
            format!("{route}{}", shown.concat())
        }
        RouteOutcome::MethodNotAllowed { allow } => format!("405 {allow}"),
        RouteOutcome::NotFound => "404".into(),
        RouteOutcome::BadPath(error) => format!("400 {error:?}"),
        RouteOutcome::RedirectSlash { location, .. } => format!("308 {location}"),
        RouteOutcome::Options { allow } => format!("204 {allow}"),
    }
}

fn router(routes: &[&str]) -> Router {
    Router::new(keys(routes).iter().zip(0..).map(|(k, i)| (i, k)))
}

/// Requests with what becomes of them, where no `when` holds and where every does.
fn check(routes: &[&str], requests: &[(&str, &str)]) {
    let router = router(routes);
    for (request, expected) in requests {
        let (request, holds) = match request.strip_prefix("when ") {
            Some(request) => (request, true),
            None => (*request, false),
        };
        assert_eq!(outcome(&router, request, holds, &mut ()), *expected, "{request} among {routes:#?}");
        assert_eq!(
            outcome(&router, request, holds, &mut Heard::default()),
            *expected,
            "{request}: a trace changes nothing"
        );
    }
}

/// Who is asked, in which order.
fn asked(routes: &[&str], request: &str, expected: &[&str]) {
    let mut heard = Heard::default();
    outcome(&router(routes), request, false, &mut heard);
    assert_eq!(heard.0, expected, "{request} among {routes:#?}");
}

#[test]
fn literals_before_affixed_before_typed_before_plain_before_rest() {
    let routes = ["GET /{rest...}", "GET /{name}", "GET /{id: int}", "GET /a{x}", "GET /a1"];
    check(
        &routes,
        &[
            ("GET x/a1", "4"),
            ("GET x/a2", "3 x=2"),
            ("GET x/12", "2 id=12"),
            ("GET x/b", "1 name=b"),
            ("GET x/b/c", "0 rest=b/c"),
            ("GET x/", "0 rest="),
        ],
    );
    asked(&routes, "GET x/a1", &["4 chosen", "3 not asked", "2 not asked", "1 not asked", "0 not asked"]);
    asked(&routes, "GET x/b", &["2 `id` is not an int: \"b\"", "1 chosen", "0 not asked"]);
}

#[test]
fn the_first_segment_decides_before_the_second() {
    let routes = ["GET /{a}/b", "GET /a/{b}", "GET /a/{rest...}", "GET /{a: int}/{b}", "GET /{rest...}"];
    check(
        &routes,
        &[
            ("GET x/a/b", "1 b=b"),
            ("GET x/z/b", "0 a=z"),
            ("GET x/a/b/c", "2 rest=b/c"),
            ("GET x/1/b", "3 a=1 b=b"),
            ("GET x/z/c", "4 rest=z/c"),
        ],
    );
    asked(&routes, "GET x/a/b", &["1 chosen", "2 not asked", "3 not asked", "0 not asked", "4 not asked"]);
    // A `{rest...}` below a literal goes before a parameter with a literal behind it.
    asked(&["GET /{a}/b/c", "GET /a/{rest...}"], "GET x/a/b/c", &["1 chosen", "0 not asked"]);
}

#[test]
fn the_end_goes_before_an_empty_rest() {
    check(
        &["GET /a/{rest...}", "GET /a", "GET /a/"],
        &[("GET x/a", "1"), ("GET x/a/", "2"), ("GET x/a/b", "0 rest=b"), ("GET x/ab", "404")],
    );
    check(
        &["GET /admin/{rest...}"],
        &[("GET x/admin", "0 rest="), ("GET x/admin/", "0 rest="), ("GET x/administrator", "404")],
    );
}

#[test]
fn narrower_parameters_go_first() {
    let routes = [
        "GET /{a: int}",
        "GET /{b: uint}",
        "GET /{c: [0-9]+}",
        "GET /r{d}",
        "GET /re{e}",
        "GET /re{f: int}",
        "GET /{g}.csv",
    ];
    check(
        &routes,
        &[
            ("GET x/5", "1 b=5"),
            ("GET x/-5", "0 a=-5"),
            ("GET x/05", "2 c=05"),
            ("GET x/rx", "3 d=x"),
            ("GET x/rex", "4 e=x"),
            ("GET x/re1", "5 f=1"),
            ("GET x/rex.csv", "6 g=rex"),
        ],
    );
}

#[test]
fn the_method_comes_after_the_pattern() {
    let routes = ["ANY /a", "GET /a", "POST /{x}", "DELETE,PURGE /{rest...}"];
    check(
        &routes,
        &[
            ("GET x/a", "1"),
            ("HEAD x/a", "1"),
            ("POST x/a", "0"),
            ("POST x/b", "2 x=b"),
            ("PURGE x/b", "3 rest=b"),
            ("PATCH x/b", "405 POST, DELETE, OPTIONS, PURGE"),
            ("OPTIONS x/a", "0"),
            ("OPTIONS x/b", "204 POST, DELETE, OPTIONS, PURGE"),
        ],
    );
    asked(&routes, "DELETE x/b", &["2 method DELETE is not POST", "3 chosen"]);
}

#[test]
fn get_serves_head_unless_a_route_says_head() {
    check(&["GET /a"], &[("HEAD x/a", "0"), ("POST x/a", "405 GET, HEAD, OPTIONS")]);
    check(&["GET /a", "HEAD /a"], &[("HEAD x/a", "1"), ("GET x/a", "0")]);
    check(&["HEAD /a"], &[("GET x/a", "405 HEAD, OPTIONS")]);
}

#[test]
fn with_when_before_without_and_several_as_written() {
    let routes = ["GET /a", "GET /a when", "GET /a when", "ANY /a when"];
    check(&routes, &[("when GET x/a", "1"), ("GET x/a", "0"), ("when POST x/a", "3"), ("POST x/a", "404")]);
    asked(&routes, "GET x/a", &["1 `when` does not hold", "2 `when` does not hold", "0 chosen", "3 not asked"]);
}

#[test]
fn a_when_that_does_not_hold_is_no_405() {
    check(
        &["GET /a when", "POST /a"],
        &[
            ("GET x/a", "404"),
            ("DELETE x/a", "405 GET, HEAD, POST, OPTIONS"),
            ("OPTIONS x/a", "204 GET, HEAD, POST, OPTIONS"),
        ],
    );
}

#[test]
fn the_most_specific_host_decides_alone() {
    let routes = [
        "GET /{rest...}",
        "GET api.x.example/a",
        "GET {t}.x.example/a/{id}",
        "GET *.x.example/{rest...}",
        "GET *.deep.x.example/b",
    ];
    check(
        &routes,
        &[
            ("GET api.x.example/a", "1"),
            ("GET API.X.example.:8443/a", "1"),
            // Its own routes do not have it; those without a host do, those of wider hosts do not.
            ("GET api.x.example/b", "0 rest=b"),
            ("GET shop.x.example/a/7", "2 t=shop id=7"),
            ("GET Shop.x.example/a/7", "2 t=shop id=7"),
            ("GET shop.x.example/b", "0 rest=b"),
            ("GET a.b.x.example/b", "3 rest=b"),
            ("GET a.deep.x.example/b", "4"),
            ("GET a.deep.x.example/c", "0 rest=c"),
            ("GET other/c", "0 rest=c"),
        ],
    );
    asked(&["GET /a", "GET h/{rest...}"], "GET h/a", &["1 chosen", "0 not asked"]);
}

#[test]
fn a_path_with_no_method_is_405_across_the_hosts_routes_and_those_without() {
    check(
        &["GET h/a", "POST /a"],
        &[("DELETE h/a", "405 GET, HEAD, POST, OPTIONS"), ("DELETE other/a", "405 POST, OPTIONS"), ("GET h/b", "404")],
    );
    check(&["GET /{id: int}"], &[("POST x/1", "405 GET, HEAD, OPTIONS"), ("POST x/a", "404")]);
}

#[test]
fn options_of_the_server_lists_everything() {
    check(&["GET /a", "PURGE h/b"], &[("OPTIONS *", "204 GET, HEAD, OPTIONS, PURGE"), ("GET *", "400 NotAbsolute")]);
    check(&[], &[("OPTIONS *", "204 OPTIONS"), ("GET x/", "404"), ("OPTIONS x/", "404")]);
    check(&["ANY /a"], &[("OPTIONS *", "204 GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS")]);
}

#[test]
fn slashes_at_the_end_differ_unless_the_api_says_otherwise() {
    check(&["GET /a"], &[("GET x/a/", "404")]);
    check(
        &["GET /a redirect", "GET /b/{id: int}/ redirect", "POST /a"],
        &[
            ("GET x/a/?q=1", "308 /a?q=1"),
            ("GET x/b/1", "308 /b/1/"),
            ("GET x/b/x", "404"),
            ("POST x/a/", "404"),
            ("DELETE x/a", "405 GET, HEAD, POST, OPTIONS"),
        ],
    );
    check(
        &["GET /a ignore", "GET /b/ ignore", "GET /{x}/ ignore"],
        &[("GET x/a/", "0"), ("GET x/b", "1"), ("GET x/c", "2 x=c")],
    );
    // The declared form goes before the other one.
    check(&["GET /a ignore", "GET /a/"], &[("GET x/a/", "1"), ("GET x/a", "0")]);
    // Redirecting happens only where nothing fits.
    check(&["GET /a redirect", "GET /{rest...}"], &[("GET x/a/", "1 rest=a/")]);
    check(&["GET /{rest...} redirect", "GET / redirect"], &[("GET x/", "1"), ("GET x/a/", "0 rest=a/")]);
    check(&["GET /a redirect when"], &[("GET x/a/", "404"), ("when GET x/a/", "308 /a")]);
}

#[test]
fn the_first_that_fits_decides_about_odd_paths() {
    let semicolon = "400 NotAllowed(Semicolon)";
    check(
        &["GET /a/{id}", "GET /a/{id}/b allow=semicolon", "GET /{rest...} allow=semicolon"],
        &[
            // The route of the api that allows it is not a way around the one that does not.
            ("GET x/a/1;v=2", semicolon),
            ("GET x/a/1%3Bv=2", semicolon),
            ("GET x/a/1;v=2/b", "1 id=1;v=2"),
            ("GET x/z;1", "2 rest=z;1"),
            ("POST x/z;1", semicolon),
        ],
    );
    check(&["GET /{id}"], &[("GET x/a%2Fb", "400 NotAllowed(EncodedSlash)")]);
    check(&["GET /{id} allow=encoded-slash"], &[("GET x/a%2fb", "0 id=a/b"), ("GET x/..%2fb", "400 HiddenDots")]);
    check(
        &["GET /a/{rest...} allow=empty-segments"],
        &[("GET x/a//b", "0 rest=/b"), ("GET x//a", "400 NotAllowed(EmptySegments)")],
    );
    // No parameter takes an empty segment.
    check(&["GET /a/{x}/b allow=empty-segments"], &[("GET x/a//b", "400 NotAllowed(EmptySegments)")]);
}

#[test]
fn parameters_are_decoded() {
    check(
        &["GET /u/{name}/{rest...}", "GET /r-{day: date}.csv", "GET /w/{w: caf[é]+}"],
        &[
            ("GET x/u/a%20b/c%3Fd/e", "0 name=a b rest=c?d/e"),
            ("GET x/u/%41/", "0 name=A rest="),
            ("GET x/r-2024-02-29.csv", "1 day=2024-02-29"),
            ("GET x/r-2023-02-29.csv", "404"),
            ("GET x/w/caf%c3%a9", "2 w=café"),
            ("GET x/w/cafe", "404"),
        ],
    );
}

#[test]
fn the_raw_rest_keeps_admin_and_admin_slash_apart() {
    let router = router(&["GET /admin/{rest...}"]);
    for (raw, expected) in [("/admin", ""), ("/admin/", "/"), ("/admin/a%20b/", "/a%20b/")] {
        let path = normalise(raw).unwrap();
        let head = RouteHead { method: &Method::GET, host: "x", path: &path, query: None };
        match route(&router, &head, |_, _| true, &mut ()) {
            RouteOutcome::Found { captures, .. } => assert_eq!(captures.raw(0), Some(expected)),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn when_sees_the_parameters_and_is_asked_once() {
    let router = router(&["GET /{id: int} when", "GET /{id} when"]);
    let path = normalise("/7").unwrap();
    let head = RouteHead { method: &Method::GET, host: "x", path: &path, query: None };
    let mut seen = Vec::new();
    let outcome = route(
        &router,
        &head,
        |route, c| {
            seen.push((route, c.get(0).unwrap().into_owned()));
            false
        },
        &mut (),
    );
    assert!(matches!(outcome, RouteOutcome::NotFound));
    assert_eq!(seen, [(0, "7".to_owned()), (1, "7".to_owned())]);
}

#[test]
fn many_parameters_and_long_paths() {
    let pattern: String = (0..20).map(|i| format!("/{{p{i}}}")).collect();
    let path: String = (0..20).map(|i| format!("/v{i}")).collect();
    let shown: String = (0..20).map(|i| format!(" p{i}=v{i}")).collect();
    check(&[&format!("GET {pattern}")], &[(&format!("GET x{path}"), &format!("0{shown}"))]);
}

#[test]
fn the_nearest_routes_say_what_they_would_have_needed() {
    let routes = [
        "GET /orders",
        "GET /orders/{id: int}",
        "POST /orders/{id}/items",
        "GET api.example/users",
        "GET /x/{rest...}",
        "GET /d/ ",
    ];
    let router = router(&routes);
    let near = |method: Method, host: &str, path: &str| -> Vec<String> {
        nearest(&router, host, &method, path, None).into_iter().map(|n| format!("{} {}", n.route, n.reason)).collect()
    };
    assert_eq!(near(Method::GET, "h", "/orders/")[0], "0 the path has a slash at its end");
    assert_eq!(near(Method::GET, "h", "/d")[0], "5 the path lacks the slash at its end");
    assert_eq!(near(Method::GET, "h", "/ordres")[0], "0 the path has `ordres` where the route has `orders`");
    assert_eq!(near(Method::GET, "h", "/orders/abc")[0], "1 `id` is not an int: \"abc\"");
    assert_eq!(near(Method::DELETE, "h", "/orders")[0], "0 the method is GET, not DELETE");
    assert_eq!(near(Method::GET, "h", "/users")[0], "3 the host is `api.example`, not `h`");
    assert_eq!(near(Method::POST, "h", "/orders/1")[0], "1 the method is GET, not POST");
    assert!(near(Method::POST, "h", "/orders/1").contains(&"2 the path lacks a segment `/items`".to_owned()));
    assert_eq!(near(Method::GET, "h", "/nothing/like/it"), Vec::<String>::new());
}
