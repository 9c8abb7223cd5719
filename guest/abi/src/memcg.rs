//! Groups of processes with a limit on their memory (Linux mm/memcontrol.c, cgroup v2).
//!
//! A group is a place in [`crate::mm::MmState::memory_groups`], whose number stands in
//! [`crate::task::TaskStruct::memory_group`] of its processes and in bits 28 to 31 of
//! [`crate::page::Page::flags`] of the pages that are charged to it: pages of programs and of the page
//! cache that were allocated while one of its processes ran. Group 0 is the root: it has no limit, and
//! nothing is charged to it.

use core::sync::atomic::{AtomicU32, AtomicU64};
use zerocopy::{FromBytes, IntoBytes, KnownLayout};

/// [`MemoryGroup::max`] of a group without a limit.
pub const NO_LIMIT: u64 = u64::MAX;

/// Command line key: limit in bytes of a group of its own for the first program,
/// `memory.max=16777216` (Linux: the file of that name in the group's directory).
pub const CMDLINE_MEMORY_MAX: &str = "memory.max";

/// A group. Amounts are in pages.
#[derive(Debug, FromBytes, IntoBytes, KnownLayout)]
#[repr(C, align(64))]
pub struct MemoryGroup {
    /// Not zero while the group exists.
    pub online: AtomicU32,
    /// Zero.
    pub reserved: u32,
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
    /// Zero.
    pub tail: u64,
}

impl MemoryGroup {
    /// No group.
    pub const fn new() -> Self {
        Self {
            online: AtomicU32::new(0),
            reserved: 0,
            max: AtomicU64::new(NO_LIMIT),
            usage: AtomicU64::new(0),
            peak: AtomicU64::new(0),
            max_events: AtomicU64::new(0),
            oom_events: AtomicU64::new(0),
            oom_kills: AtomicU64::new(0),
            tail: 0,
        }
    }
}

impl Default for MemoryGroup {
    fn default() -> Self {
        Self::new()
    }
}

const _: () = assert!(size_of::<MemoryGroup>() == 64);
