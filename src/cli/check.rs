//! `gw check`.

use std::io;
use std::path::{Path, PathBuf};

use super::terminal::{self, Color};
use super::{Exit, unable};
use crate::diagnostic::render::{Look, github, human, json, junit, sarif};
use crate::diagnostic::{Code, Severity, nearest};
use crate::load::{self, Checked, DiskFiles};

/// Find every mistake in a gateway before it serves
///
/// Reads the files and what they import; no network, no secrets, and nothing is written.
#[derive(Debug, clap::Args)]
#[command(after_help = "Exit code: 0 no errors, 1 errors (or warnings under --deny warnings), 2 wrong usage or
an unreadable file. Diagnostics of every format go to standard output.

Examples:
  gw check                          the gateway.gw of this folder
  gw check shop.gw partners.gw      two gateways
  gw check deploy/                  every gateway in a folder
  gw check - < shop.gw              standard input
  gw check --format sarif > gw.sarif
  gw check --explain E0101          what a code means")]
pub struct Args {
    /// Gateways to check: files, folders, or - for standard input
    #[arg(value_name = "FILE|DIR", default_value = "gateway.gw")]
    paths: Vec<PathBuf>,

    /// Check one environment: values for the inputs, as TOML; every input without a default must have one
    #[arg(long, value_name = "FILE")]
    inputs: Option<PathBuf>,

    /// How to print what is found
    #[arg(long, value_enum, default_value_t)]
    format: Format,

    /// Treat warnings as errors for the exit code
    #[arg(long, value_enum)]
    deny: Option<Deny>,

    /// When to use colours
    #[arg(long, value_enum, default_value_t, value_name = "WHEN")]
    color: Color,

    /// Print the page of a code, such as E0101, and do nothing else
    #[arg(long, value_name = "CODE")]
    explain: Option<String>,
}

#[derive(Clone, Copy, Debug, Default, clap::ValueEnum)]
enum Format {
    /// With a picture of the place
    #[default]
    Human,
    /// One JSON object
    Json,
    /// SARIF 2.1.0, for code scanning
    Sarif,
    /// Annotations of GitHub Actions
    Github,
    /// JUnit XML, for CI servers
    Junit,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Deny {
    /// Exit with 1 if there are any
    Warnings,
}

pub fn run(args: Args) -> io::Result<Exit> {
    if let Some(code) = &args.explain {
        return explain(code);
    }
    let inputs = match args.inputs.as_deref().map(|file| load::inputs::complete(Some(file))).transpose() {
        Ok(inputs) => inputs.unwrap_or_default(),
        Err(message) => return Ok(unable(message)),
    };
    let mut all = Checked::default();
    let mut exit = Exit::Good;
    for path in &args.paths {
        match roots(path) {
            Ok(roots) => roots.iter().for_each(|root| match load::read_root(root) {
                Ok(bytes) => all.absorb(load::check(&DiskFiles, &load::root_name(root), bytes, &inputs)),
                Err(message) => exit = unable(message),
            }),
            Err(message) => exit = unable(message),
        }
    }
    let read_none = all.sources.iter().next().is_none();
    if exit == Exit::Unable && read_none {
        return Ok(exit);
    }
    terminal::print(render(args.format, &all, terminal::look(args.color)))?;
    let bad = |severity| severity == Severity::Error || args.deny == Some(Deny::Warnings);
    let found = if all.diagnostics.iter().any(|d| bad(d.severity)) { Exit::Bad } else { Exit::Good };
    Ok(exit.max(found))
}

/// The root files that a path means: itself, or those of a folder.
fn roots(path: &Path) -> Result<Vec<PathBuf>, String> {
    if !path.is_dir() {
        return Ok(vec![path.to_path_buf()]);
    }
    let roots = load::roots(path)?;
    if roots.is_empty() {
        return Err(format!("there is no .gw file in the folder `{}`", path.display()));
    }
    Ok(roots)
}

fn render(format: Format, checked: &Checked, look: Look) -> String {
    let Checked { sources, diagnostics, .. } = checked;
    match format {
        Format::Human => human(diagnostics, sources, look),
        Format::Json => json(diagnostics, sources),
        Format::Sarif => sarif(diagnostics, sources),
        Format::Github => github(diagnostics, sources),
        Format::Junit => junit(diagnostics, sources),
    }
}

fn explain(name: &str) -> io::Result<Exit> {
    let Some(code) = Code::from_name(name) else {
        let names = Code::ALL.iter().map(|code| code.name());
        let near = nearest(&name.to_ascii_uppercase(), names).map(|near| format!("; there is {near}"));
        return Ok(unable(format!("there is no code `{name}`{}", near.unwrap_or_default())));
    };
    terminal::print(code.page())?;
    Ok(Exit::Good)
}
