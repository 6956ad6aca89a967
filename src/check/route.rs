//! A route: its parameters, its caller, and its statements sorted into phases.

use super::Compiler;
use super::expr::{self, Alternative, Caller, CallerInfo, Env, Typed};
use super::routes::{Methods, PathFlags, Requirement, RouteFacts, RouteKey, ShowPattern};
use super::scope::{Arguments, Around, Block, Flat, Inherited};
use crate::diagnostic::{Code, Diagnostic, Diagnostics, nearest};
use crate::model::ast::{self, AuthUse, Expr, HostHead, ParamType, Pattern, Segment, StatementKind};
use crate::model::facts::{Phase, Reads};
use crate::model::types::Type;
use crate::model::value::Value;
use crate::plan::{self, AuthId, Guard, Outbound, Route, Step};
use smol_str::{SmolStr, format_smolstr};
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

/// What the expressions of one route see.
#[derive(Default)]
pub(super) struct Seen<'p> {
    pub params: Vec<(SmolStr, Type)>,
    pub rest: Option<(SmolStr, u16)>,
    /// None where no `auth` holds.
    pub caller: Option<CallerInfo>,
    /// An `auth` is not declared: nothing more is said about `caller`.
    pub damaged: bool,
    /// An expression reads a parameter.
    pub bound: bool,
    /// What is required, in the order of the file.
    pub requires: Vec<Requirement>,
    /// What the route's `when` says is there, for everything of the route.
    given: Vec<SmolStr>,
    /// What is there besides, by the conditions around the statement that is being checked.
    pub settled: Vec<SmolStr>,
    /// The first expression that reads the body.
    body: Option<plan::Origin>,
    /// Arguments of policies, typed for this route.
    typed: HashMap<*const Arguments<'p>, Rc<Vec<(SmolStr, Typed)>>>,
}

impl<'p> Seen<'p> {
    /// Of a statement: what the conditions around it say is there.
    pub fn under(&mut self, f: &Flat<'p>) {
        self.settled.clone_from(&self.given);
        self.settled.extend(f.guards.iter().filter(|g| sees_the_same(g, f)).flat_map(|(when, _)| expr::settled(when)));
    }

    /// Of the target: only what the route's `when` says.
    fn under_nothing(&mut self) {
        self.settled.clone_from(&self.given);
    }
}

/// The condition means by its words what the statement means by them.
fn sees_the_same<'p>((_, arguments): &(&'p Expr, Option<Rc<Arguments<'p>>>), f: &Flat<'p>) -> bool {
    match (arguments, &f.arguments) {
        (None, None) => true,
        (Some(a), Some(b)) => Rc::ptr_eq(a, b),
        _ => false,
    }
}

