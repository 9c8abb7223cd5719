//! Which lists are looked at, and how much of each (Linux: `get_scan_count`, `inactive_is_low`).

use super::{ScanControl, is_anon_list};
use crate::{
    Mm,
    lru::lru_size,
    machine::Machine,
    memcg::{GroupId, Protection},
    zone::watermark::SWAP_CLUSTER_MAX,
};
use core::sync::atomic::Ordering::Relaxed;
use pagelab_abi::{
    lru::{LruList, Lruvec, MAX_MEMORY_GROUPS},
    memcg::MAX_SWAPPINESS,
};

/// The lists that can be reclaimed from, in the order of their numbers.
pub(super) const EVICTABLE: [LruList; 4] = [
    LruList::InactiveAnon,
    LruList::ActiveAnon,
    LruList::InactiveFile,
    LruList::ActiveFile,
];

/// Whether an inactive list is so short that active pages must follow: the larger the two are together,
/// the smaller a share has to be inactive. `active` are the pages of the active list.
pub(super) fn inactive_is_low(inactive: u64, active: u64) -> bool {
    let gib = (inactive + active) >> (30 - pagelab_abi::PAGE_SHIFT);
    let ratio = if gib > 0 { (10 * gib).isqrt() } else { 1 };
    inactive * ratio < active
}

/// The shares of swap and of files, of their sum. The dearer a kind has been of late, the less of it
/// is looked at.
fn shares(swappiness: u32, cost: [u64; 2]) -> (u64, u64) {
    let swappiness = u64::from(swappiness.min(MAX_SWAPPINESS));
    let total = cost[0] + cost[1];
    let [anon_cost, file_cost] = cost.map(|cost| total + cost);
    let total = anon_cost + file_cost;
    let anon = swappiness * (total + 1) / (anon_cost + 1);
    let file = (u64::from(MAX_SWAPPINESS) - swappiness) * (total + 1) / (file_cost + 1);
    (anon, file)
}

/// How much of a list of so many pages is looked at if a part of the group is spared: the more it has
/// beyond that, the more (Linux: `get_scan_count`, with `mem_cgroup_protection`).
fn unprotected(size: u64, protection: Protection, even_low: bool) -> u64 {
    let spared = if even_low {
        protection.min
    } else {
        protection.min.max(protection.low)
    };
    if spared == 0 {
        return size;
    }
    let usage = u128::from(protection.usage.max(spared)) + 1;
    let part = u128::from(size) * u128::from(spared) / usage;
    // It is no more than `size`.
    let rest = size - part as u64;
    rest.max(SWAP_CLUSTER_MAX.into()).min(size)
}

