//! What became of a program, and what is said of the run after the program's own output.

use super::{
    Human, Paint, Report, Verdict,
    text::{duration, grouped},
};
use crate::inspect::Outcome;
use schemars::JsonSchema;
use serde::Serialize;
use std::fmt;

/// A program that was the workload.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Program {
    /// Its path in the guest.
    pub path: String,
    /// The name it was given, and its arguments.
    pub argv: Vec<String>,
    /// Its exit status, if it exited.
    pub status: Option<u8>,
    /// The signal that killed it, if one did.
    pub signal: Option<u8>,
    /// Whether the kernel could not start it.
    pub not_started: bool,
    /// What it wrote to its standard output, the first 16 MiB; what is not UTF-8 is replaced.
    pub stdout: String,
    /// The same of its standard error.
    pub stderr: String,
    /// System calls of all programs that ended with an error that tells of memory, a disk or a page that is
    /// not to be had: ENOMEM, EIO, ENOSPC, EFAULT, EUCLEAN.
    pub failed_calls: u64,
    /// Signals that programs got for what they did: faults that nobody could handle, and other exceptions.
    pub exceptions: u64,
    /// Bytes of both that are not in this document.
    pub dropped: u64,
}

impl Program {
    /// Whether nothing is known of its end.
    pub fn is_unknown(&self) -> bool {
        self.status.is_none() && self.signal.is_none()
    }

    /// The status that a shell would have for it: its own, or 128 and the signal.
    pub fn shell_status(&self) -> Option<u8> {
        self.status.or_else(|| Some(self.signal? | 0x80))
    }
}

impl fmt::Display for Program {
    /// How it ended.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.argv.first().unwrap_or(&self.path))?;
        match (self.status, self.signal) {
            (Some(status), _) => write!(f, " exited with status {status}"),
            (None, Some(signal)) => write!(f, " was killed by signal {signal}"),
            (None, None) => write!(f, " did not end"),
        }
    }
}

/// Displays, for standard error, what is left to say after a program has written its own output:
/// one line if all is well, who was killed for want of memory, and what is wrong otherwise.
pub struct AfterProgram<'a> {
    report: &'a Report,
    program: &'a Program,
    paint: Paint,
}

impl<'a> AfterProgram<'a> {
    /// What is said of the run of this program.
    pub const fn new(report: &'a Report, program: &'a Program, paint: Paint) -> Self {
        Self {
            report,
            program,
            paint,
        }
    }
}

impl fmt::Display for AfterProgram<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let report = self.report;
        let human = Human::new(report, self.paint);
        human.views(f)?;
        report.oom.write(f, "pagelab: ")?;
        if report.verdict != Verdict::Held {
            human.faults(f)?;
            human.audits(f)?;
            human.verdict(f)?;
        }
        let held = report
            .audits
            .iter()
            .filter(|audit| audit.result.outcome == Outcome::Held)
            .count();
        writeln!(
            f,
            "pagelab: {}; {held} of {} audits held; {} events, trace {}, {}",
            self.program,
            report.audits.len(),
            grouped(report.events),
            report.trace_hash,
            duration(report.host.total_us)
        )
    }
}
