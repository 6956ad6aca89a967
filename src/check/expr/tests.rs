//! What expressions are, and what is said about those that are none.

use super::*;
use crate::diagnostic::Diagnostic;
use crate::model::cursor::Cursor;
use crate::model::value::NameKind;
use crate::source::FileId;

#[test]
fn failures_are_named_once() {
    assert_eq!(crate::model::statements::FAILURES.map(|(name, _)| name), crate::model::facts::ERROR_KINDS);
}

fn expression(text: &str, d: &mut Diagnostics) -> Expr {
    let tree = crate::syntax::parse(FileId(0), text, d);
    let statement = tree.statements().next().expect("a statement");
    crate::model::expr::expr_of(&statement.items, statement.span, d)
}

fn ty(text: &str) -> Type {
    let mut d = Diagnostics::default();
    let tree = crate::syntax::parse(FileId(0), &format!("x: {text}"), &mut d);
    let statement = tree.statements().next().expect("a statement");
    crate::model::expr::ty(&mut Cursor::new(&statement.items[2..], statement.span), &mut d).value
}

fn name(text: &str) -> Name {
    Name { text: text.into(), span: Span::default() }
}

fn globals() -> Globals {
    let mut g = Globals::default();
    let mut d = Diagnostics::default();
    g.add_let(&name("free-tier"), expression("100/min", &mut d));
    g.add_let(&name("slow"), expression("2s + 500ms", &mut d));
    g.add_let(&name("regions"), expression("[\"eu\", \"us\"]", &mut d));
    g.add_let(&name("ring-a"), expression("ring-b", &mut d));
    g.add_let(&name("ring-b"), expression("ring-a", &mut d));
    g.add_input("orders-url", Type::Url, None);
    g.add_input("edition", ty("\"small\" | \"large\""), Some(Value::Str("small".into())));
    g.add_input("key", Type::Secret, None);
    g.add_table("blocked", 0, ty("[cidr]"));
    g.add_table("tiers", 1, ty("{string: rate}"));
    g.add_name(NameKind::Upstream, "orders");
    g.add_name(NameKind::Upstream, "users");
    g.add_name(NameKind::Auth, "customer");
    g.add_name(NameKind::Auth, "partner");
    g.add_name(NameKind::Route, "shop.get-user");
    g
}

fn customer() -> Alternative {
    let claims =
        [("tier", "\"free\" | \"pro\""), ("org", "string?"), ("roles", "[string]"), ("age", "int"), ("extra", "json")];
    Alternative {
        auth: "customer".into(),
        claims: claims.iter().map(|(n, t)| ((*n).into(), ty(t))).collect(),
        scopes: true,
    }
}

fn partner() -> Alternative {
    Alternative { auth: "partner".into(), claims: vec![("tier".into(), Type::String)], scopes: false }
}

/// Checks `text` in a route with `id: int`, where `info` says who calls.
fn checked(text: &str, expected: Option<&Type>, info: Option<&CallerInfo>, phase: Phase) -> (Typed, Vec<Diagnostic>) {
    let mut d = Diagnostics::default();
    let e = expression(text, &mut d);
    let g = globals();
    let params = [("id".into(), Type::Int), ("day".into(), Type::Date)];
    let argument = Typed::constant(Value::Bool(true), Type::Bool, Span::default());
    let env = Env {
        params: &params,
        arguments: &[("strict".into(), argument)],
        caller: info.map_or(Caller::Unauthenticated, Caller::Known),
        phase,
        ..Env::constant(&g, "a `require`")
    };
    let typed = check(&e, expected, &env, &mut d);
    (typed, d.into_sorted())
}

fn known() -> CallerInfo {
    CallerInfo { optional: false, alternatives: vec![customer()], damaged: false }
}

