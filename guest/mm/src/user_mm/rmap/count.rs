//! Pages get mapped and unmapped: what stands in their descriptors, and the sums
//! (Linux mm/rmap.c: `page_add_new_anon_rmap` and its kin).

use crate::{Mm, Pfn, machine::Machine};
use core::sync::atomic::Ordering::Relaxed;
use pagelab_abi::{
    page::{MAPPING_ANON, MAPPING_LAZYFREE, Page, is_anon},
    page_cache::AddressSpaceFlags,
    vmstat::NodeStat,
};

impl<M: Machine + 'static> Mm<M> {
    /// A new page is mapped by a member of a family, at its place there.
    #[inline(always)]
    pub(in crate::user_mm) fn page_add_new_anon_rmap(&self, page: &Page, group: u64, index: u64) {
        page.mapping.store(group | MAPPING_ANON, Relaxed);
        page.private.store(index as u32, Relaxed);
        page.mapcount.store(1, Relaxed);
        self.mod_node_stat(NodeStat::AnonMapped, 1);
    }

    /// A page that came back from swap, with its place, is mapped by a member of its family.
    pub(in crate::user_mm) fn page_add_anon_rmap(&self, pfn: Pfn, group: u64) {
        let page = self.map.page(pfn.0);
        let old = page.mapping.load(Relaxed);
        page.mapping
            .store(old & MAPPING_LAZYFREE | group | MAPPING_ANON, Relaxed);
        if page.mapcount.fetch_add(1, Relaxed) == 0 {
            self.mod_node_stat(NodeStat::AnonMapped, 1);
        }
    }

    /// A page of a file is mapped.
    #[inline]
    pub(in crate::user_mm) fn page_add_file_rmap(&self, pfn: Pfn) {
        if self.map.page(pfn.0).mapcount.fetch_add(1, Relaxed) == 0 {
            self.mod_node_stat(NodeStat::FileMapped, 1);
        }
    }

    /// An entry that held a page no longer does. True if the page is anonymous.
    #[inline(always)]
    pub(in crate::user_mm) fn page_remove_rmap(&self, pfn: Pfn) -> bool {
        let page = self.map.page(pfn.0);
        let anon = is_anon(page.mapping.load(Relaxed));
        if page.mapcount.fetch_sub(1, Relaxed) == 1 {
            let stat = if anon {
                NodeStat::AnonMapped
            } else {
                NodeStat::FileMapped
            };
            self.mod_node_stat(stat, -1);
        }
        anon
    }

    /// A page is no longer in an area that is locked. It stays where it is if it cannot be reclaimed
    /// anyway.
    pub(in crate::user_mm) fn munlock_page(&self, pfn: Pfn) {
        let mapping = self.map.page(pfn.0).mapping.load(Relaxed);
        if !self.mapping_unevictable(mapping) {
            self.lru_rescue(pfn);
        }
    }

    /// Whether the pages with this `mapping` have no place to go (Linux: `mapping_unevictable`).
    pub(crate) fn mapping_unevictable(&self, mapping: u64) -> bool {
        if is_anon(mapping) {
            return false;
        }
        let file = crate::FileId::of_mapping(mapping);
        file.is_none_or(|file| {
            self.file_flags(file)
                .contains(AddressSpaceFlags::UNEVICTABLE)
        })
    }
}
