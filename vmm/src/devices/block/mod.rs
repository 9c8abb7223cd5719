//! virtio-blk (virtio 1.2, section 5.2): a disk, which the guest uses as swap or for files.
//!
//! All work is done while the guest stands in the write that notified the device, so that a run is
//! repeatable: a request is complete when the notification returns, and its interrupt is raised
//! there and nowhere else. One that is delayed is held back until an event of the guest's clock, and
//! complete at the first notification from there on.
//!
//! * [`backing`]: where the sectors are: anonymous sparse memory, or a file. [`layers`]: what is
//!   written after a snapshot.
//! * `request`: a descriptor chain taken apart. It may be cut into buffers in any way.
//! * `device`: what a request does. `delay`: requests that are held back. `config`: the configuration space.
//!
//! Feature bits: flush, most segments, block size, read-only. A request that makes no sense is
//! answered with VIRTIO_BLK_S_IOERR or VIRTIO_BLK_S_UNSUPP; one that has no place for an answer is a
//! [`Violation`](crate::devices::virtio::Violation).

pub mod backing;
mod config;
mod control;
mod delay;
mod device;
mod error;
pub mod layers;
mod request;
mod state;

#[cfg(test)]
mod tests;

pub use backing::Backing;
pub use control::BlockDevice;
pub use delay::ClockPlace;
pub use device::Block;
pub use error::BackingError;
pub use state::BlockState;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use virtio_bindings::bindings::virtio_blk::{
    VIRTIO_BLK_F_BLK_SIZE, VIRTIO_BLK_F_FLUSH, VIRTIO_BLK_F_RO, VIRTIO_BLK_F_SEG_MAX,
};

/// VIRTIO_BLK_F_SEG_MAX (section 5.2.3): the most buffers of data in a request are known.
pub const FEATURE_SEG_MAX: u64 = 1 << VIRTIO_BLK_F_SEG_MAX;

/// VIRTIO_BLK_F_RO (section 5.2.3): the disk cannot be written.
pub const FEATURE_RO: u64 = 1 << VIRTIO_BLK_F_RO;

/// VIRTIO_BLK_F_BLK_SIZE (section 5.2.3): the best block size is known.
pub const FEATURE_BLK_SIZE: u64 = 1 << VIRTIO_BLK_F_BLK_SIZE;

/// VIRTIO_BLK_F_FLUSH (section 5.2.3): there is a cache that can be flushed.
pub const FEATURE_FLUSH: u64 = 1 << VIRTIO_BLK_F_FLUSH;

/// Bytes of a sector, the unit of all addresses whatever the block size is (section 5.2.4).
pub const SECTOR_SIZE: u64 = 512;

/// Bytes of a block: a disk has a whole number of them.
pub const BLOCK_SIZE: u64 = 4096;

/// Largest size of the one queue, in descriptors.
pub const QUEUE_SIZE: u16 = 128;

/// Most buffers of data in a request: the queue without one for the header and one for the status.
pub const SEG_MAX: u32 = QUEUE_SIZE as u32 - 2;

/// Most bytes of data in a request; longer ones are answered with an error. Three times what Linux
/// sends at most; the bound keeps one notification short.
pub const MAX_DATA: u64 = 4 << 20;

/// Largest disk.
pub const MAX_SIZE: u64 = 1 << 40;

/// What a disk has done since it was made. A driver's reset does not clear it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Counters {
    /// Reads that succeeded.
    pub reads: u64,
    /// Writes that succeeded.
    pub writes: u64,
    /// Flushes that succeeded.
    pub flushes: u64,
    /// Bytes that were read.
    pub bytes_read: u64,
    /// Bytes that were written.
    pub bytes_written: u64,
    /// Reads that were answered with an error, for whatever reason.
    pub read_errors: u64,
    /// Writes that were answered with an error, for whatever reason.
    pub write_errors: u64,
    /// Requests that were refused because they make no sense; among the errors if they were reads
    /// or writes.
    pub refused: u64,
    /// Reads that were made to fail; among the errors.
    pub injected_reads: u64,
    /// Writes that were made to fail; among the errors.
    pub injected_writes: u64,
    /// Requests that the host's own file or memory failed; among the errors.
    pub host_errors: u64,
    /// Requests that were held back.
    pub delayed: u64,
}
