use super::*;
use crate::model::types::Type;
use crate::model::value::Secret;
use jsonwebtoken::EncodingKey;
use proptest::prelude::*;
use serde_json::json;

const SECRET: &str = "a secret for tests, long enough for HS512: 64 bytes are needed!!";
const NOW: i64 = 1_800_000_000;

macro_rules! key {
    ($name:literal) => {
        include_str!(concat!("../../../../tests/data/keys/", $name))
    };
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(NOW + seconds).unwrap()
}

fn config(algorithms: &[Algorithm]) -> Config {
    Config {
        name: "customer".into(),
        algorithms: algorithms.to_vec(),
        issuer: Accept::OneOf(vec!["https://id.test/".into(), "https://id2.test/".into()]),
        audience: Accept::OneOf(vec!["shop".into()]),
        leeway: Duration::ZERO,
        claims: Vec::new(),
    }
}

fn secret() -> KeySource {
    KeySource::Secret(Secret::new(SECRET))
}

fn verifier() -> Verifier {
    Verifier::new(config(&[Algorithm::HS256]), &secret()).unwrap()
}

fn claims() -> Json {
    json!({ "sub": "u1", "iss": "https://id.test/", "aud": "shop", "exp": NOW + 60 })
}

/// The good claims with some replaced; null removes one.
fn with(changes: Json) -> Json {
    let mut all = claims();
    for (name, value) in changes.as_object().unwrap() {
        match value {
            Json::Null => all.as_object_mut().unwrap().remove(name),
            value => all.as_object_mut().unwrap().insert(name.clone(), value.clone()),
        };
    }
    all
}

fn part(text: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(text)
}

fn sign(header: &str, claims: &str, algorithm: Algorithm, key: &EncodingKey) -> String {
    let message = format!("{}.{}", part(header), part(claims));
    let signature = jsonwebtoken::crypto::sign(message.as_bytes(), key, algorithm).unwrap();
    format!("{message}.{signature}")
}

fn hs(header: &str, claims: &str) -> String {
    sign(header, claims, Algorithm::HS256, &EncodingKey::from_secret(SECRET.as_bytes()))
}

