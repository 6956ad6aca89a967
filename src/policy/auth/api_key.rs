//! API keys, kept as SHA-256 hashes. A key is 256 random bits, so a fast hash without salt is enough:
//! there is nothing to guess.
//!
//! The key file, as `gw keys` writes it, has one key a line; `#` begins a comment, empty lines are fine:
//!
//! ```text
//! # NAME sha256:HEX [CREATED] [CLAIMS]
//! acme sha256:8f43…d1 2026-03-04 {"tier":"pro"}
//! ```
//!
//! CREATED is a date, for people; CLAIMS a JSON object, read as the auth declares them.

use super::{Caller, ClaimSpec, Failure, Reason, claims};
use crate::model::value::Secret;
use aws_lc_rs::digest::{SHA256, digest};
use jiff::civil::Date;
use serde_json::Value as Json;
use smol_str::SmolStr;
use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::Arc;

/// The SHA-256 of a key's text.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct KeyHash([u8; 32]);

impl KeyHash {
    /// The hash of a key.
    pub fn of(key: &str) -> KeyHash {
        let mut hash = [0; 32];
        hash.copy_from_slice(digest(&SHA256, key.as_bytes()).as_ref());
        KeyHash(hash)
    }

    /// Reads `sha256:HEX`.
    fn parse(text: &str) -> Option<KeyHash> {
        let hex = text.strip_prefix("sha256:").filter(|hex| hex.len() == 64)?;
        let mut hash = [0; 32];
        for (byte, pair) in hash.iter_mut().zip(hex.as_bytes().chunks_exact(2)) {
            let digits = pair.iter().try_fold(0, |n, digit| Some(n * 16 + char::from(*digit).to_digit(16)?))?;
            *byte = u8::try_from(digits).ok()?;
        }
        Some(KeyHash(hash))
    }
}

/// `sha256:HEX`.
impl fmt::Display for KeyHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("sha256:")?;
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for KeyHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("sha256:…")
    }
}

/// One line of a key file.
#[derive(Clone, Debug, PartialEq)]
pub struct KeyLine {
    /// `caller.id`.
    pub name: SmolStr,
    /// The key's hash.
    pub hash: KeyHash,
    /// When it was made.
    pub created: Option<Date>,
    /// Its claims: an object.
    pub claims: Option<Json>,
}

impl fmt::Display for KeyLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.name, self.hash)?;
        if let Some(created) = self.created {
            write!(f, " {created}")?;
        }
        if let Some(claims) = &self.claims {
            write!(f, " {claims}")?;
        }
        Ok(())
    }
}

/// A mistake in a key file or in named keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyProblem {
    /// The line, from 1; for named keys, which of them.
    pub line: usize,
    /// What is wrong: one lower-case sentence. Never holds a key or a hash.
    pub message: String,
}

impl fmt::Display for KeyProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.message)
    }
}

/// `name` may be a key's name: letters, digits, `.`, `_`, `-`, `@`, beginning with a letter or digit.
pub fn valid_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | '@'))
}

