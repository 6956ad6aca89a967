//! Words that are values: numbers with and without units, dates, addresses, networks, statuses.

use super::ast::StatusMatch;
use super::types::Type;
use super::value::{Rate, Value};
use ipnet::IpNet;
use smol_str::SmolStr;
use std::borrow::Cow;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

/// A word that is no literal, and what it probably should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wrong {
    /// What is wrong, as a diagnostic says it.
    pub message: String,
    /// The right form, as a diagnostic's help says it.
    pub help: Option<String>,
}

impl Wrong {
    fn new(message: impl Into<String>, help: impl Into<String>) -> Wrong {
        Wrong { message: message.into(), help: Some(help.into()) }
    }

    fn too_large(word: &str, what: &str, most: impl std::fmt::Display) -> Wrong {
        Wrong::new(format!("`{word}` is too large for {what}"), format!("the largest is {most}"))
    }
}

/// What a duration may be written in, with the milliseconds of each.
pub const DURATIONS: [(&str, u64); 5] = [("ms", 1), ("s", 1000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];

/// What a size may be written in, with the bytes of each.
pub const SIZES: [(&str, u64); 9] = [
    ("B", 1),
    ("KB", 1000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("TB", 1_000_000_000_000),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("TiB", 1 << 40),
];

/// What a rate may be per, with the seconds of each.
pub const RATES: [(&str, u64); 4] = [("s", 1), ("min", 60), ("h", 3600), ("day", 86_400)];

/// The value of a word that begins with a digit (or `-` and a digit).
///
/// # Errors
/// When it is none of the literals, with the right form where one can be guessed.
pub fn number(word: &str) -> Result<Value<'static>, Wrong> {
    let digits_end = word.char_indices().find(|(i, c)| !(c.is_ascii_digit() || *c == '_' || *c == '-' && *i == 0));
    let Some((at, next)) = digits_end else { return integer(word).map(Value::Int) };
    let (head, tail) = word.split_at(at);
    match next {
        '/' => rate(word, head, &tail[1..]),
        '%' if tail.len() == 1 => percent(word, head),
        '.' => dotted(word),
        ':' => address(word).map(Value::Address),
        '-' => calendar(word),
        _ if looks_like_ip6(word) => ip_or_net(word),
        _ => unit(word, head, tail),
    }
}

fn integer(word: &str) -> Result<i64, Wrong> {
    let digits = word.strip_prefix('-').unwrap_or(word);
    let misplaced = digits.starts_with('_') || digits.ends_with('_') || digits.contains("__");
    if digits.is_empty() || misplaced {
        let clean = digits.split('_').filter(|p| !p.is_empty()).collect::<Vec<_>>().join("_");
        return Err(Wrong::new(
            format!("`{word}` is not a number: `_` stands between two digits"),
            format!("write `{clean}`"),
        ));
    }
    let plain: String = word.chars().filter(|c| *c != '_').collect();
    if digits.len() > 1 && digits.starts_with('0') {
        let trimmed = digits.trim_start_matches(['0', '_']);
        let trimmed = if trimmed.is_empty() { "0" } else { trimmed };
        return Err(Wrong::new(
            format!("`{word}` begins with a zero that means nothing"),
            format!("write `{trimmed}`"),
        ));
    }
    plain.parse().map_err(|_| Wrong::too_large(word, "an `int`", i64::MAX))
}

/// The digits of a literal with a unit: not negative.
fn count(word: &str, digits: &str) -> Result<u64, Wrong> {
    let n = integer(digits)?;
    u64::try_from(n).map_err(|_| Wrong::new(format!("`{word}` is negative"), format!("write `{}`", &word[1..])))
}

fn unit(word: &str, head: &str, tail: &str) -> Result<Value<'static>, Wrong> {
    if let Some((_, ms)) = DURATIONS.iter().find(|(u, _)| *u == tail) {
        let n = count(word, head)?;
        return (n.checked_mul(*ms).filter(|ms| *ms <= MAX_DURATION.as_millis() as u64))
            .map(|ms| Value::Duration(Duration::from_millis(ms)))
            .ok_or_else(|| Wrong::too_large(word, "a `duration`", "36500d"));
    }
    if let Some((_, bytes)) = SIZES.iter().find(|(u, _)| *u == tail) {
        let n = count(word, head)?;
        return (n.checked_mul(*bytes).filter(|b| *b <= i64::MAX as u64))
            .map(Value::Size)
            .ok_or_else(|| Wrong::too_large(word, "a `size`", "8388607TiB"));
    }
    if tail == "xx" {
        return Err(Wrong::new(
            format!("`{word}` is a class of statuses, which is not a value"),
            "compare with the bounds instead: `response.status >= 500`",
        ));
    }
    Err(wrong_unit(word, head.trim_end_matches('_'), tail))
}

