//! Per-CPU page lists: the free pages that a CPU has at hand for each zone, without a lock.
//!
//! As in Linux they hold orders 0 to 3, for slabs and kernel stacks ask for those, and only their
//! CPU touches them. Linux takes a per-CPU spin lock, so that another CPU can drain the lists; that
//! is a locked operation on each allocation and each free, about 20 cycles. Here the other CPU asks
//! instead: it sets the list's limit to 0, and the owner, which compares with the limit on each
//! free anyway, drains when it sees that. Pages at an idle CPU stay where they are until it runs.

use crate::{
    Mm,
    buddy::LockedZone,
    bulk::Run,
    machine::Machine,
    memmap::{MemMap, add, link, sub},
    sync::Word,
};
use core::sync::atomic::Ordering::Relaxed;
use core::sync::atomic::{AtomicU32, Ordering};
use pagelab_abi::{
    event::EventKind,
    page::{MIGRATE_PCPTYPES, MigrateType, NONE, Page, PageFlags, pack},
    percpu::{NR_PCP_LISTS, PerCpu, PerCpuPages, pcp_list},
    vmstat::VmEvent,
};

/// Takes the first block of a list: pfn and descriptor.
#[inline(always)]
pub(crate) fn pop(
    map: &MemMap,
    pcp: &PerCpuPages,
    list: usize,
    order: u32,
) -> Option<(u32, &'static Page)> {
    let head = pcp.lists.get(list)?;
    let pfn = link(head)?;
    let page = map.page(pfn);
    head.store(page.next.load(Relaxed), Relaxed);
    sub(&pcp.count, 1 << order);
    Some((pfn, page))
}

/// Puts a block at the front of a list and returns how many pages the lists have now.
#[inline(always)]
pub(crate) fn push(pcp: &PerCpuPages, list: &AtomicU32, pfn: u32, page: &Page, order: u32) -> u32 {
    page.next.store(list.load(Relaxed), Relaxed);
    list.store(pfn, Relaxed);
    let count = pcp.count.load(Relaxed).wrapping_add(1 << order);
    pcp.count.store(count, Relaxed);
    count
}

/// Asks the owner of a per-CPU list to drain it.
pub(crate) fn request_drain<W: Word>(high: &W) {
    high.store(0, Ordering::Release);
}

/// Tells the owner whether a drain was asked for since it last looked. The limit is restored
/// before the drain begins, so a request that comes meanwhile is either met by this drain or seen
/// later.
pub(crate) fn accept_drain<W: Word>(high: &W, configured: u32) -> bool {
    high.load(Ordering::Relaxed) == 0 && {
        let asked = high.swap(configured, Ordering::Acquire);
        asked == 0
    }
}

