//! The compiled gateway: immutable and complete. Nothing after it looks at text, resolves a name or checks a type.
//!
//! Everything refers to everything else by index: [`RouteId`], [`UpstreamId`], [`AuthId`], [`LimitId`], [`TableId`].

mod acme;
mod oauth;
pub mod router;

use crate::model::ast::{
    CredentialPlace, ForwardField, RetryOn, StatusMatch, TlsVersion, TrailingSlash, UpstreamProtocol,
};
use crate::model::ir::Ir;
use crate::model::types::Type;
use crate::model::value::Rate;
pub use acme::{Acme, Issuer};
use http::{HeaderName, Method};
use ipnet::IpNet;
pub use oauth::Oauth;
use router::Router;
use smol_str::SmolStr;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub u32);

        impl $name {
            /// As an index.
            pub fn index(self) -> usize {
                self.0 as usize
            }
        }
    )*};
}

ids! {
    /// A route of the plan.
    RouteId
    /// An upstream of the plan.
    UpstreamId
    /// An auth of the plan.
    AuthId
    /// A limit of the plan.
    LimitId
    /// A table of the plan.
    TableId
    /// A listener of the plan.
    ListenerId
}

/// The compiled gateway.
#[derive(Debug)]
pub struct Plan {
    /// Where it listens.
    pub listeners: Vec<Listener>,
    /// The routers that listeners refer to; listeners with the same routes share one.
    pub routers: Vec<Router>,
    /// Whose word on the client's address counts.
    pub trust: Option<Trust>,
    /// Every route, in source order.
    pub routes: Vec<Route>,
    /// Every upstream, declared and by URL.
    pub upstreams: Vec<Upstream>,
    /// Every auth.
    pub auths: Vec<Auth>,
    /// Every limit.
    pub limits: Vec<Limit>,
    /// Every table.
    pub tables: Vec<Table>,
    /// What holds for requests that met no route.
    pub unrouted: Outbound,
    /// Every file that went into it, as shown; [`Origin::file`] is an index.
    pub files: Vec<SmolStr>,
    /// Every file on disk that went into it or is read by it (programs, keys, tables, bodies): what a reload watches.
    pub watched: Vec<PathBuf>,
    /// What the inputs of type `secret` are bound to: what shows requests leaves it out.
    pub secrets: Vec<crate::model::value::Secret>,
}

/// Which line of the program said it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origin {
    /// Index into [`Plan::files`].
    pub file: u16,
    /// The line, from 1.
    pub line: u32,
    /// The statement as written, on one line.
    pub text: SmolStr,
}

/// A listener.
#[derive(Debug, Clone)]
pub struct Listener {
    /// Its name, or its address.
    pub name: SmolStr,
    /// Where it binds.
    pub address: SocketAddr,
    /// Everything is redirected to https at this port.
    pub redirect_https: Option<u16>,
    /// Its router, an index into [`Plan::routers`].
    pub router: usize,
    /// Most connections at once.
    pub max_connections: Option<usize>,
    /// Which versions of HTTP it speaks.
    pub protocols: Protocols,
    /// Most bytes of a request head.
    pub header_max: usize,
    /// From the first byte of a request (or the accept) to the end of its head.
    pub timeout_header: Duration,
    /// A connection without a request.
    pub timeout_idle: Duration,
    /// What TLS is spoken with; none for `http`.
    pub tls: Option<Tls>,
    /// The PROXY protocol's header comes before everything else.
    pub proxy_protocol: bool,
    /// `acme {…}`.
    pub acme: Option<Acme>,
    /// Where it is declared.
    pub origin: Origin,
}

/// The versions of HTTP that a listener speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Protocols {
    /// HTTP/1.1.
    pub h1: bool,
    /// HTTP/2: chosen by ALPN where there is TLS, by its preface where there is none.
    pub h2: bool,
}

impl Listener {
    /// `http` or `https`.
    pub fn scheme(&self) -> &'static str {
        if self.tls.is_some() { "https" } else { "http" }
    }
}

/// What a listener speaks TLS with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tls {
    /// Its certificates; the first is the default.
    pub certificates: Vec<CertificateFiles>,
    /// The oldest version.
    pub min: TlsVersion,
    /// `client-certificates`.
    pub clients: Option<ClientCertificates>,
}

