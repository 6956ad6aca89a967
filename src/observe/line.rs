//! Events as lines: JSON for machines, text for people. Each is written once, into one buffer.

use super::sink::Sink;
use jiff::Timestamp;
use std::cell::RefCell;
use std::fmt::{self, Debug, Write as _};
use std::io::Write as _;
use std::sync::Arc;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    Json,
    Text,
}

/// Hears events of this crate, and warnings of others.
pub(super) struct Lines {
    format: Format,
    level: Level,
    access: bool,
    sink: Arc<Sink>,
}

impl Lines {
    pub(super) fn new(format: Format, level: Level, access: bool, sink: Arc<Sink>) -> Lines {
        Lines { format, level, access, sink }
    }
}

thread_local! {
    static LINE: RefCell<Vec<u8>> = RefCell::new(Vec::with_capacity(512));
}

impl Subscriber for Lines {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        let target = metadata.target();
        let own = target.starts_with("gw");
        !metadata.is_span()
            && (self.access || target != super::access::TARGET)
            && *metadata.level() <= if own { self.level } else { self.level.min(Level::WARN) }
    }

    fn max_level_hint(&self) -> Option<tracing::level_filters::LevelFilter> {
        Some(self.level.into())
    }

    fn event(&self, event: &Event<'_>) {
        LINE.with(|line| {
            // An event while another is written (a `Debug` that logs) has no buffer, and is not worth one.
            let Ok(mut line) = line.try_borrow_mut() else { return };
            line.clear();
            write_event(self.format, event, Timestamp::now(), &mut line);
            self.sink.add(&line);
        });
    }

    // No spans: a request is one event at its end.
    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }
    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

fn write_event(format: Format, event: &Event<'_>, now: Timestamp, out: &mut Vec<u8>) {
    let level = event.metadata().level();
    match format {
        Format::Json => {
            let _ = write!(out, "{{\"time\":\"{now:.3}\",\"level\":\"{}\"", lower(*level));
            event.record(&mut Json(out));
            out.extend_from_slice(b"}\n");
        }
        Format::Text => {
            let _ = write!(out, "{now:.3} {level:5}");
            event.record(&mut Text(out));
            out.push(b'\n');
        }
    }
}

fn lower(level: Level) -> &'static str {
    match level {
        Level::ERROR => "error",
        Level::WARN => "warn",
        Level::INFO => "info",
        Level::DEBUG => "debug",
        Level::TRACE => "trace",
    }
}

/// Writes fields as members of an object. A `Debug` value under the name `tags` is one already.
struct Json<'a>(&'a mut Vec<u8>);

impl Json<'_> {
    fn name(&mut self, field: &Field) {
        self.0.extend_from_slice(b",\"");
        self.0.extend_from_slice(field.name().as_bytes());
        self.0.extend_from_slice(b"\":");
    }
}

impl Visit for Json<'_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.name(field);
        write_json(self.0, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.name(field);
        let _ = write!(self.0, "{value}");
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.name(field);
        let _ = write!(self.0, "{value}");
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.name(field);
        let _ = if value.is_finite() { write!(self.0, "{value:.3}") } else { write!(self.0, "null") };
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.name(field);
        let _ = write!(self.0, "{value}");
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.name(field);
        if field.name() == "tags" {
            let _ = write!(self.0, "{value:?}");
            return;
        }
        self.0.push(b'"');
        let _ = write!(Escaped(self.0), "{value:?}");
        self.0.push(b'"');
    }
}

/// Writes `name=value`, the message first.
struct Text<'a>(&'a mut Vec<u8>);

impl Visit for Text<'_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        if value.contains([' ', '"', '=']) || value.is_empty() || value.contains(char::is_control) {
            let _ = write!(self.0, " {}=", field.name());
            write_json(self.0, value);
        } else {
            let _ = write!(self.0, " {}={value}", field.name());
        }
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        let _ = write!(self.0, " {}={value:.3}", field.name());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        if field.name() == "message" {
            let _ = write!(self.0, " {value:?}");
        } else {
            let _ = write!(self.0, " {}={value:?}", field.name());
        }
    }
}

/// A text as a JSON string.
pub(super) fn write_json(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    let _ = Escaped(out).write_str(text);
    out.push(b'"');
}

/// Escapes what a JSON string may not have (RFC 8259, section 7).
struct Escaped<'a>(&'a mut Vec<u8>);

impl fmt::Write for Escaped<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let mut rest = text.as_bytes();
        while let Some(at) = rest.iter().position(|b| *b < b' ' || matches!(b, b'"' | b'\\' | 0x7f)) {
            let (plain, special) = rest.split_at_checked(at).unwrap_or((rest, b""));
            self.0.extend_from_slice(plain);
            let Some((b, tail)) = special.split_first() else { break };
            let _ = match b {
                b'"' | b'\\' => self.0.write_all(&[b'\\', *b]),
                b'\n' => self.0.write_all(b"\\n"),
                b'\t' => self.0.write_all(b"\\t"),
                b => write!(self.0, "\\u{b:04x}"),
            };
            rest = tail;
        }
        self.0.extend_from_slice(rest);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_text_is_a_json_string() {
        for text in ["", "plain", "a\"b\\c", "\n\t\r\0\u{1f}\u{7f}", "ä€😀"] {
            let mut out = Vec::new();
            write_json(&mut out, text);
            assert_eq!(serde_json::from_slice::<String>(&out).unwrap(), text);
        }
    }
}
