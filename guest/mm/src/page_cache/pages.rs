//! Finding, making and dropping pages.

use super::{FileId, node::Nodes};
use crate::{AllocError, Mm, Order, Pfn, machine::Machine};
use core::sync::atomic::Ordering::Relaxed;
use pagelab_abi::{
    gfp::Gfp,
    page::NONE,
    page_cache::{AddressSpaceFlags, MAX_PAGES},
    vmstat::NodeStat,
};

impl<M: Machine + 'static> Mm<M> {
    /// Page `pgoff` of a file, with a reference for the caller, who gives it back by
    /// [`Mm::put_page`]. If it is not in the cache: none, or with `create` a page of zeros, which
    /// `gfp` says where to take from. The file's size has no say in it and does not change.
    ///
    /// # Errors
    /// With `create`: [`AllocError`], `BadRequest` from page [`MAX_PAGES`] on. The file is as before.
    ///
    /// # Panics
    /// If there is no such file.
    pub fn file_page(
        &self,
        file: FileId,
        pgoff: u64,
        create: bool,
        gfp: Gfp,
    ) -> Result<Option<Pfn>, AllocError> {
        match self.find_page(file, pgoff) {
            None if create => self.add_page(file, pgoff, gfp | Gfp::ZERO).map(Some),
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

    /// Puts a new page into the cache, or finds the one that somebody else put there meanwhile.
    /// With a reference for the caller.
    pub(super) fn add_page(&self, file: FileId, pgoff: u64, gfp: Gfp) -> Result<Pfn, AllocError> {
        if pgoff >= MAX_PAGES {
            return Err(AllocError::BadRequest);
        }
        let pfn = self.alloc_pages(gfp, Order::ZERO)?;
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
        added
    }

    fn add_allocated(
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
                if let Some(other) = tree.find(pgoff) {
                    self.get_page(other);
                    return Ok(other);
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
        page.mapping.store(file.get(), Relaxed);
        page.private.store(pgoff as u32, Relaxed);
        page.mapcount.store(0, Relaxed);
        page.next.store(NONE, Relaxed);
        page.prev.store(NONE, Relaxed);
        self.get_page(pfn);
        self.count_cached(file, 1);
    }

    /// Takes all pages from number `start` to below `end` out of the cache. Those that nobody else
    /// refers to are freed.
    pub(super) fn drop_pages(&self, file: FileId, start: u64, end: u64) {
        let mut from = start;
        loop {
            let mut nodes = Nodes::new();
            let pfn = {
                let mut tree = self.tree(file);
                match tree.find_from(from) {
                    Some((index, _)) if index < end => {
                        from = index + 1;
                        tree.remove(index, &mut nodes)
                    }
                    _ => None,
                }
            };
            let Some(pfn) = pfn else { return };
            let page = self.map.page(pfn.0);
            // Before it forgets whose it is.
            self.lru_forget(pfn, page);
            page.mapping.store(0, Relaxed);
            page.private.store(0, Relaxed);
            self.count_cached(file, -1);
            self.free_nodes(nodes);
            self.put_page(pfn);
        }
    }

    fn count_cached(&self, file: FileId, pages: i64) {
        self.mod_node_stat(NodeStat::FilePages, pages);
        let flags = self.space(file).flags.load(Relaxed);
        if flags & AddressSpaceFlags::SHMEM.bits() != 0 {
            self.mod_node_stat(NodeStat::Shmem, pages);
        }
    }
}
