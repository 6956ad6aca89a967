//! Where a word may stand.

use super::Row;

/// A set of places. Most rows have one; policy statements stand in several.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Context(u32);

macro_rules! contexts {
    ($($name:ident $bit:literal $phrase:literal)*) => {
        #[allow(missing_docs)]
        impl Context {
            $(pub const $name: Context = Context(1 << $bit);)*
            const ALL: &'static [(Context, &'static str)] = &[$((Context::$name, $phrase)),*];
        }
    };
}

contexts! {
    TOP 0 "at top level"
    API 1 "in an `api`"
    GROUP 2 "in a `group`"
    ROUTE 3 "in a `route`"
    POLICY 4 "in a `policy`"
    WHEN 5 "in a `when` block"
    LISTEN 6 "in a `listen` block"
    UPSTREAM 7 "in an `upstream`"
    UPSTREAM_TLS 8 "in the `tls` block of an `upstream`"
    JWT 9 "in a `jwt` block"
    API_KEY 10 "in an `api-key` block"
    CORS 11 "in a `cors` block"
    REQUEST 12 "in a `request` block"
    RESPONSE 13 "in a `response` block"
    INVARIANT 14 "in an `invariant`"
    SCHEME 15 "behind `listen`"
    AUTH_KIND 16 "behind `auth NAME =`"
    TARGET 17 "behind `->`"
    RESPOND 18 "behind `respond STATUS`"
    CLIENT_CERTIFICATES 19 "in a `client-certificates` block"
    ACME 27 "in an `acme` block"
    HEALTH 26 "in a `health` block"
    UPSTREAM_OAUTH 28 "in an `oauth` block"
}

impl Context {
    /// No place at all.
    pub const NOWHERE: Context = Context(0);

    /// Where every policy statement may stand.
    pub const POLICIES: Context =
        Context::TOP.or(Context::API).or(Context::GROUP).or(Context::ROUTE).or(Context::POLICY).or(Context::WHEN);

    /// Where `auth` may stand: a condition may not switch protection off.
    pub const UNCONDITIONAL: Context =
        Context::TOP.or(Context::API).or(Context::GROUP).or(Context::ROUTE).or(Context::POLICY);

    /// The places of both.
    pub const fn or(self, other: Context) -> Context {
        Context(self.0 | other.0)
    }

    /// They share a place.
    pub const fn contains(self, other: Context) -> bool {
        self.0 & other.0 != 0
    }

    /// No place at all.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Every single place.
    pub fn each() -> impl Iterator<Item = Context> {
        Context::ALL.iter().map(|(c, _)| *c)
    }

    /// `at top level, in an `api` or in a `group``.
    pub fn phrase(self) -> String {
        let places: Vec<&str> = Context::ALL.iter().filter(|(c, _)| self.contains(*c)).map(|(_, p)| *p).collect();
        match places.as_slice() {
            [] => String::new(),
            [one] => (*one).to_owned(),
            [first @ .., last] => format!("{} or {last}", first.join(", ")),
        }
    }
}

impl Row {
    /// The places inside of it: in its block, or behind it. Policy statements may stand in scopes too.
    pub fn inside(&self) -> Context {
        match self.word {
            "listen" if self.contexts.contains(Context::TOP) => Context::LISTEN.or(Context::SCHEME),
            "client-certificates" => Context::CLIENT_CERTIFICATES,
            "upstream" => Context::UPSTREAM,
            "tls" if self.contexts.contains(Context::UPSTREAM) => Context::UPSTREAM_TLS,
            "auth" if self.phase.is_none() => Context::AUTH_KIND,
            "health" => Context::HEALTH,
            "oauth" => Context::UPSTREAM_OAUTH,
            "jwt" => Context::JWT,
            "api-key" => Context::API_KEY,
            "acme" => Context::ACME,
            "cors" => Context::CORS,
            "request" => Context::REQUEST,
            "response" => Context::RESPONSE,
            "invariant" => Context::INVARIANT,
            "api" => Context::API,
            "group" => Context::GROUP,
            "route" => Context::TARGET,
            "policy" => Context::POLICY,
            "respond" if self.contexts.contains(Context::TARGET) => Context::RESPOND,
            _ => Context::NOWHERE,
        }
    }

    /// The rows that stand inside of it, policy statements left out: they stand in every scope.
    pub fn settings(&self) -> impl Iterator<Item = &'static Row> {
        let inside = self.inside();
        super::rows().filter(move |row| row.contexts.contains(inside) && row.phase.is_none() && !is_common(row))
    }
}

/// It may stand in every scope, as policy statements may.
fn is_common(row: &Row) -> bool {
    row.contexts.contains(Context::POLICY) || row.contexts.contains(Context::TOP)
}