/// A hundred years: no timer of any system is longer.
const MAX_DURATION: Duration = Duration::from_secs(36_500 * 86_400);

fn wrong_unit(word: &str, head: &str, tail: &str) -> Wrong {
    let lower = tail.to_ascii_lowercase();
    let lower = lower.trim_start_matches('_');
    let duration = match lower {
        "msec" | "msecs" | "millis" | "milliseconds" | "millisecond" | "ms" => Some("ms"),
        "sec" | "secs" | "second" | "seconds" | "s" => Some("s"),
        "min" | "mins" | "minute" | "minutes" => Some("m"),
        "hr" | "hrs" | "hour" | "hours" | "h" => Some("h"),
        "day" | "days" | "d" => Some("d"),
        _ => None,
    };
    if let Some(unit) = duration {
        return Wrong::new(
            format!("`{word}` is not a duration: `{tail}` is not a unit"),
            format!("write `{head}{unit}`"),
        );
    }
    if matches!(lower, "w" | "week" | "weeks") {
        let days = head.replace('_', "").parse::<u64>().ok().and_then(|n| n.checked_mul(7));
        let right = days.map_or_else(|| "in days, such as `7d`".into(), |d| format!("`{d}d`"));
        return Wrong::new(format!("`{word}` is not a duration: weeks are not a unit"), format!("write {right}"));
    }
    if matches!(lower, "us" | "ns" | "µs") {
        return Wrong::new(format!("`{word}` is not a duration: `{tail}` is not a unit"), "the smallest unit is `ms`");
    }
    let size = match lower {
        "b" | "byte" | "bytes" => Some("B"),
        "k" | "kb" => Some("KB"),
        "mb" => Some("MB"),
        "g" | "gb" => Some("GB"),
        "t" | "tb" => Some("TB"),
        "ki" | "kib" => Some("KiB"),
        "mi" | "mib" => Some("MiB"),
        "gi" | "gib" => Some("GiB"),
        "ti" | "tib" => Some("TiB"),
        _ => None,
    };
    if let Some(unit) = size {
        return Wrong::new(format!("`{word}` is not a size: `{tail}` is not a unit"), format!("write `{head}{unit}`"));
    }
    if tail == "M" {
        return Wrong::new(
            format!("`{word}` is not a size: `M` is not a unit"),
            format!("write `{head}MB`, or `{head}m` for minutes"),
        );
    }
    if let Some(right) = compound(word) {
        return Wrong::new(format!("`{word}` is not a duration: it has several units"), format!("write `{right}`"));
    }
    let help =
        "units are `ms s m h d` (durations), `B KB MB GB KiB MiB GiB` (sizes), `/s /min /h /day` (rates) and `%`";
    Wrong::new(format!("`{word}` is not a value: `{tail}` is not a unit"), help)
}

/// `1h30m` in the smallest of its units: `90m`.
fn compound(word: &str) -> Option<String> {
    let (mut rest, mut total, mut smallest) = (word, 0u64, *DURATIONS.last()?);
    while !rest.is_empty() {
        let (digits, tail) = rest.split_at(rest.find(|c: char| !c.is_ascii_digit())?);
        let (name, tail) = tail.split_at(tail.find(|c: char| c.is_ascii_digit()).unwrap_or(tail.len()));
        let unit = *DURATIONS.iter().find(|(unit, _)| *unit == name)?;
        total = total.checked_add(digits.parse::<u64>().ok()?.checked_mul(unit.1)?)?;
        smallest = if unit.1 < smallest.1 { unit } else { smallest };
        rest = tail;
    }
    Some(format!("{}{}", total / smallest.1, smallest.0))
}

