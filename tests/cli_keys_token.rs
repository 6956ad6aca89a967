//! `gw keys` and `gw token` as people and programs call them; what they make is verified by the gateway's
//! own code.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use gw::model::value::Secret;
use gw::policy::auth::api_key::Keys;
use gw::policy::auth::jwt::{Accept, Algorithm, Config, KeySource, Verifier};

const SECRET: &str = "a secret for these tests, of 32 bytes or more";

/// Exit code, standard output, standard error.
fn gw(folder: &Path, arguments: &[&str], input: &str) -> (i32, String, String) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_gw"))
        .args(arguments)
        .current_dir(folder)
        .env("NO_COLOR", "1")
        .env("TEST_SECRET", SECRET)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    let output = child.wait_with_output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

fn key_file(folder: &Path) -> String {
    std::fs::read_to_string(folder.join("partners.keys")).unwrap()
}

#[test]
fn a_new_key_is_printed_once_and_kept_as_its_hash() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let (code, key, err) = gw(folder, &["keys", "new", "acme", "--claims", r#"{"tier":"pro"}"#], "");
    assert_eq!((code, err.as_str()), (0, ""));
    let key = key.trim_end();
    assert!(key.starts_with("gwk_") && key.len() == 47, "{key}");
    let text = key_file(folder);
    assert!(!text.contains(key));
    let keys = Keys::from_file(&"partner".into(), &[], &text).unwrap();
    assert_eq!(keys.verify(key).unwrap().id, "acme");
    use std::os::unix::fs::PermissionsExt;
    let mode = std::fs::metadata(folder.join("partners.keys")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);

    let (code, out, err) = gw(folder, &["keys", "new", "acme"], "");
    assert_eq!((code, out.as_str()), (2, ""));
    assert!(err.contains("has a key of `acme`"), "{err}");
    assert_eq!(key_file(folder), text);

    let (code, out, _) = gw(folder, &["keys", "list"], "");
    assert_eq!(code, 0);
    assert!(out.starts_with("acme  20") && out.ends_with("{\"tier\":\"pro\"}\n") && out.lines().count() == 1, "{out}");
}

#[test]
fn a_revoked_key_is_gone_and_everything_else_stays() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let hash = |digit: &str| format!("sha256:{}", digit.repeat(64));
    let text = format!("# partners of the shop\nacme {}\n\n  globex {} 2026-01-02\n# the end", hash("a"), hash("b"));
    std::fs::write(folder.join("partners.keys"), &text).unwrap();
    let (code, _, err) = gw(folder, &["keys", "revoke", "acmee"], "");
    assert_eq!(code, 2);
    assert!(err.contains("did you mean `acme`?"), "{err}");
    assert_eq!(key_file(folder), text);
    let (code, out, _) = gw(folder, &["keys", "revoke", "acme"], "");
    assert_eq!((code, out.as_str()), (0, "revoked the key of acme\n"));
    let left = format!("# partners of the shop\n\n  globex {} 2026-01-02\n# the end", hash("b"));
    assert_eq!(key_file(folder), left);
    assert_eq!(gw(folder, &["keys", "new", "initech"], "").0, 0);
    assert!(key_file(folder).starts_with(&format!("{left}\ninitech sha256:")));
}

#[test]
fn what_cannot_be_done_says_why() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    std::fs::write(folder.join("bad.keys"), "# x\nacme secret\n").unwrap();
    for (arguments, said) in [
        (&["keys", "new", "a b"][..], "cannot be a key's name"),
        (&["keys", "new", "a", "--claims", "[1]"], "a JSON object is needed"),
        (&["keys", "new", "a", "--file", "bad.keys"], "bad.keys:2: after `acme`"),
        (&["keys", "list", "--file", "none.keys"], "cannot read `none.keys`"),
        (&["keys", "revoke", "a", "--file", "none.keys"], "cannot open `none.keys`"),
        (&["token"], "required"),
        (&["token", "--secret-env", "NO_SUCH_VARIABLE"], "no variable `NO_SUCH_VARIABLE`"),
        (&["token", "--secret-env", "TEST_SECRET", "--alg", "RS256"], "cannot sign with RS256"),
        (&["token", "--secret-env", "TEST_SECRET", "--expires", "5min"], "5m"),
        (&["token", "--key", "bad.keys"], "no PEM private key"),
    ] {
        let (code, out, err) = gw(folder, arguments, "");
        assert_eq!((code, out.as_str()), (2, ""), "{arguments:?}: {err}");
        assert!(err.contains(said), "{arguments:?}: {err}");
    }
    assert!(!folder.join("none.keys").exists());
}

#[test]
fn many_at_once_lose_no_key() {
    let folder = tempfile::tempdir().unwrap();
    std::thread::scope(|scope| {
        for n in 0..8 {
            let folder = folder.path();
            scope.spawn(move || assert_eq!(gw(folder, &["keys", "new", &format!("k{n}")], "").0, 0));
        }
    });
    assert_eq!(key_file(folder.path()).lines().count(), 8);
}

fn verifier(algorithm: Algorithm, source: KeySource) -> Verifier {
    let config = Config {
        name: "customer".into(),
        algorithms: vec![algorithm],
        issuer: Accept::OneOf(vec!["https://id.test/".into()]),
        audience: Accept::OneOf(vec!["shop".into()]),
        leeway: Duration::ZERO,
        claims: Vec::new(),
    };
    Verifier::new(config, &source).unwrap()
}

#[test]
fn a_token_is_accepted_by_the_gateway() {
    let keys = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/keys");
    let common = [
        "--sub",
        "u1",
        "--issuer",
        "https://id.test/",
        "--audience",
        "shop",
        "--audience",
        "x",
        "--claim",
        "scope=a b",
    ];
    let now = jiff::Timestamp::now();
    let accept = |source: &[&str], input: &str, verifier: Verifier| {
        let (code, out, err) = gw(&keys, &[&["token"], source, &common[..]].concat(), input);
        assert_eq!((code, err.as_str()), (0, ""));
        let caller = verifier.verify(out.trim_end(), now).unwrap_or_else(|failure| panic!("{source:?}: {failure}"));
        assert_eq!((caller.id.as_str(), caller.scopes.as_ref().unwrap().len()), ("u1", 2));
        let valid_for = caller.expires.unwrap().duration_since(now).as_secs();
        assert!((3590..3660).contains(&valid_for), "{valid_for}");
    };
    let secret = || KeySource::Secret(Secret::new(SECRET));
    accept(&["--secret-env", "TEST_SECRET"], "", verifier(Algorithm::HS256, secret()));
    accept(&["--secret-file", "-"], &format!("{SECRET}\n"), verifier(Algorithm::HS256, secret()));
    accept(&["--secret-env", "TEST_SECRET", "--alg", "HS512"], "", verifier(Algorithm::HS512, secret()));
    let pairs = [
        ("rsa", Algorithm::RS256, None),
        ("rsa", Algorithm::PS384, Some("PS384")),
        ("ec256", Algorithm::ES256, None),
        ("ec384", Algorithm::ES384, None),
        ("ed25519", Algorithm::EdDSA, None),
    ];
    for (name, algorithm, flag) in pairs {
        let public = std::fs::read_to_string(keys.join(format!("{name}.pub.pem"))).unwrap();
        let private = format!("{name}.pem");
        let mut source = vec!["--key", &private];
        source.extend(flag.map(|flag| ["--alg", flag]).iter().flatten());
        accept(&source, "", verifier(algorithm, KeySource::Pem(public)));
    }
}
