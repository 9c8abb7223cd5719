//! Fills page tables while the entry code's map of the first GiB is still there.

use super::{BootFrames, Flags, early};
use core::ops::Range;

/// Boot ran out of page frames below the first GiB.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NoFrames;

const ENTRIES: u64 = 512;
const PAGE_SHIFT: u32 = 12;
const LARGE_SHIFT: u32 = 21;

/// An entry that refers to another table. Rights are decided by the last level.
const TABLE: Flags = Flags::PRESENT.union(Flags::WRITABLE).union(Flags::ACCESSED);

/// Physical address bits of an entry.
const ADDRESS: u64 = 0x000f_ffff_ffff_f000;

/// A tree of page tables under construction.
pub(crate) struct Mapper<'a> {
    root: u64,
    frames: BootFrames<'a>,
}

impl<'a> Mapper<'a> {
    /// An empty tree.
    pub(crate) fn new(frames: BootFrames<'a>) -> Result<Self, NoFrames> {
        let root = frames(1).ok_or(NoFrames)?;
        Ok(Self { root, frames })
    }

    /// Physical address of the top-level table.
    pub(crate) fn root(&self) -> u64 {
        self.root
    }

    /// Maps physical memory at a virtual address, both page-aligned, with 2 MiB pages where
    /// alignment and size allow.
    pub(crate) fn map(
        &mut self,
        at: u64,
        physical: Range<u64>,
        flags: Flags,
    ) -> Result<(), NoFrames> {
        let (mut at, mut from) = (at, physical.start);
        while from < physical.end {
            let left = physical.end - from;
            let aligned = (at | from) & ((1 << LARGE_SHIFT) - 1) == 0;
            let large = aligned && left >> LARGE_SHIFT != 0;
            let shift = if large { LARGE_SHIFT } else { PAGE_SHIFT };
            let flags = if large {
                flags | Flags::HUGE_PAGE
            } else {
                flags
            };
            let index = (at >> shift) % ENTRIES;
            let mut count = (left >> shift).min(ENTRIES - index);
            if !large && left >> LARGE_SHIFT != 0 && (at ^ from) % (1 << LARGE_SHIFT) == 0 {
                // Up to the next 2 MiB boundary only: large pages can follow.
                count = count.min(((1 << LARGE_SHIFT) - at % (1 << LARGE_SHIFT)) >> PAGE_SHIFT);
            }
            let table = self.table(at, shift)? + index * 8;
            for i in 0..count {
                let entry = (from + (i << shift)) | flags.bits();
                // SAFETY: `i + index` is below 512, in a table of this tree, which no CPU uses yet.
                unsafe { (early(table + i * 8) as *mut u64).write(entry) };
            }
            at += count << shift;
            from += count << shift;
        }
        Ok(())
    }

    /// Physical address of the last-level table for an address, made if it is not there.
    pub(crate) fn last_level(&mut self, at: u64) -> Result<u64, NoFrames> {
        self.table(at, PAGE_SHIFT)
    }

    /// Physical address of the table whose entries map `1 << shift` bytes each, around `at`.
    fn table(&mut self, at: u64, shift: u32) -> Result<u64, NoFrames> {
        let mut table = self.root;
        let mut level_shift = 39;
        while level_shift > shift {
            let entry = early(table + (at >> level_shift) % ENTRIES * 8) as *mut u64;
            // SAFETY: an entry of a table of this tree, which no CPU uses yet.
            let value = unsafe { entry.read() };
            table = if value == 0 {
                let new = (self.frames)(1).ok_or(NoFrames)?;
                // SAFETY: as above.
                unsafe { entry.write(new | TABLE.bits()) };
                new
            } else {
                value & ADDRESS
            };
            level_shift -= 9;
        }
        Ok(table)
    }
}