fn rate(word: &str, head: &str, tail: &str) -> Result<Value<'static>, Wrong> {
    let Some((_, secs)) = RATES.iter().find(|(u, _)| *u == tail) else {
        let guess = match tail.to_ascii_lowercase().trim_start_matches('_') {
            "sec" | "secs" | "second" | "seconds" | "1s" | "s" => Some("s"),
            "m" | "mins" | "minute" | "minutes" | "1m" | "min" => Some("min"),
            "hr" | "hour" | "hours" | "1h" | "h" => Some("h"),
            "d" | "days" | "1d" | "day" => Some("day"),
            _ => None,
        };
        let help = match guess {
            Some(unit) => format!("write `{head}/{unit}`"),
            None => "a rate is per `/s`, `/min`, `/h` or `/day`".into(),
        };
        return Err(Wrong::new(format!("`{word}` is not a rate: `/{tail}` is not a unit"), help));
    };
    let count = count(word, head)?;
    if count == 0 {
        return Err(Wrong::new(
            format!("`{word}` allows nothing"),
            "a rate is at least 1; to refuse everything use `require`",
        ));
    }
    Ok(Value::Rate(Rate { count, per: Duration::from_secs(*secs) }))
}

fn percent(word: &str, digits: &str) -> Result<Value<'static>, Wrong> {
    let plain: String = digits.chars().filter(|c| *c != '_').collect();
    match plain.parse::<f64>() {
        Ok(v) if (0.0..=100.0).contains(&v) => Ok(Value::Percent(v)),
        _ => Err(Wrong::new(format!("`{word}` is not a percentage"), "a percentage is between `0%` and `100%`")),
    }
}

/// What has a dot behind its first digits: a number, a percentage, an IPv4 address, network or socket address.
fn dotted(word: &str) -> Result<Value<'static>, Wrong> {
    if word.matches('.').count() == 1 {
        if let Some(digits) = word.strip_suffix('%') {
            return percent(word, digits);
        }
        let misplaced = word.contains("__") || word.contains("_.") || word.contains("._") || word.ends_with('_');
        let plain: String = word.chars().filter(|c| *c != '_').collect();
        let digits = plain.bytes().all(|b| b.is_ascii_digit() || b == b'.' || b == b'-');
        let number = plain.parse::<f64>().ok().filter(|v| v.is_finite() && digits && !misplaced);
        if let Some(v) = number {
            return Ok(Value::Float(v));
        }
        let unit_at = word.find(|c: char| c.is_ascii_alphabetic());
        if let Some(help) = unit_at.and_then(|at| whole_units(word, word.split_at(at).1)) {
            return Err(Wrong::new(format!("`{word}` is not a whole number of its unit"), help));
        }
        return Err(Wrong { message: format!("`{word}` is not a number"), help: None });
    }
    if word.contains(':') {
        return address(word).map(Value::Address);
    }
    ip_or_net(word)
}

/// `1.5s` is written `1500ms`.
fn whole_units(word: &str, tail: &str) -> Option<String> {
    let value: f64 = word.strip_suffix(tail)?.parse().ok()?;
    let whole = |units: &[(&str, u64)]| {
        let (_, size) = units.iter().find(|(u, _)| *u == tail)?;
        let small = value * *size as f64;
        let mut fitting = units.iter().filter(|(_, s)| s <= size && (small / *s as f64).fract() == 0.0);
        let (name, s) = fitting.next_back()?;
        Some(format!("write `{}{name}`", (small / *s as f64) as u64))
    };
    whole(&DURATIONS).or_else(|| whole(&SIZES[5..])).or_else(|| whole(&SIZES[..5]))
}

fn looks_like_ip6(word: &str) -> bool {
    word.matches(':').count() >= 2
}

