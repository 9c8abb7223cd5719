//! Taking memory of another migrate type when the own one is used up, and turning whole pageblocks
//! over, so that types mix as little as possible (Linux: mm/page_alloc.c, `__rmqueue_claim`,
//! `try_to_claim_block`, `__rmqueue_steal`).

use crate::{
    buddy::{End, LockedZone},
    memmap::{self, migrate_of},
};
use core::sync::atomic::Ordering::Relaxed;
use pagelab_abi::page::{
    self, MAX_ORDER, MigrateType, PAGEBLOCK_ORDER, PAGEBLOCK_PAGES, PageFlags,
};

/// Where to look, and in which order (Linux: `fallbacks`).
const fn fallbacks(migrate: MigrateType) -> [MigrateType; 2] {
    use MigrateType::{HighAtomic, Movable, Reclaimable, Unmovable};
    match migrate {
        Unmovable | HighAtomic => [Reclaimable, Movable],
        Movable => [Reclaimable, Unmovable],
        Reclaimable => [Unmovable, Movable],
    }
}

/// Whether a free block of another type is worth an attempt to turn its pageblock over: always for
/// what cannot move, so that it stays together, and else from half a pageblock's order on, where
/// more free pages are likely around (Linux: `should_try_claim_block`).
const fn should_claim(order: u32, migrate: MigrateType) -> bool {
    order >= PAGEBLOCK_ORDER / 2
        || matches!(migrate, MigrateType::Unmovable | MigrateType::Reclaimable)
}

impl LockedZone<'_> {
    /// Takes a block of this order for this type, from another type's memory if need be
    /// (Linux: `__rmqueue`).
    #[inline]
    pub(crate) fn take(&self, order: u32, migrate: MigrateType) -> Option<u32> {
        if let Some(pfn) = self.take_smallest(order, migrate) {
            return Some(pfn);
        }
        let pfn = self
            .claim(order, migrate)
            .or_else(|| self.steal(order, migrate))?;
        let fallbacks = &self.zone.nr_fallbacks;
        fallbacks.store(fallbacks.load(Relaxed) + 1, Relaxed);
        Some(pfn)
    }

    /// Turns the pageblock of the largest free block of another type over.
    #[inline(never)]
    fn claim(&self, order: u32, migrate: MigrateType) -> Option<u32> {
        for current in (order..=MAX_ORDER).rev() {
            if !should_claim(current, migrate) {
                return None;
            }
            let found = fallbacks(migrate)
                .into_iter()
                .find_map(|other| Some((other, self.first(current, other)?)));
            let Some((other, pfn)) = found else {
                continue;
            };
            if let Some(pfn) = self.claim_block(pfn, current, order, other, migrate) {
                return Some(pfn);
            }
        }
        None
    }

    /// Turns over the pageblock of one free block, if most of it is free or of a compatible type.
    fn claim_block(
        &self,
        pfn: u32,
        current: u32,
        order: u32,
        from: MigrateType,
        to: MigrateType,
    ) -> Option<u32> {
        if current >= PAGEBLOCK_ORDER {
            self.unlink(pfn, current, from);
            for block in (pfn..pfn + (1 << current)).step_by(PAGEBLOCK_PAGES as usize) {
                self.map.set_migrate_type(block, to);
            }
            self.expand(pfn, order, current, to);
            memmap::sub(&self.zone.free_pages, 1 << order);
            return Some(pfn);
        }
        let base = pfn & !(PAGEBLOCK_PAGES - 1);
        let (free, movable) = self.count_pageblock(base);
        let alike = match (to, from) {
            (MigrateType::Movable, _) => movable,
            (_, MigrateType::Movable) => PAGEBLOCK_PAGES - free - movable,
            _ => 0,
        };
        if free + alike < PAGEBLOCK_PAGES / 2 {
            return None;
        }
        self.move_pageblock(base, to);
        self.take_smallest(order, to)
    }

    /// Takes the smallest sufficient block of another type and leaves its pageblock as it is.
    #[inline(never)]
    fn steal(&self, order: u32, migrate: MigrateType) -> Option<u32> {
        for current in order..=MAX_ORDER {
            for other in fallbacks(migrate) {
                if let Some(pfn) = self.first(current, other) {
                    self.unlink(pfn, current, other);
                    // The rest goes back to the type of its pageblock.
                    self.expand(pfn, order, current, other);
                    memmap::sub(&self.zone.free_pages, 1 << order);
                    return Some(pfn);
                }
            }
        }
        None
    }

    /// The blocks of a ready pageblock that starts with a head: first frame and flags word.
    fn blocks(&self, base: u32) -> impl Iterator<Item = (u32, u32)> {
        let mut next = base;
        core::iter::from_fn(move || {
            let pfn = next;
            if pfn >= base + PAGEBLOCK_PAGES {
                return None;
            }
            let word = self.map.page(pfn).flags.load(Relaxed);
            next = pfn + page::block_pages(word);
            Some((pfn, word))
        })
    }

    /// Frames of a pageblock that are in the free lists, and that are allocated and movable.
    fn count_pageblock(&self, base: u32) -> (u32, u32) {
        let (mut free, mut movable) = (0, 0);
        for (_, word) in self.blocks(base) {
            let flags = page::flags_of(word);
            if flags.contains(PageFlags::BUDDY) {
                free += page::block_pages(word);
            } else if flags.contains(PageFlags::ALLOCATED)
                && migrate_of(word) == MigrateType::Movable
            {
                movable += page::block_pages(word);
            }
        }
        (free, movable)
    }

    /// Gives a pageblock another type, and moves its free blocks to that type's lists.
    pub(crate) fn move_pageblock(&self, base: u32, to: MigrateType) {
        for (pfn, word) in self.blocks(base) {
            if page::flags_of(word).contains(PageFlags::BUDDY) {
                let order = page::order_of(word);
                self.unlink(pfn, order, migrate_of(word));
                self.push(pfn, order, to, End::Tail);
            }
        }
        self.map.set_migrate_type(base, to);
    }
}
