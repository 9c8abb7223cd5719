//! The swap cache: pages that are in memory and in a slot.

use super::{Swap, SwapEntry, SwapError, slots::less};
use crate::{Mm, Pfn, machine::Machine, memmap};
use core::sync::atomic::Ordering::Relaxed;
use pagelab_abi::{
    page::{Page, PageFlags, memory_group_of},
    swap::SwapSlot,
};

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
        let page = self.page(pfn)?;
        // In other pages the field is somebody else's.
        is_cached(page).then(|| SwapEntry {
            slot: page.private.load(Relaxed).into(),
        })
    }

    /// What [`Page::private`] of a page says when the page is not in the swap cache (Linux:
    /// `folio->index`). The caller has a reference to the page.
    pub fn page_index(&self, pfn: Pfn) -> Option<u32> {
        let page = self.page(pfn)?;
        match self.swap_cache_entry(pfn) {
            None => Some(page.private.load(Relaxed)),
            Some(entry) => {
                let slot = self.swap().ok()?.get(entry.slot())?;
                Some(slot.index.load(Relaxed))
            }
        }
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

    /// Whether the page of a slot is in the swap cache.
    pub(crate) fn is_in_swap_cache(&self, entry: SwapEntry) -> bool {
        let slot = self.swap().ok().and_then(|swap| swap.used(entry).ok());
        slot.is_some_and(|slot| slot.cache.load(Relaxed) != 0)
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
            self.uncache(swap, slot);
            if slot.map.load(Relaxed) == 0 {
                self.uncharge_swap(slot.group.swap(0, Relaxed));
            }
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
        let group = memory_group_of(self.map.page(pfn.0).flags.load(Relaxed));
        let _held = swap.lock(|| self.machine.relax());
        if !self.charge_swap(group) {
            return Err(SwapError::Full);
        }
        let Some((number, slot)) = swap.take() else {
            self.uncharge_swap(group);
            return Err(SwapError::Full);
        };
        slot.group.store(group, Relaxed);
        let index = &self.map.page(pfn.0).private;
        slot.index.store(index.load(Relaxed), Relaxed);
        self.enter(swap, number, slot, pfn);
        Ok(SwapEntry { slot: number })
    }

    /// Puts a page into the swap cache, under the lock.
    fn enter(&self, swap: &Swap, number: u64, slot: &SwapSlot, pfn: Pfn) {
        self.get_page(pfn);
        self.set_page_flags(pfn, PageFlags::SWAPCACHE);
        self.map.page(pfn.0).private.store(number as u32, Relaxed);
        slot.cache.store(pfn.0 + 1, Relaxed);
        memmap::count(&swap.info.cached, 1);
    }

    /// Takes a slot's page out of the swap cache, under the lock. The caller gives its reference
    /// back.
    pub(super) fn uncache(&self, swap: &Swap, slot: &SwapSlot) -> Option<Pfn> {
        let frame = slot.cache.swap(0, Relaxed).checked_sub(1)?;
        less(&swap.info.cached);
        self.clear_page_flags(Pfn(frame), PageFlags::SWAPCACHE);
        let index = slot.index.load(Relaxed);
        self.map.page(frame).private.store(index, Relaxed);
        Some(Pfn(frame))
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
                    self.enter(swap, entry.slot(), slot, pfn);
                    pfn
                }
            })
            .inspect(|winner| {
                if *winner != pfn {
                    self.get_page(*winner);
                }
            })
        };
        if winner != Ok(pfn) {
            self.put_page(pfn);
        }
        winner
    }
}

/// Whether a page is in the swap cache.
fn is_cached(page: &Page) -> bool {
    page.flags.load(Relaxed) & PageFlags::SWAPCACHE.bits() != 0
}
