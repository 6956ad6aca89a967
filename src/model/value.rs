//! Values: literals in a program, and what expressions give while a request is decided.

use http::Method;
use ipnet::IpNet;
use smol_str::SmolStr;
use std::borrow::Cow;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

/// A value. Borrows from the plan and the request where it can, so that reading a fact allocates nothing.
#[derive(Clone, Debug)]
pub enum Value<'a> {
    /// Absent: an optional fact that is not there, or JSON's null.
    Null,
    /// `true`, `false`.
    Bool(bool),
    /// A 64-bit integer.
    Int(i64),
    /// A finite number.
    Float(f64),
    /// Text: `string`, `url`, and members of a union of string literals.
    Str(Cow<'a, str>),
    /// Bytes, such as a decoded base64 text.
    Bytes(Cow<'a, [u8]>),
    /// A UUID.
    Uuid(uuid::Uuid),
    /// A calendar date.
    Date(jiff::civil::Date),
    /// A moment.
    Time(jiff::Timestamp),
    /// A duration.
    Duration(Duration),
    /// A number of bytes.
    Size(u64),
    /// So many in so long.
    Rate(Rate),
    /// A share in percent, 0 to 100.
    Percent(f64),
    /// An IP address.
    Ip(IpAddr),
    /// A network.
    Cidr(IpNet),
    /// An address with a port.
    Address(SocketAddr),
    /// A request method.
    Method(Method),
    /// A status code, 100–599.
    Status(u16),
    /// JSON.
    Json(Cow<'a, serde_json::Value>),
    /// What must not be shown.
    Secret(Secret),
    /// A list.
    List(Cow<'a, [Value<'static>]>),
    /// A map or object with text keys, in insertion order.
    Map(Cow<'a, [(SmolStr, Value<'static>)]>),
    /// The name of a route, an upstream or an auth, as a value for `==`.
    Name(NameKind, SmolStr),
}

/// What a [`Value::Name`] names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum NameKind {
    /// `shop.get-user`.
    Route,
    /// An upstream.
    Upstream,
    /// An auth.
    Auth,
}

/// `100/min`: a count in a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Rate {
    /// How many.
    pub count: u64,
    /// In how long: a second, minute, hour or day.
    pub per: Duration,
}

impl std::fmt::Display for Rate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let unit = match self.per.as_secs() {
            1 => "s",
            60 => "min",
            3600 => "h",
            86_400 => "day",
            other => return write!(f, "{}/{other}s", self.count),
        };
        write!(f, "{}/{unit}", self.count)
    }
}

/// Text that is never printed: `Debug` and `Display` show `<secret>`.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Secret(Arc<str>);

impl Secret {
    /// Takes the text.
    pub fn new(text: &str) -> Secret {
        Secret(text.into())
    }

    /// The text itself: only for a credential position or a request to an upstream.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("<secret>")
    }
}

impl std::fmt::Display for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("<secret>")
    }
}
