//! Declarations, statements and expressions as they are written, each with its place.
//!
//! Almost every argument is an [`Expr`]: a literal, a `let`, an input or a policy parameter may stand wherever a value of
//! its type may, so `timeout response slow` and `limit allowed by caller` need no rules of their own. The check decides
//! which must be constant.

use super::types::Type;
use super::value::Value;
use crate::source::Span;
use http::Method;
use smol_str::SmolStr;
use std::sync::Arc;

/// A word of the program with its place.
#[derive(Clone, Debug)]
pub struct Name {
    /// As written.
    pub text: SmolStr,
    /// Where.
    pub span: Span,
}

/// Anything with a place.
#[derive(Clone, Debug)]
pub struct Spanned<T> {
    /// What.
    pub value: T,
    /// Where.
    pub span: Span,
}

/// The `##` lines above a declaration, joined by newlines; empty where there are none.
pub type Docs = SmolStr;

/// A whole program: the root file and everything it imports.
#[derive(Debug, Default)]
pub struct Program {
    /// `input`.
    pub inputs: Vec<Input>,
    /// `listen`.
    pub listeners: Vec<Listener>,
    /// `trust proxies`.
    pub trust: Vec<Trust>,
    /// `let`.
    pub lets: Vec<Let>,
    /// `table`.
    pub tables: Vec<Table>,
    /// `upstream NAME`.
    pub upstreams: Vec<Upstream>,
    /// `upstream *`.
    pub upstream_defaults: Vec<Upstream>,
    /// `auth NAME = KIND`.
    pub auths: Vec<Auth>,
    /// `policy`.
    pub policies: Vec<Policy>,
    /// Top-level statements, apis and routes.
    pub root: Scope,
    /// `invariant`.
    pub invariants: Vec<Invariant>,
    /// `access-log`-like settings of operations that are supported: `state memory`.
    pub state: Vec<Spanned<()>>,
}

/// `input NAME: TYPE [= DEFAULT]`.
#[derive(Debug)]
pub struct Input {
    /// Its name.
    pub name: Name,
    /// Its type.
    pub ty: Spanned<Type>,
    /// Its default.
    pub default: Option<Expr>,
    /// Its documentation.
    pub docs: Docs,
}

/// `let NAME = EXPR`.
#[derive(Debug)]
pub struct Let {
    /// Its name.
    pub name: Name,
    /// Its value.
    pub value: Expr,
    /// Its documentation.
    pub docs: Docs,
}

/// `table NAME: TYPE = VALUE` or `… from file P [every D] [on failure keep|clear]`.
#[derive(Debug)]
pub struct Table {
    /// Its name.
    pub name: Name,
    /// `[T]` or `{string: T}`.
    pub ty: Spanned<Type>,
    /// Written in the program.
    pub value: Option<Expr>,
    /// Read from a file: its path, relative to the file of the declaration.
    pub file: Option<Expr>,
    /// Re-read so often besides on change.
    pub every: Option<Expr>,
    /// `on failure clear`: an unreadable file empties it; `keep` is the default.
    pub clear_on_failure: bool,
    /// Its documentation.
    pub docs: Docs,
    /// The declaration's first line.
    pub span: Span,
}

/// `listen [NAME] http|https ADDRESS {…}`.
#[derive(Debug)]
pub struct Listener {
    /// Its name, if it has one.
    pub name: Option<Name>,
    /// What is spoken.
    pub scheme: Scheme,
    /// `:8080`, `127.0.0.1:9000`, `[::1]:80`, or an input of type `address`.
    pub address: Expr,
    /// `redirect https [port N]`: everything is redirected; the port, 443 by default.
    pub redirect_https: Option<Spanned<Option<Expr>>>,
    /// `max connections N`.
    pub max_connections: Option<Expr>,
    /// `header max SIZE`.
    pub header_max: Option<Expr>,
    /// `protocols h1, h2, h2c`; empty: what its scheme has by default.
    pub protocols: Vec<Spanned<HttpVersion>>,
    /// `timeout header D`.
    pub timeout_header: Option<Expr>,
    /// `timeout idle D`.
    pub timeout_idle: Option<Expr>,
    /// `certificate P key P`, in order: the first is the default.
    pub certificates: Vec<CertificateFiles>,
    /// `client-certificates …`.
    pub client_certificates: Option<ClientCertificates>,
    /// `tls min …`.
    pub tls_min: Option<Spanned<TlsVersion>>,
    /// `proxy-protocol`.
    pub proxy_protocol: Option<Span>,
    /// `acme {…}`.
    pub acme: Option<Acme>,
    /// Its documentation.
    pub docs: Docs,
    /// The declaration's first line.
    pub span: Span,
    /// Something in it could not be read and is reported: what seems to be missing may be there.
    pub damaged: bool,
}

