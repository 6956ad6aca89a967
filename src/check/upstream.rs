//! Upstreams: servers, settings, and what `upstream *` says for all.

use super::expr::{self, Env};
use super::{Compiler, names};
use crate::diagnostic::{Code, Diagnostic, nearest};
use crate::model::ast::{self, UpstreamRef};
use crate::model::facts::Phase;
use crate::model::types::Type;
use crate::model::value::Value;
use crate::plan::{Balance, HostHeader, RetryParts, Server, TimeoutParts, Upstream, UpstreamId, defaults};
use crate::source::Span;
use smol_str::{SmolStr, format_smolstr};

impl<'p> Compiler<'p> {
    pub(super) fn upstreams(&mut self) {
        let program = self.program;
        let all = program.upstream_defaults.first();
        for u in &program.upstreams {
            let mut upstream = self.upstream(u, all);
            let own: Vec<_> = u.send.iter().filter_map(|a| self.upstream_edit(a)).collect();
            upstream.send = upstream.send.into_iter().chain(own).collect();
            let own: Vec<_> =
                u.limits.iter().enumerate().filter_map(|(i, s)| self.upstream_limit(&upstream.name, i, s)).collect();
            upstream.limits = upstream.limits.into_iter().chain(own).collect();
            self.plan.upstreams.push(upstream);
        }
    }

    fn upstream(&mut self, u: &ast::Upstream, all: Option<&'p ast::Upstream>) -> Upstream {
        let name = u.name.as_ref().map(|n| n.text.clone()).unwrap_or_default();
        let mut known: Vec<(Server, Span)> =
            u.servers.iter().filter_map(|s| Some((self.server(s)?, s.url.span))).collect();
        known.extend(u.discovers.iter().filter_map(|d| Some((self.discovered(d)?, d.name.span))));
        let servers: Vec<Server> = known.iter().map(|(server, _)| server.clone()).collect();
        let first = u.servers.first().map(|s| s.span).or_else(|| u.discovers.first().map(|d| d.name.span));
        if let (Some(echo), Some(server)) = (u.echo, first) {
            self.d.push(
                Diagnostic::new(Code::E0701, server, format!("`{name}` is an `echo` and has a server too"))
                    .label("would never be asked")
                    .also(echo, "the built-in server answers everything")
                    .help("keep one of them"),
            );
        }
        if !u.damaged && u.echo.is_none() && first.is_none() {
            self.d.push(
                Diagnostic::new(Code::E0702, u.span, format!("the upstream `{name}` has no server"))
                    .label("nothing could answer")
                    .help("add `server http://host:port`, or `echo` to try things out"),
            );
        }
        if !servers.is_empty() && servers.iter().all(|s| s.backup) {
            self.d.push(
                Diagnostic::new(Code::E0702, u.span, format!("every server of `{name}` is a backup"))
                    .label("backups are asked only when no other server is usable")
                    .help("remove `backup` from one of them"),
            );
        }
        let pick =
            |f: fn(&ast::Upstream) -> &Option<ast::Expr>| f(u).as_ref().or_else(|| all.and_then(|a| f(a).as_ref()));
        let timeouts = self.timeout_parts(&u.timeouts);
        let outer = all.map(|a| self.timeout_parts(&a.timeouts)).unwrap_or_default();
        let defaults = TimeoutParts {
            total: None,
            connect: Some(defaults::CONNECT),
            response: Some(defaults::RESPONSE),
            idle: Some(defaults::IDLE),
            alone: false,
        };
        let retry = u.retry.as_ref().map(|r| self.retry_parts(r)).unwrap_or_default();
        let retry_all = all.and_then(|a| a.retry.as_ref()).map(|r| self.retry_parts(r)).unwrap_or_default();
        let balance = u.balance.as_ref().or_else(|| all.and_then(|a| a.balance.as_ref()));
        let host = u.host.as_ref().or_else(|| all.and_then(|a| a.host.as_ref()));
        let pool_max = pick(|u| &u.pool_max).and_then(|e| self.count(e, 1, "`pool max`"));
        let pool_idle = pick(|u| &u.pool_idle).and_then(|e| self.duration(e, "`pool idle`"));
        let max_requests = pick(|u| &u.max_requests).and_then(|e| self.count(e, 1, "`max requests`"));
        let max_pending = pick(|u| &u.max_pending).and_then(|e| self.count(e, 0, "`pending`"));
        let balance = self.balance(balance);
        let host = match host.map(|h| &h.value) {
            None => HostHeader::Server,
            Some(ast::HostHeader::Preserve) => HostHeader::Preserve,
            Some(ast::HostHeader::Fixed(e)) => self.text(e, "`host`").map_or(HostHeader::Server, HostHeader::Fixed),
        };
        let protocol = u.protocol.as_ref().or_else(|| all.and_then(|a| a.protocol.as_ref()));
        let protocol = self.protocol(protocol, &known);
        let tls = self.upstream_tls(u, all, &known, &host);
        let send = all.iter().flat_map(|a| &a.send).filter_map(|a| self.upstream_edit(a)).collect();
        let health = u.health.as_ref().or_else(|| all.and_then(|a| a.health.as_ref()));
        let health = health.and_then(|h| self.health(h));
        let eject = u.eject.as_ref().or_else(|| all.and_then(|a| a.eject.as_ref()));
        let eject = eject.and_then(|e| self.eject(e));
        let sticky = u.sticky.as_ref().or_else(|| all.and_then(|a| a.sticky.as_ref()));
        let sticky = sticky.and_then(|s| self.sticky(s));
        let oauth = u.oauth.as_ref().or_else(|| all.and_then(|a| a.oauth.as_ref()).filter(|_| u.echo.is_none()));
        let oauth = oauth.and_then(|o| self.oauth(o));
        self.without_servers(u);
        if !u.damaged {
            self.alone(u, &servers);
        }
        let default = format!("{name} by default");
        let limits = all.iter().flat_map(|a| &a.limits).enumerate();
        let limits = limits.filter_map(|(i, s)| self.upstream_limit(&default, i, s)).collect();
        Upstream {
            name,
            servers,
            echo: u.echo.is_some(),
            balance,
            pool_max: pool_max.map_or(defaults::POOL_MAX, |n| n as usize),
            pool_idle,
            protocol,
            timeouts: timeouts.or(outer).or(defaults),
            retry: retry.or(&retry_all),
            max_requests,
            max_pending,
            health,
            eject,
            sticky,
            oauth,
            limits,
            tls,
            host,
            send,
            docs: u.docs.clone(),
            origin: self.origin(u.span),
        }
    }

