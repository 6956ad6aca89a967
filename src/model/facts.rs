//! The facts: what an expression can ask about a request, in one table.
//!
//! Names, types, phases, documentation and examples come from [`FACTS`]; completion, `gw help` and the reference are made
//! from it too.

use super::types::Type;
use super::value::NameKind;
use http::HeaderName;
use smol_str::SmolStr;

/// When a fact becomes known. What is known in a phase stays known in the later ones.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Phase {
    /// Before anything is served.
    #[default]
    Constant,
    /// When a connection is there: `client.*`.
    Client,
    /// When the request head is read and a route is found.
    Request,
    /// When the caller is authenticated.
    Caller,
    /// When the request body is read.
    Body,
    /// When the target is chosen.
    Upstream,
    /// When the answer's head is there.
    Response,
    /// When the request has failed: `on error`.
    Error,
    /// When it is over: `tag`, `log`.
    Record,
}

impl Phase {
    /// For "… is known …".
    pub fn when(self) -> &'static str {
        match self {
            Phase::Constant => "before anything is served",
            Phase::Client => "when a client has connected",
            Phase::Request => "when the request head is read and its route is found",
            Phase::Caller => "after the caller is authenticated",
            Phase::Body => "after the request body is read",
            Phase::Upstream => "after the upstream is chosen",
            Phase::Response => "when the response has begun",
            Phase::Error => "when the request has failed",
            Phase::Record => "when the request is over",
        }
    }
}

/// A fact: what one read asks the request for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Fact {
    /// `method`.
    Method,
    /// `scheme`: `http` or `https`.
    Scheme,
    /// `host`: the normalised authority without its port.
    Host,
    /// `path`: the normalised path.
    Path,
    /// `query.X`: the first value of a parameter, decoded.
    Query(SmolStr),
    /// `header.X`: the first field of this name.
    Header(HeaderName),
    /// `headers("x")`: all fields of this name.
    Headers(HeaderName),
    /// `cookie.X`.
    Cookie(SmolStr),
    /// `body`: the request body as JSON.
    Body,
    /// `client.ip`.
    ClientIp,
    /// `client.certificate`: the subject of the client's certificate.
    ClientCertificate,
    /// `request.id`.
    RequestId,
    /// `request.time`.
    RequestTime,
    /// `request.uri`: the normalised path and query.
    RequestUri,
    /// `version`.
    Version,
    /// `route.name`.
    RouteName,
    /// `instance`: this gateway process.
    Instance,
    /// `caller` as a whole: a map of id, via and claims; null for an anonymous caller.
    Caller,
    /// `caller` as a key: the pair of via and id.
    CallerKey,
    /// `caller.id`.
    CallerId,
    /// `caller.via`: the auth that accepted the caller.
    CallerVia,
    /// `caller.scopes`.
    CallerScopes,
    /// `caller.X`: a declared claim.
    Claim(SmolStr),
    /// `upstream.name`.
    UpstreamName,
    /// `upstream.server`: the address that answered.
    UpstreamServer,
    /// `upstream.time`: from sending the request to the first byte of the answer.
    UpstreamTime,
    /// `response.status`.
    ResponseStatus,
    /// `response.header.X`.
    ResponseHeader(HeaderName),
    /// `response.body` as JSON.
    ResponseBody,
    /// `error.kind`.
    ErrorKind,
    /// `error.status`.
    ErrorStatus,
    /// `error.title`.
    ErrorTitle,
    /// `error.reason`: why authentication failed.
    ErrorReason,
    /// `route.X` in an invariant.
    Route(RouteFact),
}

/// What an invariant can ask about a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RouteFact {
    /// `route.name`; null where it has none.
    Name,
    /// `route.methods`; every method for `ANY`.
    Methods,
    /// `route.path`: its whole pattern as written.
    Path,
    /// `route.host`; null where it stands in every host.
    Host,
    /// `route.auth`: the auths of which one must accept; null (`none`) for anonymous routes.
    Auth,
    /// `route.limits`: their rates.
    Limits,
    /// `route.timeout`: the total, null where there is none.
    Timeout,
    /// `route.upstreams`.
    Upstreams,
    /// `route.cached`.
    Cached,
    /// `route.version`.
    Version,
}

/// A set of kinds of facts: what an expression reads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Reads(u16);