/// What a listener speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// Without TLS.
    Http,
    /// Over TLS.
    Https,
}

/// `certificate P key P`.
#[derive(Debug)]
pub struct CertificateFiles {
    /// The chain, in PEM.
    pub certificate: Expr,
    /// Its key, in PEM.
    pub key: Expr,
    /// The statement.
    pub span: Span,
}

/// `client-certificates required|optional { ca P }`.
#[derive(Debug)]
pub struct ClientCertificates {
    /// Clients without one are turned away.
    pub required: bool,
    /// Who signs for clients, in PEM; none where it could not be read.
    pub ca: Option<Expr>,
    /// The statement.
    pub span: Span,
}

/// A version of TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsVersion {
    /// RFC 5246.
    V1_2,
    /// RFC 8446.
    V1_3,
}

/// A version of HTTP that a listener speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HttpVersion {
    /// HTTP/1.1 and 1.0.
    H1,
    /// HTTP/2 over TLS.
    H2,
    /// HTTP/2 without TLS, by prior knowledge.
    H2c,
}

/// `acme {…}`: certificates by ACME.
#[derive(Debug, Default)]
pub struct Acme {
    /// `agree terms`: where `terms` stands.
    pub agreed: Option<Span>,
    /// `domains "a", …`.
    pub domains: Vec<Expr>,
    /// `email "a", …`.
    pub emails: Vec<Expr>,
    /// `directory …`; Let's Encrypt's without.
    pub directory: Option<AcmeDirectory>,
    /// `store "DIR"`.
    pub store: Option<Expr>,
    /// `ca "PATH"`.
    pub ca: Option<Expr>,
    /// `challenge …`.
    pub challenge: Option<Spanned<AcmeChallenge>>,
    /// `challenge … forwarded`: the CA's port leads to the listener's.
    pub forwarded: bool,
    /// `external-account ID key KEY`.
    pub external_account: Option<(Expr, Expr)>,
    /// The word.
    pub span: Span,
    /// Something in it could not be read and is reported: what seems to be missing may be there.
    pub damaged: bool,
}

/// Whose certificates.
#[derive(Debug)]
pub enum AcmeDirectory {
    /// Let's Encrypt.
    Production,
    /// Let's Encrypt's for trials.
    Staging,
    /// The directory at this URL.
    Url(Expr),
}

/// How control over a name is shown to a CA.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AcmeChallenge {
    /// RFC 8737: a certificate in a TLS handshake at port 443.
    TlsAlpn01,
    /// RFC 8555, 8.3: a text at port 80.
    Http01,
}

impl AcmeChallenge {
    /// As the protocol and the program call it.
    pub fn name(self) -> &'static str {
        match self {
            AcmeChallenge::TlsAlpn01 => "tls-alpn-01",
            AcmeChallenge::Http01 => "http-01",
        }
    }

    /// Where CAs connect to.
    pub fn port(self) -> u16 {
        match self {
            AcmeChallenge::TlsAlpn01 => 443,
            AcmeChallenge::Http01 => 80,
        }
    }
}

/// `trust proxies CIDR, … using FIELD`.
#[derive(Debug)]
pub struct Trust {
    /// Whom: `cidr` or `ip` constants.
    pub proxies: Vec<Expr>,
    /// `x-forwarded-for`, `forwarded` or `proxy-protocol`.
    pub using: Spanned<ForwardField>,
    /// The declaration.
    pub span: Span,
}

/// The one field that is believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ForwardField {
    /// `X-Forwarded-For`.
    XForwardedFor,
    /// `Forwarded` (RFC 7239).
    Forwarded,
    /// No field: the PROXY protocol's header, before the first request.
    ProxyProtocol,
}

