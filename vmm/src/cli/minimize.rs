//! `pagelab minimize`.

use super::output::{self, Failure};
use crate::campaign::{minimize, replay::Replay};
use clap::Args;
use std::{path::PathBuf, process::ExitCode};

/// Flags of `pagelab minimize`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct MinimizeArguments {
    /// The record file.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The experiment's number.
    #[arg(value_name = "ID")]
    id: u64,
    /// Where the experiment's relative paths begin [default: where they began].
    #[arg(long, value_name = "DIR")]
    directory: Option<PathBuf>,
}

const EXAMPLES: &str = "\
Examples:
  pagelab minimize all.jsonl 17

Leaves out faults, statements of a shell's script, arguments, options and memory as long as it fails in
the same way, and finds the first event at which an audit fails. Standard output gets one line, a command;
standard error what was left out.";

/// Makes a failing experiment smaller.
pub(super) fn minimize(arguments: &MinimizeArguments) -> Result<ExitCode, Failure> {
    let replay = Replay::open(&arguments.file, arguments.directory.as_deref())?;
    let (record, planned) = replay.find(arguments.id)?;
    let minimized = minimize::minimize(&replay.campaign, record, planned.armed)?;
    for step in &minimized.steps {
        output::note(&format!("{step}\n"));
    }
    output::note(&format!("{} runs\n", minimized.runs));
    output::text(&format!("{}\n", minimized.command))?;
    Ok(ExitCode::SUCCESS)
}
