//! Pages that are newer than what the store has (Linux mm/page-writeback.c: `folio_mark_dirty`,
//! `folio_clear_dirty_for_io`). Files without a store have none: their pages are all there is.

use super::{FileId, tree::Tree};
use crate::{Mm, Pfn, machine::Machine};
use core::sync::atomic::Ordering::Relaxed;
use pagelab_abi::{
    page::PageFlags,
    page_cache::{TAG_DIRTY, TAG_ERROR},
    vmstat::NodeStat,
};

impl<M: Machine + 'static> Mm<M> {
    /// The file whose cache a page is in, and its number there. The caller has a reference to the
    /// page.
    pub fn page_file(&self, pfn: Pfn) -> Option<(FileId, u64)> {
        let page = self.page(pfn)?;
        let file = FileId::of_mapping(page.mapping.load(Relaxed))?;
        // On its way to swap it has its number elsewhere.
        let index = self.page_index(pfn)?;
        Some((file, index.into()))
    }

    /// A page of a file has been changed. True if it was clean before. Of a file without a store, or
    /// if the page left the cache meanwhile: false, and nothing happens.
    pub fn set_page_dirty(&self, pfn: Pfn) -> bool {
        self.page_file(pfn)
            .is_some_and(|(file, index)| self.mark_dirty(file, index, pfn))
    }

    /// Whether a page is dirty.
    pub fn page_is_dirty(&self, pfn: Pfn) -> bool {
        let flags = self.map.page(pfn.0).flags.load(Relaxed);
        flags & PageFlags::DIRTY.bits() != 0
    }

    pub(super) fn mark_dirty(&self, file: FileId, index: u64, pfn: Pfn) -> bool {
        if !self.file_has_store(file) {
            return false;
        }
        {
            let mut tree = self.tree(file);
            if tree.find(index) != Some(pfn) || !tree.set_tag(index, TAG_DIRTY) {
                return false;
            }
            tree.clear_tag(index, TAG_ERROR);
            self.set_page_flags(pfn, PageFlags::DIRTY);
            count(self.space(file), 1);
        }
        self.mod_node_stat(NodeStat::FileDirty, 1);
        self.mod_node_stat(NodeStat::Dirtied, 1);
        true
    }

    /// A page's content is to be written, or of no interest any more. False if it was clean.
    pub(super) fn clear_dirty(&self, file: FileId, index: u64, pfn: Pfn) -> bool {
        let cleared = {
            let mut tree = self.tree(file);
            tree.find(index) == Some(pfn) && self.clear_dirty_in(&mut tree, file, index, pfn)
        };
        if cleared {
            self.mod_node_stat(NodeStat::FileDirty, -1);
        }
        cleared
    }

    /// The same for who has the tree, and counts [`NodeStat::FileDirty`] himself.
    pub(super) fn clear_dirty_in(
        &self,
        tree: &mut Tree<'_, M>,
        file: FileId,
        index: u64,
        pfn: Pfn,
    ) -> bool {
        if !tree.clear_tag(index, TAG_DIRTY) {
            return false;
        }
        self.clear_page_flags(pfn, PageFlags::DIRTY);
        count(self.space(file), -1);
        true
    }

    /// Dirty pages of a file.
    ///
    /// # Panics
    /// If there is no such file.
    pub fn file_nr_dirty(&self, file: FileId) -> u64 {
        self.space(file).nr_dirty.load(Relaxed)
    }

    /// The first dirty page of a file from a number on, with a reference for the caller.
    pub(super) fn find_dirty(&self, file: FileId, index: u64) -> Option<(u64, Pfn)> {
        let tree = self.tree(file);
        let (index, pfn) = tree.find_tagged(index, TAG_DIRTY)?;
        self.get_page(pfn);
        Some((index, pfn))
    }
}

/// Counts dirty pages, under the lock of the tree.
fn count(space: &pagelab_abi::page_cache::AddressSpace, delta: i64) {
    let dirty = space.nr_dirty.load(Relaxed);
    space
        .nr_dirty
        .store(dirty.wrapping_add_signed(delta), Relaxed);
}
