//! `pagelab replay`.

use super::{
    args::{Colour, Format},
    output::{self, Failure},
};
use crate::{
    campaign::replay::{Replay, Wanted},
    report::Human,
    scenario::Inspection,
    trace::Sink,
};
use clap::Args;
use std::{path::PathBuf, process::ExitCode};

/// Flags of `pagelab replay`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct ReplayArguments {
    /// The record file.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The experiment's number, or several; all if none is named.
    #[arg(value_name = "ID")]
    ids: Vec<u64>,
    /// What to print of the guest at the end, as with `pagelab run`.
    #[arg(long, value_name = "WHAT,…", value_delimiter = ',')]
    inspect: Vec<Inspection>,
    /// Write each event to this file, for trace viewers; of one experiment only.
    #[arg(long, value_name = "FILE")]
    trace: Option<PathBuf>,
    /// Where the experiment's relative paths begin [default: where they began].
    #[arg(long, value_name = "DIR")]
    directory: Option<PathBuf>,
    /// How the report is written.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
    /// When to use colours.
    #[arg(long, value_enum, default_value_t)]
    color: Colour,
}

const EXAMPLES: &str = "\
Examples:
  pagelab replay all.jsonl 17                    and see what it did
  pagelab replay all.jsonl 17 --inspect pagetable,buddyinfo
  pagelab replay all.jsonl 17 --trace 17.json    for https://ui.perfetto.dev
  pagelab replay all.jsonl                       all of them: does each repeat?

Exit status: 0 if trace, output and class are those of the record, 2 if not.";

/// Runs records again.
pub(super) fn replay(arguments: &ReplayArguments) -> Result<ExitCode, Failure> {
    let replay = Replay::open(&arguments.file, arguments.directory.as_deref())?;
    if let &[id] = &arguments.ids[..] {
        return one(&replay, id, arguments);
    }
    if arguments.trace.is_some() {
        return Err("--trace is of one experiment; name its number".into());
    }
    let ids = match &arguments.ids[..] {
        [] => replay.records.iter().map(|record| record.id).collect(),
        ids => ids.to_vec(),
    };
    for id in &ids {
        replay.run(*id, Wanted::default())?;
    }
    let count = ids.len();
    output::text(&format!(
        "{count} of {count} repeat: trace, output and class\n"
    ))?;
    Ok(ExitCode::SUCCESS)
}

fn one(replay: &Replay, id: u64, arguments: &ReplayArguments) -> Result<ExitCode, Failure> {
    let mut chrome = arguments
        .trace
        .as_deref()
        .map(super::run::trace)
        .transpose()?;
    let wanted = Wanted {
        inspect: arguments.inspect.clone(),
        trace: chrome.as_mut().map(|trace| trace as &mut dyn Sink),
    };
    let report = replay.run(id, wanted)?;
    if arguments.format == Format::Json {
        return output::json(&report);
    }
    let (record, _) = replay.find(id)?;
    let mut text = Human::new(&report, output::paint(arguments.color)).to_string();
    text += &format!(
        "\nExperiment   {id} repeats: {}, trace {}\n",
        record.class, record.trace_hash
    );
    for reason in &record.reasons {
        text += &format!("  {reason}\n");
    }
    text += &format!("  {}\n", record.command);
    output::text(&text)?;
    Ok(ExitCode::SUCCESS)
}
