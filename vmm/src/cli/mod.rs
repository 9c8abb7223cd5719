//! The command line: arguments in, report and exit status out.

mod args;
mod bench;
mod campaign;
mod doctor;
mod exit_status;
mod inspect;
mod merge;
mod minimize;
mod output;
mod replay;
mod report;
mod resume;
mod run;

use args::{Arguments, Command};
use clap::Parser;
use std::process::ExitCode;

/// Runs the command that the process's arguments name.
pub fn main() -> ExitCode {
    // Asked for by name only: reading the environment and building a filter costs more than a
    // short run's own preparations.
    if std::env::var_os("RUST_LOG").is_some() {
        env_logger::init();
    }
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            // Help and version go to standard output with status 0, all else is bad input.
            let is_error = error.use_stderr();
            let _ = error.print();
            return ExitCode::from(if is_error { exit_status::BAD_INPUT } else { 0 });
        }
    };
    let result = match arguments.command {
        None => run::run(&arguments.run),
        Some(Command::Run(run)) => run::run(&run),
        Some(Command::Bench(bench)) => bench::bench(&bench),
        Some(Command::Campaign(arguments)) => campaign::campaign(&arguments),
        Some(Command::Merge(arguments)) => merge::merge(&arguments),
        Some(Command::Report(arguments)) => report::report(&arguments),
        Some(Command::Replay(arguments)) => replay::replay(&arguments),
        Some(Command::Minimize(arguments)) => minimize::minimize(&arguments),
        Some(Command::Resume(resume)) => resume::resume(&resume),
        Some(Command::Inspect(inspect)) => inspect::inspect(&inspect),
        Some(Command::Doctor(doctor)) => doctor::doctor(&doctor),
        Some(Command::Schema) => output::json(&crate::report::schema()),
    };
    result.unwrap_or_else(|error| {
        output::error(&error);
        ExitCode::from(exit_status::BAD_INPUT)
    })
}
