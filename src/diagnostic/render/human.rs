//! For people: the words, a picture of the place, and what to do.

use std::fmt;

use miette::{GraphicalReportHandler, GraphicalTheme, LabeledSpan, SourceCode, ThemeCharacters, ThemeStyles};

use super::excerpt::{Excerpt, Mark, clean};
use crate::diagnostic::{Diagnostic, Severity};
use crate::source::{FileId, Sources};

/// Where the text goes: what it may use.
#[derive(Clone, Copy, Debug)]
pub struct Look {
    /// Columns of the terminal.
    pub width: usize,
    /// Whether ANSI colours are wanted.
    pub color: bool,
}

/// Columns that are always used, however narrow the terminal says it is.
const LEAST_WIDTH: usize = 40;

/// All of them, each followed by an empty line, and a line that counts them.
pub fn human(diagnostics: &[Diagnostic], sources: &Sources, look: Look) -> String {
    let mut out = String::new();
    for diagnostic in diagnostics {
        one(&mut out, diagnostic, sources, look);
        out.push('\n');
    }
    summary(&mut out, diagnostics, sources.iter().count(), look);
    out
}

/// One diagnostic: headline, picture, help.
pub fn one(out: &mut String, diagnostic: &Diagnostic, sources: &Sources, look: Look) {
    let width = look.width.max(LEAST_WIDTH);
    let styles = styles(look);
    let (word, style) = match diagnostic.severity {
        Severity::Error => ("error", styles.error.bold()),
        Severity::Warning => ("warning", styles.warning.bold()),
    };
    let head = format!("{word}[{}]", diagnostic.code);
    let text = textwrap::fill(&format!("{head}: {}", clean(&diagnostic.message)), textwrap::Options::new(width).subsequent_indent("  "));
    match text.strip_prefix(&head) {
        Some(rest) if look.color => out.push_str(&format!("{}{}\n", style.style(&head), styles.link.style(rest))),
        _ => out.push_str(&format!("{text}\n")),
    }
    pictures(out, diagnostic, sources, &styles, width);
    if let Some(help) = &diagnostic.help {
        let options = textwrap::Options::new(width).initial_indent("  help: ").subsequent_indent("        ");
        let text = textwrap::fill(&clean(help), options);
        let rest = text.strip_prefix("  help:").unwrap_or(&text);
        out.push_str(&format!("  {}{rest}\n", styles.help.style("help:")));
    }
}

/// The places of a diagnostic, the primary one first, in one frame.
fn pictures(out: &mut String, diagnostic: &Diagnostic, sources: &Sources, styles: &ThemeStyles, width: usize) {
    let excerpts: Vec<Excerpt> =
        groups(diagnostic, sources).iter().map(|(file, marks)| Excerpt::new(sources.file(*file), marks, width)).collect();
    let digits = excerpts.iter().map(Excerpt::digits).max().unwrap_or(1);
    let chief = match diagnostic.severity {
        Severity::Error => styles.error,
        Severity::Warning => styles.warning,
    };
    for (i, excerpt) in excerpts.iter().enumerate() {
        let mut styles = styles.clone();
        let mut order: Vec<_> = excerpt.marks.iter().collect();
        order.sort_by_key(|(range, ..)| range.start);
        styles.highlights = order.iter().map(|(.., primary)| if *primary { chief } else { styles.advice }).collect();
        let theme = GraphicalTheme { characters: ThemeCharacters::unicode(), styles };
        let handler = GraphicalReportHandler::new_themed(theme)
            .with_context_lines(0)
            .without_primary_span_start()
            .without_syntax_highlighting()
            .with_links(false);
        let mut picture = String::new();
        // Writing to a string does not fail, and every mark lies in the excerpt.
        let _ = handler.render_report(&mut picture, &Picture(excerpt));
        let pad = " ".repeat(digits - excerpt.digits());
        let lines: Vec<&str> = picture.lines().skip(1).collect();
        let last = i + 1 == excerpts.len();
        for (n, line) in lines[..lines.len().saturating_sub(usize::from(!last))].iter().enumerate() {
            let line = line.strip_prefix(' ').unwrap_or(line);
            let line = if n == 0 && i > 0 { line.replacen('╭', "├", 1) } else { line.to_owned() };
            out.push_str(&pad);
            out.push_str(line.trim_end());
            out.push('\n');
        }
    }
}

/// The marks of a diagnostic, gathered where they can be drawn together.
fn groups<'a>(diagnostic: &'a Diagnostic, sources: &Sources) -> Vec<(FileId, Vec<Mark<'a>>)> {
    let file = |id| sources.file(id);
    let chief = Mark::new(file(diagnostic.span.file), diagnostic.span, &diagnostic.label, true);
    let mut groups = vec![(diagnostic.span.file, vec![chief])];
    let mut labels: Vec<_> = diagnostic.labels.iter().collect();
    labels.sort_by_key(|l| l.span);
    for label in labels {
        let id = label.span.file;
        let mark = Mark::new(file(id), label.span, &label.message, false);
        match groups.iter_mut().find(|(f, marks)| *f == id && mark.near(marks)) {
            Some((_, marks)) => marks.push(mark),
            None => groups.push((id, vec![mark])),
        }
    }
    groups
}

