//! Pages are charged and given back (Linux: `try_charge_memcg`, `mem_cgroup_handle_over_high`).

use super::GroupId;
use crate::{
    AllocError, Mm, Order, Pfn, machine::Machine, oom::OomControl,
    zone::watermark::SWAP_CLUSTER_MAX,
};
use core::sync::atomic::Ordering::Relaxed;
use pagelab_abi::{
    gfp::Gfp,
    memcg::NO_LIMIT,
    page::{GROUP_MASK, GROUP_SHIFT, Page, memory_group_of},
};

/// Rounds of reclaim without success before a process is killed (Linux: `MAX_RECLAIM_RETRIES`).
pub(super) const MAX_RECLAIM_RETRIES: u32 = 16;

/// Pages that a group above `high` gets before it has to reclaim again (Linux:
/// `MEMCG_CHARGE_BATCH`).
const CHARGE_BATCH: u64 = 64;

/// Events that an allocation of a group above `high` waits at most (Linux:
/// `MEMCG_MAX_HIGH_DELAY_JIFFIES`, two seconds, at a hundred each).
const MAX_HIGH_DELAY: u64 = 200;

/// Fraction of `high` by which a group is above it, squared, for each event that it waits (Linux:
/// `MEMCG_DELAY_PRECISION_SHIFT` and `MEMCG_DELAY_SCALING_SHIFT`: a tenth of it is one second's
/// worth).
const HIGH_DELAY_PER_SQUARE: u64 = 10_000;