/// `upstream NAME URL`, `upstream NAME {…}`, `upstream * {…}`.
#[derive(Debug, Default)]
pub struct Upstream {
    /// Its name; none for `upstream *`.
    pub name: Option<Name>,
    /// `server URL …`, or the one URL of the short form.
    pub servers: Vec<Server>,
    /// `discover dns …`, `discover srv …`.
    pub discovers: Vec<Discover>,
    /// `health {…}`.
    pub health: Option<Health>,
    /// `eject …`.
    pub eject: Option<Eject>,
    /// `sticky cookie NAME`.
    pub sticky: Option<Sticky>,
    /// `oauth {…}`.
    pub oauth: Option<Oauth>,
    /// `echo`.
    pub echo: Option<Span>,
    /// `balance …`.
    pub balance: Option<Spanned<Balance>>,
    /// `pool max N`.
    pub pool_max: Option<Expr>,
    /// `pool idle D`.
    pub pool_idle: Option<Expr>,
    /// `timeout connect D, response D, idle D`.
    pub timeouts: Timeouts,
    /// `retry …`.
    pub retry: Option<Retry>,
    /// `max requests N`.
    pub max_requests: Option<Expr>,
    /// `max requests … pending M`.
    pub max_pending: Option<Expr>,
    /// `limit …`.
    pub limits: Vec<Statement>,
    /// `protocol …`.
    pub protocol: Option<Spanned<UpstreamProtocol>>,
    /// `tls {…}`.
    pub tls: Option<UpstreamTls>,
    /// `host preserve` or `host "x"`.
    pub host: Option<Spanned<HostHeader>>,
    /// `send header.X = EXPR`.
    pub send: Vec<Assignment>,
    /// Its documentation.
    pub docs: Docs,
    /// The declaration's first line.
    pub span: Span,
    /// Something in it could not be read and is reported: what seems to be missing may be there.
    pub damaged: bool,
}

/// `server URL [weight N] [backup]`.
#[derive(Debug)]
pub struct Server {
    /// A URL literal or an expression of type `url`.
    pub url: Expr,
    /// `weight N`.
    pub weight: Option<Expr>,
    /// `backup`.
    pub backup: bool,
    /// The statement.
    pub span: Span,
}

/// `discover dns NAME:PORT [https]`, `discover srv NAME [https]`.
#[derive(Debug)]
pub struct Discover {
    /// `srv`: the records say ports, weights and who is asked first.
    pub srv: bool,
    /// The name, for `dns` with its port.
    pub name: Name,
    /// `https`.
    pub https: bool,
}

/// `protocol h1|h2|h2c|auto`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum UpstreamProtocol {
    /// HTTP/1.1.
    H1,
    /// HTTP/2 over TLS.
    H2,
    /// HTTP/2 without TLS, by prior knowledge.
    H2c,
    /// What the server chooses.
    Auto,
}

/// `tls {…}` of an upstream.
#[derive(Debug)]
pub struct UpstreamTls {
    /// `ca P`.
    pub ca: Option<Expr>,
    /// `certificate P key P`.
    pub identity: Option<(Expr, Expr)>,
    /// `server-name S`.
    pub server_name: Option<Expr>,
    /// The word `tls`.
    pub span: Span,
}

/// `oauth {…}` of an upstream.
#[derive(Debug, Default)]
pub struct Oauth {
    /// `token-endpoint URL`.
    pub endpoint: Option<Expr>,
    /// `client-id E`.
    pub client_id: Option<Expr>,
    /// `client-secret E`.
    pub client_secret: Option<Expr>,
    /// `credentials basic|body`.
    pub credentials: Option<Spanned<OauthCredentials>>,
    /// `scopes S, …`.
    pub scopes: Vec<Expr>,
    /// `audience S`.
    pub audience: Option<Expr>,
    /// `ca P`.
    pub ca: Option<Expr>,
    /// A setting in it is wrong, and reported.
    pub damaged: bool,
    /// The word `oauth`.
    pub span: Span,
}

/// How a client proves itself to a token endpoint (RFC 6749, 2.3.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OauthCredentials {
    /// By HTTP Basic, as every server must understand: `client_secret_basic`.
    #[default]
    Basic,
    /// In the form that asks: `client_secret_post`.
    Body,
}

