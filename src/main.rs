//! The `gw` binary.

use std::process::ExitCode;

fn main() -> ExitCode {
    gw::cli::main()
}
