//! `pagelab merge`.

use super::output::{self, Failure};
use crate::campaign::merge;
use clap::Args;
use std::{fs, io::Write, path::PathBuf, process::ExitCode};

/// Flags of `pagelab merge`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct MergeArguments {
    /// The record files of all parts of one campaign.
    #[arg(value_name = "FILE", required = true)]
    parts: Vec<PathBuf>,
    /// The complete record file, which is written anew.
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
}

const EXAMPLES: &str = "\
Examples:
  pagelab merge shard-*.jsonl -o all.jsonl
  pagelab merge all.jsonl -o sorted.jsonl        one file, its records by number

Refused are gaps, experiments with two records, and parts of different campaigns. The file is the
same, to the byte, however the campaign was divided.";

/// Puts parts together.
pub(super) fn merge(arguments: &MergeArguments) -> Result<ExitCode, Failure> {
    let merged = merge::merge(&arguments.parts)?;
    let path = &arguments.output;
    // Whole or not at all.
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    let written = tempfile::NamedTempFile::new_in(folder.unwrap_or(".".as_ref()))
        .and_then(|mut file| {
            let mut bytes = Vec::new();
            merged.write(&mut bytes)?;
            file.write_all(&bytes)?;
            file.as_file().sync_all()?;
            Ok(file)
        })
        .and_then(|file| file.persist(path).map_err(|error| error.error));
    let file = written.map_err(|error| {
        format!(
            "{} cannot be written: {error}; is there room, and may you write there?",
            path.display()
        )
    })?;
    // A temporary file is for its owner alone; this one is as others are.
    let shared = std::os::unix::fs::PermissionsExt::from_mode(0o644);
    file.set_permissions(shared)?;
    drop(file);
    let size = fs::metadata(path)?.len();
    let count = merged.records().count();
    output::note(&format!(
        "{}: {count} records, {size} bytes\n",
        path.display()
    ));
    Ok(ExitCode::SUCCESS)
}
