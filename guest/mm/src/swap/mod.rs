//! Swap: pages of programs on a device (Linux mm/swapfile.c, mm/swap_state.c, mm/page_io.c).
//!
//! What it looks like in RAM is told in [`pagelab_abi::swap`]; the device is behind
//! [`Machine::swap_read`] and [`Machine::swap_write`].
//!
//! * `info`: the map of the slots, made by [`Mm::swapon`]. `slots`: which are free; who leads to them.
//! * `cache`: slots whose page is in memory. `write`: pages out, `read`: pages in, each time several at
//!   once. `readahead`: what comes along.
//! * `validate`: everything that must hold, checked.
//!
//! # How a page goes out and comes back
//!
//! [`Mm::swap_out`] writes the page while it is still mapped, so that a device that fails costs
//! nothing: the slot is given up as bad and another one tried. When it succeeds the page is in the
//! swap cache, and the caller puts [`SwapEntry::to_pte`] into each page-table entry that maps it, with
//! [`Mm::swap_duplicate`] for each, and then takes it out of the cache by
//! [`Mm::delete_from_swap_cache`]. Nobody may write to the page meanwhile, so entries that allow it
//! are made read-only before.
//!
//! [`Mm::swap_in`] finds the page in the cache or reads it, and leaves it there for the other
//! entries that lead to the slot; the caller maps it and calls [`Mm::swap_free`] for its entry. With
//! the last entry the page leaves the cache, and the slot is free. While it is in the cache
//! it has a reference for that, so it is not written in place: it is shared. For the same reason a
//! page of the cache is what its slot has, and goes out without being written once more.
//!
//! In the cache the descriptor's `private` is the slot. What the page's users have put there, which
//! must not change as long as the page lives, is [`Mm::page_index`].
//!
//! # Locks
//!
//! [`SwapInfo::lock`](pagelab_abi::swap::SwapInfo::lock), under which slots change. Nothing is allocated,
//! freed, read, written, or counted as an event under it.

mod cache;
mod info;
mod read;
mod readahead;
mod slots;
#[cfg(test)]
mod tests;
mod validate;
mod write;

pub(crate) use info::Swap;
pub use info::SwapOnError;
pub use validate::Violation;
pub(crate) use write::SwapWrites;

#[cfg(doc)]
use crate::{Mm, machine::Machine};

use crate::AllocError;
use core::fmt;
use pagelab_abi::swap::{MAX_SWAPFILES, swap_of_pte, swap_pte};

/// A slot, as an entry of a page table names it. Whether there is such a slot, and whether it is in
/// use, is noticed when it is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SwapEntry {
    slot: u64,
}

impl SwapEntry {
    /// Reads a page-table entry. None if it does not lead to swap, or to a device that there cannot be.
    pub const fn of_pte(pte: u64) -> Option<Self> {
        match swap_of_pte(pte) {
            Some((kind, slot)) if kind < MAX_SWAPFILES => Some(Self { slot }),
            _ => None,
        }
    }

    /// The slot with this number.
    pub(crate) const fn of_slot(slot: u64) -> Self {
        Self { slot }
    }

    /// The page-table entry.
    pub const fn to_pte(self) -> u64 {
        swap_pte(0, self.slot)
    }

    /// Number of the slot.
    pub const fn slot(self) -> u64 {
        self.slot
    }
}

/// Why a page did not go out or come back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SwapError {
    /// There is no swap device.
    NoSwap,
    /// No slot is free, or the page's memory group may not have another one.
    Full,
    /// The device failed, more than once.
    Io,
    /// There is no such slot, or nothing is in it: the page table is corrupt.
    BadEntry,
    /// More entries lead to the slot than can be counted.
    Overflow,
    /// The page is in the swap cache already.
    Cached,
    /// There is no memory for the page.
    NoMemory(AllocError),
}

impl fmt::Display for SwapError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoSwap => "there is no swap device",
            Self::Full => "the swap device is full",
            Self::Io => "the swap device failed",
            Self::BadEntry => "nothing is in the swap slot",
            Self::Overflow => "too many entries lead to the swap slot",
            Self::Cached => "the page is in the swap cache already",
            Self::NoMemory(error) => return error.fmt(f),
        })
    }
}

impl core::error::Error for SwapError {}
