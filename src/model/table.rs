//! Tables: typed data that may change while serving, with look-ups that do not depend on its size.

use super::literal;
use super::types::Type;
use super::value::Value;
use ahash::{AHashMap, AHashSet};
use ipnet::IpNet;
use smol_str::SmolStr;
use std::net::IpAddr;

/// The contents of a table, ready for look-ups.
#[derive(Clone, Debug)]
pub enum TableData {
    /// `[string]`, and lists of what is looked up by its text (`[uuid]`, `[date]`, `[method]`, …).
    Texts(AHashSet<SmolStr>),
    /// `[int]`, `[status]`.
    Ints(AHashSet<i64>),
    /// `[ip]` and `[cidr]`.
    Networks(Networks),
    /// `{string: T}`.
    Map(AHashMap<SmolStr, Value<'static>>),
}

/// Networks by prefix length: a look-up costs one hash for each length that occurs, never one for each network.
#[derive(Clone, Debug, Default)]
pub struct Networks {
    lengths: Vec<u8>,
    lengths6: Vec<u8>,
    set: AHashSet<IpNet>,
}

impl Networks {
    fn insert(&mut self, net: IpNet) {
        let net = canonical_net(net);
        let lengths = if matches!(net, IpNet::V4(_)) { &mut self.lengths } else { &mut self.lengths6 };
        if let Err(at) = lengths.binary_search(&net.prefix_len()) {
            lengths.insert(at, net.prefix_len());
        }
        self.set.insert(net);
    }

    /// Whether some network has this address.
    pub fn contains(&self, ip: IpAddr) -> bool {
        let ip = ip.to_canonical();
        let lengths = if ip.is_ipv4() { &self.lengths } else { &self.lengths6 };
        lengths.iter().any(|&n| IpNet::new(ip, n).is_ok_and(|net| self.set.contains(&net.trunc())))
    }
}

/// The network without host bits.
fn canonical_net(net: IpNet) -> IpNet {
    net.trunc()
}

impl Default for TableData {
    fn default() -> TableData {
        TableData::Texts(AHashSet::new())
    }
}

impl TableData {
    /// No entries, in the form for `ty` (`[T]` or `{string: T}`).
    pub fn empty(ty: &Type) -> TableData {
        match ty {
            Type::Map(_) => TableData::Map(AHashMap::new()),
            Type::List(element) => match element.as_ref() {
                Type::Int | Type::Status => TableData::Ints(AHashSet::new()),
                Type::Ip | Type::Cidr => TableData::Networks(Networks::default()),
                _ => TableData::Texts(AHashSet::new()),
            },
            _ => TableData::Texts(AHashSet::new()),
        }
    }

    /// From the value of a `table` that is written in the program (a list, or a map for `{string: T}`).
    pub fn from_value(value: &Value<'_>, ty: &Type) -> TableData {
        let mut table = TableData::empty(ty);
        match value {
            Value::List(elements) => elements.iter().for_each(|v| table.insert(v)),
            Value::Map(fields) => fields.iter().for_each(|(k, v)| table.insert_at(k.clone(), v.clone())),
            _ => {}
        }
        table
    }

    fn insert(&mut self, value: &Value<'_>) {
        match (self, value) {
            (TableData::Ints(set), Value::Int(v)) => {
                set.insert(*v);
            }
            (TableData::Ints(set), Value::Status(v)) => {
                set.insert(i64::from(*v));
            }
            (TableData::Networks(nets), Value::Cidr(net)) => nets.insert(*net),
            (TableData::Networks(nets), Value::Ip(ip)) => nets.insert(IpNet::from(*ip)),
            (TableData::Texts(set), value) => {
                if let Some(text) = value.text() {
                    set.insert(SmolStr::new(text));
                }
            }
            _ => {}
        }
    }

    fn insert_at(&mut self, key: SmolStr, value: Value<'static>) {
        if let TableData::Map(map) = self {
            map.insert(key, value);
        }
    }

    /// How many entries there are.
    pub fn len(&self) -> usize {
        match self {
            TableData::Texts(s) => s.len(),
            TableData::Ints(s) => s.len(),
            TableData::Networks(n) => n.set.len(),
            TableData::Map(m) => m.len(),
        }
    }

