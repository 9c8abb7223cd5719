//! The machine under the memory manager.

use crate::{
    arch::{kmap, layout::PAGE_SIZE},
    doorbell, root,
};
use core::{
    ptr::NonNull,
    sync::atomic::{AtomicU32, Ordering::Relaxed},
};
use pagelab_abi::{
    control::Control,
    event::EventKind,
    platform::{DIRECT_MAP, Doorbell},
};
use pagelab_mm::machine::Machine;

/// This kernel's machine: one CPU, a direct map, kmap windows, the doorbell.
pub(crate) struct Guest;

/// First frame outside the direct map.
static DIRECT_END: AtomicU32 = AtomicU32::new(0);

/// Says how far the direct map goes: physical, exclusive. Once, at boot.
pub(crate) fn set_direct_map_end(end: u64) {
    DIRECT_END.store((end / PAGE_SIZE) as u32, Relaxed);
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
    fn event(&self, kind: EventKind, a: u64, b: u64) {
        if root::clock().tick(kind, a, b) {
            doorbell::ring(Doorbell::Stop);
        }
    }

    fn out_of_memory(&self) -> u32 {
        crate::drivers::balloon::out_of_memory(crate::memory::mm())
    }

    #[inline]
    fn control(&self) -> &Control {
        root::control()
    }
}

/// Whether an address is in the direct map, and so no window.
fn is_direct(address: NonNull<u8>) -> bool {
    let end = DIRECT_MAP + u64::from(DIRECT_END.load(Relaxed)) * PAGE_SIZE;
    (DIRECT_MAP..end).contains(&(address.as_ptr() as u64))
}
