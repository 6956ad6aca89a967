//! The words of types and expressions with their documentation: for `gw help`, the reference and the editor grammars.

/// A type, as it is written.
#[derive(Clone, Copy, Debug)]
pub struct TypeRow {
    /// Its name, or its form: `[T]`.
    pub name: &'static str,
    /// What its values are.
    pub doc: &'static str,
    /// A value as it is written; empty where none can be written.
    pub example: &'static str,
}

/// An operator.
#[derive(Clone, Copy, Debug)]
pub struct OperatorRow {
    /// Its word or sign, or those of one strength and use.
    pub names: &'static [&'static str],
    /// How strongly it binds: the loosest is 1.
    pub strength: u8,
    /// What it gives.
    pub doc: &'static str,
    /// A condition that uses it.
    pub example: &'static str,
}

const fn ty(name: &'static str, doc: &'static str, example: &'static str) -> TypeRow {
    TypeRow { name, doc, example }
}

/// Every type.
pub const TYPES: &[TypeRow] = &[
    ty("bool", "true or false", "true"),
    ty("int", "a whole number of 64 bits", "1_000"),
    ty("float", "a number with a fraction", "0.5"),
    ty("string", "text; `{…}` in it is an expression", "\"shop\""),
    ty("bytes", "bytes; only functions give and take them", ""),
    ty("url", "a URL", "http://localhost:7001"),
    ty("uuid", "a UUID", ""),
    ty("date", "a day", "2026-01-31"),
    ty("time", "an instant", ""),
    ty("duration", "how long: `ms`, `s`, `m`, `h`, `d`", "250ms"),
    ty("size", "how much: `B`, `KiB`, `MiB`, `GiB`, or `KB`, `MB`, `GB` in thousands", "64KiB"),
    ty("rate", "how often: a count each `s`, `min`, `h` or `day`", "100/min"),
    ty("percent", "a share", "12.5%"),
    ty("ip", "an address", "192.0.2.1"),
    ty("cidr", "a network", "10.0.0.0/8"),
    ty("address", "a host or address with a port", ":8080"),
    ty("method", "an HTTP method", "GET"),
    ty("status", "an HTTP status", "404"),
    ty("json", "anything that JSON can say; what is absent in it is `null`", ""),
    ty("secret", "text that goes to upstreams and nowhere else", ""),
    ty("T?", "a `T`, or `null`", "null"),
    ty("[T]", "a list of `T`", "[1, 2]"),
    ty("{string: T}", "a `T` for each of any names; tables have it", ""),
    ty("\"a\" | \"b\"", "one of these texts; `match` must name them all", "\"a\""),
];

const fn op(strength: u8, names: &'static [&'static str], doc: &'static str, example: &'static str) -> OperatorRow {
    OperatorRow { names, strength, doc, example }
}

/// Every operator, the loosest first.
pub const OPERATORS: &[OperatorRow] = &[
    op(1, &["or"], "one of two conditions holds", "method == GET or method == HEAD"),
    op(2, &["and"], "both conditions hold", "method == GET and path == \"/\""),
    op(3, &["not"], "the condition does not hold", "not (method == GET)"),
    op(4, &["==", "!="], "the same value, or another; an optional may stand on either side", "header.x-beta == \"1\""),
    op(
        4,
        &["<", "<=", ">", ">="],
        "numbers, durations, sizes, dates, times and statuses in their order",
        "len(path) < 100",
    ),
    op(
        4,
        &["in", "not in"],
        "an element of a list, an address of a network, a key of a map, an entry of a table",
        "method in [GET, HEAD]",
    ),
    op(4, &["has"], "a list has an element", "headers(\"x-tag\") has \"a\""),
    op(
        4,
        &["has any", "has all"],
        "a list has one of these elements, or each of them",
        "headers(\"x-tag\") has any [\"a\", \"b\"]",
    ),
    op(4, &["matches"], "a regular expression is found in a text", "path matches r\"^/v[0-9]+/\""),
    op(4, &["starts-with", "ends-with"], "a text begins or ends with another", "path starts-with \"/admin\""),
    op(5, &["??"], "the right side where the left is `null`", "query.page ?? \"1\" == \"1\""),
    op(
        6,
        &["+", "-"],
        "sums and differences of numbers, durations and sizes; `+` also joins texts",
        "len(path) + 1 < 100",
    ),
    op(
        7,
        &["match"],
        "the value of the arm that fits; over a union every case must have one, or there is an `else`",
        "match method { GET: true, else: false }",
    ),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::types::Type;

    #[test]
    fn every_named_type_has_a_row() {
        let named: Vec<_> = TYPES.iter().map(|row| row.name).filter(|name| Type::scalar(name).is_some()).collect();
        assert_eq!(named, Type::SCALARS);
    }
}
