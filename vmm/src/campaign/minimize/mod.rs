//! As little of an experiment as still fails in the same way: fewer faults, a shorter workload, a smaller
//! machine, an earlier end.
//!
//! [`minimize`] goes through these one by one and keeps each `variant` of the experiment that the `search`
//! finds to fail alike. What is left out: `faults`, `workload`, `machine`.

mod faults;
mod machine;
mod search;
mod signature;
mod variant;
mod workload;

use super::{
    Campaign,
    golden::GoldenError,
    plan::Armed,
    record::{Class, Record},
};
use crate::scenario::RunError;
use search::Search;
use thiserror::Error;

/// Why there is nothing to make smaller.
#[derive(Debug, Error)]
pub enum MinimizeError {
    /// A run cannot be made.
    #[error(transparent)]
    Run(#[from] RunError),
    /// A run without faults cannot be made.
    #[error(transparent)]
    Golden(#[from] GoldenError),
    /// It is no failure.
    #[error(
        "experiment {id} is {class}, which is no failure; name one that is corruption, crash, hang or \
         detected-unrecoverable"
    )]
    NoFailure {
        /// Which.
        id: u64,
        /// What became of it.
        class: Class,
    },
}

/// An experiment that still fails.
#[derive(Clone, Debug)]
pub struct Minimized {
    /// The command that runs it: one line.
    pub command: String,
    /// What was left out, in words.
    pub steps: Vec<String>,
    /// Runs that this took.
    pub runs: u64,
}

/// Makes the experiment of a record smaller as long as it fails in the same way.
///
/// # Errors
/// [`MinimizeError`] if it does not fail, or a run cannot be made.
pub fn minimize(
    campaign: &Campaign,
    record: &Record,
    armed: Vec<Armed>,
) -> Result<Minimized, MinimizeError> {
    if !record.class.is_failure() && record.class != Class::DetectedUnrecoverable {
        let (id, class) = (record.id, record.class);
        return Err(MinimizeError::NoFailure { id, class });
    }
    let mut search = Search::new(campaign, record, armed);
    search.faults()?;
    search.statements()?;
    search.arguments()?;
    search.options()?;
    search.memory()?;
    search.events()?;
    Ok(search.into_minimized())
}
