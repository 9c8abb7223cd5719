//! Giving blocks of pages back.

use super::{bad, prepare::clear_tails};
use crate::{
    Mm, Order, Pfn, buddy::End, lru::LRU_FLAGS, machine::Machine, memmap::migrate_of, pcp,
};
use core::sync::atomic::Ordering::{AcqRel, Relaxed};
use pagelab_abi::{
    event::EventKind,
    page::{
        FLAGS_MASK, GROUP_MASK, MIGRATE_PCPTYPES, MIGRATE_SHIFT, ORDER_MASK, ORDER_SHIFT, Page,
        PageFlags, ZONE_MASK, zone_of,
    },
    percpu::{PCP_MAX_ORDER, pcp_list},
    vmstat::VmEvent,
};

impl<M: Machine + 'static> Mm<M> {
    /// Frees a block of which the caller has the only reference.
    ///
    /// # Panics
    /// If it is not an allocated block of just this order, is referenced by others, or is still
    /// marked (`SLAB`, `LARGE_KMALLOC`, `OFFLINE`): the message names pfn, order and state.
    #[inline]
    pub fn free_pages(&self, pfn: Pfn, order: Order) {
        if self.free_to_list(pfn.0, order.get()).is_none() {
            self.free_slow(pfn, order);
        }
    }

    /// Frees many single pages.
    ///
    /// # Panics
    /// As [`Mm::free_pages`].
    pub fn free_pages_bulk(&self, pages: &[Pfn]) {
        for &pfn in pages {
            self.free_pages(pfn, Order::ZERO);
        }
    }

    /// Takes another reference to an allocated block.
    ///
    /// # Panics
    /// If it is not the head of one.
    pub fn get_page(&self, pfn: Pfn) {
        self.allocated(pfn).refcount.fetch_add(1, Relaxed);
    }

    /// Gives a reference back, and frees the block with the last one: a page of a program or a file then
    /// leaves its list (Linux: `__page_cache_release`). True if it was the last.
    ///
    /// # Panics
    /// As [`Mm::free_pages`].
    pub fn put_page(&self, pfn: Pfn) -> bool {
        self.put_page_inline(pfn)
    }

    /// The same where many are given back one after the other.
    #[inline(always)]
    pub(crate) fn put_page_inline(&self, pfn: Pfn) -> bool {
        let page = self.allocated(pfn);
        let last = page.refcount.fetch_sub(1, AcqRel) == 1;
        if last {
            page.refcount.store(1, Relaxed);
            if page.flags.load(Relaxed) & LRU_FLAGS.bits() != 0 {
                self.lru_forget(page);
                page.mapping.store(0, Relaxed);
            }
            let order = pagelab_abi::page::order_of(page.flags.load(Relaxed));
            self.free_pages(pfn, Order::new(order).unwrap_or(Order::MAX));
        }
        last
    }

    /// The descriptor of an allocated block's head.
    #[inline(always)]
    fn allocated(&self, pfn: Pfn) -> &'static Page {
        match self.map.valid(pfn.0) {
            Some(page) if page.flags.load(Relaxed) & PageFlags::ALLOCATED.bits() != 0 => page,
            _ => bad::not_allocated(&self.map, pfn),
        }
    }

    /// The fast path: a small block whose pageblock has a per-CPU list. None if it is anything
    /// else, with nothing changed.
    #[inline(always)]
    fn free_to_list(&self, pfn: u32, order: u32) -> Option<()> {
        if order > PCP_MAX_ORDER {
            return None;
        }
        let page = self.map.get(pfn)?;
        // Below this the byte means: all descriptors are valid, and it is one of the first types.
        let migrate = self.map.pageblock(pfn).load(Relaxed);
        let word = page.flags.load(Relaxed);
        let allocated = PageFlags::ALLOCATED.bits() | order << ORDER_SHIFT;
        if migrate as usize >= MIGRATE_PCPTYPES
            || word & (FLAGS_MASK | ORDER_MASK | GROUP_MASK) != allocated
            || page.refcount.load(Relaxed) != 1
        {
            return None;
        }
        let cpu = self.this_cpu();
        let zone = zone_of(word) as usize % cpu.pcp.len();
        let pcp = &cpu.pcp[zone];
        let index = pcp_list(order, migrate.into());
        let list = pcp.lists.get(index)?;
        let free = PageFlags::PCP.bits() | (word & (ORDER_MASK | ZONE_MASK));
        page.flags
            .store(free | u32::from(migrate) << MIGRATE_SHIFT, Relaxed);
        page.refcount.store(0, Relaxed);
        let count = pcp::push(pcp, list, pfn, page, order);
        self.count_on(cpu, VmEvent::Pgfree, 1 << order);
        self.machine
            .event(EventKind::PageFree, pfn.into(), order.into());
        if count >= pcp.high.load(Relaxed) {
            self.pcp_over_limit(zone, index);
        }
        Some(())
    }

    /// Pages of memory groups, compound pages, large blocks, and frees that are wrong.
    #[inline(never)]
    fn free_slow(&self, pfn: Pfn, order: Order) {
        bad::check_free(&self.map, pfn, order);
        let word = self.uncharge(self.map.page(pfn.0));
        if word & PageFlags::HWPOISON.bits() != 0 {
            self.free_hwpoison(pfn);
            return;
        }
        if word & PageFlags::HEAD.bits() != 0 {
            clear_tails(&self.map, pfn.0, order);
            let flags = &self.map.page(pfn.0).flags;
            flags.store(word & !PageFlags::HEAD.bits(), Relaxed);
        }
        if self.free_to_list(pfn.0, order.get()).is_none() {
            self.free_to_zone(pfn.0, order);
            self.count_event(VmEvent::Pgfree, u64::from(order.pages()));
            self.machine
                .event(EventKind::PageFree, pfn.0.into(), order.get().into());
        }
    }

    /// A frame whose memory is broken is given back, and is not free by that (Linux:
    /// `free_pages_prepare`).
    #[cold]
    fn free_hwpoison(&self, pfn: Pfn) {
        self.retire_page(pfn.0);
        self.count_event(VmEvent::Pgfree, 1);
        self.machine.event(EventKind::PageFree, pfn.0.into(), 0);
    }

    /// Gives a block straight back to its zone, without an event.
    fn free_to_zone(&self, pfn: u32, order: Order) {
        let page = self.map.page(pfn);
        page.refcount.store(0, Relaxed);
        let zone = zone_of(page.flags.load(Relaxed)) as usize;
        self.lock_zone(zone).free(pfn, order.get(), End::Head);
    }

    /// Takes back a block that could not be given to the one who asked for it.
    pub(super) fn free_unprepared(&self, pfn: u32, order: Order) {
        self.free_to_zone(pfn, order);
        self.count_event(VmEvent::Pgfree, u64::from(order.pages()));
    }

    /// Sets flags (`SLAB`, `LARGE_KMALLOC`) in the head of an allocated block of one's own.
    #[inline]
    pub fn set_page_flags(&self, pfn: Pfn, flags: PageFlags) {
        let word = &self.map.page(pfn.0).flags;
        word.store(word.load(Relaxed) | flags.bits(), Relaxed);
    }

    /// Clears flags set by [`Mm::set_page_flags`], as a free requires.
    #[inline]
    pub fn clear_page_flags(&self, pfn: Pfn, flags: PageFlags) {
        let word = &self.map.page(pfn.0).flags;
        word.store(word.load(Relaxed) & !flags.bits(), Relaxed);
    }

    /// The migrate type that an allocated block was asked for.
    pub fn page_migrate_type(&self, pfn: Pfn) -> pagelab_abi::page::MigrateType {
        migrate_of(self.allocated(pfn).flags.load(Relaxed))
    }
}
