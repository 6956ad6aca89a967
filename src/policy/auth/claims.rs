//! Declared claims: typed reading of the JSON in a credential.

use crate::model::types::Type;
use crate::model::value::Value;
use base64::Engine;
use serde_json::Value as Json;
use smol_str::SmolStr;
use std::borrow::Cow;
use std::fmt;

/// A declared claim: `roles: [string] from realm_access.roles`.
#[derive(Clone, Debug, PartialEq)]
pub struct ClaimSpec {
    /// Its name in `caller`.
    pub name: SmolStr,
    /// Where it stands, from the outside in.
    pub path: Vec<SmolStr>,
    /// Its type.
    pub ty: Type,
}

/// A declared claim that a credential does not have as declared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimProblem {
    /// Where it should stand, joined by dots.
    pub path: String,
    /// The type it should have.
    pub expected: String,
    /// What is there instead; `None` where nothing is.
    pub found: Option<&'static str>,
}

impl fmt::Display for ClaimProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.found {
            None => write!(f, "claim `{}` is missing", self.path),
            Some(found) => write!(f, "claim `{}` is {found} where {} is declared", self.path, self.expected),
        }
    }
}

/// Reads the declared claims from `claims`, in declared order.
pub fn read(specs: &[ClaimSpec], claims: &Json) -> Result<Vec<Value<'static>>, ClaimProblem> {
    specs.iter().map(|spec| read_one(spec, claims)).collect()
}

fn read_one(spec: &ClaimSpec, claims: &Json) -> Result<Value<'static>, ClaimProblem> {
    let found = spec.path.iter().try_fold(claims, |json, name| json.get(name.as_str()));
    let found = found.filter(|json| !json.is_null());
    let problem = |found| ClaimProblem { path: spec.path.join("."), expected: spec.ty.to_string(), found };
    match (found, &spec.ty) {
        (None, Type::Optional(_) | Type::Json | Type::Null) => Ok(Value::Null),
        (None, _) => Err(problem(None)),
        (Some(json), ty) => typed(ty, json).ok_or_else(|| problem(Some(kind(json)))),
    }
}

/// A claim may have this type: there is a JSON form of it.
pub fn claimable(ty: &Type) -> bool {
    match ty {
        Type::Bool | Type::Int | Type::Float | Type::String | Type::Bytes | Type::Url | Type::Uuid => true,
        Type::Date | Type::Time | Type::Ip | Type::Cidr | Type::Address | Type::Method | Type::Status => true,
        Type::Json | Type::Union(_) | Type::Error => true,
        Type::Optional(inner) | Type::List(inner) | Type::Map(inner) => claimable(inner),
        _ => false,
    }
}

/// `json` as a value of type `ty`, without any conversion between kinds of JSON. Texts have the form of
/// the language's literals; a `time` is RFC 3339 or seconds since 1970 (JWT's NumericDate), `bytes` are
/// base64url.
pub fn typed(ty: &Type, json: &Json) -> Option<Value<'static>> {
    let text = json.as_str();
    Some(match ty {
        Type::Json | Type::Error => json.clone().into(),
        Type::Optional(_) | Type::Null if json.is_null() => Value::Null,
        Type::Optional(inner) => typed(inner, json)?,
        Type::Bool => Value::Bool(json.as_bool()?),
        Type::Int => Value::Int(json.as_i64()?),
        Type::Float => Value::Float(json.as_f64().filter(|number| number.is_finite())?),
        Type::String => Value::Str(Cow::Owned(text?.to_owned())),
        Type::Union(words) => {
            let word = words.iter().find(|word| Some(word.as_str()) == text)?;
            Value::Str(Cow::Owned(word.to_string()))
        }
        Type::Url => {
            let uri: http::Uri = text?.parse().ok()?;
            uri.scheme().zip(uri.authority())?;
            Value::Str(Cow::Owned(text?.to_owned()))
        }
        Type::Bytes => Value::Bytes(Cow::Owned(base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(text?).ok()?)),
        Type::Uuid => Value::Uuid(text?.parse().ok()?),
        Type::Date => Value::Date(text?.parse().ok()?),
        Type::Time => match json.as_i64() {
            Some(seconds) => Value::Time(jiff::Timestamp::from_second(seconds).ok()?),
            None => Value::Time(text?.parse().ok()?),
        },
        Type::Ip => Value::Ip(text?.parse().ok()?),
        Type::Cidr => Value::Cidr(text?.parse().ok()?),
        Type::Address => Value::Address(text?.parse().ok()?),
        Type::Method => Value::Method(text?.parse().ok()?),
        Type::Status => Value::Status(u16::try_from(json.as_u64()?).ok().filter(|n| (100..600).contains(n))?),
        Type::List(inner) => {
            let items: Option<Vec<_>> = json.as_array()?.iter().map(|item| typed(inner, item)).collect();
            Value::List(Cow::Owned(items?))
        }
        Type::Map(inner) => {
            let entry = |(name, item): (&String, &Json)| Some((SmolStr::new(name), typed(inner, item)?));
            let entries: Option<Vec<_>> = json.as_object()?.iter().map(entry).collect();
            Value::Map(Cow::Owned(entries?))
        }
        _ => return None,
    })
}

