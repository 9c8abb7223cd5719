//! The lists of pages that reclaim works on.

use std::{fmt, sync::atomic::Ordering::Relaxed};

use pagelab_abi::{
    lru::{LruList, Lruvec, MAX_MEMORY_GROUPS, NR_LRU_LISTS},
    memcg::MemoryGroup,
    page::{NONE, PageFlags, memory_group_of},
    zone::MAX_ZONES,
};

use super::{Descriptor, FrameSet, Snapshot};

/// Why a list breaks off, or what is wrong with its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LruFault {
    /// A link leads to a frame without a valid descriptor.
    Outside {
        /// The link's value.
        pfn: u32,
    },
    /// A frame is in a list for the second time. Loops end here.
    Again {
        /// The frame.
        pfn: u32,
    },
    /// The `prev` of a member is not the one before it.
    BackLink {
        /// The member.
        pfn: u32,
        /// Its `prev`.
        prev: u32,
    },
    /// The descriptor of a member says that it belongs elsewhere.
    Stranger {
        /// The member.
        pfn: u32,
        /// Its flags.
        flags: PageFlags,
        /// Its mapping.
        mapping: u64,
    },
    /// The list's tail is not its last member.
    Tail {
        /// The tail.
        tail: u32,
    },
}

impl fmt::Display for LruFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Outside { pfn } => {
                write!(f, "a link leads to {pfn:#x}, which is no frame of RAM")
            }
            Self::Again { pfn } => write!(f, "frame {pfn:#x} is in a list for the second time"),
            Self::BackLink { pfn, prev } => {
                write!(
                    f,
                    "frame {pfn:#x} links back to {prev:#x}, which is not before it"
                )
            }
            Self::Stranger {
                pfn,
                flags,
                mapping,
            } => write!(
                f,
                "frame {pfn:#x} is in it, and its descriptor says {flags:?}, mapping {mapping:#x}"
            ),
            Self::Tail { tail } => write!(f, "its tail is {tail:#x}, and not its last member"),
        }
    }
}

impl Snapshot<'_> {
    /// Memory groups, by their numbers.
    pub fn memory_groups(&self) -> std::ops::Range<usize> {
        0..MAX_MEMORY_GROUPS
    }

    /// What is known of each memory group, by its number.
    pub fn memory_group_states(&self) -> &[MemoryGroup; MAX_MEMORY_GROUPS] {
        &self.mm_state().memory_groups
    }

    fn lruvec(&self, group: usize) -> Option<&Lruvec> {
        self.mm_state().lruvecs.get(group)
    }

    /// Pages in the lists of this kind of all memory groups, as the guest counts them.
    pub fn lru_pages(&self, list: LruList) -> u64 {
        (0..self.zones.len())
            .map(|zone| self.zone_lru_pages(zone, list))
            .sum()
    }

    /// Those of a zone, by its index.
    pub fn zone_lru_pages(&self, zone: usize, list: LruList) -> u64 {
        self.memory_groups()
            .filter_map(|group| self.lru_counts(group)?.get(zone).copied())
            .map(|counts| u64::from(counts[list as usize]))
            .sum()
    }

    /// The guest's counts of a memory group: by the index of the zone and by list.
    pub fn lru_counts(&self, group: usize) -> Option<[[u32; NR_LRU_LISTS]; MAX_ZONES]> {
        let counts = &self.lruvec(group)?.nr;
        Some(
            counts
                .each_ref()
                .map(|zone| zone.each_ref().map(|count| count.load(Relaxed))),
        )
    }

    /// Calls `each` with the members of a list, newest first. `seen` are the frames met so far.
    ///
    /// # Errors
    /// What ends the walk early, or is wrong with its end.
    pub fn walk_lru(
        &self,
        group: usize,
        list: LruList,
        seen: &mut FrameSet,
        mut each: impl FnMut(u32, &Descriptor),
    ) -> Result<(), LruFault> {
        let Some(lruvec) = self.lruvec(group) else {
            return Ok(());
        };
        let ends = &lruvec.lists[list as usize];
        let (mut pfn, mut last) = (ends.head.load(Relaxed), NONE);
        while pfn != NONE {
            let page = self.descriptor(pfn).ok_or(LruFault::Outside { pfn })?;
            if !seen.insert(pfn) {
                return Err(LruFault::Again { pfn });
            }
            let flags = page.flags();
            let belongs = flags.contains(PageFlags::ALLOCATED | PageFlags::LRU)
                && page.order() == 0
                && memory_group_of(page.word) as usize == group
                && LruList::of(flags, page.mapping) == list;
            if !belongs {
                return Err(LruFault::Stranger {
                    pfn,
                    flags,
                    mapping: page.mapping,
                });
            }
            if page.prev != last {
                let prev = page.prev;
                return Err(LruFault::BackLink { pfn, prev });
            }
            each(pfn, &page);
            (last, pfn) = (pfn, page.next);
        }
        let tail = ends.tail.load(Relaxed);
        if tail == last {
            Ok(())
        } else {
            Err(LruFault::Tail { tail })
        }
    }
}
