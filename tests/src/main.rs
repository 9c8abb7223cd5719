//! The `pagelab` command, for the end-to-end tests.
use std::process::ExitCode;

fn main() -> ExitCode {
    pagelab::cli::main()
}
