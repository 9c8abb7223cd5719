//! Errors in a pressure profile.

use crate::size::ByteSize;
use std::{io, path::PathBuf};
use thiserror::Error;

/// Steps that a profile has at most.
pub(super) const MAX_STEPS: usize = 100_000;

/// Why a `--pressure` value cannot be used.
#[derive(Debug, Error)]
pub enum PressureError {
    /// Neither a name nor a segment.
    #[error("unknown pressure profile '{name}'{hint}; known are: {known}, and step:, ramp:, sawtooth:, trace:", hint = nearest.map(|n| format!(", did you mean '{n}'?")).unwrap_or_default())]
    Unknown {
        /// What was written.
        name: String,
        /// The known name that is closest, if one is close.
        nearest: Option<&'static str>,
        /// All names.
        known: String,
    },
    /// A segment that does not have its form.
    #[error("'{segment}' has not the form of its kind; write {form}")]
    Form {
        /// What was written.
        segment: String,
        /// What would be right.
        form: &'static str,
    },
    /// Not an amount of memory.
    #[error("'{0}' is no amount; write a size such as 512M, or a share of memory such as 50%")]
    Amount(String),
    /// More than there is.
    #[error(
        "{amount} is more than the machine's memory of {memory}; ask for at most that, or 100%"
    )]
    TooMuch {
        /// What was written.
        amount: String,
        /// What the machine has.
        memory: ByteSize,
    },
    /// A number that is not one, or not in its range.
    #[error("'{0}' is not a number of {1}")]
    Number(String, &'static str),
    /// End before start.
    #[error("the range {0}..{1} runs backwards; write START..END")]
    Backwards(u64, u64),
    /// A profile that is out of all proportion.
    #[error("the profile has more than {MAX_STEPS} steps; give it fewer")]
    TooLong,
    /// A trace that cannot be read.
    #[error("cannot read the trace '{path}': {source}")]
    Trace {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// A line of a trace.
    #[error("line {line} of the trace '{path}': '{text}' is not EVENT AMOUNT, such as 1000 512M")]
    TraceLine {
        /// The file.
        path: PathBuf,
        /// Counted from 1.
        line: usize,
        /// What stands there.
        text: String,
    },
}