impl Tls {
    /// Every file that it is read from.
    pub fn files(&self) -> impl Iterator<Item = &PathBuf> {
        let pairs = self.certificates.iter().flat_map(|pair| [&pair.certificate, &pair.key]);
        pairs.chain(self.clients.iter().map(|clients| &clients.ca))
    }
}

/// A certificate and its key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateFiles {
    /// The chain, in PEM.
    pub certificate: PathBuf,
    /// The key, in PEM.
    pub key: PathBuf,
    /// Where it is named.
    pub origin: Origin,
}

/// Whose certificates clients show.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientCertificates {
    /// Those without one are turned away.
    pub required: bool,
    /// Who signs for them, in PEM.
    pub ca: PathBuf,
    /// Where it is said.
    pub origin: Origin,
}

/// `trust proxies`.
#[derive(Debug, Clone)]
pub struct Trust {
    /// Whom.
    pub proxies: Vec<IpNet>,
    /// In which field.
    pub using: ForwardField,
    /// Where it is declared.
    pub origin: Origin,
}

/// A route with everything that happens to a request that meets it. What every request reads stands first, in few lines of the
/// cache: among ten thousand routes each costs a walk to memory.
#[derive(Debug)]
#[repr(C, align(64))]
pub struct Route {
    /// What happens before the target, in the order of phases. Routes that only inherit it share it.
    pub inbound: Arc<Inbound>,
    /// What happens to the answer. Routes that only inherit it share it.
    pub outbound: Arc<Outbound>,
    /// Where it goes.
    pub target: Target,
    /// `when`.
    pub when: Option<Guard>,
    /// `api.name`, `name`, or `METHOD PATTERN`.
    pub name: SmolStr,
    /// The api it stands in.
    pub api: Option<SmolStr>,
    /// Its hosts as written; empty for every host.
    pub hosts: Vec<SmolStr>,
    /// Its methods; empty for `ANY`.
    pub methods: Vec<Method>,
    /// Its whole pattern.
    pub pattern: SmolStr,
    /// How a trailing slash is taken.
    pub trailing_slash: TrailingSlash,
    /// Its parameters by slot: host parameter first, then those of the path.
    pub params: Box<[(SmolStr, Type)]>,
    /// Its documentation.
    pub docs: SmolStr,
    /// Where it is declared.
    pub origin: Origin,
    /// The target as written.
    pub target_text: SmolStr,
}

/// A condition: `when EXPR`.
#[derive(Debug, Clone)]
pub struct Guard {
    /// The condition.
    pub condition: Ir,
    /// Where.
    pub origin: Origin,
}

/// A compiled statement.
#[derive(Debug, Clone)]
pub struct Step<T> {
    /// What it does.
    pub what: T,
    /// The `when`s around it, outermost first: all must hold. Empty for most.
    pub guards: Box<[Guard]>,
    /// `report-only`: records and does not refuse.
    pub report_only: bool,
    /// Which line says so.
    pub origin: Origin,
}

/// Phases 1 to 8 of a route. Empty parts cost nothing.
///
/// Lists of what "nearest wins" are innermost first: the first whose guards hold counts.
#[derive(Debug, Default)]
pub struct Inbound {
    /// `cors`; `None` inside is `cors none`.
    pub cors: Box<[Step<Option<Arc<crate::policy::cors::Cors>>>]>,
    /// `body max` in bytes.
    pub body_max: Box<[Step<u64>]>,
    /// `accepts`: media types; empty is `accepts none`.
    pub accepts: Box<[Step<Box<[SmolStr]>>]>,
    /// `require`s over client and request facts.
    pub edge_requires: Box<[Step<Require>]>,
    /// `limit`s over client facts.
    pub edge_limits: Box<[Step<LimitUse>]>,
    /// `auth`.
    pub auth: Option<Step<AuthUse>>,
    /// `require`s that read the caller.
    pub requires: Box<[Step<Require>]>,
    /// `limit`s.
    pub limits: Box<[Step<LimitUse>]>,
    /// Buffer the body, because of this line reads or writes it.
    pub buffer_body: Option<Origin>,
    /// `require`s that read the body.
    pub body_requires: Box<[Step<Require>]>,
    /// `request {…}`: all apply, in order.
    pub edits: Box<[Step<Edit>]>,
    /// `timeout`s of the route and around it that stand under a `when`; none is the common case.
    pub timeouts: Box<[Step<TimeoutParts>]>,
    /// `retry`s of the route and around it.
    pub retries: Box<[Step<RetryParts>]>,
    /// `mirror`s: all apply.
    pub mirrors: Box<[Step<Mirror>]>,
}

