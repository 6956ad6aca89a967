//! From text to value: what checked expressions give, and that evaluating never panics.

use super::*;
use crate::model::cursor::Cursor;
use crate::model::eval::{EvalError, Facts};
use crate::model::functions::{FUNCTIONS, Function};
use crate::model::ir::Comparison;
use crate::model::table::TableData;
use crate::model::value::{NameKind, Rate, Secret};
use crate::source::FileId;
use proptest::prelude::*;
use std::sync::Arc;
use std::time::Duration;

/// A request that a test makes up.
struct Request {
    extra: serde_json::Value,
    roles: Vec<Value<'static>>,
    tables: Vec<Arc<TableData>>,
}

impl Request {
    fn new() -> Request {
        let blocked =
            crate::model::table::parse("10.0.0.0/8\n2001:db8::/32\n", &Type::List(Box::new(Type::Cidr))).unwrap();
        let tiers = crate::model::table::parse("u1 = 10/s\n", &Type::Map(Box::new(Type::Rate))).unwrap();
        Request {
            extra: serde_json::json!({ "n": 5, "s": "text", "list": [1, "two", null], "ok": true, "deep": { "a": { "b": "c" } }, "null": null }),
            roles: vec![Value::Str("admin".into()), Value::Str("dev".into())],
            tables: vec![Arc::new(blocked), Arc::new(tiers)],
        }
    }
}

impl<'a> Facts<'a> for &'a Request {
    fn fact(&self, fact: &'a Fact) -> Value<'a> {
        match fact {
            Fact::Method => Value::Method(http::Method::GET),
            Fact::Path => Value::str("/users/7"),
            Fact::Scheme => Value::str("https"),
            Fact::Header(name) if name == "x-a" => Value::str("Hello"),
            Fact::Headers(_) => Value::List(self.roles.as_slice().into()),
            Fact::ClientIp => Value::Ip("10.1.2.3".parse().unwrap()),
            Fact::RequestTime => Value::Time("2026-01-31T10:00:00Z".parse().unwrap()),
            Fact::CallerId => Value::str("u1"),
            Fact::CallerVia => Value::Name(NameKind::Auth, "customer".into()),
            Fact::Claim(name) if name == "tier" => Value::str("pro"),
            Fact::Claim(name) if name == "roles" => Value::List(self.roles.as_slice().into()),
            Fact::Claim(name) if name == "extra" => Value::Json(crate::model::value::Json::Borrowed(&self.extra)),
            Fact::ResponseStatus => Value::Status(404),
            _ => Value::Null,
        }
    }
    fn param(&self, _: u16) -> Value<'a> {
        Value::Int(7)
    }
    fn table(&self, id: u32) -> Arc<TableData> {
        self.tables.get(id as usize).cloned().unwrap_or_default()
    }
    fn now(&self) -> jiff::Timestamp {
        jiff::Timestamp::UNIX_EPOCH
    }
    fn random(&self) -> u128 {
        7
    }
}

fn ty(text: &str) -> Type {
    let mut d = Diagnostics::default();
    let tree = crate::syntax::parse(FileId(0), &format!("x: {text}"), &mut d);
    let statement = tree.statements().next().expect("a statement");
    crate::model::expr::ty(&mut Cursor::new(&statement.items[2..], statement.span), &mut d).value
}

