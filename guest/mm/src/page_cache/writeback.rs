//! Dirty pages go to their store (Linux mm/page-writeback.c, mm/filemap.c, fs/fs-writeback.c).
//!
//! A page is clean from the moment on at which it is given to the store, and no program can change
//! it without making it dirty again: the entries that map it lose the right to store first. If the
//! store fails, the page stays as it is in the cache, tagged [`TAG_ERROR`], and the error waits in
//! the file for all who ask (`errseq`); no other page is touched. For want of memory nothing is
//! lost: the page is dirty again.

use super::{FileError, FileId, errseq};
use crate::{Mm, Pfn, machine::Machine};
use core::{
    ops::Range,
    sync::atomic::{AtomicU32, Ordering::Relaxed},
};
use pagelab_abi::{
    PAGE_SHIFT, PAGE_SIZE,
    event::EventKind,
    page::PageFlags,
    page_cache::TAG_ERROR,
    vmstat::{NodeStat, VmEvent},
};

/// Share of the memory that could be dirty from which on pages are written behind a program's back,
/// in percent (Linux: `dirty_background_ratio`).
const DIRTY_BACKGROUND_RATIO: u64 = 10;

/// Pages that are written at one safe point, unless there are more than
/// [`DIRTY_RATIO`] (Linux: `MAX_WRITEBACK_PAGES`).
const MAX_WRITEBACK_PAGES: u64 = 64;

/// Share from which on who makes pages dirty has to wait until they are written, in percent
/// (Linux: `vm_dirty_ratio`).
const DIRTY_RATIO: u64 = 20;

/// What became of a page that reclaim would like to have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pageout {
    /// It has left the cache; the caller has the last reference.
    Dropped,
    /// It stays: it is mapped, others refer to it, or there is no store that could bring it back.
    Keep,
    /// It stays: it could not be written, for this reason.
    Failed(FileError),
    /// It is shared memory: the caller writes it to swap, and then takes it out of its file.
    ToSwap,
}

