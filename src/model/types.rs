//! Types of expressions (language.md, section 9).

use smol_str::SmolStr;
use std::fmt;

/// The type of an expression.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Type {
    Bool,
    Int,
    Float,
    String,
    Bytes,
    Url,
    Uuid,
    Date,
    Time,
    Duration,
    Size,
    Rate,
    Percent,
    Ip,
    Cidr,
    Address,
    Method,
    Status,
    Json,
    Secret,
    /// The type of `null`.
    Null,
    /// `T?`.
    Optional(Box<Type>),
    /// `[T]`.
    List(Box<Type>),
    /// `{string: T}`.
    Map(Box<Type>),
    /// A union of string literals, in the order written.
    Union(Vec<SmolStr>),
    /// An object with known fields: `caller`, an object expression.
    Record(Vec<(SmolStr, Type)>),
    /// `route.name`, `upstream.name`, `caller.via`: names that are values for `==`.
    Name(super::value::NameKind),
    /// Reported already: fits everywhere and causes no further message.
    Error,
}

impl Type {
    /// `T?`, where T is not optional already.
    pub fn optional(self) -> Type {
        match self {
            Type::Optional(_) | Type::Null | Type::Json | Type::Error => self,
            other => Type::Optional(Box::new(other)),
        }
    }

    /// The named scalar types, for `name: TYPE` positions.
    pub fn scalar(name: &str) -> Option<Type> {
        Some(match name {
            "bool" => Type::Bool,
            "int" => Type::Int,
            "float" => Type::Float,
            "string" => Type::String,
            "bytes" => Type::Bytes,
            "url" => Type::Url,
            "uuid" => Type::Uuid,
            "date" => Type::Date,
            "time" => Type::Time,
            "duration" => Type::Duration,
            "size" => Type::Size,
            "rate" => Type::Rate,
            "percent" => Type::Percent,
            "ip" => Type::Ip,
            "cidr" => Type::Cidr,
            "address" => Type::Address,
            "method" => Type::Method,
            "status" => Type::Status,
            "json" => Type::Json,
            "secret" => Type::Secret,
            _ => return None,
        })
    }

    /// The names that [`Type::scalar`] knows.
    pub const SCALARS: [&'static str; 20] = [
        "bool", "int", "float", "string", "bytes", "url", "uuid", "date", "time", "duration", "size", "rate",
        "percent", "ip", "cidr", "address", "method", "status", "json", "secret",
    ];
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self {
            Type::Bool => "bool",
            Type::Int => "int",
            Type::Float => "float",
            Type::String => "string",
            Type::Bytes => "bytes",
            Type::Url => "url",
            Type::Uuid => "uuid",
            Type::Date => "date",
            Type::Time => "time",
            Type::Duration => "duration",
            Type::Size => "size",
            Type::Rate => "rate",
            Type::Percent => "percent",
            Type::Ip => "ip",
            Type::Cidr => "cidr",
            Type::Address => "address",
            Type::Method => "method",
            Type::Status => "status",
            Type::Json => "json",
            Type::Secret => "secret",
            Type::Null => "null",
            Type::Error => "unknown",
            Type::Optional(t) => return write!(f, "{t}?"),
            Type::List(t) => return write!(f, "[{t}]"),
            Type::Map(t) => return write!(f, "{{string: {t}}}"),
            Type::Union(words) => {
                for (i, w) in words.iter().enumerate() {
                    write!(f, "{}\"{w}\"", if i > 0 { " | " } else { "" })?;
                }
                return Ok(());
            }
            Type::Record(fields) => {
                f.write_str("{ ")?;
                for (i, (n, t)) in fields.iter().enumerate() {
                    write!(f, "{}{n}: {t}", if i > 0 { ", " } else { "" })?;
                }
                return f.write_str(" }");
            }
            Type::Name(super::value::NameKind::Route) => "route",
            Type::Name(super::value::NameKind::Upstream) => "upstream",
            Type::Name(super::value::NameKind::Auth) => "auth",
        };
        f.write_str(name)
    }
}
