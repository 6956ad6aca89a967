//! Paths are normalised once: what was matched is what every check sees and what is sent on.
//!
//! The result is one of RFC 3986's equivalent forms: percent-encoded unreserved characters are decoded, hex digits are
//! upper case, dot segments are gone, characters that no path may have are encoded. What other readers of a path
//! understand in other ways is refused, or flagged for the apis that say `paths allow …`.

use crate::check::routes::PathFlags;
use crate::model::ast::PathAllow;
use crate::model::percent::{Octet, hex, octets};
use std::borrow::Cow;

/// A path as the gateway sees it from here on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Normalised<'a> {
    path: Cow<'a, str>,
    flags: PathFlags,
}

impl<'a> Normalised<'a> {
    /// The path. It begins with `/`, but for the `*` of `OPTIONS *`.
    pub fn as_str(&self) -> &str {
        &self.path
    }

    /// The path, borrowed from the request where it was normal already.
    pub fn into_cow(self) -> Cow<'a, str> {
        self.path
    }

    /// What only an api that allows it accepts.
    pub fn flags(&self) -> PathFlags {
        self.flags
    }

    /// The `*` of `OPTIONS *` (RFC 9112, 3.2.4).
    pub fn is_asterisk(&self) -> bool {
        self.path == "*"
    }
}

/// Why a path is refused, with 400.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PathError {
    /// A backslash, raw or as `%5C`, which some readers take for a slash.
    Backslash,
    /// NUL or another control character, raw or encoded.
    Control,
    /// A `%` without two hex digits behind it.
    PercentEncoding,
    /// Percent-encodings that are not UTF-8, overlong forms among them.
    NotUtf8,
    /// A byte outside ASCII, which must be percent-encoded (RFC 3986).
    NotAscii,
    /// A space or `#`, which ends a path for other readers.
    Delimiter,
    /// More `..` than segments before them.
    LeavesRoot,
    /// A dot segment behind `;` or beside an encoded slash, as in `..;` or `..%2F`, or in a path that has such segments or empty ones:
    /// where it leads depends on the reader.
    HiddenDots,
    /// It does not begin with a slash.
    NotAbsolute,
    /// Servers may read it as a path that another route protects.
    OtherReading,
    /// An encoded slash, empty segment or `;` where the route's api does not allow it.
    NotAllowed(PathAllow),
}

impl std::fmt::Display for PathError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            PathError::Backslash => "the path has a backslash",
            PathError::Control => "the path has a control character",
            PathError::PercentEncoding => "the path has a `%` without two hex digits behind it",
            PathError::NotUtf8 => "the path's percent-encoding is not UTF-8",
            PathError::NotAscii => "the path has a character that must be percent-encoded",
            PathError::Delimiter => "the path has a space or a `#`",
            PathError::LeavesRoot => "the path's `..` segments leave the root",
            PathError::HiddenDots => "the path has dot segments that readers understand differently",
            PathError::NotAbsolute => "the path does not begin with a slash",
            PathError::OtherReading => "servers may read the path as one that another route protects",
            PathError::NotAllowed(PathAllow::EncodedSlash) => {
                "the path has an encoded slash, which is not allowed here"
            }
            PathError::NotAllowed(PathAllow::EmptySegments) => {
                "the path has an empty segment, which is not allowed here"
            }
            PathError::NotAllowed(PathAllow::Semicolon) => "the path has a `;`, which is not allowed here",
        })
    }
}

impl std::error::Error for PathError {}

/// What a byte of a path means.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Byte {
    /// Stands for itself.
    Plain,
    /// `/`
    Slash,
    /// `.`
    Dot,
    /// `;`
    Semicolon,
    /// `%`
    Percent,
    /// No path may have it, and every reader knows what is meant: it is encoded.
    Encode,
    /// Refused.
    Refuse(PathError),
}

const fn byte(b: u8) -> Byte {
    match b {
        b'/' => Byte::Slash,
        b'.' => Byte::Dot,
        b';' => Byte::Semicolon,
        b'%' => Byte::Percent,
        b'\\' => Byte::Refuse(PathError::Backslash),
        0..=0x1F | 0x7F => Byte::Refuse(PathError::Control),
        0x80.. => Byte::Refuse(PathError::NotAscii),
        b' ' | b'#' => Byte::Refuse(PathError::Delimiter),
        b'"' | b'<' | b'>' | b'^' | b'`' | b'{' | b'|' | b'}' | b'[' | b']' | b'?' => Byte::Encode,
        _ => Byte::Plain,
    }
}

/// The bytes that need no second look, dots and single slashes aside.
#[allow(clippy::indexing_slicing, reason = "evaluated by the compiler")]
static PLAIN: [bool; 256] = {
    let mut table = [false; 256];
    let mut b = 0;
    while b < 256 {
        table[b] = matches!(byte(b as u8), Byte::Plain);
        b += 1;
    }
    table
};

