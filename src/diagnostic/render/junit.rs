//! For CI servers: JUnit XML. A file is a suite and a diagnostic a test case; errors are
//! failures, warnings pass and are told on the case's output.

use super::json::Place;
use crate::diagnostic::{Diagnostic, Severity};
use crate::source::{FileId, Sources};

/// A document with a suite for each file, those without mistakes too.
pub fn junit(diagnostics: &[Diagnostic], sources: &Sources) -> String {
    let mut suites = String::new();
    let (mut tests, mut failures) = (0, 0);
    for (id, _) in sources.iter() {
        let here: Vec<_> = diagnostics.iter().filter(|d| d.span.file == id).collect();
        let failed = here.iter().filter(|d| d.severity == Severity::Error).count();
        suite(&mut suites, id, &here, failed, sources);
        tests += here.len().max(1);
        failures += failed;
    }
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
         <testsuites name=\"gw check\" tests=\"{tests}\" failures=\"{failures}\" errors=\"0\">\n{suites}</testsuites>\n"
    )
}

fn suite(out: &mut String, id: FileId, here: &[&Diagnostic], failed: usize, sources: &Sources) {
    let name = escape(&sources.file(id).name);
    let tests = here.len().max(1);
    out.push_str(&format!("  <testsuite name=\"{name}\" tests=\"{tests}\" failures=\"{failed}\" errors=\"0\">\n"));
    if here.is_empty() {
        out.push_str(&format!("    <testcase name=\"gw check\" classname=\"{name}\"/>\n"));
    }
    for diagnostic in here {
        let Place { file, line, column, .. } = Place::new(sources, diagnostic.span);
        let code = diagnostic.code;
        let message = escape(&diagnostic.message);
        let text = escape(&format!("{file}:{line}:{column}: {code}: {}", super::text(diagnostic)));
        out.push_str(&format!(
            "    <testcase name=\"{code} {line}:{column}\" classname=\"{name}\" file=\"{name}\" line=\"{line}\">\n"
        ));
        match diagnostic.severity {
            Severity::Error => {
                out.push_str(&format!("      <failure type=\"{code}\" message=\"{message}\">{text}</failure>\n"))
            }
            Severity::Warning => out.push_str(&format!("      <system-out>{text}</system-out>\n")),
        }
        out.push_str("    </testcase>\n");
    }
    out.push_str("  </testsuite>\n");
}

/// Text for XML 1.0, in elements and in quoted attributes.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\t' | '\n' | '\r' => out.push_str(&format!("&#{};", c as u32)),
            '\0'..='\x1f' | '\u{fffe}' | '\u{ffff}' => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnostic::Code;
    use crate::source::Span;

    #[test]
    fn a_suite_a_file_and_a_case_a_diagnostic() {
        let mut sources = Sources::default();
        let file = sources.add("a.gw", None, "say \"<&>\"\n");
        sources.add("b.gw", None, "");
        let wrong =
            Diagnostic::new(Code::E0104, Span::new(file, 4, 9), "`\"<&>\"` means \u{1} nothing").help("remove it");
        assert_eq!(
            junit(&[*wrong], &sources),
            r#"<?xml version="1.0" encoding="UTF-8"?>
<testsuites name="gw check" tests="2" failures="1" errors="0">
  <testsuite name="a.gw" tests="1" failures="1" errors="0">
    <testcase name="E0104 1:5" classname="a.gw" file="a.gw" line="1">
      <failure type="E0104" message="`&quot;&lt;&amp;&gt;&quot;` means � nothing">a.gw:1:5: E0104: `&quot;&lt;&amp;&gt;&quot;` means � nothing&#10;help: remove it</failure>
    </testcase>
  </testsuite>
  <testsuite name="b.gw" tests="1" failures="0" errors="0">
    <testcase name="gw check" classname="b.gw"/>
  </testsuite>
</testsuites>
"#
        );
    }
}
