//! How fast a large file is read: the sample of the language, repeated to 100,000 lines.

use divan::counter::{BytesCount, ItemsCount};
use gw::diagnostic::Diagnostics;
use gw::source::FileId;
use gw::syntax;

fn main() {
    divan::main();
}

fn large() -> String {
    let sample = include_str!("../src/syntax/tests/sample.gw");
    sample.repeat(100_000usize.div_ceil(sample.lines().count()))
}

#[divan::bench(sample_count = 20)]
fn parse(bencher: divan::Bencher) {
    let text = large();
    bencher
        .counter(BytesCount::of_str(&text))
        .counter(ItemsCount::new(text.lines().count()))
        .bench(|| syntax::parse(FileId(0), &text, &mut Diagnostics::default()));
}

#[divan::bench(sample_count = 20)]
fn format(bencher: divan::Bencher) {
    let text = large();
    bencher.counter(ItemsCount::new(text.lines().count())).bench(|| syntax::format::format(&text));
}
