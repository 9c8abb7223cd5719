//! Walking a cache's lists of slabs.

use std::fmt;

use pagelab_abi::{
    page::{NONE, PageFlags},
    slab::{ListKind, SlabWord},
};

use super::Cache;
use crate::inspect::decode::{Described, Descriptor, Snapshot};

/// A slab on a list of its cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slab {
    /// Its first frame.
    pub pfn: u32,
    /// The list.
    pub list: ListKind,
    /// The descriptor of its first frame.
    pub head: Descriptor,
}

impl Slab {
    /// How many of its objects are free, and its colour.
    pub fn word(&self) -> SlabWord {
        SlabWord(self.head.private)
    }
}

/// What is wrong with a list of slabs. All but [`Count`](Self::Count) end the walk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SlabFault {
    /// A link leads to a frame whose descriptor is not valid.
    Outside(u32),
    /// The `prev` of a slab is not the one before it. Loops end here.
    BackLink {
        /// The slab.
        pfn: u32,
        /// Its `prev`.
        prev: u32,
        /// The one before it, or [`NONE`].
        from: u32,
    },
    /// The frame is not a slab of this cache's order: pfn and packed word.
    NotASlab(u32, u32),
    /// The slab names another cache: pfn and the cache's address.
    OtherCache(u32, u64),
    /// The list's count is not the number of its slabs: count and slabs.
    Count(u32, u64),
}

impl fmt::Display for SlabFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Outside(pfn) => write!(f, "it leads to pfn {pfn:#x}, which is not in use"),
            Self::BackLink { pfn, prev, from } => {
                write!(
                    f,
                    "the slab at pfn {pfn:#x} links back to {prev:#x} instead of {from:#x}"
                )
            }
            Self::NotASlab(pfn, word) => {
                write!(
                    f,
                    "pfn {pfn:#x} is in it, but its descriptor says {}",
                    Described(word)
                )
            }
            Self::OtherCache(pfn, gpa) => {
                write!(f, "the slab at pfn {pfn:#x} names the cache at {gpa:#x}")
            }
            Self::Count(count, slabs) => write!(f, "it counts {count} slabs and has {slabs}"),
        }
    }
}

impl Snapshot<'_> {
    /// Walks one of a cache's lists, calls `visit` with each sound slab and `fault` with what is
    /// wrong. Bounded by the number of frames, as the check of `prev` makes loops impossible.
    pub fn walk_slabs(
        &self,
        cache: &Cache,
        list: ListKind,
        mut visit: impl FnMut(Slab),
        mut fault: impl FnMut(SlabFault),
    ) {
        let (mut from, mut at, mut slabs) = (NONE, cache.list(list).head, 0);
        while at != NONE {
            match self.slab_at(cache, at, from) {
                Ok(head) => {
                    visit(Slab {
                        pfn: at,
                        list,
                        head,
                    });
                    slabs += 1;
                    from = at;
                    at = head.next;
                }
                Err(found) => return fault(found),
            }
        }
        let count = cache.list(list).count;
        if u64::from(count) != slabs {
            fault(SlabFault::Count(count, slabs));
        }
    }

    fn slab_at(&self, cache: &Cache, pfn: u32, from: u32) -> Result<Descriptor, SlabFault> {
        let head = self.descriptor(pfn).ok_or(SlabFault::Outside(pfn))?;
        if head.prev != from {
            return Err(SlabFault::BackLink {
                pfn,
                prev: head.prev,
                from,
            });
        }
        let order = cache.geometry.order;
        let mut flags = PageFlags::ALLOCATED | PageFlags::SLAB;
        flags.set(PageFlags::HEAD, order > 0);
        let is_slab =
            head.flags() == flags && head.order() == order && pfn.is_multiple_of(1 << order);
        if !is_slab {
            return Err(SlabFault::NotASlab(pfn, head.word));
        }
        if head.mapping != cache.gpa {
            return Err(SlabFault::OtherCache(pfn, head.mapping));
        }
        Ok(head)
    }

    /// All sound slabs of a cache.
    pub fn slabs(&self, cache: &Cache) -> Vec<Slab> {
        let mut slabs = Vec::new();
        for list in ListKind::ALL {
            self.walk_slabs(cache, list, |slab| slabs.push(slab), |_| {});
        }
        slabs
    }
}
