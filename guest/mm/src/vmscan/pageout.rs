//! One page: whether it can go, and how (Linux: `folio_check_references`, `try_to_unmap`,
//! `__remove_mapping`).

use crate::{
    Mm, Pfn,
    machine::Machine,
    page_cache::Pageout,
    swap::{SwapEntry, SwapError, SwapWrites},
};
use core::sync::atomic::Ordering::Relaxed;
use pagelab_abi::{
    lru::is_swap_backed,
    page::{MAPPING_LAZYFREE, PageFlags, is_anon, memory_group_of},
    vma::VmFlags,
    vmstat::VmEvent,
};

/// What becomes of a page that reclaim looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// The reference of the one who looks is its last.
    Freed,
    /// It is among those that will be written to swap together.
    Writing,
    /// It goes round once more.
    Keep,
    /// It is in use.
    Activate,
    /// It cannot be reclaimed, until something changes.
    Unevictable,
}

/// How a page was used since it was last looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum References {
    Reclaim,
    Keep,
    Activate,
    Locked,
}

impl<M: Machine + 'static> Mm<M> {
    /// Gets rid of a page that is isolated, if it was not used, or if `even_used`. What has to be written
    /// to swap before waits among `writes`.
    pub(super) fn pageout(&self, pfn: Pfn, even_used: bool, writes: &mut SwapWrites) -> Outcome {
        let page = self.map.page(pfn.0);
        let mapping = page.mapping.load(Relaxed);
        if page.refcount.load(Relaxed) == 1 {
            // Its last user is gone.
            return Outcome::Freed;
        }
        if self.mapping_unevictable(mapping) {
            return Outcome::Unevictable;
        }
        match self.check_references(pfn, mapping) {
            References::Locked => return Outcome::Unevictable,
            References::Activate if !even_used => return Outcome::Activate,
            References::Keep if !even_used => return Outcome::Keep,
            _ => {}
        }
        if !is_anon(mapping) {
            return self.pageout_of_file(pfn, writes);
        }
        if self.is_pinned(pfn) {
            return Outcome::Keep;
        }
        if is_swap_backed(mapping) {
            self.pageout_to_swap(pfn, writes)
        } else {
            self.pageout_lazyfree(pfn)
        }
    }

    fn check_references(&self, pfn: Pfn, mapping: u64) -> References {
        let page = self.map.page(pfn.0);
        let used = self.page_referenced(pfn);
        let word = page.flags.fetch_and(!PageFlags::REFERENCED.bits(), Relaxed);
        let before = word & PageFlags::REFERENCED.bits() != 0;
        if used.flags.contains(VmFlags::LOCKED) {
            return References::Locked;
        }
        if used.count == 0 {
            return References::Reclaim;
        }
        page.flags.fetch_or(PageFlags::REFERENCED.bits(), Relaxed);
        // Code is dear: one use is enough.
        let is_code = used.flags.contains(VmFlags::EXEC) && !is_anon(mapping);
        if before || used.count > 1 || is_code {
            References::Activate
        } else {
            References::Keep
        }
    }

    /// Whether somebody refers to a page besides its entries, the swap cache, and the one who looks:
    /// he works on it, and would not see it change.
    fn is_pinned(&self, pfn: Pfn) -> bool {
        let page = self.map.page(pfn.0);
        let cached = u32::from(self.swap_cache_entry(pfn).is_some());
        let known = page.mapcount.load(Relaxed).max(0).unsigned_abs() + cached + 1;
        page.refcount.load(Relaxed) > known
    }

    /// An anonymous page: it is written unless its slot has it already, and each entry gets the slot.
    fn pageout_to_swap(&self, pfn: Pfn, writes: &mut SwapWrites) -> Outcome {
        let is_mapped = self.map.page(pfn.0).mapcount.load(Relaxed) > 0;
        match self.swap_cache_entry(pfn) {
            // While it is in the swap cache no entry lets anybody store to it.
            Some(slot) => self.leave_to_swap(pfn, slot),
            None if is_mapped => {
                self.write_protect_page(pfn);
                self.write_later(pfn, writes)
            }
            // An entry that was not found, if any, has the page still: nothing is lost.
            None => Outcome::Activate,
        }
    }

    fn write_later(&self, pfn: Pfn, writes: &mut SwapWrites) -> Outcome {
        match self.swap_out_later(pfn, writes) {
            Ok(()) => Outcome::Writing,
            Err(_) => Outcome::Keep,
        }
    }

    /// What becomes of a page that was among those to be written.
    pub(super) fn after_write(&self, pfn: Pfn, written: Result<SwapEntry, SwapError>) -> Outcome {
        match written {
            Ok(slot) if is_anon(self.map.page(pfn.0).mapping.load(Relaxed)) => {
                self.leave_to_swap(pfn, slot)
            }
            Ok(slot) => outcome(self.leave_file_to_swap(pfn, slot)),
            // It would only fail again.
            Err(SwapError::Io) => Outcome::Activate,
            Err(_) => Outcome::Keep,
        }
    }

    /// An anonymous page whose slot has it.
    fn leave_to_swap(&self, pfn: Pfn, slot: SwapEntry) -> Outcome {
        let page = self.map.page(pfn.0);
        if page.mapcount.load(Relaxed) > 0 {
            self.unmap_to_swap(pfn, slot);
        }
        // An entry that was not found, if any, has the page still: nothing is lost either way.
        self.delete_from_swap_cache(pfn);
        if page.refcount.load(Relaxed) == 1 {
            Outcome::Freed
        } else {
            Outcome::Activate
        }
    }

    /// An anonymous page that its program gave up: it goes unless the program has stored to it since.
    fn pageout_lazyfree(&self, pfn: Pfn) -> Outcome {
        let page = self.map.page(pfn.0);
        if self.unmap_lazyfree(pfn) && page.refcount.load(Relaxed) == 1 {
            self.count_event(VmEvent::Pglazyfreed, 1);
            return Outcome::Freed;
        }
        page.mapping.fetch_and(!MAPPING_LAZYFREE, Relaxed);
        Outcome::Activate
    }

    /// A page of a file: it leaves all address spaces, and then its file if that can bring it back, or goes
    /// to swap.
    fn pageout_of_file(&self, pfn: Pfn, writes: &mut SwapWrites) -> Outcome {
        let page = self.map.page(pfn.0);
        let mapping = page.mapping.load(Relaxed);
        let group = memory_group_of(page.flags.load(Relaxed));
        if is_swap_backed(mapping) && !self.may_swap(group) {
            return Outcome::Keep;
        }
        if page.mapcount.load(Relaxed) > 0 && !self.unmap_file_page(pfn) {
            return Outcome::Activate;
        }
        match self.pageout_file(pfn) {
            Pageout::ToSwap => self.write_later(pfn, writes),
            other => outcome(other),
        }
    }
}

/// What becomes of a page of a file.
fn outcome(pageout: Pageout) -> Outcome {
    match pageout {
        Pageout::Dropped => Outcome::Freed,
        Pageout::Keep | Pageout::ToSwap => Outcome::Keep,
        // It would only fail again.
        Pageout::Failed(_) => Outcome::Activate,
    }
}