/// Phases 9 and 10.
#[derive(Debug, Default)]
pub struct Outbound {
    /// `response {…}`: all apply, in order.
    pub edits: Box<[Step<Edit>]>,
    /// `on upstream`, inner first: the first that matches.
    pub on_upstream: Box<[Step<OnUpstream>]>,
    /// `on error`, inner first: the first that matches.
    pub on_error: Box<[Step<OnError>]>,
    /// `tag`.
    pub tags: Box<[Step<(SmolStr, Ir)>]>,
    /// `log`; `None` inside is `log none`.
    pub log: Box<[Step<Option<LogFields>>]>,
}

impl Outbound {
    /// Nothing happens to the answer.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        let Outbound { edits, on_upstream, on_error, tags, log } = self;
        edits.is_empty() && on_upstream.is_empty() && on_error.is_empty() && tags.is_empty() && log.is_empty()
    }
}

/// The fields that a `log` adds, by name.
pub type LogFields = Box<[(SmolStr, Ir)]>;

/// `require EXPR else STATUS "title"`.
#[derive(Debug, Clone)]
pub struct Require {
    /// What must hold.
    pub condition: Ir,
    /// `else STATUS`: without it 403, and 401 for an anonymous caller.
    pub status: Option<u16>,
    /// The title of the answer.
    pub title: Option<SmolStr>,
}

/// `mirror P% to NAME`.
#[derive(Debug, Clone, Copy)]
pub struct Mirror {
    /// How many of the requests, in percent.
    pub share: f64,
    /// Where copies go.
    pub to: UpstreamId,
}

/// `auth A or B`.
#[derive(Debug, Clone)]
pub struct AuthUse {
    /// Which are tried, in order.
    pub alternatives: Box<[AuthId]>,
    /// `auth optional`.
    pub optional: bool,
}

/// One use of a limit.
#[derive(Debug, Clone)]
pub struct LimitUse {
    /// Which counter.
    pub limit: LimitId,
    /// How many in how long, or at once. May depend on the caller.
    pub amount: Ir,
    /// The key's parts; empty: one counter.
    pub key: Box<[Ir]>,
    /// `by caller` stands among the parts: (via, id).
    pub else_skip: bool,
}

/// A counter with its identity: place and key, so that reloads and rate changes keep it.
#[derive(Debug, Clone)]
pub struct Limit {
    /// Stable over reloads as long as its place and key are.
    pub identity: u64,
    /// Its name in headers and logs: `name N`, or a short one made from its place.
    pub name: SmolStr,
    /// `name N`: every limit of this name counts here.
    pub shared: bool,
    /// How it counts.
    pub kind: LimitKind,
    /// The rate or count, where it is constant.
    pub constant: Option<LimitAmount>,
    /// The key as written; empty for one counter.
    pub key: SmolStr,
    /// Where it is declared.
    pub origin: Origin,
}

/// A constant amount.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum LimitAmount {
    /// A rate.
    Rate(Rate),
    /// How many at once.
    Count(u64),
}

/// How a limit counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LimitKind {
    /// A sliding window.
    Sliding,
    /// A token bucket that holds so many.
    Bucket(u64),
    /// Calendar windows, UTC.
    Fixed,
    /// How many at once.
    Concurrent,
}

/// `set`, `add` or `remove` of one place.
#[derive(Debug, Clone)]
pub enum Edit {
    /// `set header.x = E`; absent removes.
    SetHeader(HeaderName, Ir),
    /// `add header.x = E`; absent adds nothing.
    AddHeader(HeaderName, Ir),
    /// `remove header.x`.
    RemoveHeader(HeaderName),
    /// `set query.x = E`.
    SetQuery(SmolStr, Ir),
    /// `add query.x = E`.
    AddQuery(SmolStr, Ir),
    /// `remove query.x`.
    RemoveQuery(SmolStr),
    /// `set cookie.x = E`: the Cookie of a request, a Set-Cookie of a response.
    SetCookie(SmolStr, Ir),
    /// `remove cookie.x`: from the Cookie of a request, or an expired Set-Cookie of a response.
    RemoveCookie(SmolStr),
    /// `set path = E`.
    SetPath(Ir),
    /// `set method = E`.
    SetMethod(Ir),
    /// `set host = E`.
    SetHost(Ir),
    /// `set status = E`.
    SetStatus(Ir),
}

