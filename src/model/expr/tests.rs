//! What is read, shown with parentheses around every operation.

use super::*;
use crate::diagnostic::Diagnostic;
use crate::model::ast::TextPart;
use crate::model::types::Type;
use crate::source::FileId;
use proptest::prelude::*;

/// `text` as the expression of a statement, with what is wrong with it.
fn read(text: &str) -> (Expr, Vec<Diagnostic>, String) {
    let mut d = Diagnostics::default();
    let tree = crate::syntax::parse(FileId(0), text, &mut d);
    let statement = tree.statements().next().expect("a statement");
    let mut cursor = Cursor::new(&statement.items, statement.span);
    let e = expr(&mut cursor, &mut d);
    let rest = cursor.rest_span();
    (e, d.into_sorted(), text[rest.start as usize..rest.end as usize].to_owned())
}

fn show(e: &Expr) -> String {
    let list = |l: &[Expr]| l.iter().map(show).collect::<Vec<_>>().join(" ");
    match &e.kind {
        ExprKind::Literal(v) => match v.text() {
            Some(t) if matches!(v, crate::model::value::Value::Str(_)) => format!("{t:?}"),
            Some(t) => t.into_owned(),
            None => "null".into(),
        },
        ExprKind::Text(parts) => {
            let parts = parts.iter().map(|p| match p {
                TextPart::Text(t) => format!("{t:?}"),
                TextPart::Hole(e) => show(e),
            });
            format!("(text {})", parts.collect::<Vec<_>>().join(" "))
        }
        ExprKind::Name(n) => n.to_string(),
        ExprKind::Field(a, n) => format!("{}.{}", show(a), n.text),
        ExprKind::Index(a, i) => format!("{}[{}]", show(a), show(i)),
        ExprKind::Call(n, a) => format!("{}({})", n.text, list(a)),
        ExprKind::List(l) => format!("[{}]", list(l)),
        ExprKind::Object(f) => {
            format!("{{{}}}", f.iter().map(|(n, v)| format!("{}: {}", n.text, show(v))).collect::<Vec<_>>().join(", "))
        }
        ExprKind::Not(a) => format!("(not {})", show(a)),
        ExprKind::Binary(op, _, a, b) => format!("({op:?} {} {})", show(a), show(b)),
        ExprKind::Match { subject, arms, otherwise } => {
            let arms = arms.iter().map(|(p, v)| format!("{}: {}", show(p), show(v)));
            let otherwise = otherwise.iter().map(|v| format!("else: {}", show(v)));
            format!("(match {} {{{}}})", show(subject), arms.chain(otherwise).collect::<Vec<_>>().join(", "))
        }
        ExprKind::Error => "error".into(),
    }
}

