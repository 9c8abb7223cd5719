//! The narrow door through which the memory manager reaches the machine.

use crate::{Pfn, oom::OomControl};
use core::ptr::NonNull;
use pagelab_abi::{PAGE_SIZE, control::Control, event::EventKind, fault::CallSite};

/// The swap device did not do what it was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SwapIoError;

/// A request to the swap device: pages that follow one another there, which succeed or fail together.
#[derive(Clone, Copy, Debug)]
pub struct SwapRequest<'a> {
    /// The first page of the device.
    pub slot: u64,
    /// The frames of the pages, one or more.
    pub frames: &'a [Pfn],
    /// The device's answer; an error until there is one.
    pub done: Result<(), SwapIoError>,
}

impl<'a> SwapRequest<'a> {
    /// A request that nobody has seen yet.
    pub const fn new(slot: u64, frames: &'a [Pfn]) -> Self {
        Self {
            slot,
            frames,
            done: Err(SwapIoError),
        }
    }
}

/// What the memory manager needs of a machine. The guest kernel implements it with page tables
/// and ports, host tests with a vector.
pub trait Machine: Sync {
    /// Number of the CPU that runs the caller, below [`crate::MAX_CPUS`]. The caller cannot move
    /// to another CPU while it is inside the memory manager.
    fn cpu(&self) -> usize;

    /// Virtual address of a frame in the direct map, or none if the frame (HIGHMEM) is outside.
    fn direct_map(&self, pfn: u32) -> Option<NonNull<u8>>;

    /// The frame that a virtual address of the direct map belongs to, or none if the address is
    /// not in the direct map.
    fn virt_to_pfn(&self, address: usize) -> Option<u32>;

    /// Maps a frame into a window of this CPU, or returns its place in the direct map. Windows
    /// nest: the last one mapped is the first one unmapped. None if all windows are in use.
    fn kmap_local(&self, pfn: u32) -> Option<NonNull<u8>>;

    /// Gives back what [`Self::kmap_local`] returned last on this CPU.
    ///
    /// # Safety
    /// `window` came from the latest unmatched `kmap_local` on this CPU and is not used again.
    unsafe fn kunmap_local(&self, window: NonNull<u8>);

    /// Forgets what the CPU has cached of the translation of a program's address, and all that it
    /// has cached of tables above the last level.
    fn flush_tlb_page(&self, address: u64);

    /// As [`Self::flush_tlb_page`] for each of 1 to [`pagelab_abi::tlb::MAX_FLUSH_PAGES`] pages from a
    /// page's first address on.
    fn flush_tlb_range(&self, start: u64, pages: u64) {
        for page in 0..pages {
            self.flush_tlb_page(start + page * PAGE_SIZE);
        }
    }

    /// Forgets all that the CPU has cached of the translations of programs' addresses.
    fn flush_tlb_all(&self);

    /// Physical address, in the direct map, of the kernel's top-level page table. Its upper half,
    /// which never changes after boot, becomes that of each address space. None if there is no
    /// such table.
    fn kernel_pgd(&self) -> Option<u64>;

    /// Pages of the swap device; 0 without one.
    fn swap_pages(&self) -> u64 {
        0
    }

    /// Reads pages of the swap device into frames. All requests are given to the device at once, and each is
    /// answered for itself. After an error nobody can rely on the content of that request's frames.
    fn swap_read(&self, requests: &mut [SwapRequest<'_>]) {
        let _ = requests;
    }

    /// Writes frames to pages of the swap device, in the same way. After an error nobody can rely on
    /// the content of that request's pages.
    fn swap_write(&self, requests: &mut [SwapRequest<'_>]) {
        let _ = requests;
    }

    /// A program is told of an error of the swap device, by a signal or a system call's error.
    fn swap_error_reported(&self) {}

    /// One tick of the event clock. May not return before the host has looked at the guest, so
    /// it is called when the structures are consistent, and never under a lock.
    fn event(&self, kind: EventKind, a: u64, b: u64);

    /// What the host asks for, the fault attributes among it.
    fn control(&self) -> &Control;

    /// Whether one of the callers, up to [`pagelab_abi::fault::STACKTRACE_DEPTH`], is in one of these
    /// ranges. Asked about a candidate for an injected failure, if that depends on it. A machine that
    /// cannot see its stack says no.
    fn is_called_from(&self, sites: &[CallSite]) -> bool {
        let _ = sites;
        false
    }

    /// The host wants to see the candidate for an injected failure that stands in
    /// [`Control::candidate`]. Nothing may have changed when this returns.
    fn candidate(&self) {}

    /// Called when an allocation that may reclaim finds nothing (Linux: the OOM notifiers). Gives
    /// memory back, by [`crate::Mm::balloon_deflate`] for one, and says how many pages that was.
    fn out_of_memory(&self) -> u32 {
        0
    }

    /// Called as the last resort before an allocation that may reclaim fails: kills a process, by
    /// [`crate::oom::Oom`]. False if that was of no use.
    fn oom_kill(&self, control: OomControl) -> bool {
        let _ = control;
        false
    }

    /// Called in each round of a wait for another CPU or for memory.
    #[inline]
    fn relax(&self) {
        core::hint::spin_loop();
    }
}
