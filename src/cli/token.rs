//! `gw token`: mints a JWT for development.

use std::io::{self, Read};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use jsonwebtoken::{Algorithm, AlgorithmFamily, EncodingKey, Header};
use serde_json::{Map, Value as Json};

use super::{Exit, terminal, unable};
use crate::model::literal;
use crate::model::value::Value;

/// Mint a JSON Web Token for development
///
/// Prints a signed token that an `auth NAME = jwt` accepts whose issuer, audience and key
/// these are. A secret is never an argument, which others on the machine could read.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Exit code: 0 a token is printed, 2 wrong usage, or a secret or key that cannot be read or used.

Examples:
  gw token --secret-env JWT_SECRET --sub u1 --issuer https://id.shop.example/ --audience shop-api
  gw token --key private.pem --sub u1 --claim tier=pro --claim 'roles=[\"admin\"]' --expires 8h
  curl -H \"Authorization: Bearer $(gw token --key private.pem --sub u1)\" http://localhost:8080/"
)]
pub struct Args {
    #[command(flatten)]
    source: Source,

    /// Sign with this algorithm; by default HS256 with a secret, and with a key RS256, ES256,
    /// ES384 or EdDSA as it can
    #[arg(long, value_name = "ALGORITHM")]
    alg: Option<Algorithm>,

    /// Who the caller is: `sub`
    #[arg(long, default_value = "dev")]
    sub: String,

    /// Who issues: `iss`
    #[arg(long, value_name = "ISSUER")]
    issuer: Option<String>,

    /// Whom it is for: `aud`; may be given again
    #[arg(long, value_name = "AUDIENCE")]
    audience: Vec<String>,

    /// A further claim; VALUE is JSON, or else a text; may be given again
    #[arg(long, value_name = "NAME=VALUE", value_parser = claim)]
    claim: Vec<(String, Json)>,

    /// How long it is valid
    #[arg(long, value_name = "DURATION", default_value = "1h", value_parser = duration)]
    expires: std::time::Duration,

    /// The id of the key, for a gateway that has several: `kid`
    #[arg(long, value_name = "KID")]
    kid: Option<String>,
}

#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
struct Source {
    /// The environment variable that has the secret
    #[arg(long, value_name = "VARIABLE")]
    secret_env: Option<String>,

    /// The file that has the secret, - for standard input; a newline at its end is not part of it
    #[arg(long, value_name = "FILE")]
    secret_file: Option<PathBuf>,

    /// The private key, PEM (PKCS#8, or PKCS#1 for RSA), - for standard input
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
}

fn claim(text: &str) -> Result<(String, Json), String> {
    let (name, value) = text.split_once('=').ok_or("it has the form NAME=VALUE")?;
    let value = serde_json::from_str(value).unwrap_or_else(|_| Json::String(value.to_owned()));
    Ok((name.to_owned(), value))
}

fn duration(text: &str) -> Result<std::time::Duration, String> {
    match literal::number(text) {
        Ok(Value::Duration(duration)) => Ok(duration),
        Ok(_) => Err("a duration has a unit: 30s, 15m, 1h, 7d".into()),
        Err(wrong) => Err(wrong.help.map_or(wrong.message.clone(), |help| format!("{}; {help}", wrong.message))),
    }
}

pub fn run(args: Args) -> io::Result<Exit> {
    match mint(&args) {
        Ok(token) => terminal::print(format!("{token}\n")).map(|()| Exit::Good),
        Err(message) => Ok(unable(message)),
    }
}

fn mint(args: &Args) -> Result<String, String> {
    let (key, usual) = key(&args.source)?;
    let alg = args.alg.unwrap_or(usual);
    if alg.family() != key.family() || (key.family() == AlgorithmFamily::Ec && alg != usual) {
        return Err(format!("the key cannot sign with {alg:?}; with {usual:?} it can"));
    }
    let header = Header { kid: args.kid.clone(), ..Header::new(alg) };
    jsonwebtoken::encode(&header, &claims(args), &key).map_err(|error| format!("cannot sign: {error}"))
}

/// What is given as `--claim` wins over what other flags say, so that tests can have wrong tokens too.
fn claims(args: &Args) -> Json {
    let now = Timestamp::now().as_second();
    let mut claims = Map::new();
    claims.insert("sub".into(), args.sub.as_str().into());
    if let Some(issuer) = &args.issuer {
        claims.insert("iss".into(), issuer.as_str().into());
    }
    match args.audience.as_slice() {
        [] => {}
        [one] => drop(claims.insert("aud".into(), one.as_str().into())),
        several => drop(claims.insert("aud".into(), several.to_vec().into())),
    }
    claims.insert("iat".into(), now.into());
    claims.insert("exp".into(), now.saturating_add_unsigned(args.expires.as_secs()).into());
    claims.extend(args.claim.iter().cloned());
    Json::Object(claims)
}

/// The signing key and the algorithm that it usually signs with.
fn key(source: &Source) -> Result<(EncodingKey, Algorithm), String> {
    if let Some(path) = &source.key {
        return private_key(path, &read(path)?);
    }
    let (secret, from) = match (&source.secret_env, &source.secret_file) {
        (Some(name), _) => {
            let secret =
                std::env::var(name).map_err(|_| format!("the environment has no variable `{name}` that is text"))?;
            (secret.into_bytes(), format!("the variable `{name}`"))
        }
        (None, Some(path)) => {
            let mut secret = read(path)?;
            if secret.ends_with(b"\n") {
                secret.pop();
            }
            (secret, format!("`{}`", path.display()))
        }
        (None, None) => return Err("a secret or a key is needed".into()),
    };
    if secret.is_empty() {
        return Err(format!("the secret of {from} is empty"));
    }
    Ok((EncodingKey::from_secret(&secret), Algorithm::HS256))
}

fn private_key(path: &Path, pem: &[u8]) -> Result<(EncodingKey, Algorithm), String> {
    let text = String::from_utf8_lossy(pem);
    if text.contains("-----BEGIN EC PRIVATE KEY-----") {
        let help = "`openssl pkcs8 -topk8 -nocrypt` makes it so";
        return Err(format!("the key of `{}` is not in PKCS#8 form; {help}", path.display()));
    }
    if !text.contains("PRIVATE KEY-----") {
        return Err(format!("`{}` has no PEM private key", path.display()));
    }
    if let Ok(key) = EncodingKey::from_rsa_pem(pem) {
        return Ok((key, Algorithm::RS256));
    }
    if let Ok(key) = EncodingKey::from_ec_pem(pem) {
        let curves = [Algorithm::ES256, Algorithm::ES384];
        let curve = curves.into_iter().find(|curve| jsonwebtoken::crypto::sign(b"", &key, *curve).is_ok());
        return curve.map(|curve| (key, curve)).ok_or_else(|| "the key's curve is neither P-256 nor P-384".into());
    }
    match EncodingKey::from_ed_pem(pem) {
        Ok(key) => Ok((key, Algorithm::EdDSA)),
        Err(_) => Err(format!("the key of `{}` is neither RSA, EC nor Ed25519, or is encrypted", path.display())),
    }
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    let read = match path == Path::new("-") {
        true => io::stdin().lock().read_to_end(&mut bytes).map(drop),
        false => std::fs::read(path).map(|read| bytes = read),
    };
    read.map(|()| bytes).map_err(|error| format!("cannot read `{}`: {}", path.display(), crate::load::reason(&error)))
}