#[allow(missing_docs)]
impl Reads {
    pub const NOTHING: Reads = Reads(0);
    pub const CLIENT: Reads = Reads(1);
    pub const HEAD: Reads = Reads(1 << 1);
    pub const PARAM: Reads = Reads(1 << 2);
    pub const CALLER: Reads = Reads(1 << 3);
    pub const BODY: Reads = Reads(1 << 4);
    pub const UPSTREAM: Reads = Reads(1 << 5);
    pub const RESPONSE: Reads = Reads(1 << 6);
    pub const RESPONSE_BODY: Reads = Reads(1 << 7);
    pub const ERROR: Reads = Reads(1 << 8);
    pub const TABLE: Reads = Reads(1 << 9);
    /// `now()` and `uuid()`: another value each time.
    pub const VOLATILE: Reads = Reads(1 << 10);
    /// An input without a value: constant while serving, unknown while checking.
    pub const INPUT: Reads = Reads(1 << 11);
    /// What an invariant asks about a route.
    pub const ROUTE: Reads = Reads(1 << 12);

    /// Everything in `self` or `other`.
    pub const fn with(self, other: Reads) -> Reads {
        Reads(self.0 | other.0)
    }

    /// Everything in `other` is in `self`.
    pub const fn contains(self, other: Reads) -> bool {
        self.0 & other.0 == other.0
    }

    /// Something of `other` is in `self`.
    pub const fn any_of(self, other: Reads) -> bool {
        self.0 & other.0 != 0
    }

    /// Nothing is read.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }
}

impl std::ops::BitOr for Reads {
    type Output = Reads;
    fn bitor(self, other: Reads) -> Reads {
        self.with(other)
    }
}

impl std::ops::BitOrAssign for Reads {
    fn bitor_assign(&mut self, other: Reads) {
        *self = self.with(other);
    }
}

/// How a row makes its fact.
#[derive(Clone, Copy, Debug)]
pub enum Make {
    /// The fact has no name in it.
    Plain(fn() -> Fact),
    /// `query.X`: any name.
    Named(fn(SmolStr) -> Fact),
    /// `header.X`: a field name, in lower case.
    Field(fn(HeaderName) -> Fact),
}

/// One row of the table.
#[derive(Clone, Copy, Debug)]
pub struct FactRow {
    /// `client.ip`; `header.` where a name follows.
    pub name: &'static str,
    /// Its type.
    pub ty: fn() -> Type,
    /// When it is known.
    pub phase: Phase,
    /// What reading it counts as.
    pub reads: Reads,
    /// How it is made.
    pub make: Make,
    /// It works; otherwise the check says "not supported yet".
    pub supported: bool,
    /// One sentence.
    pub doc: &'static str,
    /// An expression that reads it.
    pub example: &'static str,
}

fn text() -> Type {
    Type::String
}
fn maybe_text() -> Type {
    Type::String.optional()
}
fn union(words: &[&str]) -> Type {
    Type::Union(words.iter().map(SmolStr::new).collect())
}

/// The kinds of failure (language.md, section 10).
pub const ERROR_KINDS: [&str; 17] = {
    let mut kinds = [""; 17];
    let mut at = 0;
    while at < kinds.len() {
        kinds[at] = super::statements::FAILURES[at].0;
        at += 1;
    }
    kinds
};

macro_rules! row {
    ($name:literal, $ty:expr, $phase:ident, $reads:ident, $make:expr, $doc:literal, $example:literal) => {
        FactRow {
            name: $name, ty: $ty, phase: Phase::$phase, reads: Reads::$reads, make: $make, supported: true, doc: $doc, example: $example,
        }
    };
    (later $($row:tt)*) => {
        FactRow { supported: false, ..row!($($row)*) }
    };
}

