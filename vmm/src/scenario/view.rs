//! Views of a guest's structures, live or saved, in the formats of Linux's /proc.

use crate::inspect::{
    decode::{DecodeError, Snapshot},
    image::PhysMem,
    lru::LruLists,
    pagetable::DeviceRange,
    proc::{self, TaskView},
    spaces::{Diff, ProcessData, ProcessView, Record, Spaces, WorkingSet, WriteExecute},
};
use pagelab_abi::{
    platform::{MMIO_BASE, MMIO_END},
    view::ViewKind,
};
use std::collections::BTreeSet;

/// The text of one view of the guest whose root page is at `root`.
///
/// # Errors
/// What cannot be decoded.
pub fn view(memory: &dyn PhysMem, root: u64, kind: ViewKind) -> Result<String, DecodeError> {
    proc::text(&Snapshot::read(memory, root)?, kind)
}

/// The text of a file of /proc/PID, of one process or of all.
///
/// # Errors
/// What cannot be decoded.
pub fn task_view(
    memory: &dyn PhysMem,
    root: u64,
    view: TaskView,
    pid: Option<u32>,
) -> Result<String, DecodeError> {
    proc::task_text(&Snapshot::read(memory, root)?, view, pid)
}

/// The lists that reclaim works on.
///
/// # Errors
/// What cannot be decoded.
pub fn lru_view(memory: &dyn PhysMem, root: u64) -> Result<LruLists, DecodeError> {
    LruLists::of(&Snapshot::read(memory, root)?)
}

/// What was found at the first of two moments.
#[derive(Clone, Debug)]
pub struct Since {
    /// What the processes had.
    pub record: Record,
    /// Frames that the CPU has stored to since; known at the second moment.
    pub written: BTreeSet<u32>,
}

/// A view of the memory of one process or of all. One of two moments needs `since`; without it,
/// it is of nothing but the moment itself.
///
/// # Errors
/// What cannot be decoded.
pub fn process_view(
    memory: &dyn PhysMem,
    root: u64,
    view: ProcessView,
    pid: Option<u32>,
    since: Option<&Since>,
) -> Result<ProcessData, DecodeError> {
    let now = Record::take(&Snapshot::read(memory, root)?)?.only(pid);
    let before = since.map_or_else(|| now.clone(), |since| since.record.clone().only(pid));
    let none = BTreeSet::new();
    let written = since.map_or(&none, |since| &since.written);
    Ok(match view {
        ProcessView::Spaces => ProcessData::Spaces(Spaces::of(&now)),
        ProcessView::WriteExecute => ProcessData::WriteExecute(WriteExecute::of(&now)),
        ProcessView::Diff => ProcessData::Diff(Diff::of(&before, &now)),
        ProcessView::WorkingSet => ProcessData::WorkingSet(WorkingSet::of(&before, &now, written)),
    })
}

/// What may be mapped besides RAM: the window of the virtio devices.
pub fn devices() -> Vec<DeviceRange> {
    vec![DeviceRange {
        name: "virtio-mmio".to_owned(),
        range: MMIO_BASE..MMIO_END,
    }]
}
