//! The `gw` binary.

fn main() {}
