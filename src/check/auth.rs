//! Auths: their settings, and what their callers look like to expressions.

use super::Compiler;
use crate::diagnostic::{Code, Diagnostic, nearest};
use crate::model::ast::{self, CredentialPlace, OrAny};
use crate::model::types::Type;
use crate::model::value::Value;
use crate::plan::{ApiKeys, Auth, AuthKind, JwtKeys, defaults};
use jsonwebtoken::Algorithm;
use smol_str::SmolStr;
use std::str::FromStr;

const ALGORITHMS: [&str; 12] =
    ["HS256", "HS384", "HS512", "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA"];

impl Compiler<'_> {
    pub(super) fn auths(&mut self) {
        let program = self.program;
        for a in &program.auths {
            let kind = match &a.kind {
                ast::AuthKind::Jwt { issuer, audience, algorithms, leeway, keys } => {
                    self.jwt(a, issuer.as_ref(), audience.as_ref(), algorithms, leeway.as_ref(), keys.as_ref())
                }
                ast::AuthKind::ApiKey { keys } => self.api_key(a, keys.as_ref()),
                // Reported already; no plan is given.
                ast::AuthKind::Error => AuthKind::ApiKey { keys: ApiKeys::Named(Vec::new()) },
            };
            let from = match (&a.from, &kind) {
                (Some(f), _) => f.value.clone(),
                (None, AuthKind::Jwt { .. }) => CredentialPlace::Header("authorization".into()),
                (None, AuthKind::ApiKey { .. }) => CredentialPlace::Header("x-api-key".into()),
            };
            for c in &a.claims {
                if matches!(c.name.text.as_str(), "id" | "via" | "scopes") {
                    self.d.push(
                        Diagnostic::new(Code::E0804, c.name.span, format!("`caller.{}` exists already", c.name.text))
                            .label("a claim cannot have this name")
                            .help(format!("choose another name: `{0}-claim: … from {0}`", c.name.text)),
                    );
                }
                if !claim_type(&c.ty.value) {
                    self.d.push(
                        Diagnostic::new(Code::E0804, c.ty.span, format!("a claim cannot be of type `{}`", c.ty.value))
                            .label("tokens carry JSON")
                            .help("use string, int, float, bool, time, json, a union of texts, a list of these, or one of them with `?`"),
                    );
                }
            }
            let auth = Auth {
                name: a.name.text.clone(),
                kind,
                from,
                forward_credentials: a.forward_credentials,
                claims: a
                    .claims
                    .iter()
                    .map(|c| (c.name.text.clone(), c.ty.value.clone(), c.path.clone().into_boxed_slice()))
                    .collect(),
                docs: a.docs.clone(),
                origin: self.origin(a.span),
            };
            self.plan.auths.push(auth);
        }
    }

    fn jwt(
        &mut self,
        a: &ast::Auth,
        issuer: Option<&OrAny>,
        audience: Option<&OrAny>,
        algorithms: &[ast::Name],
        leeway: Option<&ast::Expr>,
        keys: Option<&ast::Spanned<ast::JwtKeys>>,
    ) -> AuthKind {
        let settings =
            [("issuer", issuer.is_none()), ("audience", audience.is_none()), ("algorithms", algorithms.is_empty())];
        let missing: Vec<&str> = settings.iter().filter(|(_, missing)| *missing).map(|(word, _)| *word).collect();
        if let Some((last, first)) = missing.split_last() {
            let ticked = |word: &&str| format!("`{word}`");
            let list = match first {
                [] => ticked(last),
                _ => format!("{} and no {}", first.iter().map(ticked).collect::<Vec<_>>().join(", no "), ticked(last)),
            };
            let help = missing.iter().map(|word| match *word {
                "algorithms" => "name those your issuer signs with, such as `algorithms RS256`".to_owned(),
                word => format!("write `{word} \"…\"`, or `{word} any` to accept every one"),
            });
            self.d.push(
                Diagnostic::new(Code::E0801, a.name.span, format!("the jwt `{}` has no {list}", a.name.text))
                    .label("a token for something else would be accepted")
                    .help(help.collect::<Vec<_>>().join("; ")),
            );
        }
        let mut parsed = Vec::new();
        for name in algorithms {
            match Algorithm::from_str(&name.text) {
                Ok(alg) if ALGORITHMS.contains(&name.text.as_str()) => parsed.push(alg),
                _ => self.d.push(
                    Diagnostic::new(Code::E0802, name.span, format!("no algorithm is called `{}`", name.text))
                        .label("unknown")
                        .help(match nearest(&name.text.to_ascii_uppercase(), ALGORITHMS) {
                            Some(near) => format!("there is `{near}`"),
                            None => format!("there are {}", ALGORITHMS.join(", ")),
                        }),
                ),
            }
        }
        let given = keys.is_some();
        let keys = match keys {
            Some(k) => match &k.value {
                ast::JwtKeys::JwksFile(e) => JwtKeys::JwksFile(self.key_path(e, "the JWKS file")),
                ast::JwtKeys::KeyFile(e) => JwtKeys::KeyFile(self.key_path(e, "the key file")),
                ast::JwtKeys::Secret(e) => {
                    let typed = self.outside(e, &Type::Secret, "the secret of a jwt");
                    JwtKeys::Secret(secret(typed.constant))
                }
            },
            None if a.damaged => JwtKeys::Secret(None),
            None => {
                self.d.push(
                    Diagnostic::new(
                        Code::E0901,
                        a.name.span,
                        "keys from the issuer's discovery document are not supported yet",
                    )
                    .label("has no key setting")
                    .help("give its keys with `jwks file \"jwks.json\"`, `key file \"key.pem\"` or `secret INPUT`"),
                );
                JwtKeys::Secret(None)
            }
        };
        let shared = matches!(keys, JwtKeys::Secret(_));
        for (name, alg) in algorithms.iter().zip(&parsed) {
            let hmac = matches!(alg, Algorithm::HS256 | Algorithm::HS384 | Algorithm::HS512);
            if hmac != shared && given {
                let (needs, has) =
                    if hmac { ("a shared `secret`", "public keys") } else { ("public keys", "a shared secret") };
                self.d.push(
                    Diagnostic::new(
                        Code::E0805,
                        name.span,
                        format!("`{}` needs {needs}, and this jwt has {has}", name.text),
                    )
                    .label("no token could be verified with it")
                    .help(if hmac {
                        "remove it, or use `secret INPUT`"
                    } else {
                        "remove it, or use `jwks file` or `key file`"
                    }),
                );
            }
        }
        AuthKind::Jwt {
            issuers: self.texts(issuer, "`issuer`"),
            audiences: self.texts(audience, "`audience`"),
            algorithms: parsed,
            leeway: leeway
                .and_then(|e| match self.constant(e, &Type::Duration, "`leeway`") {
                    Some(Value::Duration(d)) => Some(d),
                    _ => None,
                })
                .unwrap_or(defaults::LEEWAY),
            keys,
        }
    }

    fn texts(&mut self, setting: Option<&OrAny>, place: &'static str) -> Option<Vec<SmolStr>> {
        match setting {
            Some(OrAny::Texts(list)) => Some(list.iter().filter_map(|e| self.text(e, place)).collect()),
            _ => None,
        }
    }

    fn key_path(&mut self, e: &ast::Expr, place: &'static str) -> std::path::PathBuf {
        let path = self.path(e, place).unwrap_or_default();
        self.plan.watched.push(path.clone());
        path
    }

    fn api_key(&mut self, a: &ast::Auth, keys: Option<&ast::Spanned<ast::ApiKeys>>) -> AuthKind {
        let keys = match keys.map(|k| &k.value) {
            Some(ast::ApiKeys::File(e)) => ApiKeys::File(self.key_path(e, "the key file")),
            Some(ast::ApiKeys::Named(list)) => {
                let named = list.iter().map(|(name, e)| {
                    let typed = self.outside(e, &Type::Secret, "a key");
                    (name.text.clone(), secret(typed.constant))
                });
                ApiKeys::Named(named.collect())
            }
            None if a.damaged => ApiKeys::Named(Vec::new()),
            None => {
                self.d.push(
                    Diagnostic::new(Code::E0801, a.name.span, format!("the api-key `{}` has no `keys`", a.name.text))
                        .label("nobody could pass it")
                        .help("write `keys file \"partners.keys\"` (made by `gw keys new`), or `keys { name: INPUT }`"),
                );
                ApiKeys::Named(Vec::new())
            }
        };
        AuthKind::ApiKey { keys }
    }
}

fn secret(v: Option<Value<'static>>) -> Option<crate::model::value::Secret> {
    match v {
        Some(Value::Secret(s)) => Some(s),
        _ => None,
    }
}

/// JSON can hold it.
fn claim_type(ty: &Type) -> bool {
    match ty {
        Type::String
        | Type::Int
        | Type::Float
        | Type::Bool
        | Type::Time
        | Type::Json
        | Type::Union(_)
        | Type::Uuid
        | Type::Error => true,
        Type::Optional(t) | Type::List(t) | Type::Map(t) => claim_type(t),
        _ => false,
    }
}
