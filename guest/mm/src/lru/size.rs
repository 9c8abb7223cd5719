//! How many pages are in the lists.

use crate::{Mm, machine::Machine, memcg::GroupStat};
use core::sync::atomic::Ordering::Relaxed;
use pagelab_abi::{
    lru::{LruList, Lruvec},
    page::{MAPPING_SHMEM, PageFlags, is_anon},
};

/// Pages in a list of a lruvec, of zones up to one (Linux: `lruvec_lru_size`).
pub(crate) fn lru_size(lruvec: &Lruvec, list: LruList, highest_zone: usize) -> u64 {
    lruvec
        .nr
        .iter()
        .take(highest_zone + 1)
        .map(|zone| u64::from(zone[list as usize].load(Relaxed)))
        .sum()
}

impl<M: Machine + 'static> Mm<M> {
    /// Pages in the lists of this kind, of all zones and memory groups.
    pub fn lru_pages(&self, list: LruList) -> u64 {
        (0..self.nr_zones())
            .map(|zone| self.zone_lru_pages(zone, list))
            .sum()
    }

    /// Pages of a zone, by its index, in the lists of this kind, of all memory groups.
    pub fn zone_lru_pages(&self, zone: usize, list: LruList) -> u64 {
        self.state
            .lruvecs
            .iter()
            .filter_map(|lruvec| lruvec.nr.get(zone))
            .map(|nr| u64::from(nr[list as usize].load(Relaxed)))
            .sum()
    }
}

impl<M: Machine + 'static> Mm<M> {
    /// Counts the pages of one list by kind.
    pub(crate) fn count_list(&self, group: usize, list: LruList, stat: &mut GroupStat) {
        let locked = self.lock_lruvec(group);
        let mut next = locked.oldest(list);
        while let Some(pfn) = next {
            let page = self.map.page(pfn);
            let mapping = page.mapping.load(Relaxed);
            if is_anon(mapping) {
                stat.anon += 1;
            } else {
                stat.file += 1;
                stat.shmem += u64::from(mapping & MAPPING_SHMEM != 0);
            }
            let is_cached = page.flags.load(Relaxed) & PageFlags::SWAPCACHE.bits() != 0;
            stat.swap_cached += u64::from(is_cached);
            next = locked.newer(pfn);
        }
    }
}