impl<M: Machine + 'static> Mm<M> {
    /// The calling CPU's state.
    #[inline(always)]
    pub(crate) fn this_cpu(&self) -> &'static PerCpu {
        &self.percpu[self.machine.cpu() % crate::MAX_CPUS]
    }

    /// Locks a zone of the table.
    #[inline]
    pub(crate) fn lock_zone(&self, zone: usize) -> LockedZone<'_> {
        LockedZone::new(&self.state.zones[zone], zone as u32, &self.map, || {
            self.machine.relax();
        })
    }

    /// Fills an empty list with a batch of blocks. Returns the pages it got.
    #[inline(never)]
    pub(crate) fn refill(&self, zone: usize, order: u32, migrate: MigrateType) -> u32 {
        let cpu = self.this_cpu();
        let pcp = &cpu.pcp[zone];
        // Linux, `nr_pcp_alloc`: at least two blocks of a larger order.
        let batch = match order {
            0 => pcp.batch.load(Relaxed),
            _ => (pcp.batch.load(Relaxed) >> order).max(2),
        };
        let word = pack(PageFlags::PCP, order, zone as u32, migrate);
        let blocks;
        {
            let locked = self.lock_zone(zone);
            let mut end = &pcp.lists[pcp_list(order, migrate as u32)];
            // Appended, so that they are used in the order in which they come.
            while let Some(pfn) = link(end) {
                end = &self.map.page(pfn).next;
            }
            blocks = locked.take_bulk(order, migrate, batch, |pfn| {
                let page = self.map.page(pfn);
                page.flags.store(word, Relaxed);
                page.refcount.store(0, Relaxed);
                end.store(pfn, Relaxed);
                end = &page.next;
            });
            end.store(NONE, Relaxed);
            add(&pcp.count, blocks << order);
        }
        if blocks > 0 {
            self.count_on(cpu, VmEvent::PcpRefill, 1);
            self.machine
                .event(EventKind::PcpMove, zone as u64, u64::from(blocks << order));
        }
        blocks << order
    }

    /// Gives at least `count` pages (if there are as many) back to the zone, beginning with the
    /// list that was used last. Returns how many pages it gave back.
    fn free_bulk(&self, zone: usize, first: usize, count: u32) -> u32 {
        let cpu = self.this_cpu();
        let pcp = &cpu.pcp[zone];
        let mut freed = 0;
        {
            let locked = self.lock_zone(zone);
            let mut run: Option<Run> = None;
            for step in 0..NR_PCP_LISTS {
                let list = (first + step) % NR_PCP_LISTS;
                let order = (list / MIGRATE_PCPTYPES) as u32;
                while freed < count
                    && let Some((pfn, _)) = pop(&self.map, pcp, list, order)
                {
                    freed += 1 << order;
                    if !run.as_mut().is_some_and(|run| run.join(pfn, order))
                        && let Some(done) = run.replace(Run::new(pfn, order))
                    {
                        locked.free_run(done);
                    }
                }
            }
            if let Some(last) = run {
                locked.free_run(last);
            }
        }
        if freed > 0 {
            self.count_on(cpu, VmEvent::PcpDrain, 1);
            self.machine
                .event(EventKind::PcpMove, zone as u64, u64::from(freed));
        }
        freed
    }

    /// Called when a list has reached its limit, or another CPU wants it drained.
    #[cold]
    #[inline(never)]
    pub(crate) fn pcp_over_limit(&self, zone: usize, list: usize) {
        let pcp = &self.this_cpu().pcp[zone];
        if accept_drain(&pcp.high, pcp.high_config.load(Relaxed)) {
            self.free_bulk(zone, list, u32::MAX);
        } else if pcp.count.load(Relaxed) >= pcp.high.load(Relaxed) {
            self.free_bulk(zone, list, pcp.batch.load(Relaxed));
        }
    }

    /// Gives all free pages of this CPU's lists of one zone back.
    pub(crate) fn drain_zone(&self, zone: usize) -> u32 {
        let pcp = &self.this_cpu().pcp[zone];
        accept_drain(&pcp.high, pcp.high_config.load(Relaxed));
        if pcp.count.load(Relaxed) == 0 {
            return 0;
        }
        self.free_bulk(zone, 0, u32::MAX)
    }

    /// Gives all free pages of this CPU's lists back to their zones. Returns how many.
    pub fn drain_local_pages(&self) -> u32 {
        (0..self.nr_zones()).map(|zone| self.drain_zone(zone)).sum()
    }

    /// As [`Mm::drain_local_pages`], and asks all other CPUs to do the same when they next free a
    /// page. Returns how many pages this CPU gave back.
    pub fn drain_all_pages(&self) -> u32 {
        let this = self.machine.cpu();
        for (index, cpu) in self.percpu.iter().enumerate() {
            if index != this {
                for pcp in &cpu.pcp[..self.nr_zones()] {
                    if pcp.count.load(Relaxed) > 0 {
                        request_drain(&pcp.high);
                    }
                }
            }
        }
        self.drain_local_pages()
    }
}

#[cfg(test)]
mod tests {
    use super::{accept_drain, request_drain};
    use loom::sync::{
        Arc,
        atomic::{AtomicU32, Ordering::Relaxed},
    };

    const HIGH: u32 = 7;

    /// The owner has pages, another CPU asks for them: whatever the order of the two, once the
    /// owner has looked for the last time nothing is left of what was there when it was asked.
    #[test]
    fn a_drain_that_was_asked_for_is_never_lost() {
        loom::model(|| {
            let high = Arc::new(AtomicU32::new(HIGH));
            let count = Arc::new(AtomicU32::new(3));
            let other = {
                let high = high.clone();
                loom::thread::spawn(move || request_drain(&*high))
            };
            for _ in 0..2 {
                if accept_drain(&*high, HIGH) {
                    count.store(0, Relaxed);
                }
            }
            other.join().unwrap();
            if accept_drain(&*high, HIGH) {
                count.store(0, Relaxed);
            }
            assert_eq!(count.load(Relaxed), 0);
            assert_eq!(high.load(Relaxed), HIGH);
        });
    }

    /// Requests of several CPUs melt into at least one drain, and the limit is back afterwards.
    #[test]
    fn requests_at_once_leave_the_limit_in_place() {
        loom::model(|| {
            let high = Arc::new(AtomicU32::new(HIGH));
            let others: Vec<_> = (0..2)
                .map(|_| {
                    let high = high.clone();
                    loom::thread::spawn(move || request_drain(&*high))
                })
                .collect();
            let mut drains = u32::from(accept_drain(&*high, HIGH));
            for other in others {
                other.join().unwrap();
            }
            drains += u32::from(accept_drain(&*high, HIGH));
            assert!((1..=2).contains(&drains));
            assert_eq!(high.load(Relaxed), HIGH);
        });
    }
}