    fn balance(&mut self, balance: Option<&ast::Spanned<ast::Balance>>) -> Balance {
        match balance.map(|b| &b.value) {
            None | Some(ast::Balance::P2c) => Balance::P2c,
            Some(ast::Balance::RoundRobin) => Balance::RoundRobin,
            Some(ast::Balance::Random) => Balance::Random,
            Some(ast::Balance::LeastRequests) => Balance::LeastRequests,
            Some(ast::Balance::Hash(e)) => {
                let env = Env { phase: Phase::Request, ..Env::constant(&self.globals, "the key of `balance hash`") };
                let typed = expr::check(e, None, &env, self.d);
                Balance::Hash(typed.ir)
            }
        }
    }

    fn server(&mut self, s: &ast::Server) -> Option<Server> {
        let typed = self.outside(&s.url, &Type::Url, "a server");
        let value = typed.constant.or_else(|| match &s.url.kind {
            ast::ExprKind::Name(n) if typed.ty == Type::Url => names::placeholder(n, &Type::Url),
            _ => None,
        });
        let Some(Value::Str(url)) = value else { return None };
        let weight = s.weight.as_ref().and_then(|e| self.count(e, 1, "a weight")).unwrap_or(1);
        match parse_server(&url) {
            Ok(server) => {
                Some(Server { weight: u32::try_from(weight).unwrap_or(u32::MAX), backup: s.backup, ..server })
            }
            Err(why) => {
                self.d.push(
                    Diagnostic::new(Code::E0703, s.url.span, format!("a server's URL {}", why.0))
                        .label("not a server")
                        .help(why.1),
                );
                None
            }
        }
    }

    /// The upstream that a target names; a URL makes one of its own.
    pub(super) fn upstream_ref(&mut self, r: &UpstreamRef) -> Option<UpstreamId> {
        match r {
            UpstreamRef::Name(n) => {
                if let Some(i) = self.plan.upstreams.iter().position(|u| u.name == n.text) {
                    return Some(UpstreamId(i as u32));
                }
                let declared = self.program.upstreams.iter().filter_map(|u| u.name.as_ref());
                let near = nearest(&n.text, declared.clone().map(|n| n.text.as_str()));
                let help = match near.and_then(|near| declared.clone().find(|d| d.text == near)) {
                    Some(near) => {
                        let (file, at) = self.sources.place(near.span);
                        format!("there is one called `{}` ({file}:{})", near.text, at.line)
                    }
                    None if self.program.inputs.iter().any(|i| i.name.text == n.text) => {
                        format!("`{0}` is an input: declare `upstream NAME {{ server {0} }}`, and send to NAME", n.text)
                    }
                    None => format!("declare it: `upstream {} http://host:port`", n.text),
                };
                self.d.push(
                    Diagnostic::new(Code::E0312, n.span, format!("no upstream is called `{}`", n.text))
                        .label("not declared in this program")
                        .help(help),
                );
                None
            }
            UpstreamRef::Url(e) => {
                let server = ast::Server { url: e.clone(), weight: None, backup: false, span: e.span };
                let name = SmolStr::new(self.sources.text(e.span));
                if let Some(i) = self.plan.upstreams.iter().position(|u| u.name == name) {
                    return Some(UpstreamId(i as u32));
                }
                let written = ast::Upstream {
                    name: Some(ast::Name { text: name, span: e.span }),
                    servers: vec![server],
                    span: e.span,
                    ..Default::default()
                };
                let before = self.d.errors();
                let upstream = self.upstream(&written, self.program.upstream_defaults.first());
                if self.d.errors() > before {
                    return None;
                }
                self.plan.upstreams.push(upstream);
                Some(UpstreamId(self.plan.upstreams.len() as u32 - 1))
            }
        }
    }

