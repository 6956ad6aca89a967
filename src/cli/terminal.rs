//! Where output goes: colours, widths, pipes that close.

use std::io::{self, IsTerminal, Write};

use crate::diagnostic::render::Look;

/// Columns where nothing says how many there are.
const WIDTH: usize = 100;

/// When to use colours.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Color {
    /// On a terminal; NO_COLOR and CLICOLOR_FORCE are heard
    #[default]
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

/// How text on standard output may look.
pub fn look(color: Color) -> Look {
    let terminal = io::stdout().is_terminal();
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
    let color = match color {
        Color::Always => true,
        Color::Never => false,
        Color::Auto if set("NO_COLOR").is_some() => false,
        Color::Auto if set("CLICOLOR_FORCE").is_some_and(|value| value != "0") => true,
        Color::Auto => terminal && set("TERM").is_none_or(|term| term != "dumb"),
    };
    let columns = set("COLUMNS").and_then(|value| value.to_str()?.parse().ok()).filter(|columns| *columns > 0);
    let width = columns.unwrap_or_else(|| match terminal_size::terminal_size() {
        Some((width, _)) if terminal && width.0 > 0 => width.0.into(),
        _ => WIDTH,
    });
    Look { width, color }
}

/// Writes to standard output; a reader that has gone away is no error.
pub fn print(text: impl AsRef<[u8]>) -> io::Result<()> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_ref()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        result => result,
    }
}