/// `health {…}` of an upstream.
#[derive(Debug)]
pub struct Health {
    /// `GET PATH`, `HEAD PATH`.
    pub probe: Option<(Method, Expr)>,
    /// `every D`.
    pub every: Option<Expr>,
    /// `timeout D`.
    pub timeout: Option<Expr>,
    /// `healthy after N`.
    pub healthy: Option<Expr>,
    /// `unhealthy after N`.
    pub unhealthy: Option<Expr>,
    /// `expect status S, …`.
    pub expect: Vec<Spanned<StatusMatch>>,
    /// `host "x"`.
    pub host: Option<Expr>,
    /// `port N`.
    pub port: Option<Expr>,
    /// Something in it could not be read and is reported.
    pub damaged: bool,
    /// The statement.
    pub span: Span,
}

/// `eject after N failures for D`, `eject over P% for D`.
#[derive(Debug)]
pub struct Eject {
    /// `after N failures`.
    pub after: Option<Expr>,
    /// `over P%`.
    pub over: Option<Expr>,
    /// `for D`.
    pub period: Expr,
    /// The statement.
    pub span: Span,
}

/// `sticky cookie NAME [for D]`.
#[derive(Debug)]
pub struct Sticky {
    /// The cookie's name.
    pub cookie: Name,
    /// How long the client keeps it; else as long as it runs.
    pub period: Option<Expr>,
    /// The statement.
    pub span: Span,
}

/// `balance …`.
#[derive(Debug)]
pub enum Balance {
    /// The less loaded of two random servers.
    P2c,
    /// One after the other, by weight.
    RoundRobin,
    /// At random, by weight.
    Random,
    /// The one with the fewest requests in flight.
    LeastRequests,
    /// `hash EXPR`: the same key goes to the same server.
    Hash(Expr),
}

/// `host …` of an upstream.
#[derive(Debug)]
pub enum HostHeader {
    /// The client's Host.
    Preserve,
    /// This one.
    Fixed(Expr),
}

/// `timeout total D, connect D, response D, idle D`: what is written.
#[derive(Debug, Default, Clone)]
pub struct Timeouts {
    /// The whole exchange, retries included.
    pub total: Option<Expr>,
    /// Name resolution, TCP and TLS.
    pub connect: Option<Expr>,
    /// Until the first byte of the answer.
    pub response: Option<Expr>,
    /// Between two reads or writes.
    pub idle: Option<Expr>,
}

/// `retry N on …, budget P% backoff D..D`.
#[derive(Debug, Clone)]
pub struct Retry {
    /// How often beyond the first attempt; none where only other parts are written (`retry budget 10%`).
    pub count: Option<Expr>,
    /// On what.
    pub on: Vec<Spanned<RetryOn>>,
    /// The share of live traffic that may be retries.
    pub budget: Option<Expr>,
    /// The shortest and longest pause.
    pub backoff: Option<(Expr, Expr)>,
    /// `retry none`: removes what an outer one says.
    pub none: bool,
    /// The statement.
    pub span: Span,
}

/// What is retried on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RetryOn {
    /// No connection came about.
    Connect,
    /// It broke before an answer.
    Reset,
    /// No first byte in time.
    Timeout,
    /// A status.
    Status(u16),
    /// A class, by its hundred: `5xx` is 5.
    Class(u8),
}

/// `auth NAME = KIND {…}`.
#[derive(Debug)]
pub struct Auth {
    /// Its name.
    pub name: Name,
    /// What kind, with its settings.
    pub kind: AuthKind,
    /// `claims {…}`.
    pub claims: Vec<Claim>,
    /// `from header.X` or `from cookie.X`: where the credential stands.
    pub from: Option<Spanned<CredentialPlace>>,
    /// `forward credentials`.
    pub forward_credentials: bool,
    /// Its documentation.
    pub docs: Docs,
    /// The declaration's first line.
    pub span: Span,
    /// Something in it could not be read and is reported: what seems to be missing may be there.
    pub damaged: bool,
}

/// Where a credential stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CredentialPlace {
    /// A header, in lower case.
    Header(SmolStr),
    /// A cookie.
    Cookie(SmolStr),
    /// A query parameter (API keys only).
    Query(SmolStr),
}

