//! What differs between two texts, line by line.

use std::fmt::Write;

/// Lines shown around a change.
const CONTEXT: usize = 3;
/// The largest table of the longest common subsequence; beyond it the middle is shown as replaced.
const TABLE: usize = 16_000_000;

/// A unified diff from `old` to `new`; empty where they are equal.
pub fn unified(name: &str, old: &str, new: &str) -> String {
    if old == new {
        return String::new();
    }
    let changes = changes(&lines(old), &lines(new));
    let mut out = format!("--- {name}\n+++ {name} (formatted)\n");
    for hunk in hunks(&changes) {
        let before = &changes[..hunk.start];
        let shown = &changes[hunk];
        let count = |list: &[Change], skip: char| list.iter().filter(|c| c.sign != skip).count();
        let (old_start, new_start) = (count(before, '+') + 1, count(before, '-') + 1);
        let _ = writeln!(out, "@@ -{old_start},{} +{new_start},{} @@", count(shown, '+'), count(shown, '-'));
        for change in shown {
            let _ = writeln!(out, "{}{}", change.sign, change.line.trim_end_matches('\n'));
            if !change.line.ends_with('\n') {
                out.push_str("\\ No newline at end of file\n");
            }
        }
    }
    out
}

/// A line that stays (` `), goes (`-`) or comes (`+`).
struct Change<'t> {
    sign: char,
    line: &'t str,
}

fn lines(text: &str) -> Vec<&str> {
    text.split_inclusive('\n').collect()
}

fn changes<'t>(old: &[&'t str], new: &[&'t str]) -> Vec<Change<'t>> {
    let same = |sign| move |line: &&'t str| Change { sign, line };
    let head = old.iter().zip(new).take_while(|(a, b)| a == b).count();
    let tail = old[head..].iter().rev().zip(new[head..].iter().rev()).take_while(|(a, b)| a == b).count();
    let (a, b) = (&old[head..old.len() - tail], &new[head..new.len() - tail]);
    let mut all: Vec<Change> = old[..head].iter().map(same(' ')).collect();
    if a.len().saturating_mul(b.len()) > TABLE {
        all.extend(a.iter().map(same('-')));
        all.extend(b.iter().map(same('+')));
    } else {
        middle(a, b, &mut all);
    }
    all.extend(old[old.len() - tail..].iter().map(same(' ')));
    all
}

/// By the longest common subsequence of the lines.
fn middle<'t>(a: &[&'t str], b: &[&'t str], all: &mut Vec<Change<'t>>) {
    let width = b.len() + 1;
    // table[i][j]: the length of the longest common subsequence of a[i..] and b[j..].
    let mut table = vec![0u32; (a.len() + 1) * width];
    for i in (0..a.len()).rev() {
        for j in (0..b.len()).rev() {
            table[i * width + j] = if a[i] == b[j] {
                table[(i + 1) * width + j + 1] + 1
            } else {
                table[(i + 1) * width + j].max(table[i * width + j + 1])
            };
        }
    }
    let (mut i, mut j) = (0, 0);
    while i < a.len() || j < b.len() {
        if i < a.len() && j < b.len() && a[i] == b[j] {
            all.push(Change { sign: ' ', line: a[i] });
            (i, j) = (i + 1, j + 1);
        } else if j == b.len() || (i < a.len() && table[(i + 1) * width + j] >= table[i * width + j + 1]) {
            all.push(Change { sign: '-', line: a[i] });
            i += 1;
        } else {
            all.push(Change { sign: '+', line: b[j] });
            j += 1;
        }
    }
}

/// The ranges of changes with their context, those that touch joined.
fn hunks(changes: &[Change]) -> Vec<std::ops::Range<usize>> {
    let mut hunks: Vec<std::ops::Range<usize>> = Vec::new();
    for (i, _) in changes.iter().enumerate().filter(|(_, c)| c.sign != ' ') {
        let (start, end) = (i.saturating_sub(CONTEXT), (i + CONTEXT + 1).min(changes.len()));
        match hunks.last_mut() {
            Some(last) if last.end >= start => last.end = end,
            _ => hunks.push(start..end),
        }
    }
    hunks
}

#[cfg(test)]
mod tests {
    use super::unified;

    #[test]
    fn equal_texts_have_no_difference() {
        assert_eq!(unified("a", "x\n", "x\n"), "");
    }

    #[test]
    fn a_line_that_changes_and_one_that_goes() {
        let old = "1\n2\n3\n4\n5\n6\n7\n8\n9\n10\n11\n12\n";
        let new = "1\n2\n3\n4\n5\nsix\n7\n8\n9\n10\n11";
        let expected = "--- a\n+++ a (formatted)\n@@ -3,10 +3,9 @@\n 3\n 4\n 5\n-6\n+six\n 7\n 8\n 9\n 10\n-11\n-12\n+11\n\\ No newline at end of file\n";
        assert_eq!(unified("a", old, new), expected);
    }

    #[test]
    fn far_changes_are_apart() {
        let old: String = (0..40).map(|i| format!("{i}\n")).collect();
        let new = old.replacen("2\n", "two\n", 1).replacen("30\n", "", 1);
        let diff = unified("a", &old, &new);
        assert!(diff.contains("@@ -1,6 +1,6 @@\n"), "{diff}");
        assert!(diff.contains("@@ -28,7 +28,6 @@\n"), "{diff}");
    }
}