/// Normalises the path of a request target, without its query. The empty path is `/`.
pub fn normalise(raw: &str) -> Result<Normalised<'_>, PathError> {
    match raw {
        "" => return Ok(Normalised { path: Cow::Borrowed("/"), flags: PathFlags::NONE }),
        "*" => return Ok(Normalised { path: Cow::Borrowed("*"), flags: PathFlags::NONE }),
        _ if !raw.starts_with('/') => return Err(refused(raw).unwrap_or(PathError::NotAbsolute)),
        _ if is_plain(raw) => return Ok(Normalised { path: Cow::Borrowed(raw), flags: PathFlags::NONE }),
        _ => {}
    }
    let path = recode(raw)?;
    let (flags, dots) = inspect(&path)?;
    let path = if dots { Cow::Owned(without_dots(&path)?) } else { path };
    Ok(Normalised { path, flags })
}

/// It is normal and nothing in it is special: one pass, no allocation. A path with a segment that begins with a dot may
/// be normal too, but is left to those who look closer.
fn is_plain(raw: &str) -> bool {
    // Without a branch on the byte: a wrong guess at each slash costs more than the pass.
    let mut behind_slash = false;
    raw.bytes().fold(true, |all, b| {
        let plain = PLAIN.get(b as usize).copied().unwrap_or(false) | (matches!(b, b'/' | b'.') & !behind_slash);
        behind_slash = b == b'/';
        all & plain
    })
}

/// The first byte that no path may have.
fn refused(raw: &str) -> Option<PathError> {
    raw.bytes().find_map(|b| match byte(b) {
        Byte::Refuse(error) => Some(error),
        _ => None,
    })
}

/// Decodes what is unreserved, encodes what no path may have, refuses what is broken.
fn recode(raw: &str) -> Result<Cow<'_, str>, PathError> {
    let mut out: Option<String> = None;
    let mut encoded = false;
    let mut at = 0;
    while let Some(&b) = raw.as_bytes().get(at) {
        let mut triple = [0; 3];
        let (piece, taken): (&str, usize) = match byte(b) {
            Byte::Refuse(error) => return Err(error),
            Byte::Percent => {
                let digit = |i: usize| raw.as_bytes().get(at + i).copied().and_then(hex);
                let (Some(high), Some(low)) = (digit(1), digit(2)) else { return Err(PathError::PercentEncoding) };
                let value = high << 4 | low;
                if let Byte::Refuse(error @ (PathError::Backslash | PathError::Control)) = byte(value) {
                    return Err(error);
                }
                encoded |= value >= 0x80;
                (if is_unreserved(value) { literal(value, &mut triple) } else { percent(value, &mut triple) }, 3)
            }
            Byte::Encode => (percent(b, &mut triple), 1),
            Byte::Plain | Byte::Slash | Byte::Dot | Byte::Semicolon => (raw.get(at..at + 1).unwrap_or_default(), 1),
        };
        if out.is_none() && raw.get(at..at + taken) != Some(piece) {
            out = Some(raw.get(..at).unwrap_or_default().to_owned());
        }
        if let Some(out) = &mut out {
            out.push_str(piece);
        }
        at += taken;
    }
    let path = out.map_or(Cow::Borrowed(raw), Cow::Owned);
    if encoded && !is_utf8(&path) { Err(PathError::NotUtf8) } else { Ok(path) }
}

/// Whether the percent-encodings of a path whose triples are whole stand for UTF-8.
fn is_utf8(path: &str) -> bool {
    let bytes: Vec<u8> = octets(path.as_bytes()).map(Octet::byte).collect();
    std::str::from_utf8(&bytes).is_ok()
}

/// What is special about the segments, and whether there are dot segments to remove.
fn inspect(path: &str) -> Result<(PathFlags, bool), PathError> {
    let (mut flags, mut dots) = (PathFlags::NONE, false);
    let mut segments = path.split('/').skip(1).peekable();
    while let Some(segment) = segments.next() {
        if is_dots(segment) {
            dots = true;
            continue;
        }
        if segment.is_empty() && segments.peek().is_some() {
            flags = flags.with(PathAllow::EmptySegments);
        }
        let semicolon = segment.contains(';') || segment.contains("%3B");
        let slash = segment.contains("%2F");
        if semicolon {
            flags = flags.with(PathAllow::Semicolon);
        }
        if slash {
            flags = flags.with(PathAllow::EncodedSlash);
        }
        if (semicolon || slash) && hides_dots(segment) {
            return Err(PathError::HiddenDots);
        }
    }
    if dots && !flags.is_empty() { Err(PathError::HiddenDots) } else { Ok((flags, dots)) }
}

