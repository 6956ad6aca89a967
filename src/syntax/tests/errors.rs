//! What is said about mistakes, and that each is said once.

use super::{SAMPLE, dump, read};

/// Each diagnostic as `code@words: message`, with `+words` for its other places.
fn errors(text: &str) -> Vec<String> {
    let (_, diagnostics) = read(text);
    let words = |s: crate::source::Span| text[s.start as usize..s.end as usize].to_owned();
    let line = |d: &crate::diagnostic::Diagnostic| {
        let others: String = d.labels.iter().map(|l| format!(" +{:?}@{}", words(l.span), l.span.start)).collect();
        format!("{} {:?}@{}{}: {}", d.code, words(d.span), d.span.start, others, d.message)
    };
    diagnostics.iter().map(line).collect()
}

#[track_caller]
fn one(text: &str, expected: &str) {
    assert_eq!(errors(text), [expected], "{text}");
}

#[test]
fn strings() {
    one("name \"abc\nx 1\n", r#"E0101 "\""@5 +""@9: this string is not closed"#);
    one("name \"abc {\n  x 1\n}\n", r#"E0101 "\""@5 +""@9: this string is not closed"#);
    one("name \"abc {x\n", r#"E0101 "\""@5 +""@12: this string is not closed"#);
    one("name \"abc {x\"\n", r#"E0102 "{"@10: this `{` in a string is not closed"#);
    one("name r\"abc\nx 1\n", r#"E0101 "r\""@5: this raw string is not closed"#);
    one("a {\n name r#\"abc\nx 1\n}\n", r##"E0101 "r#\""@10: this raw string is not closed"##);
}

#[test]
fn escapes() {
    one(r#"a "x\d""#, r#"E0107 "\\d"@4: there is no escape `\d`"#);
    one(r#"a "x\u{110000}""#, r#"E0107 "\\u{110000}"@4: `\u{110000}` is not a character"#);
    one(r#"a "x\u41""#, r#"E0107 "\\u"@4: there is no escape `\u`"#);
    assert_eq!(dump::tree(&read(r#"a "\n\t\"\\\{b\}\u{e9}""#).0), "a \"\n\t\"\\{b\\}é\"\n");
}

#[test]
fn braces() {
    one("api a {\n  b 1\n", r#"E0102 "{"@6 +""@14: this brace is not closed"#);
    one("api a {\n  b 1\nlet c = 2\n", r#"E0102 "{"@6 +""@13: this brace is not closed"#);
    one("b 1\n}\nlet c = 2\n", r#"E0103 "}"@4: this `}` closes nothing"#);
    one("upstream b\n  c 1\n}\nlet c = 2\n", r#"E0103 "}"@17 +""@10: this `}` closes nothing"#);
    let inner = "api a {\n  route b {\n    auth c\n  route d {\n  }\n}\n";
    one(inner, r#"E0102 "{"@18 +"}"@47: this brace is not closed"#);
}

#[test]
fn after_an_unclosed_block_the_next_declaration_stands_by_itself() {
    let (tree, _) = read("api a {\n  b 1\nlet c = 2\n");
    assert_eq!(dump::tree(&tree), "api a {\n  b #1\n}\nlet c `=` #2\n");
    assert!(tree.statements().next().is_some_and(|s| s.damaged));
    assert!(tree.statements().nth(1).is_some_and(|s| !s.damaged));
}

#[test]
fn a_missing_opening_brace_is_found_by_the_indentation() {
    let route = "api a {\n  host b\n  route c -> d\n    auth e\n  }\n  route f -> g {\n  }\n}\nlet h = 1\n";
    one(route, r#"E0103 "}"@68 +""@31: this `}` closes nothing"#);
    let whole = dump::tree(&read(&route.replace("-> d", "-> d {")).0);
    assert_eq!(dump::tree(&read(route).0), whole);
    let api = "api a\n  host b\n  cors { c }\n}\nlet h = 1\n";
    one(api, r#"E0103 "}"@28 +""@5: this `}` closes nothing"#);
    assert_eq!(dump::tree(&read(api).0), dump::tree(&read(&api.replace("api a", "api a {")).0));
    let line = "api a {\n  cors b; c }\n  host d\n}\n";
    one(line, r#"E0103 "}"@31 +"}"@20: this `}` closes nothing"#);
    assert_eq!(dump::tree(&read(line).0), "api a {\n  cors b\n  c\n  host d\n}\n");
    one("let a = 1\n}\n", r#"E0103 "}"@10: this `}` closes nothing"#);
}

#[test]
fn brackets() {
    one("a (b, c\n", r#"E0106 "("@2 +""@7: this `(` is not closed"#);
    one("x { a [b, c }\n", r#"E0106 "["@6 +""@11: this `[` is not closed"#);
    one("a (b, c]\n", r#"E0106 "("@2 +"]"@7: this `(` is not closed"#);
    one("a ([b, c)\n", r#"E0106 "["@3 +")"@8: this `[` is not closed"#);
    one("a b, c]\n", r#"E0103 "]"@6: this `]` closes nothing"#);
    one("a (b\nlet c = 1\n", r#"E0106 "("@2 +""@4: this `(` is not closed"#);
    one("x { a (b; c }\n", r#"E0106 "("@6 +""@8: this `(` is not closed"#);
}

#[test]
fn parameters() {
    one("route GET /a/{id -> b\n", r#"E0102 "{"@13 +""@16: this parameter is not closed"#);
    one("route GET /a/{id: int -> b {\n}\n", r#"E0102 "{"@13 +""@21: this parameter is not closed"#);
    one(
        "route GET /a{ b; c }\n",
        r#"E0104 ";"@15: a `;` cannot stand in `{…}` that touches a path or stands in a string"#,
    );
}

#[test]
fn junk() {
    one("a && b", r#"E0104 "&&"@2: `&&` means nothing here"#);
    one("a 'b c' d", r#"E0104 "'b c'"@2: a string stands between double quotes"#);
    one("a “b c” d", r#"E0104 "“b c”"@2: a string stands between straight double quotes"#);
    one("naïveté 1", r#"E0104 "ï"@2: `ï` cannot stand in a name"#);
    one("a\u{a0}b", "E0104 \"\\u{a0}\"@1: an invisible character (U+00A0) stands here");
    one("a => b", r#"E0104 "=>"@2: `=>` means nothing here"#);
    one("a @@b", r#"E0104 "@@"@2: `@@` means nothing here"#);
}

#[test]
fn nesting() {
    let deep = |n: usize| format!("a {}b{}\nlet c = 1\n", "(".repeat(n), ")".repeat(n));
    assert!(errors(&deep(32)).is_empty());
    one(&deep(33), r#"E0105 "("@34: braces and brackets nest deeper than 32 here"#);
    let (tree, _) = read(&deep(33));
    assert_eq!(tree.statements().count(), 2);
}

#[test]
fn a_documentation_comment_beside_a_statement() {
    one(
        "a 1 ## b\nc 2\n",
        r###"W0101 "## b"@4: this documents nothing: a documentation comment stands on its own line"###,
    );
}

#[test]
fn several_mistakes_each_once() {
    let text = SAMPLE
        .replacen("\"policies/common.gw\"", "\"policies/common.gw", 1)
        .replacen("10.0.0.0/8 using", "10.0.0.0/8 && using", 1)
        .replacen("failures for 30s\n}", "failures for 30s\n", 1)
        .replacen("metered(allowed: rate)", "metered(allowed: rate", 1)
        .replacen("{id: int}", "{id: int", 1)
        .replacen("PATCH, DELETE]", "PATCH, DELETE", 1)
        .replacen("\"the beta", "\"the \\beta", 1);
    let codes: Vec<_> = errors(&text).iter().map(|e| e[..5].to_owned()).collect();
    assert_eq!(codes, ["E0101", "E0104", "E0102", "E0106", "E0102", "E0106", "E0107"]);
}
