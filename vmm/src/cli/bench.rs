//! `pagelab bench`: what needs a machine, as ratios against a peer in the same run.

mod campaign;
mod cold_start;
mod footprint;
mod peer;
mod reclaim;
mod scenario;
mod statistics;
mod vm;

use super::{
    args::{BenchArguments, Subject},
    output::{self, Failure},
};
use clap::ValueEnum;
use std::process::ExitCode;

/// Measures and prints a line for each subject.
pub(super) fn bench(arguments: &BenchArguments) -> Result<ExitCode, Failure> {
    let subjects = match arguments.what.as_slice() {
        [] => Subject::value_variants(),
        some => some,
    };
    output::text("median of paired runs; the ratio is pagelab / peer, pair by pair\n")?;
    for subject in subjects {
        let line = match subject {
            Subject::ColdStart => cold_start::measure(arguments.runs)?,
            Subject::Footprint => footprint::measure()?,
            Subject::Reclaim => reclaim::measure(arguments.runs)?,
            Subject::Scenario => scenario::measure(arguments.runs)?,
            Subject::Restore => campaign::restore(arguments.runs)?,
            Subject::Campaign => campaign::campaign(arguments.runs)?,
            Subject::Vm => vm::measure()?,
        };
        output::text(&line)?;
    }
    Ok(ExitCode::SUCCESS)
}