/// An address or a network.
///
/// # Errors
/// When it is neither, or a network has host bits.
pub fn ip_or_net(word: &str) -> Result<Value<'static>, Wrong> {
    let Some((ip, length)) = word.split_once('/') else {
        return word.parse().map(Value::Ip).map_err(|_| {
            Wrong::new(
                format!("`{word}` is not an IP address"),
                "an IPv4 address has four numbers from 0 to 255: `192.0.2.1`",
            )
        });
    };
    let ip: IpAddr = ip.parse().map_err(|_| {
        Wrong::new(format!("`{word}` is not a network"), "a network is an address and a prefix length: `10.0.0.0/8`")
    })?;
    let most = if ip.is_ipv4() { 32 } else { 128 };
    let net = length.parse().ok().and_then(|n| IpNet::new(ip, n).ok()).ok_or_else(|| {
        Wrong::new(format!("`{word}` is not a network"), format!("the prefix length is between 0 and {most}"))
    })?;
    if net.trunc() != net {
        return Err(Wrong::new(
            format!("`{word}` has bits behind its prefix length"),
            format!("write `{}` for the network, or `{ip}` for the one address", net.trunc()),
        ));
    }
    Ok(Value::Cidr(net))
}

/// `127.0.0.1:9000`, `[::1]:80`, `:8080` (every IPv4 address of the machine).
///
/// # Errors
/// When the address or the port is none.
pub fn address(word: &str) -> Result<SocketAddr, Wrong> {
    let (host, port) = word.rsplit_once(':').unwrap_or((word, ""));
    let port: u16 = port.parse().map_err(|_| {
        Wrong::new(format!("`{word}` is not a socket address"), "a port is a number between 0 and 65535")
    })?;
    if host.is_empty() {
        return Ok(SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), port));
    }
    let bare = host.strip_prefix('[').and_then(|h| h.strip_suffix(']')).unwrap_or(host);
    let ip = bare.parse::<IpAddr>().map_err(|_| {
        Wrong::new(
            format!("`{word}` is not a socket address"),
            format!("an address is an IP address and a port: `127.0.0.1:{port}`, `[::1]:{port}` or `:{port}`"),
        )
    })?;
    Ok(SocketAddr::new(ip, port))
}

/// A date, or a date with a time.
fn calendar(word: &str) -> Result<Value<'static>, Wrong> {
    if word.contains('T') {
        return word
            .parse()
            .map(Value::Time)
            .map_err(|_| Wrong::new(format!("`{word}` is not a time"), "a time is like `2026-01-31T12:00:00Z`"));
    }
    let shape = word.len() == 10 && word.as_bytes().get(4) == Some(&b'-') && word.as_bytes().get(7) == Some(&b'-');
    if let (true, Ok(date)) = (shape, word.parse()) {
        return Ok(Value::Date(date));
    }
    if word.bytes().all(|b| b.is_ascii_digit() || b == b'-') {
        return Err(Wrong::new(
            format!("`{word}` is not a date"),
            "a date is `YYYY-MM-DD`; a minus has spaces around it: `a - 1`",
        ));
    }
    Err(Wrong::new(format!("`{word}` is not a value"), "a name begins with a letter"))
}

/// `404` or `5xx`.
///
/// # Errors
/// When it is neither a status (100–599) nor a class.
pub fn status_or_class(word: &str) -> Result<StatusMatch, Wrong> {
    if let Some(class) = word.strip_suffix("xx") {
        return match class.parse() {
            Ok(c @ 1..=5) => Ok(StatusMatch::Class(c)),
            _ => Err(Wrong::new(format!("`{word}` is not a class of statuses"), "the classes are `1xx` to `5xx`")),
        };
    }
    status(word).map(StatusMatch::Status)
}

/// `404`.
///
/// # Errors
/// When it is not between 100 and 599.
pub fn status(word: &str) -> Result<u16, Wrong> {
    match word.parse() {
        Ok(s @ 100..=599) => Ok(s),
        _ => Err(Wrong::new(format!("`{word}` is not a status"), "a status is between 100 and 599")),
    }
}