#[test]
fn types() {
    for (text, wanted) in [
        ("method == GET", "bool"),
        ("method in [GET, HEAD]", "bool"),
        ("scheme == \"https\"", "bool"),
        ("header.x-beta == \"1\"", "bool"),
        ("header[\"odd.name\"] ?? \"\"", "string"),
        ("header.x-beta", "string?"),
        ("headers(\"x-tag\") has \"a\"", "bool"),
        ("query.page ?? \"1\"", "string"),
        ("client.ip in 10.0.0.0/8", "bool"),
        ("client.ip in [10.0.0.0/8, 192.0.2.1]", "bool"),
        ("client.ip not in blocked", "bool"),
        ("tiers[caller.id] ?? free-tier", "rate"),
        ("caller.id in tiers", "bool"),
        ("caller.id == text(id)", "bool"),
        ("\"admin\" in caller.roles", "bool"),
        ("caller.roles has any [\"a\", \"b\"]", "bool"),
        ("caller.scopes has all [\"a\"]", "bool"),
        ("caller.tier == \"pro\"", "bool"),
        ("caller.tier in [\"free\", \"pro\"]", "bool"),
        ("match caller.tier { \"free\": free-tier, \"pro\": 1_000/min }", "rate"),
        ("match caller.tier { \"free\": 1s, else: 2s }", "duration"),
        ("match method { GET: 1, else: 2 }", "int"),
        ("match true { true: 1, false: 2 }", "int"),
        ("match caller.org { \"a\": 1, null: 2, else: 3 }", "int"),
        ("caller.org ?? \"none\"", "string"),
        ("caller.org != null and caller.org starts-with \"a\"", "bool"),
        ("caller.org == null or caller.org ends-with \"a\"", "bool"),
        ("not (caller.org == null) and caller.org matches r\"^a\"", "bool"),
        ("caller.extra.a.b == 1", "bool"),
        ("caller.extra.list[0].x", "json"),
        ("\"x\" in caller.extra.roles", "bool"),
        ("caller.extra.n > 3", "bool"),
        ("caller.via == customer", "bool"),
        ("customer == caller.via", "bool"),
        ("caller.via in [customer, partner]", "bool"),
        (
            "caller",
            "{ id: string, via: auth, tier: \"free\" | \"pro\", org: string?, roles: [string], age: int, extra: json }",
        ),
        ("route.name == shop.get-user", "bool"),
        ("path matches r\"^/a{2}$\"", "bool"),
        ("id > 3 and id <= 10", "bool"),
        ("id + 1", "int"),
        ("1.5 + 1", "float"),
        ("slow + 1s", "duration"),
        ("slow", "duration"),
        ("request.time - 1h", "time"),
        ("day + 1d", "date"),
        ("\"{method} {path} {id} {client.ip}\"", "string"),
        ("/users/{id}", "string"),
        ("orders-url", "url"),
        ("edition == \"small\"", "bool"),
        ("strict and not strict", "bool"),
        ("\"Bearer {key}\"", "secret"),
        ("key", "secret"),
        ("{ a: id, b: [1, 2], c: null }", "{ a: int, b: [int], c: null }"),
        ("[\"a\", null]", "[string?]"),
        ("[http://a, \"b\"]", "[string]"),
        ("[1, 2][0]", "int?"),
        ("split(path, \"/\")[1] ?? \"\"", "string"),
        ("len(caller.roles) > 0", "bool"),
        ("json({ a: 1 })", "string"),
        ("pick(caller, \"id\")", "json"),
        ("hash(path)", "string"),
        ("uuid()", "uuid"),
        ("now()", "time"),
        ("format(request.time, \"%Y\")", "string"),
        ("regions has (header.x-region ?? \"\")", "bool"),
        ("id == 5", "bool"),
    ] {
        let (typed, d) = checked(text, None, Some(&known()), Phase::Caller);
        assert_eq!(d, [], "{text}");
        assert_eq!(typed.ty.to_string(), wanted, "{text}");
    }
}

