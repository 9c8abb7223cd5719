//! What the guest has made its CPU forget of the translations of programs' addresses.
//!
//! Nobody can see from outside what a CPU has cached. But a CPU that is not told to forget a translation may
//! use it for ever, so what can be seen is enough: the entries of page tables that took rights away since
//! an earlier moment, and the flushes since then.

use core::sync::atomic::{AtomicU64, Ordering::Relaxed};
use zerocopy::{FromBytes, IntoBytes, KnownLayout};

/// Flushes that are kept.
pub const RECENT_FLUSHES: usize = 32;

/// Most pages of a flush that is not of all.
pub const MAX_FLUSH_PAGES: u64 = 0xfff;

/// The last flushes, written by the one CPU.
#[derive(Debug, FromBytes, IntoBytes, KnownLayout)]
#[repr(C)]
pub struct TlbFlushes {
    /// Flushes since boot (Linux: `mm->context.tlb_gen`, which is one address space's).
    pub tlb_gen: AtomicU64,
    /// The last of them: number `n`, counted from 0, in element `n` modulo [`RECENT_FLUSHES`], as
    /// [`Flush::to_word`] writes it.
    pub recent: [AtomicU64; RECENT_FLUSHES],
}

/// What one flush is of, in whichever address space.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flush {
    /// All addresses.
    All,
    /// So many pages, 1 to [`MAX_FLUSH_PAGES`], from this address on, which is a page's first.
    Pages(u64, u64),
}

impl TlbFlushes {
    /// No flush yet.
    pub const fn new() -> Self {
        Self {
            tlb_gen: AtomicU64::new(0),
            recent: [const { AtomicU64::new(0) }; RECENT_FLUSHES],
        }
    }

    /// Notes a flush.
    #[inline(always)]
    pub fn note(&self, flush: Flush) {
        let number = self.tlb_gen.load(Relaxed);
        self.recent[number as usize % RECENT_FLUSHES].store(flush.to_word(), Relaxed);
        self.tlb_gen.store(number + 1, Relaxed);
    }

    /// The flushes from number `from` on; none if they are not all kept.
    pub fn since(&self, from: u64) -> Option<impl Iterator<Item = Flush>> {
        let to = self.tlb_gen.load(Relaxed);
        let count = to.checked_sub(from)?;
        let word = move |number| &self.recent[number as usize % RECENT_FLUSHES];
        (count <= RECENT_FLUSHES as u64)
            .then(|| (from..to).map(move |number| Flush::of_word(word(number).load(Relaxed))))
    }
}

impl Default for TlbFlushes {
    fn default() -> Self {
        Self::new()
    }
}

impl Flush {
    /// As it stands in [`TlbFlushes::recent`]: the address and the number of pages, or 0.
    #[inline(always)]
    pub const fn to_word(self) -> u64 {
        match self {
            Self::All => 0,
            Self::Pages(address, pages) => address & !MAX_FLUSH_PAGES | pages,
        }
    }

    /// The flush that a word stands for.
    pub const fn of_word(word: u64) -> Self {
        match word & MAX_FLUSH_PAGES {
            0 => Self::All,
            pages => Self::Pages(word & !MAX_FLUSH_PAGES, pages),
        }
    }

    /// Whether the translation of a page, by its first address, is forgotten.
    pub const fn covers(self, page: u64) -> bool {
        match self {
            Self::All => true,
            Self::Pages(address, pages) => {
                page >= address && (page - address) >> crate::PAGE_SHIFT < pages
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_noted_is_kept_for_a_while() {
        let flushes = TlbFlushes::new();
        for page in 0..10 {
            flushes.note(Flush::Pages(page << 12, 2));
        }
        flushes.note(Flush::All);
        let last = flushes.since(9).unwrap();
        assert!(last.eq([Flush::Pages(9 << 12, 2), Flush::All]));
        assert!(flushes.since(12).is_none());
        for _ in 0..RECENT_FLUSHES - 10 {
            flushes.note(Flush::All);
        }
        assert!(flushes.since(0).is_none());
        assert_eq!(flushes.since(1).unwrap().count(), RECENT_FLUSHES);
    }

    #[test]
    fn a_flush_covers_its_pages() {
        let flush = Flush::Pages(0x5000, 2);
        let covered = [0x4000, 0x5000, 0x6000, 0x7000].map(|page| flush.covers(page));
        assert_eq!(covered, [false, true, true, false]);
        assert!(Flush::All.covers(0));
    }
}