    /// The entries as a JSON list or object, sorted.
    pub fn to_json(&self) -> serde_json::Value {
        let sorted = |mut texts: Vec<String>| {
            texts.sort_unstable();
            texts.into()
        };
        match self {
            TableData::Texts(set) => sorted(set.iter().map(SmolStr::to_string).collect()),
            TableData::Networks(nets) => sorted(nets.set.iter().map(IpNet::to_string).collect()),
            TableData::Ints(set) => {
                let mut all: Vec<_> = set.iter().copied().collect();
                all.sort_unstable();
                all.into()
            }
            TableData::Map(map) => {
                let mut all: Vec<_> = map.iter().collect();
                all.sort_unstable_by_key(|(key, _)| *key);
                all.into_iter().map(|(key, value)| (key.to_string(), value.to_json())).collect()
            }
        }
    }

    /// There are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// `value in table`: an element, an address in one of the networks, a key.
    pub fn contains(&self, value: &Value<'_>) -> bool {
        match self {
            TableData::Texts(set) => match value.as_str() {
                Some(text) => set.contains(text),
                None => value.text().is_some_and(|t| set.contains(t.as_ref())),
            },
            TableData::Ints(set) => match value {
                Value::Int(v) => set.contains(v),
                Value::Status(v) => set.contains(&i64::from(*v)),
                Value::Json(j) => j.as_i64().is_some_and(|v| set.contains(&v)),
                _ => false,
            },
            TableData::Networks(nets) => match value {
                Value::Ip(ip) => nets.contains(*ip),
                Value::Cidr(net) => nets.set.contains(&canonical_net(*net)),
                _ => false,
            },
            TableData::Map(map) => value.as_str().is_some_and(|k| map.contains_key(k)),
        }
    }

    /// The value of a key.
    pub fn get(&self, key: &str) -> Option<&Value<'static>> {
        match self {
            TableData::Map(map) => map.get(key),
            _ => None,
        }
    }
}

/// Reads a table file.
///
/// `[T]`: one value a line. `{string: T}`: `key = value` or `key value` a line. Empty lines and what stands behind `#` at
/// the start of a line or after white space are passed over. A file that begins with `[` or `{` is JSON instead. Texts are
/// written as they are, without quotes (quotes at both ends are taken off); every other type as its literal in a program.
///
/// # Errors
/// Every line that is not a value of the type, with what is wrong (lines from 1; 1 for JSON that does not parse has the
/// parser's line).
pub fn parse(text: &str, ty: &Type) -> Result<TableData, Vec<(usize, String)>> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let first = text.lines().map(str::trim).find(|l| !l.is_empty() && !l.starts_with('#'));
    // An IPv6 address never begins with a bracket here, so this is JSON.
    match first.and_then(|l| l.chars().next()) {
        Some('[' | '{') => parse_json(text, ty),
        _ => parse_lines(text, ty),
    }
}

fn parse_lines(text: &str, ty: &Type) -> Result<TableData, Vec<(usize, String)>> {
    let mut table = TableData::empty(ty);
    let mut wrong = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let line = without_comment(line).trim();
        if line.is_empty() {
            continue;
        }
        let outcome = match ty {
            Type::Map(element) => pair(line).and_then(|(key, value)| {
                let value = literal::of_type(unquoted(value), element)?;
                if table.get(key).is_some() {
                    return Err(format!("`{key}` is there twice"));
                }
                table.insert_at(SmolStr::new(key), value);
                Ok(())
            }),
            Type::List(element) => literal::of_type(unquoted(line), element).map(|v| table.insert(&v)),
            other => Err(format!("a table is `[T]` or `{{string: T}}`, not `{other}`")),
        };
        if let Err(message) = outcome {
            wrong.push((number + 1, message));
        }
    }
    if wrong.is_empty() { Ok(table) } else { Err(wrong) }
}

fn parse_json(text: &str, ty: &Type) -> Result<TableData, Vec<(usize, String)>> {
    let json: serde_json::Value =
        serde_json::from_str(text).map_err(|e| vec![(e.line().max(1), format!("this is not JSON: {e}"))])?;
    let value = literal::from_json(&json, ty).map_err(|e| vec![(1, e)])?;
    Ok(TableData::from_value(&value, ty))
}

