//! What the guest made of frames whose memory is broken.

use std::{fmt, sync::atomic::Ordering::Relaxed};

use pagelab_abi::memory_failure::{MEMORY_FAILURES, MfResult, MfType};

use super::Snapshot;

/// What became of one frame, as the guest tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemoryFailure {
    /// The frame.
    pub pfn: u32,
    /// What it was; none for a number that is no type.
    pub kind: Option<MfType>,
    /// What could be done; none for a number that is no result.
    pub result: Option<MfResult>,
    /// Page-table entries that name the frame now instead of mapping it.
    pub entries: u32,
}

impl Snapshot<'_> {
    /// The first failures of the run.
    pub fn memory_failures(&self) -> Vec<MemoryFailure> {
        let state = &self.mm_state().memory_failure;
        let kept = state.total.load(Relaxed).min(MEMORY_FAILURES as u64) as usize;
        let failures = state.failures[..kept].iter();
        failures
            .map(|failure| MemoryFailure {
                pfn: failure.pfn.load(Relaxed),
                kind: MfType::from_u32(failure.kind.load(Relaxed)),
                result: MfResult::from_u32(failure.result.load(Relaxed)),
                entries: failure.entries.load(Relaxed),
            })
            .collect()
    }
}

impl fmt::Display for MemoryFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = self.kind.map_or("unknown", MfType::name);
        let result = self.result.map_or("unknown", MfResult::name);
        write!(f, "{kind}: {result}")?;
        match self.entries {
            0 => Ok(()),
            1 => f.write_str(", lost to 1 page-table entry"),
            many => write!(f, ", lost to {many} page-table entries"),
        }
    }
}
