//! What is spared when memory is needed elsewhere (Linux: `mem_cgroup_calculate_protection`).
//!
//! A group's protection is no more than that of the one it is part of. Linux also divides a parent's
//! protection among children that together claim more; here each may claim all of it.

use super::GroupId;
use crate::{Mm, machine::Machine};
use core::sync::atomic::Ordering::Relaxed;
use pagelab_abi::memcg::NO_LIMIT;

/// Pages of a group that are spared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Protection {
    /// Whatever happens (Linux: `emin`).
    pub(crate) min: u64,
    /// As long as there is something else (Linux: `elow`).
    pub(crate) low: u64,
    /// What the group has.
    pub(crate) usage: u64,
}

impl Protection {
    /// None.
    const NONE: Self = Self {
        min: 0,
        low: 0,
        usage: NO_LIMIT,
    };

    /// Whether nothing may be taken.
    pub(crate) const fn is_below_min(self) -> bool {
        self.usage <= self.min
    }

    /// Whether nothing should be taken.
    pub(crate) const fn is_below_low(self) -> bool {
        self.usage <= self.low
    }
}

impl<M: Machine + 'static> Mm<M> {
    /// What of a group, by its number, is spared by reclaim in `target`. Nothing is of `target`
    /// itself, nor of the root.
    pub(crate) fn protection(&self, number: usize, target: Option<GroupId>) -> Protection {
        let group = GroupId::from_number(number as u32);
        let Some(group) = group.filter(|group| Some(*group) != target) else {
            return Protection::NONE;
        };
        let below = self
            .memory_group_and_above(Some(group))
            .take_while(|group| Some(*group) != target);
        let (min, low) = below.fold((NO_LIMIT, NO_LIMIT), |(min, low), group| {
            let counts = self.memory_group(group);
            (
                min.min(counts.min.load(Relaxed)),
                low.min(counts.low.load(Relaxed)),
            )
        });
        Protection {
            min,
            low,
            usage: self.memory_group(group).usage.load(Relaxed),
        }
    }

    /// Counts that pages of a group are taken although they should not be.
    pub(crate) fn count_group_low(&self, number: usize) {
        if let Some(group) = GroupId::from_number(number as u32) {
            self.count_group_event(group, |group| &group.low_events);
        }
    }
}