/// `key = value` or `key value`.
fn pair(line: &str) -> Result<(&str, &str), String> {
    let split = match line.split_once('=') {
        Some((key, value)) if !key.trim().contains(char::is_whitespace) => Some((key, value)),
        _ => line.split_once(char::is_whitespace),
    };
    match split {
        Some((key, value)) if !key.trim().is_empty() && !value.trim().is_empty() => {
            Ok((unquoted(key.trim()), value.trim()))
        }
        _ => Err("a line of a `{string: T}` table is `key = value`".into()),
    }
}

fn without_comment(line: &str) -> &str {
    let mut before = ' ';
    for (i, c) in line.char_indices() {
        if c == '#' && before.is_whitespace() {
            return line.get(..i).unwrap_or(line);
        }
        before = c;
    }
    line
}

fn unquoted(text: &str) -> &str {
    text.strip_prefix('"').and_then(|t| t.strip_suffix('"')).unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(element: Type) -> Type {
        Type::List(Box::new(element))
    }

    fn ip(text: &str) -> Value<'static> {
        Value::Ip(text.parse().unwrap())
    }

    #[test]
    fn lists_of_networks() {
        let text = "# who is blocked\n10.0.0.0/8\n\n192.0.2.7  # one address\n2001:db8::/32\n";
        let table = parse(text, &list(Type::Cidr)).unwrap();
        assert_eq!(table.len(), 3);
        for (address, wanted) in [
            ("10.9.9.9", true),
            ("11.0.0.1", false),
            ("192.0.2.7", true),
            ("192.0.2.8", false),
            ("2001:db8::5", true),
            ("::1", false),
            ("::ffff:10.0.0.1", true),
        ] {
            assert_eq!(table.contains(&ip(address)), wanted, "{address}");
        }
        assert!(!table.contains(&Value::str("10.0.0.0/8")));
    }

    #[test]
    fn every_network_contains_everything_in_it() {
        let table = parse("0.0.0.0/0\n", &list(Type::Cidr)).unwrap();
        assert!(table.contains(&ip("255.255.255.255")) && !table.contains(&ip("::1")));
    }

    #[test]
    fn lists_of_texts_and_numbers() {
        let texts = parse("a b\n\"# c\"\nd#e\n", &list(Type::String)).unwrap();
        for (text, wanted) in [("a b", true), ("# c", true), ("d#e", true), ("a", false)] {
            assert_eq!(texts.contains(&Value::str(text)), wanted, "{text}");
        }
        let numbers = parse("[1, 2]", &list(Type::Int)).unwrap();
        assert!(
            numbers.contains(&Value::Int(2))
                && !numbers.contains(&Value::Int(3))
                && !numbers.contains(&Value::str("2"))
        );
        let ids = parse("67e55044-10b1-426f-9247-bb680e5fe0c8\n", &list(Type::Uuid)).unwrap();
        assert!(ids.contains(&Value::Uuid("67e55044-10b1-426f-9247-bb680e5fe0c8".parse().unwrap())));
    }

    #[test]
    fn maps() {
        let map = Type::Map(Box::new(Type::Rate));
        for text in ["a = 10/s\nb 5/min # slow\n", "{ \"a\": \"10/s\", \"b\": \"5/min\" }"] {
            let table = parse(text, &map).unwrap();
            assert_eq!(table.get("a").and_then(|v| v.text()).as_deref(), Some("10/s"), "{text}");
            assert!(table.contains(&Value::str("b")) && table.get("c").is_none());
        }
        let texts = parse("greeting = \"a = b\"\nother a = b\n", &Type::Map(Box::new(Type::String))).unwrap();
        assert_eq!(texts.get("greeting").and_then(Value::as_str), Some("a = b"));
        assert_eq!(texts.get("other").and_then(Value::as_str), Some("a = b"));
    }

    #[test]
    fn every_wrong_line_is_named() {
        let wrong = parse("10.0.0.0/8\nnonsense\n\n10.0.0.1/8\n", &list(Type::Cidr)).unwrap_err();
        assert_eq!(wrong.iter().map(|(line, _)| *line).collect::<Vec<_>>(), [2, 4]);
        assert!(wrong[1].1.contains("write `10.0.0.0/8`"), "{wrong:?}");
        let twice = parse("a = 1\na = 2\nb\n", &Type::Map(Box::new(Type::Int))).unwrap_err();
        assert_eq!(twice.len(), 2);
        assert_eq!(parse("[1,\n x]", &list(Type::Int)).unwrap_err()[0].0, 2);
        assert!(parse("[\"a\"]", &list(Type::Int)).is_err());
    }
}
