//! The shape of what has no mistakes.

use super::{SAMPLE, tree};

#[test]
fn the_sample_of_the_language() {
    let seen = tree(SAMPLE);
    if std::env::var_os("GW_BLESS").is_some() {
        std::fs::write(concat!(env!("CARGO_MANIFEST_DIR"), "/src/syntax/tests/sample.tree"), &seen).unwrap();
    }
    assert_eq!(seen, include_str!("sample.tree"));
}