/// The value of `text` as a `ty`: inputs from the environment, lines of table files, path parameters in tests.
/// Text is taken as it is; everything else is written as its literal.
///
/// # Errors
/// In words for a message.
pub fn of_type(text: &str, ty: &Type) -> Result<Value<'static>, String> {
    let owned = || Value::Str(Cow::Owned(text.to_owned()));
    let wrong = |e: Wrong| match e.help {
        Some(help) => format!("{} ({help})", e.message),
        None => e.message,
    };
    let not = || format!("`{text}` is not a value of type `{ty}`");
    match ty {
        Type::String => Ok(owned()),
        Type::Secret => Ok(Value::Secret(super::value::Secret::new(text))),
        Type::Bytes => Ok(Value::Bytes(Cow::Owned(text.as_bytes().to_vec()))),
        Type::Bool => text.parse().map(Value::Bool).map_err(|_| format!("`{text}` is neither `true` nor `false`")),
        Type::Url => match text.parse::<http::Uri>() {
            Ok(uri) if matches!(uri.scheme_str(), Some("http" | "https")) && uri.host().is_some() => Ok(owned()),
            _ => Err(format!("`{text}` is not a URL such as `http://host:8080/path`")),
        },
        Type::Uuid => text.parse().map(Value::Uuid).map_err(|_| format!("`{text}` is not a UUID")),
        Type::Method => http::Method::from_bytes(text.as_bytes())
            .ok()
            .filter(|_| is_method(text))
            .map(Value::Method)
            .ok_or_else(|| format!("`{text}` is not a method: methods are upper case")),
        Type::Union(words) => match words.iter().any(|w| w == text) {
            true => Ok(owned()),
            false => Err(format!("`{text}` is none of {ty}")),
        },
        Type::Json => serde_json::from_str(text)
            .map(|j: serde_json::Value| j.into())
            .map_err(|e| format!("this is not JSON: {e}")),
        Type::Status => status(text).map(Value::Status).map_err(wrong),
        Type::Address => address(text).map(Value::Address).map_err(wrong),
        Type::Ip => text.parse().map(Value::Ip).map_err(|_| format!("`{text}` is not an IP address")),
        Type::Cidr => match ip_or_net(text).map_err(wrong)? {
            Value::Ip(ip) => Ok(Value::Cidr(ip.into())),
            net => Ok(net),
        },
        Type::Optional(inner) if text.is_empty() || text == "null" => {
            let _ = inner;
            Ok(Value::Null)
        }
        Type::Optional(inner) => of_type(text, inner),
        Type::List(_) | Type::Map(_) | Type::Record(_) => {
            let example = if matches!(ty, Type::List(_)) { "[…, …]" } else { "{\"…\": …}" };
            let json: serde_json::Value = serde_json::from_str(text)
                .map_err(|e| format!("a `{ty}` is written as JSON here, such as `{example}`: {e}"))?;
            from_json(&json, ty)
        }
        Type::Int
        | Type::Float
        | Type::Date
        | Type::Time
        | Type::Duration
        | Type::Size
        | Type::Rate
        | Type::Percent => {
            // What begins otherwise is no slip of the pen.
            if !text.starts_with(|c: char| c.is_ascii_digit() || c == '-') {
                return Err(not());
            }
            let value = number(text).map_err(wrong)?;
            match (ty, value) {
                (Type::Float, Value::Int(v)) => Ok(Value::Float(v as f64)),
                (Type::Int, v @ Value::Int(_))
                | (Type::Float, v @ Value::Float(_))
                | (Type::Date, v @ Value::Date(_))
                | (Type::Time, v @ Value::Time(_))
                | (Type::Duration, v @ Value::Duration(_))
                | (Type::Size, v @ Value::Size(_))
                | (Type::Rate, v @ Value::Rate(_))
                | (Type::Percent, v @ Value::Percent(_)) => Ok(v),
                _ => Err(not()),
            }
        }
        Type::Null | Type::Name(_) | Type::Error => Err(not()),
    }
}

