//! `gw init`.

use super::terminal;
use super::{Exit, unable};
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::PathBuf;

/// What is written: a gateway that runs with nothing else installed.
const STARTER: &str = include_str!("starter.gw");

/// The file's name, which the other commands look for by default.
const NAME: &str = "gateway.gw";

/// Write a commented gateway to begin with
#[derive(Debug, clap::Args)]
#[command(after_help = "Exit code: 0 it is written, 2 it exists already or cannot be written. No file is overwritten.

Examples:
  gw init             ./gateway.gw
  gw init shop        shop/gateway.gw")]
pub struct Args {
    /// The folder, made if it is not there
    #[arg(default_value = ".")]
    dir: PathBuf,
}

pub fn run(args: Args) -> io::Result<Exit> {
    let path = match args.dir.to_str() {
        Some(".") => PathBuf::from(NAME),
        _ => args.dir.join(NAME),
    };
    let shown = path.display();
    if let Err(error) = fs::create_dir_all(&args.dir) {
        return Ok(unable(format!("cannot make the folder `{}`: {error}", args.dir.display())));
    }
    // Creating and looking whether it is there are one step: nothing that another process writes meanwhile is lost.
    let written = File::create_new(&path).and_then(|mut file| file.write_all(STARTER.as_bytes()));
    if let Err(error) = written {
        let message = match error.kind() {
            io::ErrorKind::AlreadyExists => format!("`{shown}` is there already, and is left as it is"),
            _ => format!("cannot write `{shown}`: {error}"),
        };
        return Ok(unable(message));
    }
    terminal::print(format!(
        "wrote {shown}. Next:\n\n  \
         gw check {shown}\n  \
         gw explain {shown} GET http://localhost:8080/hello/you\n  \
         gw serve {shown}\n\n\
         and from another terminal: curl -i http://localhost:8080/hello/you\n"
    ))?;
    Ok(Exit::Good)
}

#[cfg(test)]
mod tests {
    use super::STARTER;
    use crate::load::{self, MemoryFiles};
    use std::path::Path;

    #[test]
    fn the_starter_has_no_mistakes_and_is_laid_out() {
        let checked =
            load::check(&MemoryFiles::default(), Path::new("gateway.gw"), STARTER.into(), &Default::default());
        let found: Vec<_> = checked.diagnostics.iter().map(|d| (d.code, &d.message)).collect();
        assert!(found.is_empty() && checked.plan.is_some(), "{found:?}");
        assert_eq!(crate::syntax::format::format(STARTER).unwrap(), STARTER);
    }
}
