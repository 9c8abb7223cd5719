//! The oracle: walks all lists and says what does not fit together.
//!
//! Meant for tests. Nothing may run beside it.

use super::pages::list_of;
use crate::{Mm, machine::Machine, memmap::link};
use core::{fmt, sync::atomic::Ordering::Relaxed};
use pagelab_abi::{
    lru::{LruList, NR_LRU_LISTS},
    page::{
        PAGEBLOCK_PAGES, PageFlags, PageblockState, block_pages, flags_of, memory_group_of,
        order_of, zone_of,
    },
    zone::MAX_ZONES,
};

/// One thing that is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Violation {
    /// A page is in a list that it does not name, or its links do not agree.
    BadLink {
        /// The memory group.
        group: usize,
        /// The list.
        list: LruList,
        /// The frame.
        pfn: u32,
    },
    /// A counter does not agree with what it counts.
    BadCount {
        /// The memory group.
        group: usize,
        /// The list.
        list: LruList,
        /// The index of the zone.
        zone: usize,
        /// The counter.
        counted: u32,
        /// What was found.
        found: u32,
    },
    /// More pages say that they are in a list than there are in all lists.
    Missing {
        /// Pages that say so.
        flagged: u64,
        /// Pages in lists.
        listed: u64,
    },
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::BadLink { group, list, pfn } => write!(
                f,
                "group {group}, {}: pfn {pfn:#x} is wrongly linked",
                list.name()
            ),
            Self::BadCount {
                group,
                list,
                zone,
                counted,
                found,
            } => write!(
                f,
                "group {group}, {}, zone {zone}: {found} pages, but the counter says {counted}",
                list.name()
            ),
            Self::Missing { flagged, listed } => {
                write!(
                    f,
                    "{flagged} pages say they are in a list, and {listed} are"
                )
            }
        }
    }
}

impl<M: Machine + 'static> Mm<M> {
    /// Tells `report` of everything that is wrong with the lists.
    pub fn validate_lru(&self, report: &mut dyn FnMut(Violation)) {
        let mut listed = 0;
        for group in 0..self.state.lruvecs.len() {
            let mut found = [[0; NR_LRU_LISTS]; MAX_ZONES];
            for list in LruList::ALL {
                listed += self.validate_list(group, list, &mut found, report);
            }
            for (zone, found) in found.iter().enumerate() {
                for list in LruList::ALL {
                    let counted = self.state.lruvecs[group].nr[zone][list as usize].load(Relaxed);
                    let found = found[list as usize];
                    if counted != found {
                        report(Violation::BadCount {
                            group,
                            list,
                            zone,
                            counted,
                            found,
                        });
                    }
                }
            }
        }
        let flagged = self.flagged_pages();
        if flagged != listed {
            report(Violation::Missing { flagged, listed });
        }
    }

    /// Walks a list, and returns how many pages it has.
    fn validate_list(
        &self,
        group: usize,
        list: LruList,
        found: &mut [[u32; NR_LRU_LISTS]; MAX_ZONES],
        report: &mut dyn FnMut(Violation),
    ) -> u64 {
        let ends = &self.state.lruvecs[group].lists[list as usize];
        let (mut next, mut last, mut count) = (link(&ends.head), None, 0);
        while let Some(pfn) = next {
            let page = self.map.get(pfn);
            let word = self.map.word(pfn).unwrap_or(0);
            let fits = page.is_some_and(|page| {
                flags_of(word).contains(PageFlags::ALLOCATED | PageFlags::LRU)
                    && order_of(word) == 0
                    && memory_group_of(word) as usize == group
                    && list_of(page, word) == list
                    && link(&page.prev) == last
            });
            if !fits || count > u64::from(self.map.end_pfn()) {
                report(Violation::BadLink { group, list, pfn });
                return count;
            }
            count += 1;
            found[zone_of(word) as usize % MAX_ZONES][list as usize] += 1;
            (last, next) = (Some(pfn), link(&self.map.page(pfn).next));
        }
        if link(&ends.tail) != last {
            let pfn = ends.tail.load(Relaxed);
            report(Violation::BadLink { group, list, pfn });
        }
        count
    }

    /// Pages that say that they are in a list.
    fn flagged_pages(&self) -> u64 {
        let (mut pfn, mut flagged) = (self.map.start_pfn(), 0);
        while pfn < self.map.end_pfn() {
            pfn += match self.map.state(pfn) {
                PageblockState::Hole | PageblockState::Reserved => PAGEBLOCK_PAGES,
                PageblockState::Ready | PageblockState::Untouched => {
                    let word = self.map.page(pfn).flags.load(Relaxed);
                    flagged += u64::from(flags_of(word).contains(PageFlags::LRU));
                    block_pages(word)
                }
            };
        }
        flagged
    }
}
