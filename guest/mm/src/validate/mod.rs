//! The oracle: walks every structure of the page allocator and says what does not fit together.
//!
//! Meant for tests, after each step. Nothing may run beside it.

use crate::{
    Mm,
    machine::Machine,
    memmap::{is_head, link, migrate_of},
};
use core::fmt;
use core::sync::atomic::Ordering::Relaxed;
use pagelab_abi::{
    page::{
        MAX_ORDER, MIGRATE_PCPTYPES, MigrateType, PAGEBLOCK_ORDER, PAGEBLOCK_PAGES, PageFlags,
        PageblockState, block_pages, flags_of, order_of, zone_of,
    },
    zone::{MAX_ZONES, Zone},
};

/// One thing that is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Violation {
    /// A descriptor that must be a block's head is not, or has not exactly one state.
    BadHead {
        /// The frame.
        pfn: u32,
        /// Its flags word.
        word: u32,
    },
    /// A descriptor inside a block has flags of its own.
    BadInterior {
        /// The frame.
        pfn: u32,
        /// Its flags word.
        word: u32,
    },
    /// A block begins at no multiple of its size, or ends outside its zone.
    BadExtent {
        /// Its head.
        pfn: u32,
        /// Its order.
        order: u32,
    },
    /// Two free blocks that are buddies were not merged.
    Unmerged {
        /// The lower one's head.
        pfn: u32,
        /// Their order.
        order: u32,
    },
    /// A list has a block that its descriptor does not place there, or its links do not agree.
    BadLink {
        /// The zone.
        zone: usize,
        /// The block.
        pfn: u32,
    },
    /// A counter does not agree with what it counts.
    BadCount {
        /// What is counted.
        what: &'static str,
        /// The zone.
        zone: usize,
        /// The counter.
        counted: u64,
        /// What was found.
        found: u64,
    },
    /// An allocated block without a reference, or a free one with some.
    BadRefcount {
        /// The head.
        pfn: u32,
        /// Its count.
        refcount: u32,
    },
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::BadHead { pfn, word } => write!(f, "pfn {pfn:#x}: no head of a block: {word:#x}"),
            Self::BadInterior { pfn, word } => {
                write!(f, "pfn {pfn:#x}: inside a block, but has flags {word:#x}")
            }
            Self::BadExtent { pfn, order } => {
                write!(f, "pfn {pfn:#x}: a block of order {order} cannot be here")
            }
            Self::Unmerged { pfn, order } => {
                write!(f, "pfn {pfn:#x}, order {order}: free, and so is its buddy")
            }
            Self::BadLink { zone, pfn } => {
                write!(f, "zone {zone}: pfn {pfn:#x} is wrongly linked in a list")
            }
            Self::BadCount {
                what,
                zone,
                counted,
                found,
            } => write!(
                f,
                "zone {zone}: {what} says {counted}, but there are {found}"
            ),
            Self::BadRefcount { pfn, refcount } => {
                write!(f, "pfn {pfn:#x}: reference count {refcount}")
            }
        }
    }
}

impl core::error::Error for Violation {}

/// Frames of one zone by state, as the descriptors have it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Census {
    /// In the free lists.
    pub free: u64,
    /// In per-CPU lists.
    pub pcp: u64,
    /// Allocated.
    pub allocated: u64,
    /// In the balloon.
    pub balloon: u64,
    /// Free, and being reported.
    pub isolated: u64,
    /// Out of service.
    pub hwpoison: u64,
}

