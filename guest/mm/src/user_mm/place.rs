//! Where a new area goes (Linux mm/mmap.c: `get_unmapped_area`).

use super::UserMm;
use crate::{
    machine::Machine,
    vma::{Area, Direction, GapRequest},
};
use core::sync::atomic::Ordering::Relaxed;
use pagelab_abi::{
    PAGE_SIZE,
    errno::Errno,
    mman::MapFlags,
    pte::{USER_END, USER_START},
    vma::{STACK_GUARD_GAP, VmFlags},
};

/// Where the search upwards begins (Linux: `TASK_UNMAPPED_BASE`, a third).
const UNMAPPED_BASE: u64 = (USER_END / 3).next_multiple_of(PAGE_SIZE);

/// What the search with `BIT32` is bounded by (Linux arch/x86/kernel/sys_x86_64.c: `find_start_end`).
const LOW_START: u64 = 0x4000_0000;
const LOW_END: u64 = 0x8000_0000;

/// Bytes in whole pages.
///
/// # Errors
/// `EINVAL` for 0, `ENOMEM` for what does not fit into an address.
pub(super) fn page_align(len: u64) -> Result<u64, Errno> {
    match len.checked_next_multiple_of(PAGE_SIZE) {
        Some(0) => Err(Errno::EINVAL),
        Some(len) => Ok(len),
        None => Err(Errno::ENOMEM),
    }
}

impl<M: Machine + 'static> UserMm<M> {
    /// Finds room of `len` bytes, whole pages.
    pub(super) fn place(&mut self, hint: u64, len: u64, flags: MapFlags) -> Result<u64, Errno> {
        if len > USER_END {
            return Err(Errno::ENOMEM);
        }
        if flags.intersects(MapFlags::FIXED | MapFlags::FIXED_NOREPLACE) {
            return check_fixed(hint, len);
        }
        // Linux: `round_hint_to_min`.
        if hint != 0 {
            let hint = (hint & !(PAGE_SIZE - 1)).max(USER_START);
            if self.is_room(hint, len) {
                return Ok(hint);
            }
        }
        let search = |low, high, direction| GapRequest {
            len,
            align: PAGE_SIZE,
            low,
            high,
            direction,
        };
        let requests = if flags.contains(MapFlags::BIT32) {
            [Some(search(LOW_START, LOW_END, Direction::BottomUp)), None]
        } else {
            let base = self.mm_struct().mmap_base.load(Relaxed);
            [
                Some(search(USER_START, base, Direction::TopDown)),
                Some(search(UNMAPPED_BASE, USER_END, Direction::BottomUp)),
            ]
        };
        let tree = self.tree();
        for request in requests.iter().flatten() {
            if let Ok(Some(at)) = tree.find_gap(request) {
                return Ok(at);
            }
        }
        Err(Errno::ENOMEM)
    }

    /// Whether an area can be just there, the guard gap of a stack above it respected.
    fn is_room(&mut self, at: u64, len: u64) -> bool {
        if at > USER_END - len {
            return false;
        }
        match self.tree().find_vma(at).map(Area::of) {
            None => true,
            Some(next) => {
                let guard = if next.flags.contains(VmFlags::GROWSDOWN) {
                    STACK_GUARD_GAP
                } else {
                    0
                };
                at + len <= next.start.saturating_sub(guard)
            }
        }
    }
}

/// Bounds of what is mapped at a fixed address.
pub(super) fn check_fixed(at: u64, len: u64) -> Result<u64, Errno> {
    if len > USER_END || at > USER_END - len {
        Err(Errno::ENOMEM)
    } else if !at.is_multiple_of(PAGE_SIZE) {
        Err(Errno::EINVAL)
    } else if at < USER_START {
        Err(Errno::EPERM)
    } else {
        Ok(at)
    }
}