/// Where a route goes.
#[derive(Debug, Clone)]
pub enum Target {
    /// To an upstream.
    Forward(Forward),
    /// By a condition.
    Choice {
        /// The condition.
        condition: Ir,
        /// Where it holds.
        then: Box<Target>,
        /// Where it does not.
        otherwise: Box<Target>,
        /// Where it is written.
        origin: Origin,
    },
    /// A fixed answer.
    Respond(Respond),
    /// A redirect.
    Redirect {
        /// 301, 302, 303, 307 or 308.
        status: u16,
        /// The Location.
        location: Ir,
        /// Where it is written.
        origin: Origin,
    },
}

impl Target {
    /// A request may reach a server this way.
    pub fn forwards(&self) -> bool {
        match self {
            Target::Forward(_) => true,
            Target::Choice { then, otherwise, .. } => then.forwards() || otherwise.forwards(),
            Target::Respond(_) | Target::Redirect { .. } => false,
        }
    }
}

/// To an upstream. What every request reads stands first, as in [`Route`].
#[derive(Debug, Clone)]
#[repr(C)]
pub struct Forward {
    /// The upstreams.
    pub to: Sides,
    /// `at PATH`.
    pub at: Option<PathTemplate>,
    /// `by KEY`: what keeps its side, and the key for nothing else.
    pub by: Box<[Ir]>,
    /// Where it is written.
    pub origin: Origin,
}

/// The upstreams of a target.
#[derive(Debug, Clone)]
pub enum Sides {
    /// One for all.
    One(UpstreamId),
    /// Several with their shares in percent, which sum to 100.
    Shares(Box<[(f64, UpstreamId)]>),
}

impl Sides {
    /// The upstreams with their shares in percent.
    pub fn iter(&self) -> impl Iterator<Item = (f64, UpstreamId)> {
        let (one, several) = match self {
            Sides::One(id) => (Some((100.0, *id)), [].as_slice()),
            Sides::Shares(shares) => (None, &**shares),
        };
        one.into_iter().chain(several.iter().copied())
    }

    /// Which of them gets a request is a question.
    pub fn are_several(&self) -> bool {
        matches!(self, Sides::Shares(_))
    }
}

/// `at /x/{id}?a={b}`.
#[derive(Debug, Clone)]
#[repr(C)]
pub struct PathTemplate {
    /// The path's parts.
    pub path: Box<[PathPart]>,
    /// The query's parts; none: the client's query goes along.
    pub query: Option<Box<QueryTemplate>>,
    /// As written.
    pub text: SmolStr,
}

/// The parts of a query. Behind a pointer of its own, the rare query leaves what every request reads in one line of the cache.
#[derive(Debug, Clone)]
pub struct QueryTemplate(pub Box<[PathPart]>);

/// A part of a path template.
#[derive(Debug, Clone)]
pub enum PathPart {
    /// As it is.
    Text(SmolStr),
    /// The parameter of this slot, encoded as one segment (or as a query value): what most values are, and it lies with the
    /// other parts.
    Param(u16),
    /// Any other value, encoded in the same way.
    Value(Box<Ir>),
    /// The rest parameter of this slot: keeps its slashes.
    Rest(u16),
}

/// A fixed answer.
#[derive(Debug, Clone)]
pub struct Respond {
    /// The status.
    pub status: u16,
    /// The body.
    pub body: RespondBody,
    /// Where it is written.
    pub origin: Origin,
}