/// Reads one line; `None` where it holds no key.
pub fn parse_line(line: &str) -> Result<Option<KeyLine>, String> {
    let line = line.trim();
    if line.is_empty() || line.starts_with('#') {
        return Ok(None);
    }
    let (name, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
    if !valid_name(name) {
        return Err("a line begins with the key's name: letters, digits, `.`, `_`, `-`, `@`".into());
    }
    let rest = rest.trim_start();
    let (hash, rest) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
    let Some(hash) = KeyHash::parse(hash) else {
        let help = "`gw keys new` writes such lines";
        return Err(format!("after `{name}` its hash is expected: `sha256:` and 64 hexadecimal digits ({help})"));
    };
    let mut rest = rest.trim_start();
    let mut created = None;
    if rest.starts_with(|c: char| c.is_ascii_digit()) {
        let (date, after) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
        created = Some(date.parse().map_err(|_| format!("`{date}` is not a date like `2026-03-04`"))?);
        rest = after.trim_start();
    }
    let claims = match rest {
        "" => None,
        text => match serde_json::from_str(text) {
            Ok(Json::Object(claims)) => Some(Json::Object(claims)),
            Ok(_) => return Err(format!("the claims of `{name}` are not a JSON object")),
            Err(error) => return Err(format!("the claims of `{name}` are not JSON: {error}")),
        },
    };
    Ok(Some(KeyLine { name: name.into(), hash, created, claims }))
}

/// Reads a key file: its keys with their lines, from 1. Says every mistake in it.
pub fn parse(text: &str) -> Result<Vec<(usize, KeyLine)>, Vec<KeyProblem>> {
    let (mut keys, mut problems) = (Vec::new(), Vec::new());
    let (mut names, mut hashes) = (HashMap::new(), HashMap::new());
    for (line, text) in (1..).zip(text.lines()) {
        let problem = match parse_line(text) {
            Ok(None) => continue,
            Err(message) => Some(message),
            Ok(Some(key)) => {
                let name = names.insert(key.name.clone(), line);
                let hash = hashes.insert(key.hash, line);
                let problem = match (name, hash) {
                    (Some(first), _) => Some(format!("the name `{}` is taken by line {first}", key.name)),
                    (_, Some(first)) => Some(format!("the key of `{}` is the same as that of line {first}", key.name)),
                    (None, None) => None,
                };
                keys.push((line, key));
                problem
            }
        };
        problems.extend(problem.map(|message| KeyProblem { line, message }));
    }
    if problems.is_empty() { Ok(keys) } else { Err(problems) }
}

/// The keys of an auth, by hash.
#[derive(Debug)]
pub struct Keys {
    callers: HashMap<KeyHash, Arc<Caller>>,
}

impl Keys {
    /// The keys of a file's text, with the claims that the auth `via` declares.
    pub fn from_file(via: &SmolStr, specs: &[ClaimSpec], text: &str) -> Result<Keys, Vec<KeyProblem>> {
        let keys = parse(text)?;
        let mut problems = Vec::new();
        let mut callers = HashMap::with_capacity(keys.len());
        for (line, key) in keys {
            match caller(via, specs, key.name, key.claims.as_ref()) {
                Ok(caller) => {
                    callers.insert(key.hash, Arc::new(caller));
                }
                Err(message) => problems.push(KeyProblem { line, message }),
            }
        }
        if problems.is_empty() { Ok(Keys { callers }) } else { Err(problems) }
    }

    /// `keys { name: INPUT, … }`. They have no claims, so only optional ones may be declared.
    pub fn named(
        via: &SmolStr,
        specs: &[ClaimSpec],
        keys: impl IntoIterator<Item = (SmolStr, Secret)>,
    ) -> Result<Keys, Vec<KeyProblem>> {
        let (mut callers, mut problems) = (HashMap::new(), Vec::new());
        let mut names = HashSet::new();
        for ((name, key), line) in keys.into_iter().zip(1..) {
            let message = if key.expose().is_empty() {
                Some(format!("the key of `{name}` is empty"))
            } else if !names.insert(name.clone()) {
                Some(format!("the name `{name}` is taken"))
            } else {
                match caller(via, specs, name.clone(), None) {
                    Ok(caller) => callers
                        .insert(KeyHash::of(key.expose()), Arc::new(caller))
                        .map(|other| format!("the key of `{name}` is the same as that of `{}`", other.id)),
                    Err(message) => Some(message),
                }
            };
            problems.extend(message.map(|message| KeyProblem { line, message }));
        }
        if problems.is_empty() { Ok(Keys { callers }) } else { Err(problems) }
    }

    /// Whose key it is. Found by its hash: how long that takes says nothing about other keys.
    pub fn verify(&self, key: &str) -> Result<Arc<Caller>, Failure> {
        self.callers.get(&KeyHash::of(key)).cloned().ok_or_else(|| Reason::UnknownKey.into())
    }

    /// How many keys there are.
    pub fn len(&self) -> usize {
        self.callers.len()
    }

    /// There is no key.
    pub fn is_empty(&self) -> bool {
        self.callers.is_empty()
    }
}

fn caller(via: &SmolStr, specs: &[ClaimSpec], name: SmolStr, json: Option<&Json>) -> Result<Caller, String> {
    let claims = claims::read(specs, json.unwrap_or(&Json::Null))
        .map_err(|problem| format!("the key `{name}` does not fit auth `{via}`: {problem}"))?;
    Ok(Caller { id: name, via: via.clone(), claims, scopes: None, expires: None })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::types::Type;

    fn specs() -> Vec<ClaimSpec> {
        let tier = Type::Union(vec!["free".into(), "pro".into()]);
        vec![ClaimSpec { name: "tier".into(), path: vec!["tier".into()], ty: tier }]
    }

    #[test]
    fn a_key_is_found_by_its_hash_with_its_claims() {
        let text = format!(
            "# partners\n\nacme {} 2026-03-04 {{\"tier\":\"pro\"}}\nglobex\t{} {{\"tier\":\"free\"}}\n",
            KeyHash::of("k1"),
            KeyHash::of("k2"),
        );
        let keys = Keys::from_file(&"partner".into(), &specs(), &text).unwrap();
        let caller = keys.verify("k1").unwrap();
        assert_eq!((caller.id.as_str(), caller.via.as_str()), ("acme", "partner"));
        assert_eq!(format!("{:?}", caller.claims), r#"[Str("pro")]"#);
        assert_eq!(keys.verify("k2").unwrap().id, "globex");
        for wrong in ["", "k3", "K1", "k1 ", &KeyHash::of("k1").to_string()] {
            assert_eq!(keys.verify(wrong).unwrap_err(), Failure::Invalid(Reason::UnknownKey));
        }
    }

    #[test]
    fn every_mistake_has_its_line() {
        let (a, b) = (KeyHash::of("a"), KeyHash::of("b"));
        let text = format!(
            "# x\nacme {a}\n-bad {b}\nacme {b}\nother {a}\nplain secret\nq {a} 2026-13-01\nr {b} [1]\ns {b} {{"
        );
        let problems = parse(&text).unwrap_err();
        let lines: Vec<usize> = problems.iter().map(|problem| problem.line).collect();
        assert_eq!(lines, [3, 4, 5, 6, 7, 8, 9]);
        assert!(problems.iter().all(|p| !p.message.contains("secret") && !p.message.contains(&a.to_string())));
    }

    #[test]
    fn a_claim_of_another_type_is_a_mistake_of_its_line() {
        let text = format!("\n\nacme {} {{\"tier\":\"gold\"}}\nglobex {}", KeyHash::of("a"), KeyHash::of("b"));
        let problems = Keys::from_file(&"partner".into(), &specs(), &text).unwrap_err();
        assert_eq!(problems.iter().map(|problem| problem.line).collect::<Vec<_>>(), [3, 4]);
        assert!(problems[0].message.contains("claim `tier`"), "{}", problems[0]);
    }

    #[test]
    fn named_keys_are_compared_by_hash_too() {
        let named = |keys: &[(&str, &str)]| {
            let keys: Vec<_> = keys.iter().map(|(name, key)| (SmolStr::new(name), Secret::new(key))).collect();
            Keys::named(&"partner".into(), &[], keys)
        };
        assert_eq!(named(&[("a", "1"), ("b", "2")]).unwrap().verify("2").unwrap().id, "b");
        assert!(named(&[("a", "")]).is_err());
        assert!(named(&[("a", "1"), ("b", "1")]).is_err());
        assert!(named(&[("a", "1"), ("a", "2")]).is_err());
    }

    #[test]
    fn a_line_is_written_as_it_is_read() {
        let line = format!("acme {} 2026-03-04 {{\"b\":1,\"a\":[2]}}", KeyHash::of("a"));
        assert_eq!(parse_line(&line).unwrap().unwrap().to_string(), line);
    }
}
