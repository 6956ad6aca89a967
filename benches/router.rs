//! How long it takes to decide on a route, to build the router and to check the routes, with 100, 1,000 and 10,000 of
//! them: `cargo bench --bench router`.

use divan::{Bencher, black_box};
use gw::check::routes::{Methods, RouteFacts, RouteKey, check};
use gw::decide::path::normalise;
use gw::decide::route::{RouteHead, RouteOutcome, route};
use gw::diagnostic::Diagnostics;
use gw::model::ast::{HostHead, HostPattern, Name, ParamType, Pattern, Segment, TrailingSlash};
use gw::plan::router::Router;
use gw::source::{FileId, Span};
use http::Method;

const SIZES: [usize; 3] = [100, 1_000, 10_000];

fn main() {
    divan::main();
}

fn parameter(name: &str, ty: ParamType) -> Segment {
    let name = Name { text: name.into(), span: Span::default() };
    Segment::Param { name, ty, prefix: "".into(), suffix: "".into() }
}

/// Ten routes for each service: as APIs have them, a few of each kind. A last one takes everything else.
fn keys(count: usize) -> Vec<RouteKey> {
    let literal = |text: String| Segment::Literal(text.into());
    let mut keys: Vec<RouteKey> = (0..count - 1)
        .map(|n| {
            let service = literal(format!("service-{}", n / 10));
            let orders = || literal("orders".into());
            let (method, segments) = match n % 10 {
                0 => (Method::GET, vec![service, orders()]),
                1 => (Method::POST, vec![service, orders()]),
                2 => (Method::GET, vec![service, orders(), parameter("id", ParamType::Int)]),
                3 => (Method::PUT, vec![service, orders(), parameter("id", ParamType::Int)]),
                4 => (Method::GET, vec![service, orders(), literal("export".into())]),
                5 => (
                    Method::GET,
                    vec![
                        service,
                        orders(),
                        parameter("id", ParamType::Int),
                        literal("items".into()),
                        parameter("item", ParamType::String),
                    ],
                ),
                6 => (Method::GET, vec![service, literal("users".into()), parameter("name", ParamType::String)]),
                7 => (Method::DELETE, vec![service, literal("users".into()), parameter("name", ParamType::String)]),
                8 => (Method::GET, vec![service, literal("health".into())]),
                _ => (
                    Method::GET,
                    vec![
                        service,
                        literal("files".into()),
                        Segment::Rest(Name { text: "rest".into(), span: Span::default() }),
                    ],
                ),
            };
            key(Methods::of([method]), segments, n)
        })
        .collect();
    let rest = Segment::Rest(Name { text: "rest".into(), span: Span::default() });
    keys.push(key(Methods::any(), vec![rest], count));
    keys
}

fn key(methods: Methods, segments: Vec<Segment>, order: usize) -> RouteKey {
    let host = HostPattern { head: HostHead::Exact, suffix: "api.shop.example".into(), span: Span::default() };
    RouteKey {
        hosts: vec![host],
        methods,
        pattern: Pattern { segments, trailing_slash: false, span: Span::default() },
        has_when: false,
        order: order as u32,
        allow: Default::default(),
        trailing_slash: TrailingSlash::Strict,
    }
}

/// A thousand requests, spread over the services.
fn requests(count: usize) -> Vec<String> {
    (0..1_000)
        .map(|n| {
            let service = (n * 7_919) % (count / 10 - 1);
            match n % 5 {
                0 => format!("/service-{service}/orders"),
                1 => format!("/service-{service}/orders/{n}"),
                2 => format!("/service-{service}/orders/{n}/items/a-{n}"),
                3 => format!("/service-{service}/users/name-{n}"),
                _ => format!("/service-{service}/files/a/b/c-{n}.png"),
            }
        })
        .collect()
}

fn decide_on(router: &Router, path: &str) {
    let path = normalise(path).expect("a plain path");
    let head = RouteHead { method: &Method::GET, host: "api.shop.example", path: &path, query: None };
    let outcome = route(router, &head, |_, _| true, &mut ());
    assert!(matches!(black_box(outcome), RouteOutcome::Found { .. }));
}

/// One request, normalising included.
#[divan::bench(args = SIZES)]
fn decide(bencher: Bencher, count: usize) {
    let keys = keys(count);
    let router = Router::new(keys.iter().zip(0..).map(|(k, i)| (i, k)));
    let requests = requests(count);
    let mut next = requests.iter().cycle();
    bencher.bench_local(move || decide_on(&router, next.next().expect("a cycle")));
}

/// The router alone.
#[divan::bench(args = SIZES, sample_count = 10)]
fn build(bencher: Bencher, count: usize) {
    let keys = keys(count);
    bencher.bench_local(|| Router::new(keys.iter().zip(0..).map(|(k, i)| (i, k))));
}

/// Every route against every other.
#[divan::bench(args = SIZES, sample_count = 10)]
fn analyse(bencher: Bencher, count: usize) {
    let routes: Vec<RouteFacts> = keys(count)
        .into_iter()
        .enumerate()
        .map(|(n, key)| RouteFacts {
            key,
            span: Span::new(FileId(0), n, n + 1),
            name: format!("route-{n}"),
            block: 0,
            listeners: vec![0],
            anonymous: false,
            silenced: false,
            requires: Vec::new(),
            damaged: false,
            doubtful: false,
        })
        .collect();
    bencher.bench_local(|| {
        let mut diagnostics = Diagnostics::default();
        check(&routes, &mut diagnostics);
        assert_eq!(diagnostics.errors(), 0);
    });
}
