//! Pages go out and come back.

use super::{SwapEntry, SwapError, cache::Fate};
use crate::{
    Mm, Order, Pfn,
    machine::Machine,
    mutation::{Mutation, is_planted},
};
use core::sync::atomic::Ordering::Relaxed;
use pagelab_abi::{event::EventKind, gfp::Gfp, page::MAPPING_ANON, vmstat::VmEvent};

/// Slots that a page is written to at most: a device may fail here and there, but if it fails this
/// often it is no use to fill it with bad slots.
const WRITE_TRIES: u32 = 3;

/// Times that a page is read at most.
const READ_TRIES: u32 = 2;

impl<M: Machine + 'static> Mm<M> {
    /// Writes a page to a slot and leaves it in the swap cache; see the module's head for what the
    /// caller does then. The caller has a reference to the page, and no entry allows to write to it. A slot that
    /// the device fails to write is bad from then on.
    ///
    /// # Errors
    /// [`SwapError`]: the page is as it was, and not in the swap cache.
    pub fn swap_out(&self, pfn: Pfn) -> Result<SwapEntry, SwapError> {
        for _ in 0..WRITE_TRIES {
            let entry = self.add_to_swap(pfn)?;
            if self.machine.swap_write(entry.slot(), pfn.0).is_ok() {
                self.count_event(VmEvent::Pswpout, 1);
                self.machine
                    .event(EventKind::SwapOut, entry.slot(), pfn.0.into());
                return Ok(entry);
            }
            self.leave_swap_cache(pfn, Fate::Bad);
            if is_planted(Mutation::SwapWriteLeak) {
                self.get_page(pfn);
            }
        }
        Err(SwapError::Io)
    }

    /// The page of a slot, from the swap cache or else from the device, with a reference for the
    /// caller; it is then in the swap cache. That the entry leads to the slot does not change.
    ///
    /// # Errors
    /// [`SwapError`]; the slot keeps what it has. After [`SwapError::Io`] it can be tried again.
    pub fn swap_in(&self, entry: SwapEntry) -> Result<Pfn, SwapError> {
        self.swap_in_with(entry, Gfp::HIGHUSER_MOVABLE, READ_TRIES)
    }

    /// The same, with memory from `gfp`, and read so many times at most.
    pub(super) fn swap_in_with(
        &self,
        entry: SwapEntry,
        gfp: Gfp,
        tries: u32,
    ) -> Result<Pfn, SwapError> {
        if let Some(pfn) = self.lookup_swap_cache(entry) {
            return Ok(pfn);
        }
        // To whom it belonged, if there still is such a group (Linux: `mem_cgroup_swapin_charge_folio`).
        let owner = self.swap()?.used(entry)?.group.load(Relaxed);
        let allocated = if self.is_online(owner) {
            self.alloc_charged_to(owner, gfp)
        } else {
            self.alloc_charged(gfp)
        };
        let pfn = allocated.map_err(SwapError::NoMemory)?;
        let read = || self.machine.swap_read(entry.slot(), pfn.0);
        if (0..tries).all(|_| read().is_err()) {
            self.free_pages(pfn, Order::ZERO);
            if is_planted(Mutation::SwapSlotReuse) {
                let _ = self.swap_free(entry);
            }
            return Err(SwapError::Io);
        }
        self.count_event(VmEvent::Pswpin, 1);
        let page = self.map.page(pfn.0);
        page.mapping.store(MAPPING_ANON, Relaxed);
        page.mapcount.store(0, Relaxed);
        let cached = self.cache_read_page(entry, pfn)?;
        if cached == pfn {
            self.lru_add(pfn, false);
        }
        self.machine
            .event(EventKind::SwapIn, entry.slot(), cached.0.into());
        Ok(cached)
    }
}