/// The body of a fixed answer.
#[derive(Debug, Clone)]
pub enum RespondBody {
    /// No body.
    None,
    /// `application/json`.
    Json(Ir),
    /// `text/plain; charset=utf-8`.
    Text(Ir),
    /// `text/html; charset=utf-8`.
    Html(Ir),
    /// A file's bytes, read when the program was loaded, and their media type.
    File(bytes::Bytes, &'static str),
    /// `application/problem+json` with this title.
    Problem(Ir),
}

/// `on upstream 5xx, 404 respond …`.
#[derive(Debug, Clone)]
pub struct OnUpstream {
    /// On which statuses.
    pub statuses: Box<[StatusMatch]>,
    /// The answer.
    pub respond: Respond,
}

/// `on error KIND, … respond …`.
#[derive(Debug, Clone)]
pub struct OnError {
    /// On which failures; empty for every.
    pub kinds: Box<[crate::policy::problem::FailureKind]>,
    /// The answer.
    pub respond: Respond,
}

/// The parts of `timeout` that one statement says.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct TimeoutParts {
    /// The whole exchange, retries included.
    pub total: Option<Duration>,
    /// Name resolution, TCP and TLS.
    pub connect: Option<Duration>,
    /// Until the first byte of the answer.
    pub response: Option<Duration>,
    /// Between two reads or writes.
    pub idle: Option<Duration>,
    /// `timeout none`: what statements further out say does not hold.
    pub alone: bool,
}

impl TimeoutParts {
    /// What is not said here is taken from `outer`, unless this stands alone.
    pub fn or(self, outer: TimeoutParts) -> TimeoutParts {
        if self.alone {
            return self;
        }
        TimeoutParts {
            total: self.total.or(outer.total),
            connect: self.connect.or(outer.connect),
            response: self.response.or(outer.response),
            idle: self.idle.or(outer.idle),
            alone: outer.alone,
        }
    }

    /// As [`TimeoutParts::or`], with what an upstream says, which always holds.
    pub fn or_upstream(self, upstream: TimeoutParts) -> TimeoutParts {
        TimeoutParts { alone: false, ..self }.or(upstream)
    }
}

/// The parts of `retry` that one statement says.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct RetryParts {
    /// How often beyond the first attempt.
    pub count: Option<u32>,
    /// On what.
    pub on: Option<Box<[RetryOn]>>,
    /// The share of live traffic that may be retries, in percent.
    pub budget: Option<f64>,
    /// The shortest and longest pause.
    pub backoff: Option<(Duration, Duration)>,
}

impl RetryParts {
    /// What is not said here is taken from `outer`.
    pub fn or(&self, outer: &RetryParts) -> RetryParts {
        RetryParts {
            count: self.count.or(outer.count),
            on: self.on.clone().or_else(|| outer.on.clone()),
            budget: self.budget.or(outer.budget),
            backoff: self.backoff.or(outer.backoff),
        }
    }
}

/// What holds where no statement says otherwise; the reference lists them in one table.
pub mod defaults {
    use std::time::Duration;

    /// `timeout connect`.
    pub const CONNECT: Duration = Duration::from_secs(5);
    /// `timeout response`.
    pub const RESPONSE: Duration = Duration::from_secs(30);
    /// `timeout idle` of an exchange.
    pub const IDLE: Duration = Duration::from_secs(60);
    /// `retry`'s count.
    pub const RETRIES: u32 = 0;
    /// `retry … budget`, in percent.
    pub const RETRY_BUDGET: f64 = 20.0;
    /// `retry … backoff`.
    pub const BACKOFF: (Duration, Duration) = (Duration::from_millis(25), Duration::from_millis(250));
    /// `pool max`, a server and worker.
    pub const POOL_MAX: usize = 1024;
    /// `pool idle` of HTTP/1.1 connections: below the 5 s after which many servers close theirs (Node, Apache, uvicorn).
    pub const POOL_IDLE: Duration = Duration::from_secs(4);
    /// `pool idle` of HTTP/2 connections, which say when they close: below the 75 s of nginx.
    pub const POOL_IDLE_H2: Duration = Duration::from_secs(60);
    /// `every` of a health check.
    pub const HEALTH_EVERY: Duration = Duration::from_secs(5);
    /// `timeout` of a health check; no longer than its interval.
    pub const HEALTH_TIMEOUT: Duration = Duration::from_secs(2);
    /// `healthy after` of a health check.
    pub const HEALTHY_AFTER: u32 = 2;
    /// `unhealthy after` of a health check.
    pub const UNHEALTHY_AFTER: u32 = 3;
    /// `header max` of a listener.
    pub const HEADER_MAX: usize = 64 * 1024;
    /// `timeout header` of a listener.
    pub const TIMEOUT_HEADER: Duration = Duration::from_secs(10);
    /// `timeout idle` of a listener.
    pub const TIMEOUT_IDLE: Duration = Duration::from_secs(75);
    /// `body max` where a body is buffered; bodies that stream have no limit unless one is said.
    pub const BODY_BUFFER: u64 = 1024 * 1024;
    /// `leeway` of a `jwt`.
    pub const LEEWAY: Duration = Duration::from_secs(0);
}

