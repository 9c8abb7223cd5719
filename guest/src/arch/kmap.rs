//! Windows onto frames outside the direct map, a stack of them for each CPU.

use super::layout::PAGE_SIZE;
use core::{
    ptr::NonNull,
    sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed},
};
use pagelab_abi::platform::{DIRECT_MAP, KMAP_BASE};
use pagelab_mm::MAX_CPUS;
use x86_64::{VirtAddr, instructions::tlb, structures::paging::PageTableFlags as Flags};

/// Windows that one CPU can have open at once.
const WINDOWS: usize = 16;

const FLAGS: Flags = Flags::PRESENT
    .union(Flags::WRITABLE)
    .union(Flags::ACCESSED)
    .union(Flags::DIRTY)
    .union(Flags::NO_EXECUTE);

/// Physical address of the page table behind [`KMAP_BASE`], which is in the direct map.
static TABLE: AtomicU64 = AtomicU64::new(0);

/// Windows open on each CPU.
static DEPTH: [AtomicUsize; MAX_CPUS] = [const { AtomicUsize::new(0) }; MAX_CPUS];

/// Names the page table. Once, at boot.
pub(crate) fn init(table: u64) {
    TABLE.store(table, Relaxed);
}

fn entry(window: usize) -> *mut u64 {
    ((DIRECT_MAP + TABLE.load(Relaxed)) as *mut u64).wrapping_add(window)
}

/// Opens a window of a CPU onto a frame. None if all are open.
#[inline]
pub(crate) fn open(cpu: usize, pfn: u32) -> Option<NonNull<u8>> {
    let depth = DEPTH[cpu].load(Relaxed);
    if depth == WINDOWS {
        return None;
    }
    let window = cpu * WINDOWS + depth;
    let frame = u64::from(pfn) * PAGE_SIZE;
    // SAFETY: an entry of the kmap table, of a window that is closed: the CPU has not cached it.
    unsafe { entry(window).write_volatile(frame | FLAGS.bits()) };
    DEPTH[cpu].store(depth + 1, Relaxed);
    Some(base(window))
}

/// The first byte of a window.
const fn base(window: usize) -> NonNull<u8> {
    let address = (KMAP_BASE as usize).wrapping_add(window * PAGE_SIZE as usize);
    match NonNull::new(core::ptr::without_provenance_mut(address)) {
        Some(base) => base,
        None => unreachable!(),
    }
}

/// Closes the window that a CPU opened last. Panics if it is not the one given.
#[inline]
pub(crate) fn close(cpu: usize, address: NonNull<u8>) {
    // Wraps to no window's number if none is open.
    let depth = DEPTH[cpu].load(Relaxed).wrapping_sub(1);
    let window = (cpu * WINDOWS).wrapping_add(depth);
    assert!(
        depth < WINDOWS && address == base(window),
        "kunmap_local: {address:p} is not the window that CPU {cpu} opened last"
    );
    // SAFETY: an entry of the kmap table; the caller no longer uses the window.
    unsafe { entry(window).write_volatile(0) };
    tlb::flush(VirtAddr::from_ptr(address.as_ptr()));
    DEPTH[cpu].store(depth, Relaxed);
}
