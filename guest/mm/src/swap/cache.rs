//! The swap cache: pages that are in memory and in a slot.

use super::{SwapEntry, SwapError};
use crate::{Mm, Pfn, machine::Machine};
use core::sync::atomic::Ordering::Relaxed;
use pagelab_abi::swap::SwapSlot;

/// What becomes of a slot whose page leaves the cache, if no entry leads to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// It is free.
    Free,
    /// It is bad.
    Bad,
}

impl<M: Machine + 'static> Mm<M> {
    /// The slot that a page is in, if it is in the swap cache. The caller has a reference to the page.
    pub fn swap_cache_entry(&self, pfn: Pfn) -> Option<SwapEntry> {
        let swap = self.swap().ok()?;
        // The slot has the last word: in other pages the field is somebody else's.
        let number = u64::from(self.page(pfn)?.private.load(Relaxed));
        let slot = swap.get(number)?;
        (slot.cache.load(Relaxed) == pfn.0 + 1).then_some(SwapEntry { slot: number })
    }

    /// The page of a slot, if it is in the swap cache, with a reference for the caller
    /// (Linux: `swap_cache_get_folio`).
    pub fn lookup_swap_cache(&self, entry: SwapEntry) -> Option<Pfn> {
        let swap = self.swap().ok()?;
        let _held = swap.lock(|| self.machine.relax());
        let frame = swap.used(entry).ok()?.cache.load(Relaxed).checked_sub(1)?;
        // Under the lock, so that it is still the cache's.
        self.get_page(Pfn(frame));
        Some(Pfn(frame))
    }

    /// Takes a page out of the swap cache, and frees the slot if no entry leads to it. The caller has a
    /// reference to the page. False if it was not in the cache.
    pub fn delete_from_swap_cache(&self, pfn: Pfn) -> bool {
        self.leave_swap_cache(pfn, Fate::Free)
    }

    pub(super) fn leave_swap_cache(&self, pfn: Pfn, fate: Fate) -> bool {
        let (Some(entry), Ok(swap)) = (self.swap_cache_entry(pfn), self.swap()) else {
            return false;
        };
        {
            let _held = swap.lock(|| self.machine.relax());
            let Some(slot) = swap.get(entry.slot()) else {
                return false;
            };
            swap.uncache(slot);
            match (slot.map.load(Relaxed), fate) {
                (0, Fate::Free) => swap.release(entry.slot()),
                (0, Fate::Bad) => swap.make_bad(slot),
                _ => {}
            }
        }
        self.put_page(pfn);
        true
    }

    /// Takes a slot for a page and puts the page into the swap cache (Linux: `add_to_swap`).
    pub(super) fn add_to_swap(&self, pfn: Pfn) -> Result<SwapEntry, SwapError> {
        let swap = self.swap()?;
        if self.swap_cache_entry(pfn).is_some() {
            return Err(SwapError::Cached);
        }
        self.get_page(pfn);
        let taken = {
            let _held = swap.lock(|| self.machine.relax());
            swap.take(pfn)
        };
        let Some(slot) = taken else {
            self.put_page(pfn);
            return Err(SwapError::Full);
        };
        self.map.page(pfn.0).private.store(slot as u32, Relaxed);
        Ok(SwapEntry { slot })
    }

    /// Puts a page that was read into the swap cache, or finds the one that somebody else put there
    /// meanwhile. The caller's reference becomes one to the page that is returned.
    pub(super) fn cache_read_page(&self, entry: SwapEntry, pfn: Pfn) -> Result<Pfn, SwapError> {
        let swap = self.swap()?;
        let winner = {
            let _held = swap.lock(|| self.machine.relax());
            let slot: Result<&SwapSlot, SwapError> = swap.used(entry);
            slot.map(|slot| match slot.cache.load(Relaxed).checked_sub(1) {
                Some(other) => Pfn(other),
                None => {
                    self.map
                        .page(pfn.0)
                        .private
                        .store(entry.slot() as u32, Relaxed);
                    slot.cache.store(pfn.0 + 1, Relaxed);
                    swap.info
                        .cached
                        .store(swap.info.cached.load(Relaxed) + 1, Relaxed);
                    pfn
                }
            })
            .inspect(|winner| self.get_page(*winner))
        };
        if winner != Ok(pfn) {
            self.put_page(pfn);
        }
        winner
    }
}
