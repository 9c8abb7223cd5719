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
        let was_used = group.online.load(Relaxed) != 0 || count(&group.peak) > 0;
        was_used.then(|| Self {
            number: number as u32,
            max: (count(&group.max) != NO_LIMIT).then(|| bytes(&group.max)),
            current: bytes(&group.usage),
            peak: bytes(&group.peak),
            max_events: count(&group.max_events),
            oom_events: count(&group.oom_events),
            oom_kills: count(&group.oom_kills),
        })
    }
}
