//! Limits change (Linux: `memory_max_write`, `memory_high_write`, `memory_reclaim`).

use super::{GroupId, charge::MAX_RECLAIM_RETRIES};
use crate::{AllocError, Mm, machine::Machine};
use core::sync::atomic::Ordering::Relaxed;
use pagelab_abi::gfp::Gfp;

/// What reclaim for a limit may do.
const LIMIT_GFP: Gfp = Gfp::KERNEL;

impl<M: Machine + 'static> Mm<M> {
    /// Limits the pages of a group. What is above that is reclaimed, and where that does not help
    /// processes are killed; if none is left, the group has more than its limit until it gives it back.
    /// No address space may be in the middle of a change.
    pub fn set_memory_max(&self, group: GroupId, max: u64) {
        let counts = self.memory_group(group);
        counts.excess.store(counts.usage.load(Relaxed), Relaxed);
        counts.max.store(max, Relaxed);
        let mut retries = MAX_RECLAIM_RETRIES;
        loop {
            let above = counts.usage.load(Relaxed).saturating_sub(max);
            if above == 0 {
                counts.excess.store(0, Relaxed);
                return;
            }
            if self.reclaim_memory_group(group, LIMIT_GFP, above) > 0 {
                continue;
            }
            if retries > 0 && self.group_has_evictable(group) {
                retries -= 1;
            } else if !self.group_oom_kill(group, LIMIT_GFP) {
                return;
            }
        }
    }

    /// Says above how many pages a group is slowed down. What is above that is reclaimed, as far as
    /// that is possible. As [`Self::set_memory_max`].
    pub fn set_memory_high(&self, group: GroupId, high: u64) {
        let counts = self.memory_group(group);
        counts.high.store(high, Relaxed);
        let mut retries = MAX_RECLAIM_RETRIES;
        while retries > 0 {
            let above = counts.usage.load(Relaxed).saturating_sub(high);
            if above == 0 {
                return;
            }
            if self.reclaim_memory_group(group, LIMIT_GFP, above) == 0 {
                retries -= 1;
            }
        }
    }

    /// Limits the swap slots of a group. Those that it has stay.
    pub fn set_swap_max(&self, group: GroupId, max: u64) {
        let counts = self.memory_group(group);
        let usage = counts.swap_usage.load(Relaxed);
        counts.swap_excess.store(usage, Relaxed);
        counts.swap_max.store(max, Relaxed);
    }

    /// Reclaims so many pages of a group (Linux: `memory.reclaim`). As [`Self::set_memory_max`].
    ///
    /// # Errors
    /// [`AllocError::NoMemory`] if there were fewer to be had.
    pub fn reclaim_from_group(&self, group: GroupId, pages: u64) -> Result<(), AllocError> {
        let (mut left, mut retries) = (pages, MAX_RECLAIM_RETRIES);
        while left > 0 {
            let freed = self.reclaim_memory_group(group, LIMIT_GFP, left);
            left = left.saturating_sub(freed);
            if freed == 0 {
                retries = retries.checked_sub(1).ok_or(AllocError::NoMemory)?;
            }
        }
        Ok(())
    }
}
