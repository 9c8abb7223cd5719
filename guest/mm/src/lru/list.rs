//! One list: links by pfn, changed under its lruvec's lock.

use crate::{
    machine::Machine,
    memmap::{MemMap, add, link, sub},
    sync::{self, Held},
};
use core::sync::atomic::{AtomicU32, Ordering::Relaxed};
use pagelab_abi::{
    lru::{LruHead, LruList, Lruvec},
    page::{NONE, Page, PageFlags, zone_of},
};

/// A lruvec of which this CPU has the lock. Nothing is allocated or freed, and no event counted,
/// while this lives.
pub(super) struct LockedLruvec<'a> {
    lruvec: &'static Lruvec,
    map: &'a MemMap,
    _held: Held<'a, AtomicU32>,
}

impl<'a> LockedLruvec<'a> {
    #[inline(always)]
    pub(super) fn new(lruvec: &'static Lruvec, map: &'a MemMap, machine: &impl Machine) -> Self {
        Self {
            lruvec,
            map,
            _held: sync::lock(&lruvec.lock, || machine.relax()),
        }
    }

    /// The page that has been in a list longest.
    pub(super) fn oldest(&self, list: LruList) -> Option<u32> {
        link(&self.head(list).tail)
    }

    /// The page that came just after this one.
    pub(super) fn newer(&self, pfn: u32) -> Option<u32> {
        link(&self.map.page(pfn).prev)
    }

    /// Puts a page that is in no list at the front of one.
    #[inline(always)]
    pub(super) fn push_newest(&self, list: LruList, pfn: u32) {
        let page = self.map.page(pfn);
        self.link_newest(list, pfn, page);
        let word = page.flags.fetch_or(PageFlags::LRU.bits(), Relaxed);
        add(self.count(list, word), 1);
    }

    /// The same with a page whose flags, `word`, nobody else changes.
    #[inline(always)]
    pub(super) fn push_new(&self, list: LruList, pfn: u32, page: &Page, word: u32) {
        self.link_newest(list, pfn, page);
        page.flags.store(word | PageFlags::LRU.bits(), Relaxed);
        add(self.count(list, word), 1);
    }

    #[inline(always)]
    fn link_newest(&self, list: LruList, pfn: u32, page: &Page) {
        let ends = self.head(list);
        let next = ends.head.load(Relaxed);
        page.next.store(next, Relaxed);
        page.prev.store(NONE, Relaxed);
        let back = if next == NONE {
            &ends.tail
        } else {
            &self.map.page(next).prev
        };
        back.store(pfn, Relaxed);
        ends.head.store(pfn, Relaxed);
    }

    /// Takes a page out of its list.
    #[inline(always)]
    pub(super) fn remove(&self, list: LruList, pfn: u32) {
        let page = self.map.page(pfn);
        let word = page.flags.fetch_and(!PageFlags::LRU.bits(), Relaxed);
        self.unlink(list, page, word);
    }

    /// The same with a page whose flags, `word`, the caller changes afterwards.
    #[inline(always)]
    pub(super) fn unlink(&self, list: LruList, page: &Page, word: u32) {
        let ends = self.head(list);
        let (next, prev) = (page.next.load(Relaxed), page.prev.load(Relaxed));
        let back = if next == NONE {
            &ends.tail
        } else {
            &self.map.page(next).prev
        };
        back.store(prev, Relaxed);
        let forth = if prev == NONE {
            &ends.head
        } else {
            &self.map.page(prev).next
        };
        forth.store(next, Relaxed);
        sub(self.count(list, word), 1);
    }

    #[inline(always)]
    fn head(&self, list: LruList) -> &'static LruHead {
        &self.lruvec.lists[list as usize]
    }

    #[inline(always)]
    fn count(&self, list: LruList, word: u32) -> &'static AtomicU32 {
        let zones = &self.lruvec.nr;
        &zones[zone_of(word) as usize % zones.len()][list as usize]
    }
}
