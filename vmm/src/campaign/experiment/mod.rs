//! The experiment file: TOML in, an [`Experiment`] or an error with file, line and column out.
//!
//! * `file`: what may be written, as serde and the published [`schema`] see it.
//! * `read`: from the text to an [`Experiment`]; words that command-line options take as well are read by
//!   their grammars.
//! * [`FaultFamily`]: a `[[fault]]` table. [`Numbers`]: `"1.."`, `"3,5,9"`. [`Explore`]: what of it is run.
//! * [`Probe`]: a `[[steady_state]]` table.

mod error;
mod explore;
mod family;
mod file;
mod numbers;
mod probe;
mod read;
mod schema;
#[cfg(test)]
mod tests;

pub use error::{ExperimentError, Position};
pub use explore::{Explore, Precision, Strategy};
pub use family::{FaultFamily, FlipFamily};
pub use numbers::{Numbers, NumbersError};
pub use probe::{Check, Mode, Probe, ProbeError};
pub use read::{parse, read};
pub use schema::schema;

use crate::scenario::RunConfig;
use std::path::PathBuf;

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
    /// The program and its arguments, as written; empty without one.
    pub command: Vec<String>,
    /// The exit status with which the program is to end without faults.
    pub status: u8,
    /// What must hold, besides all audits.
    pub steady_state: Vec<Probe>,
    /// What is done to the guest.
    pub faults: Vec<FaultFamily>,
    /// How much of it is tried.
    pub explore: Explore,
}
