//! Names: parameters, arguments, constants, inputs, tables, facts, and what stands behind a dot.

use super::env::{Caller, CallerInfo};
use super::{Checker, Typed, fit, shown};
use crate::diagnostic::{Code, Diagnostic, nearest};
use crate::model::ast::{Expr, ExprKind, Name};
use crate::model::facts::{FACTS, Fact, FactRow, Make, Phase, ROUTE_FACTS, Reads};
use crate::model::functions::FunctionRow;
use crate::model::ir::Ir;
use crate::model::types::Type;
use crate::model::value::{NameKind, Value};
use crate::source::Span;
use http::HeaderName;
use smol_str::SmolStr;

/// Facts that have fields and are none themselves.
const NAMESPACES: [&str; 9] =
    ["client", "request", "query", "header", "cookie", "route", "upstream", "response", "error"];

impl Checker<'_> {
    /// `a`, `a.b`, `a[b]`.
    pub(super) fn named(&mut self, e: &Expr, expected: Option<&Type>) -> Typed {
        if let Some(found) = expected.and_then(name_kind).and_then(|kind| self.name_of(e, kind)) {
            return found;
        }
        if let Some(typed) = self.caller_fact(e).or_else(|| self.table_fact(e)) {
            return typed;
        }
        match &e.kind {
            ExprKind::Field(of, name) => {
                if let Some(typed) = self.not_a_fact(of, name) {
                    return typed;
                }
                let base = self.infer(of, None);
                self.field(base, of, name, e.span)
            }
            ExprKind::Index(of, at) => self.index(of, at, e.span),
            ExprKind::Name(name) => self.bare(name, e.span),
            _ => Typed::error(e.span),
        }
    }

    /// A name without dots that is no fact.
    fn bare(&mut self, name: &SmolStr, span: Span) -> Typed {
        let env = self.env;
        if let Some(slot) = env.params.iter().position(|(n, _)| n == name) {
            let ty = env.params.get(slot).map_or(Type::Error, |(_, t)| t.clone());
            if env.phase < Phase::Request {
                return self.too_early(name, Phase::Request, span);
            }
            let slot = u16::try_from(slot).unwrap_or(u16::MAX);
            return Typed {
                ir: Ir::Param(slot),
                ty,
                reads: Reads::PARAM,
                phase: Phase::Request,
                constant: None,
                secret: false,
                span,
            };
        }
        if let Some((_, argument)) = env.arguments.iter().find(|(n, _)| n == name) {
            return Typed { span, ..argument.clone() };
        }
        if env.invariant && name == "none" {
            return Typed::constant(Value::Null, Type::Null, span);
        }
        if let Some(typed) = env.globals.constant(name, span, self.d).or_else(|| env.globals.input(name, span)) {
            return typed;
        }
        if env.globals.table(name).is_some() {
            return self.report(
                Diagnostic::new(Code::E0416, span, format!("the table `{name}` is no value")).help(format!(
                    "ask it with `x in {name}`, or take from a `{{string: T}}` table with `{name}[key]`"
                )),
            );
        }
        if NAMESPACES.contains(&name.as_str()) || name == "caller" {
            return self.namespace(name, span);
        }
        self.unknown(name, span)
    }

    /// Nothing that the program declares has this name, so it means the fact.
    fn means_fact(&self, root: &str) -> bool {
        let env = self.env;
        !env.params.iter().any(|(n, _)| n == root)
            && !env.arguments.iter().any(|(n, _)| n == root)
            && !env.globals.declares(root)
    }

    /// `header.x` of an expression whose root is a fact's.
    fn fact_path(&self, e: &Expr) -> Option<String> {
        match &e.kind {
            ExprKind::Name(name) => self.means_fact(name).then(|| name.to_string()),
            ExprKind::Field(of, name) => Some(format!("{}.{}", self.fact_path(of)?, name.text)),
            _ => None,
        }
    }

    /// A fact of the table.
    fn table_fact(&mut self, e: &Expr) -> Option<Typed> {
        let (row, name) = match &e.kind {
            ExprKind::Name(_) => (self.row(&self.fact_path(e)?)?, None),
            ExprKind::Field(of, name) => {
                let of = self.fact_path(of)?;
                match self.row(&format!("{of}.{}", name.text)) {
                    Some(row) => (row, None),
                    None => (self.row(&format!("{of}."))?, Some(name.text.clone())),
                }
            }
            ExprKind::Index(of, at) => match &at.kind {
                ExprKind::Literal(Value::Str(key)) => {
                    (self.row(&format!("{}.", self.fact_path(of)?))?, Some(SmolStr::new(key)))
                }
                _ => return None,
            },
            _ => return None,
        };
        Some(self.fact(row, name, e.span))
    }

    fn row(&self, name: &str) -> Option<&'static FactRow> {
        let route = self.env.invariant.then(|| ROUTE_FACTS.iter().find(|r| r.name == name)).flatten();
        route.or_else(|| FACTS.iter().find(|r| r.name == name && (!self.env.invariant || !name.starts_with("route."))))
    }

    /// A fact of a row, with its name where the row has none.
    fn fact(&mut self, row: &FactRow, name: Option<SmolStr>, span: Span) -> Typed {
        let shown = match &name {
            Some(name) => format!("{}{name}", row.name),
            None => row.name.to_owned(),
        };
        if row.phase > self.env.phase {
            return self.too_early(&shown, row.phase, span);
        }
        if !row.supported {
            return self.report(
                Diagnostic::new(Code::E0901, span, format!("`{shown}` is not supported yet"))
                    .label("not supported yet"),
            );
        }
        let fact = match (row.make, name) {
            (Make::Plain(make), _) => make(),
            (Make::Named(make), Some(name)) => make(name),
            (Make::Field(make), Some(name)) => match HeaderName::from_bytes(name.as_bytes()) {
                Ok(name) => make(name),
                Err(_) => {
                    return self.report(Diagnostic::new(
                        Code::E0409,
                        span,
                        format!("\"{name}\" cannot be the name of a header"),
                    ));
                }
            },
            (_, None) => return Typed::error(span),
        };
        let ty = self.known_here(row, (row.ty)());
        Typed { ir: Ir::Fact(fact), ty, reads: row.reads, phase: row.phase, constant: None, secret: false, span }
    }

    /// What a later phase may have missed is optional there: a refused request has no upstream.
    fn known_here(&self, row: &FactRow, ty: Type) -> Type {
        let phase = self.env.phase;
        let may_be_absent = row.name.starts_with("upstream.") && phase > Phase::Upstream
            || row.name.starts_with("response.") && phase == Phase::Error
            || row.name.starts_with("error.") && phase > Phase::Error;
        if may_be_absent { ty.optional() } else { ty }
    }

    /// A fact before its time.
    pub(super) fn too_early(&mut self, name: &str, known: Phase, span: Span) -> Typed {
        let place = self.env.place;
        let help = match self.env.phase {
            Phase::Constant => {
                "constants are worked out before anything is served: name the fact where it is used".to_owned()
            }
            now => format!("{place} is evaluated {}", now.when()),
        };
        self.report(
            Diagnostic::new(Code::E0410, span, format!("`{name}` is not known yet in {place}"))
                .label(format!("known {}", known.when()))
                .help(help),
        )
    }

    /// `caller` and what it has.
    fn caller_fact(&mut self, e: &Expr) -> Option<Typed> {
        let claim = match &e.kind {
            ExprKind::Name(name) if name == "caller" && self.means_fact("caller") => None,
            ExprKind::Field(of, name) if self.is_caller(of) => Some((name.text.clone(), name.span)),
            ExprKind::Index(of, at) if self.is_caller(of) => match &at.kind {
                ExprKind::Literal(Value::Str(key)) => Some((SmolStr::new(key), at.span)),
                _ => return None,
            },
            _ => return None,
        };
        let shown = claim.as_ref().map_or_else(|| "caller".to_owned(), |(name, _)| format!("caller.{name}"));
        if self.env.phase < Phase::Caller {
            return Some(self.too_early(&shown, Phase::Caller, e.span));
        }
        let Caller::Known(info) = self.env.caller else {
            return Some(self.report(
                Diagnostic::new(Code::E0420, e.span, format!("`{shown}` is not known: no `auth` holds here"))
                    .help("add `auth NAME` to the route or around it, or `auth optional NAME` for callers that may be anonymous"),
            ));
        };
        // A request may have failed before its caller was known.
        let optional = info.optional || self.env.phase >= Phase::Error;
        let known = !optional || self.settled.iter().any(|s| s == "caller");
        let (ir, ty) = match claim {
            None => (Ir::Fact(Fact::Caller), caller_type(info)),
            Some((name, span)) => match self.claim(info, &name, span) {
                Ok((fact, ty)) => (Ir::Fact(fact), ty),
                Err(_) if info.damaged => return Some(Typed::error(e.span)),
                Err(mistake) => return Some(self.report(mistake)),
            },
        };
        let ty = if known { ty } else { ty.optional() };
        let secret = super::env::is_secret(&ty);
        Some(Typed { ir, ty, reads: Reads::CALLER, phase: Phase::Caller, constant: None, secret, span: e.span })
    }

    fn is_caller(&self, e: &Expr) -> bool {
        matches!(&e.kind, ExprKind::Name(name) if name == "caller") && self.means_fact("caller")
    }

    /// The fact and type of `caller.NAME`.
    fn claim(&self, info: &CallerInfo, name: &SmolStr, span: Span) -> Result<(Fact, Type), Box<Diagnostic>> {
        let row = FACTS.iter().find(|r| r.name.strip_prefix("caller.") == Some(name));
        match (name.as_str(), row) {
            ("scopes", Some(row)) => {
                if let Some(without) = info.alternatives.iter().find(|a| !a.scopes) {
                    return Err(Diagnostic::new(
                        Code::E0418,
                        span,
                        format!("callers by `{}` have no scopes", without.auth),
                    )
                    .help("scopes come with tokens: ask for them where only such an `auth` holds"));
                }
                return Ok((Fact::CallerScopes, (row.ty)()));
            }
            (_, Some(FactRow { make: Make::Plain(make), ty, .. })) => return Ok((make(), ty())),
            _ => {}
        }
        let declared = |a: &super::Alternative| a.claims.iter().find(|(n, _)| n == name).map(|(_, t)| t.clone());
        let mut first: Option<(&SmolStr, Type)> = None;
        let mut lacking = Vec::new();
        for alternative in &info.alternatives {
            match (declared(alternative), &first) {
                (None, _) => lacking.push(&alternative.auth),
                (Some(ty), None) => first = Some((&alternative.auth, ty)),
                (Some(ty), Some((auth, before))) if ty != *before => {
                    let message =
                        format!("`caller.{name}` is `{before}` by `{auth}` and `{ty}` by `{}`", alternative.auth);
                    return Err(Diagnostic::new(Code::E0418, span, message).help("declare it with one type in both"));
                }
                _ => {}
            }
        }
        match (first, lacking.as_slice()) {
            (Some((_, ty)), []) => Ok((Fact::Claim(name.clone()), ty)),
            (Some((auth, ty)), [lacking, ..]) => {
                Err(Diagnostic::new(Code::E0418, span, format!("`auth {lacking}` has no claim `{name}`"))
                    .label(format!("only `{auth}` declares it"))
                    .help(format!(
                        "declare `{name}: {ty}` in the claims of `{lacking}`, or ask for it where only `{auth}` holds"
                    )))
            }
            (None, _) => {
                let known = info
                    .alternatives
                    .iter()
                    .flat_map(|a| a.claims.iter().map(|(n, _)| n.as_str()))
                    .chain(["id", "via", "scopes"]);
                let auths: Vec<String> = info.alternatives.iter().map(|a| format!("`{}`", a.auth)).collect();
                let help = match nearest(name, known) {
                    Some(near) => format!("did you mean `caller.{near}`?"),
                    None => format!("declare it: `claims {{ {name}: string }}`"),
                };
                Err(Diagnostic::new(
                    Code::E0409,
                    span,
                    format!("no claim `{name}` is declared by {}", auths.join(" or ")),
                )
                .help(help))
            }
        }
    }

    /// `client.adress`: a namespace without this fact. None where `of` is a value.
    fn not_a_fact(&mut self, of: &Expr, name: &Name) -> Option<Typed> {
        let path = self.fact_path(of)?;
        let prefix = format!("{path}.");
        let rows: Vec<&str> = match self.env.invariant && path == "route" {
            true => ROUTE_FACTS.iter().filter_map(|r| r.name.strip_prefix(&prefix)).collect(),
            false => FACTS.iter().filter_map(|r| r.name.strip_prefix(&prefix)).collect(),
        };
        if self.row(&path).is_some() || rows.is_empty() {
            return None;
        }
        let fields: Vec<&str> = rows.iter().map(|r| r.trim_end_matches('.')).collect();
        let help = match nearest(&name.text, fields.iter().copied()) {
            Some(near) => format!("did you mean `{path}.{near}`?"),
            None => format!("`{path}` has {}", fields.iter().map(|f| format!("`{f}`")).collect::<Vec<_>>().join(", ")),
        };
        Some(
            self.report(Diagnostic::new(Code::E0409, name.span, format!("`{path}` has no `{}`", name.text)).help(help)),
        )
    }

    /// `header` alone.
    fn namespace(&mut self, name: &str, span: Span) -> Typed {
        let prefix = format!("{name}.");
        let fields: Vec<String> =
            FACTS.iter().filter(|r| r.name.starts_with(&prefix)).map(|r| format!("`{}`", r.display())).collect();
        self.report(
            Diagnostic::new(Code::E0409, span, format!("`{name}` is no value by itself"))
                .help(format!("name what you mean: {}", fields.join(", "))),
        )
    }

    /// A name that nothing has.
    fn unknown(&mut self, name: &str, span: Span) -> Typed {
        let env = self.env;
        let facts = FACTS.iter().filter_map(|r| r.name.split('.').next());
        let own = env.params.iter().map(|(n, _)| n.as_str()).chain(env.arguments.iter().map(|(n, _)| n.as_str()));
        let candidates = own.chain(env.globals.value_names()).chain(facts).chain(["caller", "true", "false", "null"]);
        let help = match (nearest(name, candidates), env.globals.name_kind(name)) {
            (Some(near), _) => Some(format!("did you mean `{near}`?")),
            (None, Some(kind)) => Some(format!(
                "`{name}` is {}; it can only be compared, such as with `{}`",
                described(kind),
                compared(kind)
            )),
            (None, None) if name == "none" => Some(
                "what is absent is `null`; a setting is taken away by its first word: `timeout none`, `body none`"
                    .into(),
            ),
            (None, None) if matches!(name, "nil" | "undefined" | "NULL" | "None") => {
                Some("what is absent is `null`".into())
            }
            (None, None) if FunctionRow::find(name).is_some() => Some(format!("a function is called: `{name}(…)`")),
            (None, None) if !env.params.is_empty() => {
                let params = env.params.iter().map(|(n, _)| format!("`{n}`")).collect::<Vec<_>>().join(", ");
                Some(format!("the parameters are {params}; text stands in quotes: \"{name}\""))
            }
            (None, None) => Some(format!("text stands in quotes: \"{name}\"")),
        };
        self.report(Diagnostic::new(Code::E0408, span, format!("there is nothing named `{name}`")).maybe_help(help))
    }

    /// A route, an upstream or an auth by its name, where one must stand. None where `e` is a value.
    fn name_of(&mut self, e: &Expr, kind: NameKind) -> Option<Typed> {
        let name = shown::path(e)?;
        let globals = self.env.globals;
        if globals.has_name(kind, &name) {
            return Some(Typed::constant(Value::Name(kind, name), Type::Name(kind), e.span));
        }
        let root = name.split('.').next().unwrap_or(&name);
        let is_value = !self.means_fact(root)
            || root == "caller"
            || root == "none"
            || FACTS.iter().any(|r| r.name.split('.').next() == Some(root));
        if is_value {
            return None;
        }
        let help = nearest(&name, globals.names_of(kind)).map(|n| format!("did you mean `{n}`?"));
        Some(self.report(
            Diagnostic::new(Code::E0408, e.span, format!("there is no {} `{name}`", word(kind))).maybe_help(help),
        ))
    }

    /// The name is one of a route, an upstream or an auth, and nothing else.
    pub(super) fn is_only_a_name(&self, e: &Expr) -> bool {
        let Some(path) = shown::path(e) else { return false };
        let root = path.split('.').next().unwrap_or(&path);
        self.means_fact(root) && root != "caller" && !FACTS.iter().any(|r| r.name.split('.').next() == Some(root))
    }

    /// `base.name`.
    fn field(&mut self, base: Typed, of: &Expr, name: &Name, span: Span) -> Typed {
        let ty = match &base.ty {
            Type::Error => return Typed::error(span),
            Type::Json => Type::Json,
            Type::Map(element) => element.as_ref().clone().optional(),
            Type::Record(fields) => match fields.iter().find(|(n, _)| *n == name.text) {
                Some((_, ty)) => ty.clone(),
                None => {
                    let near = nearest(&name.text, fields.iter().map(|(n, _)| n.as_str()));
                    let help = match near {
                        Some(near) => format!("did you mean `{near}`?"),
                        None => format!("it is `{}`", base.ty),
                    };
                    return self.report(
                        Diagnostic::new(Code::E0409, name.span, format!("there is no field `{}`", name.text))
                            .help(help),
                    );
                }
            },
            Type::Optional(inner) if matches!(inner.as_ref(), Type::Record(_) | Type::Map(_)) => {
                return self.unsettled(of, &base.ty.clone(), "what has fields");
            }
            other => {
                let message = format!("{} has no fields", shown::a(other));
                return self.report(
                    Diagnostic::new(Code::E0409, name.span, message)
                        .label(format!("`{}` is `{other}`", shown::short(of))),
                );
            }
        };
        let field = name.text.clone();
        self.finish(ty, span, [base], |[of]| Ir::Field(Box::new(of), field))
    }

    /// `of[at]`.
    fn index(&mut self, of: &Expr, at: &Expr, span: Span) -> Typed {
        if let ExprKind::Name(name) = &of.kind {
            let declared =
                !self.env.params.iter().any(|(n, _)| n == name) && !self.env.arguments.iter().any(|(n, _)| n == name);
            if let (true, Some(table)) = (declared, self.env.globals.table(name)) {
                let (id, ty) = (table.id, table.ty.clone());
                let Type::Map(element) = ty else {
                    return self.report(
                        Diagnostic::new(Code::E0416, span, format!("`{name}` is {}, which has no keys", shown::a(&ty)))
                            .help(format!("ask it with `x in {name}`")),
                    );
                };
                let key = self.fitted(at, Some(&Type::String));
                return from_table(element.optional(), span, key, |key| Ir::Lookup(id, Box::new(key)));
            }
        }
        let base = self.infer(of, None);
        let (key, ty) = match &base.ty {
            Type::Error => return Typed::error(span),
            Type::List(element) => (Type::Int, element.as_ref().clone().optional()),
            Type::Map(element) => (Type::String, element.as_ref().clone().optional()),
            Type::Record(_) => match &at.kind {
                ExprKind::Literal(Value::Str(key)) => {
                    let name = Name { text: SmolStr::new(key), span: at.span };
                    return self.field(base, of, &name, span);
                }
                _ => {
                    return self.report(Diagnostic::new(
                        Code::E0416,
                        at.span,
                        "a field's name must be a literal text here",
                    ));
                }
            },
            Type::Json => {
                let key = self.infer(at, None);
                if !matches!(
                    fit::settled_type(&key.ty),
                    Type::Error | Type::Int | Type::String | Type::Union(_) | Type::Json | Type::Url
                ) {
                    let message = format!("JSON is indexed by `string` or `int`, not by `{}`", key.ty);
                    return self.report(Diagnostic::new(Code::E0416, at.span, message));
                }
                return self.finish(Type::Json, span, [base, key], |[of, at]| Ir::Index(Box::new(of), Box::new(at)));
            }
            Type::Optional(_) => return self.unsettled(of, &base.ty.clone(), "what is indexed"),
            other => {
                return self.report(
                    Diagnostic::new(Code::E0416, span, format!("{} cannot be indexed", shown::a(other)))
                        .label("only lists, maps, tables and JSON can"),
                );
            }
        };
        let key = self.fitted(at, Some(&key));
        self.finish(ty, span, [base, key], |[of, at]| Ir::Index(Box::new(of), Box::new(at)))
    }
}

