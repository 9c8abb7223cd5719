//! The report of a run: one document, for machines as JSON and for people as text.
//!
//! Everything but [`Report::host`] is a pure function of guest, configuration and seed: two runs
//! of one experiment, on whatever backend, give the same bytes there.

mod bars;
mod host_act;
mod human;
mod memory_group;
mod oom;
mod paint;
mod program;
mod schema;
mod swap;
pub(crate) mod text;

pub use host_act::HostAct;
pub use human::Human;
pub use memory_group::MemoryGroup;
pub use oom::{Oom, OomKill, OomReason};
pub use paint::Paint;
pub use program::{AfterProgram, Program};
pub use schema::schema;
pub use swap::{GuestSwap, Swap};

use crate::{
    devices::balloon::Counters,
    inspect::{
        AuditResult,
        audit::{Relief, ZoneSummary},
        lru::LruLists,
        pagetable::AddressMap,
        spaces::ProcessData,
    },
    machine::crash::CrashReport,
    pressure::Sample,
    size::ByteSize,
};
use schemars::JsonSchema;
use serde::Serialize;
use std::fmt;

/// Value of [`Report::format`].
pub const FORMAT: &str = "pagelab-report/1";

/// What became of a run.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Report {
    /// Name and version of this document's format.
    pub format: &'static str,
    /// The outcome in one word.
    pub verdict: Verdict,
    /// Why it is not `held`; empty if it is.
    pub reasons: Vec<String>,
    /// Hash of all events, 16 hexadecimal digits: equal hashes, equal runs.
    pub trace_hash: String,
    /// Events of the whole run.
    pub events: u64,
    /// Event at which the run was stopped, if it was asked to.
    pub stopped_at: Option<u64>,
    /// What was run.
    pub config: Config,
    /// The machine as the guest found it at the end of boot.
    pub boot: Boot,
    /// Zones, lowest first, at the end of the run.
    pub zones: Vec<ZoneSummary>,
    /// Events of each kind that occurred.
    pub events_by_kind: Vec<KindCount>,
    /// The workload's own account.
    pub workload: Workload,
    /// The program that was the workload, if there was one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub program: Option<Program>,
    /// What the guest's page tables map; at the end of boot.
    pub page_table: Option<AddressMap>,
    /// Balloon pressure.
    pub pressure: Pressure,
    /// The swap device, if there was one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub swap: Option<Swap>,
    /// The disk with files, if there was one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disk: Option<Swap>,
    /// Who was killed for want of memory.
    pub oom: Oom,
    /// Memory groups that there were.
    pub memory_groups: Vec<MemoryGroup>,
    /// Injected failures.
    pub faults: Faults,
    /// Every audit, in the order in which they were made.
    pub audits: Vec<Audit>,
    /// What was asked for with `--inspect`.
    pub views: Vec<View>,
    /// What is left of a guest that crashed or hung.
    pub crash: Option<CrashReport>,
    /// The guest's console, where it explains the verdict.
    pub console: Option<String>,
    /// Where and how fast it ran; differs from run to run.
    pub host: Host,
}

/// The outcome of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Every audit and every check of the guest held.
    Held,
    /// An audit was violated or skipped, or the workload found wrong content.
    Violated,
    /// The guest panicked.
    Panicked,
    /// The guest's CPU shut down: a fault while handling a double fault.
    TripleFault,
    /// KVM could not emulate an instruction, or refused to run the vCPU.
    EmulationFailure,
    /// The guest gave no sign of life for the watchdog's time.
    Hung,
    /// The guest found its command line or memory unusable.
    Unfit,
    /// Every process of the program waited for another, for ever, and all were killed.
    Deadlocked,
}

/// The configuration of a run, as the command line takes it.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Config {
    /// RAM in bytes.
    pub memory: ByteSize,
    /// Zone model.
    pub zones: &'static str,
    /// Ends of the lower zones, if set.
    pub zone_limits: Option<String>,
    /// Name of the workload.
    pub workload: String,
    /// Seed.
    pub seed: u64,
    /// Pressure profile, if any.
    pub pressure: Option<String>,
    /// Faults.
    pub faults: Vec<String>,
}

/// The end of boot.
#[derive(Clone, Debug, Default, Serialize, JsonSchema)]
pub struct Boot {
    /// Events until the guest had written the first line on its console.
    pub first_line_events: u64,
    /// Events until the guest was ready.
    pub events: u64,
    /// Zones as the guest found them.
    pub zones: Vec<ZoneSummary>,
}

