//! The disks in the report.

use crate::{devices::block::Counters, size::ByteSize};
use pagelab_abi::swap::DiskIo;
use schemars::JsonSchema;
use serde::Serialize;
use std::sync::atomic::Ordering::Relaxed;

/// A disk, that for swap or that with files, as both sides saw it.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Swap {
    /// Bytes of the device.
    pub size: ByteSize,
    /// What the device did.
    pub device: Counters,
    /// What the guest asked and how it was answered.
    pub guest: GuestSwap,
}

/// The guest's own account of a disk, in requests: each has a page, or several that follow one another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct GuestSwap {
    /// Reads that succeeded.
    pub reads: u64,
    /// Writes that succeeded.
    pub writes: u64,
    /// Flushes that succeeded.
    pub flushes: u64,
    /// Reads that the device answered with an error.
    pub read_errors: u64,
    /// Writes that the device answered with an error.
    pub write_errors: u64,
    /// Flushes that the device answered with an error.
    pub flush_errors: u64,
    /// Requests that failed because the guest does not use the device any more.
    pub unanswered: u64,
    /// Errors that reached the workload.
    pub reported: u64,
}

impl From<&DiskIo> for GuestSwap {
    fn from(io: &DiskIo) -> Self {
        Self {
            reads: io.reads.load(Relaxed),
            writes: io.writes.load(Relaxed),
            flushes: io.flushes.load(Relaxed),
            read_errors: io.read_errors.load(Relaxed),
            write_errors: io.write_errors.load(Relaxed),
            flush_errors: io.flush_errors.load(Relaxed),
            unanswered: io.unanswered.load(Relaxed),
            reported: io.reported.load(Relaxed),
        }
    }
}
