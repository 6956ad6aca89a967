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
    Json(Json<'a>),
    /// What must not be shown.
    Secret(Secret),
    /// A list.
    List(Cow<'a, [Value<'static>]>),
    /// A map or object with text keys, in insertion order.
    Map(Cow<'a, [(SmolStr, Value<'static>)]>),
    /// The name of a route, an upstream or an auth, as a value for `==`.
    Name(NameKind, SmolStr),
}

/// JSON in a value. What is owned is behind a pointer: values, and the expressions that hold them, stay small.
#[derive(Clone, Debug)]
pub enum Json<'a> {
    /// Somebody else's.
    Borrowed(&'a serde_json::Value),
    /// Its own.
    Owned(Box<serde_json::Value>),
}

impl Json<'_> {
    fn into_static(self) -> Json<'static> {
        Json::Owned(match self {
            Json::Borrowed(json) => Box::new(json.clone()),
            Json::Owned(json) => json,
        })
    }
}

impl std::ops::Deref for Json<'_> {
    type Target = serde_json::Value;

    fn deref(&self) -> &serde_json::Value {
        match self {
            Json::Borrowed(json) => json,
            Json::Owned(json) => json,
        }
    }
}

impl From<serde_json::Value> for Value<'static> {
    fn from(json: serde_json::Value) -> Self {
        Value::Json(Json::Owned(Box::new(json)))
    }
}

