//! Broken frames at a safe point (Linux mm/memory-failure.c: `memory_failure`, `action_result`).

use crate::{arch::machine_check, memory::mm};
use pagelab_abi::memory_failure::MfResult;
use pagelab_mm::Pfn;

/// Deals with all frames that machine checks have named.
#[cold]
#[inline(never)]
pub(crate) fn deal_with_noted() {
    while let Some(pfn) = machine_check::take() {
        let failure = mm().memory_failure(Pfn(pfn));
        let (kind, result) = (failure.kind.name(), failure.result.name());
        if failure.result == MfResult::Failed {
            panic!("Memory failure: {pfn:#x}: unrecoverable: {kind}");
        }
        log::warn!("Memory failure: {pfn:#x}: recovery action for {kind}: {result}");
    }
}
