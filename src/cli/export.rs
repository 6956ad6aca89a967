//! `gw export`.

use super::terminal::{self, Color};
use super::{Exit, program};
use crate::export::{dot, json, mermaid};
use std::io;
use std::path::PathBuf;

/// Write the compiled gateway for other tools: as JSON, or as a picture
#[derive(Debug, clap::Args)]
#[command(after_help = "Exit code: 0, or 2 for wrong usage, an unreadable file or a program with errors.
The JSON is described by docs/schema/plan-v1.json; it holds no secrets.

Examples:
  gw export shop.gw --to json > plan.json
  gw export shop.gw --to dot | dot -Tsvg > shop.svg
  gw export shop.gw --to mermaid      for a ```mermaid block of Markdown")]
pub struct Args {
    /// The gateway, or - for standard input
    #[arg(default_value = "gateway.gw")]
    file: PathBuf,

    /// What to write
    #[arg(long, value_enum)]
    to: To,

    /// Values for the inputs, as TOML
    #[arg(long, value_name = "FILE")]
    inputs: Option<PathBuf>,

    /// When to use colours in diagnostics
    #[arg(long, value_enum, default_value_t, value_name = "WHEN")]
    color: Color,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum To {
    /// The whole compiled plan
    Json,
    /// A picture as a Mermaid flow chart
    Mermaid,
    /// A picture for Graphviz
    Dot,
}

pub fn run(args: Args) -> io::Result<Exit> {
    let plan = match program::plan(&args.file, args.inputs.as_deref(), args.color) {
        Ok(plan) => plan,
        Err(exit) => return Ok(exit),
    };
    terminal::print(match args.to {
        To::Json => format!("{:#}\n", json::plan(&plan)),
        To::Mermaid => mermaid::mermaid(&plan),
        To::Dot => dot::dot(&plan),
    })?;
    Ok(Exit::Good)
}
