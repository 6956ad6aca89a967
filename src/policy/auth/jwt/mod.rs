//! JSON Web Tokens (RFC 7519, signed as RFC 7515).
//!
//! A key is used only with algorithms of its own type that are listed, so an RSA key can never be taken
//! for an HMAC secret and `none` is nothing at all. Nothing in a token chooses a key but its `kid`, which
//! is compared with the ids of the keys that are known: never a path, a URL or a key of its own (`jku`,
//! `jwk`, `x5u` are not looked at).

mod keys;
mod remembered;
#[cfg(test)]
mod tests;

pub use jsonwebtoken::Algorithm;
pub use keys::{KeyProblem, KeySource, weak_secret};

use super::{Caller, ClaimSpec, Failure, Reason, claims};
use crate::model::value::Value;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use keys::Key;
use remembered::Remembered;
use serde::Deserialize;
use serde::de::{Deserializer, Error as _, IgnoredAny, MapAccess, Visitor};
use serde_json::Value as Json;
use smol_str::SmolStr;
use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// The longest token that is looked at, in bytes.
pub const LONGEST: usize = 16 * 1024;

/// Which values of a registered claim are accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Accept {
    /// Any, also none: the claim is not looked at.
    Any,
    /// One of these.
    OneOf(Vec<String>),
}

impl Accept {
    fn accepts(&self, value: &str) -> bool {
        match self {
            Accept::Any => true,
            Accept::OneOf(values) => values.iter().any(|accepted| accepted == value),
        }
    }
}

/// What a `jwt` auth says.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// The auth's name: `caller.via`.
    pub name: SmolStr,
    /// `algorithms`: the only ones that are accepted.
    pub algorithms: Vec<Algorithm>,
    /// `issuer`, for `iss`.
    pub issuer: Accept,
    /// `audience`, for `aud`: one of the token's must be accepted.
    pub audience: Accept,
    /// `leeway`: how far clocks may differ, for `exp` and `nbf`.
    pub leeway: Duration,
    /// `claims`.
    pub claims: Vec<ClaimSpec>,
}

/// Verifies tokens, and remembers the good ones until they expire. Keys never change in it: for other keys
/// make another, which remembers nothing.
#[derive(Debug)]
pub struct Verifier {
    config: Config,
    keys: Vec<Key>,
    remembered: Remembered,
}

impl Verifier {
    /// A verifier by `config` with the keys of `source`. Fails when no key can verify a listed algorithm,
    /// or an algorithm is listed that keys of this source cannot have.
    pub fn new(config: Config, source: &KeySource) -> Result<Verifier, KeyProblem> {
        let keys = keys::read(source, &config.algorithms)?;
        Ok(Verifier { config, keys, remembered: Remembered::default() })
    }

    /// What was configured.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Who the bearer of `token` is at `now`.
    pub fn verify(&self, token: &str, now: Timestamp) -> Result<Arc<Caller>, Failure> {
        if token.len() > LONGEST {
            return Err(Reason::TooLong.into());
        }
        if let Some(good) = self.remembered.get(token) {
            good.valid.at(now)?;
            return Ok(good.caller);
        }
        let (caller, valid) = self.verify_anew(token)?;
        valid.at(now)?;
        let caller = Arc::new(caller);
        self.remembered.put(token, &caller, valid, now);
        Ok(caller)
    }

    /// Everything but the time.
    fn verify_anew(&self, token: &str) -> Result<(Caller, Valid), Failure> {
        let malformed = |what| Reason::Malformed(what);
        let mut parts = token.split('.');
        let (Some(header), Some(payload), Some(signature), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(malformed("a signed token has three parts").into());
        };
        let decode = |part| URL_SAFE_NO_PAD.decode(part);
        let header_json = decode(header).map_err(|_| malformed("the header is not base64url"))?;
        let header_json: Header = serde_json::from_slice(&header_json)
            .map_err(|_| malformed("the header is not a JSON object as it must be"))?;
        let name = header_json.alg.as_str();
        let algorithm = name
            .parse()
            .ok()
            .filter(|algorithm| self.config.algorithms.contains(algorithm))
            .ok_or_else(|| Reason::Algorithm(name.chars().take(32).collect()))?;
        if header_json.crit {
            return Err(Reason::Critical.into());
        }
        let signed = token.get(..header.len() + 1 + payload.len()).unwrap_or_default();
        self.check_signature(signed.as_bytes(), signature, algorithm, header_json.kid.as_deref())?;

        let claims = decode(payload).map_err(|_| malformed("the claims are not base64url"))?;
        let Claims(claims) = serde_json::from_slice(&claims)
            .map_err(|_| malformed("the claims are not a JSON object without repeated names"))?;
        self.check_parties(&claims)?;
        let valid = Valid::read(&claims, self.config.leeway)?;
        let id = match claims.get("sub") {
            Some(Json::String(sub)) if !sub.is_empty() => SmolStr::new(sub),
            None => return Err(Reason::MissingClaim("sub").into()),
            Some(_) => return Err(Reason::BadClaim("sub").into()),
        };
        let caller = Caller {
            id,
            via: self.config.name.clone(),
            scopes: Some(scopes(&claims)?),
            claims: claims::read(&self.config.claims, &claims).map_err(Reason::Claim)?,
            expires: Some(valid.expires),
        };
        Ok((caller, valid))
    }

