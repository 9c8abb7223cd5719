//! Nodes that no area needs any more (Linux mm/memory.c: `free_pgd_range`).

use super::{PageTables, TOP_LEVEL, index, shift};
use crate::{Pfn, machine::Machine, tlb::TlbGather};
use core::{ops::Range, sync::atomic::Ordering::Relaxed};
use pagelab_abi::pte::{PTE_ADDRESS, PTE_LARGE, PTE_PRESENT};

impl<M: Machine + 'static> PageTables<'_, M> {
    /// Takes the nodes for `range`, whose entries are empty, out of the tables, as far as their
    /// whole range lies in `room`: from the end of the area before to the start of the area after.
    pub(crate) fn free_nodes(
        &self,
        range: Range<u64>,
        room: &Range<u64>,
        gather: &mut TlbGather<'_, M>,
    ) {
        self.free_below(self.pgd, TOP_LEVEL, range, room, gather);
    }

    fn free_below(
        &self,
        node: u64,
        level: u32,
        range: Range<u64>,
        room: &Range<u64>,
        gather: &mut TlbGather<'_, M>,
    ) {
        let size = 1 << shift(level);
        let mut base = range.start & !(size - 1);
        while base < range.end {
            let next = base + size;
            let entry = self.entry(node, index(base, level));
            let value = entry.load(Relaxed);
            if value & PTE_PRESENT != 0 {
                // Large entries were split when what they map was taken away. Above them the bit is nobody's.
                debug_assert!(level > 1 || value & PTE_LARGE == 0);
                let child = value & PTE_ADDRESS;
                if level > 1 {
                    let part = range.start.max(base)..range.end.min(next);
                    self.free_below(child, level - 1, part, room, gather);
                }
                if base >= room.start && next <= room.end {
                    entry.store(0, Relaxed);
                    self.count_nodes(-1);
                    gather.remove_node(base, Pfn::from_phys(child));
                }
            }
            base = next;
        }
    }
}
