//! The program that is served, and whether it has changed.

use super::Failure;
use crate::check::Inputs;
use crate::diagnostic::Severity;
use crate::diagnostic::render::{Look, human};
use crate::load::{self, Checked, DiskFiles};
use crate::plan::Plan;
use crate::source::{SourceFile, Sources};
use crate::syntax::essence::essence;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What a plan was made from.
#[derive(Debug)]
pub struct Program {
    texts: Vec<Text>,
    inputs: Vec<(String, String)>,
    /// Files that bodies are made of: their lengths and times are enough.
    bodies: Vec<(PathBuf, Option<Stamp>)>,
}

/// A file of the program.
#[derive(Debug)]
struct Text {
    name: String,
    path: Option<PathBuf>,
    text: Arc<str>,
}

/// Where a program is read from, be it good or bad.
#[derive(Debug, Default)]
pub struct Origins {
    /// Its files.
    pub files: Vec<PathBuf>,
    /// What its imports name: files and patterns.
    pub imports: Vec<PathBuf>,
}

impl Origins {
    fn of(sources: &Sources) -> Origins {
        let mut origins = Origins::default();
        for (_, file) in sources.iter() {
            let Some(path) = &file.path else { continue };
            let folder = path.parent().unwrap_or(Path::new(""));
            origins.imports.extend(load::imports(&file.text).iter().map(|import| folder.join(import)));
            origins.files.push(path.clone());
        }
        origins
    }
}

/// Length and time of change.
type Stamp = (u64, Option<std::time::SystemTime>);

impl Program {
    /// Reads and checks a program. Its diagnostics go to standard error, and where it was read from to `origins`.
    pub fn read(
        root: &Path,
        inputs: Option<&Path>,
        look: Look,
        origins: &mut Origins,
    ) -> Result<(Program, Plan), Failure> {
        let bytes = load::read_root(root).map_err(|error| vec![error])?;
        let inputs = load::inputs::complete(inputs).map_err(|error| vec![error])?;
        let Checked { sources, diagnostics, plan } = load::check(&DiskFiles, &load::root_name(root), bytes, &inputs);
        *origins = Origins::of(&sources);
        if !diagnostics.is_empty() {
            // `eprint` would panic where nobody reads.
            let _ = io::stderr().write_all(human(&diagnostics, &sources, look).as_bytes());
        }
        let Some(plan) = plan.filter(|_| !diagnostics.iter().any(|d| d.severity == Severity::Error)) else {
            return Err(vec![format!("`{}` has errors", root.display())]);
        };
        if plan.listeners.is_empty() {
            // Also a file that is just being written, or was cut by a full disk.
            return Err(vec![format!("`{}` has no `listen`: nobody would be served", root.display())]);
        }
        let text =
            |file: &SourceFile| Text { name: file.name.clone(), path: file.path.clone(), text: file.text.clone() };
        let texts: Vec<_> = sources.iter().map(|(_, file)| text(file)).collect();
        let is_program = |path: &PathBuf| texts.iter().any(|text| text.path.as_ref() == Some(path));
        let bodies = plan.watched.iter().filter(|path| !is_program(path) && !is_material(&plan, path));
        let bodies = bodies.map(|path| (path.clone(), stamp(path))).collect();
        Ok((Program { texts, inputs: given(&inputs), bodies }, plan))
    }

    /// Both make the same plan: what differs is comments and layout, if anything.
    pub fn means_the_same(&self, other: &Program) -> bool {
        let same =
            |(a, b): (&Text, &Text)| a.name == b.name && (a.text == b.text || essence(&a.text) == essence(&b.text));
        self.inputs == other.inputs
            && self.bodies == other.bodies
            && self.texts.len() == other.texts.len()
            && self.texts.iter().zip(&other.texts).all(same)
    }

    /// Its files are still as they were when they were read.
    pub fn is_current(&self, inputs: Option<&Path>) -> bool {
        // What cannot be read has nothing to say. Standard input is not there a second time, either.
        let same = |file: &Text| {
            let now = file.path.as_ref().and_then(|path| std::fs::read(path).ok());
            now.is_none_or(|now| now == file.text.as_bytes())
        };
        self.texts.iter().all(same)
            && self.bodies.iter().all(|(path, before)| stamp(path) == *before)
            && load::inputs::complete(inputs).is_ok_and(|inputs| given(&inputs) == self.inputs)
    }
}

fn stamp(path: &Path) -> Option<Stamp> {
    let metadata = std::fs::metadata(path).ok()?;
    Some((metadata.len(), metadata.modified().ok()))
}

fn given(inputs: &Inputs) -> Vec<(String, String)> {
    inputs.iter().map(|(name, given)| (name.to_string(), given.text.clone())).collect()
}

/// The file of a table, of keys or of certificates: it changes without a reload.
pub fn is_material(plan: &Plan, path: &Path) -> bool {
    use crate::plan::{ApiKeys, AuthKind, JwtKeys};
    let is = |file: &PathBuf| file == path;
    plan.tables.iter().filter_map(|table| table.file.as_ref()).any(is)
        || plan.listeners.iter().filter_map(|listener| listener.tls.as_ref()).flat_map(|tls| tls.files()).any(is)
        || plan.auths.iter().any(|auth| match &auth.kind {
            AuthKind::Jwt { keys: JwtKeys::JwksFile(file) | JwtKeys::KeyFile(file), .. } => is(file),
            AuthKind::ApiKey { keys: ApiKeys::File(file) } => is(file),
            AuthKind::Jwt { .. } | AuthKind::ApiKey { .. } => false,
        })
}