/// An upstream.
#[derive(Debug, Clone)]
pub struct Upstream {
    /// Its name; for a URL, the URL.
    pub name: SmolStr,
    /// Its servers; empty for `echo`.
    pub servers: Vec<Server>,
    /// The built-in server.
    pub echo: bool,
    /// How a server is chosen.
    pub balance: Balance,
    /// Most connections a server and worker.
    pub pool_max: usize,
    /// How long an unused connection is kept; by default it depends on the protocol.
    pub pool_idle: Option<Duration>,
    /// Which HTTP is spoken, as written.
    pub protocol: Option<UpstreamProtocol>,
    /// What its statements say, the defaults applied.
    pub timeouts: TimeoutParts,
    /// What its statements say, merged with `upstream *`; no defaults.
    pub retry: RetryParts,
    /// Most requests at once.
    pub max_requests: Option<u64>,
    /// Most requests waiting for one of those.
    pub max_pending: Option<u64>,
    /// Servers are asked whether they are well.
    pub health: Option<Health>,
    /// Servers that fail are left out.
    pub eject: Option<Eject>,
    /// Clients stay at one server.
    pub sticky: Option<Sticky>,
    /// Requests carry a token that is fetched for them.
    pub oauth: Option<Oauth>,
    /// `limit`s of the upstream itself.
    pub limits: Box<[Step<LimitUse>]>,
    /// How TLS is spoken to `https` servers.
    pub tls: UpstreamTls,
    /// The Host that is sent.
    pub host: HostHeader,
    /// `send header.X = E`.
    pub send: Box<[Step<Edit>]>,
    /// Its documentation.
    pub docs: SmolStr,
    /// Where it is declared.
    pub origin: Origin,
}

/// How TLS is spoken to `https` servers.
#[derive(Debug, Clone, Default)]
pub struct UpstreamTls {
    /// A CA file instead of the system's roots.
    pub ca: Option<PathBuf>,
    /// The gateway's own certificate chain and its key.
    pub identity: Option<(PathBuf, PathBuf)>,
    /// The name that certificates must have, and that SNI carries, where it is not the server's.
    pub name: Option<SmolStr>,
}

/// `health {…}`.
#[derive(Debug, Clone, PartialEq)]
pub struct Health {
    /// `GET` or `HEAD`.
    pub method: Method,
    /// Behind a server's prefix.
    pub path: SmolStr,
    /// Between two questions.
    pub every: Duration,
    /// For an answer.
    pub timeout: Duration,
    /// Good answers in a row that bring a server back.
    pub healthy: u32,
    /// Bad answers in a row that take it out.
    pub unhealthy: u32,
    /// The good statuses.
    pub expect: Box<[StatusMatch]>,
    /// Another Host than the server's.
    pub host: Option<SmolStr>,
    /// Another port than the server's.
    pub port: Option<u16>,
}

/// `eject …`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Eject {
    /// When.
    pub when: EjectWhen,
    /// For how long, the first time.
    pub period: Duration,
}

/// When a server is ejected.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum EjectWhen {
    /// After so many failures in a row.
    Failures(u32),
    /// When more than this share of its requests fail, in percent.
    Share(f64),
}

/// `sticky cookie NAME`.
#[derive(Debug, Clone)]
pub struct Sticky {
    /// The cookie's name.
    pub cookie: SmolStr,
    /// How long clients keep it; none: as long as they run.
    pub period: Option<Duration>,
    /// Which line says so.
    pub origin: Origin,
}

/// A server of an upstream.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Server {
    /// `https`.
    pub tls: bool,
    /// Name or address, without brackets.
    pub host: SmolStr,
    /// Port.
    pub port: u16,
    /// `host[:port]` as the Host header has it (default ports left out).
    pub authority: SmolStr,
    /// A segment prefix without a trailing slash; mostly empty.
    pub prefix: SmolStr,
    /// Its weight.
    pub weight: u32,
    /// Used only when no other is usable.
    pub backup: bool,
    /// The host is a name of SRV records, which say the servers.
    pub srv: bool,
}

