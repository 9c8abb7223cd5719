//! Pages of shared memory go to swap and come back (Linux mm/shmem.c: `shmem_writepage`,
//! `shmem_swapin_folio`).
//!
//! While a page is written it stands in the swap cache as well as in its file. Then its place in the
//! tree leads to the slot, which counts that as it counts page-table entries. A page that comes back
//! leaves its slot at once: the file is the only one that could ask for it there.

use super::{FileError, FileId, Pageout, tree::Entry};
use crate::{
    Mm, Pfn,
    machine::Machine,
    swap::{SwapEntry, SwapError},
};
use core::sync::atomic::Ordering::Relaxed;

impl<M: Machine + 'static> Mm<M> {
    /// Takes a page of shared memory that was written to swap, and is still in the swap cache, out of its file.
    /// The caller has a reference to it, besides those of the two caches; if nobody else has, it is the last
    /// afterwards.
    pub fn leave_file_to_swap(&self, pfn: Pfn, swap: SwapEntry) -> Pageout {
        let page = self.map.page(pfn.0);
        // Events have passed.
        let others = page.mapcount.load(Relaxed) != 0 || page.refcount.load(Relaxed) != 3;
        let place = self.page_file(pfn);
        let is_gone = !others
            && self.swap_duplicate(swap).is_ok()
            && place.is_some_and(|(file, index)| {
                let (old, new) = (Entry::Page(pfn), Entry::Swap(swap));
                let is_gone = self.tree(file).exchange(index, old, new);
                debug_assert!(is_gone, "page {index} is not where it was");
                is_gone
            });
        self.delete_from_swap_cache(pfn);
        let Some((file, _)) = place.filter(|_| is_gone) else {
            return Pageout::Keep;
        };
        self.unmark_cached(file, pfn, false);
        self.put_page(pfn);
        Pageout::Dropped
    }

    /// A page that is in memory or in swap, with a reference for the caller.
    ///
    /// # Errors
    /// [`FileError::Io`] if the swap device cannot read it, `HwPoison` if it is lost, `Memory`; the file is
    /// as before.
    #[inline]
    pub(super) fn find_or_swap_in(
        &self,
        file: FileId,
        index: u64,
    ) -> Result<Option<Pfn>, FileError> {
        let swap = {
            let tree = self.tree(file);
            match tree.entry(index) {
                None => return Ok(None),
                Some(Entry::Page(pfn)) => {
                    // Under the lock, so that it is still the cache's.
                    self.get_page(pfn);
                    return Ok(Some(pfn));
                }
                Some(Entry::Swap(swap)) => swap,
                Some(Entry::Hwpoison(_)) => return Err(FileError::HwPoison),
            }
        };
        self.swap_in_shmem(file, index, swap).map(Some)
    }

    #[inline(never)]
    fn swap_in_shmem(&self, file: FileId, index: u64, swap: SwapEntry) -> Result<Pfn, FileError> {
        if self.is_in_swap_cache(swap) {
            self.count_swap_hit();
        }
        let pfn = self.swap_in_around(swap).map_err(|error| match error {
            SwapError::NoMemory(error) => FileError::Memory(error),
            _ => {
                self.machine.swap_error_reported();
                FileError::Io
            }
        })?;
        // The entry of the tree keeps the slot.
        self.delete_from_swap_cache(pfn);
        let (old, new) = (Entry::Swap(swap), Entry::Page(pfn));
        if !self.tree(file).exchange(index, old, new) {
            // Somebody else was faster, at the event.
            self.put_page(pfn);
            return self.find_page(file, index).ok_or(FileError::Io);
        }
        let page = self.map.page(pfn.0);
        page.mapping.store(file.to_mapping(true), Relaxed);
        page.private.store(index as u32, Relaxed);
        self.get_page(pfn);
        self.count_cached(file, 1);
        // What led there was the tree.
        let _ = self.swap_free(swap);
        Ok(pfn)
    }

    /// Whether a page of a file is in swap, and not in the swap cache, so that an access needs I/O.
    ///
    /// # Panics
    /// If there is no such file.
    pub(crate) fn file_page_is_swapped(&self, file: FileId, index: u64) -> bool {
        self.swap_of_page(file, index)
            .is_some_and(|swap| !self.is_in_swap_cache(swap))
    }

    /// Whether an access to a page of a file needs no I/O (Linux mm/mincore.c: `mincore_page`).
    ///
    /// # Panics
    /// If there is no such file.
    pub(crate) fn file_page_in_core(&self, file: FileId, index: u64) -> bool {
        match self.swap_of_page(file, index) {
            Some(swap) => self.is_in_swap_cache(swap),
            None => self.tree(file).find(index).is_some(),
        }
    }

    /// The slot of a page that is in swap.
    fn swap_of_page(&self, file: FileId, index: u64) -> Option<SwapEntry> {
        if self.file_nr_swapped(file) == 0 {
            return None;
        }
        match self.tree(file).entry(index) {
            Some(Entry::Swap(swap)) => Some(swap),
            _ => None,
        }
    }
}
