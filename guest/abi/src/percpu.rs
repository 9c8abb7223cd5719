//! State that each CPU has for itself.

use crate::{
    page::MIGRATE_PCPTYPES,
    vmstat::{NR_VM_EVENTS, VmEvent},
    zone::MAX_ZONES,
};
use core::sync::atomic::{AtomicU32, AtomicU64};
use zerocopy::{FromBytes, IntoBytes, KnownLayout};

/// CPUs that there is room for.
pub const MAX_CPUS: usize = 8;

/// The largest order that per-CPU lists hold (Linux: `PAGE_ALLOC_COSTLY_ORDER`).
pub const PCP_MAX_ORDER: u32 = 3;

/// Lists in a [`PerCpuPages`]: one for each order and migrate type.
pub const NR_PCP_LISTS: usize = (PCP_MAX_ORDER as usize + 1) * MIGRATE_PCPTYPES;

/// One CPU's state. Only that CPU writes it, with plain loads and stores; the exception is named
/// at its field.
#[derive(Debug, FromBytes, IntoBytes, KnownLayout)]
#[repr(C, align(64))]
pub struct PerCpu {
    /// Free pages of each zone at hand.
    pub pcp: [PerCpuPages; MAX_ZONES],
    /// This CPU's share of each counter; index [`VmEvent`].
    pub vm_events: [AtomicU64; NR_VM_EVENTS],
    /// Not zero while this CPU is reclaiming: an allocation made meanwhile does not reclaim.
    pub reclaim_depth: AtomicU32,
    /// Not zero once the CPU uses the memory manager.
    pub online: AtomicU32,
    /// Zero.
    pub reserved: [u32; PERCPU_RESERVED],
}

/// Words of [`PerCpu::reserved`], which fill up the last cache line.
const PERCPU_RESERVED: usize = (64 - (NR_VM_EVENTS * 8 + 8) % 64) / 4 % 16;

/// Free pages of one zone at one CPU (Linux: `struct per_cpu_pages`); one cache line.
#[derive(Debug, FromBytes, IntoBytes, KnownLayout)]
#[repr(C, align(64))]
pub struct PerCpuPages {
    /// Frames in all lists.
    pub count: AtomicU32,
    /// Frames above which a batch goes back to the zone. Another CPU asks for a drain by writing
    /// 0; the owner drains and restores it.
    pub high: AtomicU32,
    /// Frames moved at once.
    pub batch: AtomicU32,
    /// The value that `high` has while no drain is asked for.
    pub high_config: AtomicU32,
    /// First pfn of each list, or [`crate::page::NONE`]; singly linked through
    /// [`crate::page::Page::next`]. Index [`pcp_list`].
    pub lists: [AtomicU32; NR_PCP_LISTS],
}

/// Index in [`PerCpuPages::lists`].
#[inline]
pub const fn pcp_list(order: u32, migrate: u32) -> usize {
    order as usize * MIGRATE_PCPTYPES + migrate as usize
}

impl PerCpu {
    /// This CPU's share of a counter.
    #[inline]
    pub fn event(&self, event: VmEvent) -> &AtomicU64 {
        &self.vm_events[event as usize]
    }
}

const _: () = assert!(size_of::<PerCpuPages>() == 64);