impl<'p> Compiler<'p> {
    pub(super) fn route(&mut self, r: &'p ast::Route, around: &Around<'p>) -> RouteFacts {
        let before = self.d.len();
        let pattern = self.joined(r, around);
        let mut params: Vec<(SmolStr, Type)> = Vec::new();
        let mut rest = None;
        if let Some(HostHead::Param(name)) = around.hosts.first().map(|h| &h.head) {
            params.push((name.clone(), Type::String));
        }
        for s in &pattern.segments {
            match s {
                Segment::Literal(_) => {}
                Segment::Param { name, ty, .. } => params.push((name.text.clone(), param_type(ty))),
                Segment::Rest(name) => {
                    rest = Some((name.text.clone(), params.len() as u16));
                    params.push((name.text.clone(), Type::String));
                }
            }
        }
        let text = format_smolstr!("{}", ShowPattern(&pattern));
        let methods: Vec<http::Method> = r.methods.iter().map(|m| m.value.clone()).collect();
        let shown = match methods.is_empty() {
            true => "ANY".to_owned(),
            false => methods.iter().map(|m| m.as_str()).collect::<Vec<_>>().join(", "),
        };
        let name = match (&r.name, &around.api) {
            (Some(n), Some(api)) => format_smolstr!("{api}.{}", n.text),
            (Some(n), None) => n.text.clone(),
            (None, _) => format_smolstr!("{shown} {text}"),
        };
        let own = Rc::new(self.block(&r.statements, &format!("{}/route {name}", around.label), None, Vec::new()));
        let blocks: Vec<Rc<Block<'p>>> = around.blocks.iter().cloned().chain([own.clone()]).collect();
        let mut seen = Seen { params, rest, ..Seen::default() };
        let auth = self.auth_of(&blocks, &mut seen);
        let when = r.when.as_ref().map(|w| {
            let caller = seen.caller.take();
            let typed = self.typed(w, Some(&Type::Bool), Phase::Request, "the `when` of a route", &mut seen, None);
            seen.caller = caller;
            match typed.decided() {
                Some(false) => self.d.push(
                    Diagnostic::new(Code::E0521, w.span, format!("`{name}` can never be reached"))
                        .label("never holds, whatever the request")
                        .help("remove the route, or correct the condition"),
                ),
                _ => self.undecided(&typed, ""),
            }
            Guard { condition: typed.ir, origin: self.origin(w.span) }
        });
        seen.given = r.when.as_ref().map(expr::settled).unwrap_or_default();
        seen.bound = false;
        let mut inbound = plan::Inbound { auth, ..self.inbound(&blocks, &mut seen) };
        let bound = std::mem::take(&mut seen.bound);
        seen.under_nothing();
        let target = self.target(&r.target, &mut seen);
        seen.bound = bound;
        let outbound = self.outbound(&blocks, &mut seen);
        // Whatever reads the body needs it whole, after the target too: the answer, tags, logs.
        if let (None, Some(first)) = (&inbound.buffer_body, seen.body.take()) {
            inbound.buffer_body = Some(first);
            seen.bound = true;
        }
        // With ten thousand routes what they inherit must not lie in memory ten thousand times: it would never be in the cache.
        // (What the target reads may be this route's alone.)
        let inherited = own.statements.is_empty() && !seen.bound;
        let (inbound, outbound) = if inherited {
            let of = around.blocks.iter().rev().find(|block| !block.statements.is_empty());
            let known = self.inherited.entry(of.map(Rc::as_ptr)).or_insert_with(|| Inherited {
                inbound: Arc::new(inbound),
                outbound: Arc::new(outbound),
                _of: of.cloned(),
            });
            (known.inbound.clone(), known.outbound.clone())
        } else {
            (Arc::new(inbound), Arc::new(outbound))
        };
        let anonymous = inbound.auth.as_ref().is_none_or(|a| a.what.optional);
        let requires = std::mem::take(&mut seen.requires);
        let silenced = own.statements.iter().any(|f| matches!(f.statement.kind, StatementKind::Auth(AuthUse::None)));
        let route = Route {
            name: name.clone(),
            api: around.api.clone(),
            hosts: around.hosts.iter().map(host_text).collect(),
            methods: methods.clone(),
            pattern: text,
            trailing_slash: around.trailing_slash,
            when,
            params: seen.params.into_boxed_slice(),
            docs: r.docs.clone(),
            origin: self.origin(r.span),
            inbound,
            target,
            target_text: super::one_line(self.sources.text(r.target.span)),
            outbound,
        };
        self.budget(&route, r, &blocks);
        self.uncounted(&route, &blocks);
        // Who may call is one question for the whole route.
        self.d.merge(before, |d| (d.code == Code::E0420).then_some(()), "needed here, too");
        let unknown = [Code::E0314, Code::E0315, Code::E0317, Code::E0420, Code::E0606];
        let doubtful = self.d.iter().skip(before).any(|d| unknown.contains(&d.code));
        self.plan.routes.push(route);
        RouteFacts {
            key: RouteKey {
                hosts: around.hosts.to_vec(),
                methods: Methods::of(methods),
                pattern,
                has_when: r.when.is_some(),
                order: self.plan.routes.len() as u32,
                allow: around.allow.iter().fold(PathFlags::NONE, |flags, a| flags.with(*a)),
                trailing_slash: around.trailing_slash,
            },
            listeners: self.stands_on(&around.listen),
            span: r.span,
            name: name.to_string(),
            block: around.block,
            anonymous,
            silenced,
            requires,
            damaged: r.damaged || around.damaged,
            doubtful,
        }
    }

    /// The prefixes around a route and its own pattern, joined by segment.
    fn joined(&mut self, r: &ast::Route, around: &Around<'p>) -> Pattern {
        let mut pattern = r.pattern.clone();
        if around.prefix.is_empty() {
            return pattern;
        }
        let mut names: HashMap<&SmolStr, crate::source::Span> = HashMap::new();
        let all = around.prefix.iter().copied().chain(&r.pattern.segments);
        for s in all.clone() {
            let (Segment::Param { name, .. } | Segment::Rest(name)) = s else { continue };
            if let Some(first) = names.insert(&name.text, name.span)
                && first.file == name.span.file
            {
                self.d.push(
                    Diagnostic::new(
                        Code::E0530,
                        name.span,
                        format!("the parameter `{}` is in the prefix already", name.text),
                    )
                    .label("declared again here")
                    .also(first, "first declared here")
                    .help("give one of them another name"),
                );
            }
        }
        // `/` below a prefix is the prefix itself.
        if r.pattern.segments.is_empty() {
            pattern.trailing_slash = false;
        }
        pattern.segments = all.cloned().collect();
        pattern
    }

