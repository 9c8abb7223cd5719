//! The machine under the memory manager.

use crate::{
    arch::{backtrace, kmap, layout::PAGE_SIZE},
    doorbell,
    drivers::block::{self, Way},
    event_log, root,
};
use core::{
    ptr::NonNull,
    sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed},
};
use pagelab_abi::{
    control::Control,
    event::EventKind,
    fault::CallSite,
    platform::{DIRECT_MAP, Doorbell, KMAP_BASE},
    tlb::Flush,
};
use pagelab_mm::{
    machine::{Machine, SwapRequest},
    oom::OomControl,
};
use x86_64::{VirtAddr, instructions::tlb};

/// This kernel's machine: one CPU, a direct map, kmap windows, the doorbell.
pub(crate) struct Guest;

/// First frame outside the direct map.
static DIRECT_END: AtomicU32 = AtomicU32::new(0);

/// Says how far the direct map goes: physical, exclusive. Once, at boot.
pub(crate) fn set_direct_map_end(end: u64) {
    DIRECT_END.store((end / PAGE_SIZE) as u32, Relaxed);
}

/// Physical address of the kernel's top-level page table.
static KERNEL_PGD: AtomicU64 = AtomicU64::new(0);

/// Names the kernel's top-level page table. Once, at boot.
pub(crate) fn set_kernel_pgd(table: u64) {
    KERNEL_PGD.store(table, Relaxed);
}

/// Physical address of the kernel's top-level page table.
pub(crate) fn kernel_pgd() -> u64 {
    KERNEL_PGD.load(Relaxed)
}

/// Number of this CPU; there is one.
pub(crate) const CPU: usize = 0;

impl Machine for Guest {
    #[inline]
    fn cpu(&self) -> usize {
        CPU
    }

    #[inline]
    fn direct_map(&self, pfn: u32) -> Option<NonNull<u8>> {
        if pfn >= DIRECT_END.load(Relaxed) {
            return None;
        }
        NonNull::new((DIRECT_MAP + u64::from(pfn) * PAGE_SIZE) as *mut u8)
    }

    #[inline]
    fn virt_to_pfn(&self, address: usize) -> Option<u32> {
        let page = (address as u64).checked_sub(DIRECT_MAP)? / PAGE_SIZE;
        (page < u64::from(DIRECT_END.load(Relaxed))).then_some(page as u32)
    }

    fn kmap_local(&self, pfn: u32) -> Option<NonNull<u8>> {
        self.direct_map(pfn).or_else(|| kmap::open(CPU, pfn))
    }

    unsafe fn kunmap_local(&self, window: NonNull<u8>) {
        if !is_direct(window) {
            kmap::close(CPU, window);
        }
    }

    #[inline]
    fn flush_tlb_page(&self, address: u64) {
        root::tlb().note(Flush::Pages(address, 1));
        tlb::flush(VirtAddr::new_truncate(address));
    }

    fn flush_tlb_range(&self, start: u64, pages: u64) {
        root::tlb().note(Flush::Pages(start, pages));
        for page in 0..pages {
            tlb::flush(VirtAddr::new_truncate(start + page * PAGE_SIZE));
        }
    }

    #[inline]
    fn flush_tlb_all(&self) {
        root::tlb().note(Flush::All);
        // The kernel's own pages are global and stay.
        tlb::flush_all();
    }

    fn kernel_pgd(&self) -> Option<u64> {
        Some(kernel_pgd())
    }

    fn swap_pages(&self) -> u64 {
        block::SWAP.pages()
    }

    fn swap_read(&self, requests: &mut [SwapRequest<'_>]) {
        block::SWAP.transfer(Way::Read, requests);
    }

    fn swap_write(&self, requests: &mut [SwapRequest<'_>]) {
        block::SWAP.transfer(Way::Write, requests);
    }

    fn swap_error_reported(&self) {
        let reported = &root::swap_io().reported;
        reported.store(reported.load(Relaxed) + 1, Relaxed);
    }

    #[inline]
    fn event(&self, kind: EventKind, a: u64, b: u64) {
        if root::clock().tick(kind, a, b) {
            event_log::look_closer(kind, a, b);
        }
    }

    fn is_called_from(&self, sites: &[CallSite]) -> bool {
        backtrace::is_called_from(sites)
    }

    fn candidate(&self) {
        doorbell::ring(Doorbell::Candidate);
    }

    fn out_of_memory(&self) -> u32 {
        crate::drivers::balloon::out_of_memory(crate::memory::mm())
    }

    fn oom_kill(&self, control: OomControl) -> bool {
        crate::oom::kill(control)
    }

    #[inline]
    fn control(&self) -> &Control {
        root::control()
    }
}

/// Whether an address that is in the direct map or a window is in the direct map.
#[inline]
fn is_direct(address: NonNull<u8>) -> bool {
    (address.as_ptr() as u64) < KMAP_BASE
}
