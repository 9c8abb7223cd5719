//! The experiment file: TOML in, an [`Experiment`] or an error with file, line and column out.
//!
//! * `file`: what may be written, as serde and the published [`schema`] see it.
//! * `read`: from the text to an [`Experiment`]; words that command-line options take as well are read by
//!   their grammars.
//! * [`FaultFamily`]: a `[[fault]]` table. [`Numbers`]: `"1.."`, `"3,5,9"`. [`Explore`]: what of it is run.
//! * [`crate::scenario::Probe`]: a `[[steady_state]]` table.

mod error;
mod explore;
mod family;
mod file;
mod numbers;
mod read;
mod schema;
#[cfg(test)]
mod tests;

pub use error::{ExperimentError, Position};
pub use explore::{Explore, Precision, Strategy};
pub use family::{FaultFamily, FlipFamily};
pub use numbers::{Numbers, NumbersError};
pub use read::{parse, read};
pub use schema::schema;

use crate::{
    program::ProgramSpec,
    scenario::{Probe, RunConfig},
};
use std::path::PathBuf;

/// A program and where it is.
#[derive(Clone, Debug)]
pub struct ProgramFile {
    /// Where it is on this host.
    pub path: PathBuf,
    /// What it is given.
    pub spec: ProgramSpec,
    /// Its name and its arguments, as written.
    pub command: Vec<String>,
}

/// An experiment file that was read and checked.
#[derive(Clone, Debug)]
pub struct Experiment {
    /// What it is about.
    pub title: String,
    /// The file's text.
    pub text: String,
    /// Where its relative paths begin.
    pub directory: PathBuf,
    /// Machine, workload and seed: the run without faults.
    pub config: RunConfig,
    /// Options of `pagelab run` that make this run, but for the faults; the program comes behind them.
    pub options: Vec<String>,
    /// The program with its arguments, as written; none for a builtin workload.
    pub program: Option<ProgramFile>,
    /// The exit status with which the program is to end without faults.
    pub status: u8,
    /// What must hold, besides all audits.
    pub steady_state: Vec<Probe>,
    /// What is done to the guest.
    pub faults: Vec<FaultFamily>,
    /// How much of it is tried.
    pub explore: Explore,
}
