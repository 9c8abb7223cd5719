//! A load from a page of a file maps its neighbours as well, as far as they are in the page cache
//! (Linux mm/memory.c: `do_fault_around`, mm/filemap.c: `filemap_map_pages`).
//!
//! No page comes into the cache for that, and nothing is allocated but the node of the tables that the
//! faulting page needs anyway. As on x86 Linux the entries are marked used, all of them: which of these
//! pages the program looks at does not show before reclaim has asked once.

use super::{UserMm, insert::file_of};
use crate::{
    AllocError, Pfn,
    machine::Machine,
    pgtable::{HUGE_SIZE, Pte},
    vma::Area,
};
use core::{ops::Range, sync::atomic::Ordering::Relaxed};
use pagelab_abi::{PAGE_SHIFT, PAGE_SIZE, pte::PTE_ADDRESS, vma::VmFlags};

/// Bytes that one fault maps at most (Linux: `fault_around_bytes`).
const FAULT_AROUND_BYTES: u64 = 64 << 10;

impl<M: Machine + 'static> UserMm<M> {
    /// Maps what is cached around a page, which is page `pgoff` of the area's file; the file has pages up
    /// to `end`. True if the page itself is mapped now.
    ///
    /// # Errors
    /// [`AllocError`], if there is no memory for the node.
    pub(super) fn fault_around(
        &self,
        page: u64,
        area: &Area,
        pgoff: u64,
        end: u64,
    ) -> Result<bool, AllocError> {
        let Some(file) = file_of(area) else {
            return Ok(false);
        };
        let window = window(page, area);
        let first = pgoff - ((page - window.start) >> PAGE_SHIFT);
        let last = (first + ((window.end - window.start) >> PAGE_SHIFT)).min(end);
        let entries = self
            .tables()
            .walk_alloc_many(window.start, (last - first) as usize)?;
        let mut fresh = Pte::new(Pfn(0), area.flags);
        if self.wants_writenotify(area) {
            fresh = fresh.read_only();
        }
        debug_assert_eq!(fresh.0 & PTE_ADDRESS, 0);
        // A fault of its own tells that the program has come that far.
        let marker = self.mm.mmap_marker(file);
        let is_locked = area.flags.contains(VmFlags::LOCKED);
        let mut mapped = 0;
        self.mm.for_each_cached(file, first..last, |index, pfn| {
            let entry = &entries[(index - first) as usize];
            if entry.load(Relaxed) != 0 || Some(index) == marker {
                return;
            }
            self.mm.get_page(pfn);
            self.mm.page_add_file_rmap(pfn);
            if is_locked {
                self.mm.lru_cull(pfn);
            }
            entry.store(fresh.0 | pfn.phys(), Relaxed);
            mapped += 1;
        });
        if mapped > 0 {
            self.add_rss(self.file_rss(area), mapped);
        }
        Ok(entries[(pgoff - first) as usize].load(Relaxed) != 0)
    }
}

/// What a fault on a page of an area maps: within the area, and within one node of the tables.
fn window(page: u64, area: &Area) -> Range<u64> {
    let start = (page & !(FAULT_AROUND_BYTES - 1)).max(area.start);
    let node_end = (page | (HUGE_SIZE - 1)) + 1;
    let end = (start + FAULT_AROUND_BYTES).min(node_end).min(area.end);
    debug_assert!(start <= page && page + PAGE_SIZE <= end);
    start..end
}
