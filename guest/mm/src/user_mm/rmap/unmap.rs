//! All entries of a page are asked how it was used, or let go of it (Linux mm/rmap.c:
//! `folio_referenced`, `try_to_unmap`).
//!
//! Each entry that changes is forgotten by the CPU at once: if it belongs to another address space than
//! the CPU's, that does no harm. Linux leaves the accessed bit that it clears in the TLB, to save the
//! flush; a page would then look unused as long as the CPU remembers it, and how long that is
//! nobody can repeat.

use super::walk::PageMapping;
use crate::{Mm, Pfn, machine::Machine, pgtable::Pte, swap::SwapEntry};
use core::{ops::ControlFlow, sync::atomic::Ordering::Relaxed};
use pagelab_abi::{
    mm_struct::RssStat,
    page::is_anon,
    pte::{PTE_ACCESSED, PTE_DIRTY},
    swap::hwpoison_pte,
    vma::VmFlags,
};

/// How a page was used through its entries.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Referenced {
    /// Entries through which it was.
    pub(crate) count: u32,
    /// Flags of the areas of these, and `LOCKED` if any area is.
    pub(crate) flags: VmFlags,
}

impl<M: Machine + 'static> Mm<M> {
    /// Through how many entries a page was used since it was last asked. What they have noted is
    /// forgotten.
    pub(crate) fn page_referenced(&self, pfn: Pfn) -> Referenced {
        let mut used = Referenced {
            count: 0,
            flags: VmFlags::empty(),
        };
        self.rmap_walk(pfn, &mut |mapping| {
            if mapping.area.flags.contains(VmFlags::LOCKED) {
                used.flags |= VmFlags::LOCKED;
                return ControlFlow::Break(());
            }
            let pte = mapping.entry.load(Relaxed);
            if pte & PTE_ACCESSED != 0 {
                mapping.entry.store(pte & !PTE_ACCESSED, Relaxed);
                self.machine.flush_tlb_page(mapping.address);
                // Who reads sequentially will not come back (Linux: `vma_has_recency`).
                if !mapping.area.flags.contains(VmFlags::SEQ_READ) {
                    used.count += 1;
                    used.flags |= mapping.area.flags;
                }
            }
            ControlFlow::Continue(())
        });
        used
    }

    /// Takes the right to store from every entry of a page.
    pub(crate) fn write_protect_page(&self, pfn: Pfn) {
        self.rmap_walk(pfn, &mut |mapping| {
            let pte = Pte(mapping.entry.load(Relaxed));
            if pte.is_writable() {
                mapping.entry.store(pte.read_only().0, Relaxed);
                self.machine.flush_tlb_page(mapping.address);
            }
            ControlFlow::Continue(())
        });
    }

    /// A page of a file is to be written: nobody may store to it without making it dirty again (Linux:
    /// `folio_mkclean`). Takes the right to store, and what the CPU has noted of stores, from the
    /// entries of shared mappings; private ones have neither.
    pub(crate) fn page_mkclean(&self, pfn: Pfn) {
        self.rmap_walk(pfn, &mut |mapping| {
            let pte = Pte(mapping.entry.load(Relaxed));
            if pte.is_writable() {
                let clean = pte.read_only().0 & !PTE_DIRTY;
                mapping.entry.store(clean, Relaxed);
                self.machine.flush_tlb_page(mapping.address);
            }
            ControlFlow::Continue(())
        });
    }

    /// Lets every entry of a page of the swap cache lead to its slot.
    pub(crate) fn unmap_to_swap(&self, pfn: Pfn, slot: SwapEntry) {
        self.rmap_walk(pfn, &mut |mapping| {
            if self.swap_duplicate(slot).is_err() {
                // More than can be counted, which no machine has memory for.
                return ControlFlow::Break(());
            }
            self.replace_entry(mapping, slot.to_pte(), pfn);
            mapping.user.add_rss(RssStat::Anon, -1);
            mapping.user.add_rss(RssStat::Swap, 1);
            ControlFlow::Continue(())
        });
    }

    /// Empties every entry of an anonymous page that was given up. False, and some entries are as
    /// they were, if one of them has been stored through since.
    pub(crate) fn unmap_lazyfree(&self, pfn: Pfn) -> bool {
        self.rmap_walk(pfn, &mut |mapping| {
            if mapping.entry.load(Relaxed) & PTE_DIRTY != 0 {
                return ControlFlow::Break(());
            }
            self.replace_entry(mapping, 0, pfn);
            mapping.user.add_rss(RssStat::Anon, -1);
            ControlFlow::Continue(())
        });
        self.map.page(pfn.0).mapcount.load(Relaxed) == 0
    }

    /// Empties every entry of a page of a file: a fault finds the page again. What was stored through
    /// one is to be written. False if an entry was not found.
    pub(crate) fn unmap_file_page(&self, pfn: Pfn) -> bool {
        self.rmap_walk(pfn, &mut |mapping| {
            if mapping.entry.load(Relaxed) & PTE_DIRTY != 0 {
                self.set_page_dirty(pfn);
            }
            self.replace_entry(mapping, 0, pfn);
            mapping.user.add_rss(self.file_rss(&mapping.area), -1);
            ControlFlow::Continue(())
        });
        self.map.page(pfn.0).mapcount.load(Relaxed) == 0
    }

    /// Lets every entry of a page name its frame, which is broken, instead of mapping it (Linux:
    /// `try_to_unmap` with `TTU_HWPOISON`). Says how many there were.
    pub(crate) fn unmap_hwpoison(&self, pfn: Pfn) -> u32 {
        let mut entries = 0;
        let anon = is_anon(self.map.page(pfn.0).mapping.load(Relaxed));
        self.rmap_walk(pfn, &mut |mapping| {
            self.replace_entry(mapping, hwpoison_pte(pfn.0), pfn);
            let kind = match anon {
                true => RssStat::Anon,
                false => self.file_rss(&mapping.area),
            };
            mapping.user.add_rss(kind, -1);
            entries += 1;
            ControlFlow::Continue(())
        });
        entries
    }

    /// Puts something else into an entry that holds a page, and gives its reference back. The caller
    /// has another one.
    fn replace_entry(&self, mapping: &PageMapping<'_, M>, value: u64, pfn: Pfn) {
        mapping.user.note_hiwater();
        debug_assert_eq!(Pte(mapping.entry.load(Relaxed)).pfn(), pfn);
        mapping.entry.store(value, Relaxed);
        self.machine.flush_tlb_page(mapping.address);
        self.page_remove_rmap(pfn);
        self.map.page(pfn.0).refcount.fetch_sub(1, Relaxed);
    }
}
