//! Large entries: one entry of level 1 that maps 2 MiB (Linux mm/huge_memory.c).
//!
//! Behind a large entry are 512 single pages that lie next to each other, each with its own references
//! and its own entry in the count of its descriptor. So what a large entry maps can at any time be
//! mapped by a node instead, and nobody but the tables can tell. Whoever asks for the last-level entry of an
//! address gets it: the large entry is split on the way.
//!
//! That never fails: the node for it was set aside when the large entry was made (Linux:
//! `pgtable_trans_huge_deposit`). Nodes set aside are linked by the `next` fields of their descriptors,
//! from the `private` field of that of the node with the large entries; there are as many as these.
//! They count as nodes.

use super::{
    NODE_ENTRIES, PMD_SHIFT, PageTables, Pte,
    bad::is_bad,
    index,
    walk::{TABLE, next_boundary},
};
use crate::{AllocError, Order, Pfn, machine::Machine};
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};
use pagelab_abi::{
    PAGE_SIZE,
    page::NONE,
    pte::{PTE_ADDRESS, PTE_LARGE, PTE_PRESENT},
    vmstat::{NodeStat, VmEvent},
};

/// Bytes that a large entry maps.
pub(crate) const HUGE_SIZE: u64 = 1 << PMD_SHIFT;

/// A place for a large entry, and the node for its split.
#[must_use = "the node leaks unless the place is filled or given back"]
pub(crate) struct HugeRoom<'a> {
    entry: &'a AtomicU64,
    pmd: u64,
    deposit: u64,
}

/// What a walk finds.
pub(crate) enum Part<'a> {
    /// Entries of a last-level node.
    Node(&'a [AtomicU64]),
    /// A large entry, all of whose range is asked for.
    Huge(&'a AtomicU64),
}

impl<'a, M: Machine + 'static> PageTables<'a, M> {
    /// The entry that maps an address, large or not, and what it says of the address. Nothing is
    /// split.
    #[inline]
    pub(crate) fn lookup(&self, address: u64) -> Option<(&'a AtomicU64, Pte)> {
        let mut node = self.pgd;
        for level in [3, 2, 1] {
            let entry = self.entry(node, index(address, level));
            let value = entry.load(Relaxed);
            if value & PTE_PRESENT == 0 {
                return None;
            }
            if level == 1 && value & PTE_LARGE != 0 {
                if is_bad(value) {
                    self.heal(entry, address);
                    return self.lookup(address);
                }
                let within = address & (HUGE_SIZE - PAGE_SIZE);
                return Some((entry, Pte((value & !PTE_LARGE) + within)));
            }
            node = value & PTE_ADDRESS;
        }
        let entry = self.entry(node, index(address, 0));
        Some((entry, Pte(entry.load(Relaxed))))
    }

    /// The large entry that maps an address, if one does.
    pub(crate) fn huge(&self, address: u64) -> Option<&'a AtomicU64> {
        let (entry, _) = self.lookup(address)?;
        (entry.load(Relaxed) & PTE_LARGE != 0).then_some(entry)
    }

    /// A place for the large entry of an address. None if there is a node or a large entry.
    ///
    /// # Errors
    /// [`AllocError`]; nodes above the place may have been made, for whoever needs them next.
    pub(crate) fn huge_room(&self, address: u64) -> Result<Option<HugeRoom<'a>>, AllocError> {
        let pmd = self.grow(address, 1)?;
        let entry = self.entry(pmd, index(address, 1));
        if entry.load(Relaxed) != 0 {
            return Ok(None);
        }
        // Entries that are empty stay so while memory is reclaimed.
        let deposit = self.alloc_node()?;
        Ok(Some(HugeRoom {
            entry,
            pmd,
            deposit,
        }))
    }

    /// Makes a large entry of the bits of a small one for its first page.
    pub(crate) fn map_huge(&self, room: HugeRoom<'_>, first: Pte) {
        let deposit = Pfn::from_phys(room.deposit);
        let top = &self.mm.map.page(Pfn::from_phys(room.pmd).0).private;
        let next = &self.mm.map.page(deposit.0).next;
        next.store(top.swap(deposit.0, Relaxed), Relaxed);
        room.entry.store(first.0 | PTE_LARGE, Relaxed);
        self.mm.mod_node_stat(NodeStat::AnonThps, 1);
    }

    /// The node that was set aside for one of the large entries of a node.
    fn withdraw(&self, pmd: u64) -> u64 {
        let top = &self.mm.map.page(Pfn::from_phys(pmd).0).private;
        let pfn = top.load(Relaxed);
        assert!(
            pfn != NONE,
            "page table {pmd:#x}: no node for a large entry"
        );
        top.store(self.mm.map.page(pfn).next.load(Relaxed), Relaxed);
        Pfn(pfn).phys()
    }

    /// The node for an address whose entry in `pmd` is large, or seems to be.
    #[cold]
    #[inline(never)]
    pub(super) fn split_large(&self, pmd: u64, address: u64) -> u64 {
        let entry = self.entry(pmd, index(address, 1));
        let mut value = entry.load(Relaxed);
        if is_bad(value) {
            value = self.heal(entry, address);
        }
        if value & PTE_LARGE == 0 {
            return value & PTE_ADDRESS;
        }
        self.split_huge(pmd, address)
    }

    /// Maps with a node what a large entry of `pmd` maps, and returns the node (Linux:
    /// `__split_huge_pmd`).
    fn split_huge(&self, pmd: u64, address: u64) -> u64 {
        let entry = self.entry(pmd, index(address, 1));
        let large = Pte(entry.load(Relaxed));
        let node = self.withdraw(pmd);
        let small = self.entries(node, 0, NODE_ENTRIES);
        for (small, pte) in small.iter().zip(large.small()) {
            small.store(pte.0, Relaxed);
        }
        entry.store(node | TABLE, Relaxed);
        // The CPU may have cached the large translation, which this takes away as a whole.
        self.mm.machine.flush_tlb_page(address);
        self.mm.mod_node_stat(NodeStat::AnonThps, -1);
        self.mm.count_event(VmEvent::ThpSplitPmd, 1);
        node
    }

    /// Splits the large entry of an address, and returns the entries in its place.
    pub(crate) fn split(&self, address: u64) -> &'a [AtomicU64] {
        let base = address & !(HUGE_SIZE - 1);
        let mut split: &[AtomicU64] = &[];
        self.for_each_node(base, base + HUGE_SIZE, |_, entries| split = entries);
        split
    }

    /// As [`Self::for_each_node`], but a large entry whose whole range lies in `start..end` is not
    /// split.
    pub(crate) fn for_each_part(&self, start: u64, end: u64, mut each: impl FnMut(u64, Part<'a>)) {
        let mut address = start;
        while address < end {
            let stop = next_boundary(address, PMD_SHIFT);
            let whole = address.is_multiple_of(HUGE_SIZE) && stop <= end;
            match self.huge(address).filter(|_| whole) {
                Some(huge) => each(address, Part::Huge(huge)),
                None => self.for_each_node(address, stop.min(end), |address, entries| {
                    each(address, Part::Node(entries));
                }),
            }
            address = self.next_present(stop, end);
        }
    }
}

impl<M: Machine + 'static> PageTables<'_, M> {
    /// Gives a place back that was not filled.
    pub(crate) fn give_back(&self, room: HugeRoom<'_>) {
        self.count_nodes(-1);
        self.mm
            .free_pages(Pfn::from_phys(room.deposit), Order::ZERO);
    }
}