impl<'a> Value<'a> {
    /// Text that lives as long as the value's lender.
    pub fn str(text: &'a str) -> Value<'a> {
        Value::Str(Cow::Borrowed(text))
    }

    /// The same value, borrowing what is long.
    pub fn borrowed(&'a self) -> Value<'a> {
        match self {
            Value::Str(s) => Value::Str(Cow::Borrowed(s)),
            Value::Bytes(b) => Value::Bytes(Cow::Borrowed(b)),
            Value::Json(j) => Value::Json(Json::Borrowed(j)),
            Value::List(l) => Value::List(Cow::Borrowed(l)),
            Value::Map(m) => Value::Map(Cow::Borrowed(m)),
            other => other.clone(),
        }
    }

    /// The same value, borrowing nothing.
    pub fn into_static(self) -> Value<'static> {
        match self {
            Value::Str(s) => Value::Str(Cow::Owned(s.into_owned())),
            Value::Bytes(b) => Value::Bytes(Cow::Owned(b.into_owned())),
            Value::Json(j) => Value::Json(j.into_static()),
            Value::List(l) => Value::List(Cow::Owned(l.into_owned())),
            Value::Map(m) => Value::Map(Cow::Owned(m.into_owned())),
            Value::Null => Value::Null,
            Value::Bool(v) => Value::Bool(v),
            Value::Int(v) => Value::Int(v),
            Value::Float(v) => Value::Float(v),
            Value::Uuid(v) => Value::Uuid(v),
            Value::Date(v) => Value::Date(v),
            Value::Time(v) => Value::Time(v),
            Value::Duration(v) => Value::Duration(v),
            Value::Size(v) => Value::Size(v),
            Value::Rate(v) => Value::Rate(v),
            Value::Percent(v) => Value::Percent(v),
            Value::Ip(v) => Value::Ip(v),
            Value::Cidr(v) => Value::Cidr(v),
            Value::Address(v) => Value::Address(v),
            Value::Method(v) => Value::Method(v),
            Value::Status(v) => Value::Status(v),
            Value::Secret(v) => Value::Secret(v),
            Value::Name(k, v) => Value::Name(k, v),
        }
    }

    /// Absent, JSON's null included.
    pub fn is_null(&self) -> bool {
        match self {
            Value::Null => true,
            Value::Json(j) => j.is_null(),
            _ => false,
        }
    }

    /// `true`, as itself or in JSON.
    pub fn is_true(&self) -> bool {
        match self {
            Value::Bool(b) => *b,
            Value::Json(j) => j.as_bool() == Some(true),
            _ => false,
        }
    }

    /// The text of what is text already: strings, URLs, union members, names, JSON strings, methods.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Value::Str(s) => Some(s),
            Value::Name(_, n) => Some(n),
            Value::Method(m) => Some(m.as_str()),
            Value::Json(j) => j.as_str(),
            _ => None,
        }
    }

    /// The value as text; none for null, lists, maps and JSON that is not a scalar. A secret shows itself: whether it may
    /// go where the text goes was decided when checking.
    pub fn text(&self) -> Option<Cow<'_, str>> {
        Some(match self {
            Value::Str(s) => Cow::Borrowed(s.as_ref()),
            Value::Secret(s) => Cow::Borrowed(s.expose()),
            Value::Name(_, n) => Cow::Borrowed(n.as_str()),
            Value::Method(m) => Cow::Borrowed(m.as_str()),
            Value::Bool(b) => Cow::Borrowed(if *b { "true" } else { "false" }),
            Value::Int(v) => Cow::Owned(v.to_string()),
            Value::Float(v) => Cow::Owned(v.to_string()),
            Value::Uuid(v) => Cow::Owned(v.hyphenated().to_string()),
            Value::Date(v) => Cow::Owned(v.to_string()),
            Value::Time(v) => Cow::Owned(v.to_string()),
            Value::Duration(v) => Cow::Owned(duration_text(*v)),
            Value::Size(v) => Cow::Owned(v.to_string()),
            Value::Rate(v) => Cow::Owned(v.to_string()),
            Value::Percent(v) => Cow::Owned(format!("{v}%")),
            Value::Ip(v) => Cow::Owned(v.to_string()),
            Value::Cidr(v) => Cow::Owned(v.to_string()),
            Value::Address(v) => Cow::Owned(v.to_string()),
            Value::Status(v) => Cow::Owned(v.to_string()),
            Value::Json(j) => match &**j {
                serde_json::Value::String(s) => Cow::Borrowed(s.as_str()),
                serde_json::Value::Bool(b) => Cow::Borrowed(if *b { "true" } else { "false" }),
                serde_json::Value::Number(n) => Cow::Owned(n.to_string()),
                _ => return None,
            },
            Value::Bytes(b) => Cow::Owned(String::from_utf8(b.to_vec()).ok()?),
            Value::Null | Value::List(_) | Value::Map(_) => return None,
        })
    }

    /// The value as text that lives as long as what it borrows from.
    pub fn into_text(self) -> Option<Cow<'a, str>> {
        match self {
            Value::Str(s) => Some(s),
            Value::Json(Json::Borrowed(serde_json::Value::String(s))) => Some(Cow::Borrowed(s)),
            other => other.text().map(|t| Cow::Owned(t.into_owned())),
        }
    }

    /// The value as JSON: exact numbers stay numbers, everything that JSON lacks becomes its text.
    pub fn to_json(&self) -> serde_json::Value {
        use serde_json::Value as J;
        match self {
            Value::Null => J::Null,
            Value::Bool(b) => J::Bool(*b),
            Value::Int(v) => (*v).into(),
            Value::Size(v) => (*v).into(),
            Value::Status(v) => (*v).into(),
            Value::Float(v) | Value::Percent(v) => serde_json::Number::from_f64(*v).map_or(J::Null, J::Number),
            Value::Json(j) => (**j).clone(),
            Value::List(l) => J::Array(l.iter().map(Value::to_json).collect()),
            Value::Map(m) => J::Object(m.iter().map(|(k, v)| (k.to_string(), v.to_json())).collect()),
            Value::Bytes(b) => {
                use base64::Engine;
                J::String(base64::engine::general_purpose::STANDARD.encode(b))
            }
            other => other.text().map_or(J::Null, |t| J::String(t.into_owned())),
        }
    }

    /// `==`: values of one type by value; an address and a network by the network of one address; JSON with a scalar by
    /// what it says. Everything else differs.
    pub fn equals(&self, other: &Value<'_>) -> bool {
        use Value::*;
        match (self, other) {
            (Json(a), Json(b)) => **a == **b,
            (Json(j), v) | (v, Json(j)) => json_equals(j, v),
            (Null, Null) => true,
            (Bool(a), Bool(b)) => a == b,
            (Float(a) | Percent(a), Float(b) | Percent(b)) => a == b,
            (Int(a), Float(b)) | (Float(b), Int(a)) => *a as f64 == *b,
            (Int(a), Status(b)) | (Status(b), Int(a)) => *a == i64::from(*b),
            (Int(a), Int(b)) => a == b,
            (Bytes(a), Bytes(b)) => a == b,
            (Uuid(a), Uuid(b)) => a == b,
            (Date(a), Date(b)) => a == b,
            (Time(a), Time(b)) => a == b,
            (Duration(a), Duration(b)) => a == b,
            (Size(a), Size(b)) => a == b,
            (Rate(a), Rate(b)) => a == b,
            (Ip(a), Ip(b)) => a == b,
            (Cidr(a), Cidr(b)) => a == b,
            (Ip(a), Cidr(b)) | (Cidr(b), Ip(a)) => IpNet::from(*a) == *b,
            (Address(a), Address(b)) => a == b,
            (Status(a), Status(b)) => a == b,
            (Secret(a), Secret(b)) => same_secret(a.expose(), b.expose()),
            (Secret(a), Str(b)) | (Str(b), Secret(a)) => same_secret(a.expose(), b),
            (Name(ka, a), Name(kb, b)) => ka == kb && a == b,
            (List(a), List(b)) => a.len() == b.len() && a.iter().zip(b.iter()).all(|(a, b)| a.equals(b)),
            (Map(a), Map(b)) => {
                a.len() == b.len()
                    && a.iter().all(|(k, v)| b.iter().find(|(other, _)| other == k).is_some_and(|(_, w)| v.equals(w)))
            }
            (a, b) => matches!((a.as_str(), b.as_str()), (Some(a), Some(b)) if a == b),
        }
    }

    /// The order of two values of one ordered type; none where there is none.
    pub fn order(&self, other: &Value<'_>) -> Option<std::cmp::Ordering> {
        use Value::*;
        match (self, other) {
            (Duration(a), Duration(b)) => Some(a.cmp(b)),
            (Size(a), Size(b)) => Some(a.cmp(b)),
            (Date(a), Date(b)) => Some(a.cmp(b)),
            (Time(a), Time(b)) => Some(a.cmp(b)),
            (Str(a), Str(b)) => Some(a.cmp(b)),
            (a, b) => match (a.integer(), b.integer()) {
                (Some(a), Some(b)) => Some(a.cmp(&b)),
                _ => a.number()?.partial_cmp(&b.number()?),
            },
        }
    }

    fn integer(&self) -> Option<i64> {
        match self {
            Value::Int(v) => Some(*v),
            Value::Status(v) => Some(i64::from(*v)),
            Value::Json(j) => j.as_i64(),
            _ => None,
        }
    }

    fn number(&self) -> Option<f64> {
        match self {
            Value::Int(v) => Some(*v as f64),
            Value::Status(v) => Some(f64::from(*v)),
            Value::Float(v) | Value::Percent(v) => Some(*v),
            Value::Json(j) => j.as_f64(),
            _ => None,
        }
    }
}

