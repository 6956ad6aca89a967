//! What a plan reads while it serves: tables and keys from files. Read again when a file changes, without a reload.

use crate::decide::Refusal;
use crate::model::ast::CredentialPlace;
use crate::model::table::{self, TableData};
use crate::plan::{ApiKeys, Auth, AuthId, AuthKind, JwtKeys, Plan, Table, TableId};
use crate::policy::auth::jwt::{Accept, KeySource};
use crate::policy::auth::{Caller, ClaimSpec, Place, api_key, jwt};
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderName};
use jiff::Timestamp;
use jsonwebtoken::Algorithm;
use smol_str::SmolStr;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::Path;
use std::sync::Arc;

/// The tables and keys of a plan, in its order.
#[derive(Clone, Default)]
pub struct Materials {
    tables: Vec<Arc<TableData>>,
    verifiers: Vec<Verifier>,
}

/// What an auth verifies with.
#[derive(Clone)]
struct Verifier {
    place: Place,
    /// What its keys were made from: equal numbers, equal keys.
    made_from: u64,
    keys: Keys,
}

#[derive(Clone)]
enum Keys {
    Jwt(Arc<jwt::Verifier>),
    Named(Arc<api_key::Keys>),
    /// None could be read.
    None,
}

/// A file that could not be used: a sentence for the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// What is wrong.
    pub message: String,
    /// Without it the gateway should not start: a deny list that is not there denies nobody.
    pub fatal: bool,
}

impl Materials {
    /// Reads what `plan` needs. What has not changed is taken over from `old`, which serves `old_plan`, and so is what
    /// cannot be read now but could be then.
    pub fn read(plan: &Plan, old: Option<(&Plan, &Materials)>) -> (Materials, Vec<Problem>) {
        let mut problems = Vec::new();
        let tables = plan.tables.iter().map(|table| {
            let before = old.and_then(|(plan, materials)| materials.table_of(plan, table));
            read_table(table, before, &mut problems)
        });
        let tables = tables.collect();
        let verifiers = plan.auths.iter().map(|auth| {
            let before = old.and_then(|(plan, materials)| materials.verifier_of(plan, &auth.name));
            read_keys(auth, before, &mut problems)
        });
        (Materials { tables, verifiers: verifiers.collect() }, problems)
    }

    fn table_of(&self, plan: &Plan, table: &Table) -> Option<Arc<TableData>> {
        let at = plan.tables.iter().position(|t| t.name == table.name && t.ty == table.ty && t.file == table.file)?;
        self.tables.get(at).cloned()
    }

    fn verifier_of(&self, plan: &Plan, name: &SmolStr) -> Option<&Verifier> {
        let at = plan.auths.iter().position(|auth| auth.name == *name)?;
        self.verifiers.get(at)
    }

    /// A table as it is now.
    pub fn table(&self, id: TableId) -> Arc<TableData> {
        self.tables.get(id.index()).cloned().unwrap_or_default()
    }

    /// Whom an auth accepts.
    pub fn authenticate(
        &self,
        auth: AuthId,
        headers: &HeaderMap,
        query: Option<&str>,
        now: impl FnOnce() -> Timestamp,
    ) -> Result<Arc<Caller>, Refusal> {
        let Some(verifier) = self.verifiers.get(auth.index()) else { return Err(Refusal::KeysUnavailable) };
        let credential = verifier.place.find(headers, query).one().map_err(Refusal::Credential)?;
        match &verifier.keys {
            Keys::Jwt(jwt) => jwt.verify(&credential, now()).map_err(Refusal::Credential),
            Keys::Named(keys) => keys.verify(&credential).map_err(Refusal::Credential),
            Keys::None => Err(Refusal::KeysUnavailable),
        }
    }
}

fn read_table(table: &Table, before: Option<Arc<TableData>>, problems: &mut Vec<Problem>) -> Arc<TableData> {
    let Some(file) = &table.file else { return table.inline.clone() };
    let read = read_file(file).and_then(|text| {
        table::parse(&text, &table.ty).map_err(|wrong| {
            let first = wrong.first().map_or_else(String::new, |(line, message)| format!("line {line}: {message}"));
            let more = wrong.len().saturating_sub(1);
            if more > 0 { format!("{first} (and {more} more)") } else { first }
        })
    });
    match (read, before) {
        (Ok(data), _) => Arc::new(data),
        (Err(why), before) => {
            let fate = match &before {
                Some(_) if table.clear_on_failure => "it is empty now",
                Some(_) => "it stays as it was",
                None => "it has never been read",
            };
            let message = format!("table `{}` from `{}`: {why}; {fate}", table.name, file.display());
            problems.push(Problem { message, fatal: before.is_none() && !table.clear_on_failure });
            before.filter(|_| !table.clear_on_failure).unwrap_or_else(|| Arc::new(TableData::empty(&table.ty)))
        }
    }
}

