//! `gw help`.

use super::{Cli, Exit, terminal, unable};
use crate::diagnostic::{Code, nearest};
use crate::model::facts::{FACTS, FactRow, ROUTE_FACTS};
use crate::model::functions::{FUNCTIONS, FunctionRow};
use crate::model::statements::{self, Context, Row};
use crate::model::words::{OPERATORS, TYPES};
use crate::policy::problem::FailureKind;
use clap::CommandFactory;
use std::fmt::Write;
use std::io;

/// Explain a word of the language, or a command
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  gw help                what the commands are
  gw help check          a command
  gw help limit          a statement: its form, where it may stand, an example
  gw help client.ip      a fact
  gw help split          a function
  gw help duration       a type, an operator, a kind of failure, a code such as E0101")]
pub struct Args {
    /// A word of the language, or a command [default: all commands]
    #[arg(num_args = 0.., value_name = "WORD")]
    words: Vec<String>,
}

pub fn run(args: Args) -> io::Result<Exit> {
    let mut gw = Cli::command();
    gw.build();
    let word = args.words.join(" ");
    if word.is_empty() {
        terminal::print(gw.render_long_help().to_string())?;
        return Ok(Exit::Good);
    }
    let command = gw.find_subcommand_mut(&word).map(|command| command.render_long_help().to_string());
    let mut parts: Vec<_> = command.into_iter().chain(language(&word)).collect();
    if parts.is_empty() {
        parts.extend(within(&word));
    }
    if parts.is_empty() {
        let known = known(&gw);
        let near = nearest(&word, known.iter().map(String::as_str)).map(|near| format!("; there is `{near}`"));
        return Ok(unable(format!("`{word}` is no command and no word of the language{}", near.unwrap_or_default())));
    }
    terminal::print(parts.join("\n"))?;
    Ok(Exit::Good)
}

/// What the language knows under a word, each meaning by itself.
fn language(word: &str) -> Vec<String> {
    let mut rows = statements::lookup(word).to_vec();
    rows.sort_by_key(|row| !row.contexts.contains(Context::TOP));
    let mut all: Vec<String> = rows.into_iter().map(statement).collect();
    all.extend(facts(word));
    all.extend(FunctionRow::find(word).map(function));
    all.extend(
        TYPES
            .iter()
            .filter(|row| row.name == word)
            .map(|row| entry(&format!("type {}", row.name), row.doc, &[("Written", row.example)])),
    );
    all.extend(
        OPERATORS
            .iter()
            .filter(|row| row.names.contains(&word))
            .map(|row| entry(&format!("operator {}", row.names.join(", ")), row.doc, &[("Example", row.example)])),
    );
    all.extend(FailureKind::named(word).map(|kind| {
        let status = kind.status().as_str().to_owned();
        entry(
            &format!("failure {}", kind.name()),
            kind.title(),
            &[("Status", &status), ("Example", &format!("on error {} respond {status} problem \"…\"", kind.name()))],
        )
    }));
    all.extend(Code::from_name(word).map(|code| code.page().to_owned()));
    all
}

/// The statements in whose form a word stands: `burst` of `limit`.
fn within(word: &str) -> Option<String> {
    let has = |row: &&Row| {
        let mut words = row.arguments.split(|c: char| !(c.is_ascii_alphanumeric() || c == '-'));
        row.supported && words.any(|w| w == word)
    };
    let mut forms: Vec<String> = statements::rows()
        .filter(has)
        .map(|row| format!("  {} {}\n      {}\n", row.word, row.arguments, row.doc))
        .collect();
    forms.dedup();
    (!forms.is_empty()).then(|| format!("{word} is a part of\n\n{}", forms.concat()))
}

/// A heading, a sentence, and lines with a title; empty ones are left out.
fn entry(head: &str, doc: &str, lines: &[(&str, &str)]) -> String {
    let mut out = format!("{head}\n\n  {}\n", sentence(doc));
    let lines: Vec<_> = lines.iter().filter(|(_, text)| !text.is_empty()).collect();
    if !lines.is_empty() {
        out.push('\n');
    }
    for (title, text) in lines {
        let _ = writeln!(out, "  {title:9}{text}");
    }
    out
}