/// A reader that decodes slashes or strips parameters finds a dot segment in it.
fn hides_dots(segment: &str) -> bool {
    segment.split("%2F").any(|piece| {
        let piece = piece.split_once("%3B").map_or(piece, |(head, _)| head);
        is_dots(piece.split_once(';').map_or(piece, |(head, _)| head))
    })
}

fn is_dots(segment: &str) -> bool {
    matches!(segment, "." | "..")
}

/// RFC 3986, 5.2.4; leaving the root is an error. There are no empty segments.
fn without_dots(path: &str) -> Result<String, PathError> {
    let mut out = String::with_capacity(path.len());
    let mut ends_in_dots = false;
    for segment in path.split('/').skip(1) {
        ends_in_dots = is_dots(segment);
        match segment {
            "." => {}
            ".." => out.truncate(out.rfind('/').ok_or(PathError::LeavesRoot)?),
            _ => {
                out.push('/');
                out.push_str(segment);
            }
        }
    }
    if ends_in_dots || out.is_empty() {
        out.push('/');
    }
    Ok(out)
}

fn is_unreserved(b: u8) -> bool {
    b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_' | b'~')
}

fn percent(b: u8, buffer: &mut [u8; 3]) -> &str {
    let digit = |d: u8| char::from_digit(u32::from(d), 16).map_or(b'0', |c| c.to_ascii_uppercase() as u8);
    *buffer = [b'%', digit(b >> 4), digit(b & 15)];
    std::str::from_utf8(buffer).unwrap_or_default()
}

fn literal(b: u8, buffer: &mut [u8; 3]) -> &str {
    *buffer = [b; 3];
    buffer.get(..1).and_then(|b| std::str::from_utf8(b).ok()).unwrap_or_default()
}

/// A text as one segment of a path: a slash in it, and whatever readers might take for more than text, is encoded.
pub fn encode_segment(value: &str) -> Cow<'_, str> {
    let keep = |b: u8| {
        is_unreserved(b)
            || matches!(b, b'!' | b'$' | b'&' | b'\'' | b'(' | b')' | b'*' | b'+' | b',' | b'=' | b':' | b'@')
    };
    if value.bytes().all(keep) {
        return Cow::Borrowed(value);
    }
    let mut out = String::with_capacity(value.len() + 8);
    for b in value.bytes() {
        let mut triple = [0; 3];
        out.push_str(if keep(b) { literal(b, &mut triple) } else { percent(b, &mut triple) });
    }
    Cow::Owned(out)
}

/// A text with nothing in it that no URL may have: what stands for itself in one stays, percent-encodings among it.
pub fn encode_url(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let bytes = text.as_bytes();
    for (at, &b) in bytes.iter().enumerate() {
        let is_hex = |ahead: usize| bytes.get(at.saturating_add(ahead)).is_some_and(u8::is_ascii_hexdigit);
        let stands = match b {
            b'%' => is_hex(1) && is_hex(2),
            _ => is_unreserved(b) || b":/?#[]@!$&'()*+,;=".contains(&b),
        };
        let mut triple = [0; 3];
        out.push_str(if stands { literal(b, &mut triple) } else { percent(b, &mut triple) });
    }
    out
}

/// Whether a text would make a dot segment of a path, for some reader: `..`, `..;x`, `../x`, `a\..`.
pub fn makes_dot_segment(value: &str) -> bool {
    // Most have no dot at all.
    value.contains('.')
        && value.split(['/', '\\']).any(|piece| is_dots(piece.split_once(';').map_or(piece, |(head, _)| head)))
}

/// The parts of a request target (RFC 9112, 3.2) or of a URL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Target<'t> {
    /// The authority of the absolute form, which replaces `Host`.
    pub authority: Option<&'t str>,
    /// The path as it came.
    pub path: &'t str,
    /// The query, without its `?`.
    pub query: Option<&'t str>,
}

impl<'t> Target<'t> {
    /// Takes apart the origin form, the absolute form and `*`.
    pub fn parse(raw: &'t str) -> Result<Target<'t>, PathError> {
        let (authority, rest) = match raw.split_once("://") {
            Some((scheme, rest)) if is_scheme(scheme) => {
                let end = rest.find(['/', '?', '#', '\\']).unwrap_or(rest.len());
                (rest.get(..end), rest.get(end..).unwrap_or_default())
            }
            _ => (None, raw),
        };
        if rest.contains('#') {
            return Err(PathError::Delimiter);
        }
        let (path, query) = rest.split_once('?').map_or((rest, None), |(path, query)| (path, Some(query)));
        if authority.is_none() && path != "*" && !path.starts_with('/') {
            return Err(PathError::NotAbsolute);
        }
        Ok(Target { authority, path, query })
    }
}

fn is_scheme(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.'))
}

#[cfg(test)]
#[path = "path_tests.rs"]
mod tests;
