//! Allocating and freeing blocks of pages.
//!
//! * this file: the fast path of an allocation, a per-CPU list that has a block.
//! * `slow`: zonelist, watermarks, reserves, reclaim (Linux: `__alloc_pages_slowpath`).
//! * `prepare`: what a block needs before its owner gets it: zeros, compound tails.
//! * `free`: the fast and the slow path of a free.
//! * `bad`: naming what is wrong with a free that no correct kernel does.

mod bad;
mod free;
pub(crate) mod prepare;
mod slow;
#[cfg(test)]
mod tests;

use crate::{Mm, Order, Pfn, fault::is_armed, machine::Machine, memmap, pcp, zone::Request};
use core::fmt;
use core::sync::atomic::Ordering::Relaxed;
use pagelab_abi::{
    event::EventKind,
    gfp::Gfp,
    page::{Page, PageFlags, pack},
    percpu::{PCP_MAX_ORDER, PerCpu, pcp_list},
    vmstat::VmEvent,
};

/// Why there are no pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AllocError {
    /// Nothing that the flags allow is left.
    NoMemory,
    /// The fault injector let it fail.
    Injected,
    /// [`Gfp::NOFAIL`] with an order above 1, or without [`Gfp::DIRECT_RECLAIM`].
    BadRequest,
    /// All kmap windows of this CPU are in use, so a HIGHMEM page cannot be filled with zeros.
    NoWindow,
}

impl fmt::Display for AllocError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoMemory => "out of memory",
            Self::Injected => "failure injected",
            Self::BadRequest => "flags contradict each other or the order",
            Self::NoWindow => "no kmap window is free",
        })
    }
}

impl core::error::Error for AllocError {}

impl<M: Machine + 'static> Mm<M> {
    /// Allocates a block. Its frames have undefined content unless [`Gfp::ZERO`] is set. In the
    /// head's descriptor `flags` and `refcount` (1) are set, the other fields are undefined.
    ///
    /// # Errors
    /// [`AllocError`]; lack of memory never panics. A request with [`Gfp::NOFAIL`] waits for it, if need
    /// be for ever.
    #[inline]
    pub fn alloc_pages(&self, gfp: Gfp, order: Order) -> Result<Pfn, AllocError> {
        self.alloc_in_line(gfp, order)
    }

    /// Allocates a single page, as [`Mm::alloc_pages`] does: where the flags are a constant, with less
    /// to decide.
    ///
    /// # Errors
    /// [`AllocError`].
    #[inline(always)]
    pub(crate) fn alloc_page(&self, gfp: Gfp) -> Result<Pfn, AllocError> {
        self.alloc_in_line(gfp, Order::ZERO)
    }

    #[inline(always)]
    fn alloc_in_line(&self, gfp: Gfp, order: Order) -> Result<Pfn, AllocError> {
        // `NOFAIL` is checked, whether or not a list has a block.
        let special = gfp.intersects(Gfp::ZERO.union(Gfp::COMP).union(Gfp::NOFAIL));
        if order.get() <= PCP_MAX_ORDER && !special && !self.is_fail_page_alloc_armed() {
            let request = self.request(gfp);
            if let Some(pfn) = self.take_from_list(request, order.get()) {
                self.machine
                    .event(EventKind::PageAlloc, u64::from(pfn), trace_arg(gfp, order));
                return Ok(Pfn(pfn));
            }
        }
        self.alloc_slow(gfp, order)
    }

    /// Allocates single pages into `pages` until it is full or memory runs out, and returns how
    /// many there are.
    pub fn alloc_pages_bulk(&self, gfp: Gfp, pages: &mut [Pfn]) -> usize {
        for (got, slot) in pages.iter_mut().enumerate() {
            match self.alloc_pages(gfp, Order::ZERO) {
                Ok(pfn) => *slot = pfn,
                Err(_) => return got,
            }
        }
        pages.len()
    }

    /// Whether the injector of page allocations has to be asked.
    #[inline(always)]
    fn is_fail_page_alloc_armed(&self) -> bool {
        let control = self.machine.control();
        is_armed(control, &control.fail_page_alloc)
    }

    /// What the flags ask for.
    #[inline(always)]
    pub(crate) fn request(&self, gfp: Gfp) -> Request {
        self.requests[Request::index(gfp)]
    }

    /// Takes a block from this CPU's list for the preferred zone. The watermarks have no say in it:
    /// the pages left the zone's free count when they came into the list.
    #[inline(always)]
    fn take_from_list(&self, request: Request, order: u32) -> Option<u32> {
        let cpu = self.this_cpu();
        let zone = request.zone as usize % cpu.pcp.len();
        let list = pcp_list(order, request.migrate as u32);
        let (pfn, page) = pcp::pop(&self.map, &cpu.pcp[zone], list, order)?;
        mark_allocated(page, order, request.zone.into(), request);
        self.count_alloc(cpu, request.kind, order);
        Some(pfn)
    }

    /// Counts an allocation by the kind of its zone.
    #[inline(always)]
    fn count_alloc(&self, cpu: &PerCpu, kind: u8, order: u32) {
        let event = VmEvent::PgallocDma as usize + kind as usize;
        if let Some(counter) = cpu.vm_events.get(event) {
            memmap::count(counter, 1 << order);
        }
    }
}

/// Second argument of [`EventKind::PageAlloc`].
#[inline(always)]
const fn trace_arg(gfp: Gfp, order: Order) -> u64 {
    order.get() as u64 | (gfp.bits() as u64) << 8
}

/// Gives a block that is in no list to its owner.
#[inline(always)]
fn mark_allocated(page: &Page, order: u32, zone: u32, request: Request) {
    page.flags.store(
        pack(PageFlags::ALLOCATED, order, zone, request.migrate),
        Relaxed,
    );
    page.refcount.store(1, Relaxed);
}