#[test]
fn types_of_the_answer() {
    for (text, wanted) in [
        ("response.status >= 500", "bool"),
        ("response.status == 404", "bool"),
        ("response.status in [502, 503]", "bool"),
        ("match response.status { 404: 1, else: 2 }", "int"),
        ("upstream.name == orders", "bool"),
        ("upstream.time ?? 0s", "duration"),
        ("response.header.etag ?? \"\"", "string"),
    ] {
        let (typed, d) = checked(text, None, Some(&known()), Phase::Response);
        assert_eq!((d, typed.ty.to_string().as_str()), (vec![], wanted), "{text}");
    }
    for (text, wanted) in [
        ("error.kind == \"limited\"", "bool"),
        ("error.reason == \"expired\"", "bool"),
        ("match error.reason ?? \"none\" { \"missing\": 1, \"invalid\": 2, \"expired\": 3, \"none\": 4 }", "int"),
        ("caller.id", "string?"),
    ] {
        let (typed, d) = checked(text, None, Some(&known()), Phase::Error);
        assert_eq!((d, typed.ty.to_string().as_str()), (vec![], wanted), "{text}");
    }
}

#[test]
fn mistakes() {
    let bool = Type::Bool;
    for (text, code, message, help) in [
        ("metod == GET", "E0408", "nothing named `metod`", "did you mean `method`?"),
        ("method == get", "E0408", "nothing named `get`", "quotes"),
        ("idd == 1", "E0408", "nothing named `idd`", "did you mean `id`?"),
        ("free-teir == 1/s", "E0408", "free-teir", "did you mean `free-tier`?"),
        ("orders == \"x\"", "E0408", "orders", "the name of an upstream"),
        ("caller.via == custmer", "E0408", "no auth `custmer`", "did you mean `customer`?"),
        ("route.name == shop.get-usr", "E0408", "no route `shop.get-usr`", "did you mean `shop.get-user`?"),
        ("caller.via == \"customer\"", "E0404", "never equal", "without quotes: `customer`"),
        ("client.adress in 10.0.0.0/8", "E0409", "`client` has no `adress`", "`ip`"),
        ("client.ipp in 10.0.0.0/8", "E0409", "`client` has no `ipp`", "did you mean `client.ip`?"),
        ("header == \"1\"", "E0409", "`header` is no value by itself", "header.NAME"),
        ("path.x == \"1\"", "E0409", "a `string` has no fields", ""),
        ("caller.tire == \"pro\"", "E0409", "no claim `tire`", "did you mean `caller.tier`?"),
        ("caller.plan == \"pro\"", "E0409", "no claim `plan`", "claims { plan: string }"),
        ("blocked == null", "E0416", "the table `blocked` is no value", "x in blocked"),
        ("blocked[path] == null", "E0416", "which has no keys", "in blocked"),
        ("caller.tier == \"por\"", "E0406", "\"por\" is not one of \"free\", \"pro\"", "did you mean \"pro\"?"),
        ("caller.tier in [\"free\", \"gold\"]", "E0406", "\"gold\" is not one of", ""),
        ("scheme == \"htps\"", "E0406", "\"htps\"", "did you mean \"https\"?"),
        ("id == \"5\"", "E0404", "`int` and a `string` are never equal", "text(id)"),
        ("path == 5", "E0404", "never equal", "text stands in quotes: \"5\""),
        ("client.ip == \"10.0.0.1\"", "E0404", "never equal", "text(client.ip)"),
        ("caller.roles == \"admin\"", "E0404", "never equal", "caller.roles has \"admin\""),
        ("path", "E0404", "a condition must be a `bool`", "path == \"…\""),
        ("header.x-a", "E0404", "a condition must be a `bool`", "header.x-a != null"),
        ("caller.extra.ok", "E0404", "a condition must be a `bool`", "caller.extra.ok == true"),
        ("id and true", "E0404", "a condition must be a `bool`", "id > 0"),
        ("not path", "E0404", "a condition must be a `bool`", ""),
        ("header.x-a starts-with \"b\"", "E0405", "may be absent", "header.x-a ?? \"\""),
        ("caller.org matches r\"a\"", "E0405", "may be absent", "caller.org != null and"),
        ("\"{query.page}\" == \"1\"", "E0405", "may be absent", "query.page ?? \"\""),
        ("lower(header.x-a) == \"b\"", "E0405", "may be absent", ""),
        ("[1][0] > 1", "E0405", "may be absent", "…"),
        ("caller.org != null or caller.org starts-with \"a\"", "E0405", "may be absent", ""),
        ("path < 5", "E0416", "no order", ""),
        ("method < GET", "E0416", "no order", "numbers"),
        ("slow < 5", "E0416", "no order", ""),
        ("\"a\" in path", "E0416", "never in a `string`", "path matches"),
        ("path in blocked", "E0416", "never in a `[cidr]`", ""),
        ("id in [\"1\"]", "E0416", "never in a `[string]`", "text(id)"),
        ("caller.roles has any \"a\"", "E0416", "`has any` takes a list", "has any [\"a\"]"),
        ("\"a\" + path == \"ab\"", "E0416", "cannot be added", "\"a{path}\""),
        ("1s + 1 == 2s", "E0416", "cannot be added", "numbers, sizes"),
        ("1s - 2s == 0s", "E0417", "no value", ""),
        ("9_223_372_036_854_775_807 + 1 == 0", "E0417", "no value", ""),
        ("path matches r\"^/(a|b\"", "E0413", "unclosed group", ""),
        ("path matches \"(?=a)\"", "E0413", "look-around", "linear time"),
        ("path matches header.x ?? \"\"", "E0419", "must be constant", "r\"…\""),
        ("match caller.tier { \"free\": true }", "E0407", "nothing for \"pro\"", "add `\"pro\": …`"),
        ("match caller.tier { \"free\": true, \"gold\": false }", "E0406", "\"gold\"", ""),
        ("match caller.tier { \"free\": true, \"free\": true, \"pro\": true }", "E0407", "there twice", ""),
        ("match path { \"a\": true }", "E0407", "needs an `else`", "`else: …`"),
        ("match true { true: true }", "E0407", "nothing for false", ""),
        ("match path { 1: true, else: false }", "E0404", "never chosen", ""),
        ("match path { method: true, else: false }", "E0407", "begins with a constant", ""),
        ("len(match path { \"a\": 1s, else: \"x\" }) > 1", "E0404", "arms of a `match` have one type", ""),
        ("lowercase(path) == \"a\"", "E0415", "no function `lowercase`", "did you mean `lower`?"),
        ("path.lower() == \"a\"", "E0415", "no function `path.lower`", "`lower(path)`"),
        ("lower(path, path) == \"a\"", "E0415", "takes 1 argument, not 2", "lower(text) -> string"),
        ("lower(5) == \"a\"", "E0404", "a `string` must stand here", "text(5)"),
        ("len(5) == 1", "E0404", "`len` does not take an `int`", ""),
        ("text(caller.roles) == \"a\"", "E0404", "no text to stand", "join(caller.roles"),
        ("format(now(), \"%!\") == \"a\"", "E0415", "not a pattern", ""),
        ("len([1, \"a\"]) == 2", "E0404", "elements of a list have one type", ""),
        (
            "response.status == 200",
            "E0410",
            "`response.status` is not known yet in a `require`",
            "after the caller is authenticated",
        ),
        ("error.kind == \"limited\"", "E0410", "not known yet", ""),
        ("ring-a == 1", "E0411", "constants need one another: `ring-a` → `ring-b` → `ring-a`", ""),
        ("none == 1", "E0408", "nothing named `none`", "`null`"),
    ] {
        let (typed, d) = checked(text, Some(&bool), Some(&known()), Phase::Caller);
        assert_eq!(d.iter().map(|d| d.code.name()).collect::<Vec<_>>(), [code], "{text}: {d:?}");
        let found = d.first().unwrap();
        assert!(found.message.contains(message), "{text}: {}", found.message);
        assert!(found.help.as_deref().unwrap_or_default().contains(help), "{text}: {:?}", found.help);
        assert!(typed.is_error() || code == "E0411", "{text}");
    }
}