/// Events of one kind.
#[derive(Debug, Serialize, JsonSchema)]
pub struct KindCount {
    /// Name of the kind.
    pub kind: &'static str,
    /// How many.
    pub count: u64,
}

/// The workload's own account of itself.
#[derive(Debug, Default, Serialize, JsonSchema)]
pub struct Workload {
    /// Allocations, frees and checks.
    pub steps: u64,
    /// Page allocations that succeeded.
    pub pages_ok: u64,
    /// Page allocations whose failure the workload saw and survived.
    pub pages_failed: u64,
    /// Slab and kmalloc allocations that succeeded.
    pub objects_ok: u64,
    /// Slab and kmalloc allocations whose failure the workload saw and survived.
    pub objects_failed: u64,
    /// Frames reached through kmap windows.
    pub kmaps: u64,
    /// Contents verified.
    pub checks: u64,
    /// Contents that were not as written.
    pub mismatches: u64,
    /// Pages and objects still held.
    pub held: u64,
}

/// Balloon pressure and how the guest coped.
#[derive(Debug, Default, Serialize, JsonSchema)]
pub struct Pressure {
    /// The profile.
    pub profile: Option<String>,
    /// Requested beside achieved, by event.
    pub samples: Vec<Sample>,
    /// The largest balloon in bytes.
    pub peak: ByteSize,
    /// What the balloon did over the whole run, as the host counted it.
    pub balloon: Option<Counters>,
    /// How the guest found memory since it booted, from its vmstat.
    pub relief: Relief,
}

/// Injected failures and what became of them.
#[derive(Debug, Default, Serialize, JsonSchema)]
pub struct Faults {
    /// One entry for each kind of fault that was armed.
    pub injectors: Vec<Injector>,
    /// Bits that were turned over, in order.
    pub bitflips: Vec<Bitflip>,
    /// What was done to the machine itself, in order.
    pub host_acts: Vec<HostAct>,
}

/// A bit that was turned over, or not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Bitflip {
    /// As armed.
    pub armed: String,
    /// Event at which it was done.
    pub event: u64,
    /// Guest physical address of the byte, in hexadecimal; none if nothing was changed.
    pub gpa: Option<String>,
    /// The byte before.
    pub before: u8,
    /// The byte afterwards.
    pub after: u8,
    /// Why nothing was changed.
    pub reason: Option<String>,
}

/// One kind of fault.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Injector {
    /// Linux's name, where Linux has it.
    pub name: &'static str,
    /// As armed, each arming once.
    pub armed: Vec<String>,
    /// Allocations, or requests to a device, that were candidates.
    pub seen: u64,
    /// Candidates that were made to fail.
    pub injected: u64,
    /// Failures of this kind that reached the workload as an error and were survived.
    pub reported: u64,
    /// Injected failures that the guest coped with below the workload: by a retry, another
    /// order, or by doing without.
    pub absorbed: u64,
}

/// One audit at one moment.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Audit {
    /// When: `boot`, a phase's name, `event N` while a program runs, `stop` or `end`.
    pub moment: String,
    /// What was found.
    #[serde(flatten)]
    pub result: AuditResult,
}

/// A text in a format of Linux's /proc, or another view of the guest.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct View {
    /// What it shows.
    pub name: &'static str,
    /// The text.
    pub text: String,
    /// The same as data, of the views that are made for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data: Option<ViewData>,
}

/// A view as data.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum ViewData {
    /// Of processes.
    Process(ProcessData),
    /// Of the lists of reclaim.
    Lru(LruLists),
}

impl fmt::Display for ViewData {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Process(data) => data.fmt(f),
            Self::Lru(lists) => lists.fmt(f),
        }
    }
}

impl View {
    /// A view that is a text alone.
    pub fn of_text(name: &'static str, text: String) -> Self {
        let data = None;
        Self { name, text, data }
    }

    /// A view that is data.
    pub fn of_data(name: &'static str, data: ViewData) -> Self {
        Self {
            name,
            text: data.to_string(),
            data: Some(data),
        }
    }
}

/// Where and how fast it ran. The only part that differs between two runs of one experiment.
#[derive(Debug, Default, Serialize, JsonSchema)]
pub struct Host {
    /// VT-x, AMD-V or interpreted ring 0.
    pub backend: String,
    /// Microseconds from the creation of the machine to the first line on the guest's console; 0
    /// without one.
    pub first_line_us: u64,
    /// Microseconds from the start of the run to the end of the guest's boot.
    pub boot_us: u64,
    /// Microseconds of the whole run.
    pub total_us: u64,
}