impl Server {
    /// What stands for the built-in server of the upstream `name`.
    pub fn echo(name: &SmolStr) -> Server {
        Server {
            tls: false,
            host: name.clone(),
            port: 80,
            authority: name.clone(),
            prefix: SmolStr::default(),
            weight: 1,
            backup: false,
            srv: false,
        }
    }
}

/// How a server is chosen.
#[derive(Debug, Clone)]
#[allow(missing_docs)]
pub enum Balance {
    P2c,
    RoundRobin,
    Random,
    LeastRequests,
    Hash(Ir),
}

/// The Host that an upstream receives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HostHeader {
    /// The server's authority.
    Server,
    /// The client's.
    Preserve,
    /// This one.
    Fixed(SmolStr),
}

/// An auth.
#[derive(Debug, Clone)]
pub struct Auth {
    /// Its name.
    pub name: SmolStr,
    /// What kind.
    pub kind: AuthKind,
    /// Where the credential stands.
    pub from: CredentialPlace,
    /// The credential goes on to the upstream.
    pub forward_credentials: bool,
    /// Its claims: name, type, path in the credential.
    pub claims: Box<[Claim]>,
    /// Its documentation.
    pub docs: SmolStr,
    /// Where it is declared.
    pub origin: Origin,
}

/// A claim: its name, its type, its path in the credential.
pub type Claim = (SmolStr, Type, Box<[SmolStr]>);

/// The kinds of auth.
#[derive(Debug, Clone)]
pub enum AuthKind {
    /// `jwt`.
    Jwt {
        /// One of these; none for `any`.
        issuers: Option<Vec<SmolStr>>,
        /// One of these; none for `any`.
        audiences: Option<Vec<SmolStr>>,
        /// `RS256`, ….
        algorithms: Vec<jsonwebtoken::Algorithm>,
        /// For clocks that differ.
        leeway: Duration,
        /// Where its keys are.
        keys: JwtKeys,
    },
    /// `api-key`.
    ApiKey {
        /// Where its keys are.
        keys: ApiKeys,
    },
}

/// Key material of a `jwt`.
#[derive(Debug, Clone)]
pub enum JwtKeys {
    /// A JWKS file.
    JwksFile(PathBuf),
    /// A PEM public key.
    KeyFile(PathBuf),
    /// A shared secret; none when only checked, without inputs.
    Secret(Option<crate::model::value::Secret>),
}

/// Keys of an `api-key`.
#[derive(Debug, Clone)]
pub enum ApiKeys {
    /// A file of hashed keys.
    File(PathBuf),
    /// Names and inputs' secrets; none when only checked, without inputs.
    Named(Vec<(SmolStr, Option<crate::model::value::Secret>)>),
}

/// A table.
#[derive(Debug, Clone)]
pub struct Table {
    /// Its name.
    pub name: SmolStr,
    /// `[T]` or `{string: T}`.
    pub ty: Type,
    /// What is written in the program; for a file, nothing.
    pub inline: Arc<crate::model::table::TableData>,
    /// Its file.
    pub file: Option<PathBuf>,
    /// Re-read so often besides on change.
    pub every: Option<Duration>,
    /// An unreadable file empties it; else it is kept.
    pub clear_on_failure: bool,
    /// Where it is declared.
    pub origin: Origin,
}

impl Plan {
    /// A route.
    pub fn route(&self, id: RouteId) -> Option<&Route> {
        self.routes.get(id.index())
    }

    /// An upstream.
    pub fn upstream(&self, id: UpstreamId) -> Option<&Upstream> {
        self.upstreams.get(id.index())
    }

    /// The file of an origin, as shown.
    pub fn file(&self, origin: &Origin) -> &str {
        self.files.get(origin.file as usize).map_or("", |f| f.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::mem::{offset_of, size_of};

    #[test]
    fn what_every_request_reads_of_a_route_lies_in_one_line_of_the_cache() {
        let forward = offset_of!(Route, target) + size_of::<Target>() - size_of::<Forward>();
        let read = forward + offset_of!(Forward, at) + offset_of!(PathTemplate, text);
        assert!(read <= 64, "{read}");
        assert_eq!(size_of::<router::Candidate>(), 64);
        assert_eq!(size_of::<PathPart>(), 24);
    }
}