    fn check_signature(
        &self,
        signed: &[u8],
        signature: &str,
        algorithm: Algorithm,
        kid: Option<&str>,
    ) -> Result<(), Reason> {
        let mut fitting = self.keys.iter().filter(|key| key.fits(algorithm, kid)).peekable();
        if fitting.peek().is_none() {
            return Err(Reason::NoKey(kid.map(|kid| kid.chars().take(64).collect())));
        }
        let verified = fitting.any(|key| key.verifies(signed, signature, algorithm));
        if verified { Ok(()) } else { Err(Reason::Signature) }
    }

    fn check_parties(&self, claims: &Json) -> Result<(), Reason> {
        if self.config.issuer != Accept::Any {
            let issuer = claims.get("iss").ok_or(Reason::MissingClaim("iss"))?;
            let issuer = issuer.as_str().ok_or(Reason::BadClaim("iss"))?;
            if !self.config.issuer.accepts(issuer) {
                return Err(Reason::Issuer);
            }
        }
        if self.config.audience != Accept::Any {
            let accepts = |audience: &Json| {
                audience.as_str().map(|audience| self.config.audience.accepts(audience)).ok_or(Reason::BadClaim("aud"))
            };
            let accepted = match claims.get("aud").ok_or(Reason::MissingClaim("aud"))? {
                Json::Array(audiences) => {
                    audiences.iter().map(accepts).try_fold(false, |any, one| one.map(|one| any || one))?
                }
                audience => accepts(audience)?,
            };
            if !accepted {
                return Err(Reason::Audience);
            }
        }
        Ok(())
    }
}

/// When a token is valid.
#[derive(Clone, Copy, Debug)]
struct Valid {
    /// `nbf`, less the leeway.
    from: Option<Timestamp>,
    /// `exp`, and the leeway: from this moment it is not.
    until: Timestamp,
    /// `exp`.
    expires: Timestamp,
}

impl Valid {
    fn read(claims: &Json, leeway: Duration) -> Result<Valid, Reason> {
        let expires = numeric_date(claims, "exp")?.ok_or(Reason::MissingClaim("exp"))?;
        let from = numeric_date(claims, "nbf")?;
        Ok(Valid {
            from: from.map(|from| from.checked_sub(leeway).unwrap_or(Timestamp::MIN)),
            until: expires.checked_add(leeway).unwrap_or(Timestamp::MAX),
            expires,
        })
    }

    fn at(&self, now: Timestamp) -> Result<(), Failure> {
        match self.from {
            _ if now >= self.until => Err(Failure::Expired(self.expires)),
            Some(from) if now < from => Err(Reason::NotYet(from).into()),
            _ => Ok(()),
        }
    }
}

/// Seconds since 1970, whole or not (RFC 7519, section 2); what lies beyond the calendar is its end.
fn numeric_date(claims: &Json, name: &'static str) -> Result<Option<Timestamp>, Reason> {
    let Some(json) = claims.get(name) else { return Ok(None) };
    let seconds = match json.as_i64() {
        Some(seconds) => seconds,
        // A cast to an integer saturates.
        None => json.as_f64().filter(|seconds| seconds.is_finite()).ok_or(Reason::BadClaim(name))?.floor() as i64,
    };
    let (first, last) = (Timestamp::MIN, Timestamp::MAX);
    let moment = Timestamp::from_second(seconds.clamp(first.as_second(), last.as_second()));
    Ok(Some(moment.unwrap_or(last)))
}

/// `scope`: words (RFC 8693, 4.2); or `scp`, words or a list, as some issuers have it.
fn scopes(claims: &Json) -> Result<Vec<Value<'static>>, Reason> {
    let text = |word: &str| Value::Str(Cow::Owned(word.to_owned()));
    let (name, scopes) = match (claims.get("scope"), claims.get("scp")) {
        (Some(scope), _) => ("scope", scope),
        (None, Some(scp)) => ("scp", scp),
        (None, None) => return Ok(Vec::new()),
    };
    match scopes {
        Json::String(words) => Ok(words.split(' ').filter(|word| !word.is_empty()).map(text).collect()),
        Json::Array(words) => words.iter().map(|word| word.as_str().map(text).ok_or(Reason::BadClaim(name))).collect(),
        _ => Err(Reason::BadClaim(name)),
    }
}

/// What of a token's header matters. A name that is repeated fails, as derived readers do.
#[derive(Deserialize)]
struct Header {
    alg: String,
    #[serde(default)]
    kid: Option<String>,
    #[serde(default, deserialize_with = "present")]
    crit: bool,
}

fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    IgnoredAny::deserialize(deserializer).map(|_| true)
}

/// A claims object. RFC 7519 lets a reader take the last of two claims of one name or refuse; as the
/// services behind may take the first, it is refused.
struct Claims(Json);

impl<'de> Deserialize<'de> for Claims {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Claims, D::Error> {
        struct Unique;
        impl<'de> Visitor<'de> for Unique {
            type Value = Claims;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Claims, A::Error> {
                let mut claims = serde_json::Map::new();
                while let Some((name, value)) = map.next_entry::<String, Json>()? {
                    if claims.insert(name, value).is_some() {
                        return Err(A::Error::custom("a repeated name"));
                    }
                }
                Ok(Claims(Json::Object(claims)))
            }
        }
        deserializer.deserialize_map(Unique)
    }
}
