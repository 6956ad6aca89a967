//! A path cut into its segments, and parameters read from them.

use crate::model::ast::ParamType;
use crate::model::percent::{Octet, octets};
use crate::model::value::Value;
use std::borrow::Cow;

/// As many segments of a path are found without counting slashes again.
const INLINE: usize = 16;

/// A normalised path, cut at its slashes once.
#[derive(Clone, Copy, Debug)]
pub struct Split<'p> {
    path: &'p str,
    starts: [u32; INLINE],
    len: u32,
    slash: bool,
}

impl<'p> Split<'p> {
    /// Cuts a path that begins with `/`. `/a/b/` has two segments and a trailing slash; `/` has none and one.
    pub fn new(path: &'p str) -> Split<'p> {
        let mut starts = [0u32; INLINE];
        let mut len = 0;
        // Without a branch on the byte: where slashes stand is new with each request, and a wrong guess costs more than the pass.
        for (at, b) in path.bytes().enumerate() {
            if let Some(start) = starts.get_mut(len) {
                *start = at as u32 + 1;
            }
            len += usize::from(b == b'/');
        }
        let slash = path.ends_with('/');
        Split { path, starts, len: (len - usize::from(slash)) as u32, slash }
    }

    /// How many segments there are.
    pub fn len(&self) -> usize {
        self.len as usize
    }

    /// There are none: the path is `/`.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// It ends in a slash.
    pub fn trailing_slash(&self) -> bool {
        self.slash
    }

    /// The whole path.
    pub fn path(&self) -> &'p str {
        self.path
    }

    /// A segment; none behind the last.
    pub fn segment(&self, index: usize) -> Option<&'p str> {
        if index >= self.len() {
            return None;
        }
        let start = self.start(index);
        let end =
            if index + 1 == self.len() { self.path.len() - usize::from(self.slash) } else { self.start(index + 1) - 1 };
        self.path.get(start..end)
    }

    /// Everything from the slash before the segment `index` on: empty where the path ends without one.
    pub fn tail(&self, index: usize) -> &'p str {
        match index.cmp(&self.len()) {
            std::cmp::Ordering::Less => self.path.get(self.start(index) - 1..).unwrap_or(""),
            _ if self.slash => "/",
            _ => "",
        }
    }

    fn start(&self, index: usize) -> usize {
        match self.starts.get(index) {
            Some(start) => *start as usize,
            None => self
                .path
                .bytes()
                .enumerate()
                .filter(|(_, b)| *b == b'/')
                .nth(index)
                .map_or(self.path.len(), |(at, _)| at + 1),
        }
    }
}

/// What a parameter takes of a segment: what stands between prefix and suffix, if there is anything.
pub fn between<'p>(segment: &'p str, prefix: &str, suffix: &str) -> Option<&'p str> {
    if prefix.is_empty() && suffix.is_empty() {
        return Some(segment).filter(|value| !value.is_empty());
    }
    let value = segment.strip_prefix(prefix)?.strip_suffix(suffix)?;
    // A suffix that begins in hex digits must not cut a percent-encoding in two.
    let cut = !suffix.is_empty() && value.bytes().rev().take(2).any(|b| b == b'%');
    (!value.is_empty() && !cut).then_some(value)
}

/// The text that a normalised piece of a path stands for.
pub fn decode(raw: &str) -> Cow<'_, str> {
    if !raw.contains('%') {
        return Cow::Borrowed(raw);
    }
    let bytes: Vec<u8> = octets(raw.as_bytes()).map(Octet::byte).collect();
    // What was normalised is UTF-8; anything else can only come from a caller that did not.
    Cow::Owned(String::from_utf8(bytes).unwrap_or_else(|e| String::from_utf8_lossy(e.as_bytes()).into_owned()))
}

/// Whether a raw piece of a path is of the type.
pub fn accepts(ty: &ParamType, raw: &str) -> bool {
    match ty {
        ParamType::Matches(regex) => whole(regex, &decode(raw)),
        ty => Plain::of(ty).is_some_and(|ty| ty.accepts(raw)),
    }
}

/// The value of a raw piece of a path, if it is of the type.
pub fn parse<'p>(ty: &ParamType, raw: &'p str) -> Option<Value<'p>> {
    match ty {
        ParamType::Matches(regex) => Some(decode(raw)).filter(|text| whole(regex, text)).map(Value::Str),
        ty => Plain::of(ty)?.parse(raw),
    }
}

/// A type of parameters without a pattern of its own.
#[derive(Clone, Copy, Debug)]
pub enum Plain {
    /// Any text.
    Text,
    /// A signed 64-bit integer.
    Int,
    /// One that is not negative.
    Uint,
    /// A UUID.
    Uuid,
    /// A date.
    Date,
}

impl Plain {
    /// None for `matches`.
    pub fn of(ty: &ParamType) -> Option<Plain> {
        Some(match ty {
            ParamType::String => Plain::Text,
            ParamType::Int => Plain::Int,
            ParamType::Uint => Plain::Uint,
            ParamType::Uuid => Plain::Uuid,
            ParamType::Date => Plain::Date,
            ParamType::Matches(_) => return None,
        })
    }

