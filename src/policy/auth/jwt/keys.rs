//! Keys that verify tokens: from a secret, a PEM text or a JWK set (RFC 7517).

use super::Algorithm;
use crate::model::value::Secret;
use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyOperations, PublicKeyUse};
use jsonwebtoken::{AlgorithmFamily, DecodingKey, DecodingKeyKind};
use serde_json::Value as Json;
use smol_str::SmolStr;
use std::fmt;

/// Where keys come from, read already.
#[derive(Clone, Debug)]
pub enum KeySource {
    /// An HMAC secret: its text's bytes.
    Secret(Secret),
    /// A public key in PEM (`PUBLIC KEY` or `RSA PUBLIC KEY`).
    Pem(String),
    /// A JWK set's text.
    Jwks(String),
}

/// Why a source gives no keys: one lower-case sentence without key material.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyProblem(pub String);

impl fmt::Display for KeyProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for KeyProblem {}

fn problem<T>(message: impl Into<String>) -> Result<T, KeyProblem> {
    Err(KeyProblem(message.into()))
}

/// A key, and the listed algorithms that it may be used with.
#[derive(Debug)]
pub(super) struct Key {
    /// Its `kid`; only keys of a set have one.
    id: Option<SmolStr>,
    /// It is the only key there is: a token's `kid` means nothing.
    alone: bool,
    algorithms: Vec<Algorithm>,
    decoding: DecodingKey,
}

impl Key {
    /// It may verify a token with this header. A `kid` must be its own; a token without one may be of any key.
    pub(super) fn fits(&self, algorithm: Algorithm, kid: Option<&str>) -> bool {
        self.algorithms.contains(&algorithm) && (self.alone || kid.is_none() || kid == self.id.as_deref())
    }

    /// `signature` (base64url) is this key's of `signed`.
    pub(super) fn verifies(&self, signed: &[u8], signature: &str, algorithm: Algorithm) -> bool {
        jsonwebtoken::crypto::verify(signature, signed, &self.decoding, algorithm).unwrap_or(false)
    }
}

/// The keys of a source that are good for `listed` algorithms.
pub(super) fn read(source: &KeySource, listed: &[Algorithm]) -> Result<Vec<Key>, KeyProblem> {
    if listed.is_empty() {
        return problem("no algorithm is listed");
    }
    match source {
        KeySource::Secret(secret) => {
            if secret.expose().is_empty() {
                return problem("the secret is empty");
            }
            alone(DecodingKey::from_secret(secret.expose().as_bytes()), family(AlgorithmFamily::Hmac), listed)
        }
        KeySource::Pem(text) => {
            let (decoding, usable) = from_pem(text)?;
            alone(decoding, usable, listed)
        }
        KeySource::Jwks(text) => from_jwks(text, listed),
    }
}

/// The only key: every listed algorithm must be one that it can have.
fn alone(decoding: DecodingKey, usable: &[Algorithm], listed: &[Algorithm]) -> Result<Vec<Key>, KeyProblem> {
    if let Some(other) = listed.iter().find(|algorithm| !usable.contains(algorithm)) {
        return problem(format!("{other:?} does not fit the key, which is {}", kind(usable)));
    }
    Ok(vec![Key { id: None, alone: true, algorithms: listed.to_vec(), decoding }])
}

fn from_pem(text: &str) -> Result<(DecodingKey, &'static [Algorithm]), KeyProblem> {
    let pem = text.as_bytes();
    let label = text.split_once("-----BEGIN ").and_then(|(_, rest)| rest.split_once("-----")).map(|(label, _)| label);
    match label {
        Some("PUBLIC KEY" | "RSA PUBLIC KEY") => {}
        Some(private) if private.ends_with("PRIVATE KEY") => {
            return problem("it is a private key; to verify, only the public one is needed (`openssl pkey -pubout`)");
        }
        Some("CERTIFICATE") => {
            return problem("it is a certificate; its public key is needed (`openssl x509 -pubkey -noout`)");
        }
        Some(other) => return problem(format!("it is a PEM `{other}`; a `PUBLIC KEY` is needed")),
        None => return problem("it is not PEM: there is no line `-----BEGIN PUBLIC KEY-----`"),
    }
    if let Ok(key) = DecodingKey::from_rsa_pem(pem) {
        let DecodingKeyKind::SecretOrDer(der) = key.kind() else { return problem("its RSA key cannot be read") };
        let Ok(public) = aws_lc_rs::rsa::PublicKey::from_der(der) else { return problem("its RSA key cannot be read") };
        let components = aws_lc_rs::signature::RsaPublicKeyComponents::<Vec<u8>>::from(&public);
        rsa_size(&components.n)?;
        return Ok((key, family(AlgorithmFamily::Rsa)));
    }
    if let Ok(key) = DecodingKey::from_ec_pem(pem) {
        return match key.try_get_as_bytes().map(<[u8]>::len) {
            Ok(65) => Ok((key, &[Algorithm::ES256])),
            Ok(97) => Ok((key, &[Algorithm::ES384])),
            _ => problem("its curve is neither P-256 (ES256) nor P-384 (ES384)"),
        };
    }
    match DecodingKey::from_ed_pem(pem) {
        Ok(key) if key.try_get_as_bytes().is_ok_and(|bytes| bytes.len() == 32) => {
            Ok((key, family(AlgorithmFamily::Ed)))
        }
        Ok(_) => problem("its Edwards curve is not Ed25519"),
        Err(_) => problem("it is neither an RSA, an EC nor an Ed25519 public key"),
    }
}

