//! Reading programs: from disk, from standard input, from memory.

pub mod certificates;
mod disk;
mod imports;
pub mod inputs;
pub mod materials;
mod memory;
mod roots;
pub mod watch;

use std::io::{self, Read};
use std::path::{Path, PathBuf};

pub use disk::DiskFiles;
pub(crate) use disk::reason;
pub use imports::of as imports;
pub use memory::MemoryFiles;
pub use roots::roots;

use crate::check::{self, Inputs};
use crate::diagnostic::{Code, Diagnostic, Diagnostics};
use crate::plan::Plan;
use crate::source::{Files, Sources, Span};
use jiff::Timestamp;

/// What standard input is called in messages.
pub const STDIN: &str = "<stdin>";

/// A program's files and what is wrong with them, in source order.
#[derive(Debug, Default)]
pub struct Checked {
    /// Its files, the root first.
    pub sources: Sources,
    /// Its mistakes.
    pub diagnostics: Vec<Diagnostic>,
    /// The compiled gateway, if it has no errors.
    pub plan: Option<Plan>,
}

/// The bytes of a root file; `-` is standard input. The error is a sentence that names the file.
pub fn read_root(path: &Path) -> Result<Vec<u8>, String> {
    if path == Path::new("-") {
        let mut bytes = Vec::new();
        return match io::stdin().lock().read_to_end(&mut bytes) {
            Ok(_) => Ok(bytes),
            Err(error) => Err(format!("cannot read standard input: {}", disk::reason(&error))),
        };
    }
    std::fs::read(path).map_err(|error| format!("cannot read `{}`: {}", path.display(), disk::reason(&error)))
}

/// The name under which a root file is known: `-` is [`STDIN`], a leading `./` goes.
pub fn root_name(path: &Path) -> PathBuf {
    match path.to_str() {
        Some("-") => PathBuf::from(STDIN),
        _ => path.strip_prefix(".").map_or_else(|_| path.to_path_buf(), Path::to_path_buf),
    }
}

/// Checks the program whose root file is called `root` and holds `bytes`; `files` reads what it imports.
pub fn check(files: &dyn Files, root: &Path, bytes: Vec<u8>, inputs: &Inputs) -> Checked {
    match String::from_utf8(bytes) {
        Ok(text) => {
            let check::Checked { sources, diagnostics, plan } = check::check(files, root, Some(text), inputs);
            let mut checked = Checked { sources, diagnostics, plan };
            checked.look_at_certificates(files);
            checked
        }
        Err(error) => {
            let at = error.utf8_error().valid_up_to();
            not_utf8(root, &String::from_utf8_lossy(error.as_bytes()), at)
        }
    }
}

/// The one mistake of a file that is not text: `at` is the first byte that is wrong.
fn not_utf8(root: &Path, lossy: &str, at: usize) -> Checked {
    let mut sources = Sources::default();
    let file = sources.add(root.display().to_string(), Some(root), lossy);
    let end = lossy.ceil_char_boundary(at + 1).min(lossy.len());
    let mut diagnostics = Diagnostics::default();
    diagnostics.push(
        Diagnostic::new(Code::E0108, Span::new(file, at, end), "the file is not UTF-8")
            .label("the first byte that cannot be read")
            .help("save the file as UTF-8 in your editor, or convert it: `iconv -f latin1 -t utf-8`"),
    );
    Checked { sources, diagnostics: diagnostics.into_sorted(), plan: None }
}

impl Checked {
    /// Looks at the certificates that are there, once everything else is right.
    fn look_at_certificates(&mut self, files: &dyn Files) {
        let Some(plan) = &self.plan else { return };
        let mut found = Diagnostics::default();
        certificates::check(plan, &self.sources, files, Timestamp::now(), &mut found);
        if found.is_empty() {
            return;
        }
        if found.errors() > 0 {
            self.plan = None;
        }
        self.diagnostics.drain(..).for_each(|diagnostic| found.push(Box::new(diagnostic)));
        self.diagnostics = found.into_sorted();
    }

    /// Takes in another program; a file that both read is kept once, and so are its mistakes.
    pub fn absorb(&mut self, other: Checked) {
        let mut ids = Vec::new();
        for (_, file) in other.sources.iter() {
            let known = self.sources.iter().find(|(_, f)| f.path.is_some() && f.path == file.path).map(|(id, _)| id);
            ids.push(
                known.unwrap_or_else(|| self.sources.add(file.name.clone(), file.path.as_deref(), file.text.clone())),
            );
        }
        let mut all = Diagnostics::default();
        for diagnostic in self.diagnostics.drain(..) {
            all.push(Box::new(diagnostic));
        }
        for mut diagnostic in other.diagnostics {
            let spans = diagnostic.labels.iter_mut().map(|l| &mut l.span).chain([&mut diagnostic.span]);
            spans.for_each(|span| span.file = ids[span.file.0 as usize]);
            all.push(Box::new(diagnostic));
        }
        self.diagnostics = all.into_sorted();
    }
}
