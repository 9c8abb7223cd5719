//! The buddy allocator: the free lists of one zone, under its lock (Knuth, TAOCP 1, 2.5;
//! Linux: mm/page_alloc.c, `__free_one_page`, `__rmqueue_smallest`, `expand`).

use crate::{
    memmap::{self, MemMap, link, migrate_of},
    sync::{self, Held},
};
use core::sync::atomic::{AtomicU32, Ordering::Relaxed};
use pagelab_abi::{
    page::{
        self, FLAGS_MASK, MAX_ORDER, MIGRATE_PCPTYPES, MigrateType, NONE, ORDER_MASK,
        PAGEBLOCK_ORDER, PageFlags, PageblockState, ZONE_MASK,
    },
    zone::{FreeList, Zone},
};

/// A zone whose lock is held.
pub(crate) struct LockedZone<'a> {
    pub(crate) zone: &'a Zone,
    /// The zone's place in the table.
    pub(crate) index: u32,
    pub(crate) map: &'a MemMap,
    _held: Held<'a, AtomicU32>,
}

/// Which end of a free list a block goes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// It is taken next: its cache lines are warm.
    Head,
    /// It is taken last: it may merge, or the host has been told that it is free.
    Tail,
}

impl<'a> LockedZone<'a> {
    /// Locks a zone.
    #[inline]
    pub(crate) fn new(
        zone: &'a Zone,
        index: u32,
        map: &'a MemMap,
        relax: impl FnMut(),
    ) -> LockedZone<'a> {
        let held = sync::lock(&zone.lock, relax);
        LockedZone {
            zone,
            index,
            map,
            _held: held,
        }
    }

    /// The list of free blocks of an order and a type.
    #[inline(always)]
    fn list(&self, order: u32, migrate: MigrateType) -> &'a FreeList {
        &self.zone.free_area[order as usize].free_list[migrate as usize]
    }

    /// First block of a list.
    #[inline]
    pub(crate) fn first(&self, order: u32, migrate: MigrateType) -> Option<u32> {
        link(&self.list(order, migrate).head)
    }

    /// Puts a block into a list. Does not count its pages.
    #[inline]
    pub(crate) fn push(&self, pfn: u32, order: u32, migrate: MigrateType, end: End) {
        let list = self.list(order, migrate);
        let page = self.map.page(pfn);
        page.flags.store(
            page::pack(PageFlags::BUDDY, order, self.index, migrate),
            Relaxed,
        );
        // Boot and the first split of a pageblock leave it undefined.
        page.refcount.store(0, Relaxed);
        let (next, prev) = match end {
            End::Head => (list.head.load(Relaxed), NONE),
            End::Tail => (NONE, list.tail.load(Relaxed)),
        };
        page.next.store(next, Relaxed);
        page.prev.store(prev, Relaxed);
        self.link_neighbours(list, next, prev, pfn, pfn);
        memmap::add(&list.count, 1);
    }

    /// Appends the largest blocks from `start` to `end`, of which nobody has written anything yet,
    /// to the movable list. Does not count their pages.
    pub(crate) fn push_largest(&self, start: u32, end: u32) {
        let step = 1 << MAX_ORDER;
        let list = self.list(MAX_ORDER, MigrateType::Movable);
        let word = page::pack(
            PageFlags::BUDDY,
            MAX_ORDER,
            self.index,
            MigrateType::Movable,
        );
        let before = list.tail.load(Relaxed);
        let (mut prev, mut pfn) = (before, start);
        for block in self.map.range(start, end).chunks_exact(1 << MAX_ORDER) {
            let head = &block[0];
            head.flags.store(word, Relaxed);
            head.refcount.store(0, Relaxed);
            head.prev.store(prev, Relaxed);
            head.next.store(pfn + step, Relaxed);
            // The second pageblock begins inside a block.
            block[1 << PAGEBLOCK_ORDER].flags.store(0, Relaxed);
            (prev, pfn) = (pfn, pfn + step);
        }
        self.map.page(prev).next.store(NONE, Relaxed);
        self.link_neighbours(list, NONE, before, prev, start);
        memmap::add(&list.count, (end - start) >> MAX_ORDER);
    }

    /// Takes a block out of its list. Does not count its pages, and leaves its flags.
    #[inline]
    pub(crate) fn unlink(&self, pfn: u32, order: u32, migrate: MigrateType) {
        let list = self.list(order, migrate);
        let page = self.map.page(pfn);
        let (next, prev) = (page.next.load(Relaxed), page.prev.load(Relaxed));
        self.link_neighbours(list, next, prev, prev, next);
        memmap::sub(&list.count, 1);
    }

    /// Lets the neighbours of a place in a list point to what is there now: the one after it back
    /// to `back`, the one before it forward to `forward`.
    #[inline(always)]
    fn link_neighbours(&self, list: &FreeList, next: u32, prev: u32, back: u32, forward: u32) {
        if next == NONE {
            list.tail.store(back, Relaxed);
        } else {
            self.map.page(next).prev.store(back, Relaxed);
        }
        if prev == NONE {
            list.head.store(forward, Relaxed);
        } else {
            self.map.page(prev).next.store(forward, Relaxed);
        }
    }

    /// The flags word of `pfn` if it is the head of a free block of this order in this zone.
    #[inline]
    fn free_word(&self, pfn: u32, order: u32) -> Option<u32> {
        // Below the pageblock order the buddy is in the pageblock of a block of that order,
        // which has been split and so is ready. A whole pageblock has a valid first descriptor
        // if it has descriptors at all.
        if order >= PAGEBLOCK_ORDER
            && matches!(
                self.map.state(pfn),
                PageblockState::Reserved | PageblockState::Hole
            )
        {
            return None;
        }
        let word = self.map.page(pfn).flags.load(Relaxed);
        let mask = FLAGS_MASK & !PageFlags::REPORTED.bits() | ORDER_MASK | ZONE_MASK;
        let want = page::pack(PageFlags::BUDDY, order, self.index, MigrateType::Unmovable);
        (word & mask == want).then_some(word)
    }

    /// Frees a block: merges it with its buddy as long as that is free, and puts the result into
    /// the list of its pageblock's type.
    #[inline]
    pub(crate) fn free(&self, pfn: u32, order: u32, end: End) {
        memmap::add(&self.zone.free_pages, 1 << order);
        let migrate = self.map.migrate_type(pfn);
        self.merge(pfn, order, migrate, end);
    }

    /// The part of [`Self::free`] that does not count.
    #[inline]
    fn merge(&self, mut pfn: u32, mut order: u32, migrate: MigrateType, end: End) {
        while order < MAX_ORDER {
            let buddy = pfn ^ (1 << order);
            let Some(word) = self.free_word(buddy, order) else {
                break;
            };
            let other = migrate_of(word);
            if order >= PAGEBLOCK_ORDER && other != migrate {
                // Types that have reserves of their own do not mix
                // (Linux: `migratetype_is_mergeable`).
                if !is_mergeable(other) || !is_mergeable(migrate) {
                    break;
                }
                self.map.set_migrate_type(buddy, migrate);
            }
            self.unlink(buddy, order, other);
            // The upper half's head is now inside a block.
            self.map.page(pfn | 1 << order).flags.store(0, Relaxed);
            pfn &= !(1 << order);
            order += 1;
        }
        self.push(pfn, order, migrate, end);
    }

    /// Takes the smallest free block of a type that is at least of this order, cuts it to size and
    /// gives the rest back (Linux: `__rmqueue_smallest`).
    #[inline]
    pub(crate) fn take_smallest(&self, order: u32, migrate: MigrateType) -> Option<u32> {
        for current in order..=MAX_ORDER {
            if let Some(pfn) = self.first(current, migrate) {
                self.unlink(pfn, current, migrate);
                self.expand(pfn, order, current, migrate);
                memmap::sub(&self.zone.free_pages, 1 << order);
                return Some(pfn);
            }
        }
        None
    }

    /// Cuts a block of order `high` that is in no list down to `low`: the upper halves become free
    /// blocks.
    #[inline]
    pub(crate) fn expand(&self, pfn: u32, low: u32, high: u32, migrate: MigrateType) {
        let mut order = high;
        while order > low {
            order -= 1;
            if order == PAGEBLOCK_ORDER - 1 {
                self.map.touch(pfn);
            }
            self.push(pfn + (1 << order), order, migrate, End::Head);
        }
    }
}

/// Whether pageblocks of this type may become part of a block with others.
fn is_mergeable(migrate: MigrateType) -> bool {
    (migrate as usize) < MIGRATE_PCPTYPES
}
