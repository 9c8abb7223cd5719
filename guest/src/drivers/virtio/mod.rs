//! virtio 1.2 over MMIO: the transport and its split virtqueues.
//!
//! Written for drivers whose buffers are page frames without an address (HIGHMEM, free pages),
//! which the crates for virtio drivers, taking slices, cannot name.

pub(crate) mod mmio;
pub(crate) mod queue;

/// Physical address of something in the kernel's image.
pub(super) fn physical<T: ?Sized>(variable: *const T) -> u64 {
    let address = variable.cast::<u8>() as u64;
    debug_assert!(address >= pagelab_abi::platform::KERNEL_BASE);
    address - pagelab_abi::platform::KERNEL_BASE
}
