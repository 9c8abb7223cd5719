//! Memory that can be written and executed: at one place, or the same frame at two.

use std::{collections::BTreeMap, fmt};

use schemars::JsonSchema;
use serde::Serialize;

use super::{AreaRecord, Pages, Record, side_by_side::none};

/// What one process may write and execute.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct ProcessRights {
    /// Its number.
    pub pid: u32,
    /// Its name.
    pub comm: String,
    /// Pages that it has.
    pub pages: u64,
    /// Of these, those that can be written.
    pub writable: u64,
    /// Those that can be executed.
    pub executable: u64,
    /// Areas that allow both.
    pub areas: Vec<AreaRecord>,
    /// Pages of which the page tables allow both.
    pub both: Vec<Pages>,
}

/// A frame that can be written at one place and executed at another.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Alias {
    /// The frame.
    pub pfn: u32,
    /// Process and address where it can be written.
    pub writable: (u32, u64),
    /// Process and address where it can be executed.
    pub executable: (u32, u64),
}

/// What breaks W^X.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct WriteExecute {
    /// The processes, oldest first.
    pub processes: Vec<ProcessRights>,
    /// Frames with both rights at different places.
    pub aliases: Vec<Alias>,
}

impl WriteExecute {
    /// Of a moment.
    pub fn of(record: &Record) -> Self {
        let mut places: BTreeMap<u32, [Option<(u32, u64)>; 2]> = BTreeMap::new();
        let mut processes = Vec::new();
        for process in &record.processes {
            let mut counts = [0; 3];
            for page in &process.pages {
                let rights = [true, page.rights.write(), page.rights.execute()];
                for (count, has) in counts.iter_mut().zip(rights) {
                    *count += if has { page.frames } else { 0 };
                }
                for pfn in page.pfns() {
                    let place = Some((process.pid, page.va));
                    let [writable, executable] = places.entry(pfn).or_default();
                    if page.rights.write() {
                        *writable = writable.or(place);
                    }
                    if page.rights.execute() {
                        *executable = executable.or(place);
                    }
                }
            }
            let has_both = |area: &&AreaRecord| area.rights.write() && area.rights.execute();
            let both = process
                .pages
                .iter()
                .filter(|page| page.rights.write() && page.rights.execute());
            processes.push(ProcessRights {
                pid: process.pid,
                comm: process.comm.clone(),
                pages: counts[0],
                writable: counts[1],
                executable: counts[2],
                areas: process.areas.iter().filter(has_both).cloned().collect(),
                both: Pages::rows(both),
            });
        }
        let aliases = places.into_iter().filter_map(|(pfn, places)| {
            let [Some(writable), Some(executable)] = places else {
                return None;
            };
            (writable != executable).then_some(Alias {
                pfn,
                writable,
                executable,
            })
        });
        Self {
            aliases: aliases.collect(),
            processes,
        }
    }
}

impl fmt::Display for WriteExecute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for process in &self.processes {
            let both: u64 = process.both.iter().map(|row| row.pages).sum();
            writeln!(f, "pid {} ({})", process.pid, process.comm)?;
            writeln!(
                f,
                "  {} pages: {} writable, {} executable, {both} both",
                process.pages, process.writable, process.executable
            )?;
            for area in &process.areas {
                writeln!(f, "  area {area}")?;
            }
            for row in &process.both {
                writeln!(f, "    {row}")?;
            }
        }
        for alias in &self.aliases {
            let ((writer, at), (executer, to)) = (alias.writable, alias.executable);
            writeln!(
                f,
                "pfn {:06x}: written at pid {writer} {at:012x}, executed at pid {executer} {to:012x}",
                alias.pfn
            )?;
        }
        none(f, self.processes.is_empty())
    }
}