#[test]
fn every_mistake_once() {
    let (_, d) = checked(
        "metod == GET and caller.tier == \"x\" or pathh starts-with \"a\"",
        None,
        Some(&known()),
        Phase::Caller,
    );
    assert_eq!(d.len(), 3, "{d:?}");
}

#[test]
fn expected_types() {
    for (text, want, code, help) in [
        ("\"5s\"", "duration", "E0404", "without quotes: `5s`"),
        ("5", "duration", "E0404", "`5s`"),
        ("5", "size", "E0404", "`5KiB`"),
        ("5", "rate", "E0404", "`5/s`"),
        ("5", "percent", "E0404", "`5%`"),
        ("99", "status", "E0404", ""),
        ("\"x\"", "url", "E0404", "http://"),
        ("id", "string", "E0404", "text(id)"),
        ("caller.roles", "string", "E0404", "join(caller.roles"),
        ("caller.extra.x", "string", "E0404", "text(caller.extra.x)"),
        ("caller.org", "string", "E0405", "??"),
        ("\"gold\"", "\"free\" | \"pro\"", "E0406", ""),
        ("key", "string", "E0412", "nowhere else"),
    ] {
        let (_, d) = checked(text, Some(&ty(want)), Some(&known()), Phase::Caller);
        assert_eq!(d.iter().map(|d| d.code.name()).collect::<Vec<_>>(), [code], "{text}: {d:?}");
        assert!(d.first().unwrap().help.as_deref().unwrap_or_default().contains(help), "{text}: {d:?}");
    }
    for (text, want) in [
        ("404", "status"),
        ("5", "float"),
        ("\"free\"", "\"free\" | \"pro\""),
        ("[10.0.0.1]", "[cidr]"),
        ("null", "string?"),
        ("\"a\"", "string?"),
        ("http://a", "string"),
        ("header.x-a ?? \"s\"", "secret"),
        ("{ a: 1/s }", "{string: rate}"),
        ("[]", "[int]"),
        ("{ a: [1, \"b\", null], c: caller.org }", "json"),
        ("edition", "string"),
    ] {
        let (typed, d) = checked(text, Some(&ty(want)), Some(&known()), Phase::Caller);
        assert_eq!((d.as_slice(), typed.is_error()), (&[][..], false), "{text}");
    }
    let (typed, d) = checked("\"s\"", Some(&Type::Secret), None, Phase::Request);
    assert_eq!(d.iter().map(|d| d.code.name()).collect::<Vec<_>>(), ["W0412"]);
    assert!(matches!(typed.constant, Some(Value::Secret(_))), "{typed:?}");
}

