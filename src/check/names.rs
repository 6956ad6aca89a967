//! The names of a program: each declared once, and what expressions can see of them.

use super::expr::{self, Env, Globals};
use super::inputs::{self, Inputs};
use crate::diagnostic::{Code, Diagnostic, Diagnostics};
use crate::model::ast::{Member, Name, Program, Scope, ScopeKind};
use crate::model::types::Type;
use crate::model::value::{NameKind, Secret, Value};
use crate::source::Span;
use smol_str::SmolStr;
use std::collections::HashMap;

/// Checks that every name is declared once and collects what expressions can see.
pub(super) fn globals(program: &Program, inputs: &Inputs, d: &mut Diagnostics) -> Globals {
    let words = program.inputs.iter().map(|i| &i.name).chain(program.lets.iter().map(|l| &l.name));
    unique("a value", words.chain(program.tables.iter().map(|t| &t.name)), d);
    unique("an upstream", program.upstreams.iter().filter_map(|u| u.name.as_ref()), d);
    unique("an auth", program.auths.iter().map(|a| &a.name), d);
    unique("a policy", program.policies.iter().map(|p| &p.name), d);
    unique("a listener", program.listeners.iter().filter_map(|l| l.name.as_ref()), d);
    let mut apis = Vec::new();
    let mut routes = Vec::new();
    scope_names(&program.root, None, &mut apis, &mut routes);
    unique("an api", apis.iter().copied(), d);
    let mut local: HashMap<(Option<&str>, &str), Span> = HashMap::new();
    let mut route_names = Vec::new();
    for (api, name) in routes {
        if let Some(first) = local.insert((api, &name.text), name.span) {
            twice("a route", name, first, d);
        }
        route_names.push(api.map_or_else(|| name.text.clone(), |a| SmolStr::new(format!("{a}.{}", name.text))));
    }
    if let [first, second, ..] = program.trust.as_slice() {
        d.push(
            Diagnostic::new(Code::E0301, second.span, "`trust proxies` is declared twice")
                .label("declared again here")
                .also(first.span, "first declared here")
                .help("list all networks in one `trust proxies` statement"),
        );
    }
    if let [first, second, ..] = program.upstream_defaults.as_slice() {
        d.push(
            Diagnostic::new(Code::E0301, second.span, "`upstream *` is declared twice")
                .label("declared again here")
                .also(first.span, "first declared here")
                .help("keep all defaults in one `upstream *` block"),
        );
    }
    let mut globals = Globals::default();
    for l in &program.lets {
        globals.add_let(&l.name, l.value.clone());
    }
    for (i, t) in program.tables.iter().enumerate() {
        globals.add_table(&t.name.text, i as u32, t.ty.value.clone());
    }
    for name in program.upstreams.iter().filter_map(|u| u.name.as_ref()) {
        globals.add_name(NameKind::Upstream, &name.text);
    }
    for auth in &program.auths {
        globals.add_name(NameKind::Auth, &auth.name.text);
    }
    for name in &route_names {
        globals.add_name(NameKind::Route, name);
    }
    for input in &program.inputs {
        let bound = match inputs.get(&input.name.text) {
            Some(given) => match inputs::parse(given, &input.ty.value) {
                Ok(v) => Some(v),
                Err(why) => {
                    d.push(
                        Diagnostic::new(
                            Code::E0231,
                            input.name.span,
                            format!("input `{}` has a wrong value: {why}", input.name.text),
                        )
                        .label(format!("must be {}", article(&input.ty.value))),
                    );
                    None
                }
            },
            None => None,
        };
        if bound.is_none() && inputs.get(&input.name.text).is_none() && input.default.is_none() && inputs.complete {
            d.push(
                Diagnostic::new(Code::E0232, input.name.span, format!("input `{}` has no value", input.name.text))
                    .label("has no default")
                    .help(format!(
                        "set the environment variable {}, or `{} = …` in the file given with --inputs",
                        inputs::variable(&input.name.text),
                        input.name.text
                    )),
            );
        }
        let default = input.default.as_ref().and_then(|e| {
            let place = format!("the default of `{}`", input.name.text);
            let typed = expr::check(e, Some(&input.ty.value), &Env::constant(&globals, &place), d);
            expr::constant(&typed, &place, d).cloned()
        });
        globals.add_input(&input.name.text, input.ty.value.clone(), bound.or(default));
    }
    for (name, given) in inputs.iter() {
        if !program.inputs.iter().any(|i| i.name.text == *name) && !given.from.starts_with("GW_") {
            let near = crate::diagnostic::nearest(name, program.inputs.iter().map(|i| i.name.text.as_str()));
            let at = program.inputs.first().map_or(Span::default(), |i| i.name.span);
            d.push(
                Diagnostic::new(Code::E0233, at, format!("{} gives `{name}`, and no input is called so", given.from))
                    .label("the inputs of this program are declared here")
                    .maybe_help(near.map(|n| format!("there is one called `{n}`"))),
            );
        }
    }
    globals.check_lets(d);
    globals
}

fn scope_names<'p>(
    scope: &'p Scope,
    api: Option<&'p str>,
    apis: &mut Vec<&'p Name>,
    routes: &mut Vec<(Option<&'p str>, &'p Name)>,
) {
    let api = match (&scope.kind, &scope.name) {
        (ScopeKind::Api, Some(name)) => {
            apis.push(name);
            Some(name.text.as_str())
        }
        _ => api,
    };
    for m in &scope.members {
        match m {
            Member::Route(r) => routes.extend(r.name.as_ref().map(|n| (api, n))),
            Member::Scope(s) => scope_names(s, api, apis, routes),
        }
    }
}

fn unique<'p>(what: &str, names: impl Iterator<Item = &'p Name>, d: &mut Diagnostics) {
    let mut seen: HashMap<&str, Span> = HashMap::new();
    for name in names {
        if let Some(&first) = seen.get(name.text.as_str()) {
            twice(what, name, first, d);
        } else {
            seen.insert(&name.text, name.span);
        }
    }
}

fn twice(what: &str, name: &Name, first: Span, d: &mut Diagnostics) {
    d.push(
        Diagnostic::new(Code::E0301, name.span, format!("{what} called `{}` is declared twice", name.text))
            .label("declared again here")
            .also(first, "first declared here")
            .help("rename one of them, or remove it"),
    );
}

/// `a duration`, `an int`.
pub(super) fn article(ty: &Type) -> String {
    let name = ty.to_string();
    let an = name.starts_with(['a', 'e', 'i', 'o']);
    format!("{} `{name}`", if an { "an" } else { "a" })
}

/// A value for an input that has none, so that checking and explaining need none; not for every type.
pub(super) fn placeholder(name: &str, ty: &Type) -> Option<Value<'static>> {
    use std::time::Duration;
    Some(match ty {
        Type::Bool => Value::Bool(false),
        Type::Int => Value::Int(1),
        Type::Float => Value::Float(1.0),
        Type::Url => Value::Str(format!("http://{name}.input.invalid").into()),
        Type::Duration => Value::Duration(Duration::from_secs(1)),
        Type::Size => Value::Size(1024),
        Type::Percent => Value::Percent(50.0),
        Type::Status => Value::Status(200),
        Type::Address => Value::Address(std::net::SocketAddr::from(([127, 0, 0, 1], 0))),
        Type::Ip => Value::Ip(std::net::IpAddr::from([192, 0, 2, 1])),
        Type::String => Value::Str(format!("<{name}>").into()),
        Type::Secret => Value::Secret(Secret::new(&format!("<{name}>"))),
        _ => return None,
    })
}
