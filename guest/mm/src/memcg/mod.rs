//! Groups of processes whose memory is limited (Linux mm/memcontrol.c, mm/page_counter.c). What a group
//! is, is told in [`pagelab_abi::memcg`].
//!
//! * this file: groups come and go, and which is below which. `charge`: pages. `swap`: swap slots.
//! * `limits`: limits that change. `protect`: what is spared when others need memory. `stat`: what
//!   a group has.
//!
//! A page is charged to the group of the process that runs when it is allocated, and to all groups that
//! this one is part of, until it is freed. At the limit pages of the group are reclaimed; if that does
//! not help a process of the group is killed; if none can be, the allocation fails.

mod charge;
mod limits;
mod protect;
mod stat;
mod swap;
#[cfg(test)]
mod tests;

use crate::{Mm, machine::Machine};
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};
use pagelab_abi::{
    lru::MAX_MEMORY_GROUPS,
    memcg::{MemoryGroup, NO_LIMIT},
};

pub(crate) use protect::Protection;
pub use stat::GroupStat;

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
    /// Makes a group of processes that may have so many pages, in the root group.
    /// As [`Self::memory_group_create_in`].
    pub fn memory_group_create(&self, max: u64) -> Option<GroupId> {
        let group = self.memory_group_create_in(None)?;
        self.memory_group(group).max.store(max, Relaxed);
        Some(group)
    }

    /// Makes a group of processes without limits, in another one. None if there are too many groups:
    /// one that is gone keeps its place until all its pages and swap slots are, and so does the one that
    /// it was part of.
    pub fn memory_group_create_in(&self, parent: Option<GroupId>) -> Option<GroupId> {
        let groups = &self.state.memory_groups;
        let free = |number: &usize| {
            let group = &groups[*number];
            let counts = [&group.usage, &group.swap_usage];
            group.online.load(Relaxed) == 0 && counts.iter().all(|count| count.load(Relaxed) == 0)
        };
        let number = (1..groups.len()).find(free)?;
        let group = &groups[number];
        for count in [
            &group.peak,
            &group.max_events,
            &group.oom_events,
            &group.oom_kills,
            &group.high_events,
            &group.low_events,
            &group.swap_peak,
            &group.swap_max_events,
            &group.pgscan,
            &group.pgsteal,
            &group.low,
            &group.min,
            &group.excess,
            &group.swap_excess,
        ] {
            count.store(0, Relaxed);
        }
        for limit in [&group.max, &group.high, &group.swap_max] {
            limit.store(NO_LIMIT, Relaxed);
        }
        let parent = parent.map_or(0, GroupId::number);
        group.parent.store(parent, Relaxed);
        group.online.store(1, Relaxed);
        GroupId::from_number(number as u32)
    }

    /// Ends a group, which has no process and no group in it any more. Its pages stay charged until
    /// they are freed.
    pub fn memory_group_remove(&self, group: GroupId) {
        self.memory_group(group).online.store(0, Relaxed);
    }

    /// What the host sees of a group.
    pub fn memory_group(&self, group: GroupId) -> &'static MemoryGroup {
        &self.state.memory_groups[group.0 as usize % MAX_MEMORY_GROUPS]
    }

    /// A group, and those above it but the root.
    pub(crate) fn memory_group_and_above(
        &self,
        group: Option<GroupId>,
    ) -> impl Iterator<Item = GroupId> {
        let above = |group: &GroupId| {
            let parent = self.memory_group(*group).parent.load(Relaxed);
            GroupId::from_number(parent)
        };
        // Each is younger than its parent, so the chain ends; the bound is for corrupt ones.
        core::iter::successors(group, above).take(MAX_MEMORY_GROUPS)
    }

    /// Whether a group, by its number, is another one or part of it. All are part of the root.
    pub(crate) fn is_in_memory_group(&self, number: u32, other: Option<GroupId>) -> bool {
        other.is_none_or(|other| {
            self.memory_group_and_above(GroupId::from_number(number))
                .any(|group| group == other)
        })
    }

    /// Says to which group pages are charged from now on: that of the process that runs.
    pub fn set_current_memory_group(&self, group: Option<GroupId>) {
        let number = group.map_or(0, GroupId::number);
        self.state.current_memory_group.store(number, Relaxed);
    }

    /// Counts an event of a group, and of those above it.
    fn count_group_event(&self, group: GroupId, event: fn(&MemoryGroup) -> &AtomicU64) {
        self.add_group_events(group, event, 1);
    }

    fn add_group_events(&self, group: GroupId, event: fn(&MemoryGroup) -> &AtomicU64, count: u64) {
        for group in self.memory_group_and_above(Some(group)) {
            event(self.memory_group(group)).fetch_add(count, Relaxed);
        }
    }

    /// Counts a process of a group that was killed.
    pub(crate) fn count_group_oom_kill(&self, group: GroupId) {
        self.count_group_event(group, |group| &group.oom_kills);
    }

    /// Counts pages of a group, by its number, that reclaim looked at, and those that it freed.
    pub(crate) fn count_group_scan(&self, number: usize, scanned: u64, stolen: u64) {
        if let Some(group) = GroupId::from_number(number as u32) {
            self.add_group_events(group, |group| &group.pgscan, scanned);
            self.add_group_events(group, |group| &group.pgsteal, stolen);
        }
    }
}