impl<M: Machine + 'static> Mm<M> {
    /// A page for a program or the page cache, charged to the group of the process that runs.
    ///
    /// # Errors
    /// [`AllocError`]: the group's limit is one more reason for it.
    #[inline(always)]
    pub(crate) fn alloc_charged(&self, gfp: Gfp) -> Result<Pfn, AllocError> {
        let number = self.state.current_memory_group.load(Relaxed);
        self.alloc_charged_to(number, gfp)
    }

    /// The same, charged to the group with this number.
    #[inline(always)]
    pub(crate) fn alloc_charged_to(&self, number: u32, gfp: Gfp) -> Result<Pfn, AllocError> {
        match GroupId::from_number(number) {
            None => self.alloc_page(gfp),
            Some(group) => self.alloc_for(group, gfp),
        }
    }

    #[inline(never)]
    fn alloc_for(&self, group: GroupId, gfp: Gfp) -> Result<Pfn, AllocError> {
        self.charge(group, gfp)?;
        match self.alloc_pages(gfp, Order::ZERO) {
            Ok(pfn) => {
                let flags = &self.map.page(pfn.0).flags;
                flags.fetch_or(group.0 << GROUP_SHIFT, Relaxed);
                Ok(pfn)
            }
            Err(error) => {
                self.count_uncharge(group);
                Err(error)
            }
        }
    }

    /// Counts a page to come. Where the limit is in the way, pages of the group are reclaimed, and if
    /// that does not help somebody of the group is killed.
    fn charge(&self, group: GroupId, gfp: Gfp) -> Result<(), AllocError> {
        let may_reclaim = gfp.contains(Gfp::DIRECT_RECLAIM) && !self.is_reclaiming();
        let mut retries = MAX_RECLAIM_RETRIES;
        while let Some(over) = self.group_at_limit(group, 1) {
            self.count_group_event(over, |group| &group.max_events);
            if !may_reclaim {
                return Err(AllocError::NoMemory);
            }
            if self.reclaim_memory_group(over, gfp, SWAP_CLUSTER_MAX.into()) > 0 {
                continue;
            }
            if gfp.contains(Gfp::NORETRY) {
                return Err(AllocError::NoMemory);
            }
            if retries > 0 && self.group_has_evictable(over) {
                retries -= 1;
                continue;
            }
            if !self.group_oom_kill(over, gfp) {
                return Err(AllocError::NoMemory);
            }
            retries = MAX_RECLAIM_RETRIES;
        }
        self.count_charge(group);
        if may_reclaim {
            self.handle_over_high(group, gfp);
        }
        Ok(())
    }

    /// Asks for a victim in a group.
    pub(super) fn group_oom_kill(&self, group: GroupId, gfp: Gfp) -> bool {
        self.count_group_event(group, |group| &group.oom_events);
        self.machine.oom_kill(OomControl {
            gfp,
            order: Order::ZERO,
            memcg: Some(group),
        })
    }

    /// The group, this one or one above it, that may not have so many pages more.
    fn group_at_limit(&self, group: GroupId, pages: u64) -> Option<GroupId> {
        self.memory_group_and_above(Some(group)).find(|group| {
            let counts = self.memory_group(*group);
            let usage = counts.usage.load(Relaxed);
            usage.saturating_add(pages) > counts.max.load(Relaxed)
        })
    }

    /// A group that has more than its `high` reclaims, and waits if that is not enough: the longer, the
    /// more it is above it.
    #[inline]
    fn handle_over_high(&self, group: GroupId, gfp: Gfp) {
        for over in self.memory_group_and_above(Some(group)) {
            let counts = self.memory_group(over);
            let high = counts.high.load(Relaxed);
            if high == NO_LIMIT {
                continue;
            }
            let above = counts.usage.load(Relaxed).saturating_sub(high);
            if above % CHARGE_BATCH == 1 {
                self.reclaim_over_high(over, high, gfp);
            }
        }
    }

    #[cold]
    fn reclaim_over_high(&self, group: GroupId, high: u64, gfp: Gfp) {
        self.count_group_event(group, |group| &group.high_events);
        self.reclaim_memory_group(group, gfp, CHARGE_BATCH);
        let usage = self.memory_group(group).usage.load(Relaxed);
        let above = usage.saturating_sub(high);
        // In hundredths.
        let share = above.saturating_mul(100) / high.max(1);
        let delay = share.saturating_mul(share) * 100 / HIGH_DELAY_PER_SQUARE;
        for _ in 0..delay.min(MAX_HIGH_DELAY) {
            self.wait_for_memory();
        }
    }

    /// Whether so many pages more would stay below the limits of the process that runs.
    pub(crate) fn may_charge(&self, pages: u64) -> bool {
        let number = self.state.current_memory_group.load(Relaxed);
        GroupId::from_number(number).is_none_or(|group| self.group_at_limit(group, pages).is_none())
    }

    /// Charges a page of a block, for all of which [`Self::may_charge`] has said yes.
    pub(crate) fn charge_present(&self, pfn: Pfn) {
        let number = self.state.current_memory_group.load(Relaxed);
        let Some(group) = GroupId::from_number(number) else {
            return;
        };
        self.count_charge(group);
        let flags = &self.map.page(pfn.0).flags;
        flags.fetch_or(group.0 << GROUP_SHIFT, Relaxed);
    }

    fn count_charge(&self, group: GroupId) {
        for group in self.memory_group_and_above(Some(group)) {
            let counts = self.memory_group(group);
            let usage = counts.usage.load(Relaxed) + 1;
            counts.usage.store(usage, Relaxed);
            counts.peak.fetch_max(usage, Relaxed);
        }
    }

    fn count_uncharge(&self, group: GroupId) {
        for group in self.memory_group_and_above(Some(group)) {
            let counts = self.memory_group(group);
            let usage = counts.usage.load(Relaxed).saturating_sub(1);
            counts.usage.store(usage, Relaxed);
            if counts.excess.load(Relaxed) > usage {
                counts.excess.store(usage, Relaxed);
            }
        }
    }

    /// Takes the charge of a page back that is about to be freed, if it has one. Returns its flags
    /// without it.
    pub(crate) fn uncharge(&self, page: &Page) -> u32 {
        let word = page.flags.load(Relaxed);
        let Some(group) = GroupId::from_number(memory_group_of(word)) else {
            return word;
        };
        self.count_uncharge(group);
        page.flags.store(word & !GROUP_MASK, Relaxed);
        word & !GROUP_MASK
    }
}
