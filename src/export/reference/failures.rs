//! The pages of errors and of defaults.

use super::{MADE, code, table};
use crate::diagnostic::{Code, Severity};
use crate::model::value::duration_text;
use crate::plan::defaults;
use crate::policy::problem::FailureKind;

/// What the hundreds of codes are about.
const HUNDREDS: &[(&str, &str)] = &[
    ("01", "Syntax"),
    ("02", "Declarations, statements, imports, inputs"),
    ("03", "Names"),
    ("04", "Types and expressions"),
    ("05", "Routes"),
    ("06", "Policies and phases"),
    ("07", "Upstreams, timeouts, retries"),
    ("08", "Authentication"),
    ("09", "Invariants, and what is not supported yet"),
];

pub(super) fn page() -> String {
    let mut out = format!("# Errors\n\n{MADE}");
    out.push_str("## What `gw check` finds\n\nA code is never reused. `gw check --explain CODE` prints its page.\n\n");
    for (hundred, title) in HUNDREDS {
        out.push_str(&format!("### {title}\n\n"));
        let codes = Code::ALL.iter().filter(|code| code.name().get(1..3) == Some(*hundred));
        table(
            &mut out,
            ["code", "", "mistake"],
            codes.map(|code| {
                let severity = if code.severity() == Severity::Error { "error" } else { "warning" };
                [format!("[{code}](../errors/{code}.md)"), severity.into(), code.title().into()]
            }),
        );
    }
    out.push_str(
        "## What happens while serving\n\nEach failure has a stable kind. It is answered as problem+json (RFC 9457), which \
         `on error KIND respond …` replaces.\n\n",
    );
    table(
        &mut out,
        ["kind", "status", "title"],
        FailureKind::ALL.iter().map(|kind| [code(kind.name()), kind.status().as_str().into(), kind.title().into()]),
    );
    out
}

pub(super) fn defaults() -> String {
    let mut out = format!("# Defaults\n\n{MADE}What holds where no statement says otherwise.\n\n");
    let time = duration_text;
    let (shortest, longest) = defaults::BACKOFF;
    let size = |bytes: u64| {
        if bytes.is_multiple_of(1 << 20) { format!("{}MiB", bytes >> 20) } else { format!("{}KiB", bytes >> 10) }
    };
    let rows = [
        ("timeout total", "a route", "none".into()),
        ("timeout connect", "an upstream", time(defaults::CONNECT)),
        ("timeout response", "a route or upstream", time(defaults::RESPONSE)),
        ("timeout idle", "a route or upstream", time(defaults::IDLE)),
        ("retry", "a route or upstream", defaults::RETRIES.to_string()),
        ("retry … on", "a route or upstream", "connect".into()),
        ("retry … budget", "a route or upstream", format!("{}%", defaults::RETRY_BUDGET)),
        ("retry … backoff", "a route or upstream", format!("{}..{}", time(shortest), time(longest))),
        ("balance", "an upstream", "p2c".into()),
        ("pool max", "an upstream, for each server and worker", defaults::POOL_MAX.to_string()),
        ("pool idle", "an upstream, HTTP/1.1", time(defaults::POOL_IDLE)),
        ("pool idle", "an upstream, HTTP/2", time(defaults::POOL_IDLE_H2)),
        ("protocol", "an upstream", "auto".into()),
        ("every", "a health check", time(defaults::HEALTH_EVERY)),
        ("timeout", "a health check", format!("{}, or its interval if shorter", time(defaults::HEALTH_TIMEOUT))),
        ("healthy after", "a health check", defaults::HEALTHY_AFTER.to_string()),
        ("unhealthy after", "a health check", defaults::UNHEALTHY_AFTER.to_string()),
        ("host", "an upstream", "the server's own".into()),
        ("max requests", "an upstream", "none".into()),
        ("protocols", "an http listener", "h1".into()),
        ("protocols", "an https listener", "h1, h2".into()),
        ("tls min", "an https listener", "1.2".into()),
        ("redirect https port", "a listener", "443".into()),
        ("max connections", "a listener", "none".into()),
        ("header max", "a listener", size(defaults::HEADER_MAX as u64)),
        ("timeout header", "a listener", time(defaults::TIMEOUT_HEADER)),
        ("timeout idle", "a listener", time(defaults::TIMEOUT_IDLE)),
        ("body max", "a route that reads or writes its body", size(defaults::BODY_BUFFER)),
        ("body max", "a route whose body streams", "none".into()),
        ("require … else", "a caller who is known", "403".into()),
        ("require … else", "an anonymous caller", "401".into()),
        ("leeway", "a jwt", time(defaults::LEEWAY)),
        ("from", "a jwt", "header.authorization".into()),
        ("from", "an api-key", "header.x-api-key".into()),
        ("on failure", "a table from a file", "keep".into()),
    ];
    table(
        &mut out,
        ["setting", "of", "default"],
        rows.map(|(setting, of, value)| [code(setting), of.into(), code(&value)]),
    );
    out
}
