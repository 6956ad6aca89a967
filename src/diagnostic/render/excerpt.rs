//! The few lines of a file that a diagnostic shows, made fit for a terminal.
//!
//! miette draws; it is given only these lines, so drawing costs the same in a file of
//! ten lines and of a hundred thousand. Tabs become spaces, what a terminal would obey
//! becomes visible, and a long line is cut around the words that matter.

use std::ops::Range;

use miette::{MietteError, MietteSpanContents, SourceCode, SourceSpan, SpanContents};
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use crate::source::{SourceFile, Span};

/// A span over more lines than these is shown by its first line.
const MOST_LINES: usize = 5;
/// Lines between two marks that are shown rather than cut out.
const MOST_GAP: usize = 2;
/// The columns that a label is given where they can be had, and the least that it is squeezed into.
const ROOM: Range<usize> = 10..24;
/// How many bytes before and behind a mark are looked at in a very long line.
const LOOK_AROUND: usize = 2000;

/// A marked place and what to say there.
#[derive(Clone)]
pub(super) struct Mark<'a> {
    /// Where it is in the file.
    pub bytes: Range<usize>,
    /// Its lines, from 1.
    pub lines: Range<usize>,
    pub message: &'a str,
    pub primary: bool,
}

impl<'a> Mark<'a> {
    /// The mark of a span; white space at its end and far lines are left out.
    pub fn new(file: &SourceFile, span: Span, message: &'a str, primary: bool) -> Mark<'a> {
        let size = file.text.len();
        let start = file.text.floor_char_boundary((span.start as usize).min(size));
        let end = file.text.ceil_char_boundary((span.end as usize).clamp(start, size));
        let first = file.line_column(start as u32).line;
        let trimmed = start + file.text[start..end].trim_end().len();
        let last = file.line_column(trimmed as u32).line;
        let (end, last) = match last - first < MOST_LINES {
            true if trimmed > start => (trimmed, last),
            true => (end.min(start + 1), first),
            false => (start + file.text[start..].lines().next().unwrap_or("").trim_end().len(), first),
        };
        Mark { bytes: start..end, lines: first..last + 1, message, primary }
    }

    /// What to say there. miette crosses marks that have nothing to say with the lines of the others.
    fn words(&self, alone: bool) -> &'a str {
        if self.message.is_empty() && !alone { "here" } else { self.message }
    }

    /// Whether both can be drawn into one excerpt.
    pub fn near(&self, others: &[Mark]) -> bool {
        let first = others.iter().map(|m| m.lines.start).min().unwrap_or(0);
        let last = others.iter().map(|m| m.lines.end).max().unwrap_or(0);
        self.lines.start <= last + MOST_GAP
            && first <= self.lines.end + MOST_GAP
            && others.iter().all(|m| self.drawn_end() <= m.bytes.start || m.drawn_end() <= self.bytes.start)
    }

    /// Over more than one line.
    fn is_long(&self) -> bool {
        self.lines.len() > 1
    }

    /// An empty mark takes a column too.
    fn drawn_end(&self) -> usize {
        self.bytes.end.max(self.bytes.start + 1)
    }
}

/// Lines of a file with their marks, ready for miette.
pub(super) struct Excerpt {
    name: String,
    text: String,
    first: usize,
    count: usize,
    /// A mark is cut off or covers another, or its message has too little room: better each in an excerpt of its own.
    pub cramped: bool,
    /// The marks, in the order they were given.
    pub drawn: Vec<Drawn>,
}

/// A mark as it is drawn.
#[derive(Clone, Default)]
pub(super) struct Drawn {
    /// Where it is in the excerpt's text.
    pub range: Range<usize>,
    /// Its message, wrapped.
    pub message: Option<String>,
    pub primary: bool,
}

