//! What changed between two moments.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use pagelab_abi::PAGE_SIZE;
use schemars::JsonSchema;
use serde::Serialize;

use super::{AreaRecord, PageRecord, ProcessRecord, Record, Rights};
use crate::inspect::decode::BlockState;

/// What became of pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ChangeKind {
    /// They are there, and were not.
    Mapped,
    /// They were there, and are not.
    Unmapped,
    /// They are in other frames.
    Moved,
    /// They are in the same frames with other rights.
    Protected,
}

/// Pages in a row that changed alike.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Change {
    /// What became of them.
    pub kind: ChangeKind,
    /// First address.
    pub start: u64,
    /// Pages.
    pub pages: u64,
    /// Rights before; none if they were not there.
    pub before: Option<Rights>,
    /// Rights afterwards; none if they are not there.
    pub after: Option<Rights>,
}

/// What changed in one process.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct ProcessDiff {
    /// Its number.
    pub pid: u32,
    /// Its name, the later one.
    pub comm: String,
    /// Whether it was born, or replaced its memory, in between.
    pub is_new: bool,
    /// Whether it ended in between.
    pub is_gone: bool,
    /// Areas that are there as they were not.
    pub areas_come: Vec<AreaRecord>,
    /// Areas that are no longer there as they were.
    pub areas_gone: Vec<AreaRecord>,
    /// Pages that changed.
    pub pages: Vec<Change>,
}

/// Frames that went from one state to another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct FrameChange {
    /// State before.
    pub before: &'static str,
    /// State afterwards.
    pub after: &'static str,
    /// Frames.
    pub frames: u64,
}

/// What changed between two moments.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Diff {
    /// Event of the first one.
    pub since: u64,
    /// Event of the second one.
    pub event: u64,
    /// Processes in which something changed.
    pub processes: Vec<ProcessDiff>,
    /// Frames whose state changed.
    pub frames: Vec<FrameChange>,
}

impl Diff {
    /// From one moment to a later one.
    pub fn of(before: &Record, after: &Record) -> Self {
        let pids: BTreeSet<u32> = [before, after]
            .iter()
            .flat_map(|record| &record.processes)
            .map(|process| process.pid)
            .collect();
        let diff = |pid| process(before.process(pid), after.process(pid));
        Self {
            since: before.event,
            event: after.event,
            processes: pids.into_iter().filter_map(diff).collect(),
            frames: frames(before, after),
        }
    }
}

fn process(before: Option<&ProcessRecord>, after: Option<&ProcessRecord>) -> Option<ProcessDiff> {
    let named = after.or(before)?;
    let areas = |record: Option<&ProcessRecord>, other: Option<&ProcessRecord>| {
        let there = other.map_or(&[][..], |other| &other.areas);
        let own = record.into_iter().flat_map(|record| &record.areas);
        own.filter(|area| !there.contains(area)).cloned().collect()
    };
    let diff = ProcessDiff {
        pid: named.pid,
        comm: named.comm.clone(),
        is_new: after.is_some_and(|after| before.is_none_or(|before| before.mm != after.mm)),
        is_gone: after.is_none(),
        areas_come: areas(after, before),
        areas_gone: areas(before, after),
        pages: changes(
            before.map_or(&[], |before| &before.pages),
            after.map_or(&[], |after| &after.pages),
        ),
    };
    let changed = diff.is_new
        || diff.is_gone
        || !(diff.areas_come.is_empty() && diff.areas_gone.is_empty() && diff.pages.is_empty());
    changed.then_some(diff)
}

/// Changes of pages, in rows.
fn changes(before: &[PageRecord], after: &[PageRecord]) -> Vec<Change> {
    let mut both: BTreeMap<u64, [Option<&PageRecord>; 2]> = BTreeMap::new();
    for (index, pages) in [before, after].into_iter().enumerate() {
        for page in pages {
            both.entry(page.va).or_default()[index] = Some(page);
        }
    }
    let mut rows: Vec<Change> = Vec::new();
    for (va, pages) in both {
        let kind = match pages {
            [None, Some(_)] => ChangeKind::Mapped,
            [Some(_), None] => ChangeKind::Unmapped,
            [Some(old), Some(new)] if old.pfn != new.pfn => ChangeKind::Moved,
            [Some(old), Some(new)] if old.rights != new.rights => ChangeKind::Protected,
            _ => continue,
        };
        let frames = pages.iter().flatten().map(|page| page.frames).max();
        let [before, after] = pages.map(|page| page.map(|page| page.rights));
        let change = Change {
            kind,
            start: va,
            pages: frames.unwrap_or(0),
            before,
            after,
        };
        match rows.last_mut() {
            Some(row) if row.goes_on_with(&change) => row.pages += change.pages,
            _ => rows.push(change),
        }
    }
    rows
}

impl Change {
    fn end(&self) -> u64 {
        self.start.saturating_add(self.pages * PAGE_SIZE)
    }

    fn goes_on_with(&self, next: &Self) -> bool {
        (self.kind, self.before, self.after) == (next.kind, next.before, next.after)
            && self.end() == next.start
    }
}

/// Counts the frames by the states that they went from and to.
fn frames(before: &Record, after: &Record) -> Vec<FrameChange> {
    let (old, new) = (before.frame_states(), after.frame_states());
    let starts: BTreeSet<u32> = old.keys().chain(new.keys()).copied().collect();
    let state = |states: &BTreeMap<u32, Option<BlockState>>, pfn: u32| {
        states
            .range(..=pfn)
            .next_back()
            .and_then(|(_, state)| *state)
    };
    let mut counts: BTreeMap<(BlockState, BlockState), u64> = BTreeMap::new();
    let mut runs = starts.iter().peekable();
    while let Some(&start) = runs.next() {
        let Some(&&end) = runs.peek() else { break };
        if let (Some(from), Some(to)) = (state(old, start), state(new, start))
            && from != to
        {
            *counts.entry((from, to)).or_default() += u64::from(end - start);
        }
    }
    counts
        .into_iter()
        .map(|((before, after), frames)| FrameChange {
            before: before.name(),
            after: after.name(),
            frames,
        })
        .collect()
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.kind {
            ChangeKind::Mapped => "mapped",
            ChangeKind::Unmapped => "unmapped",
            ChangeKind::Moved => "moved",
            ChangeKind::Protected => "protected",
        };
        write!(
            f,
            "{kind:<9} {:012x}-{:012x} {:>6}",
            self.start,
            self.end(),
            self.pages
        )?;
        match (self.before, self.after) {
            (Some(before), Some(after)) if before != after => write!(f, " {before} -> {after}"),
            (Some(rights), _) | (_, Some(rights)) => write!(f, " {rights}"),
            (None, None) => Ok(()),
        }
    }
}

impl fmt::Display for Diff {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "from event {} to event {}", self.since, self.event)?;
        for process in &self.processes {
            let note = match (process.is_new, process.is_gone) {
                (true, _) => ", new",
                (_, true) => ", gone",
                _ => "",
            };
            writeln!(f, "pid {} ({}){note}", process.pid, process.comm)?;
            for area in &process.areas_gone {
                writeln!(f, "  - {area}")?;
            }
            for area in &process.areas_come {
                writeln!(f, "  + {area}")?;
            }
            for change in &process.pages {
                writeln!(f, "    {change}")?;
            }
        }
        if self.processes.is_empty() {
            writeln!(f, "no process changed")?;
        }
        for change in &self.frames {
            writeln!(
                f,
                "frames {} -> {}: {}",
                change.before, change.after, change.frames
            )?;
        }
        Ok(())
    }
}