fn sentence(doc: &str) -> String {
    let mut chars = doc.chars();
    let text: String = chars.next().map(|first| first.to_uppercase().chain(chars).collect()).unwrap_or_default();
    if text.ends_with('.') { text } else { format!("{text}.") }
}

fn statement(row: &Row) -> String {
    let phase = row.phase.map(|phase| format!("{}, {}", phase as u8, phase.name())).unwrap_or_default();
    let stands = row.contexts.phrase();
    let doc = if row.supported { row.doc.to_owned() } else { format!("{}; not supported yet", row.doc) };
    let example = if row.supported { row.example } else { "" };
    let head = format!("{} {}", row.word, row.arguments);
    let mut out = entry(head.trim_end(), &doc, &[("Stands", &stands), ("Phase", &phase), ("Example", example)]);
    let settings: Vec<_> = row.settings().filter(|setting| setting.supported).collect();
    if !settings.is_empty() {
        out.push_str("\n  Inside:\n\n");
    }
    for setting in settings {
        let form = format!("{} {}", setting.word, setting.arguments);
        let _ = writeln!(out, "  {}\n      {}", form.trim_end(), setting.doc);
    }
    out
}

/// The fact of this name; for the name of several (`caller`, `response`) a list of them.
fn facts(word: &str) -> Vec<String> {
    let all = || {
        FACTS.iter().map(|row| (row, row.phase.when())).chain(ROUTE_FACTS.iter().map(|row| (row, "in an `invariant`")))
    };
    let named = |row: &FactRow| match row.name.strip_suffix('.') {
        Some(before) => word == before || word.strip_prefix(row.name).is_some_and(|name| !name.contains('.')),
        None => word == row.name,
    };
    let under = |row: &FactRow| row.name.strip_prefix(word).is_some_and(|rest| rest.starts_with('.') && rest.len() > 1);
    let one = all().filter(|(row, _)| named(row)).map(|(row, known)| {
        let ty = (row.ty)().to_string();
        let doc = if row.supported { row.doc.to_owned() } else { format!("{} Not supported yet.", row.doc) };
        entry(&format!("fact {}", row.display()), &doc, &[("Type", &ty), ("Known", known), ("Example", row.example)])
    });
    let several: String = all()
        .filter(|(row, _)| under(row) && row.supported)
        .map(|(row, known)| format!("  {}\n      {} Known {known}.\n", row.display(), row.doc))
        .collect();
    let several = (!several.is_empty()).then(|| format!("facts of {word}\n\n{several}"));
    one.chain(several).collect()
}

fn function(row: &FunctionRow) -> String {
    entry(&format!("function {}", row.signature), row.doc, &[("Example", row.example), ("Gives", row.result)])
}

/// Every word that has help.
fn known(gw: &clap::Command) -> Vec<String> {
    let commands = gw.get_subcommands().map(|command| command.get_name());
    let words = statements::rows().map(|row| row.word);
    let facts = FACTS.iter().chain(ROUTE_FACTS).map(|row| row.name.trim_end_matches('.'));
    let functions = FUNCTIONS.iter().map(|row| row.name);
    let types = TYPES.iter().map(|row| row.name);
    let operators = OPERATORS.iter().flat_map(|row| row.names.iter().copied());
    let kinds = FailureKind::ALL.iter().map(|kind| kind.name());
    let codes = Code::ALL.iter().map(|code| code.name());
    let all =
        commands.chain(words).chain(facts).chain(functions).chain(types).chain(operators).chain(kinds).chain(codes);
    all.map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_has_help() {
        let mut gw = Cli::command();
        gw.build();
        for word in known(&gw) {
            assert!(gw.find_subcommand(&word).is_some() || !language(&word).is_empty(), "{word}");
        }
    }
}
