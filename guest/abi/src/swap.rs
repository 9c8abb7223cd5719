//! Swap: which page is in which slot, how a page-table entry says so, and the guest's account of its
//! swap device.
//!
//! A slot is a page of the device. Slots are described in clusters, each one page of [`SwapSlot`]s; the
//! table of clusters follows the [`SwapInfo`], to which [`crate::mm::MmState::swap`] leads. A slot is in
//! exactly one of four states:
//!
//! 1. Free: `map` and `cache` are 0. A cluster counts those it has.
//! 2. In use: page-table entries, or a slot of the page cache if it is a page of shared memory, lead to it
//!    (`map` counts them), or its page is in the swap cache (`cache` names the frame), or both.
//! 3. Bad: `map` is [`SLOT_BAD`] and `cache` 0. The device failed to write it, and it is not used
//!    again; slot 0, which stands for no slot, is bad from the start.
//! 4. Behind the end of the device, in the last cluster: as a free one, and it is counted nowhere.
//!
//! The swap cache needs no tree: a slot itself says which frame has its page, so to put one there
//! takes no memory when there is none left. That frame has one reference for it, the flag
//! [`crate::page::PageFlags::SWAPCACHE`], and the slot's number in the `private` field of its
//! descriptor. What stood there before is in the slot's `index`, for as long as the slot is in use:
//! a page keeps its place among the areas of its program wherever it is.

use crate::pte::{PTE_ADDRESS, PTE_PRESENT, PTE_PROTNONE};
use core::sync::atomic::{AtomicU32, AtomicU64};
use zerocopy::{FromBytes, IntoBytes, KnownLayout};

/// First word of the [`SwapInfo`].
pub const SWAP_INFO_MAGIC: u64 = u64::from_le_bytes(*b"swapinfo");

/// Slots in a cluster (Linux: `SWAPFILE_CLUSTER`).
pub const SWAPFILE_CLUSTER: u64 = 256;

/// Slots that are used at most: 512 GiB.
pub const MAX_SLOTS: u64 = 1 << 27;

/// [`SwapSlot::map`] of a slot that is not to be used (Linux: `SWAP_MAP_BAD`).
pub const SLOT_BAD: u32 = 1 << 31;

/// Entries that may lead to one slot (Linux: `SWAP_MAP_MAX`, and its continuations).
pub const SLOT_MAX: u32 = SLOT_BAD - 1;

/// Swap devices: there is one at most, of type 0.
pub const MAX_SWAPFILES: u64 = 1;

/// First bit of the type in an entry that leads to swap.
const TYPE_SHIFT: u32 = 59;

/// The slot's number stands inverted where the address would be, so that a CPU that looks at an entry
/// that is not present finds no RAM there (Linux arch/x86/include/asm/pgtable_64.h does the same,
/// against L1TF).
const OFFSET_SHIFT: u32 = PTE_ADDRESS.trailing_zeros();

/// The page-table entry that leads to a slot (Linux: `swp_entry_to_pte`).
#[inline]
pub const fn swap_pte(kind: u64, slot: u64) -> u64 {
    kind << TYPE_SHIFT | (!slot << OFFSET_SHIFT & PTE_ADDRESS)
}

/// Type and slot of an entry that leads to swap; none if it does not. The numbers are unchecked.
#[inline]
pub const fn swap_of_pte(pte: u64) -> Option<(u64, u64)> {
    if pte == 0 || pte & (PTE_PRESENT | PTE_PROTNONE) != 0 {
        return None;
    }
    let slot = (!pte & PTE_ADDRESS) >> OFFSET_SHIFT;
    Some((pte >> TYPE_SHIFT, slot))
}

/// Type of an entry that leads to no slot: what was there is lost, as the memory of its frame broke
/// (Linux: `SWP_HWPOISON`).
pub const SWP_HWPOISON: u64 = MAX_SWAPFILES;

/// The page-table entry for a page whose frame is broken (Linux: `make_hwpoison_entry`).
#[inline]
pub const fn hwpoison_pte(pfn: u32) -> u64 {
    swap_pte(SWP_HWPOISON, pfn as u64)
}

/// The broken frame that an entry names, if it is such an entry.
#[inline]
pub const fn hwpoison_of_pte(pte: u64) -> Option<u64> {
    match swap_of_pte(pte) {
        Some((SWP_HWPOISON, pfn)) => Some(pfn),
        _ => None,
    }
}

/// The swap device's slots (Linux: `struct swap_info_struct`).
#[derive(Debug, FromBytes, IntoBytes, KnownLayout)]
#[repr(C, align(64))]
pub struct SwapInfo {
    /// [`SWAP_INFO_MAGIC`].
    pub magic: u64,
    /// 1 while a CPU changes slots.
    pub lock: AtomicU32,
    /// Entries of the table of clusters.
    pub nr_clusters: u32,
    /// Slots, slot 0 included.
    pub pages: u64,
    /// Physical address of the table of [`SwapCluster`]s.
    pub clusters: u64,
    /// Slots in use.
    pub inuse: AtomicU64,
    /// Bad slots, slot 0 included.
    pub bad: AtomicU64,
    /// Slots whose page is in the swap cache.
    pub cached: AtomicU64,
    /// Page-table entries and slots of the page cache that lead to slots.
    pub entries: AtomicU64,
    /// The cluster from which slots are taken.
    pub cluster: AtomicU32,
    /// The slot of it that is looked at next.
    pub next: AtomicU32,
    /// The slot around which was read ahead last in vain.
    pub ra_prev: AtomicU64,
    /// Slots that were read at once last.
    pub ra_window: AtomicU32,
    /// Pages of these that were wanted since (Linux: `swapin_readahead_hits`).
    pub ra_hits: AtomicU32,
    /// Zero.
    pub reserved: [u64; 5],
}

