//! Swap: the guest's account of its swap device.

use core::sync::atomic::AtomicU64;
use zerocopy::{FromBytes, IntoBytes, KnownLayout};

/// What the guest asked of its swap device and how it was answered. Each request is one page, and in
/// exactly one of the counters.
#[derive(Debug, FromBytes, IntoBytes, KnownLayout)]
#[repr(C)]
pub struct SwapIo {
    /// Pages that the device has; 0 without one.
    pub pages: AtomicU64,
    /// Pages that were read.
    pub reads: AtomicU64,
    /// Pages that were written.
    pub writes: AtomicU64,
    /// Flushes that succeeded.
    pub flushes: AtomicU64,
    /// Reads that the device answered with an error.
    pub read_errors: AtomicU64,
    /// Writes that the device answered with an error.
    pub write_errors: AtomicU64,
    /// Flushes that the device answered with an error.
    pub flush_errors: AtomicU64,
    /// Errors that reached the workload, be it as an error or as a signal; the others were coped with
    /// below it.
    pub reported: AtomicU64,
}

impl SwapIo {
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
            reported: AtomicU64::new(0),
        }
    }
}

impl Default for SwapIo {
    fn default() -> Self {
        Self::new()
    }
}
