//! How long a gateway takes to compile, and `decide` to decide: by number of routes.

use gw::decide::path::normalise;
use gw::decide::{BodyFailure, Head, Refusal, World, decide};
use gw::load::{self, MemoryFiles};
use gw::model::table::TableData;
use gw::plan::{AuthId, Plan, TableId};
use gw::policy::auth::Caller;
use gw::policy::limit::{Check, Verdict};
use http::{HeaderMap, Method};
use std::fmt::Write;
use std::path::Path;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Waker};

fn main() {
    divan::main();
}

const SIZES: [usize; 3] = [100, 1_000, 10_000];

/// `n` routes in apis of 20, some typed, some with a `when`, all with a `require`.
fn program(n: usize) -> String {
    let mut out =
        "listen http :8080\nupstream be http://127.0.0.1:9\nrequire client.ip not in 203.0.113.0/24\n".to_owned();
    for api in 0..n / 20 {
        let _ = writeln!(out, "api a{api} /svc{api} {{\n  host h{}.example", api % 10);
        for r in 0..10 {
            let _ =
                writeln!(out, "  route GET /items{r}/{{id: int}}/parts/{{part}} -> be at /internal/{{id}}/{{part}}");
            let _ = writeln!(out, "  route POST /items{r} when header.x-a == \"1\" -> be");
        }
        out += "}\n";
    }
    out
}

fn plan(n: usize) -> Plan {
    let checked =
        load::check(&MemoryFiles::default(), Path::new("gateway.gw"), program(n).into_bytes(), &Default::default());
    checked.plan.unwrap_or_else(|| panic!("{:?}", checked.diagnostics.first()))
}

#[divan::bench(args = SIZES, sample_count = 5)]
fn compile(bencher: divan::Bencher, n: usize) {
    let text = program(n);
    bencher.bench_local(|| {
        load::check(&MemoryFiles::default(), Path::new("gateway.gw"), text.clone().into_bytes(), &Default::default())
    });
}

#[divan::bench(args = SIZES, sample_size = 2000)]
fn decide_one(bencher: divan::Bencher, n: usize) {
    let plan = plan(n);
    let apis = n / 20;
    let paths: Vec<(String, String)> = (0..512)
        .map(|i| {
            let api = (i * 7919) % apis;
            (format!("h{}.example", api % 10), format!("/svc{api}/items{}/{}/parts/x{i}", i % 10, 1000 + i))
        })
        .collect();
    let headers = HeaderMap::new();
    let mut i = 0;
    bencher.bench_local(|| {
        i = (i + 1) % paths.len();
        let (host, path) = &paths[i];
        let normal = normalise(path).expect("a good path");
        let head = Head {
            method: &Method::GET,
            version: http::Version::HTTP_11,
            scheme: "http",
            host,
            authority: host,
            path: normal.as_str(),
            query: None,
            headers: &headers,
            client: [192, 0, 2, 1].into(),
            peer: [192, 0, 2, 1].into(),
            trusted: false,
            certificate: None,
            listener: 0,
            id: "0",
            time: jiff::Timestamp::UNIX_EPOCH,
            body_length: Some(0),
            upgrade: None,
        };
        let decided = pin!(decide(&plan, &head, Ok(&normal), &Nowhere, &()));
        let ready = decided.poll(&mut Context::from_waker(Waker::noop()));
        assert!(ready.is_ready());
        divan::black_box(matches!(ready, std::task::Poll::Ready(d) if d.cx.route.is_some()))
    });
}

struct Nowhere;

impl World for Nowhere {
    fn now(&self) -> jiff::Timestamp {
        jiff::Timestamp::UNIX_EPOCH
    }

    fn random(&self) -> u128 {
        0
    }

    fn instance(&self) -> &str {
        "bench"
    }

    fn table(&self, _: TableId) -> Arc<TableData> {
        Arc::default()
    }

    fn authenticate(&self, _: AuthId, _: &HeaderMap, _: Option<&str>) -> Result<Arc<Caller>, Refusal> {
        Err(Refusal::KeysUnavailable)
    }

    fn take<'a>(&'a self, _: &'a [Check<'a>]) -> impl Future<Output = Verdict> + 'a {
        std::future::ready(Verdict::default())
    }

    async fn token(&self, _: gw::plan::UpstreamId, _: std::time::Duration) -> Result<http::HeaderValue, String> {
        Ok(http::HeaderValue::from_static("Bearer <token of oauth>"))
    }

    async fn body(&self, _: u64) -> Result<bytes::Bytes, BodyFailure> {
        Ok(bytes::Bytes::new())
    }
}
