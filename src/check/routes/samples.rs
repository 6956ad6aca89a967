//! Paths that stand for all paths two patterns have in common: enough to tell who answers what.

use super::fit;
use crate::model::ast::{ParamType, Pattern, Segment};
use regex_syntax::hir::{Class, Hir, HirKind};

/// Beyond this many combinations, the segments are varied one at a time.
const COMBINATIONS: usize = 96;
/// Texts that are of no type. No expression, literal or affix is likely to fit them all.
const FRESH: [&str; 3] = ["x", "gw-7340283", "~_Z"];

/// Paths that fit the segments of both patterns; values for typed parameters are of the type and not of it.
/// `depth` is how far below a shared `{rest...}` to go.
pub(super) fn common_paths(a: &Pattern, b: &Pattern, depth: usize) -> Vec<String> {
    let (a_fixed, a_rest) = split_rest(a);
    let (b_fixed, b_rest) = split_rest(b);
    let len = a_fixed.len().max(b_fixed.len());
    if (a_fixed.len() < len && !a_rest) || (b_fixed.len() < len && !b_rest) {
        return Vec::new();
    }
    let values: Vec<_> = (0..len).map(|at| segment_values(a_fixed.get(at), b_fixed.get(at))).collect();
    if values.iter().any(Vec::is_empty) {
        return Vec::new();
    }
    let tails: Vec<String> = match (a_rest, b_rest) {
        (true, true) => {
            let below = (0..=depth).map(|n| format!("/{}", FRESH[1]).repeat(n)).chain([format!("/{}", FRESH[0])]);
            let mut tails: Vec<_> = below.flat_map(|tail| [tail.clone(), tail + "/"]).collect();
            tails.push(format!("//{}", FRESH[0]));
            tails
        }
        // The other form is only of use to those that ignore it; the others do not fit.
        _ => vec![String::new(), "/".into()],
    };
    let mut paths = Vec::new();
    for head in combinations(&values) {
        paths.extend(tails.iter().map(|tail| format!("{head}{tail}")).filter(|path| !path.is_empty()));
    }
    paths
}

fn split_rest(pattern: &Pattern) -> (&[Segment], bool) {
    match pattern.segments.split_last() {
        Some((Segment::Rest(_), fixed)) => (fixed, true),
        _ => (&pattern.segments, false),
    }
}

/// All combinations, or where those are too many a selection in which each value occurs.
fn combinations(values: &[Vec<String>]) -> Vec<String> {
    let all: usize = values.iter().map(Vec::len).fold(1, usize::saturating_mul);
    if all <= COMBINATIONS {
        return values.iter().fold(vec![String::new()], |heads, values| {
            heads.iter().flat_map(|head| values.iter().map(move |value| format!("{head}/{value}"))).collect()
        });
    }
    let most = values.iter().map(Vec::len).max().unwrap_or(0);
    let join = |pick: &dyn Fn(usize) -> usize| -> String {
        values.iter().enumerate().map(|(at, v)| format!("/{}", v[pick(at) % v.len()])).collect()
    };
    let diagonal = (0..most).map(|n| join(&|_| n));
    let single = (0..values.len()).flat_map(|at| (0..most).map(move |n| (at, n)));
    diagonal.chain(single.map(|(at, n)| join(&|i| if i == at { n } else { 0 }))).collect()
}

/// Texts of one segment that fit the literals and affixes of both; where one pattern has ended in `{rest...}`, of the other.
fn segment_values(a: Option<&Segment>, b: Option<&Segment>) -> Vec<String> {
    let both = [a, b];
    let segments = || both.into_iter().flatten();
    let mut values = Vec::new();
    if let Some(text) = segments().find_map(|s| if let Segment::Literal(text) = s { Some(text) } else { None }) {
        values.push(text.to_string());
    } else {
        let mut affixes: Vec<(&str, &str)> = segments()
            .filter_map(|s| {
                if let Segment::Param { prefix, suffix, .. } = s {
                    Some((prefix.as_str(), suffix.as_str()))
                } else {
                    None
                }
            })
            .collect();
        let longest = (
            affixes.iter().map(|(p, _)| *p).max_by_key(|p| p.len()).unwrap_or(""),
            affixes.iter().map(|(_, s)| *s).max_by_key(|s| s.len()).unwrap_or(""),
        );
        affixes.push(longest);
        affixes.sort_unstable();
        affixes.dedup();
        let mut texts: Vec<String> = segments()
            .filter_map(|s| if let Segment::Param { ty, .. } = s { Some(ty) } else { None })
            .flat_map(of_type)
            .collect();
        texts.extend(FRESH.map(str::to_owned));
        for text in &texts {
            values.extend(affixes.iter().map(|(prefix, suffix)| format!("{prefix}{text}{suffix}")));
        }
    }
    let fits = |value: &String| {
        segments().all(|s| match s {
            Segment::Literal(text) => text == value,
            Segment::Param { prefix, suffix, .. } => fit::between(value, prefix, suffix).is_some(),
            Segment::Rest(_) => true,
        })
    };
    let mut seen = std::collections::HashSet::new();
    values.retain(|value| fits(value) && seen.insert(value.clone()));
    values
}

