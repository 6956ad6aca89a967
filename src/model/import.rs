//! A whole program: the root file and everything that its imports bring in.

use super::ast::{Program, Spanned};
use super::lower::{Imports, lower_with};
use crate::diagnostic::{Code, Diagnostic, Diagnostics, nearest};
use crate::source::{FileId, Files, NOT_UTF8, Sources, Span};
use crate::syntax;
use crate::syntax::tree::Tree;
use smol_str::SmolStr;
use std::path::{Path, PathBuf};

/// Reads a program from its root file on, each file once. `root_text` is the root's text where it is known already
/// (standard input); otherwise it is read by `files`. The root is the first file of `sources`.
pub fn load_program(
    files: &dyn Files,
    root_path: &Path,
    root_text: Option<String>,
    sources: &mut Sources,
    d: &mut Diagnostics,
) -> Program {
    let text = match root_text.map_or_else(|| files.read(root_path), Ok) {
        Ok(text) => text,
        Err(reason) => {
            let file = sources.add(shown(root_path), Some(root_path), "");
            d.push(unreadable(Span { file, ..Span::default() }, root_path, &reason, None));
            return Program::default();
        }
    };
    let file = sources.add(shown(root_path), Some(root_path), text);
    let tree = syntax::parse(file, &sources.file(file).text, d);
    let root = Known {
        identity: files.identity(root_path),
        path: root_path.to_path_buf(),
        imported_at: Span { file, ..Span::default() },
        scope: None,
        placed: true,
        open: true,
        file: Some(file),
    };
    let mut importer = Importer { files, sources, known: vec![root] };
    lower_with(&tree, &mut importer, d)
}

/// A file that is imported.
struct Known {
    identity: PathBuf,
    path: PathBuf,
    /// The path in the `import` that brought it in.
    imported_at: Span,
    /// The scope that its routes stand in; none for the root.
    scope: Option<Span>,
    /// Something of it stands in that scope.
    placed: bool,
    /// It is being read.
    open: bool,
    file: Option<FileId>,
}

struct Importer<'a> {
    files: &'a dyn Files,
    sources: &'a mut Sources,
    known: Vec<Known>,
}

impl Imports for Importer<'_> {
    fn resolve(&mut self, path: &Spanned<SmolStr>, scope: Option<Span>, d: &mut Diagnostics) -> Vec<usize> {
        let importing = self.sources.file(path.span.file).path.clone().unwrap_or_default();
        let folder = importing.parent().unwrap_or(Path::new(""));
        let pattern = folder.join(path.value.as_str());
        let found = match self.files.glob(&pattern) {
            Ok(found) => found,
            Err(reason) => {
                d.push(unreadable(path.span, &pattern, &reason, None));
                return Vec::new();
            }
        };
        let wild = path.value.contains(['*', '?', '[']);
        if found.is_empty() {
            let reason = if wild { "no file matches" } else { "there is no such file" };
            d.push(unreadable(path.span, &pattern, reason, self.near(&pattern, path.value.as_str())));
        }
        let mut fresh = Vec::new();
        for file in found {
            let identity = self.files.identity(&file);
            match self.known.iter().position(|k| k.identity == identity) {
                // A glob that matches the file it stands in means the others.
                Some(i) if self.known[i].open && wild && self.known[i].file == Some(path.span.file) => {}
                Some(i) if self.known[i].open => d.push(self.cycle(i, path.span)),
                Some(i) if self.known[i].placed && self.known[i].scope != scope => d.push(self.twice(i, path.span)),
                Some(_) => {}
                None => {
                    fresh.push(self.known.len());
                    let imported_at = path.span;
                    self.known.push(Known { identity, path: file, imported_at, scope, placed: false, open: false, file: None });
                }
            }
        }
        fresh
    }

    fn enter(&mut self, index: usize, d: &mut Diagnostics) -> Option<Tree> {
        let known = self.known.get_mut(index)?;
        match self.files.read(&known.path) {
            Ok(text) => {
                let file = self.sources.add(shown(&known.path), Some(&known.path), text);
                known.file = Some(file);
                known.open = true;
                Some(syntax::parse(file, &self.sources.file(file).text, d))
            }
            Err(reason) => {
                d.push(unreadable(known.imported_at, &known.path, &reason, None));
                None
            }
        }
    }

    fn leave(&mut self, index: usize, placed: bool) {
        if let Some(known) = self.known.get_mut(index) {
            known.open = false;
            known.placed = placed;
        }
    }
}

impl Importer<'_> {
    /// A file beside the missing one with a name like it.
    fn near(&self, missing: &Path, written: &str) -> Option<String> {
        let name = missing.file_name()?.to_str()?;
        let beside = self.files.glob(&missing.with_file_name("*.gw")).ok()?;
        let names: Vec<&str> = beside.iter().filter_map(|p| p.file_name()?.to_str()).collect();
        let near = nearest(name, names.iter().copied()).or_else(|| names.iter().copied().find(|n| n.strip_suffix(".gw") == Some(name)))?;
        Some(format!("did you mean `{}`?", written.strip_suffix(name).map_or(near.to_owned(), |folder| format!("{folder}{near}"))))
    }

    fn cycle(&self, index: usize, span: Span) -> Box<Diagnostic> {
        let open = self.known.iter().enumerate().filter(|(i, k)| k.open && *i >= index);
        let mut chain: Vec<String> = open.map(|(_, k)| shown(&k.path)).collect();
        chain.extend(self.known.get(index).map(|k| shown(&k.path)));
        let message = match chain.len() {
            0..=2 => "a file imports itself".to_owned(),
            _ => "files import each other in a circle".to_owned(),
        };
        let mut diagnostic = Diagnostic::new(Code::E0213, span, message)
            .label("this closes the circle")
            .help(format!("the circle is {}: take one of these imports out", chain.join(" → ")));
        for known in self.known.iter().skip(index + 1).filter(|k| k.open) {
            diagnostic = diagnostic.also(known.imported_at, format!("`{}` is imported here", shown(&known.path)));
        }
        diagnostic
    }

    fn twice(&self, index: usize, span: Span) -> Box<Diagnostic> {
        let known = &self.known[index];
        Diagnostic::new(Code::E0214, span, format!("`{}` is imported into two places", shown(&known.path)))
            .label("its routes and statements stand elsewhere already")
            .also(known.imported_at, "first imported here")
            .help("each file is read once: keep one import, or put what both need in a `policy`")
    }
}

fn unreadable(span: Span, path: &Path, reason: &str, help: Option<String>) -> Box<Diagnostic> {
    if reason == NOT_UTF8 {
        return Diagnostic::new(Code::E0108, span, format!("the file `{}` is not UTF-8", shown(path)))
            .label("this file")
            .help("save the file as UTF-8 in your editor, or convert it: `iconv -f latin1 -t utf-8`");
    }
    let help = help.unwrap_or_else(|| "paths are relative to the file that imports".to_owned());
    Diagnostic::new(Code::E0212, span, format!("cannot import `{}`: {reason}", shown(path))).label("this file").help(help)
}

/// A path as messages show it.
fn shown(path: &Path) -> String {
    path.strip_prefix(".").unwrap_or(path).display().to_string()
}
