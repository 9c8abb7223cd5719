//! Groups of processes with a limit on their memory (Linux mm/memcontrol.c, cgroup v2).
//!
//! A group is a place in [`crate::mm::MmState::memory_groups`], whose number stands in
//! [`crate::task::TaskStruct::memory_group`] of its processes and in bits 28 to 31 of
//! [`crate::page::Page::flags`] of the pages that are charged to it: pages of programs and of the page
//! cache that were allocated while one of its processes ran. What is charged to a group is charged to
//! its parent as well. Group 0 is the root: it has no limit, and nothing is charged to it.
//!
//! A swap slot is charged to the group of the page that went there ([`crate::swap::SwapSlot::group`]).

use core::sync::atomic::{AtomicU32, AtomicU64};
use zerocopy::{FromBytes, IntoBytes, KnownLayout};

/// [`MemoryGroup::max`] of a group without a limit.
pub const NO_LIMIT: u64 = u64::MAX;

/// Command line key: limit in bytes of a group of its own for the first program,
/// `memory.max=16777216` (Linux: the file of that name in the group's directory).
pub const CMDLINE_MEMORY_MAX: &str = "memory.max";

/// Command line key: bytes above which the group's processes are slowed down and reclaimed from.
pub const CMDLINE_MEMORY_HIGH: &str = "memory.high";

/// Command line key: bytes of swap that the group may have.
pub const CMDLINE_SWAP_MAX: &str = "memory.swap.max";

/// Command line key: how much swap is preferred to pages of files, 0 to 200 (Linux: the same).
pub const CMDLINE_SWAPPINESS: &str = "sysctl.vm.swappiness";

/// The largest swappiness, at which pages of files are only taken if nothing else is left.
pub const MAX_SWAPPINESS: u32 = 200;

/// A group. Amounts are in pages. Events of a group are events of those above it, too.
#[derive(Debug, FromBytes, IntoBytes, KnownLayout)]
#[repr(C, align(64))]
pub struct MemoryGroup {
    /// Not zero while the group exists.
    pub online: AtomicU32,
    /// The group that it is part of; 0 for the root. Good as long as anything is charged to it.
    pub parent: AtomicU32,
    /// The most that may be charged, or [`NO_LIMIT`].
    pub max: AtomicU64,
    /// What is charged (Linux: `memory.current`).
    pub usage: AtomicU64,
    /// The most that was ever charged (Linux: `memory.peak`).
    pub peak: AtomicU64,
    /// Charges that the limit was in the way of (Linux: `max` of `memory.events`).
    pub max_events: AtomicU64,
    /// Times that nothing could be reclaimed for one (Linux: `oom`).
    pub oom_events: AtomicU64,
    /// Processes that were killed for one (Linux: `oom_kill`).
    pub oom_kills: AtomicU64,
    /// Above this its processes reclaim, and are slowed down; or [`NO_LIMIT`].
    pub high: AtomicU64,
    /// Up to this nothing is taken for others as long as they can have something else.
    pub low: AtomicU64,
    /// Up to this nothing is taken for others at all.
    pub min: AtomicU64,
    /// Times that more than `high` was charged (Linux: `high` of `memory.events`).
    pub high_events: AtomicU64,
    /// Times that pages were taken although the group had no more than `low` (Linux: `low`).
    pub low_events: AtomicU64,
    /// The most swap slots that may be charged, or [`NO_LIMIT`].
    pub swap_max: AtomicU64,
    /// Swap slots that are charged (Linux: `memory.swap.current`).
    pub swap_usage: AtomicU64,
    /// The most that ever were (Linux: `memory.swap.peak`).
    pub swap_peak: AtomicU64,
    /// Pages that did not go to swap for that limit (Linux: `max` of `memory.swap.events`).
    pub swap_max_events: AtomicU64,
    /// Pages that reclaim has looked at (Linux: `pgscan` of `memory.stat`).
    pub pgscan: AtomicU64,
    /// Pages that it has freed (Linux: `pgsteal`).
    pub pgsteal: AtomicU64,
    /// What was charged when `max` was made less than that, and could not be brought down to it: as
    /// long as there is no less, that is no breach of the limit.
    pub excess: AtomicU64,
    /// The same for `swap_max`, which is never brought down.
    pub swap_excess: AtomicU64,
    /// Zero.
    pub tail: [u64; 4],
}

impl MemoryGroup {
    /// No group.
    pub const fn new() -> Self {
        Self {
            online: AtomicU32::new(0),
            parent: AtomicU32::new(0),
            max: AtomicU64::new(NO_LIMIT),
            usage: AtomicU64::new(0),
            peak: AtomicU64::new(0),
            max_events: AtomicU64::new(0),
            oom_events: AtomicU64::new(0),
            oom_kills: AtomicU64::new(0),
            high: AtomicU64::new(NO_LIMIT),
            low: AtomicU64::new(0),
            min: AtomicU64::new(0),
            high_events: AtomicU64::new(0),
            low_events: AtomicU64::new(0),
            swap_max: AtomicU64::new(NO_LIMIT),
            swap_usage: AtomicU64::new(0),
            swap_peak: AtomicU64::new(0),
            swap_max_events: AtomicU64::new(0),
            pgscan: AtomicU64::new(0),
            pgsteal: AtomicU64::new(0),
            excess: AtomicU64::new(0),
            swap_excess: AtomicU64::new(0),
            tail: [0; 4],
        }
    }
}

impl Default for MemoryGroup {
    fn default() -> Self {
        Self::new()
    }
}

const _: () = assert!(size_of::<MemoryGroup>() == 192);
