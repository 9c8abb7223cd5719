//! How many pages are in the lists.

use crate::{Mm, machine::Machine};
use core::sync::atomic::Ordering::Relaxed;
use pagelab_abi::lru::{LruList, Lruvec};

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
