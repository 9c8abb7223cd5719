//! Lists of slabs, linked through frame descriptors. The caller holds the cache's lock.

use super::{CacheRef, PageSource, Slab};
use core::sync::atomic::Ordering::Relaxed;
use pagelab_abi::{page::NONE, slab::ListKind};

impl<'a, S: PageSource> Slab<'a, S> {
    /// Puts a slab at the head of a list.
    #[inline(always)]
    pub(super) fn link(&self, cache: CacheRef<'a>, kind: ListKind, pfn: u32) {
        let list = &cache.lists[kind as usize];
        let old = list.head.load(Relaxed);
        let page = self.source.slab_page(pfn);
        page.next.store(old, Relaxed);
        page.prev.store(NONE, Relaxed);
        if old != NONE {
            self.source.slab_page(old).prev.store(pfn, Relaxed);
        }
        list.head.store(pfn, Relaxed);
        list.count.store(list.count.load(Relaxed) + 1, Relaxed);
    }

    /// Takes a slab out of the list that it is on.
    #[inline(always)]
    pub(super) fn unlink(&self, cache: CacheRef<'a>, kind: ListKind, pfn: u32) {
        let list = &cache.lists[kind as usize];
        let page = self.source.slab_page(pfn);
        let (next, prev) = (page.next.load(Relaxed), page.prev.load(Relaxed));
        if next != NONE {
            self.source.slab_page(next).prev.store(prev, Relaxed);
        }
        if prev != NONE {
            self.source.slab_page(prev).next.store(next, Relaxed);
        } else {
            list.head.store(next, Relaxed);
        }
        list.count.store(list.count.load(Relaxed) - 1, Relaxed);
    }
}

/// The list on which a slab with `free` of `objects` objects free belongs.
pub(super) const fn list_of(free: u32, objects: u32) -> ListKind {
    if free == 0 {
        ListKind::Full
    } else if free == objects {
        ListKind::Empty
    } else {
        ListKind::Partial
    }
}
