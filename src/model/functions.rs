//! The functions: few, pure, and in one table that types and documents them.

/// A function.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum Function {
    Text,
    Lower,
    Upper,
    Trim,
    Split,
    Join,
    Replace,
    Len,
    Pick,
    Omit,
    Json,
    Base64,
    Hash,
    Uuid,
    Now,
    Format,
}

/// What an argument may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parameter {
    /// A `string`, `url` or union.
    Text,
    /// What can stand in a text: text, numbers, addresses, dates, JSON scalars, …
    Scalar,
    /// A list of scalars.
    Scalars,
    /// A text, list, map or JSON.
    Sized,
    /// An object, a map or JSON.
    Object,
    /// Text or bytes.
    Data,
    /// A `time` or a `date`.
    Moment,
    /// Anything that JSON can say.
    Any,
}

/// What a function gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Gives {
    String,
    Int,
    Strings,
    Json,
    Uuid,
    Time,
}

/// One row of the table.
#[derive(Clone, Copy, Debug)]
pub struct FunctionRow {
    /// Which.
    pub function: Function,
    /// Its name.
    pub name: &'static str,
    /// Its parameters: names and what they take.
    pub parameters: &'static [(&'static str, Parameter)],
    /// The last parameter may be given several times.
    pub variadic: bool,
    /// What it gives.
    pub gives: Gives,
    /// Its signature, as shown.
    pub signature: &'static str,
    /// One sentence.
    pub doc: &'static str,
    /// An example.
    pub example: &'static str,
    /// What the example gives (empty where it differs each time).
    pub result: &'static str,
}

use Parameter::{Any, Data, Moment, Object, Scalar, Scalars, Sized, Text};

macro_rules! row {
    ($f:ident $name:literal [$($p:literal $k:expr),*] $variadic:literal -> $gives:ident, $sig:literal, $doc:literal, $example:literal => $result:literal) => {
        FunctionRow {
            function: Function::$f, name: $name, parameters: &[$(($p, $k)),*], variadic: $variadic, gives: Gives::$gives,
            signature: $sig, doc: $doc, example: $example, result: $result,
        }
    };
}

/// Every function.
pub const FUNCTIONS: &[FunctionRow] = &[
    row!(Text "text" ["value" Scalar] false -> String, "text(value) -> string", "A value as text.", "text(42)" => "42"),
    row!(Lower "lower" ["text" Text] false -> String, "lower(text) -> string", "In lower case.", "lower(\"AbC\")" => "abc"),
    row!(Upper "upper" ["text" Text] false -> String, "upper(text) -> string", "In upper case.", "upper(\"AbC\")" => "ABC"),
    row!(Trim "trim" ["text" Text] false -> String, "trim(text) -> string", "Without white space at both ends.", "trim(\" a \")" => "a"),
    row!(Split "split" ["text" Text, "separator" Text] false -> Strings, "split(text, separator) -> [string]", "The parts between the separators.", "split(\"a,b\", \",\")[0] ?? \"\"" => "a"),
    row!(Join "join" ["list" Scalars, "separator" Text] false -> String, "join(list, separator) -> string", "The elements as one text.", "join([\"a\", \"b\"], \"-\")" => "a-b"),
    row!(Replace "replace" ["text" Text, "from" Text, "to" Text] false -> String, "replace(text, from, to) -> string", "Every `from` replaced; plain text, no pattern.", "replace(\"a.b\", \".\", \"/\")" => "a/b"),
    row!(Len "len" ["value" Sized] false -> Int, "len(value) -> int", "Characters of a text, elements of a list or object, bytes.", "text(len(\"abc\"))" => "3"),
    row!(Pick "pick" ["object" Object, "name" Text] true -> Json, "pick(object, name, …) -> json", "Only these fields.", "json(pick({ a: 1, b: 2 }, \"a\"))" => "{\"a\":1}"),
    row!(Omit "omit" ["object" Object, "name" Text] true -> Json, "omit(object, name, …) -> json", "All but these fields.", "json(omit({ a: 1, b: 2 }, \"a\"))" => "{\"b\":2}"),
    row!(Json "json" ["value" Any] false -> String, "json(value) -> string", "A value written as JSON.", "json([1, 2])" => "[1,2]"),
    row!(Base64 "base64" ["data" Data] false -> String, "base64(data) -> string", "In base64 (RFC 4648, with padding).", "base64(\"abc\")" => "YWJj"),
    row!(Hash "hash" ["data" Data] false -> String, "hash(data) -> string", "The SHA-256 in hexadecimal.", "hash(\"\")" => "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
    row!(Uuid "uuid" [] false -> Uuid, "uuid() -> uuid", "A new random UUID (version 4).", "text(uuid())" => ""),
    row!(Now "now" [] false -> Time, "now() -> time", "The current time.", "text(now())" => ""),
    row!(Format "format" ["moment" Moment, "pattern" Text] false -> String, "format(moment, pattern) -> string", "A time (UTC) or date by a strftime pattern.", "format(2026-01-02, \"%d.%m.%Y\")" => "02.01.2026"),
];

impl FunctionRow {
    /// The row of this name.
    pub fn find(name: &str) -> Option<&'static FunctionRow> {
        FUNCTIONS.iter().find(|r| r.name == name)
    }
}