fn token(claims: Json) -> String {
    hs(r#"{"alg":"HS256","typ":"JWT"}"#, &claims.to_string())
}

fn invalid(verifier: &Verifier, token: &str) -> Reason {
    match verifier.verify(token, at(0)) {
        Err(Failure::Invalid(reason)) => reason,
        other => panic!("{other:?} for {token}"),
    }
}

#[test]
fn a_good_token_is_its_caller() {
    let specs = vec![
        ClaimSpec {
            name: "tier".into(),
            path: vec!["tier".into()],
            ty: Type::Union(vec!["free".into(), "pro".into()]),
        },
        ClaimSpec {
            name: "roles".into(),
            path: vec!["realm_access".into(), "roles".into()],
            ty: Type::List(Box::new(Type::String)),
        },
        ClaimSpec { name: "org".into(), path: vec!["org".into()], ty: Type::String.optional() },
    ];
    let verifier = Verifier::new(Config { claims: specs, ..config(&[Algorithm::HS256]) }, &secret()).unwrap();
    let good = with(json!({ "tier": "pro", "realm_access": { "roles": ["a"] }, "scope": "read  write" }));
    let caller = verifier.verify(&token(good), at(0)).unwrap();
    assert_eq!((caller.id.as_str(), caller.via.as_str(), caller.expires), ("u1", "customer", Some(at(60))));
    assert_eq!(format!("{:?}", caller.claims), r#"[Str("pro"), List([Str("a")]), Null]"#);
    assert_eq!(format!("{:?}", caller.scopes), r#"Some([Str("read"), Str("write")])"#);

    let reason = invalid(&verifier, &token(with(json!({ "tier": "gold", "realm_access": { "roles": [] } }))));
    assert_eq!(reason.to_string(), r#"claim `tier` is another text where "free" | "pro" is declared"#);
    let reason = invalid(&verifier, &token(with(json!({ "tier": "free" }))));
    assert_eq!(reason.to_string(), "claim `realm_access.roles` is missing");
}

#[test]
fn every_algorithm_verifies_with_its_key_and_not_with_another_token() {
    use Algorithm::*;
    let rsa = || EncodingKey::from_rsa_pem(key!("rsa.pem").as_bytes()).unwrap();
    let pem = |text: &str| KeySource::Pem(text.into());
    let hmac = || EncodingKey::from_secret(SECRET.as_bytes());
    let cases = [
        (HS256, hmac(), secret()),
        (HS384, hmac(), secret()),
        (HS512, hmac(), secret()),
        (RS256, rsa(), pem(key!("rsa.pub.pem"))),
        (RS384, rsa(), pem(key!("rsa.pub.pem"))),
        (RS512, rsa(), pem(key!("rsa.pub.pem"))),
        (PS256, rsa(), pem(key!("rsa.pub.pem"))),
        (PS384, rsa(), pem(key!("rsa.pub.pem"))),
        (PS512, rsa(), pem(key!("rsa.pub.pem"))),
        (ES256, EncodingKey::from_ec_pem(key!("ec256.pem").as_bytes()).unwrap(), pem(key!("ec256.pub.pem"))),
        (ES384, EncodingKey::from_ec_pem(key!("ec384.pem").as_bytes()).unwrap(), pem(key!("ec384.pub.pem"))),
        (EdDSA, EncodingKey::from_ed_pem(key!("ed25519.pem").as_bytes()).unwrap(), pem(key!("ed25519.pub.pem"))),
    ];
    for (algorithm, signing, source) in cases {
        let verifier = Verifier::new(config(&[algorithm]), &source).unwrap();
        let header = format!(r#"{{"alg":"{algorithm:?}"}}"#);
        let good = sign(&header, &claims().to_string(), algorithm, &signing);
        assert_eq!(verifier.verify(&good, at(0)).unwrap().id, "u1", "{algorithm:?}");
        // The same signature under other claims, and a signature with its last bits changed.
        let (_, signature) = good.rsplit_once('.').unwrap();
        let other = with(json!({ "sub": "admin" })).to_string();
        let moved = format!("{}.{}.{signature}", part(&header), part(other));
        assert_eq!(invalid(&verifier, &moved), Reason::Signature, "{algorithm:?}");
        let mut bytes = URL_SAFE_NO_PAD.decode(signature).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        let bent = format!("{}.{}", good.rsplit_once('.').unwrap().0, part(bytes));
        assert_eq!(invalid(&verifier, &bent), Reason::Signature, "{algorithm:?}");
    }
}

#[test]
fn alg_none_is_no_algorithm() {
    let body = part(claims().to_string());
    for alg in ["none", "None", "NONE", "nOnE", ""] {
        let header = part(format!(r#"{{"alg":"{alg}"}}"#));
        assert_eq!(invalid(&verifier(), &format!("{header}.{body}.")), Reason::Algorithm(alg.into()));
    }
    let unsigned = format!("{}.{body}.", part(r#"{"alg":"HS256"}"#));
    assert_eq!(invalid(&verifier(), &unsigned), Reason::Signature);
    assert!(matches!(invalid(&verifier(), &format!("{}.{body}", part("{}"))), Reason::Malformed(_)));
    let without = hs("{}", &claims().to_string());
    assert!(matches!(invalid(&verifier(), &without), Reason::Malformed(_)));
}

#[test]
fn a_public_key_is_never_a_secret() {
    let public = key!("rsa.pub.pem");
    let rsa = Verifier::new(config(&[Algorithm::RS256]), &KeySource::Pem(public.into())).unwrap();
    let forge = |secret: &[u8]| {
        let key = EncodingKey::from_secret(secret);
        sign(r#"{"alg":"HS256","kid":"r"}"#, &claims().to_string(), Algorithm::HS256, &key)
    };
    assert_eq!(invalid(&rsa, &forge(public.as_bytes())), Reason::Algorithm("HS256".into()));
    assert_eq!(invalid(&rsa, &forge(public.trim().as_bytes())), Reason::Algorithm("HS256".into()));

    // Where both families are listed (a set may have both kinds of key), an RSA key still has only its own.
    let set = jwks(json!([rsa_jwk("r"), { "kty": "oct", "kid": "h", "k": part(SECRET) }]));
    let both = Verifier::new(config(&[Algorithm::RS256, Algorithm::HS256]), &set).unwrap();
    let jwk = rsa_jwk("r");
    let modulus = URL_SAFE_NO_PAD.decode(jwk["n"].as_str().unwrap()).unwrap();
    for secret in [public.as_bytes(), jwk["n"].as_str().unwrap().as_bytes(), &modulus] {
        assert_eq!(invalid(&both, &forge(secret)), Reason::NoKey(Some("r".into())));
    }
}

#[test]
fn algorithms_that_the_key_cannot_have_are_refused_when_building() {
    use Algorithm::*;
    let refused = |algorithms: &[Algorithm], source: KeySource| {
        Verifier::new(config(algorithms), &source).unwrap_err().to_string()
    };
    let pem = |text: &str| KeySource::Pem(text.into());
    assert!(refused(&[RS256, HS256], pem(key!("rsa.pub.pem"))).starts_with("HS256 does not fit"));
    assert!(refused(&[RS256], secret()).starts_with("RS256 does not fit the key, which is a secret"));
    assert!(refused(&[ES384], pem(key!("ec256.pub.pem"))).contains("P-256"));
    assert!(refused(&[EdDSA], pem(key!("ec384.pub.pem"))).contains("P-384"));
    assert!(refused(&[RS256], pem(key!("rsa.pem"))).contains("private key"));
    assert!(refused(&[RS256], pem(key!("rsa-1024.pub.pem"))).contains("1024 bits"));
    assert!(refused(&[RS256], pem("MIIB")).contains("not PEM"));
    assert!(refused(&[RS256], pem("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----")).contains("neither"));
    assert!(refused(&[RS256], pem("-----BEGIN CERTIFICATE-----\n")).contains("certificate"));
    assert!(refused(&[], secret()).contains("no algorithm"));
    assert!(refused(&[HS256], KeySource::Secret(Secret::new(""))).contains("empty"));
    assert!(refused(&[RS256], KeySource::Jwks("{".into())).contains("not JSON"));
    assert!(refused(&[RS256], KeySource::Jwks("[]".into())).contains("not a JWK set"));
    assert!(refused(&[RS256], jwks(json!([]))).contains("none of its 0 keys"));
    assert!(refused(&[RS256, HS256], jwks(json!([rsa_jwk("a")]))).starts_with("HS256 is listed"));
}

#[test]
fn a_secret_shorter_than_the_hash_is_warned_of() {
    let warning = |text: &str, algorithms: &[Algorithm]| weak_secret(&Secret::new(text), algorithms);
    assert!(warning("dev", &[Algorithm::HS256]).unwrap().contains("has 3 bytes; HS256 needs at least 32"));
    assert!(warning(&"x".repeat(32), &[Algorithm::HS256, Algorithm::HS512]).unwrap().contains("HS512"));
    assert_eq!(warning(&"x".repeat(32), &[Algorithm::HS256]), None);
}

fn rsa_jwk(kid: &str) -> Json {
    let public = jsonwebtoken::DecodingKey::from_rsa_pem(key!("rsa.pub.pem").as_bytes()).unwrap();
    let public = aws_lc_rs::rsa::PublicKey::from_der(public.try_get_as_bytes().unwrap()).unwrap();
    let parts = aws_lc_rs::signature::RsaPublicKeyComponents::<Vec<u8>>::from(&public);
    json!({ "kty": "RSA", "kid": kid, "use": "sig", "alg": "RS256", "n": part(parts.n), "e": part(parts.e) })
}

fn jwks(keys: Json) -> KeySource {
    KeySource::Jwks(json!({ "keys": keys }).to_string())
}

#[test]
fn a_set_is_searched_by_kid_and_nothing_else() {
    let encryption = json!({ "kty": "oct", "kid": "e", "use": "enc", "k": part(SECRET) });
    let set = jwks(json!([
        { "kty": "oct", "kid": "old", "k": part("an older secret of at least 32 bytes") },
        { "kty": "oct", "kid": "new", "k": part(SECRET), "alg": "HS256" },
        { "kty": "oct", "kid": "bigger", "k": part(SECRET), "alg": "HS512" },
        { "kty": "oct", "kid": "sign-only", "k": part(SECRET), "key_ops": ["sign"] },
        { "kty": "future", "kid": "f" },
        { "kid": "damaged" },
        encryption,
    ]));
    let verifier = Verifier::new(config(&[Algorithm::HS256]), &set).unwrap();
    let token = |kid: &str| hs(&format!(r#"{{"alg":"HS256","kid":{}}}"#, json!(kid)), &claims().to_string());
    assert!(verifier.verify(&token("new"), at(0)).is_ok());
    assert!(verifier.verify(&hs(r#"{"alg":"HS256"}"#, &claims().to_string()), at(0)).is_ok());
    assert_eq!(invalid(&verifier, &token("old")), Reason::Signature);
    let tricks = [
        "",
        "NEW",
        "new ",
        "new\0",
        "../../dev/null",
        "/dev/null",
        "' OR '1'='1",
        "bigger",
        "sign-only",
        "e",
        "f",
        "damaged",
        "http://evil.test/k",
    ];
    for kid in tricks {
        assert_eq!(invalid(&verifier, &token(kid)), Reason::NoKey(Some(kid.into())), "{kid}");
    }
    for kid in ["1", "null", "{}", r#"["new"]"#] {
        let token = hs(&format!(r#"{{"alg":"HS256","kid":{kid}}}"#), &claims().to_string());
        if kid == "null" {
            assert!(verifier.verify(&token, at(0)).is_ok());
        } else {
            assert!(matches!(invalid(&verifier, &token), Reason::Malformed(_)), "{kid}");
        }
    }
}

#[test]
fn a_key_in_the_token_is_not_used() {
    let other = EncodingKey::from_secret(b"the attacker's own key, long enough");
    let header = json!({ "alg": "HS256", "jwk": { "kty": "oct", "k": part("the attacker's own key, long enough") },
        "jku": "https://evil.test/keys", "x5u": "https://evil.test/cert" });
    let forged = sign(&header.to_string(), &claims().to_string(), Algorithm::HS256, &other);
    assert_eq!(invalid(&verifier(), &forged), Reason::Signature);
    let rsa = Verifier::new(config(&[Algorithm::RS256]), &KeySource::Pem(key!("rsa.pub.pem").into())).unwrap();
    let other = EncodingKey::from_rsa_pem(key!("rsa-other.pem").as_bytes()).unwrap();
    let forged = sign(r#"{"alg":"RS256"}"#, &claims().to_string(), Algorithm::RS256, &other);
    assert_eq!(invalid(&rsa, &forged), Reason::Signature);
}

#[test]
fn parties_must_be_the_configured_ones() {
    let reason = |changes| invalid(&verifier(), &token(with(changes)));
    assert_eq!(reason(json!({ "iss": "https://id.test" })), Reason::Issuer);
    assert_eq!(reason(json!({ "iss": "https://ID.test/" })), Reason::Issuer);
    assert_eq!(reason(json!({ "iss": null })), Reason::MissingClaim("iss"));
    assert_eq!(reason(json!({ "iss": ["https://id.test/"] })), Reason::BadClaim("iss"));
    assert_eq!(reason(json!({ "aud": "other" })), Reason::Audience);
    assert_eq!(reason(json!({ "aud": [] })), Reason::Audience);
    assert_eq!(reason(json!({ "aud": null })), Reason::MissingClaim("aud"));
    assert_eq!(reason(json!({ "aud": { "shop": true } })), Reason::BadClaim("aud"));
    assert_eq!(reason(json!({ "aud": ["shop", 1] })), Reason::BadClaim("aud"));
    assert_eq!(reason(json!({ "sub": null })), Reason::MissingClaim("sub"));
    assert_eq!(reason(json!({ "sub": "" })), Reason::BadClaim("sub"));
    assert_eq!(reason(json!({ "sub": 5 })), Reason::BadClaim("sub"));
    assert!(
        verifier().verify(&token(with(json!({ "iss": "https://id2.test/", "aud": ["x", "shop"] }))), at(0)).is_ok()
    );
    let waived = Config { issuer: Accept::Any, audience: Accept::Any, ..config(&[Algorithm::HS256]) };
    let waived = Verifier::new(waived, &secret()).unwrap();
    assert!(waived.verify(&token(with(json!({ "iss": null, "aud": "other" }))), at(0)).is_ok());
}

#[test]
fn times_hold_with_leeway_and_at_every_use() {
    let verifier =
        Verifier::new(Config { leeway: Duration::from_secs(5), ..config(&[Algorithm::HS256]) }, &secret()).unwrap();
    let token = token(with(json!({ "nbf": NOW - 10, "exp": NOW + 60 })));
    assert_eq!(verifier.verify(&token, at(65)).unwrap_err(), Failure::Expired(at(60)));
    assert_eq!(verifier.remembered.len(), 0);
    for _ in 0..2 {
        // The second time it is remembered.
        assert!(verifier.verify(&token, at(64)).is_ok());
        assert!(verifier.verify(&token, at(-15)).is_ok());
        assert_eq!(verifier.verify(&token, at(65)).unwrap_err(), Failure::Expired(at(60)));
        assert!(matches!(verifier.verify(&token, at(-16)), Err(Failure::Invalid(Reason::NotYet(_)))));
    }
    assert_eq!(verifier.remembered.len(), 1);
}

#[test]
fn an_expiry_must_be_there_and_be_a_number() {
    let reason = |exp: Json| match verifier().verify(&token(with(json!({ "exp": exp }))), at(0)) {
        Err(Failure::Invalid(reason)) => Some(reason),
        Err(Failure::Expired(_)) => None,
        other => panic!("{other:?}"),
    };
    assert_eq!(reason(Json::Null), Some(Reason::MissingClaim("exp")));
    assert_eq!(reason(json!("1900000000")), Some(Reason::BadClaim("exp")));
    assert_eq!(reason(json!(true)), Some(Reason::BadClaim("exp")));
    assert_eq!(reason(json!(NOW)), None);
    assert_eq!(reason(json!(-1e300)), None);
    for far in [json!(i64::MAX), json!(u64::MAX), json!(1e300), json!(NOW as f64 + 0.5 + 1.0)] {
        assert!(verifier().verify(&token(with(json!({ "exp": far }))), at(0)).is_ok());
    }
    let nbf = verifier().verify(&token(with(json!({ "nbf": "soon" }))), at(0)).unwrap_err();
    assert_eq!(nbf, Failure::Invalid(Reason::BadClaim("nbf")));
}

#[test]
fn garbage_is_malformed_and_nothing_worse() {
    let verifier = verifier();
    let good = token(claims());
    let (message, signature) = good.rsplit_once('.').unwrap();
    let (header, _) = message.split_once('.').unwrap();
    let garbage = [
        String::new(),
        "a".into(),
        "..".into(),
        "...".into(),
        ".....".into(),
        "\u{1F600}.\u{1F600}.\u{1F600}".into(),
        format!("{good}."),
        format!(" {good}"),
        format!("{header}=.{message}.{signature}"),
        format!("{}.{}.{signature}", part("[]"), part("{}")),
        format!("{}.{}.{signature}", part("\u{feff}{}"), part("{}")),
        format!("{}.{}.{signature}", part("{".repeat(5_000)), part("{}")),
        format!("{}.{}.{signature}", part(b"\xff\xfe"), part("{}")),
        format!("{}.{}.{signature}", part(r#"{"alg":"HS256","alg":"none"}"#), part("{}")),
        hs(r#"{"alg":"HS256"}"#, "not json"),
        hs(r#"{"alg":"HS256"}"#, "[]"),
        hs(r#"{"alg":"HS256"}"#, &format!("{}{}", claims(), "{}")),
        hs(r#"{"alg":"HS256"}"#, &"[".repeat(3_000)),
    ];
    for text in garbage {
        assert!(matches!(invalid(&verifier, &text), Reason::Malformed(_)), "{text}");
    }
    for padded in
        [format!("{message}=.{signature}"), format!("{message}.{signature}="), format!("{message}.{signature}!")]
    {
        assert!(matches!(invalid(&verifier, &padded), Reason::Malformed(_) | Reason::Signature), "{padded}");
    }
    assert_eq!(verifier.remembered.len(), 0);
}

#[test]
fn repeated_claims_are_refused() {
    let claims = format!(r#"{{"sub":"admin",{}"#, &claims().to_string()[1..]);
    assert!(matches!(invalid(&verifier(), &hs(r#"{"alg":"HS256"}"#, &claims)), Reason::Malformed(_)));
}

#[test]
fn critical_extensions_are_refused() {
    for crit in [r#"["b64"]"#, r#"["exp"]"#, "[]", "1", "null"] {
        let header = format!(r#"{{"alg":"HS256","crit":{crit},"b64":false}}"#);
        assert_eq!(invalid(&verifier(), &hs(&header, &claims().to_string())), Reason::Critical);
    }
}

#[test]
fn a_huge_token_is_not_looked_at() {
    let huge = token(with(json!({ "pad": "x".repeat(LONGEST) })));
    assert_eq!(invalid(&verifier(), &huge), Reason::TooLong);
    let large = token(with(json!({ "pad": "x".repeat(8_000) })));
    let verifier = verifier();
    assert!(verifier.verify(&large, at(0)).is_ok());
    assert_eq!(verifier.remembered.len(), 0, "too long to be remembered");
}

#[test]
fn what_is_remembered_is_bounded_and_exact() {
    let verifier = verifier();
    let tokens: Vec<String> = (0..200).map(|n| token(with(json!({ "sub": format!("u{n}") })))).collect();
    for _ in 0..2 {
        for (n, token) in tokens.iter().enumerate() {
            assert_eq!(verifier.verify(token, at(0)).unwrap().id, format!("u{n}"));
        }
    }
    let caller = Arc::new(Caller { id: "u".into(), via: "a".into(), claims: vec![], scopes: None, expires: None });
    let valid = Valid { from: None, until: at(60), expires: at(60) };
    for n in 0..100_000 {
        verifier.remembered.put(&format!("t{n}"), &caller, valid, at(0));
    }
    assert!(verifier.remembered.len() <= 8 * 1024);
    assert!(verifier.remembered.len() > 7 * 1024);
}

#[test]
fn scopes_come_in_three_forms() {
    let scopes = |changes| {
        let caller = verifier().verify(&token(with(changes)), at(0)).map_err(|failure| failure.to_string());
        caller.map(|caller| caller.scopes.as_ref().unwrap().len())
    };
    assert_eq!(scopes(json!({})), Ok(0));
    assert_eq!(scopes(json!({ "scope": "a b" })), Ok(2));
    assert_eq!(scopes(json!({ "scp": "a b c" })), Ok(3));
    assert_eq!(scopes(json!({ "scp": ["a b"] })), Ok(1));
    assert!(scopes(json!({ "scp": [1] })).is_err());
    assert!(scopes(json!({ "scope": 1 })).is_err());
}

#[test]
fn challenges_tell_no_reason() {
    let challenge = |failure: Failure| failure.bearer_challenge().to_str().unwrap().to_owned();
    assert_eq!(challenge(Failure::Missing), "Bearer");
    assert_eq!(challenge(Reason::Issuer.into()), challenge(Reason::Signature.into()));
    assert!(challenge(Failure::Expired(at(0))).contains("expired"));
}

proptest! {
    /// A good token with any one character changed, left out or put in is no good token.
    #[test]
    fn nothing_near_a_good_token_is_one(at_char in any::<prop::sample::Index>(), c in "[A-Za-z0-9._=-]", how in 0..3) {
        let good = token(claims());
        let index = at_char.index(good.len());
        let mut other = good.clone();
        match how {
            0 => other.replace_range(index..=index, &c),
            1 => other.insert_str(index, &c),
            _ => drop(other.remove(index)),
        }
        let verifier = verifier();
        prop_assert!(verifier.verify(&good, at(0)).is_ok());
        prop_assert_eq!(verifier.verify(&other, at(0)).is_ok(), other == good);
    }

    /// No text makes it panic.
    #[test]
    fn any_text_has_an_answer(header in any::<Vec<u8>>(), payload in any::<Vec<u8>>(), text in any::<String>()) {
        let _ = verifier().verify(&text, at(0));
        let _ = verifier().verify(&format!("{}.{}.{text}", part(&header), part(&payload)), at(0));
    }
}
