//! `gw check` as people and programs call it: the real binary, its output and exit codes.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;

/// Two mistakes, in the second and third line.
const BAD: &str = "listen http :8080\nlet a = [1, 2\nroute GET /hello -> respond 200 text \"hello\n";
const GOOD: &str = "listen http :8080\nroute ANY /{rest...} -> http://localhost:3000\n";
/// A warning and no error: a documentation comment beside a statement.
const WARNING: &str = "listen http :8080\nroute GET /hello -> respond 200 ## Says hello.\n";

/// A folder with files, in which `gw` runs.
struct Place {
    folder: tempfile::TempDir,
}

impl Place {
    fn new(files: &[(&str, &str)]) -> Place {
        let place = Place { folder: tempfile::tempdir().unwrap() };
        files.iter().for_each(|(name, text)| place.write(name, text.as_bytes()));
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, bytes: &[u8]) {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }

    /// `gw` with arguments, no standard input, and nothing about terminals in its environment.
    fn gw(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_gw"));
        command.args(arguments).current_dir(self.folder.path()).stdin(Stdio::null());
        ["NO_COLOR", "CLICOLOR_FORCE", "COLUMNS", "TERM"].iter().for_each(|name| {
            command.env_remove(name);
        });
        command
    }

    fn run(&self, arguments: &[&str]) -> Ran {
        Ran::from(self.gw(arguments).output().unwrap())
    }
}

struct Ran {
    code: Option<i32>,
    out: String,
    err: String,
}