/// The kinds of auth.
#[derive(Debug)]
pub enum AuthKind {
    /// `jwt {…}`.
    Jwt {
        /// `issuer E` / `issuer any`.
        issuer: Option<OrAny>,
        /// `audience E` / `audience any`.
        audience: Option<OrAny>,
        /// `algorithms RS256, …`.
        algorithms: Vec<Name>,
        /// `leeway D`.
        leeway: Option<Expr>,
        /// Where its keys are.
        keys: Option<Spanned<JwtKeys>>,
    },
    /// `api-key {…}`.
    ApiKey {
        /// Where its keys are.
        keys: Option<Spanned<ApiKeys>>,
    },
    /// Could not be read, or is not supported yet; reported already.
    Error,
}

/// A setting that may be waived by naming it.
#[derive(Debug)]
pub enum OrAny {
    /// `any`.
    Any(Span),
    /// One or more texts.
    Texts(Vec<Expr>),
}

/// Key material of a `jwt`.
#[derive(Debug)]
pub enum JwtKeys {
    /// `jwks file P`.
    JwksFile(Expr),
    /// `key file P`: a PEM public key.
    KeyFile(Expr),
    /// `secret EXPR`.
    Secret(Expr),
}

/// Keys of an `api-key`.
#[derive(Debug)]
pub enum ApiKeys {
    /// `keys file P`: hashed, as `gw keys` writes it.
    File(Expr),
    /// `keys { name: INPUT, … }`.
    Named(Vec<(Name, Expr)>),
}

/// `tier: "free" | "pro"`, `roles: [string] from realm_access.roles`, `x: string from ["odd name"]`.
#[derive(Debug)]
pub struct Claim {
    /// Its name in `caller`.
    pub name: Name,
    /// Its type.
    pub ty: Spanned<Type>,
    /// Where it stands in the credential; its name by default.
    pub path: Vec<SmolStr>,
}

/// `policy NAME(p: type, …) {…}`.
#[derive(Debug)]
pub struct Policy {
    /// Its name.
    pub name: Name,
    /// Its parameters.
    pub parameters: Vec<(Name, Spanned<Type>)>,
    /// Its statements.
    pub statements: Arc<Vec<Statement>>,
    /// Its documentation.
    pub docs: Docs,
}

/// The root, an `api` or a `group`.
#[derive(Debug, Default)]
pub struct Scope {
    /// An api's name.
    pub name: Option<Name>,
    /// Where its routes stand could not be read and is reported.
    pub damaged: bool,
    /// The keyword's scope: the root has none.
    pub kind: ScopeKind,
    /// The prefix of its routes.
    pub prefix: Option<Pattern>,
    /// `host …`.
    pub hosts: Vec<HostPattern>,
    /// `listen NAME, …`.
    pub listen: Vec<Name>,
    /// `paths allow …`.
    pub paths: Vec<Spanned<PathAllow>>,
    /// `trailing-slash redirect|ignore`.
    pub trailing_slash: Option<Spanned<TrailingSlash>>,
    /// Policy statements, in source order.
    pub statements: Vec<Statement>,
    /// Routes and scopes, in source order.
    pub members: Vec<Member>,
    /// Its documentation.
    pub docs: Docs,
    /// The declaration's first line.
    pub span: Span,
}

/// What kind of scope.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ScopeKind {
    /// The program itself.
    #[default]
    Root,
    /// `api`.
    Api,
    /// `group`.
    Group,
}

/// What stands in a scope.
#[derive(Debug)]
#[allow(clippy::large_enum_variant, reason = "most are routes")]
pub enum Member {
    /// A route.
    Route(Route),
    /// An api or a group.
    Scope(Scope),
}

/// What `paths allow` opts in to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum PathAllow {
    EncodedSlash,
    EmptySegments,
    Semicolon,
}

/// `trailing-slash …`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TrailingSlash {
    /// `/orders` and `/orders/` differ.
    #[default]
    Strict,
    /// The other form is redirected to the one that is declared.
    Redirect,
    /// The other form is served as the one that is declared.
    Ignore,
}

/// `api.example.com`, `*.example.com`, `{tenant}.example.com`: without a port, in lower case.
#[derive(Clone, Debug, PartialEq)]
pub struct HostPattern {
    /// What stands before the suffix.
    pub head: HostHead,
    /// The labels that must be there: `example.com` of `*.example.com`; the whole name of an exact one.
    pub suffix: SmolStr,
    /// Where.
    pub span: Span,
}

