//! RLIMIT_AS and RLIMIT_DATA (Linux mm/mmap.c: `may_expand_vm`), and RLIMIT_MEMLOCK, which binds nobody
//! who has `CAP_IPC_LOCK` (`can_do_mlock`, `mlock_future_ok`).

use super::{UserMm, mmap::is_data};
use crate::{machine::Machine, vma::Area};
use core::{ops::Range, sync::atomic::Ordering::Relaxed};
use pagelab_abi::{PAGE_SHIFT, errno::Errno, vma::VmFlags};

/// No limit (Linux: `RLIM_INFINITY`).
const INFINITY: u64 = u64::MAX;

impl<M: Machine + 'static> UserMm<M> {
    /// Limits, in bytes, all areas, and those of private memory that can be written. What there is
    /// already stays. `u64::MAX` is no limit.
    pub fn set_limits(&self, address_space: u64, data: u64) {
        let this = self.mm_struct();
        this.as_limit.store(address_space, Relaxed);
        this.data_limit.store(data, Relaxed);
    }

    /// Limits, in bytes, what is locked. `u64::MAX` is no limit, and 0 lets nothing be locked at all.
    pub fn set_memlock_limit(&self, bytes: u64) {
        self.mm_struct().memlock_limit.store(bytes, Relaxed);
    }

    /// Whether anything may be locked (Linux: `can_do_mlock`).
    ///
    /// # Errors
    /// `EPERM`.
    pub(super) fn may_lock(&self) -> Result<(), Errno> {
        match self.mm_struct().memlock_limit.load(Relaxed) {
            0 => Err(Errno::EPERM),
            _ => Ok(()),
        }
    }

    /// Whether so many pages more may be locked than are now.
    pub(super) fn may_lock_more(&self, pages: u64) -> bool {
        let this = self.mm_struct();
        let limit = this.memlock_limit.load(Relaxed);
        let locked = this.locked_vm.load(Relaxed).saturating_add(pages);
        limit == INFINITY || locked <= limit >> PAGE_SHIFT
    }

    /// Whether all areas may be locked at once.
    pub(super) fn may_lock_all(&self) -> bool {
        let this = self.mm_struct();
        let limit = this.memlock_limit.load(Relaxed);
        limit == INFINITY || this.total_vm.load(Relaxed) <= limit >> PAGE_SHIFT
    }

    /// Whether an area of these flags may become so many pages longer (Linux: `mlock_future_ok`).
    ///
    /// # Errors
    /// `EAGAIN`.
    pub(super) fn may_lock_future(&self, flags: VmFlags, pages: u64) -> Result<(), Errno> {
        if flags.contains(VmFlags::LOCKED) && !self.may_lock_more(pages) {
            return Err(Errno::EAGAIN);
        }
        Ok(())
    }

    /// Pages of a range that are locked already (Linux: `count_mm_mlocked_page_nr`).
    pub(super) fn locked_pages_in(&mut self, range: Range<u64>) -> u64 {
        self.pages_in(range, |flags| flags.contains(VmFlags::LOCKED))
    }

    /// Whether there may be so many pages more in areas of these flags.
    ///
    /// # Errors
    /// `ENOMEM`.
    pub(super) fn may_expand(&mut self, flags: VmFlags, pages: u64) -> Result<(), Errno> {
        let this = self.mm_struct();
        let total = this.total_vm.load(Relaxed).saturating_add(pages);
        if total > this.as_limit.load(Relaxed) >> PAGE_SHIFT {
            return Err(Errno::ENOMEM);
        }
        let data = this.data_limit.load(Relaxed);
        if data != INFINITY
            && is_data(flags)
            && self.data_pages().saturating_add(pages) > data >> PAGE_SHIFT
        {
            return Err(Errno::ENOMEM);
        }
        Ok(())
    }

    /// The same for an area that takes the place of what is in its range.
    pub(super) fn may_map(&mut self, area: &Area) -> Result<(), Errno> {
        let covered = if self.is_limited() {
            self.pages_in(area.start..area.end, |_| true)
        } else {
            0
        };
        self.may_expand(area.flags, area.pages() - covered)
    }

    /// Whether pages of an area may get other flags (Linux: `mprotect_fixup`): no, if it is that which
    /// would be too much.
    pub(super) fn may_become(
        &mut self,
        old: VmFlags,
        new: VmFlags,
        pages: u64,
    ) -> Result<(), Errno> {
        if !new.contains(VmFlags::WRITE) || !self.is_limited() {
            return Ok(());
        }
        let allowed = self.may_expand(new, pages);
        if self.may_expand(old, pages).is_err() {
            return Ok(());
        }
        allowed
    }

    fn is_limited(&self) -> bool {
        let this = self.mm_struct();
        [&this.as_limit, &this.data_limit]
            .iter()
            .any(|limit| limit.load(Relaxed) != INFINITY)
    }

    /// Pages of private memory that can be written (Linux: `data_vm`).
    fn data_pages(&mut self) -> u64 {
        self.pages_in(0..u64::MAX, is_data)
    }

    /// Pages of a range that are in areas whose flags count.
    fn pages_in(&mut self, range: Range<u64>, counts: impl Fn(VmFlags) -> bool) -> u64 {
        let (mut at, mut pages) = (range.start, 0);
        while let Some(area) = self.tree().find_vma(at).map(Area::of) {
            if area.start >= range.end {
                break;
            }
            if counts(area.flags) {
                let part = area.end.min(range.end) - area.start.max(range.start);
                pages += part >> PAGE_SHIFT;
            }
            at = area.end;
        }
        pages
    }
}
