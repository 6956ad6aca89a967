//! Every row's example, the sample of the language, and what becomes of it when one word is missing.

mod mistakes;
mod shapes;

use super::lower;
use crate::diagnostic::{Code, Diagnostic, Diagnostics};
use crate::model::ast::{Member, Program};
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
        Context::CLIENT_CERTIFICATES => {
            ("listen https :443 { certificate \"a\" key \"b\"; client-certificates optional {\n", "\n} }")
        }
        Context::ACME => ("listen https :443 { acme {\n", "\n} }"),
        Context::UPSTREAM => ("upstream u {\n", "\n}"),
        Context::UPSTREAM_TLS => ("upstream u { tls {\n", "\n} }"),
        Context::UPSTREAM_OAUTH => ("upstream u { oauth {\n", "\n} }"),
        Context::HEALTH => ("upstream u { health {\n", "\n} }"),
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
    let before =
        if example.starts_with("expect") && context == Context::INVARIANT { "invariant \"x\" {\n" } else { before };
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

/// The complete file of the language's contract.
const SAMPLE: &str = include_str!("../../../syntax/tests/sample.gw");

#[test]
fn the_sample_says_only_what_is_not_supported_yet() {
    let (program, list) = read(SAMPLE);
    let others: Vec<_> = list.iter().filter(|d| d.code != Code::E0901).collect();
    assert!(others.is_empty(), "{others:#?}");
    assert_eq!(list.len(), 6);
    assert_eq!((program.inputs.len(), program.listeners.len(), program.upstreams.len()), (2, 3, 3));
    assert_eq!((program.auths.len(), program.policies.len(), program.invariants.len()), (2, 1, 1));
    assert_eq!((program.root.statements.len(), program.root.members.len()), (1, 2));
    let Member::Scope(shop) = &program.root.members[0] else { panic!() };
    assert_eq!((shop.hosts.len(), shop.listen.len(), shop.statements.len(), shop.members.len()), (1, 1, 3, 5));
    assert_eq!(shop.docs, "Everything under https://api.shop.example.");
}

/// Where the words of a text stand: names and numbers, and every other sign alone; comments are left out.
fn tokens(text: &str) -> Vec<std::ops::Range<usize>> {
    let mut list = Vec::new();
    let bytes = text.as_bytes();
    let mut i = 0;
    while i < bytes.len() {
        let start = i;
        let word = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_' || b == b'.';
        if bytes[i] == b'#' {
            i += text[i..].find('\n').unwrap_or(text.len() - i);
            continue;
        }
        i += 1;
        if word(bytes[start]) {
            while i < bytes.len() && word(bytes[i]) {
                i += 1;
            }
        }
        if !bytes[start].is_ascii_whitespace() {
            list.push(start..i);
        }
    }
    list
}

/// Every third word, which is enough for each test run; all 686 were tried.
const STEP: usize = 3;

#[test]
fn without_one_word_there_are_few_mistakes() {
    let usual = read(SAMPLE).1.len();
    let (mut total, mut several) = (0, 0);
    for token in tokens(SAMPLE).into_iter().step_by(STEP) {
        let text = format!("{}{}", &SAMPLE[..token.start], &SAMPLE[token.end..]);
        let more = read(&text).1.len().saturating_sub(usual);
        assert!(more <= 3, "without {:?}: {:#?}", &SAMPLE[token], told(&text));
        total += 1;
        several += usize::from(more > 1);
    }
    assert!(total > 200 && several * 20 < total, "{several} of {total}");
}

#[test]
fn shuffled_words_never_panic() {
    let words: Vec<&str> = tokens(SAMPLE).into_iter().map(|t| &SAMPLE[t]).collect();
    let mut random = fastrand::Rng::with_seed(7);
    for _ in 0..3_000 {
        let mut text = String::new();
        for _ in 0..random.usize(1..60) {
            text += words[random.usize(..words.len())];
            text += ["", " ", " ", " ", "\n"][random.usize(..5)];
        }
        read(&text);
    }
}
