//! `upstream`.

use super::reader::{Reader, settings};
use super::{assign, health, limit, oauth, timeouts};
use crate::diagnostic::{Code, Diagnostic};
use crate::model::ast::{
    Balance, HostHeader, Server, Spanned, Statement, StatementKind, Upstream, UpstreamProtocol, UpstreamTls,
};
use crate::model::statements::Context;
use crate::syntax::tree::{Item, ItemKind};

/// `upstream NAME URL`, `upstream NAME {…}`, `upstream * {…}`.
pub(super) fn upstream(r: &mut Reader) -> Option<Upstream> {
    let name = match r.cursor.op("*") {
        Some(_) => None,
        None => Some(r.declared("an upstream")?),
    };
    let mut up = Upstream { name, docs: r.docs(), span: r.span(), ..Upstream::default() };
    match r.cursor.peek() {
        Some(Item { kind: ItemKind::Braces(_), .. }) => {}
        None => r.expected("a URL or a block"),
        Some(Item { kind: ItemKind::Op(op), .. }) if op == "=" => {
            r.expected_with(
                "a URL or a block",
                Some("an upstream is declared without `=`: `upstream NAME http://host:port`".to_owned()),
            );
        }
        Some(Item { kind: ItemKind::Name(word), .. }) if word == "echo" => {
            r.expected_with(
                "a URL or a block",
                Some("the built-in server stands in a block: `upstream NAME { echo }`".to_owned()),
            );
        }
        Some(_) => {
            let server = server(r);
            up.span = r.span();
            up.servers.push(server);
        }
    }
    if let Some(block) = r.cursor.braces() {
        up.damaged |= settings(block, Context::UPSTREAM, r.d, |r| setting(r, &mut up));
    }
    r.end();
    let servers = up.servers.iter().map(|s| s.span).chain(up.discovers.iter().map(|d| d.name.span)).chain(up.echo);
    if up.name.is_none()
        && let Some(span) = servers.min()
    {
        r.fail(
            Diagnostic::new(Code::E0202, span, "`upstream *` has no servers of its own")
                .label("not here")
                .help("it says what holds for every upstream: a server stands in an upstream with a name"),
        );
    }
    up.damaged |= r.failed;
    Some(up)
}

/// `URL [weight N] [backup]`.
fn server(r: &mut Reader) -> Server {
    let start = r.cursor.span();
    if let Some(Item { kind: ItemKind::Name(host), .. }) = r.cursor.peek()
        && host.contains([':', '.'])
    {
        r.expected_with("a URL", Some(format!("a URL has a scheme: `http://{host}`")));
    }
    let mut server =
        Server { url: r.expr("a URL, such as `http://localhost:3000`"), weight: None, backup: false, span: start };
    loop {
        if r.word("weight").is_some() && server.weight.is_none() {
            server.weight = Some(r.expr("a number"));
        } else if r.cursor.at_word("backup") && !server.backup {
            r.cursor.next();
            server.backup = true;
        } else {
            break;
        }
    }
    server.span = start.to(r.span());
    server
}

fn setting(r: &mut Reader, up: &mut Upstream) {
    match r.row.word {
        "server" => {
            let server = server(r);
            up.servers.push(server);
        }
        "discover" => up.discovers.extend(health::discover(r)),
        "health" => up.health = health::health(r),
        "eject" => up.eject = health::eject(r),
        "sticky" => up.sticky = health::sticky(r),
        "oauth" => up.oauth = oauth::oauth(r),
        "echo" => up.echo = Some(r.keyword),
        "balance" => up.balance = balance(r),
        "protocol" => {
            up.protocol = r.one_of(&[
                ("h1", UpstreamProtocol::H1),
                ("h2", UpstreamProtocol::H2),
                ("h2c", UpstreamProtocol::H2c),
                ("auto", UpstreamProtocol::Auto),
            ]);
        }
        "pool" => pairs(r, "max", "idle", &mut up.pool_max, &mut up.pool_idle),
        "timeout" => up.timeouts = timeouts::timeouts(r),
        "retry" => up.retry = Some(timeouts::retry(r)),
        "limit" => {
            let docs = r.docs();
            let (limit, report_only) = limit::limit(r);
            let when = r.when();
            up.limits.push(Statement { kind: StatementKind::Limit(limit), when, report_only, docs, span: r.span() });
        }
        "max" => {
            r.expect_word("requests");
            up.max_requests = Some(r.expr("a number"));
            up.max_pending = r.word("pending").map(|_| r.expr("a number"));
        }
        "tls" => {
            let span = r.keyword;
            if let Some(block) = r.block() {
                let mut tls = UpstreamTls { ca: None, identity: None, server_name: None, span };
                r.failed |= settings(block, Context::UPSTREAM_TLS, r.d, |r| match r.row.word {
                    "ca" => tls.ca = Some(r.file()),
                    "certificate" => {
                        let certificate = r.file();
                        r.expect_word("key");
                        tls.identity = Some((certificate, r.file()));
                    }
                    _ => tls.server_name = Some(r.expr("a name in quotes")),
                });
                up.tls = Some(tls);
            }
        }
        "host" => {
            let span = r.cursor.span();
            let value = match r.word("preserve") {
                Some(_) => HostHeader::Preserve,
                None => {
                    if let Some(Item { kind: ItemKind::Name(name), .. }) = r.cursor.peek()
                        && name.contains('.')
                    {
                        r.expected_with("`preserve` or a host in quotes", Some(format!("write `host \"{name}\"`")));
                    }
                    HostHeader::Fixed(r.expr("`preserve` or a host in quotes"))
                }
            };
            up.host = Some(Spanned { value, span });
        }
        _ => {
            if let Some(assignment) = assign::send(r) {
                up.send.push(assignment);
            }
        }
    }
}

fn balance(r: &mut Reader) -> Option<Spanned<Balance>> {
    #[derive(Clone, Copy)]
    enum Word {
        P2c,
        RoundRobin,
        Random,
        LeastRequests,
        Hash,
    }
    let word = r.one_of(&[
        ("p2c", Word::P2c),
        ("round-robin", Word::RoundRobin),
        ("random", Word::Random),
        ("least-requests", Word::LeastRequests),
        ("hash", Word::Hash),
    ])?;
    let value = match word.value {
        Word::P2c => Balance::P2c,
        Word::RoundRobin => Balance::RoundRobin,
        Word::Random => Balance::Random,
        Word::LeastRequests => Balance::LeastRequests,
        Word::Hash => Balance::Hash(r.expr("what is hashed, such as `client.ip`")),
    };
    Some(Spanned { value, span: word.span })
}

/// `A X B Y`, each at most once and at least one of them.
fn pairs(
    r: &mut Reader,
    a: &str,
    b: &str,
    first: &mut Option<crate::model::ast::Expr>,
    second: &mut Option<crate::model::ast::Expr>,
) {
    loop {
        if first.is_none() && r.word(a).is_some() {
            *first = Some(r.expr("a number"));
        } else if second.is_none() && r.word(b).is_some() {
            *second = Some(r.expr("a duration"));
        } else {
            if first.is_none() && second.is_none() {
                r.no_such_word(&[a, b]);
            }
            return;
        }
        if r.failed {
            return;
        }
    }
}