fn typed(text: &str) -> Typed {
    let mut d = Diagnostics::default();
    let tree = crate::syntax::parse(FileId(0), text, &mut d);
    let statement = tree.statements().next().expect("a statement");
    let e = crate::model::expr::expr_of(&statement.items, statement.span, &mut d);
    let mut g = Globals::default();
    g.add_table("blocked", 0, ty("[cidr]"));
    g.add_table("tiers", 1, ty("{string: rate}"));
    g.add_input("key", Type::Secret, Some(Value::Secret(Secret::new("s3cret"))));
    g.add_name(NameKind::Auth, "customer");
    let claims = [("tier", "\"free\" | \"pro\""), ("org", "string?"), ("roles", "[string]"), ("extra", "json")];
    let alternative = Alternative {
        auth: "customer".into(),
        claims: claims.iter().map(|(n, t)| ((*n).into(), ty(t))).collect(),
        scopes: true,
    };
    let info = CallerInfo { optional: false, alternatives: vec![alternative], damaged: false };
    let params = [("id".into(), Type::Int)];
    let env =
        Env { params: &params, caller: Caller::Known(&info), phase: Phase::Response, ..Env::constant(&g, "a test") };
    let typed = check(&e, None, &env, &mut d);
    assert_eq!(d.into_sorted(), [], "{text}");
    typed
}

#[test]
fn values() {
    let request = Request::new();
    for (text, wanted) in [
        ("method == GET and scheme == \"https\"", "true"),
        ("method in [POST, PUT]", "false"),
        ("header.x-a == \"Hello\"", "true"),
        ("header.x-b == \"Hello\"", "false"),
        ("header.x-b != \"Hello\"", "true"),
        ("header.x-b == null", "true"),
        ("header.x-b ?? \"other\"", "\"other\""),
        ("headers(\"x\") has \"dev\"", "true"),
        ("client.ip in 10.0.0.0/8", "true"),
        ("client.ip not in [192.168.0.0/16, 10.1.2.3]", "false"),
        ("client.ip in blocked", "true"),
        ("192.0.2.1 in blocked", "false"),
        ("::ffff:10.0.0.1 in blocked", "true"),
        ("2001:db8::1 in blocked", "true"),
        ("tiers[caller.id] ?? 1/s", "\"10/s\""),
        ("tiers[\"u2\"] ?? 1/s", "\"1/s\""),
        ("caller.id in tiers", "true"),
        ("\"admin\" in caller.roles", "true"),
        ("caller.roles has any [\"x\", \"dev\"]", "true"),
        ("caller.roles has all [\"x\", \"dev\"]", "false"),
        ("caller.via == customer", "true"),
        ("match caller.tier { \"free\": 100/min, \"pro\": 1_000/min }", "\"1000/min\""),
        ("caller.extra.n == 5", "true"),
        ("caller.extra.n > 4 and caller.extra.n < 5.5", "true"),
        ("caller.extra.s == \"text\"", "true"),
        ("caller.extra.s == 5", "false"),
        ("caller.extra.missing.deeper == null", "true"),
        ("caller.extra.null == null", "true"),
        ("caller.extra.deep.a.b", "\"c\""),
        ("caller.extra.deep[\"a\"][\"b\"]", "\"c\""),
        ("caller.extra.list[1]", "\"two\""),
        ("caller.extra.list[9] ?? \"none\"", "\"none\""),
        ("\"two\" in caller.extra.list", "true"),
        ("1 in caller.extra.missing", "false"),
        ("caller.extra.ok == true", "true"),
        ("\"{caller.extra.n}/{caller.extra.s}\"", "\"5/text\""),
        ("/users/{id}", "\"/users/7\""),
        ("id + 1 - 3", "5"),
        ("10 - 2 - 3", "5"),
        ("not id == 7 or id > 6", "true"),
        ("path matches r\"^/users/\\d+$\"", "true"),
        ("path starts-with \"/users\" and path ends-with \"7\"", "true"),
        ("response.status == 404", "true"),
        ("response.status >= 500", "false"),
        ("response.status in [404, 410]", "true"),
        ("request.time + 1h", "\"2026-01-31T11:00:00Z\""),
        ("format(request.time, \"%d.%m.%y %H:%M\")", "\"31.01.26 10:00\""),
        ("split(path, \"/\")[2] ?? \"\"", "\"7\""),
        ("split(path, \"/\")[9] ?? \"none\"", "\"none\""),
        ("join(caller.roles, \"+\")", "\"admin+dev\""),
        ("upper(header.x-a ?? \"\")", "\"HELLO\""),
        ("trim(\" a {path} \")", "\"a /users/7\""),
        ("replace(path, \"/\", \".\")", "\".users.7\""),
        ("len(caller.roles) + len(path)", "10"),
        ("json({ a: id, b: [1, null] })", "\"{\\\"a\\\":7,\\\"b\\\":[1,null]}\""),
        ("omit(caller.extra, \"list\", \"deep\", \"s\", \"ok\")", "{\"n\":5,\"null\":null}"),
        ("pick({ a: id, b: 2 }, \"a\")", "{\"a\":7}"),
        ("{ a: { b: [id] } }.a.b[0] ?? 0", "7"),
        ("base64(\"{path}\")", "\"L3VzZXJzLzc=\""),
        ("text(uuid())", "\"00000000-0000-4000-8000-000000000007\""),
        ("text(now())", "\"1970-01-01T00:00:00Z\""),
        ("header.x-a == key", "false"),
    ] {
        let typed = typed(text);
        let value = crate::model::eval::eval(&typed.ir, &&request).unwrap_or_else(|e| panic!("{text}: {e}"));
        assert_eq!(value.to_json().to_string(), wanted, "{text}");
    }
}

