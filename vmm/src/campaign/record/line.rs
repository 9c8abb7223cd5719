//! The other lines: what was done to the guest, and what became of it.

use super::{Class, Evidence, Header};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One line of a record file: `{"header": …}` or `{"record": …}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Line {
    /// The first line.
    Header(Box<Header>),
    /// Any other.
    Record(Box<Record>),
}

/// One experiment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Record {
    /// Its number in the campaign's plan, from 0.
    pub id: u64,
    /// What was done to the guest: one fault, or a pair.
    pub faults: Vec<FaultPoint>,
    /// Fault points that it stands for: 1, or the size of its class where the plan was pruned.
    pub weight: u64,
    /// What became of it.
    pub class: Class,
    /// Why it is in this class, if that is not plain: what failed, in the words of the report.
    pub reasons: Vec<String>,
    /// Hash of all events, 16 hexadecimal digits.
    pub trace_hash: String,
    /// SHA-256 of what the program wrote and how it ended.
    pub output_hash: String,
    /// How the program ended; none without a program, or if it did not end.
    pub end: Option<End>,
    /// Audits and probes that were violated or could not be made.
    pub audits: Vec<AuditFailure>,
    /// What was counted.
    pub counts: Counts,
    /// The command that makes this one run again, from the folder that the experiment's paths begin at.
    pub command: String,
    /// What the guest looked like, if its kernel is at fault.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evidence: Option<Evidence>,
}

/// A place and a moment at which something can go wrong.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FaultPoint {
    /// What is done, as behind `--fault` or, if it starts with `pressure=`, `--pressure`.
    pub fault: String,
    /// Its kind, such as `fail_page_alloc`.
    pub kind: String,
    /// The golden run's event before which it strikes; none if that is not known.
    pub event: Option<u64>,
    /// The process on whose behalf the kernel works there; none for none.
    pub pid: Option<u32>,
    /// That process's name.
    pub comm: Option<String>,
    /// The kernel's functions there, innermost first, as far as they say something: `fork < clone`.
    pub site: Option<String>,
    /// What else is known of the request: its order, flags, cache, direction.
    pub request: Option<String>,
}

/// How a program ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum End {
    /// With this exit status.
    Status(u8),
    /// Killed by this signal.
    Signal(u8),
}

/// An audit that did not hold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AuditFailure {
    /// Its name.
    pub name: String,
    /// When: `boot`, a phase's name, `event N`, `end`.
    pub moment: String,
    /// Whether it could not be made; otherwise it was violated.
    pub skipped: bool,
    /// The first thing that it found.
    pub finding: String,
}

/// What was counted in a run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Counts {
    /// Events.
    pub events: u64,
    /// Failures that were injected, bits that were turned over, and what was done to the machine itself.
    pub injected: u64,
    /// Injected failures that reached the workload as an error.
    pub reported: u64,
    /// System calls that ended with ENOMEM, EIO, ENOSPC, EFAULT or EUCLEAN.
    pub failed_calls: u64,
    /// Processes killed for want of memory.
    pub oom_kills: u64,
    /// Audits and probes that were made.
    pub audits: u64,
    /// Bytes of the balloon at its largest.
    pub balloon_peak: u64,
}