fn read_keys(auth: &Auth, before: Option<&Verifier>, problems: &mut Vec<Problem>) -> Verifier {
    let place = place(auth);
    let claims: Vec<ClaimSpec> = auth
        .claims
        .iter()
        .map(|(name, ty, path)| ClaimSpec { name: name.clone(), path: path.to_vec(), ty: ty.clone() })
        .collect();
    problems.extend(short_secret(auth));
    let made = match &auth.kind {
        AuthKind::Jwt { .. } => jwt_keys(auth, claims, before),
        AuthKind::ApiKey { keys } => api_keys(auth, &claims, keys, before),
    };
    match made {
        Ok((made_from, keys)) => Verifier { place, made_from, keys },
        Err(why) => {
            let kept = before.filter(|before| !matches!(before.keys, Keys::None));
            let fate = if kept.is_some() { "the keys from before stay" } else { "what needs it is answered with 503" };
            problems.push(Problem { message: format!("auth `{}`: {why}; {fate}", auth.name), fatal: false });
            match kept {
                Some(before) => Verifier { place, ..before.clone() },
                None => Verifier { place, made_from: 0, keys: Keys::None },
            }
        }
    }
}

/// A secret must be as long as the hash (RFC 7518, 3.2): a short one is found by trying.
fn short_secret(auth: &Auth) -> Option<Problem> {
    let AuthKind::Jwt { algorithms, keys: JwtKeys::Secret(Some(secret)), .. } = &auth.kind else { return None };
    let wanted = |algorithm: &Algorithm| match algorithm {
        Algorithm::HS512 => 64,
        Algorithm::HS384 => 48,
        _ => 32,
    };
    let algorithm = algorithms.iter().max_by_key(|a| wanted(a))?;
    let (has, wants) = (secret.expose().len(), wanted(algorithm));
    (has < wants).then(|| Problem {
        message: format!(
            "auth `{}`: its secret has {has} bytes, and {algorithm:?} wants {wants} (RFC 7518)",
            auth.name
        ),
        fatal: false,
    })
}

fn jwt_keys(auth: &Auth, claims: Vec<ClaimSpec>, before: Option<&Verifier>) -> Result<(u64, Keys), String> {
    let AuthKind::Jwt { issuers, audiences, algorithms, leeway, keys } = &auth.kind else {
        return Err("it is not a `jwt`".into());
    };
    let accept = |names: &Option<Vec<SmolStr>>| match names {
        None => Accept::Any,
        Some(names) => Accept::OneOf(names.iter().map(ToString::to_string).collect()),
    };
    let config = jwt::Config {
        name: auth.name.clone(),
        algorithms: algorithms.clone(),
        issuer: accept(issuers),
        audience: accept(audiences),
        claims,
        leeway: *leeway,
    };
    let mut hasher = DefaultHasher::new();
    let (source, file) = match keys {
        JwtKeys::JwksFile(path) => (KeySource::Jwks(read_key_file(path)?), Some(path)),
        JwtKeys::KeyFile(path) => (KeySource::Pem(read_key_file(path)?), Some(path)),
        JwtKeys::Secret(Some(secret)) => (KeySource::Secret(secret.clone()), None),
        JwtKeys::Secret(None) => return Err("its secret has no value".into()),
    };
    match &source {
        KeySource::Jwks(text) | KeySource::Pem(text) => text.hash(&mut hasher),
        KeySource::Secret(secret) => secret.expose().hash(&mut hasher),
    }
    let made_from = hasher.finish();
    // What it remembers of good tokens is worth keeping.
    if let Some(Verifier { made_from: same, keys: Keys::Jwt(jwt), .. }) = before
        && *same == made_from
        && *jwt.config() == config
    {
        return Ok((made_from, Keys::Jwt(jwt.clone())));
    }
    let verifier = jwt::Verifier::new(config, &source).map_err(|problem| match file {
        Some(path) => format!("`{}`: {problem}", path.display()),
        None => problem.to_string(),
    })?;
    Ok((made_from, Keys::Jwt(Arc::new(verifier))))
}

fn api_keys(
    auth: &Auth,
    claims: &[ClaimSpec],
    keys: &ApiKeys,
    before: Option<&Verifier>,
) -> Result<(u64, Keys), String> {
    let _ = before;
    let first = |problems: Vec<api_key::KeyProblem>| problems.first().map_or_else(String::new, ToString::to_string);
    let keys = match keys {
        ApiKeys::File(path) => {
            let text = read_key_file(path)?;
            api_key::Keys::from_file(&auth.name, claims, &text)
                .map_err(|p| format!("`{}`: {}", path.display(), first(p)))?
        }
        ApiKeys::Named(named) => {
            let given = named.iter().filter_map(|(name, secret)| Some((name.clone(), secret.clone()?)));
            api_key::Keys::named(&auth.name, claims, given).map_err(first)?
        }
    };
    Ok((0, Keys::Named(Arc::new(keys))))
}

fn place(auth: &Auth) -> Place {
    match &auth.from {
        CredentialPlace::Header(name) => match HeaderName::try_from(name.as_str()) {
            Ok(name) if name == AUTHORIZATION => Place::Bearer,
            Ok(name) => Place::Header(name),
            Err(_) => Place::Bearer,
        },
        CredentialPlace::Cookie(name) => Place::Cookie(name.clone()),
        CredentialPlace::Query(name) => Place::Query(name.clone()),
    }
}

fn read_key_file(path: &Path) -> Result<String, String> {
    read_file(path).map_err(|why| format!("`{}`: {why}", path.display()))
}

fn read_file(path: &Path) -> Result<String, String> {
    std::fs::read_to_string(path).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => "there is no such file".to_owned(),
        std::io::ErrorKind::InvalidData => "it is not UTF-8".to_owned(),
        _ => error.to_string(),
    })
}
