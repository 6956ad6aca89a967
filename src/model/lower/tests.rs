//! Every row's example, the sample of the language, and what becomes of it when one word is missing.

use super::lower;
use crate::diagnostic::{Code, Diagnostic, Diagnostics};
use crate::model::ast::Program;
use crate::model::statements::{self, Context};
use crate::source::FileId;
use crate::syntax;

/// The program of a text and its diagnostics, syntax errors included.
pub(super) fn read(text: &str) -> (Program, Vec<Diagnostic>) {
    let mut d = Diagnostics::default();
    let tree = syntax::parse(FileId(0), text, &mut d);
    let program = lower(&tree, &mut d);
    (program, d.into_sorted())
}

/// `CODE words | message | help` of each diagnostic.
pub(super) fn told(text: &str) -> Vec<String> {
    let (_, list) = read(text);
    list.iter()
        .map(|d| {
            let words = &text[d.span.start as usize..d.span.end as usize];
            format!("{} {words} | {} | {}", d.code, d.message, d.help.as_deref().unwrap_or("-"))
        })
        .collect()
}

/// The example of a row, in a program where it may stand.
fn around(context: Context, example: &str) -> String {
    let (before, after) = match context {
        Context::TOP => ("", ""),
        Context::API => ("api a {\n", "\n}"),
        Context::GROUP => ("group {\n", "\n}"),
        Context::ROUTE => ("route GET /x -> u {\n", "\n}"),
        Context::POLICY => ("policy p() {\n", "\n}"),
        Context::WHEN => ("when method == GET {\n", "\n}"),
        Context::LISTEN => ("listen http :80 {\n", "\n}"),
        Context::UPSTREAM => ("upstream u {\n", "\n}"),
        Context::UPSTREAM_TLS => ("upstream u { tls {\n", "\n} }"),
        Context::JWT => ("auth a = jwt {\n", "\n}"),
        Context::API_KEY => ("auth a = api-key {\n", "\n}"),
        Context::CORS => ("cors {\n", "\n}"),
        Context::REQUEST => ("request {\n", "\n}"),
        Context::RESPONSE => ("response {\n", "\n}"),
        Context::INVARIANT => ("invariant \"x\" {\nexpect route.auth != none\n", "\n}"),
        Context::SCHEME => ("listen ", ""),
        Context::AUTH_KIND => ("auth a = ", ""),
        Context::TARGET => ("route GET /x -> ", ""),
        Context::RESPOND => ("route GET /x -> respond 200 ", ""),
        other => panic!("no surroundings for {other:?}"),
    };
    // `expect` stands in an invariant once.
    let before = if example.starts_with("expect") { "invariant \"x\" {\n" } else { before };
    format!("{before}{example}{after}\n")
}

#[test]
fn the_example_of_every_row_lowers_wherever_it_may_stand() {
    for row in statements::rows() {
        for context in Context::each().filter(|c| row.contexts.contains(*c)) {
            let text = around(context, row.example);
            let codes: Vec<Code> = read(&text).1.iter().map(|d| d.code).collect();
            let wanted: &[Code] = if row.supported { &[] } else { &[Code::E0901] };
            assert_eq!(codes, wanted, "{text}{:#?}", told(&text));
        }
    }
}
