//! Values for a program's inputs: `GW_…` environment variables and a TOML file.

use std::path::Path;

use super::disk::reason;
use crate::check::Inputs;

/// A value for an input, as text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Given {
    /// The input's name: `orders-url`.
    pub name: String,
    /// Its value as the language writes it; lists and objects as JSON.
    pub text: String,
    /// Where it comes from, for messages: `GW_ORDERS_URL`, `staging.toml`.
    pub from: String,
}

/// The values that this process is given, the nearest first: its environment, then `file`.
///
/// # Errors
/// A sentence that names the file, where it cannot be read or is not TOML.
pub fn given(file: Option<&Path>) -> Result<Vec<Given>, String> {
    let mut all =
        from_environment(std::env::vars_os().filter_map(|(k, v)| Some((k.into_string().ok()?, v.into_string().ok()?))));
    if let Some(path) = file {
        let name = path.display().to_string();
        let text =
            std::fs::read_to_string(path).map_err(|error| format!("cannot read `{name}`: {}", reason(&error)))?;
        all.extend(from_toml(&name, &text)?);
    }
    Ok(all)
}

/// The inputs of a program that is to be served, or checked for one environment: every one must have a value.
///
/// # Errors
/// As [`given`].
pub fn complete(file: Option<&Path>) -> Result<Inputs, String> {
    let mut inputs = Inputs::default();
    inputs.complete = true;
    given(file)?.into_iter().for_each(|g| inputs.bind(&g.name, g.text, g.from));
    Ok(inputs)
}

/// `GW_ORDERS_URL` is the input `orders-url`.
fn from_environment(variables: impl Iterator<Item = (String, String)>) -> Vec<Given> {
    let mut all: Vec<Given> = variables
        .filter_map(|(from, text)| {
            let name = from.strip_prefix("GW_")?.to_ascii_lowercase().replace('_', "-");
            Some(Given { name, text, from })
        })
        .collect();
    all.sort_by(|a, b| a.from.cmp(&b.from));
    all
}

fn from_toml(file: &str, text: &str) -> Result<Vec<Given>, String> {
    let table: toml::Table = text.parse().map_err(|error: toml::de::Error| {
        let line = error.span().map_or(1, |span| text[..span.start].matches('\n').count() + 1);
        format!("`{file}` is not TOML: line {line}: {}", error.message().trim().replace('\n', "; "))
    })?;
    Ok(table.into_iter().map(|(name, value)| Given { name, text: written(value), from: file.to_owned() }).collect())
}

/// A TOML value as the text of an input.
fn written(value: toml::Value) -> String {
    match value {
        toml::Value::String(text) => text,
        toml::Value::Datetime(time) => time.to_string(),
        value => json(value).to_string(),
    }
}

fn json(value: toml::Value) -> serde_json::Value {
    match value {
        toml::Value::String(text) => text.into(),
        toml::Value::Integer(number) => number.into(),
        toml::Value::Float(number) => number.into(),
        toml::Value::Boolean(truth) => truth.into(),
        toml::Value::Datetime(time) => time.to_string().into(),
        toml::Value::Array(items) => items.into_iter().map(json).collect(),
        toml::Value::Table(fields) => fields.into_iter().map(|(name, value)| (name, json(value))).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_are_inputs() {
        let variables = [("GW_ORDERS_URL", "http://x"), ("HOME", "/root"), ("GW_KEY", "k")];
        let given = from_environment(variables.iter().map(|(k, v)| (k.to_string(), v.to_string())));
        let names: Vec<_> = given.iter().map(|g| (&*g.name, &*g.text, &*g.from)).collect();
        assert_eq!(names, [("key", "k", "GW_KEY"), ("orders-url", "http://x", "GW_ORDERS_URL")]);
    }

    #[test]
    fn a_toml_file_has_a_line_an_input() {
        let text = "orders-url = \"http://x\"\nretries = 3\nshare = 0.5\non = true\nday = 2026-01-01\nhosts = [\"a\", \"b\"]\n[map]\na = 1\n";
        let given = from_toml("staging.toml", text).unwrap();
        let pairs: Vec<_> = given.iter().map(|g| (&*g.name, &*g.text)).collect();
        let mut wanted = vec![
            ("orders-url", "http://x"),
            ("retries", "3"),
            ("share", "0.5"),
            ("on", "true"),
            ("day", "2026-01-01"),
            ("hosts", "[\"a\",\"b\"]"),
            ("map", "{\"a\":1}"),
        ];
        wanted.sort_unstable();
        assert_eq!(pairs, wanted);
        assert!(given.iter().all(|g| g.from == "staging.toml"));
    }

    #[test]
    fn what_is_not_toml_is_told_with_its_line() {
        let error = from_toml("staging.toml", "a = 1\nb = = 2\n").unwrap_err();
        assert!(error.starts_with("`staging.toml` is not TOML: line 2: "), "{error}");
        let error = given(Some(Path::new("no/such.toml"))).unwrap_err();
        assert_eq!(error, "cannot read `no/such.toml`: there is no such file");
    }
}