    /// Whether a segment is of this type.
    pub fn accepts(self, raw: &str) -> bool {
        // A percent-encoding never stands for a letter, digit or `-` in a normalised path.
        matches!(self, Plain::Text) || self.parse(raw).is_some()
    }

    /// The value of a segment, if it is of this type.
    pub fn parse(self, raw: &str) -> Option<Value<'_>> {
        match self {
            Plain::Text => Some(Value::Str(decode(raw))),
            Plain::Int => int(raw).map(Value::Int),
            Plain::Uint => int(raw).filter(|_| !raw.starts_with('-')).map(Value::Int),
            Plain::Uuid => uuid(raw).map(Value::Uuid),
            Plain::Date => date(raw).map(Value::Date),
        }
    }
}

/// Plain decimal: no `+`, no leading zeros, no `-0`, so that one number has one path.
fn int(raw: &str) -> Option<i64> {
    let digits = raw.strip_prefix('-').unwrap_or(raw);
    let plain = match digits.as_bytes() {
        [b'0'] => raw.len() == 1,
        [b'1'..=b'9', ..] => true,
        _ => false,
    };
    if plain { raw.parse().ok() } else { None }
}

/// Hyphenated only: 8-4-4-4-12.
fn uuid(raw: &str) -> Option<uuid::Uuid> {
    if raw.len() == 36 { uuid::Uuid::try_parse(raw).ok() } else { None }
}

fn date(raw: &str) -> Option<jiff::civil::Date> {
    let [y1, y2, y3, y4, b'-', m1, m2, b'-', d1, d2] = *raw.as_bytes() else { return None };
    let number =
        |digits: &[u8]| digits.iter().try_fold(0i16, |n, d| d.is_ascii_digit().then(|| n * 10 + i16::from(d - b'0')));
    let (year, month, day) = (number(&[y1, y2, y3, y4])?, number(&[m1, m2])?, number(&[d1, d2])?);
    jiff::civil::Date::new(year, month as i8, day as i8).ok()
}

/// The whole text matches. Expressions of parameters come anchored (`^(?:…)$`), so the leftmost match is the whole one.
fn whole(regex: &regex::Regex, text: &str) -> bool {
    regex.find(text).is_some_and(|m| m.start() == 0 && m.end() == text.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_cut_at_their_slashes() {
        let cases: &[(&str, &[&str], bool)] = &[
            ("/", &[], true),
            ("/a", &["a"], false),
            ("/a/", &["a"], true),
            ("/a/b", &["a", "b"], false),
            ("//", &[""], true),
            ("/a//b", &["a", "", "b"], false),
        ];
        for (path, segments, slash) in cases {
            let split = Split::new(path);
            let got: Vec<_> = (0..split.len()).filter_map(|i| split.segment(i)).collect();
            assert_eq!((&got[..], split.trailing_slash()), (*segments, *slash), "{path}");
        }
    }

    #[test]
    fn a_long_path_is_cut_as_a_short_one() {
        let path: String = (0..40).map(|i| format!("/s{i}")).collect();
        let split = Split::new(&path);
        assert_eq!(split.len(), 40);
        for i in 0..40 {
            assert_eq!(split.segment(i), Some(format!("s{i}").as_str()));
        }
        assert_eq!(split.tail(38), "/s38/s39");
        assert_eq!(split.segment(40), None);
    }

    #[test]
    fn the_tail_keeps_the_slash() {
        assert_eq!(Split::new("/admin").tail(1), "");
        assert_eq!(Split::new("/admin/").tail(1), "/");
        assert_eq!(Split::new("/admin/a/b/").tail(1), "/a/b/");
        assert_eq!(Split::new("/").tail(0), "/");
    }

    #[test]
    fn one_number_has_one_path() {
        for good in ["0", "7", "-7", "9223372036854775807", "-9223372036854775808"] {
            assert!(accepts(&ParamType::Int, good), "{good}");
        }
        for bad in ["", "-", "+7", "007", "-0", "1e3", "9223372036854775808", "1 ", "%31", "１"] {
            assert!(!accepts(&ParamType::Int, bad), "{bad}");
        }
        assert!(!accepts(&ParamType::Uint, "-7"));
    }

    #[test]
    fn dates_and_uuids_have_one_form() {
        assert!(accepts(&ParamType::Date, "2024-02-29"));
        for bad in ["2023-02-29", "2024-2-29", "20240229", "2024-13-01", "2024-00-10", "+024-01-01"] {
            assert!(!accepts(&ParamType::Date, bad), "{bad}");
        }
        assert!(accepts(&ParamType::Uuid, "67e55044-10b1-426f-9247-bb680e5fe0c8"));
        assert!(!accepts(&ParamType::Uuid, "67e5504410b1426f9247bb680e5fe0c8"));
        assert!(!accepts(&ParamType::Uuid, "{67e55044-10b1-426f-9247-bb680e5fe0c8}"));
    }

    #[test]
    fn a_suffix_does_not_cut_an_encoding() {
        assert_eq!(between("a%20", "", "0"), None);
        assert_eq!(between("a%200", "", "0"), Some("a%20"));
        assert_eq!(between("report-2024.csv", "report-", ".csv"), Some("2024"));
        assert_eq!(between("report-.csv", "report-", ".csv"), None);
        assert_eq!(between("aa", "aa", "a"), None);
    }
}
