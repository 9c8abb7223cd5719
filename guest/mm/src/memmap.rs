//! The frame descriptors and the pageblock table, and who may read which of them.
//!
//! The invariant is stated in [`pagelab_abi::page`]. In short: boot writes one descriptor for each
//! pageblock; the other 511 are written when the pageblock is first split.

use core::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering::Relaxed};
use pagelab_abi::page::{
    self, MigrateType, NONE, PAGEBLOCK_MIGRATE_MASK, PAGEBLOCK_ORDER, PAGEBLOCK_PAGES, Page,
    PageFlags, PageblockState,
};

/// A frame number that `mem_map` covers, and its place there.
pub(crate) type Index = usize;

/// Descriptors and pageblocks of all frames from `start_pfn` on.
#[derive(Clone, Copy)]
pub(crate) struct MemMap {
    pages: &'static [Page],
    pageblocks: &'static [AtomicU8],
    start_pfn: u32,
}

impl MemMap {
    /// `start_pfn` and the number of pages are multiples of 2^10, and there is a byte for each
    /// pageblock.
    pub(crate) fn new(
        pages: &'static [Page],
        pageblocks: &'static [AtomicU8],
        start_pfn: u32,
    ) -> Self {
        assert_eq!(pages.len(), pageblocks.len() << PAGEBLOCK_ORDER);
        Self {
            pages,
            pageblocks,
            start_pfn,
        }
    }

    /// Frame after the last one.
    pub(crate) const fn end_pfn(&self) -> u32 {
        self.start_pfn + self.pages.len() as u32
    }

    /// First frame.
    pub(crate) const fn start_pfn(&self) -> u32 {
        self.start_pfn
    }

    /// The descriptor of a frame, valid or not.
    #[inline(always)]
    pub(crate) fn get(&self, pfn: u32) -> Option<&'static Page> {
        self.pages.get(pfn.wrapping_sub(self.start_pfn) as Index)
    }

    /// The descriptor of a frame that the memory manager's own lists name.
    #[inline(always)]
    pub(crate) fn page(&self, pfn: u32) -> &'static Page {
        &self.pages[pfn.wrapping_sub(self.start_pfn) as Index]
    }

    /// The byte of the pageblock that a frame is in.
    #[inline(always)]
    pub(crate) fn pageblock(&self, pfn: u32) -> &'static AtomicU8 {
        &self.pageblocks[(pfn.wrapping_sub(self.start_pfn) >> PAGEBLOCK_ORDER) as Index]
    }

    /// Which descriptors of a frame's pageblock are valid.
    #[inline]
    pub(crate) fn state(&self, pfn: u32) -> PageblockState {
        page::pageblock_state(self.pageblock(pfn).load(Relaxed))
    }

    /// Migrate type of a frame's pageblock.
    #[inline]
    pub(crate) fn migrate_type(&self, pfn: u32) -> MigrateType {
        migrate_type(self.pageblock(pfn).load(Relaxed))
    }

    /// Changes the migrate type of a frame's pageblock.
    pub(crate) fn set_migrate_type(&self, pfn: u32, migrate: MigrateType) {
        let byte = self.pageblock(pfn);
        let state = byte.load(Relaxed) & !PAGEBLOCK_MIGRATE_MASK;
        byte.store(state | migrate as u8, Relaxed);
    }

    /// Changes the state of a frame's pageblock.
    pub(crate) fn set_state(&self, pfn: u32, state: PageblockState) {
        let byte = self.pageblock(pfn);
        byte.store(
            page::pageblock_byte(state, migrate_type(byte.load(Relaxed))),
            Relaxed,
        );
    }

    /// Sets the state of the pageblocks from one frame to another, all movable.
    pub(crate) fn set_states(&self, start: u32, end: u32, state: PageblockState) {
        if start < end {
            let first = (start - self.start_pfn) >> PAGEBLOCK_ORDER;
            let last = (end - self.start_pfn) >> PAGEBLOCK_ORDER;
            let byte = page::pageblock_byte(state, MigrateType::Movable);
            for block in &self.pageblocks[first as Index..last as Index] {
                block.store(byte, Relaxed);
            }
        }
    }

    /// The descriptors of the frames from one to another.
    pub(crate) fn range(&self, start: u32, end: u32) -> &'static [Page] {
        &self.pages[(start - self.start_pfn) as Index..(end - self.start_pfn) as Index]
    }

    /// Makes all descriptors of a pageblock valid: each gets `word`, but the first one only if
    /// `first` is set.
    #[inline(never)]
    pub(crate) fn make_ready(&self, pfn: u32, word: u32, first: bool) {
        let base = (pfn.wrapping_sub(self.start_pfn) & !(PAGEBLOCK_PAGES - 1)) as Index;
        let block = &self.pages[base..base + PAGEBLOCK_PAGES as Index];
        for page in &block[usize::from(!first)..] {
            page.flags.store(word, Relaxed);
        }
        self.set_state(pfn, PageblockState::Ready);
    }

    /// As [`Self::make_ready`] before a block that covers the whole pageblock is cut up.
    #[inline]
    pub(crate) fn touch(&self, pfn: u32) {
        if self.state(pfn) == PageblockState::Untouched {
            self.make_ready(pfn, 0, false);
        }
    }

    /// The descriptor of a frame, if it is valid.
    #[inline(always)]
    pub(crate) fn valid(&self, pfn: u32) -> Option<&'static Page> {
        let page = self.get(pfn)?;
        // What is asked for is nearly always a frame that somebody allocated.
        if self.state(pfn) == PageblockState::Ready || self.is_valid(pfn) {
            Some(page)
        } else {
            None
        }
    }

    /// Whether a frame's descriptor is valid.
    pub(crate) fn is_valid(&self, pfn: u32) -> bool {
        if self.get(pfn).is_none() {
            return false;
        }
        match self.state(pfn) {
            PageblockState::Ready => true,
            PageblockState::Untouched => pfn & (PAGEBLOCK_PAGES - 1) == 0,
            PageblockState::Reserved | PageblockState::Hole => false,
        }
    }

    /// The flags word of a frame, or none if its descriptor is not valid.
    pub(crate) fn word(&self, pfn: u32) -> Option<u32> {
        self.is_valid(pfn)
            .then(|| self.page(pfn).flags.load(Relaxed))
    }

    /// The block that a frame is in: its head and the head's flags word; none where the pageblock
    /// is wholly reserved or a hole. Walks the blocks of the pageblock, so it is for tests and for
    /// panics.
    pub(crate) fn block_of(&self, pfn: u32) -> Option<(u32, u32)> {
        self.get(pfn)?;
        let mut head = pfn & !(PAGEBLOCK_PAGES - 1);
        let mut word = self.word(head)?;
        if !is_head(word) {
            head &= !((1 << page::MAX_ORDER) - 1);
            word = self.word(head)?;
        }
        loop {
            let next = head + page::block_pages(word);
            if pfn < next {
                return Some((head, word));
            }
            head = next;
            word = self.word(head)?;
        }
    }
}

