//! The layout.

use super::total::{leaves, mutated};
use super::{SAMPLE, dump, read};
use crate::syntax::format::format;
use proptest::prelude::*;

#[track_caller]
fn formats(text: &str, expected: &str) {
    let formatted = format(text).unwrap();
    assert_eq!(formatted, expected, "\n{formatted}");
    stays(text);
}

/// Formatting again changes nothing, and tokens, comments and structure are what they were.
#[track_caller]
fn stays(text: &str) {
    let once = format(text).unwrap();
    let twice = format(&once).unwrap();
    assert_eq!(once, twice, "of {text}");
    assert_eq!(words(text), words(&once), "of {text}");
    assert_eq!(structure(text), structure(&once), "of {text}");
}

/// The tree without what layout may change: where a comment stands, and whether items touch.
fn structure(text: &str) -> String {
    let dump = dump::tree(&read(text).0).replace('~', "");
    dump.lines().filter(|l| l.trim() != "#").map(|l| format!("{l}\n")).collect()
}

/// The tokens and, apart from them, the comments.
fn words(text: &str) -> (Vec<&str>, Vec<&str>) {
    let (tree, _) = read(text);
    let mut spans = leaves(text, &tree);
    spans.sort();
    let word = |s: &crate::source::Span| &text[s.start as usize..s.end as usize];
    let tokens = spans.iter().map(word).filter(|w| !w.starts_with('#')).collect();
    let mut comments = Vec::new();
    let mut at = 0;
    for span in spans.iter().chain([&crate::source::Span::new(tree.file, text.len(), text.len())]) {
        comments.extend(
            text[at..span.start as usize]
                .split('\n')
                .filter_map(|l| l.find('#').map(|i| l[i..].trim_end_matches([' ', '\t', '\r']))),
        );
        if word(span).starts_with('#') {
            comments.push(word(span));
        }
        at = span.end as usize;
    }
    (tokens, comments)
}

#[test]
fn the_sample_of_the_language_is_laid_out_already() {
    let long =
        "    respond json { name: user.body.name, orders: orders.body, items: items.body, partial: orders.failed }\n";
    let broken = "    respond json {\n      name: user.body.name,\n      orders: orders.body,\n      items: items.body,\n      partial: orders.failed\n    }\n";
    let expected = SAMPLE
        .replace(long, broken)
        .replace("request  {", "request {")
        .replace("user   =", "user =")
        .replace("items  =", "items =");
    formats(SAMPLE, &expected);
}

#[test]
fn spaces() {
    formats("let a=1", "let a = 1\n");
    formats("let  a  =  [ 1,2 ,3 ]", "let a = [1, 2, 3]\n");
    formats("a{b:c;d :e}", "a { b: c; d: e }\n");
    formats("x a[0].b f( x , y ) g (z) [1] ?", "x a[0].b f(x, y) g (z) [1] ?\n");
    formats("listen http :80  {}", "listen http :80 {}\n");
    formats("a \"b {c+d}\"  /e/{f:int}", "a \"b {c+d}\" /e/{f:int}\n");
    formats("backoff 10ms..1s", "backoff 10ms..1s\n");
    formats("\u{feff}a\r\nb\r\n", "a\nb\n");
    formats("", "");
    formats("\n\n# a\n\n\n\n# b", "# a\n\n# b\n");
}

#[test]
fn blocks() {
    formats("a { b; c }", "a { b; c }\n");
    formats("a {\nb; c\n\n\n\nd }", "a {\n  b\n  c\n\n  d\n}\n");
    formats("a {\n\n  b\n\n}\n", "a {\n  b\n}\n");
    formats("a { # why\n  b # so\n  # end\n}\n", "a { # why\n  b # so\n  # end\n}\n");
    formats("## doc\na 1\n  ## doc\n  b 2\n", "## doc\na 1\n## doc\nb 2\n");
    let long = format!("a {{ {}x }}", "bcdefghi jklmnop; ".repeat(6));
    formats(&long, &format!("a {{\n{}  x\n}}\n", "  bcdefghi jklmnop\n".repeat(6)));
}

#[test]
fn lines_that_go_on() {
    formats("route GET /a\n-> b {\nauth c\n}\n", "route GET /a\n  -> b {\n  auth c\n}\n");
    formats("route GET /a ->\nb\nby c {\nauth c\n}\n", "route GET /a ->\n    b\n    by c {\n  auth c\n}\n");
    formats("x {\nretry 1 on a,\nb\n}\n", "x {\n  retry 1 on a,\n      b\n}\n");
    formats("x {\na: b,\n\n# why\nc: d,\n}\n", "x {\n  a: b,\n\n  # why\n  c: d,\n}\n");
    formats("let a = [\n1,\n2\n]\nlet b = (c and # d\ne)", "let a = [\n  1,\n  2\n]\nlet b = (c and # d\n  e)\n");
    formats("use a(match b {\n\"c\": 1,\n\"d\": 2 })", "use a(match b {\n  \"c\": 1,\n  \"d\": 2\n})\n");
    formats("a; -> b", "a;\n-> b\n");
    formats("x {\na,; b\n}", "x {\n  a,;\n  b\n}\n");
}

#[test]
fn a_text_with_errors_is_left_alone() {
    let errors = format("a {\n  b \"c\n}\n").unwrap_err();
    assert_eq!(errors.len(), 1);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]
    #[test]
    fn layout_keeps_everything_and_is_stable(text in mutated()) {
        if format(&text).is_ok() {
            stays(&text);
        }
    }
}