impl<M: Machine + 'static> Mm<M> {
    /// For reclaim: drops a page of a file that no page table maps, and writes it before if it is dirty.
    /// The caller has one reference to it, besides that of the cache, and gives it back afterwards
    /// whatever the result. An event is raised, and the store may allocate: nothing may be locked.
    /// (Linux mm/vmscan.c: `pageout`, `__remove_mapping`.)
    pub fn pageout_file(&self, pfn: Pfn) -> Pageout {
        let Some((file, index)) = self.page_file(pfn) else {
            return Pageout::Keep;
        };
        let page = self.map.page(pfn.0);
        let others = || page.mapcount.load(Relaxed) != 0 || page.refcount.load(Relaxed) != 2;
        if others() {
            return Pageout::Keep;
        }
        if !self.file_has_store(file) {
            return if self.file_is_shmem(file) {
                Pageout::ToSwap
            } else {
                Pageout::Keep
            };
        }
        if self.page_is_dirty(pfn)
            && let Err(error) = self.write_out(file, index, pfn)
        {
            return Pageout::Failed(error);
        }
        // What the store allocated may have changed anything.
        if others() || self.page_is_dirty(pfn) || !self.remove_from_cache(file, index, pfn) {
            return Pageout::Keep;
        }
        Pageout::Dropped
    }

    /// Whether reclaim could get a page of a file at all: it has a store, or leaves by swap.
    pub fn page_has_store(&self, pfn: Pfn) -> bool {
        self.page_file(pfn)
            .is_some_and(|(file, _)| self.file_has_store(file))
    }

    /// Writes the dirty pages of a part of a file, given in pages, and goes on if one fails. The
    /// first error is returned, and all are noted in the file (Linux:
    /// `filemap_write_and_wait_range`). No address space may be in the middle of a change.
    ///
    /// # Errors
    /// [`FileError`].
    ///
    /// # Panics
    /// If there is no such file.
    pub fn filemap_write(&'static self, file: FileId, pages: Range<u64>) -> Result<(), FileError> {
        self.write_some(file, pages, u64::MAX).1
    }

    /// Writes all dirty pages of all files (Linux: `sync_inodes_sb`). As [`Mm::filemap_write`].
    ///
    /// # Errors
    /// The first [`FileError`].
    pub fn sync_files(&'static self) -> Result<(), FileError> {
        self.write_files(u64::MAX, u64::MAX)
    }

    /// Writes dirty pages if there are too many (Linux: `balance_dirty_pages`, and what the flusher
    /// thread does in the background). For the points at which the kernel is between two operations.
    pub fn balance_dirty_pages(&'static self) {
        let dirty = self.node_stat(NodeStat::FileDirty).max(0).unsigned_abs();
        if dirty == 0 {
            return;
        }
        let dirtyable = self.dirtyable_pages();
        let (background, limit) = (
            dirtyable * DIRTY_BACKGROUND_RATIO / 100,
            dirtyable * DIRTY_RATIO / 100,
        );
        if dirty <= background {
            return;
        }
        let most = if dirty > limit {
            dirty - background
        } else {
            MAX_WRITEBACK_PAGES
        };
        // An error waits in its file for those who ask there.
        let _ = self.write_files(most, background);
    }

    /// Pages that could be dirty (Linux: `global_dirtyable_memory`).
    fn dirtyable_pages(&self) -> u64 {
        let stat = |stat| self.node_stat(stat).max(0).unsigned_abs();
        let cached = stat(NodeStat::FilePages).saturating_sub(stat(NodeStat::Shmem));
        self.free_pages_total() + cached
    }

    /// Writes up to `most` pages, until no more than `enough` are dirty.
    fn write_files(&'static self, most: u64, enough: u64) -> Result<(), FileError> {
        let state = &self.state.page_cache;
        let (mut left, mut result) = (most, Ok(()));
        let mut next = FileId::from_raw(state.files.load(Relaxed));
        while let Some(file) = next {
            // It stays in the list as long as somebody refers to it.
            self.file_get(file);
            if self.file_nr_dirty(file) > 0 {
                let (written, done) = self.write_some(file, 0..u64::MAX, left);
                left -= written.min(left);
                result = result.and(done);
            }
            next = FileId::from_raw(self.space(file).next.load(Relaxed));
            self.file_put(file);
            let dirty = self.node_stat(NodeStat::FileDirty).max(0).unsigned_abs();
            if left == 0 || enough != u64::MAX && dirty <= enough {
                break;
            }
        }
        result
    }

    /// Writes up to `most` dirty pages, and says how many were tried.
    fn write_some(
        &'static self,
        file: FileId,
        pages: Range<u64>,
        most: u64,
    ) -> (u64, Result<(), FileError>) {
        let (mut from, mut tried, mut result) = (pages.start, 0, Ok(()));
        while tried < most
            && let Some((index, pfn)) = self.find_dirty(file, from)
        {
            if index >= pages.end {
                self.put_page(pfn);
                break;
            }
            if self.map.page(pfn.0).mapcount.load(Relaxed) > 0 {
                self.page_mkclean(pfn);
            }
            let written = self.write_out(file, index, pfn);
            self.put_page(pfn);
            result = result.and(written);
            tried += 1;
            from = index + 1;
        }
        (tried, result)
    }

    /// Writes a dirty page that nobody can change meanwhile. The caller has a reference to it.
    fn write_out(&self, file: FileId, index: u64, pfn: Pfn) -> Result<(), FileError> {
        let Some(store) = self.store(file) else {
            return Ok(());
        };
        // Behind the file's end nothing is to be kept (Linux: `block_write_full_folio`).
        let end = self.file_size(file);
        let start = index << PAGE_SHIFT;
        if end > start && end - start < PAGE_SIZE {
            let used = (end - start) as usize;
            self.zero_frame(pfn, used, PAGE_SIZE as usize - used)?;
        }
        if !self.clear_dirty(file, index, pfn) {
            return Ok(());
        }
        self.set_writeback(pfn, true);
        let written = store.ops.writepage(self, store.host, index, pfn);
        self.set_writeback(pfn, false);
        match written {
            Ok(()) => {
                self.mod_node_stat(NodeStat::Written, 1);
                self.count_event(VmEvent::Pgpgout, PAGE_SIZE >> 10);
            }
            Err(FileError::Memory(_)) => {
                self.mark_dirty(file, index, pfn);
                self.mod_node_stat(NodeStat::Dirtied, -1);
            }
            Err(error) => {
                self.tree(file).set_tag(index, TAG_ERROR);
                errseq::set(&self.space(file).wb_err, error.errno().get());
            }
        }
        let what = store.host << 32 | index;
        self.machine.event(EventKind::FileWrite, what, pfn.0.into());
        written
    }

    /// Marks a page that is on its way to the store, and counts it.
    fn set_writeback(&self, pfn: Pfn, is_written: bool) {
        if is_written {
            self.set_page_flags(pfn, PageFlags::WRITEBACK);
        } else {
            self.clear_page_flags(pfn, PageFlags::WRITEBACK);
        }
        self.mod_node_stat(NodeStat::Writeback, if is_written { 1 } else { -1 });
    }

    /// Takes a clean page with no other users out of the cache.
    fn remove_from_cache(&self, file: FileId, index: u64, pfn: Pfn) -> bool {
        debug_assert!(self.map.page(pfn.0).flags.load(Relaxed) & PageFlags::DIRTY.bits() == 0);
        self.remove_page(file, index, pfn)
    }

    /// Where somebody stands who opens a file: errors before that which somebody saw are not his
    /// (Linux: `filemap_sample_wb_err`).
    ///
    /// # Panics
    /// If there is no such file.
    pub fn file_sample_wb_err(&self, file: FileId) -> u32 {
        errseq::sample(&self.space(file).wb_err)
    }

    /// The error of writing pages since `since`, if there was one: then `since` moves on
    /// (Linux: `file_check_and_advance_wb_err`).
    ///
    /// # Errors
    /// The number of the error; see [`pagelab_abi::errno::Errno`].
    ///
    /// # Panics
    /// If there is no such file.
    pub fn file_check_wb_err(&self, file: FileId, since: &AtomicU32) -> Result<(), u32> {
        match errseq::check_and_advance(&self.space(file).wb_err, since) {
            Some(errno) => Err(errno),
            None => Ok(()),
        }
    }
}