impl<M: Machine + 'static> Mm<M> {
    /// How much swap is preferred to pages of files, 0 to 200.
    pub fn swappiness(&self) -> u32 {
        self.state.swappiness.load(Relaxed)
    }

    /// Sets it. More than [`MAX_SWAPPINESS`] counts as that.
    pub fn set_swappiness(&self, swappiness: u32) {
        let swappiness = swappiness.min(MAX_SWAPPINESS);
        self.state.swappiness.store(swappiness, Relaxed);
    }

    /// Pages of each of the lists that a run looks at.
    pub(super) fn scan_count(
        &self,
        group: usize,
        protection: Protection,
        sc: &ScanControl,
    ) -> [u64; 4] {
        let lruvec = &self.state.lruvecs[group % MAX_MEMORY_GROUPS];
        let swappiness = self.state.swappiness.load(Relaxed);
        let (anon, file) = if !self.may_swap(group as u32) || swappiness == 0 && sc.priority > 0 {
            (0, 1)
        } else if sc.priority == 0 && swappiness > 0 {
            // It is urgent: all of both.
            (1, 1)
        } else {
            shares(
                swappiness,
                lruvec.cost.each_ref().map(|cost| cost.load(Relaxed)),
            )
        };
        let whole = if sc.priority == 0 {
            1
        } else {
            (anon + file).max(1)
        };
        EVICTABLE.map(|list| {
            let size = lru_size(lruvec, list, sc.highest_zone);
            let size = unprotected(size, protection, sc.even_low) >> sc.priority;
            let share = if is_anon_list(list) { anon } else { file };
            (size * share).div_ceil(whole).min(size)
        })
    }

    /// Whether there are pages of zones up to one that could be reclaimed sooner or later (Linux:
    /// `zone_reclaimable_pages`).
    pub(crate) fn has_evictable(&self, highest_zone: usize) -> bool {
        self.has_evictable_in(None, highest_zone)
    }

    /// The same for a memory group and those in it.
    pub(crate) fn group_has_evictable(&self, group: GroupId) -> bool {
        self.has_evictable_in(Some(group), usize::MAX - 1)
    }

    fn has_evictable_in(&self, target: Option<GroupId>, highest_zone: usize) -> bool {
        (0..).zip(&self.state.lruvecs).any(|(group, lruvec)| {
            self.is_in_memory_group(group, target)
                && EVICTABLE.into_iter().any(|list| {
                    lru_size(lruvec, list, highest_zone) > 0
                        && (!is_anon_list(list) || self.may_swap(group))
                })
        })
    }

    /// Whether a page of a memory group, by its number, can go to swap at all.
    pub(super) fn may_swap(&self, group: u32) -> bool {
        self.swap_slots().1 > 0 && self.may_charge_swap(group)
    }

    /// Pages of a kind had to be written, or kept because they are in use (Linux: `lru_note_cost`).
    pub(super) fn note_cost(&self, lruvec: &Lruvec, anon: bool, pages: u64) {
        let [anon_cost, file_cost] = &lruvec.cost;
        let cost = if anon { anon_cost } else { file_cost };
        cost.fetch_add(pages, Relaxed);
        let size: u64 = LruList::ALL
            .map(|list| lru_size(lruvec, list, usize::MAX - 1))
            .iter()
            .sum();
        if anon_cost.load(Relaxed) + file_cost.load(Relaxed) > size / 4 {
            for cost in &lruvec.cost {
                cost.store(cost.load(Relaxed) / 2, Relaxed);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{inactive_is_low, shares, unprotected};
    use crate::memcg::Protection;

    #[test]
    fn what_is_protected_is_spared_in_proportion() {
        let of = |min, low, usage| Protection { min, low, usage };
        assert_eq!(unprotected(1000, of(0, 0, 2000), false), 1000);
        // Half of the group is protected, so about half of each list is looked at.
        assert_eq!(unprotected(1000, of(0, 1000, 1999), false), 500);
        assert_eq!(unprotected(1000, of(0, 1000, 1999), true), 1000);
        assert_eq!(unprotected(1000, of(1000, 0, 1999), true), 500);
        // Never nothing, for the group is above it.
        assert_eq!(unprotected(1000, of(0, 5000, 5001), false), 32);
        assert_eq!(unprotected(7, of(0, 5000, 5001), false), 7);
        assert_eq!(unprotected(u64::MAX, of(u64::MAX, 0, u64::MAX), false), 32);
    }

    #[test]
    fn a_large_list_needs_a_smaller_inactive_share() {
        assert!(!inactive_is_low(10, 10));
        assert!(inactive_is_low(9, 10));
        // 16 GiB: the square root of 160 is 12, so a 13th is enough.
        let pages = 16 << 18;
        assert!(!inactive_is_low(pages / 13 + 1, pages - pages / 13 - 1));
        assert!(inactive_is_low(pages / 14, pages - pages / 14));
    }

    #[test]
    fn swappiness_and_cost_divide_the_work() {
        assert_eq!(shares(100, [0, 0]), (100, 100));
        assert_eq!(shares(0, [0, 0]).0, 0);
        assert_eq!(shares(200, [5, 5]).1, 0);
        assert_eq!(shares(9999, [0, 0]), shares(200, [0, 0]));
        let (anon, file) = shares(60, [0, 0]);
        assert_eq!(anon * 140, file * 60);
        // Swap has cost a lot: it is spared.
        let (anon, file) = shares(100, [1000, 0]);
        assert!(anon < file, "{anon} {file}");
    }
}
