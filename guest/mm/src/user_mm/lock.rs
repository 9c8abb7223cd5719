//! mlock and its kin (Linux mm/mlock.c). A lock is that the pages are there, that nobody takes pages
//! out of an area with `LOCKED`, and a count.

use super::UserMm;
use crate::{machine::Machine, pgtable::Pte, vma::Area};
use core::{ops::Range, sync::atomic::Ordering::Relaxed};
use pagelab_abi::{
    PAGE_SHIFT, PAGE_SIZE,
    errno::Errno,
    mman::{MLOCK_ONFAULT, MlockallFlags},
    pte::USER_END,
    vma::VmFlags,
};

const LOCKS: VmFlags = VmFlags::LOCKED.union(VmFlags::LOCKONFAULT);

/// The pages that a range of bytes touches. As Linux has it (`do_mlock`), a length wraps when it is made
/// whole pages, and a range must not.
fn pages(addr: u64, len: u64) -> Result<Range<u64>, Errno> {
    let start = addr & !(PAGE_SIZE - 1);
    let end = start.checked_add(whole(len.wrapping_add(addr - start)));
    end.map(|end| start..end).ok_or(Errno::EINVAL)
}

/// Bytes of the pages that so many bytes take, which may wrap.
const fn whole(len: u64) -> u64 {
    len.wrapping_add(PAGE_SIZE - 1) & !(PAGE_SIZE - 1)
}

impl<M: Machine + 'static> UserMm<M> {
    /// mlock2: locks the pages of a range, with [`MLOCK_ONFAULT`] once they are there. mlock is the
    /// same with no flags.
    ///
    /// # Errors
    /// `EINVAL` for unknown flags or a range beyond all addresses, `ENOMEM` if a part is not mapped
    /// or cannot be accessed, or above the limit, `EAGAIN` if there is no memory for all pages, `EPERM`
    /// if nothing may be locked.
    pub fn mlock(&mut self, addr: u64, len: u64, flags: u32) -> Result<(), Errno> {
        if flags & !MLOCK_ONFAULT != 0 {
            return Err(Errno::EINVAL);
        }
        self.may_lock()?;
        let range = pages(addr, len);
        self.check_memlock(addr, len)?;
        let range = range?;
        let locks = if flags & MLOCK_ONFAULT != 0 {
            LOCKS
        } else {
            VmFlags::LOCKED
        };
        self.apply_locks(range.clone(), locks)?;
        self.populate(range.start, range.end)
            .map_err(|error| match error {
                Errno::EFAULT => Errno::ENOMEM,
                _ => Errno::EAGAIN,
            })
    }

    /// Whether a range, of which some may be locked, may be locked (Linux: `do_mlock`).
    fn check_memlock(&mut self, addr: u64, len: u64) -> Result<(), Errno> {
        let start = addr & !(PAGE_SIZE - 1);
        let bytes = whole(len.wrapping_add(addr - start));
        let more = bytes >> PAGE_SHIFT;
        if self.may_lock_more(more) {
            return Ok(());
        }
        let again = self.locked_pages_in(start..start.saturating_add(bytes));
        if self.may_lock_more(more.saturating_sub(again)) {
            Ok(())
        } else {
            Err(Errno::ENOMEM)
        }
    }

    /// munlock: unlocks the pages of a range.
    ///
    /// # Errors
    /// `EINVAL` for a range beyond all addresses, `ENOMEM` if a part is not mapped.
    pub fn munlock(&mut self, addr: u64, len: u64) -> Result<(), Errno> {
        self.apply_locks(pages(addr, len)?, VmFlags::empty())
    }

    /// mlockall: locks all there is, or will be.
    ///
    /// # Errors
    /// `EINVAL` for flags that are unknown or say nothing, `EPERM` if nothing may be locked, `ENOMEM` if
    /// there is more than may be.
    pub fn mlockall(&mut self, flags: MlockallFlags) -> Result<(), Errno> {
        let known = (flags - MlockallFlags::all()).is_empty();
        if !known || (flags - MlockallFlags::ONFAULT).is_empty() {
            return Err(Errno::EINVAL);
        }
        self.may_lock()?;
        if flags.contains(MlockallFlags::CURRENT) && !self.may_lock_all() {
            return Err(Errno::ENOMEM);
        }
        let locks = if flags.contains(MlockallFlags::ONFAULT) {
            LOCKS
        } else {
            VmFlags::LOCKED
        };
        if flags.contains(MlockallFlags::FUTURE) {
            self.set_def_locks(locks);
        } else {
            self.set_def_locks(VmFlags::empty());
        }
        if flags.contains(MlockallFlags::CURRENT) {
            self.apply_locks_to_all(locks);
            self.populate_what_goes(0, USER_END);
        }
        Ok(())
    }

    /// munlockall: unlocks all, and what will be as well.
    pub fn munlockall(&mut self) {
        self.set_def_locks(VmFlags::empty());
        self.apply_locks_to_all(VmFlags::empty());
    }

    fn set_def_locks(&self, locks: VmFlags) {
        let word = &self.mm_struct().def_flags;
        let others = word.load(Relaxed) & !LOCKS.bits();
        word.store(others | locks.bits(), Relaxed);
    }

    fn apply_locks(&mut self, range: Range<u64>, locks: VmFlags) -> Result<(), Errno> {
        self.each_area(range.start, range.end, |user, area, part| {
            user.lock_part(area, part, locks)
        })
    }

    /// The flags of whole areas need no split, so nothing can fail.
    fn apply_locks_to_all(&mut self, locks: VmFlags) {
        let mut at = 0;
        while let Some(area) = self.tree().find_vma(at).map(Area::of) {
            let done = self.lock_part(&area, area.start..area.end, locks);
            debug_assert_eq!(done, Ok(()));
            at = area.end;
        }
    }

    /// Linux: `mlock_fixup`.
    fn lock_part(&mut self, area: &Area, part: Range<u64>, locks: VmFlags) -> Result<(), Errno> {
        let flags = (area.flags - LOCKS) | locks;
        if flags == area.flags || area.flags.intersects(VmFlags::SPECIAL) {
            return Ok(());
        }
        self.isolate(area, &part)?;
        self.set_flags(part.start, flags);
        let pages = ((part.end - part.start) >> PAGE_SHIFT) as i64;
        let had = i64::from(area.flags.contains(VmFlags::LOCKED));
        let has = i64::from(flags.contains(VmFlags::LOCKED));
        super::add(&self.mm_struct().locked_vm, pages * (has - had));
        if has != had {
            self.lock_pages(part.clone(), has > had);
        }
        self.merge_at(part.start);
        Ok(())
    }

    /// Takes the pages of a range, as far as they are there, out of reclaim's reach, or gives them
    /// back.
    fn lock_pages(&self, part: Range<u64>, lock: bool) {
        self.tables()
            .for_each_node(part.start, part.end, |_, entries| {
                for entry in entries {
                    let pte = Pte(entry.load(Relaxed));
                    if !pte.holds_page() || pte.is_special() {
                        continue;
                    }
                    if lock {
                        self.mm.lru_cull(pte.pfn());
                    } else {
                        self.mm.munlock_page(pte.pfn());
                    }
                }
            });
    }
}