impl From<Output> for Ran {
    fn from(output: Output) -> Ran {
        let text = |bytes| String::from_utf8(bytes).expect("gw writes UTF-8");
        Ran { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
    }
}

#[test]
fn a_good_gateway_is_told_so() {
    let ran = Place::new(&[("gateway.gw", GOOD)]).run(&["check"]);
    assert_eq!((ran.code, &*ran.out, &*ran.err), (Some(0), "no mistakes in 1 file\n", ""));
}

#[test]
fn mistakes_are_shown_with_their_places() {
    let ran = Place::new(&[("shop.gw", BAD)]).run(&["check", "shop.gw"]);
    assert_eq!((ran.code, &*ran.err), (Some(1), ""));
    assert!(ran.out.contains("error[E0106]: "), "{}", ran.out);
    assert!(ran.out.contains("  ╭─[shop.gw:2:9]\n2 │ let a = [1, 2\n"), "{}", ran.out);
    assert!(ran.out.contains("  ╭─[shop.gw:3:38]\n"), "{}", ran.out);
    assert!(ran.out.ends_with("2 errors in 1 file; gw check --explain E0106 explains a code\n"), "{}", ran.out);
}

#[test]
fn warnings_are_denied_when_asked() {
    let place = Place::new(&[("gateway.gw", WARNING)]);
    let ran = place.run(&["check"]);
    assert_eq!(ran.code, Some(0), "{}", ran.out);
    assert!(ran.out.contains("1 warning in 1 file"), "{}", ran.out);
    assert_eq!(place.run(&["check", "--deny", "warnings"]).code, Some(1));
}

#[test]
fn json_has_the_fields_that_are_promised() {
    let ran = Place::new(&[("shop.gw", BAD)]).run(&["check", "shop.gw", "--format", "json"]);
    assert_eq!(ran.code, Some(1));
    let json: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!((&json["errors"], &json["warnings"]), (&Value::from(2), &Value::from(0)));
    let first = &json["diagnostics"][0];
    let fields = ["code", "severity", "message", "file", "line", "column", "end_line", "end_column", "help", "labels"];
    fields.iter().for_each(|field| assert!(first.get(field).is_some(), "no {field}: {first}"));
    assert_eq!((&first["code"], &first["severity"]), (&Value::from("E0106"), &Value::from("error")));
    let place = ["file", "line", "column", "end_line", "end_column"].map(|field| first[field].clone());
    assert_eq!(place, ["shop.gw".into(), 2.into(), 9.into(), 2.into(), 10.into()] as [Value; 5]);
    for label in first["labels"].as_array().unwrap() {
        for field in ["message", "file", "line", "column", "end_line", "end_column"] {
            assert!(label.get(field).is_some(), "no {field}: {label}");
        }
    }
}

#[test]
fn sarif_is_valid() {
    // The schema's one defect: a pattern for languages has a `]` too many, which strict engines refuse.
    let schema = include_str!("data/sarif-2.1.0.json").replace("[a-zA-Z]{2}]?$", "[a-zA-Z]{2}$");
    let schema: Value = serde_json::from_str(&schema).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let place = Place::new(&[("shop one.gw", BAD), ("good.gw", GOOD), ("warn.gw", WARNING)]);
    for files in [&["shop one.gw", "good.gw", "warn.gw"][..], &["good.gw"]] {
        let ran = place.run(&[&["check", "--format", "sarif"], files].concat());
        let log: Value = serde_json::from_str(&ran.out).unwrap();
        let errors: Vec<String> = validator.iter_errors(&log).map(|e| format!("{}: {e}", e.instance_path())).collect();
        assert!(errors.is_empty(), "{errors:#?}");
        let run = &log["runs"][0];
        assert_eq!(run["columnKind"], "unicodeCodePoints");
        assert_eq!(run["results"].as_array().unwrap().len(), if files.len() > 1 { 3 } else { 0 });
        for result in run["results"].as_array().unwrap() {
            let rule = &run["tool"]["driver"]["rules"][result["ruleIndex"].as_u64().unwrap() as usize];
            assert_eq!(rule["id"], result["ruleId"]);
            let at = &result["locations"][0]["physicalLocation"]["artifactLocation"];
            assert_eq!(run["artifacts"][at["index"].as_u64().unwrap() as usize]["location"]["uri"], at["uri"]);
        }
    }
    assert!(!validator.is_valid(&serde_json::json!({ "version": "2.1.0" })), "the schema refuses what is wrong");
}

#[test]
fn github_gets_a_command_for_each() {
    let ran = Place::new(&[("shop.gw", BAD)]).run(&["check", "shop.gw", "--format", "github"]);
    assert_eq!((ran.code, ran.out.lines().count()), (Some(1), 2));
    assert!(ran.out.starts_with(
        "::error title=gw (E0106),file=shop.gw,line=2,endLine=2,col=9,endColumn=10::shop.gw:2:9: E0106: "
    ));
}

#[test]
fn junit_counts_files_and_failures() {
    let ran =
        Place::new(&[("shop.gw", BAD), ("good.gw", GOOD)]).run(&["check", "shop.gw", "good.gw", "--format", "junit"]);
    assert_eq!(ran.code, Some(1));
    assert!(ran.out.contains("<testsuites name=\"gw check\" tests=\"3\" failures=\"2\" errors=\"0\">"), "{}", ran.out);
}

#[test]
fn standard_input_is_a_file() {
    let place = Place::new(&[]);
    let mut child =
        place.gw(&["check", "-"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(BAD.as_bytes()).unwrap();
    let ran = Ran::from(child.wait_with_output().unwrap());
    assert_eq!(ran.code, Some(1));
    assert!(ran.out.contains("╭─[<stdin>:2:9]"), "{}", ran.out);
}

#[test]
fn colours_follow_flag_environment_and_terminal() {
    let place = Place::new(&[("gateway.gw", BAD)]);
    let colored = |arguments: &[&str], environment: &[(&str, &str)]| {
        let output = place.gw(&[&["check"], arguments].concat()).envs(environment.iter().copied()).output().unwrap();
        Ran::from(output).out.contains('\u{1b}')
    };
    assert!(!colored(&[], &[]), "a pipe is no terminal");
    assert!(colored(&["--color", "always"], &[]));
    assert!(colored(&["--color", "always"], &[("NO_COLOR", "1")]), "the flag is nearest");
    assert!(colored(&[], &[("CLICOLOR_FORCE", "1")]));
    assert!(!colored(&[], &[("CLICOLOR_FORCE", "0")]));
    assert!(!colored(&[], &[("CLICOLOR_FORCE", "1"), ("NO_COLOR", "1")]));
    assert!(colored(&[], &[("CLICOLOR_FORCE", "1"), ("NO_COLOR", "")]), "empty is as if not set");
    assert!(!colored(&["--color", "never"], &[("CLICOLOR_FORCE", "1")]));
    assert!(!colored(&["--format", "json"], &[("CLICOLOR_FORCE", "1")]), "machines get no colours");
}

#[test]
fn narrow_terminals_get_narrow_pictures() {
    let long = format!("let all = [{}\nroute GET /hello -> respond 200\n", "\"good\", ".repeat(40));
    let place = Place::new(&[("gateway.gw", &long)]);
    for width in [40, 60, 80] {
        let ran = Ran::from(place.gw(&["check"]).env("COLUMNS", width.to_string()).output().unwrap());
        let pictures = ran.out.lines().filter(|line| !line.contains("--explain"));
        let widest = pictures.map(|line| line.chars().count()).max().unwrap();
        assert!(widest <= width, "{widest} columns of {width}:\n{}", ran.out);
    }
}

#[test]
fn what_cannot_be_read_is_said_and_exits_with_2() {
    let place = Place::new(&[("notes/readme.txt", "")]);
    let ran = place.run(&["check", "none.gw"]);
    assert_eq!((ran.code, &*ran.out, &*ran.err), (Some(2), "", "gw: cannot read `none.gw`: there is no such file\n"));
    place.write("good.gw", GOOD.as_bytes());
    let ran = place.run(&["check", "none.gw", "good.gw"]);
    assert_eq!((ran.code, &*ran.out), (Some(2), "no mistakes in 1 file\n"), "the others are checked");
    let ran = place.run(&["check"]);
    assert!(ran.err.starts_with("gw: cannot read `gateway.gw`"), "{}", ran.err);
    let ran = place.run(&["check", "notes"]);
    assert_eq!((ran.code, &*ran.err), (Some(2), "gw: there is no .gw file in the folder `notes`\n"));
}

#[test]
fn wrong_usage_exits_with_2() {
    let place = Place::new(&[("gateway.gw", GOOD)]);
    for arguments in
        [&["check", "--colour"][..], &["check", "--format", "xml"], &["chek"], &["check", "--deny", "all"], &[]]
    {
        let ran = place.run(arguments);
        assert_eq!((ran.code, &*ran.out), (Some(2), ""), "{arguments:?}");
        assert!(!ran.err.is_empty());
    }
}

#[test]
fn a_folder_is_every_gateway_in_it() {
    let place = Place::new(&[
        ("deploy/shop.gw", "import \"parts/*.gw\"\nlisten http :8080\nroute GET /hello -> respond 200\n"),
        ("deploy/parts/a.gw", "upstream a http://localhost:1\n"),
        ("deploy/reports.gw", GOOD),
        ("deploy/.old/bad.gw", BAD),
    ]);
    let ran = place.run(&["check", "deploy", "--format", "sarif"]);
    let log: Value = serde_json::from_str(&ran.out).unwrap();
    let uris: Vec<_> =
        log["runs"][0]["artifacts"].as_array().unwrap().iter().map(|a| a["location"]["uri"].clone()).collect();
    assert!(uris.contains(&"deploy/shop.gw".into()) && uris.contains(&"deploy/reports.gw".into()), "{uris:?}");
    assert!(!uris.iter().any(|uri| uri.as_str().unwrap().contains(".old")), "{uris:?}");
}

#[test]
fn bytes_that_are_not_utf8_are_a_mistake_with_a_place() {
    let place = Place::new(&[]);
    place.write("latin1.gw", b"listen http :8080\n# caf\xe9\n");
    let ran = place.run(&["check", "latin1.gw"]);
    assert_eq!((ran.code, &*ran.err), (Some(1), ""));
    assert!(ran.out.contains("error[E0108]: the file is not UTF-8\n  ╭─[latin1.gw:2:6]\n"), "{}", ran.out);
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let place = Place::new(&[("gateway.gw", &"let a = [1\n".repeat(2_000))]);
    let mut child = place.gw(&["check"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let ran = Ran::from(child.wait_with_output().unwrap());
    assert_eq!((ran.code, &*ran.err), (Some(1), ""));
}

#[cfg(target_os = "linux")]
#[test]
fn an_output_that_cannot_be_written_is_an_error() {
    let place = Place::new(&[("gateway.gw", GOOD)]);
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let ran = Ran::from(place.gw(&["check"]).stdout(full).stderr(Stdio::piped()).output().unwrap());
    assert_eq!(ran.code, Some(2));
    assert!(ran.err.starts_with("gw: cannot write the output: "), "{}", ran.err);
}

#[test]
fn a_code_is_explained() {
    let place = Place::new(&[]);
    let ran = place.run(&["check", "--explain", "e0101"]);
    assert_eq!(ran.code, Some(0));
    assert!(ran.out.starts_with("# E0101: a string is not closed\n"), "{}", ran.out);
    let ran = place.run(&["check", "--explain", "E9999"]);
    assert_eq!((ran.code, &*ran.out), (Some(2), ""));
    assert!(ran.err.starts_with("gw: there is no code `E9999`"), "{}", ran.err);
}

#[test]
fn one_environment_is_checked_with_inputs() {
    let place = Place::new(&[
        (
            "gateway.gw",
            "listen http :8080\ninput orders-url: url\nupstream orders { server orders-url }\nroute ANY /{rest...} -> orders\n",
        ),
        ("good.toml", "orders-url = \"http://localhost:7001\"\n"),
        ("wrong.toml", "orders-url = \"localhost\"\n"),
        ("empty.toml", ""),
        ("broken.toml", "orders-url = = 1\n"),
    ]);
    assert_eq!(place.run(&["check"]).code, Some(0), "checking needs no inputs");
    assert_eq!(place.run(&["check", "--inputs", "good.toml"]).code, Some(0));
    for (file, code) in [("wrong.toml", "E0231"), ("empty.toml", "E0232")] {
        let ran = place.run(&["check", "--inputs", file]);
        assert_eq!(ran.code, Some(1), "{}", ran.out);
        assert!(ran.out.contains(code), "{}", ran.out);
    }
    let given =
        place.gw(&["check", "--inputs", "wrong.toml"]).env("GW_ORDERS_URL", "http://localhost:1").output().unwrap();
    assert_eq!(given.status.code(), Some(0), "the environment is nearer than the file");
    let ran = place.run(&["check", "--inputs", "broken.toml"]);
    assert_eq!((ran.code, &*ran.out), (Some(2), ""));
    assert!(ran.err.starts_with("gw: `broken.toml` is not TOML: line 1: "), "{}", ran.err);
}

#[test]
fn completions_and_manual_pages() {
    let place = Place::new(&[]);
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let ran = place.run(&["completions", shell]);
        assert_eq!(ran.code, Some(0), "{shell}: {}", ran.err);
        assert!(ran.out.contains("check"), "{shell}");
    }
    assert!(place.run(&["man"]).out.contains(".TH gw 1"));
    assert!(place.run(&["man", "check"]).out.contains("sarif"));
    assert_eq!(place.run(&["man", "nothing"]).code, Some(2));
}

#[test]
fn a_check_writes_nothing() {
    let place = Place::new(&[("gateway.gw", BAD)]);
    place.run(&["check"]);
    let entries = |folder: &Path| std::fs::read_dir(folder).unwrap().count();
    assert_eq!(entries(place.folder.path()), 1);
    assert_eq!(std::fs::read_to_string(place.path("gateway.gw")).unwrap(), BAD);
}
