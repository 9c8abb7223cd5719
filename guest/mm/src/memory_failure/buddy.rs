//! A broken frame leaves the free lists (Linux mm/page_alloc.c: `take_page_off_buddy`,
//! `break_down_buddy_pages`).

use crate::{
    Mm, Pfn,
    buddy::{End, LockedZone},
    machine::Machine,
    memmap::{add, migrate_of, sub},
};
use core::sync::atomic::Ordering::Relaxed;
use pagelab_abi::page::{MigrateType, PAGEBLOCK_ORDER, PageFlags, order_of, pack, zone_of};

impl<M: Machine + 'static> Mm<M> {
    /// Takes a frame that is in a free block out of service. The rest of the block stays free.
    ///
    /// # Panics
    /// If it is in no such block.
    pub(super) fn take_page_off_buddy(&self, pfn: Pfn) {
        let (head, word) = self.map.block_of(pfn.0).expect("a free block is a block");
        let locked = self.lock_zone(zone_of(word) as usize);
        let (order, migrate) = (order_of(word), migrate_of(word));
        locked.unlink(head, order, migrate);
        locked.cut_around(pfn.0, head, order, migrate);
        sub(&locked.zone.free_pages, 1);
        locked.mark_hwpoison(pfn.0);
    }
}

impl LockedZone<'_> {
    /// Makes free blocks of all of a block that is in no list, but for one frame.
    fn cut_around(&self, pfn: u32, head: u32, order: u32, migrate: MigrateType) {
        let mut base = head;
        for order in (0..order).rev() {
            if order == PAGEBLOCK_ORDER - 1 {
                self.map.touch(base);
            }
            let upper = base + (1 << order);
            if pfn < upper {
                self.push(upper, order, migrate, End::Head);
            } else {
                self.push(base, order, migrate, End::Head);
                base = upper;
            }
        }
    }

    /// Marks a frame that is nobody's as out of service, and counts it.
    pub(crate) fn mark_hwpoison(&self, pfn: u32) {
        let page = self.map.page(pfn);
        page.refcount.store(0, Relaxed);
        let word = pack(PageFlags::HWPOISON, 0, self.index, MigrateType::Unmovable);
        page.flags.store(word, Relaxed);
        add(&self.zone.hwpoison_pages, 1);
    }
}
