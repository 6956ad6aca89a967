//! An explanation for a person who never saw the file.

use super::record::{Asked, Step, show_reads};
use super::{Explanation, Sent};
use crate::model::value::duration_text;
use std::fmt::Write;
use std::time::Duration;

/// The explanation as text; `color` for terminals.
pub fn human(e: &Explanation, color: bool) -> String {
    let mut out = Page { text: String::new(), color };
    let r = &e.request;
    let query = r.query.as_ref().map(|q| format!("?{q}")).unwrap_or_default();
    let title = out.bold(&format!("{} {}{}{query} from {}", r.method, r.host, r.path, r.client));
    out.line(&title);
    let l = &e.listener;
    let name = if l.name == l.address { String::new() } else { format!("`{}`, ", l.name) };
    let scheme = if l.scheme == "https" { "https " } else { "" };
    out.line(&format!("It comes to the listener {name}{scheme}{} ({}:{}).", l.address, l.file, l.line));
    candidates(&mut out, e);
    if !e.params.is_empty() {
        out.heading("Parameters");
        e.params.iter().for_each(|(name, value)| out.line(&format!("  {name} = {value}")));
    }
    let (before, after): (Vec<&Step>, Vec<&Step>) = e.steps.iter().partition(|s| s.phase != "response");
    if !before.is_empty() {
        out.heading("What runs, in this order");
        steps(&mut out, &before);
    }
    if let Some(s) = &e.sent {
        sent(&mut out, e, s);
    }
    if !after.is_empty() {
        out.heading("What happens to the answer");
        steps(&mut out, &after);
    }
    answer(&mut out, e);
    verdict(&mut out, e);
    out.text
}

fn candidates(out: &mut Page, e: &Explanation) {
    if !e.candidates.is_empty() {
        out.heading("Routes, in the order they are asked");
        let wide = |f: fn(&Asked) -> &String| e.candidates.iter().map(|c| f(c).chars().count()).max().unwrap_or(0);
        let (name, pattern) = (wide(|c| &c.route), wide(|c| &c.pattern));
        for c in &e.candidates {
            let (mark, why) = match c.verdict {
                "chosen" => ("✓", "chosen"),
                "passed-over" => ("✗", c.reason.as_deref().unwrap_or("passed over")),
                _ => ("·", "not asked"),
            };
            let shown = if c.route == c.pattern { String::new() } else { format!("  {:pattern$}", c.pattern) };
            let line = format!("  {mark} {:name$}{shown}  {}:{}  {why}", c.route, c.file, c.line);
            let line = if c.verdict == "chosen" { out.bold(&line) } else { line };
            out.line(&line);
        }
    } else if let Some(error) = e.outcome.error {
        out.heading("Routes");
        out.line(match error {
            "bad-request" => "  none is asked: the request is refused before",
            _ if e.nearest.is_empty() => {
                "  none fits this host and path, and none comes near; `gw routes` lists them all"
            }
            _ => "  none fits this host and path",
        });
    }
    if !e.nearest.is_empty() {
        out.heading("The nearest routes, and what each would have needed");
        for n in &e.nearest {
            let name =
                if n.route.ends_with(&n.pattern) { n.route.clone() } else { format!("{} ({})", n.route, n.pattern) };
            out.line(&format!("  {name}  {}:{}", n.file, n.line));
            out.line(&format!("      {}", n.reason));
        }
    }
}

fn steps(out: &mut Page, steps: &[&Step]) {
    let phase = steps.iter().map(|s| s.phase.len()).max().unwrap_or(0);
    let place = steps.iter().map(|s| format!("{}:{}", s.file, s.line).chars().count()).max().unwrap_or(0);
    let indent = " ".repeat(phase + place + 6);
    for s in steps {
        let at = format!("{}:{}", s.file, s.line);
        out.line(&format!("  {:phase$}  {at:place$}  {}", s.phase, s.statement));
        let arrow = out.dim("→");
        out.line(&format!("{indent}{arrow} {}", s.decision));
        if !s.reads.is_empty() {
            let read = out.dim(&format!("read {}", show_reads(&s.reads)));
            out.line(&format!("{indent}{read}"));
        }
    }
}

