//! The rooms keep their order: see CONTRIBUTING.md.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// The rooms, each of which may import those before it. Rooms of one line do not import one another.
const ORDER: &[&[&str]] = &[
    &["source"],
    &["diagnostic"],
    &["syntax"],
    &["model"],
    &["check"],
    &["plan"],
    &["policy"],
    &["decide"],
    &["load", "observe", "state", "upstream"],
    &["explain", "export", "reference", "serve"],
    &["cli"],
];

/// Imports against the order: who, what (a room, or a module of one), why.
const EXCEPTIONS: &[(&str, &str, &str)] = &[
    ("check", "plan", "the check fills in the plan that it has proven"),
    ("check", "policy", "and asks the policies what they take"),
    ("plan", "policy", "a plan holds the compiled settings of policies"),
];

/// Rooms that do no I/O: no sockets, files or clock.
const PURE: &[&str] = &["source", "diagnostic", "syntax", "model", "check", "plan", "policy", "decide"];

/// What a pure room does not name.
const OUTSIDE: &[&str] = &[
    "tokio::",
    "hyper::",
    "hyper_util::",
    "rustls::",
    "socket2::",
    "notify::",
    "std::fs",
    "std::net::Tcp",
    "std::net::Udp",
    "std::env::",
    "std::process::",
    "std::thread::",
    "SystemTime",
    "Instant::now",
    "Timestamp::now",
    "Zoned::now",
];

/// Files of more than [`LINES`] lines, and why each is one idea.
const LONG: &[(&str, &str)] = &[
    ("model/ast.rs", "one type for each declaration and statement"),
    ("model/literal.rs", "every form of literal, each beside its tests"),
    ("plan/mod.rs", "the types of the compiled gateway, read together"),
];

const LINES: usize = 600;

fn sources() -> Vec<(String, String)> {
    fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => walk(&path, found),
                false if path.extension().is_some_and(|e| e == "rs") => found.push(path),
                false => {}
            }
        }
    }
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut paths = Vec::new();
    walk(&src, &mut paths);
    paths.sort();
    let named = |path: PathBuf| {
        (path.strip_prefix(&src).unwrap().display().to_string(), std::fs::read_to_string(&path).unwrap())
    };
    paths.into_iter().map(named).collect()
}

/// The room of a file: `check` of `check/auth.rs`; none for `lib.rs` and `main.rs`.
fn room(file: &str) -> Option<&str> {
    let room = file.split('/').next()?.trim_end_matches(".rs");
    (!matches!(room, "lib" | "main")).then_some(room)
}

fn place(room: &str) -> usize {
    let place = ORDER.iter().position(|rooms| rooms.contains(&room));
    place.unwrap_or_else(|| panic!("the room `{room}` has no place in tests/architecture.rs"))
}

/// A file that only tests use: `tests.rs`, `…_tests.rs`, `…_property.rs`, `testing.rs`, or inside of `tests/`.
fn is_test(file: &str) -> bool {
    let name = file.rsplit('/').next().unwrap();
    file.contains("/tests/")
        || ["tests.rs", "_property.rs", "testing.rs", "brute.rs"].iter().any(|end| name.ends_with(end))
}

/// The lines of a file before its tests, without comments.
fn code(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let lines = text.lines().enumerate().take_while(|(_, line)| line.trim() != "#[cfg(test)]");
    lines.map(|(at, line)| (at + 1, line.split("//").next().unwrap_or_default()))
}

/// The rooms that a line names by `crate::`.
fn named(line: &str) -> Vec<String> {
    let mut rooms = Vec::new();
    for rest in line.split("crate::").skip(1) {
        let word = |text: &str| text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>();
        match rest.strip_prefix('{') {
            // `use crate::{a::B, c::{D, E}}`: the names at depth one.
            Some(list) => {
                let mut depth = 0;
                let mut start = true;
                for (at, c) in list.char_indices() {
                    match c {
                        '{' => depth += 1,
                        '}' => depth -= 1,
                        ',' if depth == 0 => start = true,
                        c if c.is_alphabetic() && start => {
                            rooms.push(word(&list[at..]));
                            start = false;
                        }
                        _ => {}
                    }
                    if depth < 0 {
                        break;
                    }
                }
            }
            None => rooms.push(word(rest)),
        }
    }
    rooms.retain(|room| room.starts_with(char::is_lowercase));
    rooms
}

#[test]
fn a_room_imports_only_rooms_before_it() {
    assert_eq!(named("use crate::{plan::{Id, Plan}, state::Store}; // crate"), ["plan", "state"]);
    assert_eq!(named("pub(super) use crate::source::Span;"), ["source"]);
    let mut wrong = String::new();
    let mut used = vec![false; EXCEPTIONS.len()];
    for (file, text) in sources().iter().filter(|(file, _)| !is_test(file)) {
        let Some(own) = room(file) else { continue };
        for (at, line) in code(text) {
            for other in named(line).iter().filter(|other| *other != own && *other != "cli_main") {
                if place(other) < place(own) {
                    continue;
                }
                match EXCEPTIONS.iter().position(|(who, what, _)| *who == own && what == other) {
                    Some(exception) => used[exception] = true,
                    None => drop(writeln!(wrong, "src/{file}:{at}: `{own}` imports `{other}`, which comes after it")),
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
    let unused: Vec<_> = EXCEPTIONS.iter().zip(used).filter(|(_, used)| !used).collect();
    assert!(unused.is_empty(), "exceptions that nothing needs: {unused:?}");
}

#[test]
fn pure_rooms_name_nothing_outside() {
    let mut wrong = String::new();
    for (file, text) in sources().iter().filter(|(file, _)| !is_test(file)) {
        if !room(file).is_some_and(|room| PURE.contains(&room)) {
            continue;
        }
        for (at, line) in code(text) {
            // `jsonwebtoken` and others have names that end in these.
            let whole = |what: &&&str| {
                line.match_indices(**what).any(|(i, _)| !line[..i].ends_with(|c: char| c.is_alphanumeric() || c == '_'))
            };
            for what in OUTSIDE.iter().filter(whole) {
                let _ = writeln!(wrong, "src/{file}:{at}: a room that does no I/O names `{what}`");
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn files_are_short() {
    let mut wrong = String::new();
    for (file, text) in sources() {
        let lines = text.lines().count();
        let excused = LONG.iter().any(|(long, _)| *long == file);
        if lines > LINES && !excused {
            let _ =
                writeln!(wrong, "src/{file} has {lines} lines; at most {LINES}, or a reason in tests/architecture.rs");
        }
        if lines <= LINES && excused {
            let _ = writeln!(wrong, "src/{file} needs no reason any more: it has {lines} lines");
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn nothing_is_unsafe_or_left_open() {
    let mut wrong = String::new();
    for (file, text) in sources() {
        for (at, line) in text.lines().enumerate() {
            let line = line.split("//").next().unwrap_or_default();
            for word in ["unsafe {", "unsafe fn", "unsafe impl", "todo!(", "unimplemented!(", "dbg!("] {
                if line.contains(word) {
                    let _ = writeln!(wrong, "src/{file}:{}: {word}", at + 1);
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
    let manifest = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml")).unwrap();
    assert!(manifest.contains("unsafe_code = \"forbid\""), "Cargo.toml forbids unsafe code");
}
