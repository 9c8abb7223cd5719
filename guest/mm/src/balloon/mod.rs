//! Frames for a balloon driver: taken from the allocator, marked, and given back.
//!
//! In the audits' account they stand for themselves: free + per-CPU + allocated + balloon +
//! reserved = present.

use crate::{
    AllocError, Mm, Order, Pfn,
    machine::Machine,
    memmap::{add, sub},
};
use core::sync::atomic::Ordering::Relaxed;
use pagelab_abi::{
    event::EventKind,
    gfp::Gfp,
    page::{PageFlags, flags_of, order_of, zone_of},
    vmstat::VmEvent,
};

/// Flags of a balloon's allocations: any zone, no reserves, and no more reclaim than one round
/// (Linux: drivers/virtio/virtio_balloon.c and mm/balloon_compaction.c).
pub const BALLOON_GFP: Gfp = Gfp::HIGHUSER_MOVABLE
    .union(Gfp::NOMEMALLOC)
    .union(Gfp::NORETRY)
    .union(Gfp::NOWARN);

impl<M: Machine + 'static> Mm<M> {
    /// Takes the largest block there is, of order `max` at most, and marks it as the balloon's.
    ///
    /// Larger orders are tried without reclaim, so that the balloon does not take the machine apart
    /// for them; only the last attempt, for a single page, reclaims.
    ///
    /// # Errors
    /// [`AllocError`] of the last attempt, if not even one page is to be had.
    pub fn balloon_inflate(&self, max: Order) -> Result<(Pfn, Order), AllocError> {
        for number in (1..=max.get()).rev() {
            let Some(order) = Order::new(number) else {
                continue;
            };
            if !self.has_free_block(order) {
                continue;
            }
            let gfp = BALLOON_GFP.difference(Gfp::RECLAIM);
            if let Ok(pfn) = self.alloc_pages(gfp, order) {
                self.mark_offline(pfn, order);
                return Ok((pfn, order));
            }
        }
        let pfn = self.alloc_pages(BALLOON_GFP, Order::ZERO)?;
        self.mark_offline(pfn, Order::ZERO);
        Ok((pfn, Order::ZERO))
    }

    /// Gives a block back that [`Mm::balloon_inflate`] took, or a half of it that
    /// [`Mm::split_page`] made.
    ///
    /// # Panics
    /// If it is not such a block of this order: names pfn, order and state.
    pub fn balloon_deflate(&self, pfn: Pfn, order: Order) {
        let word = self.map.word(pfn.0).unwrap_or(0);
        assert!(
            flags_of(word) == PageFlags::OFFLINE && order_of(word) == order.get(),
            "bad deflate: pfn {pfn}, order {order}: {:?}, order {}",
            flags_of(word),
            order_of(word)
        );
        let flags = word & !PageFlags::OFFLINE.bits() | PageFlags::ALLOCATED.bits();
        self.map.page(pfn.0).flags.store(flags, Relaxed);
        {
            let locked = self.lock_zone(zone_of(word) as usize);
            sub(&locked.zone.balloon_pages, order.pages());
        }
        self.count_event(VmEvent::BalloonDeflate, order.pages().into());
        self.machine
            .event(EventKind::Balloon, order.pages().into(), 0);
        self.free_pages(pfn, order);
        self.block_came_back(pfn, order);
    }

    /// Pages in the balloon.
    pub fn balloon_pages(&self) -> u64 {
        let pages = |zone: &pagelab_abi::zone::Zone| u64::from(zone.balloon_pages.load(Relaxed));
        self.zones().iter().map(pages).sum()
    }

    /// Marks an allocated block as the balloon's.
    fn mark_offline(&self, pfn: Pfn, order: Order) {
        let flags = &self.map.page(pfn.0).flags;
        let word = flags.load(Relaxed);
        flags.store(
            word & !PageFlags::ALLOCATED.bits() | PageFlags::OFFLINE.bits(),
            Relaxed,
        );
        {
            let locked = self.lock_zone(zone_of(word) as usize);
            add(&locked.zone.balloon_pages, order.pages());
        }
        self.count_event(VmEvent::BalloonInflate, order.pages().into());
        self.machine
            .event(EventKind::Balloon, order.pages().into(), 1);
    }

    /// Whether a free block of just this order, or a larger one, is in any zone: saves attempts
    /// that would be counted as failures.
    fn has_free_block(&self, order: Order) -> bool {
        self.zones().iter().any(|zone| {
            zone.free_area[order.get() as usize..]
                .iter()
                .flat_map(|area| &area.free_list)
                .any(|list| list.count.load(Relaxed) > 0)
        })
    }
}

#[cfg(test)]
mod tests;
