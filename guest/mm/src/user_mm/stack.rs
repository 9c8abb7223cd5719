//! The stack, which grows by faults below it (Linux mm/mmap.c: `expand_downwards`).

use super::{UserMm, add, life::mmap_base, mmap::DATA_FLAGS, place::check_fixed};
use crate::{
    machine::Machine,
    vma::{Area, Backing},
};
use core::sync::atomic::Ordering::Relaxed;
use pagelab_abi::{
    PAGE_SHIFT, PAGE_SIZE,
    errno::Errno,
    pte::{USER_END, USER_START},
    vma::{STACK_GUARD_GAP, VmFlags},
};

impl<M: Machine + 'static> UserMm<M> {
    /// Maps a stack of `size` bytes below `top`, which grows to at most `rlimit` bytes. What mmap
    /// gives out afterwards leaves room for that.
    ///
    /// # Errors
    /// `EINVAL` for an unaligned top or a size of 0, `ENOMEM` without room or memory.
    pub fn map_stack(&mut self, top: u64, size: u64, rlimit: u64) -> Result<(), Errno> {
        let size = super::place::page_align(size)?;
        let start = top.checked_sub(size).ok_or(Errno::ENOMEM)?;
        if !top.is_multiple_of(PAGE_SIZE) {
            return Err(Errno::EINVAL);
        }
        if top > USER_END || self.tree().find_intersection(start, top).is_some() {
            return Err(Errno::ENOMEM);
        }
        check_fixed(start, size)?;
        let area = Area {
            start,
            end: top,
            flags: DATA_FLAGS | VmFlags::GROWSDOWN,
            backing: Backing::anonymous(start),
        };
        self.map_area(&area)?;
        let this = self.mm_struct();
        this.start_stack.store(top, Relaxed);
        this.stack_limit.store(rlimit, Relaxed);
        this.mmap_base.store(mmap_base(rlimit), Relaxed);
        Ok(())
    }

    /// Lets the area above an address, which is in none, grow down to it. None if it must not.
    #[inline(never)]
    pub(super) fn expand_stack(&mut self, address: u64, area: &Area) -> Option<Area> {
        if !area.flags.contains(VmFlags::GROWSDOWN) {
            return None;
        }
        let start = address & !(PAGE_SIZE - 1);
        let limit = self.mm_struct().stack_limit.load(Relaxed);
        if start < USER_START || area.end - start > limit {
            return None;
        }
        let more = (area.start - start) >> PAGE_SHIFT;
        self.may_expand(area.flags, more).ok()?;
        self.may_lock_future(area.flags, more).ok()?;
        if let Some(below) = self.tree().before(area.start).map(Area::of) {
            let any = VmFlags::READ | VmFlags::WRITE | VmFlags::EXEC;
            let guarded = !below.flags.contains(VmFlags::GROWSDOWN) && below.flags.intersects(any);
            if below.end > start || guarded && start - below.end < STACK_GUARD_GAP {
                return None;
            }
        }
        self.tree().resize(area.start, start, area.end).ok()?;
        let pages = ((area.start - start) >> PAGE_SHIFT) as i64;
        let this = self.mm_struct();
        add(&this.total_vm, pages);
        if area.flags.contains(VmFlags::LOCKED) {
            add(&this.locked_vm, pages);
        }
        self.tree().find(start).map(Area::of)
    }
}
