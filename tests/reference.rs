//! The reference, and the editors' words, are made from the tables that the compiler works with.
//!
//! `UPDATE_REFERENCE=1 cargo test --test reference` writes the files anew; the diff is the review.

use gw::export::{editors, reference};
use gw::load::{self, MemoryFiles};
use gw::model::statements::{Context, rows};
use gw::model::words::{OPERATORS, TYPES};
use std::path::Path;

/// Compares files with what the tables give, or writes them.
fn same(folder: &str, files: impl IntoIterator<Item = (&'static str, String)>) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let update = std::env::var_os("UPDATE_REFERENCE").is_some_and(|value| value != "0");
    let mut stale = Vec::new();
    for (name, text) in files {
        let path = folder.join(name);
        if update {
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, &text).unwrap();
        } else if std::fs::read_to_string(&path).unwrap_or_default() != text {
            stale.push(path.display().to_string());
        }
    }
    assert!(stale.is_empty(), "not what the tables give (UPDATE_REFERENCE=1 writes them): {stale:#?}");
}

#[test]
fn the_reference_is_what_the_tables_give() {
    same("docs/src/reference", reference::pages());
}

#[test]
fn the_editors_know_the_words_of_the_tables() {
    same("editors", editors::files());
}

/// The codes that a program has.
fn mistakes(text: &str) -> Vec<String> {
    let checked = load::check(&MemoryFiles::default(), Path::new("gateway.gw"), text.into(), &Default::default());
    checked.diagnostics.iter().map(|d| format!("{}: {}", d.code, d.message)).collect()
}

#[test]
fn examples_of_types_have_their_types() {
    for row in TYPES.iter().filter(|row| !row.example.is_empty()) {
        let ty = match row.name {
            "T?" => "int?",
            "[T]" => "[int]",
            name => name,
        };
        let text = format!("listen http :8080\ninput x: {ty} = {}\nroute GET / -> respond 204\n", row.example);
        assert_eq!(mistakes(&text), [""; 0], "{text}");
    }
}

#[test]
fn examples_of_operators_are_conditions() {
    for row in OPERATORS {
        let text = format!("listen http :8080\nroute GET /{{rest...}} -> respond 204 {{ require {} }}\n", row.example);
        assert_eq!(mistakes(&text), [""; 0], "{text}");
    }
}

/// Examples name upstreams, auths and files that are not there; whatever else is wrong with one is a mistake.
#[test]
fn examples_of_statements_are_written_well() {
    let missing = ["E0212", "E0312", "E0313", "E0314", "E0317", "E0408", "E0612", "E0404", "W0902", "W0624", "W0666"];
    for row in rows().filter(|row| row.supported) {
        let example = row.example;
        let text = match () {
            _ if row.contexts.contains(Context::POLICY) => {
                format!("listen http :8080\nroute GET /x -> respond 204 {{ {example} }}\n")
            }
            _ if row.contexts.contains(Context::TOP) && row.word == "listen" => {
                format!("{example}\nroute GET /x -> respond 204\n")
            }
            _ if row.contexts.contains(Context::TOP) => {
                format!("listen http :8080\n{example}\nroute GET /x -> respond 204\n")
            }
            _ if row.contexts.contains(Context::API) => {
                format!("listen internal http :8080\napi a {{ {example}; route GET /x -> respond 204 }}\n")
            }
            _ if row.contexts.contains(Context::LISTEN) && row.word != "redirect" => {
                let own = "certificate \"a.pem\" key \"a.key\"";
                format!("listen https :8080 {{ {own}; {example} }}\nroute GET /x -> respond 204\n")
            }
            _ if row.contexts.contains(Context::LISTEN) => {
                format!("listen a http :8081\nlisten http :8080 {{ {example} }}\nroute GET /x -> respond 204\n")
            }
            _ if row.contexts.contains(Context::TARGET) => format!("listen http :8080\nroute GET /x -> {example}\n"),
            _ if row.contexts.contains(Context::RESPOND) => {
                format!("listen http :8080\nroute GET /x -> respond 200 {example}\n")
            }
            _ if row.contexts.contains(Context::SCHEME) => format!("listen {example}\nroute GET /x -> respond 204\n"),
            _ => continue,
        };
        let found: Vec<_> =
            mistakes(&text).into_iter().filter(|m| !missing.iter().any(|code| m.starts_with(code))).collect();
        assert!(found.is_empty(), "{text}{found:?}");
    }
}
