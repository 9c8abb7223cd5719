//! Areas, and beneath each what is mapped there.

use std::fmt;

use schemars::JsonSchema;
use serde::Serialize;

use super::{AreaRecord, Pages, ProcessRecord, Record};

/// An area with its pages.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct AreaPages {
    /// The area.
    #[serde(flatten)]
    pub area: AreaRecord,
    /// Its pages that are there.
    pub mapped: Vec<Pages>,
}

/// Both views of a process.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct ProcessSpaces {
    /// Its number.
    pub pid: u32,
    /// Its name.
    pub comm: String,
    /// Its areas.
    pub areas: Vec<AreaPages>,
    /// Pages that are in no area.
    pub outside: Vec<Pages>,
}

/// Both views of each process.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Spaces {
    /// The processes, oldest first.
    pub processes: Vec<ProcessSpaces>,
}

impl ProcessSpaces {
    fn of(process: &ProcessRecord) -> Self {
        let in_area = |va| process.areas.iter().any(|area| area.range().contains(&va));
        let areas = process.areas.iter().map(|area| AreaPages {
            mapped: Pages::rows(process.pages_in(&area.range())),
            area: area.clone(),
        });
        Self {
            pid: process.pid,
            comm: process.comm.clone(),
            areas: areas.collect(),
            outside: Pages::rows(process.pages.iter().filter(|page| !in_area(page.va))),
        }
    }
}

impl Spaces {
    /// Of a moment.
    pub fn of(record: &Record) -> Self {
        Self {
            processes: record.processes.iter().map(ProcessSpaces::of).collect(),
        }
    }
}

impl fmt::Display for Spaces {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for process in &self.processes {
            writeln!(f, "pid {} ({})", process.pid, process.comm)?;
            for area in &process.areas {
                let there: u64 = area.mapped.iter().map(|row| row.pages).sum();
                let pages = area.area.pages();
                writeln!(f, "{}: {there} of {pages} pages", area.area)?;
                for row in &area.mapped {
                    writeln!(f, "    {row}")?;
                }
            }
            if !process.outside.is_empty() {
                writeln!(f, "in no area:")?;
            }
            for row in &process.outside {
                writeln!(f, "    {row}")?;
            }
        }
        none(f, self.processes.is_empty())
    }
}

/// Says that there is nothing to be said.
pub(super) fn none(f: &mut fmt::Formatter<'_>, is_empty: bool) -> fmt::Result {
    if is_empty {
        writeln!(
            f,
            "no process with an address space is there; stop the run while one is"
        )?;
    }
    Ok(())
}
