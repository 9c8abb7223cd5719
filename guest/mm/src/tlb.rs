//! What the CPU may still have cached of a translation that is gone
//! (Linux include/asm-generic/tlb.h: `struct mmu_gather`).

use crate::{Mm, Pfn, machine::Machine};
use pagelab_abi::{PAGE_SHIFT, PAGE_SIZE};

/// Frames that wait for one flush.
const BATCH: usize = 64;

/// Pages that are flushed one by one; above, the whole TLB is cheaper (Linux:
/// `tlb_single_page_flush_ceiling`).
const SINGLE_PAGE_CEILING: u64 = 33;

/// Translations that were taken away or narrowed, and the frames that they led to. These are not
/// freed before the CPU has forgotten the translations.
#[must_use = "frames leak, and the CPU goes on using them, unless `finish` is called"]
pub(crate) struct TlbGather<'a, M: Machine + 'static> {
    mm: &'a Mm<M>,
    /// Lowest page changed.
    start: u64,
    /// End of the highest page changed.
    end: u64,
    /// Nodes are among the frames, or the pages are too many.
    all: bool,
    count: usize,
    frames: [Pfn; BATCH],
}

impl<'a, M: Machine + 'static> TlbGather<'a, M> {
    /// Nothing was changed yet.
    #[inline]
    pub(crate) fn new(mm: &'a Mm<M>) -> Self {
        Self {
            mm,
            start: u64::MAX,
            end: 0,
            all: false,
            count: 0,
            frames: [Pfn(0); BATCH],
        }
    }

    /// The entry of a page was narrowed, or taken away with no frame to give back.
    #[inline(always)]
    pub(crate) fn change(&mut self, address: u64) {
        self.start = self.start.min(address);
        self.end = self.end.max(address + PAGE_SIZE);
    }

    /// The entry of a page was taken away, and its reference to a frame is to be given back.
    #[inline(always)]
    pub(crate) fn remove_page(&mut self, address: u64, pfn: Pfn) {
        self.change(address);
        self.push(pfn);
    }

    /// A node was taken out of the tables.
    pub(crate) fn remove_node(&mut self, address: u64, pfn: Pfn) {
        self.change(address);
        self.all = true;
        self.push(pfn);
    }

    #[inline(always)]
    fn push(&mut self, pfn: Pfn) {
        self.frames[self.count] = pfn;
        self.count += 1;
        if self.count == BATCH {
            self.flush();
        }
    }

    /// Makes the CPU forget, then gives the frames back.
    fn flush(&mut self) {
        if self.start < self.end {
            let machine = &self.mm.machine;
            let pages = (self.end - self.start) >> PAGE_SHIFT;
            if self.all || pages > SINGLE_PAGE_CEILING {
                machine.flush_tlb_all();
            } else {
                machine.flush_tlb_range(self.start, pages);
            }
        }
        (self.start, self.end, self.all) = (u64::MAX, 0, false);
        // Taken out first: events happen while they are given back.
        let count = core::mem::take(&mut self.count);
        for &pfn in &self.frames[..count] {
            self.mm.put_page_inline(pfn);
        }
    }

    /// Spends the token.
    #[inline]
    pub(crate) fn finish(mut self) {
        self.flush();
    }
}

impl<M: Machine + 'static> Drop for TlbGather<'_, M> {
    fn drop(&mut self) {
        debug_assert!(self.count == 0 && self.start >= self.end, "not finished");
    }
}
