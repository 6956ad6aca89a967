//! For people: the words, a picture of the place, and what to do.

use std::fmt;

use miette::{GraphicalReportHandler, GraphicalTheme, LabeledSpan, SourceCode, ThemeCharacters, ThemeStyles};

use textwrap::Options;

use super::excerpt::{Excerpt, Mark, digits, fill};
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
    let styles = styles(look, diagnostic.severity);
    let head = format!("{}[{}]", super::word(diagnostic.severity), diagnostic.code);
    let text = fill(&format!("{head}: {}", diagnostic.message), Options::new(width).subsequent_indent("  "));
    let rest = text.strip_prefix(&head).unwrap_or(&text);
    out.push_str(&format!("{}{}\n", styles.error.style(&head), styles.link.style(rest)));
    pictures(out, diagnostic, sources, &styles, width);
    if let Some(help) = &diagnostic.help {
        let options = Options::new(width).initial_indent("  help: ").subsequent_indent("        ");
        let text = fill(help, options);
        let rest = text.strip_prefix("  help:").unwrap_or(&text);
        out.push_str(&format!("  {}{rest}\n", styles.help.style("help:")));
    }
}

/// The places of a diagnostic, the primary one first, in one frame.
fn pictures(out: &mut String, diagnostic: &Diagnostic, sources: &Sources, styles: &ThemeStyles, width: usize) {
    let groups = groups(diagnostic, sources);
    let digits = digits(groups.iter().flat_map(|(_, marks)| marks).map(|m| m.lines.end).max().unwrap_or(0));
    let mut excerpts = Vec::new();
    for (file, marks) in groups {
        let make = |marks: &[Mark]| Excerpt::new(sources.file(file), marks, width, digits);
        match make(&marks) {
            together if together.cramped => excerpts.extend(marks.iter().map(|mark| make(std::slice::from_ref(mark)))),
            together => excerpts.push(together),
        }
    }
    for (i, excerpt) in excerpts.iter().enumerate() {
        let mut styles = styles.clone();
        let mut order: Vec<_> = excerpt.drawn.iter().collect();
        order.sort_by_key(|drawn| drawn.range.start);
        styles.highlights =
            order.iter().map(|drawn| if drawn.primary { styles.error } else { styles.advice }).collect();
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
    let files = count(files, "file");
    let Some(first) = diagnostics.first() else {
        out.push_str(&format!("no mistakes in {files}\n"));
        return;
    };
    let errors = diagnostics.iter().filter(|d| d.severity == Severity::Error).count();
    let numbers = [(Severity::Error, errors), (Severity::Warning, diagnostics.len() - errors)];
    let parts = numbers.iter().filter(|(_, number)| *number > 0).map(|(severity, number)| {
        styles(look, *severity).error.style(count(*number, super::word(*severity))).to_string()
    });
    let parts = parts.collect::<Vec<_>>().join(", ");
    let example = diagnostics.iter().find(|d| d.severity == Severity::Error).unwrap_or(first).code;
    out.push_str(&format!("{parts} in {files}; gw check --explain {example} explains a code\n"));
}

/// `1 error`, `2 errors`.
fn count(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

/// The colours of a diagnostic; `error` is that of its severity, whichever it is.
fn styles(look: Look, severity: Severity) -> ThemeStyles {
    let none = ThemeStyles::none();
    if !look.color {
        return none;
    }
    let ansi = ThemeStyles::ansi();
    let error = match severity {
        Severity::Error => ansi.error.bold(),
        Severity::Warning => ansi.warning.bold(),
    };
    ThemeStyles { error, advice: ansi.advice.bold(), link: none.link.bold(), ..ansi }
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
        Some(Box::new(self.0.drawn.iter().map(|drawn| {
            let make = if drawn.primary { LabeledSpan::new_primary_with_span } else { LabeledSpan::new_with_span };
            make(drawn.message.clone(), drawn.range.clone())
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
    fn colours_are_asked_for() {
        let mut sources = Sources::default();
        let file = sources.add("a.gw", None, "one two\n");
        let wrong = *Diagnostic::new(Code::E0104, find(&sources, file, "two"), "wrong").label("here").help("do");
        let text = |color| human(std::slice::from_ref(&wrong), &sources, Look { width: 80, color });
        assert!(!text(false).contains('\x1b'), "{:?}", text(false));
        assert!(text(true).starts_with("\x1b[31;1merror[E0104]\x1b[0m"), "{:?}", text(true));
        let bare = regex::Regex::new("\x1b\\[[0-9;]*m").unwrap().replace_all(&text(true), "").into_owned();
        assert_eq!(bare, text(false), "colours change nothing else");
    }

    #[test]
    fn long_lines_are_cut_around_the_words() {
        let mut sources = Sources::default();
        let text = format!("let all = [{}\"wrong\"{}]\n", "\"good\", ".repeat(50), ", \"good\"".repeat(50));
        let file = sources.add("a.gw", None, text);
        let wrong = Diagnostic::new(Code::E0104, find(&sources, file, "\"wrong\""), "wrong").label("this one");
        assert_eq!(
            show(&wrong, &sources, 60),
            "\
error[E0104]: wrong
  ╭─[a.gw:1:412]
1 │ … \"good\", \"good\", \"wrong\", \"good\", \"good\", \"good\", \"goo…
  ·                   ───┬───
  ·                      ╰── this one
  ╰────
"
        );
    }

    #[test]
    fn tabs_wide_characters_and_what_a_terminal_would_obey() {
        let mut sources = Sources::default();
        let file = sources.add("a.gw", None, "\tset \u{1b}[31m \"日本\" bad\u{202e}\r\n");
        let wrong = Diagnostic::new(Code::E0104, find(&sources, file, "bad"), "`\u{1b}[2J` is wrong").label("here");
        assert_eq!(
            show(&wrong, &sources, 60),
            "\
error[E0104]: `␛[2J` is wrong
  ╭─[a.gw:1:17]
1 │     set ␛[31m \"日本\" bad�
  ·                      ─┬─
  ·                       ╰── here
  ╰────
"
        );
    }

    #[test]
    fn words_over_several_lines() {
        let mut sources = Sources::default();
        let file = sources.add("a.gw", None, "a\nroute GET /\n  -> 90% a,\n     10% b\nz\n");
        let wrong = Diagnostic::new(Code::E0104, Span::new(file, 2, 37), "wrong").label("all of it");
        assert_eq!(
            show(&wrong, &sources, 60),
            "\
error[E0104]: wrong
  ╭─[a.gw:2:1]
2 │ ╭─▶ route GET /
3 │ │     -> 90% a,
4 │ ├─▶      10% b
  · ╰──── all of it
  ╰────
"
        );
    }

    #[test]
    fn the_end_of_a_file_can_be_shown() {
        let mut sources = Sources::default();
        let file = sources.add("a.gw", None, "open {\n");
        let empty = sources.add("b.gw", None, "");
        let at = Span::new(file, 7, 7);
        let wrong =
            Diagnostic::new(Code::E0104, at, "wrong").label("a `}` is missing").also(Span::new(empty, 0, 0), "here");
        assert_eq!(
            show(&wrong, &sources, 60),
            "\
error[E0104]: wrong
  ╭─[a.gw:2:1]
2 │
  · ▲
  · ╰── a `}` is missing
  ├─[b.gw:1:1]
1 │
  · ▲
  · ╰── here
  ╰────
"
        );
    }

    #[test]
    fn many_diagnostics_in_a_long_file_are_quick() {
        let mut sources = Sources::default();
        let line = "route GET /orders -> orders\n";
        let file = sources.add("a.gw", None, line.repeat(100_000));
        let at = |n: usize| Span::new(file, n * line.len() + 6, n * line.len() + 9);
        let all: Vec<_> =
            (0..2_000).map(|n| *Diagnostic::new(Code::E0104, at(n * 50), "wrong").also(at(99_999), "x")).collect();
        let begin = std::time::Instant::now();
        human(&all, &sources, Look { width: 80, color: true });
        // Looking through the file for each of them takes half a minute here.
        assert!(begin.elapsed() < std::time::Duration::from_secs(5), "{:?}", begin.elapsed());
    }

    proptest::proptest! {
        /// Whatever stands in the file and wherever the spans are, the picture is drawn and fits.
        #[test]
        fn every_place_can_be_drawn(
            text in "([a-z {}]|\t|\r?\n|日|\u{301}|\u{1b}|é|[a-z]{30}){0,120}",
            spans in proptest::collection::vec((0usize..600, 0usize..80), 1..5),
            width in 10usize..120,
        ) {
            let mut sources = Sources::default();
            let size = text.len();
            let file = sources.add("a.gw", None, text);
            let span = |(start, length): (usize, usize)| Span::new(file, start.min(size), (start + length).min(size));
            let mut wrong = Diagnostic::new(Code::E0104, span(spans[0]), "wrong").label("not what it should be");
            for more in &spans[1..] {
                wrong = wrong.also(span(*more), "this has to do with it");
            }
            let picture = show(&wrong, &sources, width);
            proptest::prop_assert!(picture.contains("╰────\n"), "{picture}");
            for label in ["what", "with"] {
                proptest::prop_assert!(label == "with" && spans.len() == 1 || picture.contains(label), "{picture}");
            }
            for line in picture.lines() {
                let columns = unicode_width::UnicodeWidthStr::width(line);
                proptest::prop_assert!(columns <= width.max(LEAST_WIDTH), "{columns} columns:\n{picture}");
            }
        }
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
