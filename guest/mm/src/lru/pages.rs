//! A page comes into a list, is used, and goes.

use super::LRU_FLAGS;
use crate::{Mm, Pfn, machine::Machine};
use core::sync::atomic::Ordering::Relaxed;
use pagelab_abi::{
    lru::LruList,
    page::{MAPPING_LAZYFREE, Page, PageFlags, flags_of},
    vmstat::VmEvent,
};

/// The list of a page with this flags word.
#[inline(always)]
pub(super) fn list_of(page: &Page, word: u32) -> LruList {
    LruList::of(flags_of(word), page.mapping.load(Relaxed))
}

impl<M: Machine + 'static> Mm<M> {
    /// Puts a page whose `mapping` is set into the inactive list (Linux: `folio_add_lru`), or into that
    /// of unevictable pages. It is in no list.
    #[inline(always)]
    pub(crate) fn lru_add(&self, pfn: Pfn, unevictable: bool) {
        let page = self.map.page(pfn.0);
        if unevictable {
            page.flags.fetch_or(PageFlags::UNEVICTABLE.bits(), Relaxed);
        }
        let word = page.flags.load(Relaxed);
        let list = list_of(page, word);
        self.lock_lruvec_of(word).push_newest(list, pfn.0);
    }

    /// The same for an anonymous page that is new, so that nobody else changes its flags.
    #[inline(always)]
    pub(crate) fn lru_add_new_anon(&self, pfn: Pfn, page: &Page, unevictable: bool) {
        let mut word = page.flags.load(Relaxed);
        let list = if unevictable {
            word |= PageFlags::UNEVICTABLE.bits();
            LruList::Unevictable
        } else {
            LruList::InactiveAnon
        };
        self.lock_lruvec_of(word).push_new(list, pfn.0, page, word);
    }

    /// Takes a page that is about to be freed, or that leaves its file, out of its list and forgets
    /// what was known of its use. Whose page it is, it forgets as well.
    #[inline]
    pub(crate) fn lru_forget(&self, page: &Page) {
        let word = page.flags.load(Relaxed);
        if word & PageFlags::LRU.bits() != 0 {
            // Clears the flags before the lock is given back.
            let locked = self.lock_lruvec_of(word);
            locked.unlink(list_of(page, word), page, word);
            page.flags.fetch_and(!LRU_FLAGS.bits(), Relaxed);
        } else {
            page.flags.fetch_and(!LRU_FLAGS.bits(), Relaxed);
        }
    }

    /// A page was used otherwise than through a page table, or a page table that had noted it is gone
    /// (Linux: `folio_mark_accessed`): inactive and not referenced, inactive and referenced, active
    /// and not referenced, active and referenced.
    pub(crate) fn mark_page_accessed(&self, pfn: Pfn) {
        let page = self.map.page(pfn.0);
        let word = page.flags.load(Relaxed);
        let flags = flags_of(word);
        if flags.contains(PageFlags::UNEVICTABLE) {
            return;
        }
        if !flags.contains(PageFlags::REFERENCED) {
            page.flags.fetch_or(PageFlags::REFERENCED.bits(), Relaxed);
        } else if !flags.contains(PageFlags::ACTIVE) && flags.contains(PageFlags::LRU) {
            self.lru_move(pfn, |page| {
                page.flags.fetch_or(PageFlags::ACTIVE.bits(), Relaxed);
                page.flags.fetch_and(!PageFlags::REFERENCED.bits(), Relaxed);
            });
            self.count_event(VmEvent::Pgactivate, 1);
        }
    }

    /// Moves a page to the inactive list, as if it had not been used (Linux: `folio_deactivate`).
    pub(crate) fn deactivate_page(&self, pfn: Pfn) {
        let flags = flags_of(self.map.page(pfn.0).flags.load(Relaxed));
        if flags.contains(PageFlags::LRU | PageFlags::ACTIVE)
            && !flags.contains(PageFlags::UNEVICTABLE)
        {
            self.lru_move(pfn, clear_used);
            self.count_event(VmEvent::Pgdeactivate, 1);
        }
    }

    /// A program gives an anonymous page's content up (Linux: `folio_mark_lazyfree`): it goes where
    /// pages are dropped. The caller has seen that the page is in no swap slot.
    pub(crate) fn mark_page_lazyfree(&self, pfn: Pfn) {
        let page = self.map.page(pfn.0);
        let flags = flags_of(page.flags.load(Relaxed));
        if flags.contains(PageFlags::LRU)
            && !flags.contains(PageFlags::UNEVICTABLE)
            && page.mapping.load(Relaxed) & MAPPING_LAZYFREE == 0
        {
            self.lru_move(pfn, |page| {
                clear_used(page);
                page.mapping.fetch_or(MAPPING_LAZYFREE, Relaxed);
            });
            self.count_event(VmEvent::Pglazyfree, 1);
        }
    }

    /// A page is locked into memory, or reclaim found that it cannot be taken (Linux: `mlock_folio`).
    pub(crate) fn lru_cull(&self, pfn: Pfn) {
        let flags = flags_of(self.map.page(pfn.0).flags.load(Relaxed));
        if flags.contains(PageFlags::LRU) && !flags.contains(PageFlags::UNEVICTABLE) {
            self.lru_move(pfn, |page| {
                clear_used(page);
                page.flags.fetch_or(PageFlags::UNEVICTABLE.bits(), Relaxed);
            });
            self.count_event(VmEvent::UnevictablePgsCulled, 1);
        }
    }

    /// A page is no longer locked by somebody (Linux: `munlock_folio`). If another one still locks it,
    /// reclaim will find that out.
    pub(crate) fn lru_rescue(&self, pfn: Pfn) {
        let flags = flags_of(self.map.page(pfn.0).flags.load(Relaxed));
        if flags.contains(PageFlags::LRU | PageFlags::UNEVICTABLE) {
            self.lru_move(pfn, |page| {
                page.flags
                    .fetch_and(!PageFlags::UNEVICTABLE.bits(), Relaxed);
            });
            self.count_event(VmEvent::UnevictablePgsRescued, 1);
        }
    }

    /// Moves a page that is in a list to the front of the list that `change` makes its own.
    fn lru_move(&self, pfn: Pfn, change: impl FnOnce(&Page)) {
        let page = self.map.page(pfn.0);
        let word = page.flags.load(Relaxed);
        let locked = self.lock_lruvec_of(word);
        locked.remove(list_of(page, word), pfn.0);
        change(page);
        locked.push_newest(list_of(page, page.flags.load(Relaxed)), pfn.0);
    }
}

/// Forgets that a page was used.
fn clear_used(page: &Page) {
    let used = PageFlags::ACTIVE | PageFlags::REFERENCED;
    page.flags.fetch_and(!used.bits(), Relaxed);
}