#[test]
fn secrets_stay_secrets() {
    let request = Request::new();
    let typed = typed("\"Bearer {key} {id}\"");
    let value = crate::model::eval::eval(&typed.ir, &&request).unwrap();
    assert!(matches!(&value, Value::Secret(s) if s.expose() == "Bearer s3cret 7"), "{value:?}");
    assert_eq!(format!("{value:?}"), "Secret(<secret>)");
}

#[test]
fn what_has_no_value() {
    let request = Request::new();
    for (text, wanted) in [
        ("\"{caller.extra.list}\"", EvalError::NotText),
        ("\"{caller.extra.null}\"", EvalError::NotText),
        ("text(caller.extra.deep)", EvalError::NotText),
        ("id + 9_223_372_036_854_775_807", EvalError::Overflow),
        ("format(request.time, header.x-b ?? \"%\")", EvalError::Format),
    ] {
        let typed = typed(text);
        assert_eq!(crate::model::eval::eval(&typed.ir, &&request).unwrap_err(), wanted, "{text}");
    }
}

fn value() -> impl Strategy<Value = Value<'static>> {
    let json = prop::sample::select(vec![
        serde_json::json!(null),
        serde_json::json!({ "a": [1, 2.5, "x"], "b": { "a": null } }),
        serde_json::json!(["a", 1]),
        serde_json::json!("text"),
        serde_json::json!(u64::MAX),
    ]);
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        any::<i64>().prop_map(Value::Int),
        any::<f64>().prop_map(Value::Float),
        "\\PC{0,8}".prop_map(|s| Value::Str(s.into())),
        prop::sample::select(vec!["a", "b", "", "%Y", "%", "a,b"]).prop_map(Value::str),
        any::<Vec<u8>>().prop_map(|b| Value::Bytes(b.into())),
        any::<u128>().prop_map(|v| Value::Uuid(uuid::Uuid::from_u128(v))),
        Just(Value::Date(jiff::civil::Date::MAX)),
        Just(Value::Date(jiff::civil::Date::MIN)),
        Just(Value::Time(jiff::Timestamp::MAX)),
        Just(Value::Time(jiff::Timestamp::MIN)),
        any::<u64>().prop_map(|s| Value::Duration(Duration::from_secs(s))),
        any::<u64>().prop_map(Value::Size),
        any::<u64>().prop_map(|count| Value::Rate(Rate { count, per: Duration::from_secs(60) })),
        (0.0..100.0).prop_map(Value::Percent),
        any::<u32>().prop_map(|v| Value::Ip(std::net::Ipv4Addr::from(v).into())),
        any::<u128>().prop_map(|v| Value::Ip(std::net::Ipv6Addr::from(v).into())),
        Just(Value::Cidr("10.0.0.0/8".parse().unwrap())),
        Just(Value::Method(http::Method::GET)),
        (100..600u16).prop_map(Value::Status),
        json.prop_map(Value::from),
        Just(Value::Secret(Secret::new("s"))),
        Just(Value::Name(NameKind::Auth, "customer".into())),
    ]
}

