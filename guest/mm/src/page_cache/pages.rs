//! Finding, making and dropping pages.

use super::{FileError, FileId, node::Nodes, tree::Entry};
use crate::{AllocError, Mm, Order, Pfn, machine::Machine};
use core::{ops::Range, sync::atomic::Ordering::Relaxed};
use pagelab_abi::{
    PAGE_SIZE,
    event::EventKind,
    gfp::Gfp,
    page::NONE,
    page_cache::{AddressSpaceFlags, MAX_PAGES},
    vmstat::{NodeStat, VmEvent},
};

impl<M: Machine + 'static> Mm<M> {
    /// Page `pgoff` of a file, with a reference for the caller, who gives it back by
    /// [`Mm::put_page`]. If it is not in the cache: none, or with `create` a page with what the store
    /// or swap has there, or zeros; `gfp` says where to take it from. The file's size has no say in it and
    /// does not change.
    ///
    /// # Errors
    /// With `create`: [`AllocError`], `BadRequest` from page [`MAX_PAGES`] on; what the store says, if
    /// it cannot read the page. The file is as before.
    ///
    /// # Panics
    /// If there is no such file.
    pub fn file_page(
        &self,
        file: FileId,
        pgoff: u64,
        create: bool,
        gfp: Gfp,
    ) -> Result<Option<Pfn>, FileError> {
        if !create {
            return Ok(self.find_page(file, pgoff));
        }
        match self.find_or_swap_in(file, pgoff)? {
            None => self.add_page(file, pgoff, gfp).map(Some),
            found => Ok(found),
        }
    }

    /// A page that is in the cache, with a reference for the caller (Linux: `find_get_page`).
    #[inline]
    pub(super) fn find_page(&self, file: FileId, pgoff: u64) -> Option<Pfn> {
        let tree = self.tree(file);
        let pfn = tree.find(pgoff)?;
        // Under the lock, so that it is still the cache's.
        self.get_page(pfn);
        Some(pfn)
    }

    /// Calls `each` with all pages of a range of a file that are in the cache, and their numbers. The
    /// file's tree is locked meanwhile (Linux: `next_uptodate_folio`).
    ///
    /// # Panics
    /// If there is no such file.
    #[inline]
    pub(crate) fn for_each_cached(
        &self,
        file: FileId,
        pages: Range<u64>,
        each: impl FnMut(u64, Pfn),
    ) {
        self.tree(file).for_each(pages, each);
    }

    /// Puts a new page into the cache, with what belongs there, or finds the one that somebody else
    /// put there meanwhile. With a reference for the caller.
    pub(super) fn add_page(&self, file: FileId, pgoff: u64, gfp: Gfp) -> Result<Pfn, FileError> {
        let Some(store) = self.store(file) else {
            return self.add_filled(file, pgoff, gfp | Gfp::ZERO, |_| Ok(()));
        };
        self.add_filled(file, pgoff, gfp, |pfn| {
            store.ops.read_folio(self, store.host, pgoff, pfn)?;
            self.count_event(VmEvent::Pgpgin, PAGE_SIZE >> 10);
            let what = store.host << 32 | pgoff;
            self.machine.event(EventKind::FileRead, what, pfn.0.into());
            Ok(())
        })
    }

    /// The same with what `fill` does to the new frame. It is in the cache only once that has
    /// succeeded. Only one CPU adds pages of files that have a store.
    pub(super) fn add_filled(
        &self,
        file: FileId,
        pgoff: u64,
        gfp: Gfp,
        fill: impl FnOnce(Pfn) -> Result<(), FileError>,
    ) -> Result<Pfn, FileError> {
        if pgoff >= MAX_PAGES {
            return Err(AllocError::BadRequest.into());
        }
        let pfn = self.alloc_charged(gfp)?;
        if let Err(error) = fill(pfn) {
            self.free_pages(pfn, Order::ZERO);
            return Err(error);
        }
        let mut nodes = Nodes::new();
        let added = self.add_allocated(file, pgoff, pfn, gfp, &mut nodes);
        if added == Ok(pfn) {
            let unevictable = self.mapping_unevictable(file.get());
            self.lru_add(pfn, unevictable);
        }
        self.free_nodes(nodes);
        if added != Ok(pfn) {
            self.free_pages(pfn, Order::ZERO);
        }
        Ok(added?)
    }

    pub(super) fn add_allocated(
        &self,
        file: FileId,
        pgoff: u64,
        pfn: Pfn,
        gfp: Gfp,
        nodes: &mut Nodes,
    ) -> Result<Pfn, AllocError> {
        loop {
            let missing = {
                let mut tree = self.tree(file);
                match tree.entry(pgoff) {
                    Some(Entry::Page(other)) => {
                        self.get_page(other);
                        return Ok(other);
                    }
                    // Somebody put a page there meanwhile, and it is gone again.
                    Some(Entry::Swap(_) | Entry::Hwpoison(_)) => return Err(AllocError::NoMemory),
                    None => {}
                }
                let missing = tree.missing(pgoff);
                if missing <= nodes.len() {
                    self.mark_cached(file, pgoff, pfn);
                    tree.insert(pgoff, pfn, nodes);
                    return Ok(pfn);
                }
                missing
            };
            self.alloc_nodes(nodes, missing, gfp)?;
        }
    }

    /// Writes into the descriptor of a newly allocated page where it belongs, and counts it. The
    /// reference of its birth becomes the cache's; the caller gets another one.
    fn mark_cached(&self, file: FileId, pgoff: u64, pfn: Pfn) {
        let page = self.map.page(pfn.0);
        let mapping = file.to_mapping(self.file_is_shmem(file));
        page.mapping.store(mapping, Relaxed);
        page.private.store(pgoff as u32, Relaxed);
        page.mapcount.store(0, Relaxed);
        page.next.store(NONE, Relaxed);
        page.prev.store(NONE, Relaxed);
        self.get_page(pfn);
        self.count_cached(file, 1);
    }

    /// Takes all pages from number `start` to below `end` out of the cache, dirty or not, and out of swap
    /// (Linux: `truncate_inode_pages_range`, `shmem_undo_range`). Those that nobody else refers to are freed.
    pub(super) fn drop_pages(&self, file: FileId, start: u64, end: u64) {
        let mut from = start;
        loop {
            let mut nodes = Nodes::new();
            let (entry, was_dirty) = {
                let mut tree = self.tree(file);
                let Some((index, entry)) = tree.find_from(from).filter(|it| it.0 < end) else {
                    return;
                };
                from = index + 1;
                let was_dirty = match entry {
                    Entry::Page(pfn) => self.clear_dirty_in(&mut tree, file, index, pfn),
                    Entry::Swap(_) | Entry::Hwpoison(_) => false,
                };
                tree.remove(index, &mut nodes);
                (entry, was_dirty)
            };
            match entry {
                Entry::Page(pfn) => {
                    self.unmark_cached(file, pfn, was_dirty);
                    self.free_nodes(nodes);
                    self.put_page(pfn);
                }
                Entry::Swap(swap) => {
                    self.free_nodes(nodes);
                    // A slot that was corrupted leads to nothing that could be freed.
                    let _ = self.swap_free(swap);
                }
                Entry::Hwpoison(_) => self.free_nodes(nodes),
            }
        }
    }

    /// Takes pages out of the cache that are clean, that no program maps and that nobody else uses
    /// (Linux: `invalidate_mapping_pages`).
    pub(super) fn invalidate_pages(&self, file: FileId, pages: Range<u64>) {
        let mut from = pages.start;
        loop {
            let found = {
                let tree = self.tree(file);
                let found = tree.find_from(from).filter(|it| it.0 < pages.end);
                if let Some((_, Entry::Page(pfn))) = found {
                    self.get_page(pfn);
                }
                found
            };
            // Files with a store have nothing in swap.
            let Some((index, Entry::Page(pfn))) = found else {
                return;
            };
            let is_mapped = self.map.page(pfn.0).mapcount.load(Relaxed) != 0;
            if !is_mapped && !self.page_is_dirty(pfn) {
                self.remove_page(file, index, pfn);
            }
            self.put_page(pfn);
            from = index + 1;
        }
    }

    /// Takes this page, if it is there and nobody but the caller has a reference, out of the cache.
    pub(super) fn remove_page(&self, file: FileId, index: u64, pfn: Pfn) -> bool {
        let mut nodes = Nodes::new();
        {
            let mut tree = self.tree(file);
            let is_there = tree.find(index) == Some(pfn);
            if !is_there || self.map.page(pfn.0).refcount.load(Relaxed) != 2 {
                return false;
            }
            tree.remove(index, &mut nodes);
        }
        self.unmark_cached(file, pfn, false);
        self.free_nodes(nodes);
        self.put_page(pfn);
        true
    }

    /// A page has left the cache.
    pub(super) fn unmark_cached(&self, file: FileId, pfn: Pfn, was_dirty: bool) {
        let page = self.map.page(pfn.0);
        // Before it forgets whose it is.
        self.lru_forget(page);
        page.mapping.store(0, Relaxed);
        page.private.store(0, Relaxed);
        self.count_cached(file, -1);
        if was_dirty {
            self.mod_node_stat(NodeStat::FileDirty, -1);
        }
    }

    pub(super) fn count_cached(&self, file: FileId, pages: i64) {
        self.mod_node_stat(NodeStat::FilePages, pages);
        let flags = self.space(file).flags.load(Relaxed);
        if flags & AddressSpaceFlags::SHMEM.bits() != 0 {
            self.mod_node_stat(NodeStat::Shmem, pages);
        }
    }
}
