//! What a program knows of the use of its pages: advice for reclaim (Linux mm/madvise.c:
//! `madvise_cold_or_pageout_pte_range`, `madvise_free_pte_range`).
//!
//! Only pages that one entry alone maps are touched: the others are somebody else's, too.

use super::UserMm;
use crate::{Pfn, lru::Isolated, machine::Machine, pgtable::Pte};
use core::{
    ops::Range,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
};
use pagelab_abi::{
    PAGE_SHIFT,
    lru::LruList,
    mm_struct::RssStat,
    page::is_anon,
    pte::{PTE_ACCESSED, PTE_DIRTY},
};

impl<M: Machine + 'static> UserMm<M> {
    /// `MADV_COLD`: the pages of a range are the next ones to go.
    pub(super) fn deactivate(&self, part: Range<u64>) {
        self.each_own_page(part, |address, entry, pfn| {
            self.clear_bits(address, entry, PTE_ACCESSED);
            self.mm.deactivate_page(pfn);
            true
        });
    }

    /// `MADV_FREE`: the content of the pages of a range may go, as long as nobody stores to them.
    pub(super) fn free_lazily(&self, part: Range<u64>) {
        self.free_swap_of(part.clone());
        self.each_own_page(part, |address, entry, pfn| {
            // What a slot has of it is of no use either.
            self.mm.delete_from_swap_cache(pfn);
            let page = self.mm.map.page(pfn.0);
            if is_anon(page.mapping.load(Relaxed)) && page.refcount.load(Relaxed) == 1 {
                self.clear_bits(address, entry, PTE_ACCESSED | PTE_DIRTY);
                self.mm.mark_page_lazyfree(pfn);
            }
            true
        });
    }

    /// `MADV_PAGEOUT`: the pages of a range go, used or not.
    pub(super) fn page_out(&self, part: Range<u64>) {
        let mut start = part.start;
        while start < part.end {
            let mut pages = Isolated::new(LruList::InactiveAnon);
            let mut next = part.end;
            self.each_own_page(start..part.end, |address, _, pfn| {
                if pages.is_full() {
                    next = next.min(address);
                    return false;
                }
                self.mm.lru_isolate_page(pfn, &mut pages);
                true
            });
            self.mm.reclaim_pages(pages);
            start = next;
        }
    }

    /// Frees the slots that entries of a range lead to (Linux: `free_swap_and_cache`).
    fn free_swap_of(&self, part: Range<u64>) {
        let mut freed = 0;
        self.tables()
            .for_each_node(part.start, part.end, |_, entries| {
                for entry in entries {
                    let pte = Pte(entry.load(Relaxed));
                    if pte.swap_entry().is_some() || pte.is_hwpoison() {
                        entry.store(0, Relaxed);
                        freed += self.free_swap_entry(pte);
                    }
                }
            });
        self.add_rss(RssStat::Swap, -freed);
    }

    /// Calls `each` with the entries of a range that hold a page which nobody else maps, until it says
    /// that it has enough.
    fn each_own_page(&self, part: Range<u64>, mut each: impl FnMut(u64, &AtomicU64, Pfn) -> bool) {
        let mut goes_on = true;
        self.tables()
            .for_each_node(part.start, part.end, |address, entries| {
                for (page, entry) in (0u64..).zip(entries) {
                    let pte = Pte(entry.load(Relaxed));
                    if !goes_on || !pte.holds_page() || pte.is_special() {
                        continue;
                    }
                    let pfn = pte.pfn();
                    if self.mm.map.page(pfn.0).mapcount.load(Relaxed) == 1 {
                        goes_on = each(address + (page << PAGE_SHIFT), entry, pfn);
                    }
                }
            });
    }

    /// Clears bits of an entry, and lets the CPU know.
    fn clear_bits(&self, address: u64, entry: &AtomicU64, bits: u64) {
        let old = entry.load(Relaxed);
        if old & bits != 0 {
            entry.store(old & !bits, Relaxed);
            self.mm.machine.flush_tlb_page(address);
        }
    }
}