    /// The nearest `auth`, and what it makes of `caller`.
    pub(super) fn auth_of(&mut self, blocks: &[Rc<Block<'p>>], seen: &mut Seen<'p>) -> Option<Step<plan::AuthUse>> {
        for f in blocks.iter().flat_map(|b| &b.statements) {
            if let (StatementKind::Auth(_), Some((guard, _))) = (&f.statement.kind, f.guards.last()) {
                self.d.push(
                    Diagnostic::new(Code::E0606, f.statement.span, "`auth` may not stand under `when`")
                        .label("who must authenticate would depend on the request")
                        .also(guard.span, "the condition")
                        .help("make two routes that differ in `when`, each with its own `auth`"),
                );
            }
        }
        let f = blocks
            .iter()
            .rev()
            .find_map(|b| b.statements.iter().find(|f| matches!(f.statement.kind, StatementKind::Auth(_))))?;
        let StatementKind::Auth(usage) = &f.statement.kind else { return None };
        let (names, optional) = match usage {
            AuthUse::None => return None,
            AuthUse::Required(names) => (names, false),
            AuthUse::Optional(names) => (names, true),
        };
        seen.damaged |= names.is_empty();
        let program = self.program;
        let mut alternatives: Vec<AuthId> = Vec::new();
        for n in names {
            match program.auths.iter().position(|a| a.name.text == n.text) {
                Some(i) => {
                    seen.damaged |= matches!(program.auths[i].kind, ast::AuthKind::Error);
                    alternatives.push(AuthId(i as u32));
                }
                None => {
                    let near = nearest(&n.text, program.auths.iter().map(|a| a.name.text.as_str()));
                    let help = match near {
                        Some(near) => format!("there is one called `{near}`"),
                        None => format!("declare it: `auth {} = jwt {{ … }}`", n.text),
                    };
                    self.d.push(
                        Diagnostic::new(Code::E0317, n.span, format!("no auth is called `{}`", n.text))
                            .label("not declared in this program")
                            .help(help),
                    );
                    seen.damaged = true;
                }
            }
        }
        seen.caller = Some(self.caller(&alternatives, optional));
        Some(Step {
            what: plan::AuthUse { alternatives: alternatives.into(), optional },
            guards: Box::default(),
            report_only: false,
            origin: self.origin(f.statement.span),
        })
    }

    fn caller(&self, alternatives: &[AuthId], optional: bool) -> CallerInfo {
        let named = alternatives.iter().map(|a| {
            let auth = &self.plan.auths[a.index()];
            Alternative {
                auth: auth.name.clone(),
                claims: auth.claims.iter().map(|(n, t, _)| (n.clone(), t.clone())).collect(),
                scopes: matches!(auth.kind, plan::AuthKind::Jwt { .. }),
            }
        });
        let damaged = alternatives.iter().any(|a| self.program.auths[a.index()].damaged);
        CallerInfo { optional, alternatives: named.collect(), damaged }
    }

    /// Types an expression of this route.
    pub(super) fn typed(
        &mut self,
        e: &Expr,
        expected: Option<&Type>,
        phase: Phase,
        place: &'static str,
        seen: &mut Seen<'p>,
        arguments: Option<&Rc<Arguments<'p>>>,
    ) -> Typed {
        let used = arguments.map(|a| a.used);
        let arguments = arguments.map(|a| self.arguments_of(a, seen)).unwrap_or_default();
        let env = Env {
            params: &seen.params,
            caller: seen.caller.as_ref().map_or(Caller::Unauthenticated, Caller::Known),
            phase,
            arguments: &arguments,
            settled: &seen.settled,
            ..Env::constant(&self.globals, place)
        };
        if seen.damaged {
            return expr::check(e, expected, &env, &mut Diagnostics::default());
        }
        let before = self.d.len();
        let typed = expr::check(e, expected, &env, self.d);
        seen.bound |= reads_parameter(&typed.ir);
        if seen.body.is_none() && typed.reads.any_of(Reads::BODY) {
            seen.body = Some(self.origin(e.span));
        }
        if let Some(used) = used {
            self.d.also_since(before, used, "put into effect by this `use`");
        }
        typed
    }

    pub(super) fn arguments_of(&mut self, a: &Rc<Arguments<'p>>, seen: &mut Seen<'p>) -> Rc<Vec<(SmolStr, Typed)>> {
        if let Some(done) = seen.typed.get(&Rc::as_ptr(a)) {
            return done.clone();
        }
        let mut typed = Vec::new();
        for ((name, ty), value) in a.policy.parameters.iter().zip(a.values) {
            let t = self.typed(value, Some(&ty.value), Phase::Body, "the argument of a policy", seen, a.outer.as_ref());
            typed.push((name.text.clone(), t));
        }
        let typed = Rc::new(typed);
        seen.typed.insert(Rc::as_ptr(a), typed.clone());
        typed
    }

    /// The guards of a statement, and the phase in which the last of them is known.
    pub(super) fn guards(&mut self, f: &Flat<'p>, phase: Phase, seen: &mut Seen<'p>) -> (Box<[Guard]>, Phase) {
        let mut latest = Phase::Constant;
        let mut guards = Vec::with_capacity(f.guards.len());
        // Each knows what those around it say.
        let given = seen.given.clone();
        let inside = std::mem::replace(&mut seen.settled, given);
        for guard in &f.guards {
            let (e, arguments) = guard;
            let typed = self.typed(e, Some(&Type::Bool), phase, "a `when`", seen, arguments.as_ref());
            self.undecided(&typed, "what it guards is never done");
            latest = latest.max(typed.phase);
            guards.push(Guard { condition: typed.ir, origin: self.origin(e.span) });
            if sees_the_same(guard, f) {
                seen.settled.extend(expr::settled(e));
            }
        }
        seen.settled = inside;
        (guards.into(), latest)
    }

    /// What a policy sees that nothing uses: parameters without values, a caller of whom nothing is known.
    pub(super) fn seen_by(arguments: &Rc<Arguments<'p>>) -> Seen<'p> {
        let parameters = arguments.policy.parameters.iter().map(|(name, ty)| {
            let known = Typed::constant(Value::Null, ty.value.clone(), name.span);
            (name.text.clone(), Typed { constant: None, reads: Reads::INPUT, ..known })
        });
        let typed = HashMap::from([(Rc::as_ptr(arguments), Rc::new(parameters.collect()))]);
        let caller = CallerInfo { optional: false, alternatives: Vec::new(), damaged: true };
        Seen { caller: Some(caller), typed, ..Seen::default() }
    }

    /// Requests that met no route: the top level's `response` and `on error`, as far as they need no route.
    pub(super) fn unrouted(&mut self, root: Rc<Block<'p>>) {
        let mut seen = Seen::default();
        let mut scratch = crate::diagnostic::Diagnostics::default();
        let outbound: Outbound = self.quietly(&mut scratch, |c| {
            let all = c.outbound(&[root], &mut seen);
            let sound = |ir: &crate::model::ir::Ir| !reads_caller(ir);
            Outbound {
                edits: all.edits.into_vec().into_iter().filter(|s| s.what.values().all(sound)).collect(),
                on_upstream: Box::default(),
                ..all
            }
        });
        self.plan.unrouted = outbound;
    }
}

/// Whether a parameter of the path or the host is read.
pub(super) fn reads_parameter(ir: &crate::model::ir::Ir) -> bool {
    let mut reads = false;
    ir.walk(&mut |e| reads |= matches!(e, crate::model::ir::Ir::Param(_)));
    reads
}

fn reads_caller(ir: &crate::model::ir::Ir) -> bool {
    use crate::model::facts::Fact;
    use crate::model::ir::Ir;
    let mut reads = false;
    ir.walk(&mut |e| {
        reads |= matches!(
            e,
            Ir::Fact(
                Fact::Caller | Fact::CallerId | Fact::CallerVia | Fact::CallerKey | Fact::CallerScopes | Fact::Claim(_)
            )
        )
    });
    reads
}

fn param_type(ty: &ParamType) -> Type {
    match ty {
        ParamType::String | ParamType::Matches(_) => Type::String,
        ParamType::Int | ParamType::Uint => Type::Int,
        ParamType::Uuid => Type::Uuid,
        ParamType::Date => Type::Date,
    }
}

fn host_text(h: &ast::HostPattern) -> SmolStr {
    match &h.head {
        HostHead::Exact => h.suffix.clone(),
        HostHead::Wildcard => format_smolstr!("*.{}", h.suffix),
        HostHead::Param(n) => format_smolstr!("{{{n}}}.{}", h.suffix),
    }
}
