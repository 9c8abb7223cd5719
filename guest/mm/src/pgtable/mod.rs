//! Page tables of programs: the physical view of an address space.
//!
//! Four levels of x86-64. Nodes come from the direct map, one frame each; the bits of their entries
//! are those of [`pagelab_abi::pte`]. Each node's range has a part in common with some area.
//!
//! * `entry`: one entry.
//! * `walk`: from an address to its entry.
//! * `huge`: one entry for 2 MiB, and how it becomes many.
//! * `free`: nodes that no area needs any more. `bad`: entries that nobody wrote so.

mod bad;
mod entry;
mod free;
mod huge;
mod walk;

pub(crate) use entry::Pte;
pub(crate) use huge::{HUGE_SIZE, Part};

use crate::{AllocError, Mm, Order, Pfn, machine::Machine};
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};
use pagelab_abi::{PAGE_SHIFT, gfp::Gfp, page::NONE, vmstat::NodeStat};

/// Binary logarithm of the entries in a node.
const NODE_SHIFT: u32 = 9;

/// Entries in a node.
const NODE_ENTRIES: usize = 1 << NODE_SHIFT;

/// Level of the top-level table; the last level is 0.
const TOP_LEVEL: u32 = 3;

/// Binary logarithm of the bytes that a node of the last level maps.
pub(crate) const PMD_SHIFT: u32 = shift(1);

/// Binary logarithm of the bytes that an entry of a level maps.
const fn shift(level: u32) -> u32 {
    PAGE_SHIFT + NODE_SHIFT * level
}

/// Place of an address in its node of a level.
#[inline(always)]
const fn index(address: u64, level: u32) -> usize {
    (address >> shift(level)) as usize % NODE_ENTRIES
}

/// The page tables of one address space. It is a reference; the one who changes the tables has the
/// address space by `&mut`.
pub(crate) struct PageTables<'a, M: Machine + 'static> {
    mm: &'a Mm<M>,
    /// Physical address of the top-level table.
    pgd: u64,
    /// Nodes (see [`pagelab_abi::mm_struct::MmStruct::pgtables`]).
    nodes: &'a AtomicU64,
}

impl<'a, M: Machine + 'static> PageTables<'a, M> {
    /// The tables below a top-level table.
    ///
    /// # Safety
    /// `pgd` came from [`new_pgd`] of the same memory manager and lives as long as this value.
    /// Nobody else changes the tables meanwhile.
    #[inline(always)]
    pub(crate) unsafe fn new(mm: &'a Mm<M>, pgd: u64, nodes: &'a AtomicU64) -> Self {
        Self { mm, pgd, nodes }
    }

    /// An entry of a node.
    #[inline(always)]
    pub(crate) fn entry(&self, node: u64, index: usize) -> &'a AtomicU64 {
        debug_assert!(index < NODE_ENTRIES);
        // SAFETY: nodes are frames of the direct map that live as long as they are linked below
        // `pgd`, and the tables' own functions name no others. All access is atomic, as the CPU
        // may set bits in an entry at any time.
        unsafe { &*node_entry(self.mm, node, index) }
    }

    /// So many entries of a node, from one on.
    #[inline(always)]
    fn entries(&self, node: u64, first: usize, count: usize) -> &'a [AtomicU64] {
        debug_assert!(first + count <= NODE_ENTRIES);
        // SAFETY: as in `entry`; the entries of a node lie one behind the other.
        unsafe { core::slice::from_raw_parts(node_entry(self.mm, node, first), count) }
    }

    /// A node without entries.
    fn alloc_node(&self) -> Result<u64, AllocError> {
        let pfn = self.mm.alloc_pages(Gfp::KERNEL, Order::ZERO)?;
        // SAFETY: the frame has just been allocated, from the direct map.
        unsafe { clear_entries(self.mm, pfn.phys(), 0) };
        // No nodes are set aside for its large entries, as there are none; and it is no program's page.
        let page = self.mm.map.page(pfn.0);
        page.private.store(NONE, Relaxed);
        page.mapping.store(0, Relaxed);
        self.count_nodes(1);
        Ok(pfn.phys())
    }

    /// Counts nodes that came or went.
    fn count_nodes(&self, delta: i64) {
        let nodes = self.nodes.load(Relaxed).wrapping_add_signed(delta);
        self.nodes.store(nodes, Relaxed);
        self.mm.mod_node_stat(NodeStat::PageTablePages, delta);
    }
}

/// Address of an entry of the node at a physical address in the direct map.
#[inline(always)]
fn node_entry<M: Machine>(mm: &Mm<M>, node: u64, index: usize) -> *const AtomicU64 {
    let address = mm.direct_map.base().wrapping_add(node as usize + index * 8);
    address.cast::<AtomicU64>()
}

/// Empties a node from an entry on.
///
/// # Safety
/// The node is a frame of the direct map that is nobody else's, and the index is below 512.
unsafe fn clear_entries<M: Machine>(mm: &Mm<M>, node: u64, first: usize) {
    let start = mm.direct_map.base().wrapping_add(node as usize);
    // SAFETY: by contract.
    unsafe {
        start
            .cast::<u64>()
            .add(first)
            .write_bytes(0, NODE_ENTRIES - first);
    }
}

/// A top-level table without a program's entries, and with the kernel's.
///
/// # Errors
/// [`AllocError`].
pub(crate) fn new_pgd<M: Machine>(mm: &Mm<M>) -> Result<u64, AllocError> {
    let pgd = mm.alloc_pages(Gfp::KERNEL, Order::ZERO)?.phys();
    // SAFETY: as in `alloc_node`.
    unsafe { clear_entries(mm, pgd, 0) };
    if let Some(kernel) = mm.machine.kernel_pgd() {
        for index in pagelab_abi::pte::USER_PGD_ENTRIES..NODE_ENTRIES {
            // SAFETY: the machine says that the one is a table, the other is new.
            let (from, to) = unsafe {
                (
                    &*node_entry(mm, kernel, index),
                    &*node_entry(mm, pgd, index),
                )
            };
            to.store(from.load(Relaxed), Relaxed);
        }
    }
    mm.mod_node_stat(NodeStat::PageTablePages, 1);
    Ok(pgd)
}

/// Takes back a top-level table that leads nowhere in the program's half and that no CPU uses.
pub(crate) fn free_pgd<M: Machine>(mm: &Mm<M>, pgd: u64) {
    mm.mod_node_stat(NodeStat::PageTablePages, -1);
    mm.free_pages(Pfn::from_phys(pgd), Order::ZERO);
}
