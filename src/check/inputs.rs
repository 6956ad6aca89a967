//! Values for inputs: from the environment or a TOML file, given by whoever runs the check.

use crate::model::ast::Program;
use crate::model::literal;
use crate::model::types::Type;
use crate::model::value::{Secret, Value};
use smol_str::SmolStr;
use std::collections::BTreeMap;

/// What inputs are bound to.
#[derive(Debug, Default, Clone)]
pub struct Inputs {
    values: BTreeMap<SmolStr, Given>,
    /// Every input without a default must have a value: for serving, and when one environment is checked.
    pub complete: bool,
}

/// A value as it was given.
#[derive(Debug, Clone)]
pub struct Given {
    /// Its text.
    pub text: String,
    /// Where it comes from, for messages: `GW_ORDERS_URL`, `staging.toml`.
    pub from: String,
}

impl Inputs {
    /// Binds a value; an earlier one for the same input stays.
    pub fn bind(&mut self, name: &str, text: String, from: String) {
        self.values.entry(SmolStr::new(name)).or_insert(Given { text, from });
    }

    /// What an input is bound to.
    pub fn get(&self, name: &str) -> Option<&Given> {
        // Of a variable's name it is not known which of its letters were large and which `_` were `-`.
        let variable = name.to_ascii_lowercase().replace('_', "-");
        let bound = self.values.get(variable.as_str()).filter(|given| given.from.starts_with("GW_"));
        bound.or_else(|| self.values.get(name))
    }

    /// What the program's inputs of type `secret` are bound to.
    pub(super) fn secrets(&self, program: &Program) -> Vec<Secret> {
        let secret = |ty: &Type| match ty {
            Type::Optional(ty) => **ty == Type::Secret,
            ty => *ty == Type::Secret,
        };
        let bound =
            program.inputs.iter().filter(|input| secret(&input.ty.value)).filter_map(|i| self.get(&i.name.text));
        bound.filter(|given| !given.text.is_empty()).map(|given| Secret::new(&given.text)).collect()
    }

    /// Every bound name with its value.
    pub fn iter(&self) -> impl Iterator<Item = (&SmolStr, &Given)> {
        self.values.iter()
    }
}

/// The environment variable of an input: `orders-url` is `GW_ORDERS_URL`.
pub fn variable(name: &str) -> String {
    format!("GW_{}", name.to_ascii_uppercase().replace('-', "_"))
}

/// Reads an input's text as its type. The error says what is wrong, never the text of a secret.
pub fn parse(given: &Given, ty: &Type) -> Result<Value<'static>, String> {
    literal::of_type(&given.text, ty).map_err(|e| format!("{e} (from {})", given.from))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variable_binds_names_however_they_are_written() {
        let mut inputs = Inputs::default();
        inputs.bind("orders-url", "http://env".into(), "GW_ORDERS_URL".into());
        inputs.bind("orders_url", "http://file".into(), "staging.toml".into());
        inputs.bind("b_c", "1".into(), "staging.toml".into());
        for name in ["orders-url", "orders_url", "orders_Url"] {
            assert_eq!(inputs.get(name).map(|g| g.text.as_str()), Some("http://env"), "{name}");
        }
        assert_eq!(inputs.get("b_c").map(|g| g.text.as_str()), Some("1"));
        assert!(inputs.get("b-c").is_none(), "a key of a file is the name itself");
    }
}
