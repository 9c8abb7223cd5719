//! Which slots are free, and how many entries lead to the others.

use super::{Swap, SwapEntry, SwapError};
use crate::{Mm, machine::Machine, memmap};
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};
use pagelab_abi::swap::{SLOT_BAD, SLOT_MAX, SWAPFILE_CLUSTER, SwapSlot};

impl<M: Machine + 'static> Mm<M> {
    /// Swap, if it has begun.
    pub(super) fn swap(&self) -> Result<&Swap, SwapError> {
        self.swap.get().ok_or(SwapError::NoSwap)
    }

    /// Slots in all, without slot 0, and those of them that are free (Linux: `si_swapinfo`). Bad ones
    /// are in neither.
    pub fn swap_slots(&self) -> (u64, u64) {
        let Ok(swap) = self.swap() else { return (0, 0) };
        let total = swap.info.pages - swap.info.bad.load(Relaxed);
        (total, total - swap.info.inuse.load(Relaxed))
    }

    /// Pages in the swap cache.
    pub fn swap_cached(&self) -> u64 {
        self.swap().map_or(0, |swap| swap.info.cached.load(Relaxed))
    }

    /// One more page-table entry leads to the slot.
    ///
    /// # Errors
    /// [`SwapError::BadEntry`], [`SwapError::Overflow`]; nothing has changed.
    pub fn swap_duplicate(&self, entry: SwapEntry) -> Result<(), SwapError> {
        let swap = self.swap()?;
        let _held = swap.lock(|| self.machine.relax());
        let slot = swap.used(entry)?;
        let count = slot.map.load(Relaxed);
        if count == SLOT_MAX {
            return Err(SwapError::Overflow);
        }
        slot.map.store(count + 1, Relaxed);
        memmap::count(&swap.info.entries, 1);
        Ok(())
    }

    /// One page-table entry less leads to the slot. With the last one the slot is free, and its page
    /// leaves the swap cache.
    ///
    /// # Errors
    /// [`SwapError::BadEntry`]; nothing has changed.
    pub fn swap_free(&self, entry: SwapEntry) -> Result<(), SwapError> {
        let swap = self.swap()?;
        let cached = {
            let _held = swap.lock(|| self.machine.relax());
            let slot = swap.used(entry)?;
            let count = slot.map.load(Relaxed);
            if count == 0 {
                return Err(SwapError::BadEntry);
            }
            slot.map.store(count - 1, Relaxed);
            less(&swap.info.entries);
            if count > 1 {
                return Ok(());
            }
            let cached = self.uncache(swap, slot);
            self.uncharge_swap(slot.group.swap(0, Relaxed));
            swap.release(entry.slot());
            cached
        };
        if let Some(pfn) = cached {
            self.put_page(pfn);
        }
        Ok(())
    }

    /// Page-table entries that lead to a slot; 0 if it is none or free.
    pub fn swap_count(&self, entry: SwapEntry) -> u32 {
        let slot = self.swap().ok().and_then(|swap| swap.used(entry).ok());
        slot.map_or(0, |slot| slot.map.load(Relaxed))
    }
}

/// What is done under the lock.
impl Swap {
    /// A slot that is in use.
    pub(super) fn used(&self, entry: SwapEntry) -> Result<&'static SwapSlot, SwapError> {
        let slot = self.get(entry.slot()).ok_or(SwapError::BadEntry)?;
        let map = slot.map.load(Relaxed);
        let in_use = map & SLOT_BAD == 0 && (map > 0 || slot.cache.load(Relaxed) != 0);
        if in_use {
            Ok(slot)
        } else {
            Err(SwapError::BadEntry)
        }
    }

    /// Takes a free slot for a page that goes into the swap cache at once (Linux:
    /// `folio_alloc_swap`). Slots are taken one behind the other within a cluster, so that what goes
    /// out together lies together; then from the next cluster that is all free, and last from one
    /// that is not.
    pub(super) fn take(&self) -> Option<(u64, &'static SwapSlot)> {
        let info = self.info;
        let cluster = info.cluster.load(Relaxed);
        let start = info.next.load(Relaxed);
        let (cluster, slot) = match self.find(cluster, start) {
            Some(slot) => (cluster, slot),
            None => {
                let whole = |c: &u32| self.free_in(*c) == self.slots_of(*c);
                let some = |c: &u32| self.free_in(*c) > 0;
                let after = || self.clusters_from(cluster);
                let cluster = after().find(whole).or_else(|| after().find(some))?;
                (cluster, self.find(cluster, 0)?)
            }
        };
        let number = u64::from(cluster) * SWAPFILE_CLUSTER + u64::from(slot);
        let found = self.get(number)?;
        let free = &self.clusters[cluster as usize].free;
        free.store(free.load(Relaxed) - 1, Relaxed);
        memmap::count(&info.inuse, 1);
        info.cluster.store(cluster, Relaxed);
        info.next.store(slot + 1, Relaxed);
        Some((number, found))
    }

    /// Makes a slot free that no entry leads to and that has no page.
    pub(super) fn release(&self, number: u64) {
        let free = &self.clusters[(number / SWAPFILE_CLUSTER) as usize].free;
        free.store(free.load(Relaxed) + 1, Relaxed);
        less(&self.info.inuse);
    }

    /// Never uses a slot again that no entry leads to and that has no page.
    pub(super) fn make_bad(&self, slot: &SwapSlot) {
        slot.map.store(SLOT_BAD, Relaxed);
        less(&self.info.inuse);
        memmap::count(&self.info.bad, 1);
    }

    /// A free slot of a cluster, from `start` on.
    fn find(&self, cluster: u32, start: u32) -> Option<u32> {
        if self.free_in(cluster) == 0 {
            return None;
        }
        let first = u64::from(cluster) * SWAPFILE_CLUSTER;
        (start..self.slots_of(cluster)).find(|slot| {
            let slot = self.get(first + u64::from(*slot));
            slot.is_some_and(|slot| slot.map.load(Relaxed) | slot.cache.load(Relaxed) == 0)
        })
    }

    fn free_in(&self, cluster: u32) -> u32 {
        self.clusters[cluster as usize].free.load(Relaxed)
    }

    /// All clusters, first the one behind `cluster`, and `cluster` last.
    fn clusters_from(&self, cluster: u32) -> impl Iterator<Item = u32> {
        let all = self.clusters.len() as u32;
        (cluster + 1..all).chain(0..=cluster)
    }
}

/// Counts one less, under the lock.
pub(super) fn less(counter: &AtomicU64) {
    counter.store(counter.load(Relaxed) - 1, Relaxed);
}