/// Any tree at all, typed or not: more than the checker can make.
fn any_ir() -> impl Strategy<Value = Ir> {
    let facts = vec![
        Fact::Method,
        Fact::Path,
        Fact::ClientIp,
        Fact::Claim("extra".into()),
        Fact::Claim("roles".into()),
        Fact::RequestTime,
        Fact::Caller,
    ];
    let leaf = prop_oneof![
        value().prop_map(Ir::Const),
        prop::sample::select(facts).prop_map(Ir::Fact),
        (0..3u16).prop_map(Ir::Param),
    ];
    leaf.prop_recursive(5, 64, 4, |inner| {
        let one = || inner.clone().prop_map(Box::new);
        let many = || prop::collection::vec(inner.clone(), 0..4).prop_map(Vec::into_boxed_slice);
        let function = prop::sample::select(FUNCTIONS.iter().map(|r| r.function).collect::<Vec<Function>>());
        let how = prop::sample::select(vec![Comparison::Equal, Comparison::Less, Comparison::GreaterEqual]);
        let field = prop::sample::select(vec!["a", "b", "deep"]);
        prop_oneof![
            many().prop_map(Ir::Text),
            many().prop_map(Ir::List),
            (function, many()).prop_map(|(f, a)| Ir::Call(f, a)),
            (one(), field).prop_map(|(a, f)| Ir::Field(a, f.into())),
            (one(), one()).prop_map(|(a, b)| Ir::Index(a, b)),
            (0..3u32, one()).prop_map(|(t, a)| Ir::Lookup(t, a)),
            (one(), 0..3u32).prop_map(|(a, t)| Ir::InTable(a, t)),
            one().prop_map(Ir::Not),
            (one(), one()).prop_map(|(a, b)| Ir::And(a, b)),
            (how, one(), one()).prop_map(|(h, a, b)| Ir::Compare(h, a, b)),
            (one(), one()).prop_map(|(a, b)| Ir::In(a, b)),
            (one(), one(), any::<bool>()).prop_map(|(a, b, all)| Ir::HasSeveral(a, b, all)),
            one().prop_map(|a| Ir::Matches(a, regex::Regex::new("a|b").unwrap())),
            (one(), one()).prop_map(|(a, b)| Ir::EndsWith(a, b)),
            (one(), one()).prop_map(|(a, b)| Ir::Coalesce(a, b)),
            (one(), one()).prop_map(|(a, b)| Ir::Add(a, b)),
            (one(), one()).prop_map(|(a, b)| Ir::Subtract(a, b)),
            (one(), value(), one()).prop_map(|(s, p, r)| Ir::Match(s, Box::new([(p, *r.clone())]), Some(r))),
            (field_name(), one()).prop_map(|(n, v)| Ir::Object(Box::new([(n.into(), *v)]))),
        ]
    })
}

fn field_name() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec!["a", "b"])
}

