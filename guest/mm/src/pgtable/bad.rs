//! Entries that nobody wrote so: memory does not always keep what it was given (Linux mm/pgtable-generic.c:
//! `pmd_clear_bad`).
//!
//! Linux empties such an entry, and what is behind it is lost. Of an entry with one wrong bit can be told what
//! it was, so here it becomes that again, and all that it leads to goes back in its time. The process is killed
//! in any case by the fault that the CPU raises for a reserved bit.

use super::{HUGE_SIZE, PageTables};
use crate::{Pfn, machine::Machine};
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};
use pagelab_abi::{
    page::NONE,
    pte::{PTE_ADDRESS, PTE_LARGE},
};

/// Whether an entry of level 1 that says that it is large cannot be: its frame is not a multiple of 2 MiB.
#[inline]
pub(super) const fn is_bad(entry: u64) -> bool {
    entry & PTE_ADDRESS & (HUGE_SIZE - 1) != 0
}

/// What such an entry was: with `is_node` one that leads to a node, otherwise a large one.
const fn healed(entry: u64, is_node: bool) -> u64 {
    if is_node {
        entry & !PTE_LARGE
    } else {
        entry & !(PTE_ADDRESS & (HUGE_SIZE - 1))
    }
}

impl<M: Machine + 'static> PageTables<'_, M> {
    /// Makes a bad entry of level 1 what it was, and returns it.
    #[cold]
    #[inline(never)]
    pub(super) fn heal(&self, entry: &AtomicU64, address: u64) -> u64 {
        let bad = entry.load(Relaxed);
        let node = Pfn::from_phys(bad & PTE_ADDRESS);
        // The descriptor of a page that a program has leads to its file or group.
        let is_node = self.mm.map.get(node.0).is_some_and(|page| {
            page.mapping.load(Relaxed) == 0 && page.private.load(Relaxed) == NONE
        });
        let good = healed(bad, is_node);
        entry.store(good, Relaxed);
        self.mm.machine.flush_tlb_page(address);
        self.mm.bad_entries.fetch_add(1, Relaxed);
        good
    }
}

#[cfg(test)]
impl<'a, M: Machine + 'static> PageTables<'a, M> {
    /// The entry of a level for an address whose upper entries all lead to nodes.
    pub(crate) fn entry_at(&self, address: u64, level: u32) -> &'a AtomicU64 {
        let mut node = self.pgd;
        for above in (level + 1..=super::TOP_LEVEL).rev() {
            let entry = self.entry(node, super::index(address, above));
            node = entry.load(Relaxed) & PTE_ADDRESS;
        }
        self.entry(node, super::index(address, level))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_single_bit_is_told_and_healed() {
        let (node, large) = (0x1234_5067, 0x1240_00e7);
        assert!(is_bad(node | PTE_LARGE));
        assert_eq!(healed(node | PTE_LARGE, true), node);
        for bit in 12..21 {
            assert!(is_bad(large | 1 << bit), "{bit}");
            assert_eq!(healed(large | 1 << bit, false), large, "{bit}");
        }
        assert!(!is_bad(large));
    }
}