/// Migrate type in a pageblock's byte.
#[inline]
fn migrate_type(byte: u8) -> MigrateType {
    MigrateType::from_u32(u32::from(byte & PAGEBLOCK_MIGRATE_MASK))
        .unwrap_or(MigrateType::Unmovable)
}

/// Migrate type in a flags word.
#[inline]
pub(crate) fn migrate_of(word: u32) -> MigrateType {
    MigrateType::from_u32(page::migrate_of(word)).unwrap_or(MigrateType::Unmovable)
}

/// Whether a flags word is that of a block's head, and not of a frame inside it.
#[inline]
pub(crate) fn is_head(word: u32) -> bool {
    word & page::FLAGS_MASK != 0 && !page::flags_of(word).contains(PageFlags::TAIL)
}

/// A list head's or link's pfn.
#[inline(always)]
pub(crate) fn link(word: &AtomicU32) -> Option<u32> {
    let pfn = word.load(Relaxed);
    (pfn != NONE).then_some(pfn)
}

/// Adds to a word that only the caller writes: its owner, or the holder of its lock.
#[inline(always)]
pub(crate) fn add(word: &AtomicU32, delta: u32) {
    word.store(word.load(Relaxed).wrapping_add(delta), Relaxed);
}

/// Adds to a counter that only the caller writes.
#[inline(always)]
pub(crate) fn count(counter: &AtomicU64, delta: u64) {
    counter.store(counter.load(Relaxed).wrapping_add(delta), Relaxed);
}

/// Subtracts from a word that only the caller writes.
#[inline(always)]
pub(crate) fn sub(word: &AtomicU32, delta: u32) {
    word.store(word.load(Relaxed).wrapping_sub(delta), Relaxed);
}