/// The value of JSON (or TOML, read as JSON) as a `ty`: texts by their literal, numbers and booleans as themselves.
///
/// # Errors
/// In words for a message.
pub fn from_json(json: &serde_json::Value, ty: &Type) -> Result<Value<'static>, String> {
    use serde_json::Value as J;
    match (ty, json) {
        (Type::Json, j) => Ok(j.clone().into()),
        (Type::Optional(_), J::Null) => Ok(Value::Null),
        (Type::Optional(inner), j) => from_json(j, inner),
        (Type::List(element), J::Array(items)) => {
            let values =
                items.iter().enumerate().map(|(i, j)| from_json(j, element).map_err(|e| format!("element {i}: {e}")));
            Ok(Value::List(Cow::Owned(values.collect::<Result<_, _>>()?)))
        }
        (Type::Map(element), J::Object(fields)) => {
            let values = fields
                .iter()
                .map(|(k, j)| Ok((SmolStr::new(k), from_json(j, element).map_err(|e| format!("`{k}`: {e}"))?)));
            Ok(Value::Map(Cow::Owned(values.collect::<Result<_, String>>()?)))
        }
        (Type::Record(fields), J::Object(given)) => {
            let values = fields.iter().map(|(name, ty)| {
                let j = given.get(name.as_str()).unwrap_or(&J::Null);
                Ok((name.clone(), from_json(j, ty).map_err(|e| format!("`{name}`: {e}"))?))
            });
            Ok(Value::Map(Cow::Owned(values.collect::<Result<_, String>>()?)))
        }
        (Type::Bool, J::Bool(b)) => Ok(Value::Bool(*b)),
        (Type::Int, J::Number(n)) => n.as_i64().map(Value::Int).ok_or_else(|| format!("`{n}` is not an `int`")),
        (Type::Float, J::Number(n)) => n.as_f64().map(Value::Float).ok_or_else(|| format!("`{n}` is not a `float`")),
        (Type::Status, J::Number(n)) => status(&n.to_string()).map(Value::Status).map_err(|e| e.message),
        (Type::Size, J::Number(n)) => n.as_u64().map(Value::Size).ok_or_else(|| format!("`{n}` is not a `size`")),
        (Type::Bool | Type::Int | Type::Float, J::String(s)) => Err(format!("\"{s}\" is text, not a `{ty}`")),
        (ty, J::String(s)) if !matches!(ty, Type::List(_) | Type::Map(_) | Type::Record(_)) => of_type(s, ty),
        (ty, j) => Err(format!("`{j}` is not a `{ty}`")),
    }
}

