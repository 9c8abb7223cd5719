//! Pages come back from swap (Linux mm/memory.c: `do_swap_page`, mm/madvise.c:
//! `force_swapin_readahead`).

use super::{Access, FaultSignal, UserMm};
use crate::{
    Pfn,
    machine::Machine,
    pgtable::Pte,
    swap::{SwapEntry, SwapError},
    vma::Area,
};
use core::{ops::Range, sync::atomic::Ordering::Relaxed};
use pagelab_abi::{PAGE_SIZE, mm_struct::RssStat, vma::VmFlags};

impl<M: Machine + 'static> UserMm<M> {
    /// An access to a page whose entry leads to swap. A store to a page that nobody else has or
    /// could get from the slot goes to that very page; otherwise it gets a copy.
    #[inline(never)]
    pub(super) fn swap_fault(
        &mut self,
        addr: u64,
        area: &Area,
        pte: Pte,
        access: Access,
    ) -> Result<(), FaultSignal> {
        let page = addr & !(PAGE_SIZE - 1);
        let slot = pte.swap_entry().ok_or_else(|| self.no_slot(pte, addr))?;
        let pfn = self
            .swapped_page(slot)
            .map_err(|error| self.swap_signal(error, addr))?;
        // Reclaim and the device have had their time.
        let entry = self.tables().walk(page);
        let Some(entry) = entry.filter(|entry| entry.load(Relaxed) == pte.0) else {
            self.mm.put_page(pfn);
            return Ok(());
        };
        // The reference is the entry's from here on.
        self.mm.page_add_anon_rmap(pfn, self.anon_group());
        if area.flags.contains(VmFlags::LOCKED) {
            self.mm.lru_cull(pfn);
        }
        let new = Pte::new(pfn, area.flags).read_only();
        entry.store(new.0, Relaxed);
        self.add_rss(RssStat::Anon, 1);
        self.add_rss(RssStat::Swap, -self.free_swap_entry(pte));
        if access == Access::Write {
            self.write_protect_fault(addr, area, new)
        } else {
            Ok(())
        }
    }

    /// The page of a slot, with a reference. That it was read is counted.
    fn swapped_page(&self, slot: SwapEntry) -> Result<Pfn, SwapError> {
        if let Some(pfn) = self.mm.lookup_swap_cache(slot) {
            if self.mm.map.page(pfn.0).mapcount.load(Relaxed) == 0 {
                // It was read ahead.
                self.mm.count_swap_hit();
            }
            return Ok(pfn);
        }
        let pfn = self.mm.swap_in_around(slot)?;
        self.count_major_fault();
        Ok(pfn)
    }

    /// What the program gets for a page that does not come back.
    #[cold]
    fn swap_signal(&self, error: SwapError, addr: u64) -> FaultSignal {
        match error {
            SwapError::NoMemory(_) => FaultSignal::Oom,
            SwapError::Io => {
                self.mm.machine.swap_error_reported();
                FaultSignal::BusAdrErr(addr)
            }
            // The page table is corrupt, which no program can bring about.
            _ => FaultSignal::BusAdrErr(addr),
        }
    }

    /// What the program gets for an entry that leads to no slot.
    #[cold]
    fn no_slot(&self, pte: Pte, addr: u64) -> FaultSignal {
        if pte.is_hwpoison() {
            self.mm.count_hwpoison_reported();
            return FaultSignal::HwPoison(addr);
        }
        // The page table is corrupt, which no program can bring about.
        FaultSignal::BusAdrErr(addr)
    }

    /// An entry that led to swap no longer does. Says how many pages in swap there are less by that: none
    /// if it named a broken frame.
    pub(super) fn free_swap_entry(&self, pte: Pte) -> i64 {
        if let Some(slot) = pte.swap_entry() {
            // One that was corrupted leads to nothing that could be freed.
            let _ = self.mm.swap_free(slot);
        }
        i64::from(!pte.is_hwpoison())
    }

    /// Reads in what of a range is in swap, into the swap cache, where accesses find it. What does
    /// not succeed is tried again by a fault.
    pub(super) fn swap_in_ahead(&self, part: Range<u64>) {
        let mut no_memory = false;
        self.tables()
            .for_each_node(part.start, part.end, |_, entries| {
                for entry in entries {
                    let Some(slot) = Pte(entry.load(Relaxed)).swap_entry() else {
                        continue;
                    };
                    if no_memory {
                        return;
                    }
                    match self.mm.swap_in(slot) {
                        // The cache keeps it.
                        Ok(pfn) => drop(self.mm.put_page(pfn)),
                        Err(SwapError::NoMemory(_)) => no_memory = true,
                        Err(_) => {}
                    }
                }
            });
    }

    /// Whether the page of an entry that leads to swap is in the swap cache.
    pub(super) fn is_swap_cached(&self, pte: Pte) -> bool {
        pte.swap_entry()
            .is_some_and(|slot| self.mm.is_in_swap_cache(slot))
    }
}
