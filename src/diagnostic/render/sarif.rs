//! For code scanning: SARIF 2.1.0.

use serde_json::{Value, json};

use super::json::Place;
use crate::diagnostic::{Code, Diagnostic};
use crate::source::{Sources, Span};

/// A log with one run: the rules are the codes that occur, with their pages as help.
pub fn sarif(diagnostics: &[Diagnostic], sources: &Sources) -> String {
    let mut codes: Vec<Code> = diagnostics.iter().map(|d| d.code).collect();
    codes.sort_unstable();
    codes.dedup();
    let results: Vec<Value> = diagnostics.iter().map(|d| result(d, &codes, sources)).collect();
    super::to_json(&json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": {
                "name": "gw",
                "version": env!("CARGO_PKG_VERSION"),
                "semanticVersion": env!("CARGO_PKG_VERSION"),
                "informationUri": env!("CARGO_PKG_REPOSITORY"),
                "rules": codes.iter().map(|code| rule(*code)).collect::<Vec<_>>(),
            }},
            "columnKind": "unicodeCodePoints",
            "artifacts": sources.iter().map(|(_, f)| json!({ "location": { "uri": uri(&f.name) } })).collect::<Vec<_>>(),
            "results": results,
        }],
    }))
}

fn rule(code: Code) -> Value {
    let page = code.page();
    json!({
        "id": code.name(),
        "shortDescription": { "text": code.title() },
        "fullDescription": { "text": meaning(page) },
        "help": { "text": page, "markdown": page },
        "defaultConfiguration": { "level": super::word(code.severity()) },
    })
}

/// What a page says first, as one line.
fn meaning(page: &str) -> String {
    let body = page.split_once('\n').map_or("", |(_, body)| body).trim_start();
    body.split("\n\n").next().unwrap_or("").split_whitespace().collect::<Vec<_>>().join(" ")
}

fn result(diagnostic: &Diagnostic, codes: &[Code], sources: &Sources) -> Value {
    let related = diagnostic.labels.iter().enumerate().map(|(i, label)| {
        let mut location = location(label.span, sources);
        location["id"] = json!(i);
        location["message"] = json!({ "text": label.message });
        location
    });
    json!({
        "ruleId": diagnostic.code.name(),
        "ruleIndex": codes.binary_search(&diagnostic.code).unwrap_or_default(),
        "level": super::word(diagnostic.severity),
        "message": { "text": super::text(diagnostic) },
        "locations": [location(diagnostic.span, sources)],
        "relatedLocations": related.collect::<Vec<_>>(),
    })
}

fn location(span: Span, sources: &Sources) -> Value {
    let place = Place::new(sources, span);
    json!({ "physicalLocation": {
        "artifactLocation": { "uri": uri(place.file), "index": span.file.0 },
        "region": {
            "startLine": place.line,
            "startColumn": place.column,
            "endLine": place.end_line,
            "endColumn": place.end_column,
        },
    }})
}

/// A file name as a URI reference (RFC 3986): relative stays relative.
fn uri(name: &str) -> String {
    let mut uri = String::from(if name.starts_with('/') { "file://" } else { "" });
    for byte in name.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'/' | b'-' | b'.' | b'_' | b'~' => uri.push(byte as char),
            b'\\' if cfg!(windows) => uri.push('/'),
            byte => uri.push_str(&format!("%{byte:02X}")),
        }
    }
    uri
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_uris() {
        assert_eq!(uri("deploy/shop gw.gw"), "deploy/shop%20gw.gw");
        assert_eq!(uri("/etc/gw/ä.gw"), "file:///etc/gw/%C3%A4.gw");
        assert_eq!(uri("<stdin>"), "%3Cstdin%3E");
    }

    #[test]
    fn a_page_begins_with_what_it_means() {
        assert!(meaning(Code::E0103.page()).starts_with("A `}` stands where no block is open. Often"));
    }
}