/// Values of a type, as they stand in a path.
fn of_type(ty: &ParamType) -> Vec<String> {
    let fixed: &[&str] = match ty {
        ParamType::String => &[],
        ParamType::Int => &["1", "7340283", "-7340283"],
        ParamType::Uint => &["1", "7340283"],
        ParamType::Uuid => &["67e55044-10b1-426f-9247-bb680e5fe0c8", "00000000-0000-4000-8000-000007340283"],
        ParamType::Date => &["2024-02-29", "1734-02-08"],
        ParamType::Matches(regex) => return matching(regex),
    };
    fixed.iter().map(|s| (*s).to_owned()).collect()
}

/// A few texts that an expression matches.
fn matching(regex: &regex::Regex) -> Vec<String> {
    let Ok(hir) = regex_syntax::parse(regex.as_str()) else { return Vec::new() };
    let mut texts: Vec<String> = (0..4)
        .filter_map(|pick| {
            let mut text = String::new();
            write(&hir, pick, &mut text)?;
            let plain = text.bytes().all(|b| !b.is_ascii_control() && !matches!(b, b'/' | b'\\' | b';'));
            (plain && !text.is_empty() && text != "." && text != ".." && regex.is_match(&text)).then(|| encode(&text))
        })
        .collect();
    texts.dedup();
    texts
}

/// Writes a text that the expression matches, taking the `pick`th way where there are several.
fn write(hir: &Hir, pick: usize, out: &mut String) -> Option<()> {
    /// Longer texts are no use to anyone.
    const LONGEST: usize = 256;
    match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => {}
        HirKind::Literal(literal) => out.push_str(std::str::from_utf8(&literal.0).ok()?),
        HirKind::Class(Class::Unicode(class)) => {
            let plain = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '~');
            let of = |n: usize| {
                class
                    .ranges()
                    .iter()
                    .rev()
                    .cycle()
                    .nth(n)
                    .map(|r| if n.is_multiple_of(2) { r.start() } else { r.end() })
            };
            let chosen = (pick..pick + 8).filter_map(of).find(plain);
            // Ranges such as that of `.` begin and end far from what people write.
            let inside = || {
                ['a', 'Z', '7', '-']
                    .into_iter()
                    .cycle()
                    .skip(pick)
                    .take(4)
                    .find(|c| class.ranges().iter().any(|r| r.start() <= *c && *c <= r.end()))
            };
            out.push(chosen.or_else(inside).or_else(|| of(pick))?);
        }
        HirKind::Class(Class::Bytes(class)) => {
            out.push(char::from(class.ranges().get(pick % class.ranges().len().max(1))?.start()))
        }
        HirKind::Repetition(repetition) => {
            let most = repetition.max.unwrap_or(u32::MAX);
            let times = repetition
                .min
                .saturating_add((pick % 3) as u32)
                .min(most)
                .max(u32::from(most > 0 && pick.is_multiple_of(2)))
                .max(repetition.min);
            for _ in 0..times {
                write(&repetition.sub, pick, out)?;
                if out.len() > LONGEST {
                    return None;
                }
            }
        }
        HirKind::Capture(capture) => write(&capture.sub, pick, out)?,
        HirKind::Concat(parts) => parts.iter().try_for_each(|part| write(part, pick, out))?,
        HirKind::Alternation(ways) => write(ways.get(pick % ways.len())?, pick, out)?,
    }
    Some(())
}

/// As it stands in a normalised path.
fn encode(text: &str) -> String {
    let keep = |b: u8| b.is_ascii_alphanumeric() || b"-._~!$&'()*+,=:@".contains(&b);
    text.bytes().map(|b| if keep(b) { char::from(b).to_string() } else { format!("%{b:02X}") }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::routes::testing::pattern;

    #[test]
    fn expressions_give_texts_that_they_match() {
        for expression in ["[a-z]+", "a|bc|[0-9]{3}", ".+", "(x-)?[^a-z]{2,}", "caf[é]", r"\d+\.\d+", "v[12]"] {
            let regex = regex::Regex::new(&format!("^(?:{expression})$")).unwrap();
            let texts = matching(&regex);
            assert!(!texts.is_empty(), "{expression}");
            for text in texts {
                assert!(fit::accepts(&ParamType::Matches(regex.clone()), &text), "{expression}: {text}");
            }
        }
    }

    #[test]
    fn common_paths_fit_both_patterns() {
        let paths = |a: &str, b: &str| common_paths(&pattern(a), &pattern(b), 0);
        assert_eq!(paths("/a/{x: int}", "/{y}/b"), ["/a/b", "/a/b/"]);
        assert_eq!(paths("/a/b", "/a/{rest...}"), ["/a/b", "/a/b/"]);
        assert!(paths("/a-{x}", "/{y}-b").contains(&"/a-x-b".to_owned()));
        assert!(paths("/a", "/b").is_empty());
        assert!(paths("/a/b", "/a").is_empty());
    }
}
