//! Programs with holes: whatever is cut out of them or put in, `check` ends, and every format can print what it found.

use std::path::Path;

use gw::check::Inputs;
use gw::diagnostic::render::{self, Look};
use gw::load::{self, Checked, MemoryFiles};
use proptest::prelude::*;

/// Programs that are right, or nearly: those of the golden cases.
fn programs() -> Vec<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases");
    let mut all = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let text = std::fs::read_to_string(entry.unwrap().path()).unwrap();
        all.extend(
            text.split("\n```gw\n").skip(1).map(|rest| rest.split("\n```").next().unwrap_or("").to_owned() + "\n"),
        );
    }
    all
}

/// Cuts: a place and a length in per mille of the text, and what is put there.
fn damage() -> impl Strategy<Value = Vec<(usize, usize, &'static str)>> {
    const PUTS: &[&str] = &[
        "",
        "",
        "",
        "}",
        "{",
        "\"",
        "(",
        "\n",
        ";",
        " -> ",
        "\u{1b}[31m",
        "日本",
        "\t",
        ": ",
        " = ",
        "when",
        "api x {",
    ];
    prop::collection::vec((0usize..1000, 0usize..60, prop::sample::select(PUTS)), 1..5)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn damaged_programs_are_checked_and_printed(program in prop::sample::select(programs()), cuts in damage(), width in 20usize..140) {
        let mut text: Vec<char> = program.chars().collect();
        for (at, length, put) in cuts {
            let from = text.len() * at / 1000;
            let to = (from + text.len() * length / 1000).min(text.len());
            text.splice(from..to, put.chars());
        }
        let text: String = text.into_iter().collect();
        let mut files = MemoryFiles::default();
        files.add("gateway.gw", text.clone());
        let Checked { sources, diagnostics, .. } = load::check(&files, Path::new("gateway.gw"), text.into_bytes(), &Inputs::default());

        let human = render::human(&diagnostics, &sources, Look { width, color: false });
        prop_assert_eq!(human.matches("╰────\n").count(), diagnostics.len(), "{}", human);
        let json: serde_json::Value = serde_json::from_str(&render::json(&diagnostics, &sources)).unwrap();
        prop_assert_eq!(json["diagnostics"].as_array().unwrap().len(), diagnostics.len());
        let sarif: serde_json::Value = serde_json::from_str(&render::sarif(&diagnostics, &sources)).unwrap();
        prop_assert_eq!(sarif["runs"][0]["results"].as_array().unwrap().len(), diagnostics.len());
        prop_assert_eq!(render::github(&diagnostics, &sources).lines().count(), diagnostics.len());
        let junit = render::junit(&diagnostics, &sources);
        prop_assert_eq!(junit.matches("<testcase ").count(), diagnostics.len().max(1));
        for found in &diagnostics {
            let file = &sources.file(found.span.file).text;
            prop_assert!(file.get(found.span.start as usize..found.span.end as usize).is_some(), "a span off its text: {:?}", found);
        }
    }
}