/// Words that make expressions of every type, for whole programs of them.
const WORDS: [&str; 40] = [
    "method",
    "path",
    "header.x-a",
    "query.q",
    "client.ip",
    "caller",
    "caller.id",
    "caller.tier",
    "caller.org",
    "caller.roles",
    "caller.extra",
    "caller.extra.a[0]",
    "id",
    "blocked",
    "tiers",
    "tiers[path]",
    "key",
    "customer",
    "null",
    "true",
    "1",
    "2.5",
    "5s",
    "10/s",
    "\"a\"",
    "\"{id}{path}\"",
    "r\"a+\"",
    "GET",
    "10.0.0.0/8",
    "10.0.0.1",
    "[1, 2]",
    "[\"a\"]",
    "{ a: 1 }",
    "now()",
    "len(path)",
    "text(id)",
    "2026-01-01",
    "404",
    "request.time",
    "match caller.tier { \"free\": 1, else: 2 }",
];
const OPERATORS: [&str; 18] = [
    "==",
    "!=",
    "<",
    ">=",
    "in",
    "not in",
    "has",
    "has any",
    "has all",
    "matches",
    "starts-with",
    "ends-with",
    "??",
    "+",
    "-",
    "and",
    "or",
    "and not",
];

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, ..ProptestConfig::default() })]

    #[test]
    fn evaluating_never_panics(ir in any_ir()) {
        let request = Request::new();
        if let Ok(value) = crate::model::eval::eval(&ir, &&request) {
            let _ = (value.text().is_some(), value.to_json(), value.borrowed().into_static());
        }
    }

    /// A checked expression has the type that the checker says, and one that it calls constant reads nothing.
    #[test]
    fn checked_expressions_have_their_type(
        first in prop::sample::select(WORDS.to_vec()),
        rest in prop::collection::vec((prop::sample::select(OPERATORS.to_vec()), prop::sample::select(WORDS.to_vec())), 0..4),
    ) {
        let text = rest.iter().fold(first.to_owned(), |t, (op, w)| format!("{t} {op} {w}"));
        let mut d = Diagnostics::default();
        let tree = crate::syntax::parse(FileId(0), &text, &mut d);
        let statement = tree.statements().next().expect("a statement");
        let e = crate::model::expr::expr_of(&statement.items, statement.span, &mut d);
        let mut g = Globals::default();
        g.add_table("blocked", 0, ty("[cidr]"));
        g.add_table("tiers", 1, ty("{string: rate}"));
        g.add_input("key", Type::Secret, None);
        g.add_name(NameKind::Auth, "customer");
        let claims = [("tier", ty("\"free\" | \"pro\"")), ("org", ty("string?")), ("roles", ty("[string]")), ("extra", Type::Json)];
        let claims = claims.into_iter().map(|(n, t)| (n.into(), t)).collect();
        let info = CallerInfo { optional: false, alternatives: vec![Alternative { auth: "customer".into(), claims, scopes: true }], damaged: false };
        let params = [("id".into(), Type::Int)];
        let env = Env { params: &params, caller: Caller::Known(&info), phase: Phase::Caller, ..Env::constant(&g, "a test") };
        let typed = check(&e, None, &env, &mut d);
        prop_assert_eq!(typed.is_error(), d.errors() > 0, "{}", text);
        let request = Request::new();
        if let (false, Ok(value)) = (typed.is_error(), crate::model::eval::eval(&typed.ir, &&request)) {
            prop_assert!(is_a(&value, &typed.ty), "{} is {:?}, not {}", text, value, typed.ty);
            prop_assert!(typed.constant.is_none() || typed.reads.is_empty(), "{}", text);
        }
    }
}

/// The value can be of the type (an input without a value and an absent fact are null).
fn is_a(value: &Value<'_>, ty: &Type) -> bool {
    match (value, ty) {
        (Value::Null, _) | (_, Type::Json | Type::Error) => true,
        (v, Type::Optional(inner)) => is_a(v, inner),
        (Value::List(values), Type::List(element)) => values.iter().all(|v| is_a(v, element)),
        (Value::Map(_), Type::Map(_) | Type::Record(_)) => true,
        (Value::Str(_), Type::String | Type::Union(_) | Type::Url) => true,
        // `path ?? key` is taken for a secret, whichever it is.
        (Value::Secret(_) | Value::Str(_), Type::Secret) => true,
        (Value::Ip(_), Type::Cidr) => true,
        (Value::Json(_), _) => false,
        (v, ty) => super::fit::type_of(v) == *ty,
    }
}
