//! What processes used between two moments.
//!
//! A page counts as accessed if its entry's accessed bit was set in between, by all that can be told
//! without changing the guest: it is set now, and it was not, or the page was not there. Of a page
//! whose bit was set before, nothing is known: it counts as `unknown`. A page counts as written if
//! the CPU stored to its frame in between, as KVM's dirty log says, whoever ran then and in
//! whatever ring.

use std::{collections::BTreeSet, fmt};

use schemars::JsonSchema;
use serde::Serialize;

use super::{AreaRecord, PageRecord, ProcessRecord, Record, side_by_side::none};

/// What was used of an area. Counts are in pages.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct AreaUse {
    /// The area.
    #[serde(flatten)]
    pub area: AreaRecord,
    /// There at the later moment.
    pub resident: u64,
    /// Used in between.
    pub accessed: u64,
    /// Used at some time, perhaps before.
    pub unknown: u64,
    /// Stored to in between.
    pub written: u64,
}

/// What one process used.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct ProcessUse {
    /// Its number.
    pub pid: u32,
    /// Its name.
    pub comm: String,
    /// Areas of which something is there.
    pub areas: Vec<AreaUse>,
}

/// What was used between two moments.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct WorkingSet {
    /// Event of the first one.
    pub since: u64,
    /// Event of the second one.
    pub event: u64,
    /// The processes of the second one, oldest first.
    pub processes: Vec<ProcessUse>,
}

impl WorkingSet {
    /// From one moment to a later one. `written` are the frames that were stored to in between.
    pub fn of(before: &Record, after: &Record, written: &BTreeSet<u32>) -> Self {
        let of = |process: &ProcessRecord| {
            let same = |old: &&ProcessRecord| old.mm == process.mm;
            let old = before.process(process.pid).filter(same);
            ProcessUse::of(old, process, written)
        };
        Self {
            since: before.event,
            event: after.event,
            processes: after.processes.iter().map(of).collect(),
        }
    }
}

impl ProcessUse {
    fn of(before: Option<&ProcessRecord>, after: &ProcessRecord, written: &BTreeSet<u32>) -> Self {
        let was_accessed = |page: &PageRecord| {
            let old = before?;
            let at = old.pages.binary_search_by_key(&page.va, |page| page.va);
            let old = old.pages.get(at.ok()?)?;
            Some(old.accessed && old.pfn == page.pfn)
        };
        let of_area = |area: &AreaRecord| {
            let mut found = AreaUse {
                area: area.clone(),
                resident: 0,
                accessed: 0,
                unknown: 0,
                written: 0,
            };
            for page in after.pages_in(&area.range()) {
                found.resident += page.frames;
                if page.accessed {
                    match was_accessed(page) {
                        Some(true) => found.unknown += page.frames,
                        _ => found.accessed += page.frames,
                    }
                }
                found.written += page.pfns().filter(|pfn| written.contains(pfn)).count() as u64;
            }
            found
        };
        Self {
            pid: after.pid,
            comm: after.comm.clone(),
            areas: after
                .areas
                .iter()
                .map(of_area)
                .filter(|area| area.resident > 0)
                .collect(),
        }
    }
}

impl fmt::Display for WorkingSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "from event {} to event {}; pages",
            self.since, self.event
        )?;
        for process in &self.processes {
            writeln!(f, "pid {} ({})", process.pid, process.comm)?;
            writeln!(
                f,
                "{:30} {:>9} {:>9} {:>9} {:>9}",
                "", "there", "accessed", "unknown", "written"
            )?;
            for area in &process.areas {
                let AreaRecord {
                    start, end, rights, ..
                } = area.area;
                writeln!(
                    f,
                    "{start:012x}-{end:012x} {rights}  {:>9} {:>9} {:>9} {:>9}",
                    area.resident, area.accessed, area.unknown, area.written
                )?;
            }
        }
        none(f, self.processes.is_empty())
    }
}