#[test]
fn precedence_and_shape() {
    let cases = [
        ("a or b and c", "(Or a (And b c))"),
        ("a and b or c", "(Or (And a b) c)"),
        ("a or b or c", "(Or (Or a b) c)"),
        ("not a == b and c", "(And (not (Equal a b)) c)"),
        ("not not a", "(not (not a))"),
        ("not a in b", "(not (In a b))"),
        ("a not in b", "(NotIn a b)"),
        ("a == b ?? c", "(Equal a (Coalesce b c))"),
        ("a ?? b ?? c", "(Coalesce (Coalesce a b) c)"),
        ("a ?? b + c", "(Coalesce a (Add b c))"),
        ("a - b - c", "(Subtract (Subtract a b) c)"),
        ("a - b + c", "(Add (Subtract a b) c)"),
        ("(a or b) and c", "(And (Or a b) c)"),
        ("a has b", "(Has a b)"),
        ("a has any [GET, POST]", "(HasAny a [GET POST])"),
        ("a.b has all c", "(HasAll a.b c)"),
        ("path starts-with /x and path ends-with \"y\"", "(And (StartsWith path \"/x\") (EndsWith path \"y\"))"),
        ("path matches r\"^/a{2}\"", "(Matches path \"^/a{2}\")"),
        ("header.x-beta == \"1\"", "(Equal header.x-beta \"1\")"),
        ("header[\"odd.name\"]", "header[\"odd.name\"]"),
        ("a[0].b.c[\"d\"]", "a[0].b.c[\"d\"]"),
        ("f(a, b)[0]", "f(a b)[0]"),
        ("now()", "now()"),
        ("[1, 2,]", "[1 2]"),
        ("[]", "[]"),
        ("{ a: 1, \"b c\": [x] }", "{a: 1, b c: [x]}"),
        ("{ a: 1\n b: 2\n}", "{a: 1, b: 2}"),
        ("\"a {b} c\"", "(text \"a \" b \" c\")"),
        ("\"\"", "\"\""),
        ("/x/{id}/y", "(text \"/x/\" id \"/y\")"),
        ("http://h:1/{id}", "(text \"http://h:1/\" id)"),
        ("http://localhost:3000", "\"http://localhost:3000\""),
        ("match a.b { \"x\": 1, \"y\": 2\n else: 3 }", "(match a.b {\"x\": 1, \"y\": 2, else: 3})"),
        ("match method { GET: true, else: false }", "(match method {GET: true, else: false})"),
        ("true == false", "(Equal true false)"),
        ("null", "null"),
        ("client.ip in 10.0.0.0/8", "(In client.ip 10.0.0.0/8)"),
        (":8080", "0.0.0.0:8080"),
        ("[::1]:80", "[::1]:80"),
        ("::1", "::1"),
        ("a ==\n b", "(Equal a b)"),
        ("a\n and b", "(And a b)"),
    ];
    for (text, wanted) in cases {
        let (e, d, rest) = read(text);
        assert_eq!(d, [], "{text}");
        assert_eq!(show(&e), wanted, "{text}");
        assert_eq!(rest, "", "{text}");
    }
}

#[test]
fn it_stops_where_the_expression_ends() {
    for (text, wanted, left) in [
        ("a == b when c", "(Equal a b)", "when c"),
        ("10/s burst 20", "10/s", "burst 20"),
        ("a == limit else 403", "(Equal a limit)", "else 403"),
        ("a else 403", "a", "else 403"),
        ("a by b", "a", "by b"),
        ("a, b", "a", ", b"),
        ("users at /x", "users", "at /x"),
        ("a { b }", "a", "{ b }"),
        ("100ms..1s", "100ms", "..1s"),
    ] {
        let (e, d, rest) = read(text);
        assert_eq!((show(&e).as_str(), rest.as_str(), d.len()), (wanted, left, 0), "{text}");
    }
}

#[test]
fn spans_of_dotted_names() {
    let (e, _, _) = read("caller.id.x");
    let ExprKind::Field(inner, name) = &e.kind else { panic!("a field") };
    assert_eq!((name.span.start, name.span.end), (10, 11));
    assert_eq!((inner.span.start, inner.span.end), (0, 9));
}

#[test]
fn one_mistake_one_message() {
    for (text, code, part) in [
        ("a ==", Code::E0402, "a value is missing"),
        ("a == and b", Code::E0402, "a value is missing"),
        ("a == b and\nrequire c == d", Code::E0402, "a value is missing"),
        ("a ??\nlimit 10/s", Code::E0402, "a value is missing"),
        ("not", Code::E0402, "a value is missing"),
        ("()", Code::E0402, "a value is missing"),
        ("f(a, , b)", Code::E0402, "a value is missing"),
        ("a == b == c", Code::E0402, "cannot be chained"),
        ("a < b < c", Code::E0402, "cannot be chained"),
        ("a = b", Code::E0402, "does not compare"),
        ("a -1", Code::E0402, "with its sign"),
        ("a contains b", Code::E0402, "no operator `contains`"),
        ("a == not b", Code::E0402, "binds looser"),
        ("(a b)", Code::E0402, "ends before this"),
        ("match a", Code::E0402, "arms of `match` are missing"),
        ("match a { 1 2 }", Code::E0402, "an arm is"),
        ("{ a }", Code::E0402, "a field is"),
        ("{ a: 1, a: 2 }", Code::E0402, "is there twice"),
        ("{ a:1 }", Code::E0402, "followed by a space"),
        ("localhost:8080", Code::E0402, "not a value"),
        ("a[1](2)", Code::E0402, "only a function's name"),
        ("*.example.com", Code::E0402, "host pattern"),
        ("/x/{rest...}", Code::E0402, "patterns only"),
        ("timeout == 5min", Code::E0401, "not a duration"),
        ("[100/m, 5s]", Code::E0401, "not a rate"),
        ("path matches \"^/[0-9]{4}$\"", Code::E0414, "begins an expression"),
        ("path matches \"^/[0-9]{2,4}$\"", Code::E0414, "begins an expression"),
    ] {
        let (_, d, _) = read(text);
        assert_eq!(d.iter().map(|d| d.code).collect::<Vec<_>>(), [code], "{text}: {d:?}");
        assert!(d[0].message.contains(part), "{text}: {}", d[0].message);
    }
}

