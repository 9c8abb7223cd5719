//! The oracle: walks all slots and says what does not fit together.
//!
//! Meant for tests. Nothing may run beside it.

use crate::{Mm, Pfn, machine::Machine};
use core::{fmt, sync::atomic::Ordering::Relaxed};
use pagelab_abi::{
    page::{PageFlags, flags_of},
    swap::{SLOT_BAD, SWAPFILE_CLUSTER},
};

/// One thing that is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Violation {
    /// A slot is bad and in use.
    BadSlot {
        /// Its number.
        slot: u64,
    },
    /// The page of a slot is not allocated, or its descriptor names another slot.
    BadPage {
        /// The slot.
        slot: u64,
        /// The frame.
        pfn: u32,
    },
    /// A counter does not agree with what it counts.
    BadCount {
        /// What is counted.
        what: &'static str,
        /// The counter.
        counted: u64,
        /// What was found.
        found: u64,
    },
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::BadSlot { slot } => write!(f, "swap slot {slot} is bad and in use"),
            Self::BadPage { slot, pfn } => {
                write!(f, "swap slot {slot} has pfn {pfn:#x}, which denies it")
            }
            Self::BadCount {
                what,
                counted,
                found,
            } => write!(f, "{found} {what}, but the counter says {counted}"),
        }
    }
}

impl<M: Machine + 'static> Mm<M> {
    /// Tells `report` of everything that is wrong with the swap slots.
    pub fn validate_swap(&self, report: &mut dyn FnMut(Violation)) {
        let Ok(swap) = self.swap() else { return };
        let info = swap.info;
        let (mut inuse, mut bad, mut cached, mut entries) = (0, 0, 0, 0);
        let mut count = |what, counted, found| {
            if counted != found {
                report(Violation::BadCount {
                    what,
                    counted,
                    found,
                });
            }
        };
        let mut wrong = [None; 2];
        for (number, cluster) in (0..).zip(swap.clusters) {
            let mut free = 0;
            for index in 0..swap.slots_of(number) {
                let slot = u64::from(number) * SWAPFILE_CLUSTER + u64::from(index);
                let Some(at) = swap.get(slot) else { continue };
                let (map, cache) = (at.map.load(Relaxed), at.cache.load(Relaxed));
                if map & SLOT_BAD != 0 {
                    bad += 1;
                    if map != SLOT_BAD || cache != 0 {
                        wrong[0] = Some(Violation::BadSlot { slot });
                    }
                    continue;
                }
                entries += u64::from(map);
                inuse += u64::from(map | cache != 0);
                free += u64::from(map | cache == 0);
                if let Some(pfn) = cache.checked_sub(1) {
                    cached += 1;
                    if !self.is_page_of(Pfn(pfn), slot) {
                        wrong[1] = Some(Violation::BadPage { slot, pfn });
                    }
                }
            }
            count("free slots", cluster.free.load(Relaxed).into(), free);
        }
        count("slots in use", info.inuse.load(Relaxed), inuse);
        count("bad slots", info.bad.load(Relaxed), bad);
        count("pages in the swap cache", info.cached.load(Relaxed), cached);
        count("entries", info.entries.load(Relaxed), entries);
        wrong.into_iter().flatten().for_each(report);
    }

    /// Whether a frame is that of a page in the swap cache, in this slot.
    fn is_page_of(&self, pfn: Pfn, slot: u64) -> bool {
        self.map.word(pfn.0).is_some_and(|word| {
            let page = self.map.page(pfn.0);
            flags_of(word).contains(PageFlags::ALLOCATED | PageFlags::SWAPCACHE)
                && page.refcount.load(Relaxed) > 0
                && u64::from(page.private.load(Relaxed)) == slot
        })
    }
}
