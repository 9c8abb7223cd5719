//! What lies around a page in swap comes with it (Linux mm/swap_state.c: `swap_cluster_readahead`,
//! `__swapin_nr_pages`): pages that went out together will be wanted together.
//!
//! The window is an aligned piece of the device of up to 2^`page_cluster` slots. It is the larger, the more
//! pages of the last one were wanted, and a single page where none was and the next slot is no neighbour.
//! Pages ahead are taken from what is free above the watermarks: for them nothing is reclaimed, and
//! if they cannot be had or read nobody hears of it.

use super::{SwapEntry, SwapError, read::SwapReads};
use crate::{Mm, Pfn, machine::Machine};
use core::sync::atomic::Ordering::Relaxed;
use pagelab_abi::gfp::Gfp;

/// Where pages ahead come from.
const AHEAD: Gfp = Gfp::HIGHUSER_MOVABLE
    .difference(Gfp::RECLAIM)
    .union(Gfp::NORETRY)
    .union(Gfp::NOMEMALLOC)
    .union(Gfp::NOWARN);

/// Largest window as a power of two: what is read at once. (Linux takes any number up to 31; its own
/// `page_cluster` is 3 or less.)
const MAX_PAGE_CLUSTER: u32 = 5;

/// Pages of the next window (Linux: `__swapin_nr_pages`). `hits` pages of the `last` one, around slot
/// `prev`, were wanted.
fn window(slot: u64, prev: u64, hits: u64, last: u64, most: u64) -> u64 {
    let wanted = match hits {
        0 if slot.abs_diff(prev) == 1 => 2,
        0 => 1,
        hits => (hits + 2).next_power_of_two().max(4),
    };
    // It does not shrink faster than by half.
    wanted.min(most).max((last / 2).min(most))
}

impl<M: Machine + 'static> Mm<M> {
    /// Slots that may be read at once, as a power of two (Linux: `vm.page-cluster`).
    pub fn page_cluster(&self) -> u32 {
        self.state.page_cluster.load(Relaxed)
    }

    /// Sets it; 0 for no readahead. More than 5 counts as that.
    pub fn set_page_cluster(&self, page_cluster: u32) {
        self.state.page_cluster.store(page_cluster, Relaxed);
    }

    /// As [`Mm::swap_in`], for a program that needs the page: what is around it comes into the swap cache
    /// as well.
    ///
    /// # Errors
    /// Those of [`Mm::swap_in`], of the page itself.
    pub(crate) fn swap_in_around(&self, entry: SwapEntry) -> Result<Pfn, SwapError> {
        if let Some(pfn) = self.lookup_swap_cache(entry) {
            return Ok(pfn);
        }
        let pfn = self.alloc_for_slot(entry, Gfp::HIGHUSER_MOVABLE)?;
        let size = self.next_window(entry.slot());
        let first = entry.slot() & !(size - 1);
        let mut ahead = SwapReads::new();
        for slot in first..first + size {
            let other = SwapEntry::of_slot(slot);
            if other == entry || self.swap_count(other) == 0 || self.is_in_swap_cache(other) {
                continue;
            }
            if ahead.is_full() {
                break;
            }
            match self.alloc_for_slot(other, AHEAD) {
                Ok(pfn) => ahead.push(other, pfn),
                Err(_) => break,
            }
        }
        self.swap_read(entry, pfn, ahead)
    }

    /// A page that was read ahead is wanted.
    pub(crate) fn count_swap_hit(&self) {
        if let Ok(swap) = self.swap() {
            swap.info.ra_hits.fetch_add(1, Relaxed);
        }
    }

    fn next_window(&self, slot: u64) -> u64 {
        let most = 1 << self.page_cluster().min(MAX_PAGE_CLUSTER);
        let Ok(swap) = self.swap() else { return 1 };
        let info = swap.info;
        let hits = info.ra_hits.swap(0, Relaxed);
        let (prev, last) = (info.ra_prev.load(Relaxed), info.ra_window.load(Relaxed));
        let size = window(slot, prev, hits.into(), last.into(), most);
        if hits == 0 {
            info.ra_prev.store(slot, Relaxed);
        }
        info.ra_window.store(size as u32, Relaxed);
        size
    }
}

#[cfg(test)]
mod tests {
    use super::window;

    #[test]
    fn the_window_grows_with_success_and_shrinks_slowly() {
        // Nothing was wanted: one page, or two if it goes on next to the last one.
        assert_eq!(window(100, 50, 0, 0, 8), 1);
        assert_eq!(window(51, 50, 0, 0, 8), 2);
        assert_eq!(window(49, 50, 0, 0, 8), 2);
        for (hits, expected) in [(1, 4), (2, 4), (3, 8), (4, 8), (50, 8)] {
            assert_eq!(window(100, 50, hits, 0, 8), expected, "{hits}");
        }
        assert_eq!(window(100, 50, 0, 8, 8), 4);
        assert_eq!(window(100, 50, 0, 4, 8), 2);
        // Switched off.
        assert_eq!(window(51, 50, 9, 8, 1), 1);
    }
}
