//! `gw keys`: the key file of an `api-key` auth.

use std::fs::{File, OpenOptions};
use std::io::{self, IsTerminal};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::Value as Json;

use super::{Exit, fmt, terminal, unable};
use crate::diagnostic::nearest;
use crate::policy::auth::api_key::{self, KeyHash, KeyLine};

/// Make, list and revoke the API keys of a key file
///
/// A key file belongs to an `auth NAME = api-key { keys file "partners.keys" }`. It holds the
/// hashes of keys, never keys. A gateway that is serving reads it again when it changes.
#[derive(Debug, clap::Args)]
#[command(
    arg_required_else_help = true,
    after_help = "Exit code: 0 done, 2 wrong usage, a name that is taken or not there, or a file that cannot be
read or written.

Examples:
  gw keys new acme                               prints acme's key, once
  gw keys new acme --claims '{\"tier\":\"pro\"}'     with claims that the auth declares
  gw keys list --file keys/partners.keys
  gw keys revoke acme"
)]
pub struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    /// Make a key, print it once, and add its hash to the file
    New {
        /// Whose key: `caller.id`
        name: String,
        #[command(flatten)]
        place: Place,
        /// What the key says of its caller: a JSON object
        #[arg(long, value_name = "JSON", value_parser = claims)]
        claims: Option<Json>,
    },
    /// Print whose keys the file has
    List {
        #[command(flatten)]
        place: Place,
    },
    /// Remove a key from the file; comments and other lines stay
    Revoke {
        /// Whose key
        name: String,
        #[command(flatten)]
        place: Place,
    },
}

#[derive(Debug, clap::Args)]
struct Place {
    /// The key file
    #[arg(long, value_name = "FILE", default_value = "partners.keys")]
    file: PathBuf,
}

fn claims(text: &str) -> Result<Json, String> {
    match serde_json::from_str(text) {
        Ok(Json::Object(claims)) => Ok(Json::Object(claims)),
        Ok(_) => Err("a JSON object is needed, such as {\"tier\":\"pro\"}".into()),
        Err(error) => Err(format!("it is not JSON: {error}")),
    }
}

pub fn run(args: Args) -> io::Result<Exit> {
    let output = match args.verb {
        Verb::New { name, place, claims } => new(&name, &place.file, claims),
        Verb::List { place } => list(&place.file),
        Verb::Revoke { name, place } => revoke(&name, &place.file),
    };
    match output {
        Ok(output) => terminal::print(output).map(|()| Exit::Good),
        Err(message) => Ok(unable(message)),
    }
}

/// Nothing but the key goes to a pipe.
fn new(name: &str, file: &Path, claims: Option<Json>) -> Result<String, String> {
    if !api_key::valid_name(name) {
        return Err(format!("`{name}` cannot be a key's name: letters, digits, `.`, `_`, `-` and `@` can"));
    }
    let key = fresh_key()?;
    let created = Some(Timestamp::now().to_zoned(TimeZone::UTC).date());
    let line = KeyLine { name: name.into(), hash: KeyHash::of(&key), created, claims };
    edit(file, true, |text| {
        let keys = read(file, text)?;
        if keys.iter().any(|key| key.name == name) {
            let help = "revoke it first, or give the new one another name";
            return Err(format!("`{}` has a key of `{name}` already; {help}", file.display()));
        }
        let newline = if text.is_empty() || text.ends_with('\n') { "" } else { "\n" };
        Ok(format!("{text}{newline}{line}\n"))
    })?;
    Ok(match io::stdout().is_terminal() {
        true => format!("{key}\n\nThis is the key of `{name}`. It is shown once; {} has its hash.\n", file.display()),
        false => format!("{key}\n"),
    })
}

/// 256 random bits behind a prefix by which scanners for leaked secrets can know it.
fn fresh_key() -> Result<String, String> {
    let mut bits = [0; 32];
    aws_lc_rs::rand::fill(&mut bits).map_err(|_| "the system has no randomness to give".to_owned())?;
    Ok(format!("gwk_{}", URL_SAFE_NO_PAD.encode(bits)))
}

fn list(file: &Path) -> Result<String, String> {
    let text = std::fs::read_to_string(file).map_err(|error| cannot("read", file, &error))?;
    let keys = read(file, &text)?;
    let width = keys.iter().map(|key| key.name.len()).max().unwrap_or_default();
    let row = |key: &KeyLine| {
        let created = key.created.map(|date| date.to_string()).unwrap_or_else(|| "-".into());
        let claims = key.claims.as_ref().map(Json::to_string).unwrap_or_default();
        format!("{:width$}  {created:10}  {claims}", key.name).trim_end().to_owned() + "\n"
    };
    Ok(keys.iter().map(row).collect())
}

fn revoke(name: &str, file: &Path) -> Result<String, String> {
    edit(file, false, |text| {
        let own = |line: &str| matches!(api_key::parse_line(line), Ok(Some(key)) if key.name == name);
        if !text.lines().any(own) {
            let others: Vec<_> = text.lines().filter_map(|line| api_key::parse_line(line).ok().flatten()).collect();
            let help = nearest(name, others.iter().map(|key| key.name.as_str()));
            let help = help.map(|other| format!("; did you mean `{other}`?")).unwrap_or_default();
            return Err(format!("`{}` has no key of `{name}`{help}", file.display()));
        }
        Ok(text.split_inclusive('\n').filter(|line| !own(line)).collect())
    })?;
    Ok(format!("revoked the key of {name}\n"))
}

fn read(file: &Path, text: &str) -> Result<Vec<KeyLine>, String> {
    let keys = api_key::parse(text).map_err(|problems| {
        let lines: Vec<_> = problems.iter().map(|p| format!("{}:{}: {}", file.display(), p.line, p.message)).collect();
        lines.join("\ngw: ")
    })?;
    Ok(keys.into_iter().map(|(_, key)| key).collect())
}

/// Replaces the text of a key file by what `change` makes of it, at once and one command at a time.
fn edit(file: &Path, create: bool, change: impl FnOnce(&str) -> Result<String, String>) -> Result<(), String> {
    let _locked = lock(file, create).map_err(|error| cannot("open", file, &error))?;
    let text = std::fs::read_to_string(file).map_err(|error| cannot("read", file, &error))?;
    let changed = change(&text)?;
    fmt::replace(file, &changed).map_err(|error| cannot("write", file, &error))
}

/// The file, locked. Another command may have replaced it while this one waited: then the lock is on a
/// file that has no name any more, and the new one is tried.
fn lock(path: &Path, create: bool) -> io::Result<File> {
    loop {
        let file = OpenOptions::new().read(true).append(create).create(create).mode(0o600).open(path)?;
        file.lock()?;
        let (held, named) = (file.metadata()?, std::fs::metadata(path)?);
        if (held.dev(), held.ino()) == (named.dev(), named.ino()) {
            return Ok(file);
        }
    }
}

fn cannot(what: &str, file: &Path, error: &io::Error) -> String {
    format!("cannot {what} `{}`: {error}", file.display())
}
