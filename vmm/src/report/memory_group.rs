//! Memory groups in the report.

use crate::size::ByteSize;
use pagelab_abi::{
    PAGE_SIZE,
    memcg::{self, NO_LIMIT},
};
use schemars::JsonSchema;
use serde::Serialize;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// A group of processes with a limit on its memory, when it was last looked at.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct MemoryGroup {
    /// Its number, 1 to 15.
    pub number: u32,
    /// The most that may be charged, in bytes; none without a limit.
    pub max: Option<ByteSize>,
    /// What is charged, in bytes.
    pub current: ByteSize,
    /// The most that was ever charged, in bytes.
    pub peak: ByteSize,
    /// The group that it is part of; 0 for the root.
    pub parent: u32,
    /// Above this its processes are slowed down, in bytes; none without such a limit.
    pub high: Option<ByteSize>,
    /// The most swap that may be charged, in bytes; none without a limit.
    pub swap_max: Option<ByteSize>,
    /// Swap that is charged, in bytes.
    pub swap_current: ByteSize,
    /// The most swap that was ever charged, in bytes.
    pub swap_peak: ByteSize,
    /// Pages that reclaim has looked at, those of groups in it among them.
    pub pgscan: u64,
    /// Pages that it has freed.
    pub pgsteal: u64,
    /// Times that pages were taken although the group had no more than its `low`.
    pub low_events: u64,
    /// Times that it was above `high`.
    pub high_events: u64,
    /// Charges that the limit was in the way of.
    pub max_events: u64,
    /// Times that nothing could be reclaimed for one.
    pub oom_events: u64,
    /// Processes of the group that were killed for want of memory.
    pub oom_kills: u64,
}

impl MemoryGroup {
    /// The group with this number, if there is or was one.
    pub(crate) fn of(number: usize, group: &memcg::MemoryGroup) -> Option<Self> {
        let count = |count: &AtomicU64| count.load(Relaxed);
        let bytes = |pages: &AtomicU64| ByteSize(count(pages).saturating_mul(PAGE_SIZE));
        let limit = |pages: &AtomicU64| (count(pages) != NO_LIMIT).then(|| bytes(pages));
        let was_used = group.online.load(Relaxed) != 0 || count(&group.peak) > 0;
        was_used.then(|| Self {
            number: number as u32,
            max: limit(&group.max),
            current: bytes(&group.usage),
            peak: bytes(&group.peak),
            parent: group.parent.load(Relaxed),
            high: limit(&group.high),
            swap_max: limit(&group.swap_max),
            swap_current: bytes(&group.swap_usage),
            swap_peak: bytes(&group.swap_peak),
            pgscan: count(&group.pgscan),
            pgsteal: count(&group.pgsteal),
            low_events: count(&group.low_events),
            high_events: count(&group.high_events),
            max_events: count(&group.max_events),
            oom_events: count(&group.oom_events),
            oom_kills: count(&group.oom_kills),
        })
    }
}
