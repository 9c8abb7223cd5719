//! Many blocks at once between the free lists and a per-CPU list.
//!
//! The result is that of taking and freeing them one by one, as Linux does (`rmqueue_bulk`,
//! `free_pcppages_bulk`): blocks taken in a row come from one larger block in ascending order
//! anyhow, and which blocks are free after all merging depends only on which frames are. So a
//! larger block is cut up in one go, without lists for its pieces, and neighbours are joined before
//! they look for their buddies.

use crate::{
    buddy::{End, LockedZone},
    memmap::sub,
};
use core::sync::atomic::Ordering::Relaxed;
use pagelab_abi::page::{MAX_ORDER, MigrateType, PAGEBLOCK_ORDER, PAGEBLOCK_PAGES};

/// Blocks of one order that lie one after the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Run {
    /// First frame.
    start: u32,
    /// Frame after the last one.
    end: u32,
    /// Order of each block.
    order: u32,
}

impl Run {
    /// One block.
    pub(crate) const fn new(pfn: u32, order: u32) -> Self {
        Self {
            start: pfn,
            end: pfn + (1 << order),
            order,
        }
    }

    /// Adds a block at either end. False if it is not a neighbour, or of another order.
    pub(crate) const fn join(&mut self, pfn: u32, order: u32) -> bool {
        if order != self.order {
            return false;
        }
        if pfn + (1 << order) == self.start {
            self.start = pfn;
        } else if pfn == self.end {
            self.end += 1 << order;
        } else {
            return false;
        }
        true
    }
}

impl LockedZone<'_> {
    /// Takes up to `count` blocks of an order for a type, and gives each to `each`. Returns how
    /// many there were.
    pub(crate) fn take_bulk(
        &self,
        order: u32,
        migrate: MigrateType,
        count: u32,
        mut each: impl FnMut(u32),
    ) -> u32 {
        let mut taken = 0;
        while taken < count {
            if let Some(blocks) = self.cut_smallest(order, migrate, count - taken, &mut each) {
                taken += blocks;
            } else if let Some(pfn) = self.take(order, migrate) {
                // Of another type: that decides block by block.
                each(pfn);
                taken += 1;
            } else {
                break;
            }
        }
        taken
    }

    /// Takes as many blocks as wanted and possible from the smallest free block that is large
    /// enough.
    fn cut_smallest(
        &self,
        order: u32,
        migrate: MigrateType,
        wanted: u32,
        each: &mut impl FnMut(u32),
    ) -> Option<u32> {
        let (current, pfn) =
            (order..=MAX_ORDER).find_map(|o| Some((o, self.first(o, migrate)?)))?;
        self.unlink(pfn, current, migrate);
        let blocks = wanted.min(1 << (current - order));
        let (rest, end) = (pfn + (blocks << order), pfn + (1 << current));
        if current > order && current >= PAGEBLOCK_ORDER {
            let cut = rest.next_multiple_of(PAGEBLOCK_PAGES).min(end);
            for pageblock in (pfn..cut).step_by(PAGEBLOCK_PAGES as usize) {
                self.map.touch(pageblock);
            }
        }
        for block in 0..blocks {
            each(pfn + (block << order));
        }
        let mut rest = rest;
        while rest < end {
            let piece = rest.trailing_zeros();
            self.push(rest, piece, migrate, End::Head);
            rest += 1 << piece;
        }
        sub(&self.zone.free_pages, blocks << order);
        Some(blocks)
    }

    /// Frees a run of blocks, in pieces as large as possible.
    pub(crate) fn free_run(&self, run: Run) {
        let Run { start, end, order } = run;
        let mut pfn = start;
        while pfn < end {
            let piece = pfn
                .trailing_zeros()
                .min((end - pfn).ilog2())
                .min(PAGEBLOCK_ORDER);
            let frames = self.map.range(pfn, pfn + (1 << piece));
            // All heads but the first are inside a block now.
            for head in frames.iter().step_by(1 << order).skip(1) {
                head.flags.store(0, Relaxed);
            }
            self.free(pfn, piece, End::Head);
            pfn += 1 << piece;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Run;

    #[test]
    fn runs_grow_at_both_ends_with_blocks_of_their_order() {
        let mut run = Run::new(8, 1);
        assert!(run.join(10, 1) && run.join(6, 1));
        assert_eq!((run.start, run.end), (6, 12));
        assert!(!run.join(14, 1) && !run.join(2, 1) && !run.join(12, 0));
        assert_eq!((run.start, run.end), (6, 12));
    }
}
