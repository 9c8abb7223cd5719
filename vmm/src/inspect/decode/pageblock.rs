//! The pageblock table.

use std::{borrow::Cow, fmt, ops::Range};

use pagelab_abi::page::{
    MigrateType, PAGEBLOCK_MIGRATE_MASK, PAGEBLOCK_ORDER, PAGEBLOCK_PAGES, PageblockState,
    pageblock_state,
};

use super::DecodeError;
use crate::inspect::image::PhysMem;

/// One pageblock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pageblock {
    /// Its first frame.
    pub pfn: u32,
    /// Its byte in the table.
    pub byte: u8,
}

impl Pageblock {
    /// Which of its descriptors are valid.
    pub fn state(self) -> PageblockState {
        pageblock_state(self.byte)
    }

    /// Its migrate type, if the number is one.
    pub fn migrate(self) -> Option<MigrateType> {
        MigrateType::from_u32(u32::from(self.byte & PAGEBLOCK_MIGRATE_MASK))
    }

    /// Its frames whose descriptors may be read.
    pub fn described(self) -> Range<u32> {
        let frames = match self.state() {
            PageblockState::Ready => PAGEBLOCK_PAGES,
            PageblockState::Untouched => 1,
            PageblockState::Reserved | PageblockState::Hole => 0,
        };
        self.pfn..self.pfn + frames
    }
}

/// All pageblocks.
pub struct Pageblocks<'m> {
    pfns: Range<u32>,
    bytes: Cow<'m, [u8]>,
}

impl fmt::Debug for Pageblocks<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pageblocks(pfns {:#x?})", self.pfns)
    }
}

impl<'m> Pageblocks<'m> {
    /// The table for `pfns`, whose ends are multiples of [`PAGEBLOCK_PAGES`], at `gpa`.
    pub(super) fn new(
        mem: &'m dyn PhysMem,
        gpa: u64,
        pfns: Range<u32>,
    ) -> Result<Self, DecodeError> {
        let len = pfns.len() >> PAGEBLOCK_ORDER;
        let bytes = match mem.slice(gpa, len) {
            Some(bytes) => Cow::Borrowed(bytes),
            None => {
                let mut bytes = vec![0; len];
                mem.read(gpa, &mut bytes)
                    .map_err(DecodeError::unreadable("pageblock table"))?;
                Cow::Owned(bytes)
            }
        };
        Ok(Self { pfns, bytes })
    }

    /// The pageblock that a frame is in.
    #[inline]
    pub fn of(&self, pfn: u32) -> Option<Pageblock> {
        let index = pfn.checked_sub(self.pfns.start)? >> PAGEBLOCK_ORDER;
        let byte = *self.bytes.get(index as usize)?;
        let pfn = self.pfns.start + (index << PAGEBLOCK_ORDER);
        Some(Pageblock { pfn, byte })
    }

    /// The pageblocks that have a frame in `pfns`.
    pub fn within(&self, pfns: Range<u32>) -> impl Iterator<Item = Pageblock> {
        let start = pfns.start.max(self.pfns.start) / PAGEBLOCK_PAGES * PAGEBLOCK_PAGES;
        let end = pfns.end.min(self.pfns.end);
        (start..end)
            .step_by(PAGEBLOCK_PAGES as usize)
            .filter_map(|pfn| self.of(pfn))
    }
}