#[test]
fn alternatives() {
    let both = CallerInfo { optional: false, alternatives: vec![customer(), partner()], damaged: false };
    for (text, code, message) in [
        ("caller.org == \"a\"", "E0418", "`auth partner` has no claim `org`"),
        ("caller.tier == \"pro\"", "E0418", "is `\"free\" | \"pro\"` by `customer` and `string` by `partner`"),
        ("caller.scopes has \"a\"", "E0418", "callers by `partner` have no scopes"),
    ] {
        let (_, d) = checked(text, None, Some(&both), Phase::Caller);
        assert_eq!(d.iter().map(|d| d.code.name()).collect::<Vec<_>>(), [code], "{text}");
        assert!(d[0].message.contains(message), "{}", d[0].message);
    }
    let (_, d) = checked("caller.id == \"a\"", None, None, Phase::Caller);
    assert_eq!(d[0].code, Code::E0420);
    let (_, d) = checked("caller.id == \"a\"", None, Some(&both), Phase::Request);
    assert_eq!(d[0].code, Code::E0410);
}

#[test]
fn optional_callers() {
    let optional = CallerInfo { optional: true, alternatives: vec![customer()], damaged: false };
    for (text, wanted) in [
        ("caller != null", "bool"),
        ("caller.id", "string?"),
        ("caller.id ?? \"anonymous\"", "string"),
        ("caller.tier == \"pro\"", "bool"),
        ("caller != null and caller.id starts-with \"a\"", "bool"),
        ("caller == null or \"x\" in caller.roles", "bool"),
        ("match caller.tier ?? \"none\" { \"free\": 1, \"pro\": 2, \"none\": 3 }", "int"),
    ] {
        let (typed, d) = checked(text, None, Some(&optional), Phase::Caller);
        assert_eq!((d.as_slice(), typed.ty.to_string().as_str()), (&[][..], wanted), "{text}");
    }
    let (_, d) = checked("\"admin\" in caller.roles", None, Some(&optional), Phase::Caller);
    assert_eq!(d[0].code, Code::E0405);
}

