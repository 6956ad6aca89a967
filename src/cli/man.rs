//! `gw man`.

use std::io;

use clap::CommandFactory;

use super::{Cli, Exit, terminal, unable};

/// Print the manual page of gw or of one command
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  gw man | man -l -
  gw man check > gw-check.1")]
pub struct Args {
    /// A command of gw [default: gw itself]
    command: Option<String>,
}

pub fn run(args: Args) -> io::Result<Exit> {
    let mut gw = Cli::command();
    gw.build();
    let page = match args.command {
        None => gw,
        Some(name) => match gw.find_subcommand(&name) {
            Some(command) => command.clone(),
            None => return Ok(unable(format!("there is no command called `{name}`"))),
        },
    };
    let mut text = Vec::new();
    clap_mangen::Man::new(page).render(&mut text)?;
    terminal::print(text)?;
    Ok(Exit::Good)
}
