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
                    self.known.push(Known {
                        identity,
                        path: file,
                        imported_at,
                        scope,
                        placed: false,
                        open: false,
                        file: None,
                    });
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
        let near = nearest(name, names.iter().copied())
            .or_else(|| names.iter().copied().find(|n| n.strip_suffix(".gw") == Some(name)))?;
        Some(format!(
            "did you mean `{}`?",
            written.strip_suffix(name).map_or(near.to_owned(), |folder| format!("{folder}{near}"))
        ))
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
    Diagnostic::new(Code::E0212, span, format!("cannot import `{}`: {reason}", shown(path)))
        .label("this file")
        .help(help)
}

/// A path as messages show it.
fn shown(path: &Path) -> String {
    path.strip_prefix(".").unwrap_or(path).display().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ast::Member;
    use std::collections::BTreeMap;

    /// Files in memory; `\xff` at the beginning stands for bytes that are not text.
    struct Texts(BTreeMap<&'static str, &'static str>);

    impl Files for Texts {
        fn read(&self, path: &Path) -> Result<String, String> {
            match self.0.get(path.to_str().unwrap_or_default()) {
                Some(text) if text.starts_with('\u{ff}') => Err(NOT_UTF8.to_owned()),
                Some(text) => Ok((*text).to_owned()),
                None => Err("there is no such file".to_owned()),
            }
        }

        fn glob(&self, pattern: &Path) -> Result<Vec<PathBuf>, String> {
            let pattern = pattern.to_str().unwrap_or_default();
            let fits = |name: &str| match pattern.split_once('*') {
                Some((before, after)) => name.starts_with(before) && name.ends_with(after),
                None => name == pattern,
            };
            Ok(self.0.keys().filter(|k| fits(k)).map(PathBuf::from).collect())
        }

        fn identity(&self, path: &Path) -> PathBuf {
            path.to_path_buf()
        }
    }

    /// The program whose root is the first file, and the codes of what is wrong.
    fn load(files: &[(&'static str, &'static str)]) -> (Program, Vec<Code>, usize) {
        let texts = Texts(files.iter().copied().collect());
        let (mut sources, mut d) = (Sources::default(), Diagnostics::default());
        let program = load_program(&texts, Path::new(files[0].0), None, &mut sources, &mut d);
        (program, d.into_sorted().iter().map(|d| d.code).collect(), sources.iter().count())
    }

    #[test]
    fn each_file_is_read_once() {
        let (program, codes, files) = load(&[
            ("gateway.gw", "import \"a.gw\"\nimport \"b.gw\"\nimport \"*.gw\""),
            ("a.gw", "import \"common.gw\"\nroute GET /a -> u"),
            ("b.gw", "import \"common.gw\"\nroute GET /b -> u"),
            ("common.gw", "upstream u http://u\nrequire client.ip != 192.0.2.1"),
        ]);
        assert_eq!((codes, files), (vec![], 4));
        assert_eq!((program.upstreams.len(), program.root.members.len(), program.root.statements.len()), (1, 2, 1));
    }

    #[test]
    fn the_routes_of_a_file_stand_where_it_is_imported() {
        let (program, codes, _) = load(&[
            ("gateway.gw", "api shop { import \"team/shop.gw\"; group /x { import \"team/x.gw\" } }"),
            ("team/shop.gw", "import \"types.gw\"\nupstream u http://u\nauth none\nroute GET /a -> u"),
            ("team/x.gw", "import \"types.gw\"\nroute GET /b -> u"),
            ("team/types.gw", "let slow = 5s"),
        ]);
        assert_eq!(codes, []);
        let [Member::Scope(shop)] = program.root.members.as_slice() else { panic!() };
        assert_eq!(
            (shop.members.len(), shop.statements.len(), program.upstreams.len(), program.lets.len()),
            (2, 1, 1, 1)
        );
        let Member::Scope(group) = &shop.members[1] else { panic!() };
        assert_eq!(group.members.len(), 1);
    }

    #[test]
    fn what_cannot_be_imported() {
        assert_eq!(load(&[("gateway.gw", "import \"gateway.gw\"")]).1, [Code::E0213]);
        assert_eq!(load(&[("gateway.gw", "import \"b.gw\""), ("b.gw", "\u{ff}")]).1, [Code::E0108]);
        assert_eq!(load(&[("gateway.gw", "import \"c.gw\"\nimport \"none/*.gw\"")]).1, [Code::E0212, Code::E0212]);
        let two =
            [("gateway.gw", "api a { import \"r.gw\" }\napi b { import \"r.gw\" }"), ("r.gw", "route GET / -> u")];
        assert_eq!(load(&two).1, [Code::E0214]);
        assert_eq!(load(&[("gateway.gw", "api a { import \"b.gw\" }"), ("b.gw", "api c { }")]).1, [Code::E0202]);
        assert_eq!(load(&[("gateway.gw", "api a { import \"b.gw\" }"), ("b.gw", "host x.example")]).1, [Code::E0202]);
    }

    #[test]
    fn a_root_that_cannot_be_read() {
        let texts = Texts(BTreeMap::new());
        let (mut sources, mut d) = (Sources::default(), Diagnostics::default());
        load_program(&texts, Path::new("gateway.gw"), None, &mut sources, &mut d);
        assert_eq!(d.into_sorted().iter().map(|d| d.code).collect::<Vec<_>>(), [Code::E0212]);
    }
}
