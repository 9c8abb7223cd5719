//! Anonymous pages go to swap, one address space's view of it: entries change from a page to its slot
//! (Linux mm/rmap.c: `try_to_unmap_one`; mm/madvise.c: `madvise_cold_or_pageout_pte_range`).
//!
//! What goes out at a program's wish (`MADV_PAGEOUT`) is what one entry alone maps, so that entry is all
//! there is to change. To take a page out that several entries map, each is made read-only by
//! [`UserMm::write_protect`], the page is written by [`Mm::swap_out`](crate::Mm::swap_out), and
//! each is changed by [`UserMm::unmap_to_swap`].

use super::UserMm;
use crate::{machine::Machine, pgtable::Pte, swap::SwapEntry, swap::SwapError};
use core::{
    ops::Range,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
};
use pagelab_abi::{PAGE_SHIFT, mm_struct::RssStat};

impl<M: Machine + 'static> UserMm<M> {
    /// Writes out the anonymous pages of a range that are mapped there alone. Those that the device
    /// fails to take stay.
    pub(super) fn page_out(&self, part: Range<u64>) {
        let mut is_full = false;
        self.tables()
            .for_each_node(part.start, part.end, |address, entries| {
                for (page, entry) in (0..).zip(entries) {
                    if is_full {
                        return;
                    }
                    let done = self.page_out_one(address + (page << PAGE_SHIFT), entry);
                    is_full = matches!(done, Err(SwapError::Full | SwapError::NoSwap));
                }
            });
    }

    /// Writes out the page of an entry, if it is of the kind.
    fn page_out_one(&self, address: u64, entry: &AtomicU64) -> Result<(), SwapError> {
        let mm = self.mm;
        let pte = Pte(entry.load(Relaxed));
        if !pte.holds_page() || !self.is_anonymous(pte) {
            return Ok(());
        }
        let pfn = pte.pfn();
        if mm.map.page(pfn.0).mapcount.load(Relaxed) != 1 {
            return Ok(());
        }
        mm.get_page(pfn);
        self.write_protect(address, entry);
        let slot = match mm.swap_cache_entry(pfn) {
            // It is what the slot has.
            Some(slot) => Ok(slot),
            None => mm.swap_out(pfn),
        };
        let done = slot.and_then(|slot| self.unmap_to_swap(address, entry, slot));
        mm.delete_from_swap_cache(pfn);
        mm.put_page(pfn);
        done
    }

    /// Takes the right to store from an entry that holds a page.
    pub(crate) fn write_protect(&self, address: u64, entry: &AtomicU64) {
        let pte = Pte(entry.load(Relaxed));
        if pte.is_writable() {
            entry.store(pte.read_only().0, Relaxed);
            self.mm.machine.flush_tlb_page(address);
        }
    }

    /// Lets an entry that holds a page of the swap cache, read-only, lead to the page's slot, and
    /// gives the entry's reference back. The caller has another one.
    ///
    /// # Errors
    /// [`SwapError::Overflow`], [`SwapError::BadEntry`]; the entry is as it was.
    pub(crate) fn unmap_to_swap(
        &self,
        address: u64,
        entry: &AtomicU64,
        slot: SwapEntry,
    ) -> Result<(), SwapError> {
        let pte = Pte(entry.load(Relaxed));
        debug_assert!(pte.holds_page() && !pte.is_writable(), "{pte:x?}");
        self.mm.swap_duplicate(slot)?;
        self.note_hiwater();
        entry.store(slot.to_pte(), Relaxed);
        self.mm.machine.flush_tlb_page(address);
        self.mm.page_remove_rmap(pte.pfn());
        self.add_rss(RssStat::Anon, -1);
        self.add_rss(RssStat::Swap, 1);
        self.mm.put_page(pte.pfn());
        Ok(())
    }
}