/// Keys of a set that cannot be used (for encryption, of an unknown type, damaged) are passed over, as
/// RFC 7517, section 5 asks.
fn from_jwks(text: &str, listed: &[Algorithm]) -> Result<Vec<Key>, KeyProblem> {
    let set: Json = serde_json::from_str(text).map_err(|error| KeyProblem(format!("it is not JSON: {error}")))?;
    let Some(members) = set.get("keys").and_then(Json::as_array) else {
        return problem("it is not a JWK set: an object with a list `keys` is needed");
    };
    let keys: Vec<Key> = members
        .iter()
        .filter_map(|member| serde_json::from_value::<Jwk>(member.clone()).ok())
        .filter_map(|jwk| from_jwk(&jwk, listed))
        .collect();
    if keys.is_empty() {
        return problem(format!("none of its {} keys can verify a listed algorithm", members.len()));
    }
    let hmac = family(AlgorithmFamily::Hmac);
    let unserved =
        |algorithm: &&Algorithm| hmac.contains(algorithm) && !keys.iter().any(|key| key.algorithms.contains(algorithm));
    match listed.iter().find(unserved) {
        Some(other) => problem(format!("{other:?} is listed, but the set has no secret (`oct`) key for it")),
        None => Ok(keys),
    }
}

fn from_jwk(jwk: &Jwk, listed: &[Algorithm]) -> Option<Key> {
    let common = &jwk.common;
    if common.public_key_use.as_ref().is_some_and(|usage| *usage != PublicKeyUse::Signature) {
        return None;
    }
    if common.key_operations.as_ref().is_some_and(|operations| !operations.contains(&KeyOperations::Verify)) {
        return None;
    }
    let usable: &[Algorithm] = match &jwk.algorithm {
        AlgorithmParameters::RSA(_) => family(AlgorithmFamily::Rsa),
        AlgorithmParameters::EllipticCurve(key) => match key.curve {
            EllipticCurve::P256 => &[Algorithm::ES256],
            EllipticCurve::P384 => &[Algorithm::ES384],
            _ => return None,
        },
        AlgorithmParameters::OctetKeyPair(key) if key.curve == EllipticCurve::Ed25519 => family(AlgorithmFamily::Ed),
        AlgorithmParameters::OctetKey(_) => family(AlgorithmFamily::Hmac),
        _ => return None,
    };
    let own = common.key_algorithm.map(|algorithm| algorithm.to_string());
    let algorithms: Vec<Algorithm> = usable
        .iter()
        .filter(|algorithm| listed.contains(algorithm))
        .filter(|algorithm| own.as_ref().is_none_or(|own| *own == format!("{algorithm:?}")))
        .copied()
        .collect();
    let decoding = DecodingKey::from_jwk(jwk).ok()?;
    let sound = match decoding.kind() {
        DecodingKeyKind::RsaModulusExponent { n, .. } => rsa_size(n).is_ok(),
        DecodingKeyKind::SecretOrDer(bytes) => !bytes.is_empty(),
    };
    let id = common.key_id.as_deref().map(SmolStr::new);
    (sound && !algorithms.is_empty()).then_some(Key { id, alone: false, algorithms, decoding })
}

/// RFC 7518, section 3.3: at least 2048 bits. More than 8192 are not verified.
fn rsa_size(modulus: &[u8]) -> Result<(), KeyProblem> {
    let bytes = modulus.iter().skip_while(|byte| **byte == 0).count();
    match bytes {
        256..=1024 => Ok(()),
        _ => problem(format!("its RSA key has about {} bits; 2048 to 8192 are needed", bytes * 8)),
    }
}

/// What to warn of where a secret is shorter than its algorithm's hash (RFC 7518, section 3.2): a token
/// signed with a short one can be used to guess it.
pub fn weak_secret(secret: &Secret, algorithms: &[Algorithm]) -> Option<String> {
    let needed = |algorithm: &Algorithm| match algorithm {
        Algorithm::HS256 => 32,
        Algorithm::HS384 => 48,
        Algorithm::HS512 => 64,
        _ => 0,
    };
    let algorithm = algorithms.iter().max_by_key(|algorithm| needed(algorithm))?;
    let (needed, has) = (needed(algorithm), secret.expose().len());
    (has < needed).then(|| format!("the secret has {has} bytes; {algorithm:?} needs at least {needed} (RFC 7518)"))
}

fn family(family: AlgorithmFamily) -> &'static [Algorithm] {
    match family {
        AlgorithmFamily::Hmac => &[Algorithm::HS256, Algorithm::HS384, Algorithm::HS512],
        AlgorithmFamily::Rsa => &[
            Algorithm::RS256,
            Algorithm::RS384,
            Algorithm::RS512,
            Algorithm::PS256,
            Algorithm::PS384,
            Algorithm::PS512,
        ],
        AlgorithmFamily::Ec => &[Algorithm::ES256, Algorithm::ES384],
        AlgorithmFamily::Ed => &[Algorithm::EdDSA],
    }
}

fn kind(usable: &[Algorithm]) -> String {
    match usable {
        [Algorithm::HS256, ..] => "a secret (HS256, HS384, HS512)".into(),
        [Algorithm::RS256, ..] => "an RSA key (RS256 to RS512, PS256 to PS512)".into(),
        [Algorithm::ES256] => "a P-256 key (ES256)".into(),
        [Algorithm::ES384] => "a P-384 key (ES384)".into(),
        _ => "an Ed25519 key (EdDSA)".into(),
    }
}
