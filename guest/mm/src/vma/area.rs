//! What an area says, apart from its place in the tree.

use super::VmaError;
use core::sync::atomic::Ordering::Relaxed;
use pagelab_abi::{
    PAGE_SHIFT, PAGE_SIZE,
    vma::{NO_FILE, STACK_GUARD_GAP, VmFlags, Vma},
};

/// What the pages of an area come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backing {
    /// Zeros.
    Anonymous {
        /// Page number of the address at which the area's start was when it was mapped.
        pgoff: u64,
    },
    /// A file.
    File {
        /// The file's number, not [`NO_FILE`].
        file: u64,
        /// Page of the file at the area's start.
        pgoff: u64,
    },
}

impl Backing {
    /// That of a fresh anonymous area at `start`.
    pub const fn anonymous(start: u64) -> Self {
        Self::Anonymous {
            pgoff: start >> PAGE_SHIFT,
        }
    }

    /// The same, `pages` further on (negative: further back).
    #[must_use]
    pub const fn advanced(self, pages: i64) -> Self {
        match self {
            Self::Anonymous { pgoff } => Self::Anonymous {
                pgoff: pgoff.wrapping_add_signed(pages),
            },
            Self::File { file, pgoff } => Self::File {
                file,
                pgoff: pgoff.wrapping_add_signed(pages),
            },
        }
    }
}

/// An area, by value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Area {
    /// First address.
    pub start: u64,
    /// First address behind it.
    pub end: u64,
    /// Rights and properties.
    pub flags: VmFlags,
    /// Where its pages come from.
    pub backing: Backing,
}

impl Area {
    /// What an area in RAM says.
    pub fn of(vma: &Vma) -> Self {
        let pgoff = vma.pgoff.load(Relaxed);
        Self {
            start: vma.start.load(Relaxed),
            end: vma.end.load(Relaxed),
            flags: VmFlags::from_bits_retain(vma.flags.load(Relaxed)),
            backing: match vma.file.load(Relaxed) {
                NO_FILE => Backing::Anonymous { pgoff },
                file => Backing::File { file, pgoff },
            },
        }
    }

    /// Pages in it.
    pub const fn pages(&self) -> u64 {
        (self.end - self.start) >> PAGE_SHIFT
    }

    /// Place of the page at an address inside it, as [`Vma::pgoff`] counts (Linux:
    /// `linear_page_index`).
    #[inline(always)]
    pub const fn page_index(&self, address: u64) -> u64 {
        let (Backing::Anonymous { pgoff } | Backing::File { pgoff, .. }) = self.backing;
        pgoff.wrapping_add((address - self.start) >> PAGE_SHIFT)
    }

    /// Whether this area and `next` could be one (Linux mm/mmap.c: `can_vma_merge_after`): they
    /// touch, their flags are equal but for `SOFTDIRTY`, none of [`VmFlags::SPECIAL`] is among
    /// them, and the backing goes on where this one's ends.
    pub fn can_merge(&self, next: &Self) -> bool {
        self.end == next.start
            && ((self.flags ^ next.flags) - VmFlags::SOFTDIRTY).is_empty()
            && !self.flags.intersects(VmFlags::SPECIAL)
            && self.backing.advanced(self.pages() as i64) == next.backing
    }

    /// Bounds of a legal area, and of a file that has a number.
    pub(super) fn check(&self) -> Result<(), VmaError> {
        check_range(self.start, self.end)?;
        match self.backing {
            Backing::File { file: NO_FILE, .. } => Err(VmaError::NoFile),
            _ => Ok(()),
        }
    }

    /// Writes it down. The links stay.
    pub(super) fn store(&self, vma: &Vma) {
        let (file, pgoff) = match self.backing {
            Backing::Anonymous { pgoff } => (NO_FILE, pgoff),
            Backing::File { file, pgoff } => (file, pgoff),
        };
        vma.start.store(self.start, Relaxed);
        vma.end.store(self.end, Relaxed);
        vma.flags.store(self.flags.bits(), Relaxed);
        vma.file.store(file, Relaxed);
        vma.pgoff.store(pgoff, Relaxed);
    }
}

/// A range that can be an area: not empty, and page-aligned.
pub(super) fn check_range(start: u64, end: u64) -> Result<(), VmaError> {
    for address in [start, end] {
        check_aligned(address)?;
    }
    if start >= end {
        return Err(VmaError::Empty { start, end });
    }
    Ok(())
}

/// Whether an address is a page's first.
pub(super) fn check_aligned(address: u64) -> Result<(), VmaError> {
    if address.is_multiple_of(PAGE_SIZE) {
        Ok(())
    } else {
        Err(VmaError::NotAligned { address })
    }
}

/// Where the gap below an area ends (Linux include/linux/mm.h: `vm_start_gap`).
pub(super) fn start_gap(vma: &Vma) -> u64 {
    let start = vma.start.load(Relaxed);
    let grows = vma.flags.load(Relaxed) & VmFlags::GROWSDOWN.bits() != 0;
    start.saturating_sub(if grows { STACK_GUARD_GAP } else { 0 })
}