fn sent(out: &mut Page, e: &Explanation, s: &Sent) {
    out.heading(&format!("What `{}` gets", e.outcome.upstream.as_deref().unwrap_or("the upstream")));
    out.line(&format!("  {} {}", s.method, s.url));
    s.headers.iter().for_each(|(n, v)| out.line(&format!("  {n}: {v}")));
    if s.protocol != "HTTP/1.1" {
        let choice = if s.protocol == "HTTP/2" { "" } else { ", as the server chooses" };
        out.line(&format!("  (in {}{choice})", s.protocol));
    }
    out.line(&match &s.buffered {
        Some(why) => format!("  (the body is read whole before it is sent, because of {why})"),
        None => "  (the body streams)".to_owned(),
    });
}

fn answer(out: &mut Page, e: &Explanation) {
    let r = &e.response;
    match r.status {
        Some(status) => {
            out.heading("The answer");
            out.line(&format!("  HTTP {status}"));
        }
        None if r.headers.is_empty() => return,
        None => out.heading("Fields that the gateway adds to the answer"),
    }
    r.headers.iter().for_each(|(n, v)| out.line(&format!("  {n}: {v}")));
    if let Some(b) = &r.body {
        let shown: String = b.chars().take(500).collect();
        out.line(&format!("\n  {}", shown.trim_end().replace('\n', "\n  ")));
    }
}

fn verdict(out: &mut Page, e: &Explanation) {
    let o = &e.outcome;
    let status = o.status.unwrap_or(0);
    let line = match o.kind {
        "forward" => format!(
            "It goes to `{}` by the route `{}`.",
            o.upstream.as_deref().unwrap_or("?"),
            o.route.as_deref().unwrap_or("?")
        ),
        "redirect" => format!("It is redirected with {status}."),
        "respond" => format!("The gateway answers it with {status}."),
        _ => {
            let why = o.detail.as_ref().map(|d| format!(": {d}")).unwrap_or_default();
            // A call's client sees the status of gRPC.
            let call = e.response.headers.iter().find(|(name, _)| name == "grpc-status");
            let told = call.map_or_else(|| status.to_string(), |(name, status)| format!("{name} {status}"));
            let kind = o.error.map(|kind| format!(" ({kind})")).unwrap_or_default();
            format!("It is refused with {told}{kind}{why}.")
        }
    };
    let line = out.bold(&line);
    out.line("");
    out.line(&line);
    if let Some(choice) = &o.choice {
        out.line(&format!("Which server: {choice}."));
    }
    if let Some(b) = &e.budget {
        let attempts = if b.attempts == 1 { "1 attempt".into() } else { format!("{} attempts", b.attempts) };
        let worst = match b.worst_case_ms {
            ms if ms > 1000 && !ms.is_multiple_of(1000) => format!("{}s", ms as f64 / 1000.0),
            ms => duration_text(Duration::from_millis(ms)),
        };
        out.line(&format!("At worst the answer begins after {worst}, in {attempts}: {}.", b.how));
    }
}

struct Page {
    text: String,
    color: bool,
}

impl Page {
    fn line(&mut self, text: &str) {
        let _ = writeln!(self.text, "{}", text.trim_end());
    }

    fn heading(&mut self, title: &str) {
        let title = self.bold(title);
        let _ = writeln!(self.text, "\n{title}");
    }

    fn bold(&self, text: &str) -> String {
        if self.color { format!("\x1b[1m{text}\x1b[0m") } else { text.to_owned() }
    }

    fn dim(&self, text: &str) -> String {
        if self.color { format!("\x1b[2m{text}\x1b[0m") } else { text.to_owned() }
    }
}
