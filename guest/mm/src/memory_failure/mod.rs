//! Frames whose memory is broken leave service for good (Linux mm/memory-failure.c).
//!
//! The machine says that what a frame holds can no longer be trusted. A free frame leaves the buddy lists.
//! A page that is somewhere else as well, in the store of its file or in its swap slot, is dropped, and
//! comes from there when it is needed. Any other page of a program is lost: each page-table entry that
//! mapped it names the broken frame instead ([`hwpoison_pte`](pagelab_abi::swap::hwpoison_pte)), so that
//! who comes to it gets a signal and not zeros; of a file, the error reaches fsync once, too. What is the
//! kernel's own cannot be given up: the caller ends the kernel.
//!
//! A broken frame is [`PageFlags::HWPOISON`]: alone when it is out of service; with `ALLOCATED` while
//! somebody still has it. Frees of the latter take the slow path, which ends at `retire_page`.
//!
//! * this file: what a frame is, and what follows. `buddy`: out of the free lists. `user`: out of
//!   address spaces and files. `account`: what the host sees.

mod account;
mod buddy;
#[cfg(test)]
mod tests;
mod user;

use crate::{Mm, Pfn, machine::Machine, memmap::is_head};
use core::sync::atomic::Ordering::Relaxed;
use pagelab_abi::{
    event::EventKind,
    memory_failure::{MfResult, MfType},
    page::{PageFlags, flags_of, zone_of},
};

/// What became of a broken frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Failure {
    /// What it was.
    pub kind: MfType,
    /// What could be done. After [`MfResult::Failed`] the kernel cannot go on.
    pub result: MfResult,
    /// Page-table entries that name it now instead of mapping it.
    pub entries: u32,
}

impl Failure {
    const fn new(kind: MfType, result: MfResult) -> Self {
        Self {
            kind,
            result,
            entries: 0,
        }
    }
}

impl<M: Machine + 'static> Mm<M> {
    /// Takes a frame whose memory is broken out of service. To be called between two operations: no
    /// address space and no file may be in the middle of a change.
    pub fn memory_failure(&self, pfn: Pfn) -> Failure {
        let failure = self.fail_frame(pfn);
        self.account_memory_failure(pfn, &failure);
        let what = failure.kind as u64 | (failure.result as u64) << 8;
        self.machine
            .event(EventKind::MemoryFailure, pfn.0.into(), what);
        failure
    }

    fn fail_frame(&self, pfn: Pfn) -> Failure {
        if self.map.get(pfn.0).is_none() {
            return Failure::new(MfType::Unknown, MfResult::Ignored);
        }
        if let Some((_, word)) = self.map.block_of(pfn.0)
            && flags_of(word) == PageFlags::PCP
        {
            // Other CPUs keep theirs: there is one that runs.
            self.drain_zone(zone_of(word) as usize);
        }
        let Some((head, word)) = self.map.block_of(pfn.0) else {
            return Failure::new(MfType::Kernel, MfResult::Failed);
        };
        let flags = flags_of(word);
        if head == pfn.0 && flags.contains(PageFlags::HWPOISON) || self.is_deferred(pfn) {
            return Failure::new(MfType::AlreadyPoisoned, MfResult::Ignored);
        }
        if flags.contains(PageFlags::BUDDY) {
            self.take_page_off_buddy(pfn);
            return Failure::new(MfType::Buddy, MfResult::Recovered);
        }
        if flags.intersects(PageFlags::OFFLINE | PageFlags::ISOLATED) {
            let result = match self.defer(pfn) {
                true => MfResult::Delayed,
                false => MfResult::Failed,
            };
            return Failure::new(MfType::Offline, result);
        }
        let kind = match flags {
            _ if flags.contains(PageFlags::ALLOCATED | PageFlags::LRU) => {
                return self.fail_user_page(pfn);
            }
            _ if flags.intersects(PageFlags::SLAB | PageFlags::LARGE_KMALLOC) => MfType::Slab,
            _ if flags.contains(PageFlags::ALLOCATED) => MfType::KernelHighOrder,
            _ => MfType::Kernel,
        };
        Failure::new(kind, MfResult::Failed)
    }

    /// A broken frame, of order 0 and with no reference left, is out of service from here on.
    pub(crate) fn retire_page(&self, pfn: u32) {
        let page = self.map.page(pfn);
        let word = page.flags.load(Relaxed);
        debug_assert!(is_head(word) && pagelab_abi::page::order_of(word) == 0);
        let zone = zone_of(word);
        page.refcount.store(0, Relaxed);
        page.mapping.store(0, Relaxed);
        let locked = self.lock_zone(zone as usize);
        locked.mark_hwpoison(pfn);
    }

    /// Frames that are out of service (Linux: `num_poisoned_pages`).
    pub fn hwpoison_pages(&self) -> u64 {
        let pages = |zone: &pagelab_abi::zone::Zone| u64::from(zone.hwpoison_pages.load(Relaxed));
        self.zones().iter().map(pages).sum()
    }
}