/// What is asked of a table: known only while serving, however constant the question is.
pub(super) fn from_table(ty: Type, span: Span, question: Typed, make: impl FnOnce(Ir) -> Ir) -> Typed {
    if question.is_error() {
        return Typed::error(span);
    }
    let secret = super::env::is_secret(&ty);
    let (reads, phase) = (question.reads | Reads::TABLE, question.phase.max(Phase::Client));
    Typed { ir: make(question.ir), ty, reads, phase, constant: None, secret, span }
}

/// The type of `caller`: what every alternative has.
fn caller_type(info: &CallerInfo) -> Type {
    let mut fields = vec![("id".into(), Type::String), ("via".into(), Type::Name(NameKind::Auth))];
    if let Some((first, others)) = info.alternatives.split_first() {
        let shared = first.claims.iter().filter(|c| others.iter().all(|o| o.claims.contains(c)));
        fields.extend(shared.cloned());
    }
    Type::Record(fields)
}

fn name_kind(ty: &Type) -> Option<NameKind> {
    match fit::settled_type(ty) {
        Type::Name(kind) => Some(*kind),
        // `route.auth == customer` is a mistake of its own.
        Type::List(element) => name_kind(element),
        _ => None,
    }
}

fn word(kind: NameKind) -> &'static str {
    match kind {
        NameKind::Route => "route",
        NameKind::Upstream => "upstream",
        NameKind::Auth => "auth",
    }
}

fn described(kind: NameKind) -> &'static str {
    match kind {
        NameKind::Route => "the name of a route",
        NameKind::Upstream => "the name of an upstream",
        NameKind::Auth => "the name of an auth",
    }
}

fn compared(kind: NameKind) -> &'static str {
    match kind {
        NameKind::Route => "route.name ==",
        NameKind::Upstream => "upstream.name ==",
        NameKind::Auth => "caller.via ==",
    }
}
