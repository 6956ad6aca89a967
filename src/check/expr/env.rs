//! What names mean where an expression stands.

use super::Typed;
use crate::check::names::placeholder;
use crate::diagnostic::{Code, Diagnostic, Diagnostics};
use crate::model::ast::{Expr, Name};
use crate::model::facts::{Phase, Reads};
use crate::model::ir::Ir;
use crate::model::types::Type;
use crate::model::value::{NameKind, Value};
use crate::source::Span;
use ahash::AHashMap;
use smol_str::SmolStr;
use std::cell::{Cell, OnceCell, RefCell};

/// What names mean where an expression stands, and when it is evaluated.
#[derive(Clone, Copy)]
pub struct Env<'e> {
    /// Constants, inputs, tables and the names of the program.
    pub globals: &'e Globals,
    /// Path and host parameters by slot; they hide facts.
    pub params: &'e [(SmolStr, Type)],
    /// Arguments of the policy that is used here; they hide everything but parameters.
    pub arguments: &'e [(SmolStr, Typed)],
    /// What is known about the caller.
    pub caller: Caller<'e>,
    /// When the expression is evaluated: facts of later phases are errors.
    pub phase: Phase,
    /// What is being evaluated, for messages, with its article: "a `require`", "the constant `x`".
    pub place: &'e str,
    /// Optionals that a guard around the expression has settled: see [`super::settled`].
    pub settled: &'e [SmolStr],
    /// The expression is about a route as data: `route.X` means an invariant's facts and `none` is null.
    pub invariant: bool,
}

impl<'e> Env<'e> {
    /// For constants: no parameters, no arguments, no facts.
    pub fn constant(globals: &'e Globals, place: &'e str) -> Env<'e> {
        Env {
            globals,
            params: &[],
            arguments: &[],
            caller: Caller::Unauthenticated,
            phase: Phase::Constant,
            place,
            settled: &[],
            invariant: false,
        }
    }
}

/// What is known about the caller.
#[derive(Clone, Copy)]
pub enum Caller<'e> {
    /// No `auth` holds here.
    Unauthenticated,
    /// One of these auths accepted, or none where it is optional.
    Known(&'e CallerInfo),
}

/// What `caller.X` can be, from the auths of a route.
#[derive(Clone, Debug, Default)]
pub struct CallerInfo {
    /// `auth optional`: `caller` may be null.
    pub optional: bool,
    /// The alternatives, in order.
    pub alternatives: Vec<Alternative>,
    /// One of them could not be read whole: nothing is said about claims that seem not to be there.
    pub damaged: bool,
}

/// One alternative of `auth A or B`.
#[derive(Clone, Debug)]
pub struct Alternative {
    /// The auth's name.
    pub auth: SmolStr,
    /// Its declared claims.
    pub claims: Vec<(SmolStr, Type)>,
    /// Its kind has scopes (`jwt`).
    pub scopes: bool,
}

/// The names of a program.
#[derive(Default)]
pub struct Globals {
    lets: AHashMap<SmolStr, LetEntry>,
    inputs: AHashMap<SmolStr, InputEntry>,
    tables: AHashMap<SmolStr, TableEntry>,
    names: AHashMap<SmolStr, Vec<NameKind>>,
    /// The constants that are being typed, outermost first: for cycles.
    open: RefCell<Vec<SmolStr>>,
}

struct LetEntry {
    value: Expr,
    name_span: Span,
    typed: OnceCell<Typed>,
    in_cycle: Cell<bool>,
}

struct InputEntry {
    ty: Type,
    value: Option<Value<'static>>,
}

#[derive(Clone)]
pub(super) struct TableEntry {
    pub(super) id: u32,
    pub(super) ty: Type,
}

impl Globals {
    /// Adds `let NAME = VALUE`. It is typed when first used, or by [`Globals::check_lets`].
    pub fn add_let(&mut self, name: &Name, value: Expr) {
        let entry = LetEntry { value, name_span: name.span, typed: OnceCell::new(), in_cycle: Cell::new(false) };
        self.lets.insert(name.text.clone(), entry);
    }

    /// Adds an input with its bound value or default, if it has one.
    pub fn add_input(&mut self, name: &str, ty: Type, value: Option<Value<'static>>) {
        self.inputs.insert(name.into(), InputEntry { ty, value });
    }

    /// Adds a table (`[T]` or `{string: T}`).
    pub fn add_table(&mut self, name: &str, id: u32, ty: Type) {
        self.tables.insert(name.into(), TableEntry { id, ty });
    }