    pub(super) fn timeout_parts(&mut self, t: &ast::Timeouts) -> TimeoutParts {
        TimeoutParts {
            total: t.total.as_ref().and_then(|e| self.duration(e, "`timeout total`")),
            connect: t.connect.as_ref().and_then(|e| self.duration(e, "`timeout connect`")),
            response: t.response.as_ref().and_then(|e| self.duration(e, "`timeout response`")),
            idle: t.idle.as_ref().and_then(|e| self.duration(e, "`timeout idle`")),
            alone: false,
        }
    }

    pub(super) fn retry_parts(&mut self, r: &ast::Retry) -> RetryParts {
        if r.none {
            return RetryParts { count: Some(0), ..Default::default() };
        }
        let backoff = r.backoff.as_ref().and_then(|(from, to)| {
            let (a, b) = (self.duration(from, "`backoff`")?, self.duration(to, "`backoff`")?);
            if b < a {
                let span: Span = from.span.to(to.span);
                self.d.push(
                    Diagnostic::new(Code::E0602, span, "the longest pause is shorter than the shortest")
                        .label("must be SHORTEST..LONGEST"),
                );
            }
            Some((a, b))
        });
        for on in &r.on {
            let fine = match on.value {
                ast::RetryOn::Status(status) => status < 400,
                ast::RetryOn::Class(class) => class < 4,
                ast::RetryOn::Connect | ast::RetryOn::Reset | ast::RetryOn::Timeout => false,
            };
            if fine {
                self.d.push(
                    Diagnostic::new(Code::E0602, on.span, "an answer below 400 is no failure")
                        .label("would be asked for again")
                        .help("retry on what may be better the next time: `connect`, `timeout`, `503`"),
                );
            }
        }
        RetryParts {
            count: r.count.as_ref().and_then(|e| self.count(e, 0, "the number of retries")).map(|n| n as u32),
            on: (!r.on.is_empty()).then(|| r.on.iter().map(|s| s.value).collect()),
            budget: r.budget.as_ref().and_then(|e| self.percent(e, "a retry budget")),
            backoff,
        }
    }
}

/// Reads `http[s]://host[:port][/prefix]`; the error says what is wrong and what to do.
pub(super) fn parse_server(url: &str) -> Result<Server, (&'static str, String)> {
    let (tls, rest) = match url.split_once("://") {
        Some(("http", rest)) => (false, rest),
        Some(("https", rest)) => (true, rest),
        Some((scheme, _)) => {
            return Err(("must begin with http:// or https://", format!("`{scheme}` is not spoken to upstreams")));
        }
        None => return Err(("must begin with http:// or https://", format!("write http://{url}"))),
    };
    if rest.contains(['?', '#']) {
        return Err(("has no query", "a query belongs to the target: `-> name at /path?a=b`".into()));
    }
    let (authority, path) = rest.find('/').map_or((rest, ""), |i| rest.split_at(i));
    if authority.contains('@') {
        return Err((
            "must not hold credentials",
            "send them with `send header.authorization = …` from a secret input".into(),
        ));
    }
    let parsed: http::uri::Authority =
        authority.parse().map_err(|_| ("has no valid host", "write http://host:port, or http://[::1]:port".into()))?;
    let host = SmolStr::new(parsed.host().trim_start_matches('[').trim_end_matches(']').to_ascii_lowercase());
    if host.is_empty() {
        return Err(("has no host", "write http://host:port".into()));
    }
    let default = if tls { 443 } else { 80 };
    let port = match parsed.port() {
        Some(p) => p.as_str().parse().map_err(|_| ("has an impossible port", "ports are 1 to 65535".into()))?,
        None if authority.ends_with(':') => {
            return Err(("has an empty port", "write the port, or leave the colon out".into()));
        }
        None if authority.len() > parsed.host().len() => {
            return Err(("has an impossible port", "ports are 1 to 65535".into()));
        }
        None => default,
    };
    if port == 0 {
        return Err(("has port 0", "ports are 1 to 65535".into()));
    }
    let shown = if host.contains(':') { format_smolstr!("[{host}]") } else { host.clone() };
    let authority = if port == default { shown } else { format_smolstr!("{shown}:{port}") };
    Ok(Server {
        tls,
        host,
        port,
        authority,
        prefix: SmolStr::new(path.trim_end_matches('/')),
        weight: 1,
        backup: false,
        srv: false,
    })
}
