//! Pages in a row, before they are a [`Mapping`]: made for each run of entries, so small and cheap
//! to compare.

use super::{
    bits::{ADDRESS, G, NX, P, PAT, PAT_LARGE, PCD, PKEY, PKEY_SHIFT, PWT, U, W},
    entry::{PageSize, level_shift},
    rights::{Gathered, LeafRights},
    visit::Mapping,
};

/// Bits of a level-1 entry that matter, the protection key aside.
pub(super) const LEAF_MASK: u64 = P | W | U | PWT | PCD | PAT | G | ADDRESS | NX;

/// As [`LEAF_MASK`], for an entry of `level`: PAT of a large page is among the address bits.
pub(super) const fn leaf_mask(level: u8) -> u64 {
    if level == 1 {
        LEAF_MASK
    } else {
        LEAF_MASK & !PAT
    }
}

/// Where a tag keeps the level: bits that mean nothing in an entry.
const LEVEL_SHIFT: u32 = 9;

/// Contiguous pages with equal attributes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Run {
    /// First virtual address.
    pub(super) va: u64,
    /// Bytes.
    pub(super) len: u64,
    /// First physical address.
    pub(super) gpa: u64,
    /// All else, as the bits of a level-1 entry: rights of all levels together, cache bits, key,
    /// and the level.
    tag: u64,
}

impl Run {
    /// `count` pages of `level` from `va` on. `key` is the first entry, with no other bits than
    /// [`leaf_mask`] and the key; `above` are the rights that the tables above it give.
    #[inline]
    pub(super) fn new(va: u64, level: u8, count: u64, key: u64, above: Gathered) -> Self {
        let page = 1u64 << level_shift(level);
        let pat = if level == 1 {
            0
        } else {
            (key & PAT_LARGE) >> 5
        };
        let own = (key & !ADDRESS) | pat | u64::from(level) << LEVEL_SHIFT;
        Self {
            va,
            len: count << level_shift(level),
            gpa: key & ADDRESS & !(page - 1),
            tag: above.narrow(own),
        }
    }

    /// Whether `next` goes on where this ends.
    #[inline]
    pub(super) fn joins(&self, next: &Self) -> bool {
        self.va.wrapping_add(self.len) == next.va
            && self.gpa + self.len == next.gpa
            && self.tag == next.tag
    }

    /// Pages in it.
    #[inline]
    pub(super) fn pages(&self) -> u64 {
        self.len >> level_shift(self.level())
    }

    fn level(&self) -> u8 {
        (self.tag >> LEVEL_SHIFT) as u8 & 3
    }

    /// The mapping that it is.
    #[inline]
    pub(super) fn mapping(&self) -> Mapping {
        let tag = self.tag;
        let user = tag & U != 0;
        Mapping {
            va: self.va,
            len: self.len,
            gpa: self.gpa,
            page_size: PageSize::of_level(self.level()),
            rights: LeafRights {
                user,
                write: tag & W != 0,
                execute: tag & NX == 0,
                pkey: if user {
                    ((tag & PKEY) >> PKEY_SHIFT) as u8
                } else {
                    0
                },
            },
            pat_index: ((tag & (PWT | PCD)) >> 3 | (tag & PAT) >> 5) as u8,
            global: tag & G != 0,
        }
    }
}
