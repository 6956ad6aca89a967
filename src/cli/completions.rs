//! `gw completions`.

use std::io;

use clap::CommandFactory;
use clap_complete::Shell;

use super::{Cli, Exit, terminal};

/// Print the completion script of a shell
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  gw completions bash > /etc/bash_completion.d/gw
  gw completions fish > ~/.config/fish/completions/gw.fish")]
pub struct Args {
    /// The shell
    shell: Shell,
}

pub fn run(args: Args) -> io::Result<Exit> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "gw", &mut script);
    terminal::print(script)?;
    Ok(Exit::Good)
}
