//! A broken page of a program or a file (Linux: `hwpoison_user_mappings`, `me_pagecache_clean`,
//! `me_pagecache_dirty`, `me_swapcache_clean`).

use super::Failure;
use crate::{FileId, Mm, Pfn, machine::Machine};
use core::sync::atomic::Ordering::Relaxed;
use pagelab_abi::{
    memory_failure::{MfResult, MfType},
    page::PageFlags,
};

impl<M: Machine + 'static> Mm<M> {
    /// A page that is in a list of reclaim leaves everybody who has it.
    pub(super) fn fail_user_page(&self, pfn: Pfn) -> Failure {
        // So that it lives until it is done with.
        self.get_page(pfn);
        let (kind, entries) = match self.swap_cache_entry(pfn) {
            Some(slot) => {
                self.unmap_to_swap(pfn, slot);
                self.delete_from_swap_cache(pfn);
                (MfType::CleanSwapcache, 0)
            }
            None => match self.page_file(pfn) {
                Some((file, index)) => self.fail_file_page(file, index, pfn),
                None => (MfType::DirtyLru, self.unmap_hwpoison(pfn)),
            },
        };
        let page = self.map.page(pfn.0);
        self.set_page_flags(pfn, PageFlags::HWPOISON);
        let alone = page.refcount.load(Relaxed) == 1;
        self.put_page(pfn);
        Failure {
            kind,
            // Whoever has it yet, the frame does not come back from him.
            result: match alone {
                true => MfResult::Recovered,
                false => MfResult::Delayed,
            },
            entries,
        }
    }

    /// A page of a file leaves it. What cannot come back is an error to who wants it.
    fn fail_file_page(&self, file: FileId, index: u64, pfn: Pfn) -> (MfType, u32) {
        if !self.file_has_store(file) {
            let entries = self.unmap_hwpoison(pfn);
            self.lose_page(file, index, pfn);
            return (MfType::DirtyUnevictable, entries);
        }
        if !self.page_is_dirty(pfn) {
            self.unmap_file_page(pfn);
        }
        // It may have been stored through an entry.
        if !self.page_is_dirty(pfn) {
            self.drop_page(file, index);
            return (MfType::CleanLru, 0);
        }
        let entries = self.unmap_hwpoison(pfn);
        self.note_lost_write(file);
        self.drop_page(file, index);
        (MfType::DirtyFile, entries)
    }
}
