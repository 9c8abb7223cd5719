//! The heap (Linux mm/mmap.c: `brk`, `do_brk_flags`).

use super::{UserMm, mmap::DATA_FLAGS, place::check_fixed};
use crate::{
    machine::Machine,
    vma::{Area, Backing},
};
use core::sync::atomic::Ordering::Relaxed;
use pagelab_abi::{
    PAGE_SHIFT, PAGE_SIZE,
    errno::Errno,
    vma::{STACK_GUARD_GAP, VmFlags},
};

impl<M: Machine + 'static> UserMm<M> {
    /// Says where the heap begins. Nothing is mapped there yet.
    pub fn set_brk_start(&mut self, addr: u64) {
        let this = self.mm_struct();
        this.start_brk.store(addr, Relaxed);
        this.brk.store(addr, Relaxed);
    }

    /// Moves the end of the heap, and returns where it is then: where it was, if that failed.
    pub fn brk(&mut self, addr: u64) -> u64 {
        let this = self.mm_struct();
        let old = this.brk.load(Relaxed);
        if addr >= this.start_brk.load(Relaxed) && self.move_brk(old, addr).is_ok() {
            self.mm_struct().brk.store(addr, Relaxed);
            return addr;
        }
        old
    }

    fn move_brk(&mut self, old: u64, new: u64) -> Result<(), Errno> {
        let align = |at: u64| at.checked_next_multiple_of(PAGE_SIZE).ok_or(Errno::ENOMEM);
        let (old, new) = (align(old)?, align(new)?);
        if new == old {
            return Ok(());
        }
        if new < old {
            return self.unmap_range(new, old);
        }
        check_fixed(old, new.checked_sub(old).ok_or(Errno::ENOMEM)?)?;
        if let Some(next) = self.tree().find_intersection(old, u64::MAX).map(Area::of) {
            let guard = if next.flags.contains(VmFlags::GROWSDOWN) {
                STACK_GUARD_GAP
            } else {
                0
            };
            if new + PAGE_SIZE > next.start.saturating_sub(guard) {
                return Err(Errno::ENOMEM);
            }
        }
        let def_flags = VmFlags::from_bits_retain(self.mm_struct().def_flags.load(Relaxed));
        self.may_lock_future(def_flags, (new - old) >> PAGE_SHIFT)?;
        let area = Area {
            start: old,
            end: new,
            flags: DATA_FLAGS | def_flags,
            backing: Backing::anonymous(old),
        };
        self.map_area(&area)?;
        if area.flags.contains(VmFlags::LOCKED) {
            self.populate_what_goes(old, new);
        }
        Ok(())
    }
}
