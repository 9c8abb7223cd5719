//! What the host sees, and broken frames that cannot be reached yet.

use super::Failure;
use crate::{
    Mm, Order, Pfn,
    machine::Machine,
    memmap::{add, count, sub},
};
use core::sync::atomic::Ordering::Relaxed;
use pagelab_abi::memory_failure::MemoryFailureState;

impl<M: Machine + 'static> Mm<M> {
    fn memory_failures(&self) -> &'static MemoryFailureState {
        &self.state.memory_failure
    }

    /// Writes a failure into the account.
    pub(super) fn account_memory_failure(&self, pfn: Pfn, failure: &Failure) {
        let state = self.memory_failures();
        let number = state.total.load(Relaxed);
        count(&state.total, 1);
        count(&state.results[failure.result as usize], 1);
        let record = usize::try_from(number).map_or(None, |at| state.failures.get(at));
        if let Some(record) = record {
            record.pfn.store(pfn.0, Relaxed);
            record.kind.store(failure.kind as u32, Relaxed);
            record.result.store(failure.result as u32, Relaxed);
            record.entries.store(failure.entries, Relaxed);
        }
    }

    /// A program comes to a page that was lost, and is told.
    #[cold]
    pub(crate) fn count_hwpoison_reported(&self) {
        count(&self.memory_failures().reported, 1);
    }

    /// Notes a broken frame of a block that the balloon has, or that is being reported. False if no
    /// more can be noted.
    pub(super) fn defer(&self, pfn: Pfn) -> bool {
        let state = self.memory_failures();
        let number = state.nr_deferred.load(Relaxed);
        let Some(slot) = state.deferred.get(number as usize) else {
            return false;
        };
        slot.store(pfn.0, Relaxed);
        add(&state.nr_deferred, 1);
        true
    }

    /// Whether a frame is noted.
    pub(super) fn is_deferred(&self, pfn: Pfn) -> bool {
        let state = self.memory_failures();
        let noted = state.nr_deferred.load(Relaxed) as usize;
        let mut frames = state.deferred.iter().take(noted);
        frames.any(|frame| frame.load(Relaxed) == pfn.0)
    }

    /// A block has come back and is free: broken frames of it go out of service.
    #[inline]
    pub(crate) fn block_came_back(&self, pfn: Pfn, order: Order) {
        if self.memory_failures().nr_deferred.load(Relaxed) != 0 {
            self.retire_deferred(pfn, order);
        }
    }

    #[cold]
    fn retire_deferred(&self, pfn: Pfn, order: Order) {
        let state = self.memory_failures();
        let mut at = 0;
        while at < state.nr_deferred.load(Relaxed) as usize {
            let Some(slot) = state.deferred.get(at) else {
                return;
            };
            let frame = slot.load(Relaxed);
            if !(pfn.0..pfn.0 + order.pages()).contains(&frame) {
                at += 1;
                continue;
            }
            // The last one takes its place.
            sub(&state.nr_deferred, 1);
            let last = state.nr_deferred.load(Relaxed) as usize;
            let last = state.deferred.get(last).map_or(0, |it| it.load(Relaxed));
            slot.store(last, Relaxed);
            self.memory_failure(Pfn(frame));
        }
    }
}
