//! What the gateway tells of itself: structured lines on standard output, through `tracing`.
//!
//! A line is written into a buffer and handed to a thread that does nothing but write: a slow reader of
//! standard output never slows a request; lines that find no room are counted and dropped.
#![deny(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic))]

pub mod access;
mod line;
mod sink;

use line::{Format, Lines};
use sink::Sink;
use std::io::{self, IsTerminal};
use std::sync::Arc;
use tracing::Level;

pub use sink::Flush;

/// How lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// One JSON object a line.
    Json,
    /// For people.
    Text,
}

impl LogFormat {
    /// Text on a terminal, JSON elsewhere.
    pub fn fitting() -> LogFormat {
        if io::stdout().is_terminal() { LogFormat::Text } else { LogFormat::Json }
    }
}

/// Sends what `tracing` hears to standard output from now on: lines of `level` and worse, requests
/// only with `access`. Once a process;
/// what is not yet written when the process ends is written by [`Flush`].
pub fn start(format: LogFormat, level: Level, access: bool) -> io::Result<Flush> {
    let sink = Arc::new(Sink::default());
    let flush = sink::spawn(sink.clone(), io::stdout())?;
    let format = match format {
        LogFormat::Json => Format::Json,
        LogFormat::Text => Format::Text,
    };
    let lines = Lines::new(format, level, access, sink);
    tracing::subscriber::set_global_default(lines).map_err(io::Error::other)?;
    Ok(flush)
}
