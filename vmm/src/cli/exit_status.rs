//! Exit statuses of the `pagelab` command.

use crate::report::{Program, Report, Verdict};
use std::process::ExitCode;

/// An audit or a check failed.
pub(super) const VIOLATED: u8 = 1;

/// Bad input, or a host that cannot run a VM.
pub(super) const BAD_INPUT: u8 = 2;

/// The status that stands for a report: that of the program if all held and there was one.
pub(super) fn of(report: &Report) -> ExitCode {
    ExitCode::from(match report.verdict {
        Verdict::Held => {
            let program = report.program.as_ref();
            program.and_then(Program::shell_status).unwrap_or(0)
        }
        Verdict::Violated => VIOLATED,
        Verdict::Panicked => 3,
        Verdict::TripleFault => 4,
        Verdict::EmulationFailure => 5,
        Verdict::Hung => 6,
        Verdict::Unfit => 7,
        Verdict::Deadlocked => 8,
    })
}
