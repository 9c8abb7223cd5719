//! Charging pages to groups of processes (Linux mm/memcontrol.c: `try_charge`, mm/page_counter.c). What
//! a group is, is told in [`pagelab_abi::memcg`].
//!
//! A page is charged to the group of the process that runs when it is allocated, and until it is
//! freed. Above the limit a process of the group is killed; if none can be, the allocation fails.

#[cfg(test)]
mod tests;

use crate::{AllocError, Mm, Order, Pfn, machine::Machine, oom::OomControl};
use core::sync::atomic::Ordering::Relaxed;
use pagelab_abi::{
    gfp::Gfp,
    lru::MAX_MEMORY_GROUPS,
    memcg::MemoryGroup,
    page::{GROUP_MASK, GROUP_SHIFT, Page, memory_group_of},
};

/// Number of a memory group, 1 to 15; the root is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GroupId(u32);

impl GroupId {
    /// The group with this number. None for the root.
    pub const fn from_number(number: u32) -> Option<Self> {
        if number == 0 || number as usize >= MAX_MEMORY_GROUPS {
            return None;
        }
        Some(Self(number))
    }

    /// The number.
    pub const fn number(self) -> u32 {
        self.0
    }
}

impl<M: Machine + 'static> Mm<M> {
    /// Makes a group of processes that may have so many pages. None if there are too many groups:
    /// one that is gone keeps its place until all its pages are.
    pub fn memory_group_create(&self, max: u64) -> Option<GroupId> {
        let groups = &self.state.memory_groups;
        let free =
            |group: &MemoryGroup| group.online.load(Relaxed) == 0 && group.usage.load(Relaxed) == 0;
        let number = 1 + groups[1..].iter().position(free)?;
        let group = &groups[number];
        for count in [
            &group.peak,
            &group.max_events,
            &group.oom_events,
            &group.oom_kills,
        ] {
            count.store(0, Relaxed);
        }
        group.max.store(max, Relaxed);
        group.online.store(1, Relaxed);
        GroupId::from_number(number as u32)
    }

    /// Ends a group, which has no process any more. Its pages stay charged until they are freed.
    pub fn memory_group_remove(&self, group: GroupId) {
        self.memory_group(group).online.store(0, Relaxed);
    }

    /// What the host sees of a group.
    pub fn memory_group(&self, group: GroupId) -> &'static MemoryGroup {
        &self.state.memory_groups[group.0 as usize % MAX_MEMORY_GROUPS]
    }

    /// Says to which group pages are charged from now on: that of the process that runs.
    pub fn set_current_memory_group(&self, group: Option<GroupId>) {
        let number = group.map_or(0, GroupId::number);
        self.state.current_memory_group.store(number, Relaxed);
    }

    /// A page for a program or the page cache, charged to the group of the process that runs.
    ///
    /// # Errors
    /// [`AllocError`]: the group's limit is one more reason for it.
    #[inline(always)]
    pub(crate) fn alloc_charged(&self, gfp: Gfp) -> Result<Pfn, AllocError> {
        let number = self.state.current_memory_group.load(Relaxed);
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
                self.memory_group(group).usage.fetch_sub(1, Relaxed);
                Err(error)
            }
        }
    }

    /// Counts a page to come.
    fn charge(&self, group: GroupId, gfp: Gfp) -> Result<(), AllocError> {
        let counts = self.memory_group(group);
        loop {
            let usage = counts.usage.load(Relaxed);
            if usage < counts.max.load(Relaxed) {
                self.count_charge(group);
                return Ok(());
            }
            counts.max_events.fetch_add(1, Relaxed);
            let may_fail = gfp.contains(Gfp::NORETRY);
            if !gfp.contains(Gfp::DIRECT_RECLAIM) || self.is_reclaiming() || may_fail {
                return Err(AllocError::NoMemory);
            }
            counts.oom_events.fetch_add(1, Relaxed);
            let control = OomControl {
                gfp,
                order: Order::ZERO,
                memcg: Some(group),
            };
            if !self.machine.oom_kill(control) {
                return Err(AllocError::NoMemory);
            }
        }
    }

    /// Whether so many pages more would stay below the limit of the process that runs.
    pub(crate) fn may_charge(&self, pages: u64) -> bool {
        let number = self.state.current_memory_group.load(Relaxed);
        GroupId::from_number(number).is_none_or(|group| {
            let counts = self.memory_group(group);
            let usage = counts.usage.load(Relaxed);
            usage.saturating_add(pages) <= counts.max.load(Relaxed)
        })
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
        let counts = self.memory_group(group);
        let usage = counts.usage.load(Relaxed) + 1;
        counts.usage.store(usage, Relaxed);
        counts.peak.fetch_max(usage, Relaxed);
    }

    /// Takes the charge of a page back that is about to be freed, if it has one. Returns its flags
    /// without it.
    pub(crate) fn uncharge(&self, page: &Page) -> u32 {
        let word = page.flags.load(Relaxed);
        let Some(group) = GroupId::from_number(memory_group_of(word)) else {
            return word;
        };
        let usage = &self.memory_group(group).usage;
        usage.store(usage.load(Relaxed).saturating_sub(1), Relaxed);
        page.flags.store(word & !GROUP_MASK, Relaxed);
        word & !GROUP_MASK
    }
}