/// The first part of a host pattern.
#[derive(Clone, Debug, PartialEq)]
pub enum HostHead {
    /// Nothing: an exact name.
    Exact,
    /// `*.`: one label or more.
    Wildcard,
    /// `{name}.`: one label, bound.
    Param(SmolStr),
}

/// A path pattern.
#[derive(Clone, Debug, Default)]
pub struct Pattern {
    /// Its segments.
    pub segments: Vec<Segment>,
    /// It ends in a slash (`/orders/`); `/` alone has no segments and this set.
    pub trailing_slash: bool,
    /// Where.
    pub span: Span,
}

/// A segment of a pattern.
#[derive(Clone, Debug)]
pub enum Segment {
    /// Text, normalised as a request's path is.
    Literal(SmolStr),
    /// `{name}`, `{name: TYPE}`, `report-{day: date}.csv`.
    Param {
        /// Its name.
        name: Name,
        /// Its type.
        ty: ParamType,
        /// Literal text before it.
        prefix: SmolStr,
        /// Literal text behind it.
        suffix: SmolStr,
    },
    /// `{rest...}`, the last.
    Rest(Name),
}

/// The type of a path parameter.
#[derive(Clone, Debug)]
pub enum ParamType {
    /// Any text, which is the default and what `string` says.
    String,
    /// A signed 64-bit integer in plain decimal.
    Int,
    /// An integer that is not negative.
    Uint,
    /// A UUID, hyphenated.
    Uuid,
    /// `YYYY-MM-DD`.
    Date,
    /// `matches r"…"`: the whole segment matches.
    Matches(regex::Regex),
}

/// `route [NAME] METHODS PATTERN [when E] -> TARGET [{…}]`.
#[derive(Debug)]
pub struct Route {
    /// Its name, if it has one.
    pub name: Option<Name>,
    /// Its methods; empty for `ANY`.
    pub methods: Vec<Spanned<Method>>,
    /// Where the methods stand.
    pub methods_span: Span,
    /// Its pattern, without the prefixes around it.
    pub pattern: Pattern,
    /// `when E`.
    pub when: Option<Expr>,
    /// Where it goes.
    pub target: Target,
    /// Its block.
    pub statements: Vec<Statement>,
    /// Its documentation.
    pub docs: Docs,
    /// From `route` to the end of the target.
    pub span: Span,
    /// Something before its block could not be read and is reported.
    pub damaged: bool,
}

/// A target.
#[derive(Debug)]
pub struct Target {
    /// What.
    pub kind: TargetKind,
    /// Where.
    pub span: Span,
}

/// The kinds of targets.
#[derive(Debug)]
pub enum TargetKind {
    /// To an upstream.
    Forward(Forward),
    /// `T when E else T`.
    Choice {
        /// The condition.
        condition: Expr,
        /// Where it holds.
        then: Box<Target>,
        /// Where it does not.
        otherwise: Box<Target>,
    },
    /// `respond …`.
    Respond(Respond),
    /// `redirect STATUS EXPR`.
    Redirect {
        /// 301, 302, 303, 307 or 308.
        status: Expr,
        /// The Location.
        location: Expr,
    },
    /// Could not be read, or is not supported yet; reported already.
    Error,
}

/// `(NAME | URL | weighted) [at PATH] [by KEY]`.
#[derive(Debug)]
pub struct Forward {
    /// One, or several with percentages.
    pub to: Vec<Weighted>,
    /// `at PATH`.
    pub at: Option<Spanned<Vec<TextPart>>>,
    /// `by KEY`: what keeps its side.
    pub by: Option<Key>,
}

/// `90% orders`.
#[derive(Debug)]
pub struct Weighted {
    /// Its share; none for a single upstream.
    pub percent: Option<Expr>,
    /// Which.
    pub upstream: UpstreamRef,
}

/// An upstream by name or by URL.
#[derive(Debug)]
pub enum UpstreamRef {
    /// Declared.
    Name(Name),
    /// `http://localhost:3000`: an upstream of its own.
    Url(Expr),
}

/// A part of a text with holes: `"a {expr}"`, `/x/{id}`.
#[derive(Clone, Debug)]
pub enum TextPart {
    /// As it is.
    Text(SmolStr),
    /// A value.
    Hole(Expr),
}

