//! The command line: one file a command; arguments, exit codes, nothing else.
//!
//! Every command has `Args` and `run(Args) -> io::Result<Exit>`. What was asked for goes to
//! standard output in every format; standard error has only what keeps a command from
//! working: a wrong flag, a file that cannot be read, an output that cannot be written.

mod check;
mod completions;
mod explain;
mod export;
mod fmt;
mod help;
mod init;
mod keys;
mod line_diff;
mod man;
mod program;
mod routes;
mod serve;
mod terminal;
mod token;

use std::io;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// An API gateway whose configuration is a small typed language
#[derive(Debug, Parser)]
#[command(name = "gw", version, arg_required_else_help = true, max_term_width = 100, disable_help_subcommand = true)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Check(check::Args),
    Explain(explain::Args),
    Serve(serve::Args),
    Fmt(fmt::Args),
    Routes(routes::Args),
    Export(export::Args),
    Init(init::Args),
    Keys(keys::Args),
    Token(token::Args),
    Completions(completions::Args),
    Man(man::Args),
    Help(help::Args),
}

/// How a command ended, as its exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Exit {
    /// It did what was asked, and the answer is good.
    Good = 0,
    /// It did what was asked, and the answer is bad: errors, a refusal, a difference.
    Bad = 1,
    /// It could not do it: a wrong argument, a file that cannot be read.
    Unable = 2,
}

/// Runs the command that the arguments of this process name.
pub fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Check(args) => check::run(args),
        Command::Explain(args) => explain::run(args),
        Command::Serve(args) => serve::run(args),
        Command::Fmt(args) => fmt::run(args),
        Command::Routes(args) => routes::run(args),
        Command::Export(args) => export::run(args),
        Command::Init(args) => init::run(args),
        Command::Keys(args) => keys::run(args),
        Command::Token(args) => token::run(args),
        Command::Completions(args) => completions::run(args),
        Command::Man(args) => man::run(args),
        Command::Help(args) => help::run(args),
    };
    let exit = result.unwrap_or_else(|error: io::Error| unable(format!("cannot write the output: {error}")));
    ExitCode::from(exit as u8)
}

/// Says on standard error why a command cannot do what was asked.
fn unable(message: impl std::fmt::Display) -> Exit {
    eprintln!("gw: {message}");
    Exit::Unable
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_arguments_are_consistent() {
        super::Cli::command().debug_assert();
    }
}
