//! A process takes over from another, ends, and is told of by a service manager.

use super::support::*;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

const PROGRAM: &str = "listen http LISTEN\nroute GET /n -> respond 200 text \"1\"\n";

/// A gateway whose binary is `gw` in its own folder, and may be replaced.
fn replaceable(program: &str) -> Gateway {
    let dir = tempfile::tempdir().unwrap();
    let binary = dir.path().join("gw");
    put_binary(&binary);
    Gateway::start(program, dir, Command::new(binary), &[])
}

fn put_binary(at: &Path) {
    let new = at.with_extension("new");
    if std::fs::hard_link(env!("CARGO_BIN_EXE_gw"), &new).is_err() {
        std::fs::copy(env!("CARGO_BIN_EXE_gw"), &new).unwrap();
    }
    std::fs::rename(new, at).unwrap();
}

fn put_script(at: &Path, text: &str) {
    let new = at.with_extension("new");
    std::fs::write(&new, text).unwrap();
    std::fs::set_permissions(&new, std::fs::Permissions::from_mode(0o755)).unwrap();
    std::fs::rename(new, at).unwrap();
}

#[test]
fn a_new_binary_takes_over_without_a_failed_request() {
    let mut gateway = replaceable(PROGRAM);
    let load = Load::on(gateway.address, "/n", 2);
    load.await_requests(50);
    put_binary(&gateway.path("gw"));
    gateway.signal("-USR2");
    gateway.await_log_times("\"message\":\"ready\"", 2);
    assert_eq!(gateway.child.wait().unwrap().code(), Some(0));
    load.await_requests(50);
    let tally = load.stop();
    assert!(tally.failed.is_empty(), "{tally:?}");
    let [old, new] = gateway.processes()[..] else { panic!("{}", gateway.log()) };
    assert_ne!(old, new);
    // The third has the sockets of the first.
    assert!(Command::new("kill").args(["-USR2", &new.to_string()]).status().unwrap().success());
    gateway.await_log_times("\"message\":\"drained\"", 2);
    assert_eq!(gateway.get("/n").text(), "1");
    assert_eq!(gateway.processes().len(), 3);
}

#[test]
fn a_new_binary_that_does_not_serve_changes_nothing() {
    let gateway = replaceable(PROGRAM);
    let load = Load::on(gateway.address, "/n", 1);
    put_script(&gateway.path("gw"), "#!/bin/sh\necho broken >&2\nexit 3\n");
    gateway.signal("-USR2");
    let log = gateway.await_log("no new process: it ended before it served (exit status: 3)");
    assert!(log.contains("broken"), "{log}");
    put_script(&gateway.path("gw"), "no program\n");
    gateway.signal("-USR2");
    gateway.await_log_times("no new process", 2);
    std::fs::remove_file(gateway.path("gw")).unwrap();
    gateway.signal("-USR2");
    gateway.await_log("cannot be started: No such file or directory");
    // A good binary, and a program that the new process refuses.
    put_binary(&gateway.path("gw"));
    gateway.replace("gateway.gw", "listen http LISTEN\nroute GET /n -> nobody\n");
    gateway.await_log("not reloaded");
    gateway.signal("-USR2");
    gateway.await_log("no new process: it ended before it served (exit status: 1)");
    load.await_requests(20);
    let tally = load.stop();
    assert!(tally.failed.is_empty(), "{tally:?}");
    assert_eq!(gateway.processes().len(), 1);
}
