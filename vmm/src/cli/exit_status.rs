//! Exit statuses of the `pagelab` command.

use crate::report::Verdict;
use std::process::ExitCode;

/// An audit or a check failed.
pub(super) const VIOLATED: u8 = 1;

/// Bad input, or a host that cannot run a VM.
pub(super) const BAD_INPUT: u8 = 2;

/// The status that stands for a verdict.
pub(super) fn of(verdict: Verdict) -> ExitCode {
    ExitCode::from(match verdict {
        Verdict::Held => 0,
        Verdict::Violated => VIOLATED,
        Verdict::Panicked => 3,
        Verdict::TripleFault => 4,
        Verdict::EmulationFailure => 5,
        Verdict::Hung => 6,
        Verdict::Unfit => 7,
    })
}
