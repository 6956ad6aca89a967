//! `gw serve`.

use std::io::{self, Write};
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use super::Exit;
use super::terminal::{self, Color};
use crate::observe::{self, LogFormat};
use crate::serve::{self, Options};

/// Serve a gateway
///
/// Checks the program, binds its addresses and serves until SIGTERM or SIGINT. Files that change are read again: a
/// program with mistakes changes nothing, a good one replaces the old without a failed request.
#[derive(Debug, clap::Args)]
#[command(after_help = "Signals: SIGTERM and SIGINT let requests in flight end, a second one cuts them off;
SIGHUP reads everything again; SIGUSR2 starts the binary anew, which takes over without a connection
lost.

Exit code: 0 ended by a signal, or --check found nothing wrong; 1 it cannot serve; 2 wrong usage.

Examples:
  gw serve                                   the gateway.gw of this folder
  gw serve shop.gw --inputs production.toml
  GW_ORDERS_URL=http://localhost:7001 gw serve shop.gw --workers 2
  gw serve --check shop.gw                   could it be served here and now?")]
pub struct Args {
    /// The gateway
    #[arg(value_name = "FILE", default_value = "gateway.gw")]
    file: PathBuf,

    /// Threads that serve; by default one for each core
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    workers: Option<u16>,

    /// Values for the inputs, as TOML; GW_… variables come first
    #[arg(long, value_name = "FILE")]
    inputs: Option<PathBuf>,

    /// How long requests in flight may take to end
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = duration)]
    drain: Duration,

    /// The DNS server that names of upstreams are asked of, instead of those of /etc/resolv.conf
    #[arg(long, value_name = "ADDRESS", value_parser = resolver)]
    resolver: Option<SocketAddr>,

    /// How long a new binary may take until it serves (SIGUSR2)
    #[arg(long, value_name = "DURATION", default_value = "60s", value_parser = duration)]
    upgrade: Duration,

    /// Serve nothing: read the program, its inputs, keys, tables and certificates, try the addresses, say what is wrong
    #[arg(long)]
    check: bool,

    /// How log lines look; by default text on a terminal and JSON elsewhere
    #[arg(long, value_enum, value_name = "FORMAT")]
    log_format: Option<Format>,

    /// The least important lines that are logged
    #[arg(long, value_enum, value_name = "LEVEL", default_value_t)]
    log_level: Level,

    /// No line for each request
    #[arg(long)]
    no_access_log: bool,

    /// When to use colours in diagnostics
    #[arg(long, value_enum, default_value_t, value_name = "WHEN")]
    color: Color,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Format {
    Json,
    Text,
}

#[derive(Clone, Copy, Debug, Default, clap::ValueEnum)]
enum Level {
    Error,
    Warn,
    #[default]
    Info,
    Debug,
}

pub fn run(args: Args) -> io::Result<Exit> {
    let cores = || std::thread::available_parallelism().map_or(1, usize::from);
    let options = Options {
        root: args.file,
        inputs: args.inputs,
        workers: args.workers.map_or_else(cores, usize::from),
        drain: args.drain,
        upgrade: args.upgrade,
        resolver: args.resolver,
        look: terminal::look(args.color),
    };
    if args.check {
        return match serve::rehearse(&options) {
            Ok(said) => terminal::print(said.join("\n") + "\n").map(|()| Exit::Good),
            Err(failures) => Ok(failed(&failures)),
        };
    }
    let format = match args.log_format {
        Some(Format::Json) => LogFormat::Json,
        Some(Format::Text) => LogFormat::Text,
        None => LogFormat::fitting(),
    };
    let level = match args.log_level {
        Level::Error => tracing::Level::ERROR,
        Level::Warn => tracing::Level::WARN,
        Level::Info => tracing::Level::INFO,
        Level::Debug => tracing::Level::DEBUG,
    };
    let flush = observe::start(format, level, !args.no_access_log)?;
    let outcome = serve::run(options);
    drop(flush);
    Ok(outcome.map_or_else(|failures| failed(&failures), |()| Exit::Good))
}

fn failed(failures: &[String]) -> Exit {
    let lines: String = failures.iter().map(|failure| format!("gw: {failure}\n")).collect();
    // `eprint` would panic where nobody reads.
    let _ = io::stderr().write_all(lines.as_bytes());
    Exit::Bad
}

/// `10.0.0.53`, `[::1]:5353`: port 53 unless it says another.
fn resolver(text: &str) -> Result<SocketAddr, String> {
    let address = text.parse().or_else(|_| text.parse().map(|ip: IpAddr| SocketAddr::new(ip, 53)));
    address.map_err(|_| "a resolver is an address with or without a port, such as 10.0.0.53 or [::1]:5353".to_owned())
}

/// `30s`, `500ms`, `2m`.
fn duration(text: &str) -> Result<Duration, String> {
    let split = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let number: u64 = number.parse().map_err(|_| "a duration is a number and a unit, such as 30s".to_owned())?;
    match unit {
        "ms" => Ok(Duration::from_millis(number)),
        "s" => Ok(Duration::from_secs(number)),
        "m" => Ok(Duration::from_secs(number.saturating_mul(60))),
        _ => Err("the units are ms, s and m: 30s".to_owned()),
    }
}