impl<M: Machine + 'static> Mm<M> {
    /// Calls `found` with each violation, and returns what is in each zone.
    pub fn validate(&self, found: &mut dyn FnMut(Violation)) -> [Census; MAX_ZONES] {
        let mut census = [Census::default(); MAX_ZONES];
        let mut pfn = self.map.start_pfn();
        while pfn < self.map.end_pfn() {
            pfn = match self.map.state(pfn) {
                PageblockState::Hole | PageblockState::Reserved => pfn + PAGEBLOCK_PAGES,
                PageblockState::Ready | PageblockState::Untouched => {
                    self.validate_block(pfn, &mut census, found)
                }
            };
        }
        for (index, zone) in self.zones().iter().enumerate() {
            self.validate_lists(index, zone, &census[index], found);
            validate_sums(index, zone, &census[index], found);
        }
        census
    }

    /// Checks the block that must begin here, and returns where the next one begins.
    fn validate_block(
        &self,
        pfn: u32,
        census: &mut [Census; MAX_ZONES],
        found: &mut dyn FnMut(Violation),
    ) -> u32 {
        let word = self.map.page(pfn).flags.load(Relaxed);
        let order = order_of(word);
        let states = flags_of(word)
            & (PageFlags::BUDDY
                | PageFlags::PCP
                | PageFlags::ALLOCATED
                | PageFlags::OFFLINE
                | PageFlags::ISOLATED
                | PageFlags::RESERVED);
        let states = match flags_of(word) {
            PageFlags::HWPOISON => PageFlags::HWPOISON,
            _ => states,
        };
        let known = self
            .zones()
            .get(zone_of(word) as usize)
            .zip(census.get_mut(zone_of(word) as usize));
        let (true, Some((zone, census)), true) = (
            is_head(word) && order <= MAX_ORDER,
            known,
            states.bits().is_power_of_two(),
        ) else {
            found(Violation::BadHead { pfn, word });
            return pfn + 1;
        };
        let pages = block_pages(word);
        let end = pfn + pages;
        let reserved = states == PageFlags::RESERVED;
        // Reserved frames may lie outside: their pageblock is partly a hole.
        if !pfn.is_multiple_of(pages)
            || !reserved && (pfn < zone.start_pfn || end > zone.start_pfn + zone.spanned)
        {
            found(Violation::BadExtent { pfn, order });
        }
        let refcount = self.map.page(pfn).refcount.load(Relaxed);
        let in_use = states.intersects(PageFlags::ALLOCATED | PageFlags::OFFLINE);
        if !reserved && in_use != (refcount > 0) {
            found(Violation::BadRefcount { pfn, refcount });
        }
        let slot = match states {
            PageFlags::BUDDY => &mut census.free,
            PageFlags::PCP => &mut census.pcp,
            PageFlags::ALLOCATED => &mut census.allocated,
            PageFlags::OFFLINE => &mut census.balloon,
            PageFlags::ISOLATED => &mut census.isolated,
            PageFlags::HWPOISON => &mut census.hwpoison,
            _ => return end,
        };
        *slot += u64::from(pages);
        if states == PageFlags::BUDDY {
            self.validate_buddy(pfn, word, found);
        }
        self.validate_interior(pfn, word, found);
        end
    }

    /// A free block's buddy is not free as a whole, and its list is its pageblock's.
    fn validate_buddy(&self, pfn: u32, word: u32, found: &mut dyn FnMut(Violation)) {
        let order = order_of(word);
        if self.map.migrate_type(pfn) != migrate_of(word) {
            found(Violation::BadHead { pfn, word });
        }
        let buddy = pfn ^ (1 << order);
        if order == MAX_ORDER || buddy < pfn {
            return;
        }
        if let Some(other) = self.map.word(buddy)
            && flags_of(other).contains(PageFlags::BUDDY)
            && order_of(other) == order
            && zone_of(other) == zone_of(word)
            && migrate_of(other) == migrate_of(word)
        {
            found(Violation::Unmerged { pfn, order });
        }
    }

    /// Inside a block there are no flags, or those of a compound page's tails.
    fn validate_interior(&self, head: u32, word: u32, found: &mut dyn FnMut(Violation)) {
        let order = order_of(word);
        let compound = flags_of(word).contains(PageFlags::HEAD);
        let slab = flags_of(word).contains(PageFlags::SLAB);
        for pfn in head + 1..head + block_pages(word) {
            let Some(inside) = self.map.word(pfn) else {
                if order < PAGEBLOCK_ORDER || compound {
                    found(Violation::BadInterior { pfn, word: 0 });
                }
                continue;
            };
            let flags = flags_of(inside)
                - if slab {
                    PageFlags::SLAB
                } else {
                    PageFlags::empty()
                };
            let want = if compound {
                PageFlags::TAIL
            } else {
                PageFlags::empty()
            };
            if flags != want || compound && order_of(inside) != order {
                found(Violation::BadInterior { pfn, word: inside });
            }
        }
    }

    /// Free lists and per-CPU lists hold just the blocks whose descriptors say so.
    fn validate_lists(
        &self,
        index: usize,
        zone: &Zone,
        census: &Census,
        found: &mut dyn FnMut(Violation),
    ) {
        let mut free = 0;
        for (order, area) in zone.free_area.iter().enumerate() {
            for migrate in MigrateType::ALL {
                let list = &area.free_list[migrate as usize];
                let (mut next, mut last, mut count) = (link(&list.head), None, 0u64);
                while let Some(pfn) = next {
                    let word = self.map.word(pfn).unwrap_or(0);
                    let fits = flags_of(word) - PageFlags::REPORTED == PageFlags::BUDDY
                        && order_of(word) as usize == order
                        && zone_of(word) as usize == index
                        && migrate_of(word) == migrate;
                    if !fits || link(&self.map.page(pfn).prev) != last {
                        found(Violation::BadLink { zone: index, pfn });
                        break;
                    }
                    count += 1;
                    (last, next) = (Some(pfn), link(&self.map.page(pfn).next));
                }
                if link(&list.tail) != last {
                    let pfn = list.tail.load(Relaxed);
                    found(Violation::BadLink { zone: index, pfn });
                }
                check("a free list", index, list.count.load(Relaxed), count, found);
                free += count << order;
            }
        }
        check(
            "the free lists' pages",
            index,
            zone.free_pages.load(Relaxed),
            free,
            found,
        );
        check(
            "free descriptors",
            index,
            zone.free_pages.load(Relaxed),
            census.free,
            found,
        );
        let mut held = 0;
        for cpu in self.percpu {
            let pcp = &cpu.pcp[index];
            let mut count = 0;
            for (list, head) in pcp.lists.iter().enumerate() {
                let order = (list / MIGRATE_PCPTYPES) as u32;
                let mut next = link(head);
                while let Some(pfn) = next {
                    let word = self.map.word(pfn).unwrap_or(0);
                    if flags_of(word) != PageFlags::PCP
                        || order_of(word) != order
                        || zone_of(word) as usize != index
                        || count > census.pcp
                    {
                        found(Violation::BadLink { zone: index, pfn });
                        break;
                    }
                    count += 1 << order;
                    next = link(&self.map.page(pfn).next);
                }
            }
            check(
                "a per-CPU list",
                index,
                pcp.count.load(Relaxed),
                count,
                found,
            );
            held += count;
        }
        check("per-CPU descriptors", index, held as u32, census.pcp, found);
    }
}

/// Nothing that was given to the zone is missing.
fn validate_sums(index: usize, zone: &Zone, census: &Census, found: &mut dyn FnMut(Violation)) {
    let sum = census.free
        + census.pcp
        + census.allocated
        + census.balloon
        + census.isolated
        + census.hwpoison;
    check(
        "managed pages",
        index,
        zone.managed.load(Relaxed),
        sum,
        found,
    );
    check(
        "the balloon",
        index,
        zone.balloon_pages.load(Relaxed),
        census.balloon,
        found,
    );
    check(
        "isolated pages",
        index,
        zone.isolated_pages.load(Relaxed),
        census.isolated,
        found,
    );
    check(
        "broken frames",
        index,
        zone.hwpoison_pages.load(Relaxed),
        census.hwpoison,
        found,
    );
}

/// Compares a counter with what it counts.
fn check(
    what: &'static str,
    zone: usize,
    counted: u32,
    there: u64,
    found: &mut dyn FnMut(Violation),
) {
    if u64::from(counted) != there {
        found(Violation::BadCount {
            what,
            zone,
            counted: counted.into(),
            found: there,
        });
    }
}

#[cfg(test)]
mod tests;