/// Every fact of a request. `caller.NAME` for declared claims comes on top, from the auths of the route.
pub const FACTS: &[FactRow] = &[
    row!(
        "method",
        || Type::Method,
        Request,
        HEAD,
        Make::Plain(|| Fact::Method),
        "The request's method.",
        "method in [GET, HEAD]"
    ),
    row!(
        "scheme",
        || union(&["http", "https"]),
        Request,
        HEAD,
        Make::Plain(|| Fact::Scheme),
        "The scheme that the client used.",
        "scheme == \"https\""
    ),
    row!(
        "host",
        text,
        Request,
        HEAD,
        Make::Plain(|| Fact::Host),
        "The host that the client asked for, in lower case, without its port.",
        "host ends-with \".example.com\""
    ),
    row!(
        "path",
        text,
        Request,
        HEAD,
        Make::Plain(|| Fact::Path),
        "The path, normalised.",
        "path starts-with \"/admin\""
    ),
    row!(
        "query.",
        maybe_text,
        Request,
        HEAD,
        Make::Named(Fact::Query),
        "The first value of a query parameter, decoded.",
        "query.page ?? \"1\""
    ),
    row!(
        "header.",
        maybe_text,
        Request,
        HEAD,
        Make::Field(Fact::Header),
        "The first request header of this name.",
        "header.x-beta == \"1\""
    ),
    row!("cookie.", maybe_text, Request, HEAD, Make::Named(Fact::Cookie), "A cookie.", "cookie.theme ?? \"light\""),
    row!(
        "body",
        || Type::Json,
        Body,
        BODY,
        Make::Plain(|| Fact::Body),
        "The request body as JSON; reading it buffers it up to `body max`.",
        "body.sku == \"a1\""
    ),
    row!(
        "client.ip",
        || Type::Ip,
        Client,
        CLIENT,
        Make::Plain(|| Fact::ClientIp),
        "The client's address, behind trusted proxies.",
        "client.ip in 10.0.0.0/8"
    ),
    row!(
        "client.certificate",
        maybe_text,
        Client,
        CLIENT,
        Make::Plain(|| Fact::ClientCertificate),
        "The subject of the client's certificate (RFC 4514), if it showed one.",
        "client.certificate != null"
    ),
    row!(
        "request.id",
        text,
        Request,
        HEAD,
        Make::Plain(|| Fact::RequestId),
        "The request's id, as in `X-Request-Id`.",
        "request.id"
    ),
    row!(
        "request.time",
        || Type::Time,
        Request,
        HEAD,
        Make::Plain(|| Fact::RequestTime),
        "When the request arrived.",
        "format(request.time, \"%Y-%m-%d\")"
    ),
    row!(
        "request.uri",
        text,
        Request,
        HEAD,
        Make::Plain(|| Fact::RequestUri),
        "The normalised path with the query.",
        "request.uri"
    ),
    row!(later "version", maybe_text, Request, HEAD, Make::Plain(|| Fact::Version), "The api version that was asked for.", "version == \"v2\""),
    row!(
        "route.name",
        || Type::Name(NameKind::Route),
        Request,
        HEAD,
        Make::Plain(|| Fact::RouteName),
        "The name of the route.",
        "route.name == shop.get-user"
    ),
    row!(
        "instance",
        text,
        Request,
        HEAD,
        Make::Plain(|| Fact::Instance),
        "The name of this gateway process.",
        "instance"
    ),
    row!(
        "caller.id",
        text,
        Caller,
        CALLER,
        Make::Plain(|| Fact::CallerId),
        "Who the caller is: the token's `sub`, the key's name.",
        "caller.id == text(id)"
    ),
    row!(
        "caller.via",
        || Type::Name(NameKind::Auth),
        Caller,
        CALLER,
        Make::Plain(|| Fact::CallerVia),
        "The auth that accepted the caller.",
        "caller.via == partner"
    ),
    row!(
        "caller.scopes",
        || Type::List(Box::new(Type::String)),
        Caller,
        CALLER,
        Make::Plain(|| Fact::CallerScopes),
        "The token's scopes.",
        "\"orders:write\" in caller.scopes"
    ),
    row!(
        "upstream.name",
        || Type::Name(NameKind::Upstream),
        Upstream,
        UPSTREAM,
        Make::Plain(|| Fact::UpstreamName),
        "The upstream that was chosen.",
        "upstream.name == orders"
    ),
    row!(
        "upstream.server",
        text,
        Upstream,
        UPSTREAM,
        Make::Plain(|| Fact::UpstreamServer),
        "The server that was asked.",
        "upstream.server"
    ),
    row!(
        "upstream.time",
        || Type::Duration,
        Response,
        RESPONSE,
        Make::Plain(|| Fact::UpstreamTime),
        "How long the upstream took to begin its answer.",
        "upstream.time ?? 0s"
    ),
    row!(
        "response.status",
        || Type::Status,
        Response,
        RESPONSE,
        Make::Plain(|| Fact::ResponseStatus),
        "The status of the answer.",
        "response.status >= 500"
    ),
    row!(
        "response.header.",
        maybe_text,
        Response,
        RESPONSE,
        Make::Field(Fact::ResponseHeader),
        "The first response header of this name.",
        "response.header.content-type"
    ),
    row!(later "response.body", || Type::Json, Response, RESPONSE_BODY, Make::Plain(|| Fact::ResponseBody), "The response body as JSON; reading it buffers it.", "response.body.items"),
    row!(
        "error.kind",
        || union(&ERROR_KINDS),
        Error,
        ERROR,
        Make::Plain(|| Fact::ErrorKind),
        "The kind of failure.",
        "error.kind == \"limited\""
    ),
    row!(
        "error.status",
        || Type::Status,
        Error,
        ERROR,
        Make::Plain(|| Fact::ErrorStatus),
        "The status of the failure.",
        "error.status"
    ),
    row!("error.title", text, Error, ERROR, Make::Plain(|| Fact::ErrorTitle), "What the failure says.", "error.title"),
    row!(
        "error.reason",
        || union(&["missing", "invalid", "expired"]).optional(),
        Error,
        ERROR,
        Make::Plain(|| Fact::ErrorReason),
        "Why authentication failed.",
        "error.reason == \"expired\""
    ),
];

