//! Pages go (Linux mm/memory.c: `zap_pte_range`).

use super::{UserMm, insert::file_of};
use crate::{Mm, Pfn, machine::Machine, pgtable::Pte, tlb::TlbGather, vma::Area};
use core::{ops::Range, sync::atomic::Ordering::Relaxed};
use pagelab_abi::{
    PAGE_SHIFT,
    mm_struct::{MmStruct, RssStat},
    page::is_anon,
    vma::VmFlags,
};

impl<M: Machine + 'static> UserMm<M> {
    /// Empties the entries of a part of an area. The frames' references go with the token.
    pub(super) fn zap(&self, area: &Area, part: Range<u64>, gather: &mut TlbGather<'_, M>) {
        self.zap_pages(area, part, true, gather);
    }

    /// The same, but with `anonymous` false only for pages of files.
    pub(super) fn zap_pages(
        &self,
        area: &Area,
        part: Range<u64>,
        anonymous: bool,
        gather: &mut TlbGather<'_, M>,
    ) {
        self.note_hiwater();
        let (mut anon, mut file, mut swapped) = (0, 0, 0);
        self.tables()
            .for_each_node(part.start, part.end, |address, entries| {
                for (page, entry) in entries.iter().enumerate() {
                    let pte = Pte(entry.load(Relaxed));
                    if pte.is_none() || !anonymous && self.is_anonymous(pte) {
                        continue;
                    }
                    entry.store(0, Relaxed);
                    if !pte.holds_page() {
                        swapped -= self.free_swap_entry(pte);
                        continue;
                    }
                    let address = address + ((page as u64) << PAGE_SHIFT);
                    if pte.is_special() {
                        gather.change(address);
                        continue;
                    }
                    if !self.is_mapped(pte) {
                        if self.bad_pte(area) {
                            anon -= 1;
                        } else {
                            file -= 1;
                        }
                        gather.change(address);
                        continue;
                    }
                    if self.unmap_page(area, pte) {
                        anon -= 1;
                    } else {
                        file -= 1;
                    }
                    gather.remove_page(address, pte.pfn());
                }
            });
        self.add_rss(RssStat::Anon, anon);
        if file != 0 {
            self.add_rss(self.file_rss(area), file);
        }
        if swapped != 0 {
            self.add_rss(RssStat::Swap, swapped);
        }
    }

    /// Whether the frame of an entry is one that anybody has mapped.
    #[inline(always)]
    fn is_mapped(&self, pte: Pte) -> bool {
        let page = self.mm.map.get(pte.pfn().0);
        page.is_some_and(|page| page.mapcount.load(Relaxed) != 0)
    }

    /// Memory did not keep an entry of an area as it was written (Linux mm/memory.c: `print_bad_pte`). The
    /// page that it led to is lost, and keeps what it needs. True if it counts as anonymous.
    #[cold]
    #[inline(never)]
    fn bad_pte(&self, area: &Area) -> bool {
        self.mm.bad_entries.fetch_add(1, Relaxed);
        self.keep_group();
        file_of(area).is_none()
    }

    /// An entry of an area that held a page no longer does. True if the page is anonymous.
    #[inline(always)]
    pub(super) fn unmap_page(&self, area: &Area, pte: Pte) -> bool {
        let pfn = pte.pfn();
        let anon = self.mm.page_remove_rmap(pfn);
        if area.flags.contains(VmFlags::LOCKED) {
            self.mm.munlock_page(pfn);
        } else if !anon && pte.is_used() && !area.flags.contains(VmFlags::SEQ_READ) {
            self.mm.mark_page_accessed(pfn);
        }
        anon
    }

    /// Whether an entry that is not empty is for an anonymous page, here or in swap.
    pub(super) fn is_anonymous(&self, pte: Pte) -> bool {
        !pte.holds_page() || !pte.is_special() && self.is_anon_page(pte.pfn())
    }

    /// Whether a page that is mapped is anonymous.
    #[inline(always)]
    pub(super) fn is_anon_page(&self, pfn: Pfn) -> bool {
        is_anon(self.mm.map.page(pfn.0).mapping.load(Relaxed))
    }

    /// As what the pages of an area count that are not anonymous.
    pub(super) fn file_rss(&self, area: &Area) -> RssStat {
        self.mm.file_rss(area)
    }

    /// Notes how much there is before it gets less.
    pub(super) fn note_hiwater(&self) {
        note_hiwater(self.mm_struct());
    }

    /// Pages that are there.
    pub fn resident(&self) -> u64 {
        resident(self.mm_struct())
    }
}

impl<M: Machine + 'static> Mm<M> {
    /// As what the pages of an area count that are not anonymous.
    pub(super) fn file_rss(&self, area: &Area) -> RssStat {
        if file_of(area).is_some_and(|file| self.file_is_shmem(file)) {
            RssStat::Shmem
        } else {
            RssStat::File
        }
    }
}

/// Notes how much there is before it gets less (Linux: `update_hiwater_rss`).
pub(super) fn note_hiwater(this: &MmStruct) {
    let rss = resident(this);
    if rss > this.hiwater_rss.load(Relaxed) {
        this.hiwater_rss.store(rss, Relaxed);
    }
}

/// Pages that are there (Linux: `get_mm_rss`).
fn resident(this: &MmStruct) -> u64 {
    [RssStat::File, RssStat::Anon, RssStat::Shmem]
        .iter()
        .map(|kind| this.rss[*kind as usize].load(Relaxed))
        .sum()
}