/// `respond STATUS [json E | text E | html E | file P | problem "title"]`.
#[derive(Debug)]
pub struct Respond {
    /// The status.
    pub status: Expr,
    /// The body.
    pub body: RespondBody,
    /// Where.
    pub span: Span,
}

/// The body of a `respond`.
#[derive(Debug)]
#[allow(missing_docs)]
pub enum RespondBody {
    None,
    Json(Expr),
    Text(Expr),
    Html(Expr),
    /// Read when the program is loaded, relative to the file it stands in.
    File(Expr),
    Problem(Expr),
}

/// A policy statement.
#[derive(Debug)]
pub struct Statement {
    /// What it says.
    pub kind: StatementKind,
    /// `when EXPR` at its end.
    pub when: Option<Expr>,
    /// `report-only`.
    pub report_only: Option<Span>,
    /// Its documentation.
    pub docs: Docs,
    /// From its keyword to its end.
    pub span: Span,
}

/// The policy statements.
#[derive(Debug)]
pub enum StatementKind {
    /// `require EXPR [else STATUS ["reason"]]`.
    Require {
        /// What must hold.
        condition: Expr,
        /// `else STATUS`.
        status: Option<Expr>,
        /// `else STATUS "title"`.
        title: Option<Expr>,
    },
    /// `auth A [or B …]`, `auth optional A`, `auth none`.
    Auth(AuthUse),
    /// `limit …`.
    Limit(Limit),
    /// `cors {…}` / `cors none`.
    Cors(Option<Cors>),
    /// `body max SIZE` / `body none` (none: the default limit again).
    BodyMax(Option<Expr>),
    /// `accepts "type", …` / `accepts none`.
    Accepts(Vec<Expr>),
    /// `request {…}`.
    Request(Vec<Assignment>),
    /// `response {…}`.
    Response(Vec<Assignment>),
    /// `timeout …`; none for `timeout none`.
    Timeout(Option<Timeouts>),
    /// `retry …`.
    Retry(Retry),
    /// `mirror P% to NAME`.
    Mirror {
        /// How many of the requests.
        share: Expr,
        /// Where copies go.
        to: Name,
    },
    /// `on error KIND, … respond …`.
    OnError {
        /// Failure kinds; empty for every.
        kinds: Vec<Name>,
        /// The answer.
        respond: Respond,
    },
    /// `on upstream 5xx, 404 respond …`.
    OnUpstream {
        /// Statuses and classes.
        statuses: Vec<Spanned<StatusMatch>>,
        /// The answer.
        respond: Respond,
    },
    /// `tag NAME = EXPR`.
    Tag {
        /// Its name.
        name: Name,
        /// Its value.
        value: Expr,
    },
    /// `log EXPR, …`: fields added to the access log; `log none`: no access log line.
    Log(Option<Vec<(Name, Expr)>>),
    /// `use POLICY(args)`.
    Use {
        /// Which.
        policy: Name,
        /// With what.
        arguments: Vec<Expr>,
    },
    /// `when EXPR {…}`.
    When {
        /// The condition.
        condition: Expr,
        /// The statements it holds for.
        statements: Vec<Statement>,
    },
}

/// A status or a class of statuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StatusMatch {
    /// One status.
    Status(u16),
    /// A class, by its hundred: `5xx` is 5.
    Class(u8),
}

impl StatusMatch {
    /// Whatever `other` matches, this does.
    pub fn covers(self, other: StatusMatch) -> bool {
        match (self, other) {
            (StatusMatch::Class(class), StatusMatch::Status(status)) => status / 100 == u16::from(class),
            (a, b) => a == b,
        }
    }
}

/// The argument of `auth`.
#[derive(Debug)]
pub enum AuthUse {
    /// `auth A or B`.
    Required(Vec<Name>),
    /// `auth optional A or B`.
    Optional(Vec<Name>),
    /// `auth none`.
    None,
}

/// `limit RATE [burst N | fixed | concurrent] [by KEY] …`.
#[derive(Debug)]
pub struct Limit {
    /// A rate, or for `concurrent` a count.
    pub amount: Expr,
    /// How it counts.
    pub kind: LimitKind,
    /// `by KEY`.
    pub by: Option<Key>,
    /// `else skip`: an absent key is not limited.
    pub else_skip: bool,
    /// `name N`.
    pub name: Option<Name>,
}

