//! Copies on write (Linux mm/memory.c: `do_wp_page`, `wp_page_copy`).

use super::{FaultSignal, UserMm};
use crate::{
    AllocError, Order, Pfn,
    machine::Machine,
    mutation::{Mutation, is_planted},
    pgtable::Pte,
    vma::Area,
};
use core::sync::atomic::Ordering::Relaxed;
use pagelab_abi::{PAGE_SIZE, mm_struct::RssStat, pte::PTE_ACCESSED, vma::VmFlags};

impl<M: Machine + 'static> UserMm<M> {
    /// A store to an address whose page is there and read-only, in an area that is writable
    /// (Linux: `do_wp_page`).
    pub(super) fn write_protect_fault(
        &mut self,
        addr: u64,
        area: &Area,
        pte: Pte,
    ) -> Result<(), FaultSignal> {
        let page = addr & !(PAGE_SIZE - 1);
        if self.reuse_huge(page) {
            return Ok(());
        }
        // From here on it is about one page: if its entry is large it is split.
        let is_shared = area.flags.contains(VmFlags::SHARED);
        if is_shared && !self.file_mkwrite(addr, area, pte)? {
            return Ok(());
        }
        if is_shared || !pte.is_special() && self.is_reusable(pte.pfn()) {
            self.replace(page, Pte(pte.0 | PTE_ACCESSED).writable());
            return Ok(());
        }
        if pte.is_special() {
            return self.copy_to_own(page, area, pte);
        }
        // While memory is reclaimed for the copy, the page could go.
        self.mm.get_page(pte.pfn());
        let copied = self.copy_to_own(page, area, pte);
        self.mm.put_page(pte.pfn());
        copied
    }

    /// Whether an anonymous page has no other user (Linux: `wp_can_reuse_anon_folio`). The swap
    /// cache is one only as long as entries lead to the slot.
    #[inline]
    fn is_reusable(&self, pfn: Pfn) -> bool {
        let refcount = &self.mm.map.page(pfn.0).refcount;
        if !self.is_anon_page(pfn) {
            return false;
        }
        if refcount.load(Relaxed) == 2
            && let Some(slot) = self.mm.swap_cache_entry(pfn)
            && self.mm.swap_count(slot) == 0
        {
            self.mm.delete_from_swap_cache(pfn);
        }
        refcount.load(Relaxed) == 1
    }

    /// Maps a copy in place of a page that others have as well.
    fn copy_to_own(&mut self, page: u64, area: &Area, pte: Pte) -> Result<(), FaultSignal> {
        let new = match self.alloc_user_page() {
            Err(_) if !pte.is_special() && is_planted(Mutation::CowReuse) => {
                self.replace(page, Pte(pte.0 | PTE_ACCESSED).writable());
                return Ok(());
            }
            other => other?,
        };
        let filled = if pte.is_special() {
            self.zero_page(new)
        } else {
            self.copy_page(new, pte.pfn())
        };
        if let Err(error) = filled {
            return self.give_up(new, error);
        }
        let entry = self.tables().walk(page);
        let Some(entry) = entry.filter(|entry| entry.load(Relaxed) == pte.0) else {
            // Reclaim took the page. The access finds that out when it is tried again.
            self.mm.free_pages(new, Order::ZERO);
            return Ok(());
        };
        self.map_anonymous(entry, page, new, area);
        self.mm.machine.flush_tlb_page(page);
        if !pte.is_special() {
            let kind = if self.unmap_page(area, pte) {
                RssStat::Anon
            } else {
                self.file_rss(area)
            };
            self.add_rss(kind, -1);
            self.mm.put_page(pte.pfn());
        }
        Ok(())
    }

    /// Copies a frame.
    pub(super) fn copy_page(&self, to: Pfn, from: Pfn) -> Result<(), AllocError> {
        let machine = &self.mm.machine;
        let source = machine.kmap_local(from.0).ok_or(AllocError::NoWindow)?;
        let copied = match machine.kmap_local(to.0) {
            Some(target) => {
                // SAFETY: both are windows onto whole, different frames; `to` is new, and what a
                // program could write into `from` is only bytes.
                unsafe {
                    target.copy_from_nonoverlapping(source, PAGE_SIZE as usize);
                    machine.kunmap_local(target);
                }
                Ok(())
            }
            None => Err(AllocError::NoWindow),
        };
        // SAFETY: the window opened last that is still open.
        unsafe { machine.kunmap_local(source) };
        copied
    }
}
