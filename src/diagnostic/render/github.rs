//! For GitHub Actions: workflow commands, which become annotations.

use super::json::Place;
use crate::diagnostic::Diagnostic;
use crate::source::Sources;

/// A line for each diagnostic.
pub fn github(diagnostics: &[Diagnostic], sources: &Sources) -> String {
    diagnostics.iter().map(|d| command(d, sources)).collect()
}

fn command(diagnostic: &Diagnostic, sources: &Sources) -> String {
    let place = Place::new(sources, diagnostic.span);
    let Place { file, line, column, end_line, end_column } = place;
    // GitHub takes columns only where the words stand on one line.
    let columns = if line == end_line { format!(",col={column},endColumn={end_column}") } else { String::new() };
    let code = diagnostic.code;
    // The message repeats the place: the log shows nothing else.
    let message = format!("{file}:{line}:{column}: {code}: {}", super::text(diagnostic));
    format!(
        "::{} title=gw ({code}),file={},line={line},endLine={end_line}{columns}::{}\n",
        super::word(diagnostic.severity),
        property(file),
        data(&message),
    )
}

fn data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnostic::Code;
    use crate::source::Span;

    #[test]
    fn a_command_a_line_with_everything_escaped() {
        let mut sources = Sources::default();
        let file = sources.add("a,b:c.gw", None, "one\ntwo 100%\n");
        let one = Diagnostic::new(Code::E0104, Span::new(file, 8, 12), "100% wrong").help("write `1`\nor nothing");
        let two = Diagnostic::new(Code::E0102, Span::new(file, 1, 6), "open");
        assert_eq!(
            github(&[*one, *two], &sources),
            "::error title=gw (E0104),file=a%2Cb%3Ac.gw,line=2,endLine=2,col=5,endColumn=9::\
             a,b:c.gw:2:5: E0104: 100%25 wrong%0Ahelp: write `1`%0Aor nothing\n\
             ::error title=gw (E0102),file=a%2Cb%3Ac.gw,line=1,endLine=2::a,b:c.gw:1:2: E0102: open\n"
        );
    }
}