#[test]
fn a_regular_expression_is_proposed_raw() {
    let (_, d, _) = read("path matches \"^/[0-9]{2,4}$\"");
    assert_eq!(d[0].help.as_deref(), Some("write it as a raw string: r\"^/[0-9]{2,4}$\""));
}

#[test]
fn too_deep() {
    let (e, d, _) = read(&vec!["a"; 90].join(" or "));
    assert_eq!((d.len(), matches!(e.kind, ExprKind::Error)), (0, false));
    let (_, d, _) = read(&vec!["a"; 5000].join(" or "));
    assert_eq!(d.len(), 1);
    let (_, d, _) = read(&format!("{} a", "not ".repeat(5000)));
    assert_eq!(d.len(), 1);
}

fn read_type(text: &str) -> (Type, Vec<Diagnostic>) {
    let mut d = Diagnostics::default();
    let tree = crate::syntax::parse(FileId(0), &format!("x: {text}"), &mut d);
    let statement = tree.statements().next().expect("a statement");
    let mut cursor = Cursor::new(&statement.items[2..], statement.span);
    (ty(&mut cursor, &mut d).value, d.into_sorted())
}

#[test]
fn types() {
    for text in
        ["int", "string?", "[string]", "[int?]", "{string: rate}", "\"free\" | \"pro\"", "[[cidr]]", "{string: [int]}"]
    {
        let (found, d) = read_type(text);
        assert_eq!((found.to_string().as_str(), d.len()), (text, 0));
    }
    assert_eq!(read_type("(\"a\" | \"b\")?").0, Type::Union(vec!["a".into(), "b".into()]).optional());
    assert_eq!(read_type("\"a\" | \"b\"?").0, Type::Union(vec!["a".into(), "b".into()]).optional());
    for (text, help) in [
        ("strng", "`string`"),
        ("boolean", "`bool`"),
        ("number", "`int`"),
        ("durations", "`duration`"),
        ("[]", "[string]"),
        ("{int: int}", "always `string`"),
    ] {
        let (found, d) = read_type(text);
        assert_eq!((found, d.len()), (Type::Error, 1), "{text}");
        assert!(d[0].help.as_ref().is_some_and(|h| h.contains(help)), "{text}: {:?}", d[0].help);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    #[test]
    fn any_words_are_read(words in proptest::collection::vec(prop::sample::select(vec![
        "a", "b.c", "not", "and", "or", "in", "has", "any", "all", "match", "else", "==", "!=", "<", "??", "+", "-", "-1", "42",
        "5min", "10/s", "GET", "null", "(", ")", "[", "]", "{", "}", ",", ":", ".", "?", "\"x\"", "\"a {b} {\"", "/p/{id}", "r\"x\"",
        "f(", "a[", ":80", "::1", "*", "|", "=", "->", "matches", "starts-with", "when", "int", "string", "\n", ";", "#c\n", "'", "1.5.",
    ]), 1..30), glue in proptest::collection::vec(any::<bool>(), 30)) {
        let text: String = words.iter().zip(glue).map(|(w, g)| if g { format!("{w} ") } else { (*w).to_owned() }).collect();
        let mut d = Diagnostics::default();
        let tree = crate::syntax::parse(FileId(0), &text, &mut d);
        for s in tree.statements() {
            let mut cursor = Cursor::new(&s.items, s.span);
            expr(&mut cursor, &mut d);
            ty(&mut Cursor::new(&s.items, s.span), &mut d);
            key(&mut Cursor::new(&s.items, s.span), &mut d);
        }
    }
}