/// 256 slots that lie next to each other (Linux: `struct swap_cluster_info`).
#[derive(Debug, FromBytes, IntoBytes, KnownLayout)]
#[repr(C)]
pub struct SwapCluster {
    /// Physical address of the [`SwapSlot`]s.
    pub slots: AtomicU64,
    /// Free ones.
    pub free: AtomicU32,
    /// Zero.
    pub reserved: u32,
}

/// One slot.
#[derive(Debug, FromBytes, IntoBytes, KnownLayout)]
#[repr(C)]
pub struct SwapSlot {
    /// Page-table entries and slots of the page cache that lead here, or [`SLOT_BAD`] (Linux: an entry of `swap_map`).
    pub map: AtomicU32,
    /// 1 + the frame that has the page in the swap cache; 0 for none.
    pub cache: AtomicU32,
    /// [`crate::page::Page::private`] of the page when it is not in the swap cache; of no meaning in
    /// a free slot.
    pub index: AtomicU32,
    /// Number of the memory group that it is charged to while it is in use.
    pub group: AtomicU32,
}

const _: () = assert!(size_of::<SwapInfo>() == 128);
const _: () = assert!(size_of::<SwapSlot>() as u64 * SWAPFILE_CLUSTER == crate::PAGE_SIZE);
// An entry is never 0, and every slot has its own.
const _: () = assert!(MAX_SLOTS < PTE_ADDRESS >> OFFSET_SHIFT);

/// What the guest asked of a disk, that for swap or that for files, and how it was answered. A request has one
/// page or several that follow one another, and is in exactly one of the counters.
#[derive(Debug, FromBytes, IntoBytes, KnownLayout)]
#[repr(C)]
pub struct DiskIo {
    /// Pages that the device has; 0 without one.
    pub pages: AtomicU64,
    /// Reads that succeeded.
    pub reads: AtomicU64,
    /// Writes that succeeded.
    pub writes: AtomicU64,
    /// Flushes that succeeded.
    pub flushes: AtomicU64,
    /// Reads that the device answered with an error.
    pub read_errors: AtomicU64,
    /// Writes that the device answered with an error.
    pub write_errors: AtomicU64,
    /// Flushes that the device answered with an error.
    pub flush_errors: AtomicU64,
    /// Requests that failed because the device is not used any more: it broke the protocol, or did not answer in
    /// [`IO_TIMEOUT`].
    pub unanswered: AtomicU64,
    /// Errors that reached the workload, be it as an error or as a signal; the others were coped with
    /// below it.
    pub reported: AtomicU64,
    /// Entries that lead to swap and are in no page table, but with the kernel's own workload.
    pub held: AtomicU64,
    /// Written by the host: the event from which on the device answers requests that it keeps back; 0 if
    /// there are none. The guest notifies the device again then.
    pub due: AtomicU64,
}

/// Events after which the guest gives up a device that keeps a request back: on its clock 50 ms (Linux waits for 30 s,
/// `BLK_MQ_DEFAULT_RQ_TIMEOUT`).
pub const IO_TIMEOUT: u64 = 50_000;

impl DiskIo {
    /// No device.
    pub const fn new() -> Self {
        Self {
            pages: AtomicU64::new(0),
            reads: AtomicU64::new(0),
            writes: AtomicU64::new(0),
            flushes: AtomicU64::new(0),
            read_errors: AtomicU64::new(0),
            write_errors: AtomicU64::new(0),
            flush_errors: AtomicU64::new(0),
            unanswered: AtomicU64::new(0),
            reported: AtomicU64::new(0),
            held: AtomicU64::new(0),
            due: AtomicU64::new(0),
        }
    }
}

impl Default for DiskIo {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pte::{PTE_LARGE, PTE_SPECIAL, PTE_USER, PTE_WRITE};

    #[test]
    fn an_entry_for_a_broken_frame_names_it_and_leads_to_no_slot() {
        for pfn in [0, 1, 511, 0x0fff_ffff] {
            let pte = hwpoison_pte(pfn);
            assert_eq!(hwpoison_of_pte(pte), Some(u64::from(pfn)));
            assert_eq!(pte & (PTE_PRESENT | PTE_PROTNONE), 0);
            assert!(pte & PTE_ADDRESS >= 1 << 39);
        }
        for other in [0, swap_pte(0, 7), 0x1000 | PTE_PRESENT] {
            assert_eq!(hwpoison_of_pte(other), None);
        }
    }

    #[test]
    fn entries_lead_to_their_slots_and_nowhere_else() {
        for kind in 0..32 {
            for slot in [1, 2, 511, 512, 0x1234_5678, MAX_SLOTS - 1] {
                let pte = swap_pte(kind, slot);
                assert_eq!(swap_of_pte(pte), Some((kind, slot)));
                let bits = PTE_PRESENT | PTE_PROTNONE | PTE_SPECIAL | PTE_WRITE | PTE_USER;
                assert_eq!(pte & (bits | PTE_LARGE), 0);
                // The address is far above all RAM.
                assert!(pte & PTE_ADDRESS >= 1 << 51);
            }
        }
        assert_eq!(swap_of_pte(0), None);
        assert_eq!(swap_of_pte(0x1000 | PTE_PRESENT), None);
        assert_eq!(swap_of_pte(0x1000 | PTE_PROTNONE), None);
    }
}
