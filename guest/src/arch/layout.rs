//! Where the linker script put the kernel.

use core::ops::Range;
use pagelab_abi::platform::KERNEL_BASE;

/// Bytes of a page.
pub(crate) const PAGE_SIZE: u64 = 4096;

/// Physical memory below this address is mapped at [`KERNEL_BASE`] by the tables in `boot.s`.
pub(crate) const EARLY_END: u64 = 1 << 30;

unsafe extern "C" {
    safe static __text_start: u8;
    safe static __text_end: u8;
    safe static __rodata_start: u8;
    safe static __rodata_end: u8;
    safe static __data_start: u8;
    safe static __data_end: u8;
}

/// Physical address of a symbol of the kernel.
fn physical(symbol: &u8) -> u64 {
    core::ptr::from_ref(symbol) as u64 - KERNEL_BASE
}

/// The whole image, the entry code included.
pub(crate) fn image() -> Range<u64> {
    0x10_0000..physical(&__data_end)
}

/// Code.
pub(crate) fn text() -> Range<u64> {
    physical(&__text_start)..physical(&__text_end)
}

/// Constants.
pub(crate) fn rodata() -> Range<u64> {
    physical(&__rodata_start)..physical(&__rodata_end)
}

/// Variables, zeroed ones included.
pub(crate) fn data() -> Range<u64> {
    physical(&__data_start)..physical(&__data_end)
}
