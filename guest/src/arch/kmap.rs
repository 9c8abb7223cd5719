//! Windows onto frames outside the direct map, a stack of them for each CPU.

use super::layout::PAGE_SIZE;
use core::{
    ptr::NonNull,
    sync::atomic::{AtomicPtr, AtomicUsize, Ordering::Relaxed},
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

/// The page table behind [`KMAP_BASE`], in the direct map.
static TABLE: AtomicPtr<u64> = AtomicPtr::new(core::ptr::null_mut());

/// Windows open on each CPU.
static DEPTH: [AtomicUsize; MAX_CPUS] = [const { AtomicUsize::new(0) }; MAX_CPUS];

/// Names the page table by its physical address, which is in the direct map. Once, at boot.
pub(crate) fn init(table: u64) {
    TABLE.store((DIRECT_MAP + table) as *mut u64, Relaxed);
}

#[inline]
fn entry(window: usize) -> *mut u64 {
    TABLE.load(Relaxed).wrapping_add(window)
}

/// The first byte of a window.
#[inline]
const fn base(window: usize) -> u64 {
    KMAP_BASE.wrapping_add((window as u64).wrapping_mul(PAGE_SIZE))
}

/// Opens a window of a CPU onto a frame. None if all are open.
#[inline]
pub(crate) fn open(cpu: usize, pfn: u32) -> Option<NonNull<u8>> {
    let depth = DEPTH[cpu].load(Relaxed);
    if depth >= WINDOWS {
        return None;
    }
    let window = cpu * WINDOWS + depth;
    let frame = u64::from(pfn) * PAGE_SIZE;
    // SAFETY: an entry of the kmap table, of a window that is closed: the CPU has not cached it.
    unsafe { entry(window).write_volatile(frame | FLAGS.bits()) };
    DEPTH[cpu].store(depth + 1, Relaxed);
    NonNull::new(base(window) as *mut u8)
}

/// Closes the window that a CPU opened last. Panics if it is not the one given.
#[inline]
pub(crate) fn close(cpu: usize, address: NonNull<u8>) {
    // Without an open window it wraps, and is too large.
    let depth = DEPTH[cpu].load(Relaxed).wrapping_sub(1);
    let window = (cpu * WINDOWS).wrapping_add(depth);
    let address = address.as_ptr() as u64;
    if depth >= WINDOWS || address != base(window) {
        not_the_last(cpu, address);
    }
    // SAFETY: an entry of the kmap table; the caller no longer uses the window.
    unsafe { entry(window).write_volatile(0) };
    tlb::flush(VirtAddr::new_truncate(address));
    DEPTH[cpu].store(depth, Relaxed);
}

#[cold]
#[inline(never)]
fn not_the_last(cpu: usize, address: u64) -> ! {
    panic!("kunmap_local: {address:#x} is not the window that CPU {cpu} opened last");
}