/// What `route.X` is in an invariant.
pub const ROUTE_FACTS: &[FactRow] = &[
    row!(
        "route.name",
        || Type::Name(NameKind::Route).optional(),
        Constant,
        ROUTE,
        Make::Plain(|| Fact::Route(RouteFact::Name)),
        "The route's name.",
        "route.name == shop.home"
    ),
    row!(
        "route.methods",
        || Type::List(Box::new(Type::Method)),
        Constant,
        ROUTE,
        Make::Plain(|| Fact::Route(RouteFact::Methods)),
        "Its methods; every one for `ANY`.",
        "route.methods has any [POST, PUT]"
    ),
    row!(
        "route.path",
        text,
        Constant,
        ROUTE,
        Make::Plain(|| Fact::Route(RouteFact::Path)),
        "Its whole pattern.",
        "route.path starts-with \"/admin\""
    ),
    row!(
        "route.host",
        maybe_text,
        Constant,
        ROUTE,
        Make::Plain(|| Fact::Route(RouteFact::Host)),
        "Its host, if it has one.",
        "route.host == \"api.example.com\""
    ),
    row!(
        "route.auth",
        || Type::List(Box::new(Type::Name(NameKind::Auth))).optional(),
        Constant,
        ROUTE,
        Make::Plain(|| Fact::Route(RouteFact::Auth)),
        "Its auths; `none` where anonymous callers pass.",
        "route.auth != none"
    ),
    row!(
        "route.limits",
        || Type::List(Box::new(Type::Rate)),
        Constant,
        ROUTE,
        Make::Plain(|| Fact::Route(RouteFact::Limits)),
        "The rates of its limits.",
        "len(route.limits) > 0"
    ),
    row!(
        "route.timeout",
        || Type::Duration.optional(),
        Constant,
        ROUTE,
        Make::Plain(|| Fact::Route(RouteFact::Timeout)),
        "Its total timeout.",
        "(route.timeout ?? 1h) <= 30s"
    ),
    row!(
        "route.upstreams",
        || Type::List(Box::new(Type::Name(NameKind::Upstream))),
        Constant,
        ROUTE,
        Make::Plain(|| Fact::Route(RouteFact::Upstreams)),
        "The upstreams it can reach.",
        "route.upstreams has orders"
    ),
    row!(later "route.cached", || Type::Bool, Constant, ROUTE, Make::Plain(|| Fact::Route(RouteFact::Cached)), "Whether its answers are cached.", "not route.cached"),
    row!(later "route.version", maybe_text, Constant, ROUTE, Make::Plain(|| Fact::Route(RouteFact::Version)), "Its version, if it has one.", "route.version != \"v1\""),
];

impl FactRow {
    /// The row of a fact that is written `name`, or whose name stands before the last dot of it.
    pub fn find(name: &str) -> Option<&'static FactRow> {
        FACTS.iter().find(|r| r.name == name)
    }

    /// As it is shown: `header.NAME`.
    pub fn display(&self) -> String {
        if self.name.ends_with('.') { format!("{}NAME", self.name) } else { self.name.into() }
    }
}
