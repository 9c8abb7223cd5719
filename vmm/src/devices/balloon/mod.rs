//! virtio-balloon (virtio 1.2, section 5.5): the host asks for memory, the guest's driver hands
//! over page frames, and the host discards what was in them.
//!
//! All work is done while the guest stands in the write that notified the device, so that a run
//! is repeatable, and what the host gets back depends on nothing but the guest.
//!
//! Feature bits: statistics queue, deflate on OOM, free page reporting. A reported or inflated
//! page reads as zero when it is touched again.

mod config;
mod control;
mod device;
mod discard;
mod held;
mod ranges;
mod state;
pub mod stats;

#[cfg(test)]
mod tests;

pub use control::BalloonDevice;
pub use device::Balloon;
pub use state::BalloonState;
pub use stats::{StatTag, Stats};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// VIRTIO_BALLOON_F_STATS_VQ (section 5.5.3).
pub const FEATURE_STATS_VQ: u64 = 1 << 1;

/// VIRTIO_BALLOON_F_DEFLATE_ON_OOM (section 5.5.3).
pub const FEATURE_DEFLATE_ON_OOM: u64 = 1 << 2;

/// VIRTIO_BALLOON_F_PAGE_REPORTING (section 5.5.3).
pub const FEATURE_REPORTING: u64 = 1 << 5;

/// Bytes of the balloon's unit, whatever page size the guest has (section 5.5.6).
pub const PAGE_SIZE: u64 = 4096;

/// Largest size of each queue, in descriptors.
pub const QUEUE_SIZE: u16 = 128;

/// Most pfns in one chain of the inflate or deflate queue. Linux's driver sends 256
/// (VIRTIO_BALLOON_ARRAY_PFNS_MAX); the bound keeps one notification short.
pub const MAX_PFNS_PER_CHAIN: usize = 4096;

/// What the balloon has done since it was made. A driver's reset does not clear it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Counters {
    /// Pages that entered the balloon.
    pub inflated_pages: u64,
    /// Pages that left the balloon.
    pub deflated_pages: u64,
    /// Bytes of inflated pages that were discarded on the host.
    pub reclaimed_bytes: u64,
    /// Bytes of reported free pages that were discarded on the host.
    pub reported_bytes: u64,
    /// Calls that discarded one range of pages each.
    pub discards: u64,
    /// Ranges that the host's kernel refused to discard; their pages keep their content.
    pub failed_discards: u64,
    /// Pages outside RAM that the driver named; ignored.
    pub pages_outside_ram: u64,
    /// Pages that were inflated while in the balloon, or deflated while not; ignored.
    pub stray_pages: u64,
    /// Statistics that the driver sent.
    pub stats_updates: u64,
    /// Statistics tags that are not known; ignored.
    pub unknown_stats: u64,
}