    /// Adds the name of an upstream, an auth or a route (`api.name`).
    pub fn add_name(&mut self, kind: NameKind, name: &str) {
        self.names.entry(name.into()).or_default().push(kind);
    }

    /// Types every constant that is not typed yet, so that mistakes in unused ones are found.
    pub fn check_lets(&self, d: &mut Diagnostics) {
        let mut names: Vec<_> = self.lets.iter().map(|(n, l)| (l.name_span, n)).collect();
        names.sort();
        for (span, name) in names {
            self.constant(name, span, d);
        }
    }

    /// The constant `name`, used at `span`.
    pub(super) fn constant(&self, name: &str, span: Span, d: &mut Diagnostics) -> Option<Typed> {
        let entry = self.lets.get(name)?;
        if let Some(typed) = entry.typed.get() {
            return Some(Typed { span, ..typed.clone() });
        }
        if let Some(start) = self.open.borrow().iter().position(|n| n == name) {
            self.report_cycle(start, span, d);
            return Some(Typed::error(span));
        }
        self.open.borrow_mut().push(name.into());
        let place = format!("the constant `{name}`");
        let mut typed = super::check(&entry.value, None, &Env::constant(self, &place), d);
        super::constant(&typed, &place, d);
        self.open.borrow_mut().pop();
        if entry.in_cycle.get() {
            typed = Typed::error(span);
        }
        Some(Typed { span, ..entry.typed.get_or_init(|| typed).clone() })
    }

    /// The constants from `start` on need one another.
    fn report_cycle(&self, start: usize, span: Span, d: &mut Diagnostics) {
        let open = self.open.borrow();
        let cycle: Vec<&LetEntry> = open.iter().skip(start).filter_map(|n| self.lets.get(n)).collect();
        if cycle.iter().any(|l| l.in_cycle.get()) {
            return;
        }
        cycle.iter().for_each(|l| l.in_cycle.set(true));
        let names: Vec<String> = open.iter().skip(start).chain(open.get(start)).map(|n| format!("`{n}`")).collect();
        let mut diagnostic =
            Diagnostic::new(Code::E0411, span, format!("constants need one another: {}", names.join(" → ")))
                .label("this needs the constant that is being worked out");
        for (entry, name) in cycle.iter().zip(open.iter().skip(start)) {
            diagnostic = diagnostic.also(entry.name_span, format!("`{name}` is declared here"));
        }
        d.push(diagnostic.help("give one of them a value of its own"));
    }

    /// The input `name`, used at `span`.
    pub(super) fn input(&self, name: &str, span: Span) -> Option<Typed> {
        let entry = self.inputs.get(name)?;
        Some(match &entry.value {
            Some(value) => Typed { reads: Reads::INPUT, ..Typed::constant(value.clone(), entry.ty.clone(), span) },
            None => Typed {
                ir: placeholder(name, &entry.ty).map_or_else(|| Ir::Input(name.into()), Ir::Const),
                ty: entry.ty.clone(),
                reads: Reads::INPUT,
                phase: Phase::Constant,
                constant: None,
                secret: is_secret(&entry.ty),
                span,
            },
        })
    }

    pub(super) fn table(&self, name: &str) -> Option<&TableEntry> {
        self.tables.get(name)
    }

    pub(super) fn has_name(&self, kind: NameKind, name: &str) -> bool {
        self.names.get(name).is_some_and(|k| k.contains(&kind))
    }

    pub(super) fn names_of(&self, kind: NameKind) -> impl Iterator<Item = &str> {
        self.names.iter().filter(move |(_, k)| k.contains(&kind)).map(|(n, _)| n.as_str())
    }

    /// What `name` names, if it is only the name of an upstream, an auth or a route.
    pub(super) fn name_kind(&self, name: &str) -> Option<NameKind> {
        self.names.get(name).and_then(|k| k.first().copied())
    }

    /// A constant, an input or a table has this name.
    pub(super) fn declares(&self, name: &str) -> bool {
        self.lets.contains_key(name) || self.inputs.contains_key(name) || self.tables.contains_key(name)
    }

    /// Every name that an expression can be, for suggestions.
    pub(super) fn value_names(&self) -> impl Iterator<Item = &str> {
        self.lets.keys().chain(self.inputs.keys()).chain(self.tables.keys()).map(SmolStr::as_str)
    }
}

/// The type holds a secret.
pub(super) fn is_secret(ty: &Type) -> bool {
    match ty {
        Type::Secret => true,
        Type::Optional(t) | Type::List(t) | Type::Map(t) => is_secret(t),
        Type::Record(fields) => fields.iter().any(|(_, t)| is_secret(t)),
        _ => false,
    }
}