impl Excerpt {
    /// The lines of `file` that `marks` (not empty) touch, in `width` columns less those of the line numbers.
    pub fn new(file: &SourceFile, marks: &[Mark], width: usize, digits: usize) -> Excerpt {
        let first = marks.iter().map(|m| m.lines.start).min().unwrap_or(1);
        let end = marks.iter().map(|m| m.lines.end).max().unwrap_or(2);
        let gutter = 3 + digits + if marks.iter().any(Mark::is_long) { 3 + marks.len() } else { 0 };
        let limit = width.saturating_sub(gutter).max(20);
        let chief = marks.iter().find(|m| m.primary).or(marks.first());
        let place = file.line_column(chief.map_or(0, |m| m.bytes.start as u32));
        let mut excerpt = Excerpt {
            name: format!("{}:{}:{}", clean(&file.name), place.line, place.column),
            text: String::new(),
            first,
            count: end - first,
            cramped: false,
            drawn: marks.iter().map(|m| Drawn { primary: m.primary, ..Drawn::default() }).collect(),
        };
        (first..end).for_each(|number| excerpt.push(file, number, marks, limit));
        excerpt
    }

    /// Adds a line, and what the marks that begin or end in it need of it.
    fn push(&mut self, file: &SourceFile, number: usize, marks: &[Mark], limit: usize) {
        let (raw, begin) = (file.line(number), file.line_start(number));
        let here = || marks.iter().filter(|m| m.lines.contains(&number));
        let inside = |byte: usize| byte.saturating_sub(begin).min(raw.len());
        let anchor = here().min_by_key(|m| !m.primary).map_or(0..0, |m| inside(m.bytes.start)..inside(m.bytes.end));
        let wish = here().map(|m| m.message.width()).max().unwrap_or(0);
        let line = Line::new(raw, anchor, wish, limit);
        let mut taken: Vec<Range<usize>> = Vec::new();
        for (mark, drawn) in marks.iter().zip(&mut self.drawn) {
            if mark.lines.start == number {
                self.cramped |= !line.shows(mark.bytes.start - begin);
                drawn.range = self.text.len() + line.place(mark.bytes.start - begin)..usize::MAX;
            }
            if mark.lines.end != number + 1 {
                continue;
            }
            let end = line.place(mark.bytes.end - begin);
            let columns = match mark.is_long() {
                true => 0..1,
                false => {
                    let from = line.text[..drawn.range.start - self.text.len()].width();
                    from..line.text[..end].width().max(from + 1)
                }
            };
            drawn.range.end = (self.text.len() + end).max(drawn.range.start);
            // miette hangs a message on the middle of its mark: `╰── message`.
            let room = limit.saturating_sub((columns.start + columns.end) / 2 + 4);
            let words = mark.words(marks.len() == 1);
            self.cramped |= room < words.width().min(ROOM.start);
            self.cramped |= taken.iter().any(|other| columns.start < other.end && other.start < columns.end);
            taken.push(columns);
            drawn.message = wrap(words, room.max(ROOM.start));
        }
        self.text.push_str(&line.text);
        self.text.push('\n');
    }

    /// How many digits its longest line number has.
    pub fn digits(&self) -> usize {
        digits(self.first + self.count)
    }
}

impl SourceCode for Excerpt {
    fn read_span<'a>(
        &'a self,
        _: &SourceSpan,
        _: usize,
        _: usize,
    ) -> Result<Box<dyn SpanContents<'a> + 'a>, MietteError> {
        let whole = SourceSpan::from(0..self.text.len());
        let name = self.name.clone();
        Ok(Box::new(MietteSpanContents::new_named(name, self.text.as_bytes(), whole, self.first - 1, 0, self.count)))
    }
}

/// A line as it is shown.
struct Line {
    text: String,
    /// For each character shown: its byte in the file's line and its byte in `text`.
    places: Vec<(usize, usize)>,
}

