//! Any bytes are checked without a panic; every mistake can be shown; what parses is laid out without losing its meaning.
#![no_main]

use gw::check::Inputs;
use gw::diagnostic::render::{Look, human, json};
use gw::load::{self, Checked, MemoryFiles};
use gw::syntax::format::format;
use libfuzzer_sys::fuzz_target;
use std::path::Path;

fn check(bytes: &[u8]) -> Checked {
    // One file that may be imported, and one that may be read.
    let files = MemoryFiles::from_iter([("a.gw", "let imported = 5/s\n"), ("b.txt", "10.0.0.0/8\n")]);
    load::check(&files, Path::new("gateway.gw"), bytes.to_vec(), &Inputs::default())
}

fn codes(checked: &Checked) -> Vec<String> {
    let mut codes: Vec<String> = checked.diagnostics.iter().map(|d| format!("{:?}", d.code)).collect();
    codes.sort();
    codes
}

fuzz_target!(|bytes: &[u8]| {
    let checked = check(bytes);
    if !checked.diagnostics.is_empty() {
        human(&checked.diagnostics, &checked.sources, Look { width: 60, color: false });
        json(&checked.diagnostics, &checked.sources);
    }
    let Some(once) = std::str::from_utf8(bytes).ok().and_then(|text| format(text).ok()) else { return };
    assert_eq!(format(&once).as_ref(), Ok(&once), "formatting again changes the text");
    let again = check(once.as_bytes());
    assert_eq!(codes(&again), codes(&checked), "formatting changes what the text means:\n{once}");
    assert_eq!(again.plan.is_some(), checked.plan.is_some());
});
