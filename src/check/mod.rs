//! From what a program says to what it means: names resolved, expressions typed, routes compiled to a [`Plan`].
//!
//! Everything that is wrong is found in one run. The plan is given only where nothing is.

mod acme;
mod auth;
mod budget;
mod constant;
pub mod expr;
mod health;
pub mod inputs;
mod invariant;
mod listen;
mod names;
mod oauth;
mod outbound;
mod redirect;
mod route;
mod router;
pub mod routes;
mod scope;
mod statement;
mod table;
mod target;
mod tls;
mod transport;
mod upstream;

pub use inputs::Inputs;

use crate::diagnostic::{Code, Diagnostic, Diagnostics, Label};
use crate::model::ast::Program;
use crate::model::import;
use crate::plan::{Origin, Plan};
use crate::source::{Files, Sources, Span};
use expr::Globals;
use smol_str::SmolStr;
use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

/// A checked program.
#[derive(Debug)]
pub struct Checked {
    /// Every file that was read.
    pub sources: Sources,
    /// What is wrong with it, in source order.
    pub diagnostics: Vec<Diagnostic>,
    /// The plan, if there are no errors.
    pub plan: Option<Plan>,
}

/// Reads the program at `root` (or `text`, which stands there) with everything it imports, and checks it.
pub fn check(files: &dyn Files, root: &Path, text: Option<String>, inputs: &Inputs) -> Checked {
    let mut sources = Sources::default();
    let mut diagnostics = Diagnostics::default();
    let program = import::load_program(files, root, text, &mut sources, &mut diagnostics);
    let plan = Compiler::compile(&program, &sources, files, inputs, &mut diagnostics);
    let errors = diagnostics.errors();
    Checked { sources, diagnostics: diagnostics.into_sorted(), plan: (errors == 0).then_some(plan) }
}

/// What every part of the check works with.
pub(crate) struct Compiler<'p> {
    program: &'p Program,
    sources: &'p Sources,
    files: &'p dyn Files,
    d: &'p mut Diagnostics,
    globals: Globals,
    plan: Plan,
    /// What routes that say nothing of their own have, by the innermost block around them that says something.
    inherited: HashMap<Option<*const scope::Block<'p>>, scope::Inherited<'p>>,
    /// What is required, each once.
    meanings: HashMap<String, u32>,
    /// The policies that something uses.
    used: HashSet<SmolStr>,
}

impl<'p> Compiler<'p> {
    fn compile(
        program: &'p Program,
        sources: &'p Sources,
        files: &'p dyn Files,
        inputs: &Inputs,
        d: &'p mut Diagnostics,
    ) -> Plan {
        let globals = names::globals(program, inputs, d);
        let plan = Plan {
            listeners: Vec::new(),
            routers: Vec::new(),
            trust: None,
            routes: Vec::new(),
            upstreams: Vec::new(),
            auths: Vec::new(),
            limits: Vec::new(),
            tables: Vec::new(),
            unrouted: Default::default(),
            files: sources.iter().map(|(_, f)| SmolStr::new(&f.name)).collect(),
            watched: sources.iter().filter_map(|(_, f)| f.path.clone()).collect(),
            secrets: inputs.secrets(program),
        };
        let mut c = Compiler {
            program,
            sources,
            files,
            d,
            globals,
            plan,
            inherited: HashMap::new(),
            meanings: HashMap::new(),
            used: HashSet::new(),
        };
        c.tables();
        c.auths();
        c.upstreams();
        c.listeners();
        let routes = c.scopes();
        c.router(&routes);
        c.acme(&routes);
        c.redirects();
        c.invariants(&routes);
        // A name that is not declared is one mistake, however often it is used.
        let names = [Code::E0312, Code::E0313, Code::E0314, Code::E0317, Code::E0408];
        c.torn();
        c.d.merge(0, |d| names.contains(&d.code).then(|| (d.code, d.message.clone())), "used here, too");
        c.plan
    }

    /// A statement that ends too early, and behind it one that begins with no word: what was torn apart is one mistake.
    fn torn(&mut self) {
        let ends = |d: &Diagnostic| d.span.start == d.span.end && matches!(d.code, Code::E0204 | Code::E0215);
        let early: Vec<Span> = self.d.iter().filter(|d| ends(d)).map(|d| d.span).collect();
        let between = |from: Span, to: Span| {
            let text = self.sources.text(Span { start: from.end, end: to.start, ..from });
            text.lines().all(|line| line.trim().is_empty() || line.trim_start().starts_with('#'))
        };
        let torn: Vec<(Span, Span)> = (self.d.iter().filter(|d| d.code == Code::E0207))
            .filter_map(|d| {
                let before =
                    early.iter().filter(|e| e.file == d.span.file && e.end <= d.span.start).max_by_key(|e| e.end)?;
                between(*before, d.span).then_some((*before, d.span))
            })
            .collect();
        self.d.retain(|d| d.code != Code::E0207 || torn.iter().all(|(_, rest)| *rest != d.span));
        for (early, rest) in torn {
            self.d.amend(|d| {
                if ends(d) && d.span == early {
                    let help = "a statement ends with its line: what the next line has belongs on this one";
                    d.help = Some(help.to_owned());
                    d.labels.push(Label { span: rest, message: "this begins a new statement".to_owned() });
                }
            });
        }
    }

    /// Which line says it: `span`'s first line, and its text on one line.
    fn origin(&self, span: Span) -> Origin {
        let (_, at) = self.sources.place(span);
        Origin { file: span.file.0 as u16, line: at.line as u32, text: one_line(self.sources.text(span)) }
    }

    /// A path written in the program, which is relative to the file it stands in.
    fn relative(&self, span: Span, path: &str) -> PathBuf {
        let base = self.sources.file(span.file).path.as_deref().and_then(Path::parent);
        base.map_or_else(|| PathBuf::from(path), |b| b.join(path))
    }
}

/// A statement's text on one line, its block left out and cut at 120 characters.
fn one_line(text: &str) -> SmolStr {
    let text = text.trim();
    if text.len() <= 120 && !text.contains(['\n', '#']) {
        return SmolStr::new(text);
    }
    let lines = text.lines().map(|l| l.split(" #").next().unwrap_or(l).trim());
    let joined = lines.filter(|l| !l.is_empty() && !l.starts_with('#')).collect::<Vec<_>>().join(" ");
    if joined.chars().count() <= 120 {
        return SmolStr::new(joined);
    }
    let cut: String = joined.chars().take(119).collect();
    SmolStr::new(format!("{cut}…"))
}
