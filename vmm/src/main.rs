//! The `pagelab` command.
use std::process::ExitCode;

fn main() -> ExitCode {
    pagelab::cli::main()
}