#[test]
fn what_is_constant_and_what_is_read() {
    let reads = |text: &str| checked(text, None, Some(&known()), Phase::Record).0;
    assert!(matches!(reads("slow + 1s").constant, Some(Value::Duration(t)) if t.as_millis() == 3500));
    assert!(matches!(reads("edition == \"small\"").constant, Some(Value::Bool(true))));
    assert!(matches!(reads("lower(\"AB\")").constant, Some(Value::Str(t)) if t == "ab"));
    for (text, wanted, phase) in [
        ("client.ip in blocked", Reads::CLIENT | Reads::TABLE, Phase::Client),
        ("client.ip in 10.0.0.0/8", Reads::CLIENT, Phase::Client),
        ("10.0.0.1 in blocked", Reads::TABLE, Phase::Client),
        ("tiers[\"a\"]", Reads::TABLE, Phase::Client),
        ("path == text(id)", Reads::HEAD | Reads::PARAM, Phase::Request),
        ("caller.id == path", Reads::HEAD | Reads::CALLER, Phase::Caller),
        ("now()", Reads::VOLATILE, Phase::Constant),
        ("orders-url", Reads::INPUT, Phase::Constant),
        ("body.a == 1 and response.status == 200", Reads::BODY | Reads::RESPONSE, Phase::Response),
    ] {
        let typed = reads(text);
        assert_eq!((typed.reads, typed.phase, typed.constant.is_none()), (wanted, phase, true), "{text}");
    }
    assert!(reads("\"x {key}\"").secret);
    assert!(reads("base64(key)").secret);
    assert!(!reads("key == header.x").secret);
}

#[test]
fn constants_only() {
    let mut d = Diagnostics::default();
    assert!(constant(&checked("path", None, None, Phase::Request).0, "a timeout", &mut d).is_none());
    assert!(constant(&checked("orders-url", None, None, Phase::Request).0, "a URL", &mut d).is_none());
    assert!(constant(&checked("slow", None, None, Phase::Request).0, "a timeout", &mut d).is_some());
    forbid_secret(&checked("\"a {key}\"", None, None, Phase::Request).0, "a log", &mut d);
    assert_eq!(d.into_sorted().iter().map(|d| d.code).collect::<Vec<_>>(), [Code::E0419, Code::E0412]);
}

#[test]
fn lets_are_constants() {
    for (text, code) in
        [("header.x", Code::E0410), ("now()", Code::E0419), ("1s - 2s", Code::E0417), ("id", Code::E0408)]
    {
        let mut d = Diagnostics::default();
        let mut g = Globals::default();
        let value = expression(text, &mut d);
        g.add_let(&name("x"), value);
        g.check_lets(&mut d);
        g.check_lets(&mut d);
        assert_eq!(d.into_sorted().iter().map(|d| d.code).collect::<Vec<_>>(), [code], "{text}");
    }
}

#[test]
fn a_mistake_in_a_pattern_is_shown_where_it_stands() {
    for (text, start) in [("path matches r\"^/(a|b\"", 17), ("path matches r#\"a[\"#", 17), ("path matches \"a(\"", 15)]
    {
        let (_, d) = checked(text, None, None, Phase::Request);
        assert_eq!((d[0].span.start, d[0].span.end), (start, start + 1), "{text}");
    }
}

