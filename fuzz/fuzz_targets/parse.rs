//! Any bytes are checked without a panic; what parses is laid out without losing its meaning.
//!
//! Run with `cargo +nightly fuzz run parse`.

#![no_main]

use gw::load::{self, MemoryFiles};
use gw::syntax::format::format;
use libfuzzer_sys::fuzz_target;
use std::path::Path;

fuzz_target!(|bytes: &[u8]| {
    load::check(&MemoryFiles::default(), Path::new("gateway.gw"), bytes.to_vec());
    if let Some(once) = std::str::from_utf8(bytes).ok().and_then(|text| format(text).ok()) {
        assert_eq!(format(&once).as_ref(), Ok(&once), "formatting again changes the text");
    }
});