/// How a limit counts.
#[derive(Debug)]
pub enum LimitKind {
    /// Sliding window.
    Sliding,
    /// `burst N`: a token bucket (GCRA).
    Bucket(Expr),
    /// `fixed`: calendar windows, UTC.
    Fixed,
    /// `concurrent`: how many at once.
    Concurrent,
}

/// `by caller`, `by client.ip, header.x ?? "none"`.
#[derive(Debug)]
pub struct Key {
    /// Its parts.
    pub parts: Vec<Expr>,
    /// Where.
    pub span: Span,
}

/// `cors {…}` (Fetch standard).
#[derive(Debug, Default)]
pub struct Cors {
    /// `origins "https://…", …`; `any`.
    pub origins: Vec<Expr>,
    /// `origins any`.
    pub any_origin: Option<Span>,
    /// `methods GET, …`; by default those of the routes at this path.
    pub methods: Vec<Spanned<Method>>,
    /// `headers "x", …`.
    pub headers: Vec<Expr>,
    /// `headers any`.
    pub any_header: bool,
    /// `expose "x", …`.
    pub expose: Vec<Expr>,
    /// `credentials`.
    pub credentials: bool,
    /// `max-age D`.
    pub max_age: Option<Expr>,
    /// The block.
    pub span: Span,
    /// Something in it could not be read.
    pub damaged: bool,
}

/// `set|add PLACE = EXPR`, `remove PLACE`.
#[derive(Debug)]
pub struct Assignment {
    /// Which of the three.
    pub verb: AssignVerb,
    /// What is written.
    pub place: Spanned<Place>,
    /// The value; none for `remove`.
    pub value: Option<Expr>,
    /// The statement.
    pub span: Span,
    /// `when EXPR` at its end.
    pub when: Option<Expr>,
}

/// What an assignment does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum AssignVerb {
    Set,
    Add,
    Remove,
}

/// What an assignment writes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// `header.x`, in lower case.
    Header(SmolStr),
    /// `query.x`.
    Query(SmolStr),
    /// `cookie.x`.
    Cookie(SmolStr),
    /// `path`.
    Path,
    /// `method`.
    Method,
    /// `host`.
    Host,
    /// `status`.
    Status,
}

/// `invariant "…" { for route [where E] expect E }`.
#[derive(Debug)]
pub struct Invariant {
    /// What it says.
    pub title: Spanned<SmolStr>,
    /// Which routes; all without.
    pub filter: Option<Expr>,
    /// What must hold for each.
    pub expect: Expr,
    /// The declaration's first line.
    pub span: Span,
}

/// An expression.
#[derive(Clone, Debug)]
pub struct Expr {
    /// What.
    pub kind: ExprKind,
    /// Where.
    pub span: Span,
}

/// The kinds of expressions.
#[derive(Clone, Debug)]
pub enum ExprKind {
    /// A literal without holes.
    Literal(Value<'static>),
    /// `"a {b}"`; a path or URL with holes.
    Text(Vec<TextPart>),
    /// The first word of a name: a fact, parameter, constant, input, table, union member's subject.
    Name(SmolStr),
    /// `a.b`.
    Field(Box<Expr>, Name),
    /// `a["b"]`, `a[0]`.
    Index(Box<Expr>, Box<Expr>),
    /// `f(x, y)`.
    Call(Name, Vec<Expr>),
    /// `[a, b]`.
    List(Vec<Expr>),
    /// `{ a: b }`.
    Object(Vec<(Name, Expr)>),
    /// `not a`.
    Not(Box<Expr>),
    /// `a OP b`.
    Binary(BinaryOp, Span, Box<Expr>, Box<Expr>),
    /// `match a { "x": b, else: c }`.
    Match {
        /// What is looked at.
        subject: Box<Expr>,
        /// Pattern (a literal) and result.
        arms: Vec<(Expr, Expr)>,
        /// `else:`.
        otherwise: Option<Box<Expr>>,
    },
    /// Could not be read; reported already.
    Error,
}

/// Binary operators.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum BinaryOp {
    Or,
    And,
    Equal,
    NotEqual,
    Less,
    LessEqual,
    Greater,
    GreaterEqual,
    In,
    NotIn,
    Has,
    HasAny,
    HasAll,
    Matches,
    StartsWith,
    EndsWith,
    Coalesce,
    Add,
    Subtract,
}
