//! Swap slots are charged to the group of the page that goes there (Linux: `__mem_cgroup_try_charge_swap`,
//! mm/swap_cgroup.c).

use super::GroupId;
use crate::{Mm, machine::Machine};
use core::sync::atomic::Ordering::Relaxed;

impl<M: Machine + 'static> Mm<M> {
    /// Counts a slot for a group, by its number. False if a limit is in the way.
    pub(crate) fn charge_swap(&self, number: u32) -> bool {
        let group = GroupId::from_number(number);
        if let Some(over) = self.swap_limit_of(group) {
            self.count_group_event(over, |group| &group.swap_max_events);
            return false;
        }
        for group in self.memory_group_and_above(group) {
            let counts = self.memory_group(group);
            let usage = counts.swap_usage.load(Relaxed) + 1;
            counts.swap_usage.store(usage, Relaxed);
            counts.swap_peak.fetch_max(usage, Relaxed);
        }
        true
    }

    /// Takes that back.
    pub(crate) fn uncharge_swap(&self, number: u32) {
        for group in self.memory_group_and_above(GroupId::from_number(number)) {
            let counts = self.memory_group(group);
            let usage = counts.swap_usage.load(Relaxed).saturating_sub(1);
            counts.swap_usage.store(usage, Relaxed);
            if counts.swap_excess.load(Relaxed) > usage {
                counts.swap_excess.store(usage, Relaxed);
            }
        }
    }

    /// Whether a group, by its number, may have another slot.
    pub(crate) fn may_charge_swap(&self, number: u32) -> bool {
        self.swap_limit_of(GroupId::from_number(number)).is_none()
    }

    /// Whether a group, by its number, exists, so that it can be charged.
    pub(crate) fn is_online(&self, number: u32) -> bool {
        GroupId::from_number(number)
            .is_some_and(|group| self.memory_group(group).online.load(Relaxed) != 0)
    }

    /// The group, this one or one above it, that may not have another slot.
    fn swap_limit_of(&self, group: Option<GroupId>) -> Option<GroupId> {
        self.memory_group_and_above(group).find(|group| {
            let counts = self.memory_group(*group);
            counts.swap_usage.load(Relaxed) >= counts.swap_max.load(Relaxed)
        })
    }
}