fn json_equals(json: &serde_json::Value, value: &Value<'_>) -> bool {
    use serde_json::Value as J;
    match (json, value) {
        (J::Null, Value::Null) => true,
        (J::Bool(a), Value::Bool(b)) => a == b,
        (J::Number(a), Value::Int(b)) => a.as_i64().map_or_else(|| a.as_f64() == Some(*b as f64), |a| a == *b),
        (J::Number(a), Value::Float(b)) => a.as_f64() == Some(*b),
        (J::Number(a), Value::Status(b)) => a.as_i64() == Some(i64::from(*b)),
        (J::String(a), b) => match b {
            Value::Null | Value::Bool(_) | Value::Int(_) | Value::Float(_) | Value::List(_) | Value::Map(_) => false,
            b => b.text().is_some_and(|t| t == a.as_str()),
        },
        (J::Array(a), Value::List(b)) => a.len() == b.len() && a.iter().zip(b.iter()).all(|(a, b)| json_equals(a, b)),
        (J::Object(a), Value::Map(b)) => {
            a.len() == b.len() && b.iter().all(|(k, v)| a.get(k.as_str()).is_some_and(|j| json_equals(j, v)))
        }
        _ => false,
    }
}

/// Compares in a time that does not depend on where they differ.
fn same_secret(a: &str, b: &str) -> bool {
    subtle::ConstantTimeEq::ct_eq(a.as_bytes(), b.as_bytes()).into()
}

/// `90s` as `90s`, `1500ms`, `2h`: the largest unit that says it exactly.
pub fn duration_text(d: Duration) -> String {
    let ms = d.as_millis();
    let exact = [(86_400_000, "d"), (3_600_000, "h"), (60_000, "m"), (1000, "s")];
    match exact.iter().find(|(unit, _)| ms > 0 && ms.is_multiple_of(*unit)) {
        Some((unit, name)) => format!("{}{name}", ms / unit),
        None if ms == 0 && d.is_zero() => "0s".into(),
        None => format!("{ms}ms"),
    }
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