fn summary(out: &mut String, diagnostics: &[Diagnostic], files: usize, look: Look) {
    let styles = styles(look);
    let errors = diagnostics.iter().filter(|d| d.severity == Severity::Error).count();
    let warnings = diagnostics.len() - errors;
    let files = count(files, "file");
    let Some(first) = diagnostics.first() else {
        out.push_str(&format!("no mistakes in {files}\n"));
        return;
    };
    let mut parts = Vec::new();
    if errors > 0 {
        parts.push(styles.error.bold().style(count(errors, "error")).to_string());
    }
    if warnings > 0 {
        parts.push(styles.warning.bold().style(count(warnings, "warning")).to_string());
    }
    let example = diagnostics.iter().find(|d| d.severity == Severity::Error).unwrap_or(first).code;
    out.push_str(&format!("{} in {files}; gw check --explain {example} explains a code\n", parts.join(", ")));
}

/// `1 error`, `2 errors`.
fn count(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

fn styles(look: Look) -> ThemeStyles {
    if !look.color {
        return ThemeStyles::none();
    }
    let plain = ThemeStyles::none().error;
    ThemeStyles { link: plain.bold(), linum: plain.dimmed(), ..ThemeStyles::ansi() }
}

/// An excerpt as miette's diagnostic: only its picture is used.
#[derive(Debug)]
struct Picture<'a>(&'a Excerpt);

impl fmt::Debug for Excerpt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Excerpt")
    }
}

impl fmt::Display for Picture<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("-")
    }
}

impl std::error::Error for Picture<'_> {}

impl miette::Diagnostic for Picture<'_> {
    fn source_code(&self) -> Option<&dyn SourceCode> {
        Some(self.0)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        Some(Box::new(self.0.marks.iter().map(|(range, message, primary)| {
            let make = if *primary { LabeledSpan::new_primary_with_span } else { LabeledSpan::new_with_span };
            make(message.clone(), range.clone())
        })))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnostic::Code;
    use crate::source::Span;

    fn find(sources: &Sources, file: FileId, word: &str) -> Span {
        let start = sources.file(file).text.find(word).expect("the word stands in the file");
        Span::new(file, start, start + word.len())
    }

    fn show(diagnostic: &Diagnostic, sources: &Sources, width: usize) -> String {
        let mut out = String::new();
        one(&mut out, diagnostic, sources, Look { width, color: false });
        out
    }

    #[test]
    fn a_place_with_its_words_underlined() {
        let mut sources = Sources::default();
        let text = format!("{}  route GET /orders/{{id: int}} -> oders {{\n", "\n".repeat(40));
        let file = sources.add("shop.gw", None, text);
        let diagnostic = Diagnostic::new(Code::E0104, find(&sources, file, "oders"), "no upstream is called `oders`")
            .label("not declared in this program")
            .help("there is one called `orders` (shop.gw:14)");
        assert_eq!(
            show(&diagnostic, &sources, 80),
            "\
error[E0104]: no upstream is called `oders`
   ╭─[shop.gw:41:34]
41 │   route GET /orders/{id: int} -> oders {
   ·                                  ──┬──
   ·                                    ╰── not declared in this program
   ╰────
  help: there is one called `orders` (shop.gw:14)
"
        );
    }

    #[test]
    fn places_in_other_files_and_far_lines_share_the_frame() {
        let mut sources = Sources::default();
        let a = sources.add("a.gw", None, format!("upstream orders\n{}upstream orders http://x\n", "\n".repeat(120)));
        let b = sources.add("b.gw", None, "upstream orders http://y\n");
        let second = Span::new(a, 145, 151);
        let diagnostic = Diagnostic::new(Code::E0104, second, "`orders` is declared three times")
            .label("declared again")
            .also(find(&sources, b, "orders"), "and here")
            .also(find(&sources, a, "orders"), "first here");
        assert_eq!(
            show(&diagnostic, &sources, 80),
            "\
error[E0104]: `orders` is declared three times
    ╭─[a.gw:122:10]
122 │ upstream orders http://x
    ·          ───┬──
    ·             ╰── declared again
    ├─[a.gw:1:10]
  1 │ upstream orders
    ·          ───┬──
    ·             ╰── first here
    ├─[b.gw:1:10]
  1 │ upstream orders http://y
    ·          ───┬──
    ·             ╰── and here
    ╰────
"
        );
    }
}
