//! Free page reporting: telling the host which blocks are free, so that it can take their memory
//! (Linux: mm/page_reporting.c).

use crate::{
    Mm, Order, Pfn,
    buddy::End,
    machine::Machine,
    memmap::{add, sub},
    zone::watermark::is_above,
};
use core::sync::atomic::Ordering::Relaxed;
use pagelab_abi::{
    page::{self, MAX_ORDER, MigrateType, PageFlags, flags_of, order_of, pack, zone_of},
    zone::WMARK_LOW,
};

/// Free pages above the low watermark below which a zone's blocks are not reported, as a multiple
/// of the largest reported block (Linux: `PAGE_REPORTING_CAPACITY`, the pages of one request).
const CAPACITY: i64 = 32;

impl<M: Machine + 'static> Mm<M> {
    /// Takes free blocks of at least `min` (a pageblock or larger) that the host has not been told
    /// of off their lists, until `blocks` is full, and returns how many. They belong to the caller
    /// until [`Mm::report_putback`]. Zones that are short of memory are left alone.
    pub fn report_isolate(&self, min: Order, blocks: &mut [(Pfn, Order)]) -> usize {
        let min = min.max(Order::PAGEBLOCK);
        let mut taken = 0;
        for (index, zone) in self.zones().iter().enumerate() {
            let reserve = CAPACITY << min.get();
            let mark = i64::from(zone.watermark[WMARK_LOW].load(Relaxed)) + reserve;
            let locked = self.lock_zone(index);
            for order in (min.get()..=MAX_ORDER).rev() {
                for migrate in MigrateType::ALL {
                    let mut next = locked.first(order, migrate);
                    while taken < blocks.len()
                        && let Some(pfn) = next
                        && is_above(zone, 0, 0, mark)
                    {
                        let page = self.map.page(pfn);
                        next = Some(page.next.load(Relaxed)).filter(|&pfn| pfn != page::NONE);
                        if flags_of(page.flags.load(Relaxed)).contains(PageFlags::REPORTED) {
                            continue;
                        }
                        locked.unlink(pfn, order, migrate);
                        page.flags.store(
                            pack(PageFlags::ISOLATED, order, index as u32, migrate),
                            Relaxed,
                        );
                        sub(&zone.free_pages, 1 << order);
                        add(&zone.isolated_pages, 1 << order);
                        if let Some(order) = Order::new(order) {
                            blocks[taken] = (Pfn(pfn), order);
                            taken += 1;
                        }
                    }
                }
            }
        }
        taken
    }

    /// Puts back what [`Mm::report_isolate`] took. `reported` says whether the host was told;
    /// then the blocks are marked, and go to the ends of their lists so that they are used last.
    ///
    /// # Panics
    /// If a block was not isolated with this order.
    pub fn report_putback(&self, blocks: &[(Pfn, Order)], reported: bool) {
        for &(pfn, order) in blocks {
            self.put_back_reported(pfn, order, reported);
            self.block_came_back(pfn, order);
        }
    }

    fn put_back_reported(&self, pfn: Pfn, order: Order, reported: bool) {
        {
            let word = self.map.word(pfn.0).unwrap_or(0);
            assert!(
                flags_of(word) == PageFlags::ISOLATED && order_of(word) == order.get(),
                "bad putback: pfn {pfn}, order {order}: {:?}, order {}",
                flags_of(word),
                order_of(word)
            );
            let locked = self.lock_zone(zone_of(word) as usize);
            sub(&locked.zone.isolated_pages, order.pages());
            let end = if reported { End::Tail } else { End::Head };
            locked.free(pfn.0, order.get(), end);
            let flags = &self.map.page(pfn.0).flags;
            let now = flags.load(Relaxed);
            // Not if it has merged: the rest of the larger block is news to the host.
            if reported && flags_of(now) == PageFlags::BUDDY && order_of(now) == order.get() {
                flags.store(now | PageFlags::REPORTED.bits(), Relaxed);
            }
        }
    }
}

#[cfg(test)]
mod tests;
