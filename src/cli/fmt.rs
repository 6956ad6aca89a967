//! `gw fmt`.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::line_diff::unified;
use super::terminal::{self, Color};
use super::{Exit, unable};
use crate::diagnostic::Diagnostic;
use crate::diagnostic::render::human;
use crate::load::{self, DiskFiles};
use crate::source::{Files, Sources};
use crate::syntax::format::format;

/// Lay out files in the one canonical way
///
/// Comments, blank lines and the places where long statements are broken are kept. A file
/// with syntax errors is left as it is.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Exit code: 0 every file is laid out, 1 --check found one that is not, or a file has syntax errors,
2 wrong usage, or a file that cannot be read or written.

Examples:
  gw fmt                     the gateway.gw of this folder
  gw fmt shop.gw teams/      files, and every .gw file in a folder
  gw fmt - < shop.gw         standard input to standard output
  gw fmt --check .           for CI: print what would change"
)]
pub struct Args {
    /// Files to lay out, folders of them, or - for standard input
    #[arg(value_name = "FILE|DIR", default_value = "gateway.gw")]
    paths: Vec<PathBuf>,

    /// Change nothing; print what would change and exit with 1 if anything would
    #[arg(long)]
    check: bool,
}

pub fn run(args: Args) -> io::Result<Exit> {
    let mut exit = Exit::Good;
    for path in &args.paths {
        let files = match files(path) {
            Ok(files) => files,
            Err(message) => return Ok(unable(message)),
        };
        for file in files {
            match one(&file, args.check)? {
                Ok(Exit::Good) => {}
                Ok(bad) => exit = bad,
                Err(message) => return Ok(unable(message)),
            }
        }
    }
    Ok(exit)
}

/// The path itself, or the programs of a folder.
fn files(path: &Path) -> Result<Vec<PathBuf>, String> {
    if !path.is_dir() {
        return Ok(vec![path.to_path_buf()]);
    }
    let files = DiskFiles.glob(&path.join("**/*.gw"))?;
    if files.is_empty() {
        return Err(format!("there is no .gw file in the folder `{}`", path.display()));
    }
    Ok(files)
}

/// Lays out a file; the inner error is a sentence about a file that cannot be read or written.
fn one(path: &Path, check: bool) -> io::Result<Result<Exit, String>> {
    let name = load::root_name(path);
    let bytes = match load::read_root(path) {
        Ok(bytes) => bytes,
        Err(message) => return Ok(Err(message)),
    };
    let text = match String::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => {
            let checked = load::check(&DiskFiles, &name, error.into_bytes(), &Default::default());
            return Ok(Ok(refuse(&checked.sources, &checked.diagnostics)));
        }
    };
    let formatted = match format(&text) {
        Ok(formatted) => formatted,
        Err(errors) => {
            let mut sources = Sources::default();
            sources.add(name.display().to_string(), Some(path), text);
            return Ok(Ok(refuse(&sources, &errors)));
        }
    };
    if check {
        let diff = unified(&name.display().to_string(), &text, &formatted);
        terminal::print(&diff)?;
        return Ok(Ok(if diff.is_empty() { Exit::Good } else { Exit::Bad }));
    }
    if path == Path::new("-") {
        terminal::print(formatted)?;
    } else if formatted != text {
        if let Err(error) = replace(path, &formatted) {
            return Ok(Err(format!("cannot write `{}`: {error}", path.display())));
        }
        terminal::print(format!("formatted {}\n", name.display()))?;
    }
    Ok(Ok(Exit::Good))
}

/// Syntax errors keep the command from working, so they go to standard error.
fn refuse(sources: &Sources, errors: &[Diagnostic]) -> Exit {
    eprint!("{}", human(errors, sources, terminal::look(Color::Auto)));
    Exit::Bad
}

/// Puts a file's new text in its place at once, so that no reader sees half of it.
pub(super) fn replace(path: &Path, text: &str) -> io::Result<()> {
    // The file that a symbolic link names is replaced, not the link.
    let path = fs::canonicalize(path)?;
    let permissions = fs::metadata(&path)?.permissions();
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let temporary = path.with_file_name(format!(".{name}.{}.tmp", std::process::id()));
    let written = write(&temporary, text, permissions).and_then(|()| fs::rename(&temporary, &path));
    if written.is_err() {
        let _ = fs::remove_file(&temporary);
    }
    written
}

fn write(path: &Path, text: &str, permissions: fs::Permissions) -> io::Result<()> {
    let mut file = File::create_new(path)?;
    file.set_permissions(permissions)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}
