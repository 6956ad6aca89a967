//! Who calls: finding a credential, verifying it, and what it says of the caller (language.md, section 7).

pub mod api_key;
pub mod claims;
pub mod credential;
pub mod jwt;

pub use claims::{ClaimProblem, ClaimSpec};
pub use credential::{Found, Place};

use crate::model::value::Value;
use http::HeaderValue;
use jiff::Timestamp;
use smol_str::SmolStr;
use std::fmt;

/// An authenticated caller.
#[derive(Clone, Debug)]
pub struct Caller {
    /// `caller.id`: a token's `sub`, a key's name.
    pub id: SmolStr,
    /// `caller.via`: the name of the auth that vouches.
    pub via: SmolStr,
    /// The declared claims, in declared order.
    pub claims: Vec<Value<'static>>,
    /// `caller.scopes`, where the kind of credential has them: texts.
    pub scopes: Option<Vec<Value<'static>>>,
    /// When the credential runs out.
    pub expires: Option<Timestamp>,
}

/// Why nobody was authenticated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// There was no credential.
    Missing,
    /// It ran out at this moment; else it is good.
    Expired(Timestamp),
    /// It is not good.
    Invalid(Reason),
}

impl Failure {
    /// `error.reason`.
    pub fn word(&self) -> &'static str {
        match self {
            Failure::Missing => "missing",
            Failure::Expired(_) => "expired",
            Failure::Invalid(_) => "invalid",
        }
    }

    /// The value of `WWW-Authenticate` for a bearer token (RFC 6750, section 3).
    /// A request without a token gets no error code, as the RFC asks; the reason is never told.
    pub fn bearer_challenge(&self) -> HeaderValue {
        HeaderValue::from_static(match self {
            Failure::Missing => "Bearer",
            Failure::Expired(_) => r#"Bearer error="invalid_token", error_description="the token has expired""#,
            Failure::Invalid(_) => r#"Bearer error="invalid_token""#,
        })
    }

    /// The value of `WWW-Authenticate` for an API key. No scheme is registered for them.
    pub fn api_key_challenge(&self) -> HeaderValue {
        HeaderValue::from_static("ApiKey")
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Missing => f.write_str("no credential"),
            Failure::Expired(at) => write!(f, "expired at {at}"),
            Failure::Invalid(reason) => reason.fmt(f),
        }
    }
}

/// Why a credential is not good: for explain and the log, never sent to the client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reason {
    /// It stands in the request more than once, or beside another.
    Repeated,
    /// It cannot be read.
    Malformed(&'static str),
    /// It is longer than it may be.
    TooLong,
    /// Signed by an algorithm that is not listed.
    Algorithm(SmolStr),
    /// It has a critical extension, none of which is understood.
    Critical,
    /// No key has its `kid`, or none fits its algorithm.
    NoKey(Option<SmolStr>),
    /// The signature is not of any key.
    Signature,
    /// A registered claim is missing.
    MissingClaim(&'static str),
    /// A registered claim is of another type than it must be.
    BadClaim(&'static str),
    /// By another issuer.
    Issuer,
    /// For another audience.
    Audience,
    /// Not good before this moment.
    NotYet(Timestamp),
    /// A declared claim is missing or of another type.
    Claim(ClaimProblem),
    /// No key has this text.
    UnknownKey,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reason::Repeated => f.write_str("the request has more than one credential"),
            Reason::Malformed(what) => write!(f, "malformed: {what}"),
            Reason::TooLong => write!(f, "longer than {} KiB", jwt::LONGEST / 1024),
            Reason::Algorithm(name) => write!(f, "algorithm `{name}` is not listed"),
            Reason::Critical => f.write_str("has a critical extension (`crit`), none of which is supported"),
            Reason::NoKey(Some(kid)) => write!(f, "no key with the id `{kid}` for its algorithm"),
            Reason::NoKey(None) => f.write_str("no key for its algorithm"),
            Reason::Signature => f.write_str("the signature does not verify"),
            Reason::MissingClaim(name) => write!(f, "claim `{name}` is missing"),
            Reason::BadClaim(name) => write!(f, "claim `{name}` is not of the type it must have"),
            Reason::Issuer => f.write_str("issued by another issuer"),
            Reason::Audience => f.write_str("for another audience"),
            Reason::NotYet(at) => write!(f, "not valid before {at}"),
            Reason::Claim(problem) => problem.fmt(f),
            Reason::UnknownKey => f.write_str("no such key"),
        }
    }
}

impl From<Reason> for Failure {
    fn from(reason: Reason) -> Failure {
        Failure::Invalid(reason)
    }
}
