//! What goes wrong with a CA, in words for whoever runs the gateway.

use super::schedule::Kind;
use crate::model::ast::AcmeChallenge as Challenge;
use instant_acme::Problem;
use std::error::Error as _;

/// Why there is no certificate now.
pub(super) struct Trouble {
    /// When it is worth trying again.
    pub kind: Kind,
    /// A sentence without a full stop.
    pub what: String,
    /// What to do about it.
    pub advice: Option<String>,
    /// The name of the CA's problem, such as `accountDoesNotExist`.
    pub problem: Option<String>,
}

impl Trouble {
    /// Something on this machine.
    pub fn here(what: impl Into<String>) -> Trouble {
        Trouble { kind: Kind::Here, what: what.into(), advice: None, problem: None }
    }

    /// What a CA said about a name.
    pub fn refused(problem: &Problem, challenge: Challenge, domain: &str) -> Trouble {
        let name = problem.r#type.as_deref().unwrap_or_default();
        let name = name.strip_prefix("urn:ietf:params:acme:error:").unwrap_or(name);
        let kind = match name {
            "rateLimited" => Kind::TooOften,
            // Its own fault, or a matter of one more request.
            "serverInternal" | "badNonce" | "orderNotReady" | "accountDoesNotExist" | "alreadyReplaced" => Kind::Here,
            _ => Kind::Refused,
        };
        let detail = problem.detail.as_deref().unwrap_or("without a reason");
        let what = match problem.subproblems.iter().find_map(|sub| sub.detail.as_deref()) {
            Some(sub) => format!("the CA refuses: {detail} ({sub})"),
            None => format!("the CA refuses: {detail}"),
        };
        Trouble { kind, what, advice: advice(name, challenge, domain), problem: Some(name.to_owned()) }
    }

    /// From the client's error.
    pub fn of(error: &instant_acme::Error, challenge: Challenge, domain: &str) -> Trouble {
        use instant_acme::Error;
        match error {
            Error::Api(problem) => Trouble::refused(problem, challenge, domain),
            Error::Timeout(_) => Trouble {
                advice: Some(format!("it must be able to reach {domain} at port {}", challenge.port())),
                kind: Kind::Refused,
                ..Trouble::here("the CA did not come to a decision in time")
            },
            Error::Json(_) => Trouble {
                advice: Some("is `directory` the URL of an ACME directory?".to_owned()),
                ..Trouble::here(format!("the CA's answer is not ACME: {error}"))
            },
            _ => {
                let mut what = format!("cannot reach the CA: {error}");
                let mut source = error.source();
                while let Some(cause) = source {
                    let text = cause.to_string();
                    if !what.contains(&text) {
                        what.push_str(": ");
                        what.push_str(&text);
                    }
                    source = cause.source();
                }
                Trouble::here(what)
            }
        }
    }
}

/// What to do about a problem (RFC 8555, 6.7).
fn advice(problem: &str, challenge: Challenge, domain: &str) -> Option<String> {
    let (port, name) = (challenge.port(), challenge.name());
    Some(match problem {
        "dns" => format!("{domain} needs an A or AAAA record with an address of this machine"),
        "connection" | "tls" => {
            format!("{domain} must lead to this machine, and port {port} must be open to the internet for {name}")
        }
        "unauthorized" | "incorrectResponse" => {
            format!("port {port} of {domain} must lead here: check its addresses, IPv6 too, and what stands before gw")
        }
        "caa" => format!("a CAA record of {domain} names other CAs"),
        "rateLimited" => "wait; and try things out with `directory staging`".to_owned(),
        "rejectedIdentifier" => format!("this CA gives no certificate for {domain}"),
        "externalAccountRequired" => "the CA wants `external-account \"ID\" key KEY`".to_owned(),
        "invalidContact" | "unsupportedContact" => "correct `email`".to_owned(),
        "userActionRequired" => "the CA's terms have changed: read them".to_owned(),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(name: &str) -> Trouble {
        let problem: Problem = serde_json::from_value(serde_json::json!({
            "type": format!("urn:ietf:params:acme:error:{name}"), "detail": "no", "status": 400,
        }))
        .unwrap();
        Trouble::refused(&problem, Challenge::TlsAlpn01, "shop.example")
    }

    #[test]
    fn problems_say_when_to_try_again_and_what_to_do() {
        for (name, kind, advice) in [
            ("rateLimited", Kind::TooOften, "staging"),
            ("connection", Kind::Refused, "port 443"),
            ("dns", Kind::Refused, "shop.example needs"),
            ("serverInternal", Kind::Here, ""),
        ] {
            let trouble = refused(name);
            assert_eq!(trouble.kind, kind, "{name}");
            assert!(trouble.advice.unwrap_or_default().contains(advice), "{name}");
            assert_eq!(trouble.what, "the CA refuses: no");
        }
    }
}
