//! `gw fmt` as people and programs call it: the real binary, its output and exit codes.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

const UGLY: &str = "listen   http :8080\nroute GET /a->respond 200\n";
const NEAT: &str = "listen http :8080\nroute GET /a -> respond 200\n";
const BROKEN: &str = "let a = [1, 2\n";

/// Exit code, standard output, standard error.
fn gw(folder: &Path, arguments: &[&str], input: &str) -> (i32, String, String) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_gw"))
        .args(arguments)
        .current_dir(folder)
        .env("NO_COLOR", "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A command that does not read its input may have closed it.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    let output = child.wait_with_output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    folder
}

fn text(folder: &tempfile::TempDir, name: &str) -> String {
    std::fs::read_to_string(folder.path().join(name)).unwrap()
}

#[test]
fn files_are_replaced_only_where_they_change() {
    let place = folder(&[("gateway.gw", UGLY), ("b/neat.gw", NEAT)]);
    let written = std::fs::metadata(place.path().join("b/neat.gw")).unwrap().modified().unwrap();
    let (code, out, err) = gw(place.path(), &["fmt", "."], "");
    assert_eq!((code, out.as_str(), err.as_str()), (0, "formatted gateway.gw\n", ""));
    assert_eq!(text(&place, "gateway.gw"), NEAT);
    assert_eq!(std::fs::metadata(place.path().join("b/neat.gw")).unwrap().modified().unwrap(), written);
    assert_eq!(gw(place.path(), &["fmt"], ""), (0, String::new(), String::new()));
    assert_eq!(std::fs::read_dir(place.path()).unwrap().count(), 2, "no temporary file stays");
}

#[cfg(unix)]
#[test]
fn permissions_and_links_stay() {
    use std::os::unix::fs::{PermissionsExt, symlink};
    let place = folder(&[("real.gw", UGLY)]);
    let (real, link) = (place.path().join("real.gw"), place.path().join("gateway.gw"));
    std::fs::set_permissions(&real, std::fs::Permissions::from_mode(0o640)).unwrap();
    symlink("real.gw", &link).unwrap();
    assert_eq!(gw(place.path(), &["fmt"], "").0, 0);
    assert_eq!(text(&place, "real.gw"), NEAT);
    assert!(std::fs::symlink_metadata(&link).unwrap().is_symlink());
    assert_eq!(std::fs::metadata(&real).unwrap().permissions().mode() & 0o777, 0o640);
}

#[test]
fn standard_input_goes_to_standard_output() {
    let place = folder(&[]);
    assert_eq!(gw(place.path(), &["fmt", "-"], UGLY), (0, NEAT.to_owned(), String::new()));
}

#[test]
fn check_prints_what_would_change() {
    let place = folder(&[("gateway.gw", UGLY), ("neat.gw", NEAT)]);
    let (code, out, _) = gw(place.path(), &["fmt", "--check", "gateway.gw", "neat.gw"], "");
    let expected = "--- gateway.gw\n+++ gateway.gw (formatted)\n@@ -1,2 +1,2 @@\n-listen   http :8080\n-route GET /a->respond 200\n+listen http :8080\n+route GET /a -> respond 200\n";
    assert_eq!((code, out.as_str()), (1, expected));
    assert_eq!(text(&place, "gateway.gw"), UGLY);
    assert_eq!(gw(place.path(), &["fmt", "--check", "neat.gw"], ""), (0, String::new(), String::new()));
}

#[test]
fn a_file_with_syntax_errors_stays_as_it_is() {
    let place = folder(&[("broken.gw", BROKEN), ("gateway.gw", UGLY)]);
    let (code, out, err) = gw(place.path(), &["fmt", "broken.gw", "gateway.gw"], "");
    assert_eq!(code, 1);
    assert!(err.contains("E0106") && err.contains("broken.gw"), "{err}");
    assert_eq!(out, "formatted gateway.gw\n");
    assert_eq!(text(&place, "broken.gw"), BROKEN);
}

#[test]
fn what_cannot_be_read_is_said() {
    let place = folder(&[]);
    let (code, out, err) = gw(place.path(), &["fmt", "absent.gw"], "");
    assert_eq!((code, out.as_str()), (2, ""));
    assert!(err.contains("absent.gw"), "{err}");
}