fn kind(json: &Json) -> &'static str {
    match json {
        Json::Null => "null",
        Json::Bool(_) => "a bool",
        Json::Number(_) => "a number",
        Json::String(_) => "another text",
        Json::Array(_) => "a list",
        Json::Object(_) => "an object",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn spec(path: &[&str], ty: Type) -> ClaimSpec {
        ClaimSpec { name: "x".into(), path: path.iter().map(SmolStr::new).collect(), ty }
    }

    fn read_as(path: &[&str], ty: Type, claims: Json) -> Result<String, String> {
        match read(&[spec(path, ty)], &claims) {
            Ok(values) => Ok(format!("{:?}", values[0])),
            Err(problem) => Err(problem.to_string()),
        }
    }

    fn list(ty: Type) -> Type {
        Type::List(Box::new(ty))
    }

    #[test]
    fn paths_go_inside() {
        let claims = json!({ "realm_access": { "roles": ["admin", "dev"] }, "https://x/y": { "a.b": 1 } });
        let roles = read_as(&["realm_access", "roles"], list(Type::String), claims.clone()).unwrap();
        assert!(roles.contains("admin") && roles.contains("dev"), "{roles}");
        assert_eq!(read_as(&["https://x/y", "a.b"], Type::Int, claims.clone()), Ok("Int(1)".into()));
        let absent = read_as(&["realm_access", "groups"], list(Type::String), claims);
        assert_eq!(absent, Err("claim `realm_access.groups` is missing".into()));
    }

    #[test]
    fn what_is_absent_is_null_only_where_the_type_says_so() {
        assert_eq!(read_as(&["org"], Type::String.optional(), json!({})), Ok("Null".into()));
        assert_eq!(read_as(&["org"], Type::String.optional(), json!({ "org": null })), Ok("Null".into()));
        assert_eq!(read_as(&["org"], Type::Json, json!({})), Ok("Null".into()));
        assert!(read_as(&["org"], Type::String, json!({ "org": null })).unwrap_err().contains("missing"));
    }

    #[test]
    fn nothing_is_converted() {
        let refused = [
            (Type::Int, json!("5")),
            (Type::Int, json!(5.5)),
            (Type::Bool, json!("true")),
            (Type::Bool, json!(1)),
            (Type::String, json!(5)),
            (Type::String, json!(["a"])),
            (list(Type::String), json!("a")),
            (list(Type::String), json!(["a", 1])),
            (Type::Uuid, json!("not one")),
            (Type::Url, json!("/only/a/path")),
            (Type::Status, json!(42)),
            (Type::Secret, json!("s")),
            (Type::Union(vec!["free".into(), "pro".into()]), json!("Pro")),
        ];
        for (ty, json) in refused {
            let problem = read_as(&["c"], ty.clone(), json!({ "c": json })).unwrap_err();
            assert!(problem.contains("is declared"), "{ty}: {problem}");
        }
    }

    #[test]
    fn every_form_is_read() {
        let read = [
            (Type::Float, json!(5), "Float(5.0)"),
            (Type::Union(vec!["free".into(), "pro".into()]), json!("pro"), r#"Str("pro")"#),
            (Type::Time, json!(0), "Time(1970-01-01T00:00:00Z)"),
            (Type::Time, json!("2026-01-01T00:00:00Z"), "Time(2026-01-01T00:00:00Z)"),
            (Type::Date, json!("2026-01-31"), "Date(2026-01-31)"),
            (Type::Ip, json!("::1"), "Ip(::1)"),
            (Type::Status, json!(404), "Status(404)"),
            (Type::Bytes, json!("AQI"), "Bytes([1, 2])"),
            (Type::Map(Box::new(Type::Int)), json!({ "b": 1, "a": 2 }), r#"Map([("b", Int(1)), ("a", Int(2))])"#),
        ];
        for (ty, json, expected) in read {
            assert!(claimable(&ty));
            assert_eq!(read_as(&["c"], ty, json!({ "c": json })), Ok(expected.into()));
        }
    }
}
