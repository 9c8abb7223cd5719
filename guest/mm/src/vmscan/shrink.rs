//! All lists of a memory group (Linux: `shrink_node`, `shrink_lruvec`).

use super::{
    ScanControl,
    balance::{EVICTABLE, inactive_is_low},
};
use crate::{
    Mm,
    lru::{LruScan, lru_size},
    machine::Machine,
    memcg::Protection,
    zone::watermark::SWAP_CLUSTER_MAX,
};
use pagelab_abi::lru::{LruList, MAX_MEMORY_GROUPS};

/// Pages that are looked at at once.
const BATCH: u64 = SWAP_CLUSTER_MAX as u64;

impl<M: Machine + 'static> Mm<M> {
    /// Reclaims from the lists of all memory groups that are of use (Linux: `shrink_node_memcgs`).
    pub(crate) fn shrink_lruvecs(&self, sc: &mut ScanControl) {
        for group in 0..MAX_MEMORY_GROUPS {
            if !self.is_in_memory_group(group as u32, sc.target) {
                continue;
            }
            let protection = self.protection(group, sc.target);
            if protection.is_below_min() {
                continue;
            }
            if protection.is_below_low() {
                if !sc.even_low {
                    sc.low_skipped = true;
                    continue;
                }
                self.count_group_low(group);
            }
            self.shrink_lruvec(group, protection, sc);
        }
    }

    /// Reclaims from the lists of one memory group.
    fn shrink_lruvec(&self, group: usize, protection: Protection, sc: &mut ScanControl) {
        let mut left = self.scan_count(group, protection, sc);
        let enough = sc.reclaimed + sc.nr_to_reclaim;
        while left.iter().sum::<u64>() > 0 && sc.reclaimed < enough {
            for (list, left) in EVICTABLE.into_iter().zip(&mut left) {
                let count = (*left).min(BATCH);
                *left -= count;
                if count > 0 {
                    let scan = self.scan_of(group, list, count, sc);
                    self.shrink_list(&scan, sc);
                }
            }
        }
        // Even if nothing was taken of them, active pages must grow old.
        if self.may_swap(group as u32) && self.inactive_is_low(group, LruList::InactiveAnon, sc) {
            let scan = self.scan_of(group, LruList::ActiveAnon, BATCH, sc);
            self.shrink_active_list(&scan);
        }
    }

    fn scan_of(&self, group: usize, list: LruList, count: u64, sc: &ScanControl) -> LruScan {
        LruScan {
            group,
            list,
            count,
            highest_zone: sc.highest_zone,
        }
    }

    fn shrink_list(&self, scan: &LruScan, sc: &mut ScanControl) {
        let inactive = match scan.list {
            LruList::ActiveAnon => LruList::InactiveAnon,
            LruList::ActiveFile => LruList::InactiveFile,
            _ => return self.shrink_inactive_list(scan, sc),
        };
        if self.inactive_is_low(scan.group, inactive, sc) {
            self.shrink_active_list(scan);
        }
    }

    fn inactive_is_low(&self, group: usize, inactive: LruList, sc: &ScanControl) -> bool {
        let lruvec = &self.state.lruvecs[group % MAX_MEMORY_GROUPS];
        let active = if inactive == LruList::InactiveAnon {
            LruList::ActiveAnon
        } else {
            LruList::ActiveFile
        };
        let size = |list| lru_size(lruvec, list, sc.highest_zone);
        inactive_is_low(size(inactive), size(active))
    }
}