/// `GET`, `PROPFIND`: a word all in upper case.
pub fn is_method(word: &str) -> bool {
    word.len() >= 2
        && word.bytes().all(|b| b.is_ascii_uppercase() || b == b'-' || b == b'_')
        && word.as_bytes()[0].is_ascii_uppercase()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn shown(word: &str) -> String {
        match number(word) {
            Ok(v) => format!("{v:?}"),
            Err(e) => format!("{} | {}", e.message, e.help.unwrap_or_default()),
        }
    }

    #[test]
    fn literals() {
        for (word, wanted) in [
            ("42", "Int(42)"),
            ("-1", "Int(-1)"),
            ("0", "Int(0)"),
            ("1_000", "Int(1000)"),
            ("0.5", "Float(0.5)"),
            ("-2.25", "Float(-2.25)"),
            ("250ms", "Duration(250ms)"),
            ("5s", "Duration(5s)"),
            ("1m", "Duration(60s)"),
            ("2h", "Duration(7200s)"),
            ("7d", "Duration(604800s)"),
            ("512B", "Size(512)"),
            ("64KiB", "Size(65536)"),
            ("10MB", "Size(10000000)"),
            ("1_000MB", "Size(1000000000)"),
            ("10/s", "Rate(Rate { count: 10, per: 1s })"),
            ("100/min", "Rate(Rate { count: 100, per: 60s })"),
            ("1_000/h", "Rate(Rate { count: 1000, per: 3600s })"),
            ("5_000/day", "Rate(Rate { count: 5000, per: 86400s })"),
            ("12.5%", "Percent(12.5)"),
            ("100%", "Percent(100.0)"),
            ("2026-01-31", "Date(2026-01-31)"),
            ("2026-01-31T10:00:00Z", "Time(2026-01-31T10:00:00Z)"),
            ("10.1.2.3", "Ip(10.1.2.3)"),
            ("10.0.0.0/8", "Cidr(10.0.0.0/8)"),
            ("127.0.0.1:9000", "Address(127.0.0.1:9000)"),
        ] {
            assert_eq!(shown(word), wanted, "{word}");
        }
    }

    #[test]
    fn wrong_forms_get_the_right_one() {
        for (word, help) in [
            ("100/m", "write `100/min`"),
            ("10/sec", "write `10/s`"),
            ("5/hour", "write `5/h`"),
            ("5/d", "write `5/day`"),
            ("5/fortnight", "per `/s`, `/min`"),
            ("0/s", "at least 1"),
            ("5min", "write `5m`"),
            ("5sec", "write `5s`"),
            ("5_sec", "write `5s`"),
            ("10mb", "write `10MB`"),
            ("10kb", "write `10KB`"),
            ("10kib", "write `10KiB`"),
            ("10k", "write `10KB`"),
            ("10M", "`10MB`"),
            ("2w", "write `14d`"),
            ("10us", "smallest unit is `ms`"),
            ("1.5s", "write `1500ms`"),
            ("1.5h", "write `90m`"),
            ("1.5MiB", "write `1536KiB`"),
            ("5xx", "response.status >= 500"),
            ("1__0", "write `1_0`"),
            ("1_", "write `1`"),
            ("007", "write `7`"),
            ("99999999999999999999", "the largest is"),
            ("99999999999999d", "the largest is"),
            ("9999999999TiB", "the largest is"),
            ("-5s", "write `5s`"),
            ("120%", "between `0%` and `100%`"),
            ("-1%", "between `0%` and `100%`"),
            ("10.0.0.1/8", "write `10.0.0.0/8`"),
            ("10.0.0.0/33", "between 0 and 32"),
            ("1.2.3", "four numbers"),
            ("256.1.1.1", "four numbers"),
            ("127.0.0.1:99999", "between 0 and 65535"),
            ("2026-13-01", "YYYY-MM-DD"),
            ("5-3", "spaces around"),
            ("3scale", "units are"),
        ] {
            let e = number(word).expect_err(word);
            let help_text = e.help.unwrap_or_default();
            assert!(help_text.contains(help), "{word}: {} | {help_text}", e.message);
        }
    }

    #[test]
    fn statuses_and_classes() {
        assert_eq!(status_or_class("5xx"), Ok(StatusMatch::Class(5)));
        assert_eq!(status_or_class("404"), Ok(StatusMatch::Status(404)));
        assert!(status_or_class("6xx").is_err());
        assert!(status_or_class("99").is_err());
        assert!(status_or_class("600").is_err());
    }

    #[test]
    fn values_from_the_environment() {
        let list = Type::List(Box::new(Type::Cidr));
        for (text, ty, wanted) in [
            ("a b", Type::String, "Str(\"a b\")"),
            ("x", Type::Secret, "Secret(<secret>)"),
            ("http://a:1", Type::Url, "Str(\"http://a:1\")"),
            ("5", Type::Float, "Float(5.0)"),
            ("5s", Type::Duration, "Duration(5s)"),
            (":80", Type::Address, "Address(0.0.0.0:80)"),
            ("[\"10.0.0.0/8\", \"::1\"]", list, "List([Cidr(10.0.0.0/8), Cidr(::1/128)])"),
            ("", Type::Int.optional(), "Null"),
        ] {
            assert_eq!(format!("{:?}", of_type(text, &ty).expect(text)), wanted);
        }
        for (text, ty) in [
            ("5", Type::Duration),
            ("x", Type::Bool),
            ("ftp://a", Type::Url),
            ("1.2", Type::Int),
            ("get", Type::Method),
            ("x", Type::Uuid),
        ] {
            assert!(of_type(text, &ty).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_word_is_judged(word in "-?[0-9][0-9a-zA-Z_%./:-]{0,24}") {
            if let Err(e) = number(&word) {
                prop_assert!(!e.message.is_empty());
            }
        }

        #[test]
        fn any_text_is_judged(text in "\\PC{0,20}") {
            for name in Type::SCALARS {
                let _ = of_type(&text, &Type::scalar(name).unwrap());
            }
            let _ = status_or_class(&text);
        }
    }
}
