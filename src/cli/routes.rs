//! `gw routes`.

use super::terminal::{self, Color};
use super::{Exit, program};
use crate::export::routes;
use std::io;
use std::path::PathBuf;

/// List the routes, the most specific first, with what holds for each
#[derive(Debug, clap::Args)]
#[command(after_help = "Exit code: 0, or 2 for wrong usage, an unreadable file or a program with errors.

Examples:
  gw routes shop.gw
  gw routes shop.gw --format json | jq -r '.[] | select(.auth == []) | .route'")]
pub struct Args {
    /// The gateway, or - for standard input
    #[arg(default_value = "gateway.gw")]
    file: PathBuf,

    /// Values for the inputs, as TOML
    #[arg(long, value_name = "FILE")]
    inputs: Option<PathBuf>,

    /// How to print them
    #[arg(long, value_enum, default_value_t)]
    format: Format,

    /// When to use colours
    #[arg(long, value_enum, default_value_t, value_name = "WHEN")]
    color: Color,
}

#[derive(Clone, Copy, Debug, Default, clap::ValueEnum)]
enum Format {
    /// For a person
    #[default]
    Human,
    /// A JSON array
    Json,
}

pub fn run(args: Args) -> io::Result<Exit> {
    let plan = match program::plan(&args.file, args.inputs.as_deref(), args.color) {
        Ok(plan) => plan,
        Err(exit) => return Ok(exit),
    };
    terminal::print(match args.format {
        Format::Human => routes::human(&plan, terminal::look(args.color).color),
        Format::Json => format!("{:#}\n", routes::json(&plan)),
    })?;
    Ok(Exit::Good)
}
