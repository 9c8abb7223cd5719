//! From an address to its entry.

use super::{PMD_SHIFT, PageTables, Pte, TOP_LEVEL, index, shift};
use crate::{AllocError, Order, Pfn, machine::Machine};
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};
use pagelab_abi::PAGE_SHIFT;
use pagelab_abi::pte::{PTE_ACCESSED, PTE_ADDRESS, PTE_LARGE, PTE_PRESENT, PTE_USER, PTE_WRITE};

/// An entry that leads to another node. The last level decides about rights.
pub(super) const TABLE: u64 = PTE_PRESENT | PTE_WRITE | PTE_USER | PTE_ACCESSED;

impl<'a, M: Machine + 'static> PageTables<'a, M> {
    /// The last-level node for an address, or the level whose entry is missing. A large entry is
    /// split.
    #[inline(always)]
    fn last_node(&self, address: u64) -> Result<u64, u32> {
        let mut node = self.pgd;
        for level in [3, 2, 1] {
            let entry = self.entry(node, index(address, level)).load(Relaxed);
            if entry & PTE_PRESENT == 0 {
                return Err(level);
            }
            if level == 1 && entry & PTE_LARGE != 0 {
                return Ok(self.split_large(node, address));
            }
            node = entry & PTE_ADDRESS;
        }
        Ok(node)
    }

    /// Whether there is a last-level node for an address, or a large entry.
    pub(crate) fn has_node(&self, address: u64) -> bool {
        self.lookup(address).is_some()
    }

    /// Where `for_each_node` would go on from an address: the next one, up to `end`, for which there is
    /// a node or a large entry.
    pub(super) fn next_present(&self, mut address: u64, end: u64) -> u64 {
        while address < end {
            let mut node = self.pgd;
            let missing = [3, 2, 1].into_iter().find(|&level| {
                let entry = self.entry(node, index(address, level)).load(Relaxed);
                node = entry & PTE_ADDRESS;
                entry & PTE_PRESENT == 0
            });
            match missing {
                Some(level) => address = next_boundary(address, shift(level)),
                None => return address,
            }
        }
        end
    }

    /// The entry of an address, if there is a node for it.
    #[inline(always)]
    pub(crate) fn walk(&self, address: u64) -> Option<&'a AtomicU64> {
        let node = self.last_node(address).ok()?;
        Some(self.entry(node, index(address, 0)))
    }

    /// What the entry of an address says.
    #[inline(always)]
    pub(crate) fn get(&self, address: u64) -> Pte {
        self.lookup(address).map_or(Pte(0), |(_, pte)| pte)
    }

    /// The entry of an address. Nodes that are missing are made.
    ///
    /// # Errors
    /// [`AllocError`]; then there are no more nodes than before.
    #[inline]
    pub(crate) fn walk_alloc(&self, address: u64) -> Result<&'a AtomicU64, AllocError> {
        let node = match self.last_node(address) {
            Ok(node) => node,
            Err(_) => self.grow(address, 0)?,
        };
        Ok(self.entry(node, index(address, 0)))
    }

    /// As [`Self::walk_alloc`], for so many entries of the same node.
    #[inline]
    pub(crate) fn walk_alloc_many(
        &self,
        address: u64,
        count: usize,
    ) -> Result<&'a [AtomicU64], AllocError> {
        let node = match self.last_node(address) {
            Ok(node) => node,
            Err(_) => self.grow(address, 0)?,
        };
        Ok(self.entries(node, index(address, 0), count))
    }

    /// The node of level `last` for an address, made with those above it as far as they are missing.
    #[inline(never)]
    pub(super) fn grow(&self, address: u64, last: u32) -> Result<u64, AllocError> {
        let mut node = self.pgd;
        let mut first_new = None;
        for level in (last + 1..=TOP_LEVEL).rev() {
            let entry = self.entry(node, index(address, level));
            let value = entry.load(Relaxed);
            node = if value & PTE_PRESENT != 0 {
                value & PTE_ADDRESS
            } else {
                match self.alloc_node() {
                    Ok(new) => {
                        entry.store(new | TABLE, Relaxed);
                        first_new.get_or_insert((entry, level));
                        new
                    }
                    Err(error) => {
                        if let Some((entry, level)) = first_new {
                            self.free_chain(address, entry, level);
                        }
                        return Err(error);
                    }
                }
            };
        }
        Ok(node)
    }

    /// Undoes the nodes for an address from an entry down, none of which leads elsewhere.
    #[cold]
    fn free_chain(&self, address: u64, entry: &AtomicU64, level: u32) {
        let mut value = entry.swap(0, Relaxed);
        // Any such flush makes the CPU forget what it has cached of upper levels.
        self.mm.machine.flush_tlb_page(address);
        for below in (0..level).rev() {
            if value & PTE_PRESENT == 0 {
                break;
            }
            let node = value & PTE_ADDRESS;
            value = if below > 0 {
                self.entry(node, index(address, below)).load(Relaxed)
            } else {
                0
            };
            self.count_nodes(-1);
            self.mm.free_pages(Pfn::from_phys(node), Order::ZERO);
        }
    }

    /// Calls `each` with every part of `start..end` for which there is a last-level node: the
    /// part's start, and its entries.
    #[inline]
    pub(crate) fn for_each_node(
        &self,
        start: u64,
        end: u64,
        mut each: impl FnMut(u64, &'a [AtomicU64]),
    ) {
        let mut address = start;
        while address < end {
            match self.last_node(address) {
                Ok(node) => {
                    let stop = next_boundary(address, PMD_SHIFT).min(end);
                    let count = ((stop - address) >> PAGE_SHIFT) as usize;
                    each(address, self.entries(node, index(address, 0), count));
                    address = stop;
                }
                Err(level) => address = next_boundary(address, shift(level)),
            }
        }
    }
}

/// The next multiple of a power of two.
#[inline(always)]
pub(super) const fn next_boundary(address: u64, shift: u32) -> u64 {
    ((address >> shift) + 1) << shift
}
