//! What a group has (Linux: `memory.stat`).

use super::GroupId;
use crate::{Mm, lru::lru_size, machine::Machine};
use core::sync::atomic::Ordering::Relaxed;
use pagelab_abi::lru::{LruList, NR_LRU_LISTS};

/// Amounts of a group and of those in it, in pages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GroupStat {
    /// Anonymous pages.
    pub anon: u64,
    /// Pages of files, shared memory among them.
    pub file: u64,
    /// Pages of shared memory.
    pub shmem: u64,
    /// Pages in the swap cache.
    pub swap_cached: u64,
    /// Pages in each list; index [`LruList`].
    pub lists: [u64; NR_LRU_LISTS],
    /// Pages that reclaim has looked at.
    pub pgscan: u64,
    /// Pages that it has freed.
    pub pgsteal: u64,
}

impl<M: Machine + 'static> Mm<M> {
    /// Counts what a group has: it walks its lists.
    pub fn memory_group_stat(&self, group: GroupId) -> GroupStat {
        let counts = self.memory_group(group);
        let mut stat = GroupStat {
            pgscan: counts.pgscan.load(Relaxed),
            pgsteal: counts.pgsteal.load(Relaxed),
            ..GroupStat::default()
        };
        for (number, lruvec) in (0..).zip(&self.state.lruvecs) {
            if !self.is_in_memory_group(number, Some(group)) {
                continue;
            }
            for list in LruList::ALL {
                stat.lists[list as usize] += lru_size(lruvec, list, usize::MAX - 1);
                self.count_list(number as usize, list, &mut stat);
            }
        }
        stat
    }
}
