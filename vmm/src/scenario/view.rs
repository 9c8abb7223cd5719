//! Views of a guest's structures, live or saved, in the formats of Linux's /proc.

use crate::inspect::{
    decode::{DecodeError, Snapshot},
    image::PhysMem,
    pagetable::DeviceRange,
    proc::{self, TaskView},
};
use pagelab_abi::{
    platform::{MMIO_BASE, MMIO_END},
    view::ViewKind,
};

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

/// What may be mapped besides RAM: the window of the virtio devices.
pub fn devices() -> Vec<DeviceRange> {
    vec![DeviceRange {
        name: "virtio-mmio".to_owned(),
        range: MMIO_BASE..MMIO_END,
    }]
}