#[test]
fn keys() {
    let parts = |text: &str, skip: bool, info: Option<&CallerInfo>| {
        let mut d = Diagnostics::default();
        let tree = crate::syntax::parse(FileId(0), text, &mut d);
        let statement = tree.statements().next().unwrap();
        let key = crate::model::expr::key(&mut Cursor::new(&statement.items, statement.span), &mut d);
        let g = globals();
        let env = Env {
            caller: info.map_or(Caller::Unauthenticated, Caller::Known),
            phase: Phase::Caller,
            ..Env::constant(&g, "a key")
        };
        let typed = check_key(&key, skip, &env, &mut d);
        (typed, d.into_sorted())
    };
    let known = known();
    let (typed, d) = parts("caller, client.ip", false, Some(&known));
    assert!(matches!(typed[0].ir, Ir::Fact(Fact::CallerKey)) && d.is_empty() && typed.len() == 2);
    assert_eq!(parts("caller.org ?? client.ip", false, Some(&known)).1, []);
    assert_eq!(parts("caller.org", false, Some(&known)).1[0].code, Code::E0405);
    assert_eq!(parts("caller.org", true, Some(&known)).1, []);
    assert_eq!(parts("caller.roles", true, Some(&known)).1[0].code, Code::E0404);
}

#[test]
fn invariants() {
    let mut d = Diagnostics::default();
    let g = globals();
    let env = Env { invariant: true, ..Env::constant(&g, "an invariant") };
    for text in [
        "route.methods has any [POST, PUT]",
        "route.auth != none",
        "route.auth == null or route.auth has customer",
        "route.upstreams has orders",
        "route.name == shop.get-user",
        "(route.timeout ?? 1h) <= 30s",
        "len(route.limits) > 0",
        "route.path starts-with \"/admin\"",
    ] {
        let e = expression(text, &mut d);
        let typed = check(&e, Some(&Type::Bool), &env, &mut d);
        assert!(!typed.is_error() && typed.reads == Reads::ROUTE, "{text}");
    }
    let e = expression("route.mehtods has GET", &mut d);
    check(&e, None, &env, &mut d);
    let d = d.into_sorted();
    assert_eq!((d.len(), d[0].help.as_deref()), (1, Some("did you mean `route.methods`?")));
}

#[test]
fn guards_around_a_statement() {
    let mut d = Diagnostics::default();
    let g = globals();
    let known = known();
    let guard = expression("caller.org != null and path == \"/\"", &mut d);
    let names = settled(&guard);
    let env =
        Env { caller: Caller::Known(&known), phase: Phase::Caller, settled: &names, ..Env::constant(&g, "a tag") };
    let e = expression("\"org {caller.org}\"", &mut d);
    assert_eq!(check(&e, Some(&Type::String), &env, &mut d).ty, Type::String);
    assert_eq!(d.into_sorted(), []);
}

#[test]
fn the_examples_of_the_tables() {
    let all = CallerInfo { optional: false, alternatives: vec![customer()], damaged: false };
    for row in crate::model::facts::FACTS {
        let (typed, d) = checked(row.example, None, Some(&all), row.phase);
        let wanted: &[Code] = if row.supported { &[] } else { &[Code::E0901] };
        assert_eq!(d.iter().map(|d| d.code).collect::<Vec<_>>(), wanted, "{}", row.example);
        assert_eq!(typed.is_error(), !row.supported, "{}", row.example);
    }
    for row in crate::model::functions::FUNCTIONS {
        let (typed, d) = checked(row.example, None, Some(&all), Phase::Record);
        assert!(!typed.is_error(), "{}: {d:?}", row.example);
        let found = typed.constant.as_ref().and_then(|v| v.text().map(std::borrow::Cow::into_owned));
        assert_eq!(found.unwrap_or_default(), row.result, "{}", row.example);
    }
}
