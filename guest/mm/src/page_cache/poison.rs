//! Pages whose frame is broken leave their file (Linux mm/memory-failure.c: `me_pagecache_clean`,
//! `me_pagecache_dirty`).

use super::{FileId, errseq, tree::Entry};
use crate::{Mm, Pfn, machine::Machine};
use pagelab_abi::errno::Errno;

impl<M: Machine + 'static> Mm<M> {
    /// Takes a page out of a file that has a store, dirty or not.
    pub(crate) fn drop_page(&self, file: FileId, index: u64) {
        self.drop_pages(file, index, index + 1);
    }

    /// Takes a page that no entry maps out of a file without a store, and leaves a mark: it must not be
    /// found as zeros.
    pub(crate) fn lose_page(&self, file: FileId, index: u64, pfn: Pfn) {
        let (page, lost) = (Entry::Page(pfn), Entry::Hwpoison(pfn));
        if self.tree(file).exchange(index, page, lost) {
            self.unmark_cached(file, pfn, false);
            self.put_page(pfn);
        }
    }

    /// What was changed in a page will never be written: each open file is told once.
    pub(crate) fn note_lost_write(&self, file: FileId) {
        errseq::set(&self.space(file).wb_err, Errno::EIO.get());
    }
}
