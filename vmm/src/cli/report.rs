//! `pagelab report`.

use super::{
    args::Colour,
    output::{self, Failure},
};
use crate::campaign::{
    journal::{self, Records},
    report,
    tally::{Summary, Terminal},
};
use clap::Args;
use std::{
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
};

/// Flags of `pagelab report`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct ReportArguments {
    /// The record file.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Write one page that needs no network.
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Write JUnit's XML, for CI.
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
    /// When to use colours.
    #[arg(long, value_enum, default_value_t)]
    color: Colour,
}

const EXAMPLES: &str = "\
Examples:
  pagelab report all.jsonl                       tables on the terminal
  pagelab report all.jsonl --html report.html --junit report.xml";

/// Shows the records of a campaign.
pub(super) fn report(arguments: &ReportArguments) -> Result<ExitCode, Failure> {
    let Records {
        header,
        mut records,
    } = journal::read(&arguments.file)?;
    records.sort_by_key(|record| record.id);
    if let Some(path) = &arguments.html {
        write(path, &report::html(&header, &records))?;
    }
    if let Some(path) = &arguments.junit {
        write(path, &report::junit(&header, &records)?)?;
    }
    if arguments.html.is_none() && arguments.junit.is_none() {
        let summary = Summary::new(&header, &records);
        let paint = output::paint(arguments.color);
        output::text(&Terminal::new(&summary, paint).to_string())?;
    }
    Ok(ExitCode::SUCCESS)
}

fn write(path: &Path, text: &str) -> Result<(), Failure> {
    let written = fs::write(path, text);
    Ok(written.map_err(|error| {
        let path = path.display();
        format!("{path} cannot be written: {error}; is there room, and may you write there?")
    })?)
}
