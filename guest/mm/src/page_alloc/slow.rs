//! The slow path of an allocation: zonelist, watermarks, reserves and reclaim
//! (Linux: `get_page_from_freelist`, `__alloc_pages_slowpath`).

use super::{AllocError, mark_allocated, trace_arg};
use crate::{
    Mm, Order, Pfn, fault,
    machine::Machine,
    mutation::{Mutation, is_planted},
    oom::OomControl,
    pcp,
    zone::{
        Request,
        watermark::{AllocFlags, watermark_ok},
    },
};
use core::sync::atomic::Ordering::Relaxed;
use pagelab_abi::{
    event::EventKind,
    gfp::Gfp,
    percpu::{PCP_MAX_ORDER, pcp_list},
    vmstat::VmEvent,
    zone::WMARK_MIN,
};

/// Rounds of reclaim that help without being enough (Linux: `MAX_RECLAIM_RETRIES`).
const MAX_RECLAIM_RETRIES: u32 = 16;

/// One request on its way.
#[derive(Clone, Copy)]
struct Attempt {
    gfp: Gfp,
    order: Order,
    request: Request,
}

impl<M: Machine + 'static> Mm<M> {
    /// All that [`Mm::alloc_pages`] does not do in line.
    #[inline(never)]
    pub(super) fn alloc_slow(&self, gfp: Gfp, order: Order) -> Result<Pfn, AllocError> {
        let result = self.alloc_checked(gfp, order);
        match result {
            Ok(pfn) => {
                self.machine
                    .event(EventKind::PageAlloc, pfn.0.into(), trace_arg(gfp, order));
            }
            Err(_) => {
                self.count_event(VmEvent::PgallocFail, 1);
                if is_planted(Mutation::WatermarkOffByOne) {
                    self.state.zones[0].watermark[WMARK_MIN].fetch_sub(1, Relaxed);
                }
                self.machine.event(
                    EventKind::PageAllocFail,
                    order.get().into(),
                    gfp.bits().into(),
                );
            }
        }
        result
    }

    /// Checks the request, asks the fault injector, and finishes the block.
    fn alloc_checked(&self, gfp: Gfp, order: Order) -> Result<Pfn, AllocError> {
        if gfp.contains(Gfp::NOFAIL) && (order.get() > 1 || !gfp.contains(Gfp::DIRECT_RECLAIM)) {
            return Err(AllocError::BadRequest);
        }
        if self.is_fail_page_alloc_armed()
            && fault::should_fail_alloc_page(&self.machine, gfp, order)
        {
            return Err(AllocError::Injected);
        }
        let attempt = Attempt {
            gfp,
            order,
            request: self.request(gfp),
        };
        let pfn = self
            .take(attempt, AllocFlags::WMARK_LOW)
            .map_or_else(|| self.take_hard(attempt), Ok)?;
        if let Err(error) = self.prepare(pfn, gfp, order) {
            self.free_unprepared(pfn, order);
            return Err(error);
        }
        Ok(Pfn(pfn))
    }

    /// Takes a block from the first zone of the zonelist that has enough
    /// (Linux: `get_page_from_freelist`).
    fn take(&self, attempt: Attempt, flags: AllocFlags) -> Option<u32> {
        let order = attempt.order.get();
        let highest = usize::from(attempt.request.zone);
        for index in (0..=highest).rev() {
            let zone = &self.state.zones[index];
            if zone.managed.load(Relaxed) == 0 || !watermark_ok(zone, order, highest, flags) {
                continue;
            }
            if let Some(pfn) = self.take_from_zone(attempt, index) {
                mark_allocated(self.map.page(pfn), order, index as u32, attempt.request);
                let cpu = self.this_cpu();
                self.count_alloc(cpu, zone.kind as u8, order);
                if index != highest {
                    self.count_on(cpu, VmEvent::PgallocFallback, 1);
                }
                return Some(pfn);
            }
        }
        None
    }

    /// Takes a block from a zone: from this CPU's list, which is filled if it is empty, or from
    /// the free lists (Linux: `rmqueue`).
    fn take_from_zone(&self, attempt: Attempt, zone: usize) -> Option<u32> {
        let (order, migrate) = (attempt.order.get(), attempt.request.migrate);
        if order > PCP_MAX_ORDER {
            return self.lock_zone(zone).take(order, migrate);
        }
        let list = pcp_list(order, migrate as u32);
        loop {
            // Not kept across the refill: its event may have used what it brought.
            let pcp = &self.this_cpu().pcp[zone];
            if let Some((pfn, _)) = pcp::pop(&self.map, pcp, list, order) {
                return Some(pfn);
            }
            if self.refill(zone, order, migrate) == 0 {
                return None;
            }
        }
    }

    /// The request could not be met above the low watermark.
    #[cold]
    fn take_hard(&self, attempt: Attempt) -> Result<u32, AllocError> {
        let Attempt { gfp, order, .. } = attempt;
        if gfp.contains(Gfp::KSWAPD_RECLAIM) {
            self.wake_kswapd(order);
        }
        let flags = reserves(gfp);
        if let Some(pfn) = self.take(attempt, flags) {
            return Ok(pfn);
        }
        if gfp.contains(Gfp::MEMALLOC) && !gfp.contains(Gfp::NOMEMALLOC) {
            let all = flags | AllocFlags::NO_WATERMARKS;
            if let Some(pfn) = self.take(attempt, all) {
                return Ok(pfn);
            }
        }
        if !gfp.contains(Gfp::DIRECT_RECLAIM) || self.is_reclaiming() {
            return Err(AllocError::NoMemory);
        }
        self.count_stall(attempt.request.kind);
        let mut helped = 0;
        loop {
            let progress = self.drain_all_pages();
            if progress > 0
                && let Some(pfn) = self.take(attempt, flags)
            {
                return Ok(pfn);
            }
            let progress = self.direct_reclaim(gfp);
            if let Some(pfn) = self.take(attempt, flags) {
                return Ok(pfn);
            }
            if !gfp.contains(Gfp::NOFAIL) {
                helped += 1;
                if gfp.contains(Gfp::NORETRY) {
                    return Err(AllocError::NoMemory);
                }
                let nothing = progress == 0 && !self.has_evictable(attempt.request.zone.into());
                let hopeless = nothing || helped > MAX_RECLAIM_RETRIES;
                if hopeless && !self.asked_for_help(attempt) {
                    return Err(AllocError::NoMemory);
                }
                continue;
            }
            if progress == 0 && self.asked_for_help(attempt) {
                continue;
            }
            // Linux, `__alloc_pages_cpuset_fallback`: what must not fail may use reserves.
            if let Some(pfn) = self.take(attempt, flags | AllocFlags::NO_WATERMARKS) {
                return Ok(pfn);
            }
            // Nobody is left to be killed. In each round an event passes, at which a device may give
            // memory back.
            self.wait_for_memory();
        }
    }

    /// Asks the machine for memory, as nothing is left to reclaim, and for a victim if it has none.
    /// False if that was of no use, or the request is so large that its failure is to be expected.
    /// Nobody is killed for memory that only devices need (Linux: `__alloc_pages_may_oom`).
    fn asked_for_help(&self, attempt: Attempt) -> bool {
        let Attempt { gfp, order, .. } = attempt;
        if order.get() > PCP_MAX_ORDER {
            return false;
        }
        self.machine.out_of_memory() > 0
            || !gfp.intersects(Gfp::DMA | Gfp::DMA32)
                && self.machine.oom_kill(OomControl {
                    gfp,
                    order,
                    memcg: None,
                })
    }
}

/// How deep the flags allow to dig (Linux: `gfp_to_alloc_flags`).
fn reserves(gfp: Gfp) -> AllocFlags {
    let mut flags = AllocFlags::empty();
    if gfp.contains(Gfp::HIGH) {
        flags |= AllocFlags::MIN_RESERVE;
    }
    if !gfp.contains(Gfp::DIRECT_RECLAIM) && !gfp.contains(Gfp::NOMEMALLOC) {
        flags |= AllocFlags::NON_BLOCK;
    }
    flags
}