impl Line {
    /// `raw` in at most `limit` columns, `anchor` in sight and, if it can be had, `wish` columns to the right of it.
    fn new(raw: &str, anchor: Range<usize>, wish: usize, limit: usize) -> Line {
        let low = raw.floor_char_boundary(anchor.start.saturating_sub(LOOK_AROUND));
        let high = raw.ceil_char_boundary((anchor.start + LOOK_AROUND).min(raw.len()));
        let mut cells = Vec::with_capacity(high - low);
        let mut column = 0;
        let (mut from, mut to) = (0, 0);
        for (i, c) in raw[low..high].char_indices() {
            let width = if c == '\t' { 4 - column % 4 } else { visible(c).width().unwrap_or(0) };
            cells.push((low + i, c, column, width));
            if low + i < anchor.start {
                from = column + width;
            }
            if low + i < anchor.end {
                to = column + width;
            }
            column += width;
        }
        let middle = (from + to.max(from)) / 2;
        let need = middle + 5 + wish.min(ROOM.end);
        let cut_left = low > 0 || need > limit || (column > limit && to + 1 > limit);
        let begin =
            if cut_left { (from + 1).saturating_sub(limit / 3).max(need.saturating_sub(limit)).min(from) } else { 0 };
        let begin = if low == 0 && begin < 2 { 0 } else { begin };

        let mut text = String::new();
        let mut places = Vec::with_capacity(cells.len().min(limit) + 1);
        if begin > 0 || low > 0 {
            text.push('…');
        }
        let room = limit - text.width();
        let whole = column - begin.min(column) <= room && high == raw.len();
        let mut used = 0;
        let mut end = raw.len();
        for (at, c, column, width) in cells {
            if column < begin {
                continue;
            }
            if used + width > if whole { room } else { room - 1 } {
                end = at;
                break;
            }
            places.push((at, text.len()));
            used += width;
            match c {
                '\t' => text.extend(std::iter::repeat_n(' ', width)),
                c => text.push(visible(c)),
            }
        }
        places.push((end, text.len()));
        if !whole {
            text.push('…');
        }
        Line { text, places }
    }

    /// Whether a byte of the file's line is not cut off.
    fn shows(&self, byte: usize) -> bool {
        self.places.first().is_some_and(|(at, _)| *at <= byte) && self.places.last().is_some_and(|(at, _)| byte <= *at)
    }

    /// Where a byte of the file's line is in the text shown.
    fn place(&self, byte: usize) -> usize {
        let i = self.places.partition_point(|(at, _)| *at < byte);
        self.places.get(i).map_or(self.text.len(), |(_, shown)| *shown)
    }
}

/// What stands for a character that a terminal would obey or hide.
pub(super) fn visible(c: char) -> char {
    match c {
        '\0'..='\x1f' => char::from_u32(0x2400 + c as u32).unwrap_or('\u{fffd}'),
        '\x7f' => '\u{2421}',
        '\u{80}'..='\u{9f}'
        | '\u{200b}'..='\u{200f}'
        | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{2069}'
        | '\u{feff}' => '\u{fffd}',
        c => c,
    }
}

/// Text that quotes a program, safe to print; line breaks stay.
pub(super) fn clean(text: &str) -> String {
    text.chars().map(|c| if c == '\n' { c } else { visible(c) }).collect()
}

/// How many digits the number before `end` has.
pub(super) fn digits(end: usize) -> usize {
    end.saturating_sub(1).max(1).ilog10() as usize + 1
}

fn wrap(message: &str, width: usize) -> Option<String> {
    (!message.is_empty()).then(|| fill(message, textwrap::Options::new(width)))
}

/// Safe text in lines that break at spaces, but not inside of what is quoted in backticks unless it fills a line.
pub(super) fn fill(text: &str, options: textwrap::Options) -> String {
    const KEPT: char = '\u{a0}';
    let mut kept = String::with_capacity(text.len());
    for (at, part) in clean(text).split('`').enumerate() {
        if at > 0 {
            kept.push('`');
        }
        match at % 2 == 1 && part.chars().count() + 10 < options.width {
            true => kept.extend(part.chars().map(|c| if c == ' ' { KEPT } else { c })),
            false => kept.push_str(part),
        }
    }
    // Unicode would break behind the `!` of `!=`.
    let options = options
        .word_separator(textwrap::WordSeparator::AsciiSpace)
        .word_splitter(textwrap::WordSplitter::NoHyphenation);
    textwrap::fill(&kept, options).replace(KEPT, " ")
}
