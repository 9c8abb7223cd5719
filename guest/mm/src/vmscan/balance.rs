//! Which lists are looked at, and how much of each (Linux: `get_scan_count`, `inactive_is_low`).

use super::{ScanControl, is_anon_list};
use crate::{Mm, lru::lru_size, machine::Machine};
use core::sync::atomic::Ordering::Relaxed;
use pagelab_abi::lru::{LruList, Lruvec};

/// The lists that can be reclaimed from, in the order of their numbers.
pub(super) const EVICTABLE: [LruList; 4] = [
    LruList::InactiveAnon,
    LruList::ActiveAnon,
    LruList::InactiveFile,
    LruList::ActiveFile,
];

/// The largest swappiness, at which pages of files are only taken if nothing else is left.
pub(crate) const MAX_SWAPPINESS: u32 = 200;

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

impl<M: Machine + 'static> Mm<M> {
    /// Pages of each of the lists that a run looks at.
    pub(super) fn scan_count(&self, lruvec: &Lruvec, sc: &ScanControl) -> [u64; 4] {
        let swappiness = self.state.swappiness.load(Relaxed);
        let (anon, file) = if !self.may_swap() || swappiness == 0 && sc.priority > 0 {
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
            let size = lru_size(lruvec, list, sc.highest_zone) >> sc.priority;
            let share = if is_anon_list(list) { anon } else { file };
            (size * share).div_ceil(whole).min(size)
        })
    }

    /// Whether there are pages of zones up to one that could be reclaimed sooner or later (Linux:
    /// `zone_reclaimable_pages`).
    pub(crate) fn has_evictable(&self, highest_zone: usize) -> bool {
        let may_swap = self.may_swap();
        EVICTABLE.into_iter().any(|list| {
            let sizes = self.state.lruvecs.iter();
            (may_swap || !is_anon_list(list))
                && sizes
                    .map(|lruvec| lru_size(lruvec, list, highest_zone))
                    .sum::<u64>()
                    > 0
        })
    }

    /// Whether a page can go to swap at all.
    pub(super) fn may_swap(&self) -> bool {
        self.swap_slots().1 > 0
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
    use super::{inactive_is_low, shares};

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
