//! The oracle: walks all files and their trees and says what does not fit together.
//!
//! Meant for tests. Nothing may run beside it.

use super::FileId;
use crate::{Mm, Pfn, machine::Machine, swap::SwapEntry};
use core::{fmt, sync::atomic::Ordering::Relaxed};
use pagelab_abi::{
    page::{PageFlags, file_of_mapping, flags_of, order_of},
    page_cache::{
        AddressSpace, AddressSpaceFlags, MAP_SHIFT, MAP_SIZE, NR_TAGS, TAG_DIRTY, TAG_ERROR,
        count_of, hwpoison_of_slot, offset_of, page_of_slot, swap_of_slot,
    },
    vmstat::NodeStat,
};

/// One thing that is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Violation {
    /// The list of files has wrong links or a wrong count.
    BadList {
        /// The file at which it shows, or 0.
        file: u64,
    },
    /// A node is not where it says it is, is empty, or counts its slots wrongly.
    BadNode {
        /// The file.
        file: u64,
        /// The node.
        node: u64,
    },
    /// A root covers more than it has to.
    TooHigh {
        /// The file.
        file: u64,
    },
    /// A slot leads to no page, or to a slot of swap that nothing leads to.
    BadSlot {
        /// The file.
        file: u64,
        /// The page's number.
        index: u64,
    },
    /// A page is not allocated, or its descriptor names another place.
    BadPage {
        /// The file.
        file: u64,
        /// The page's number.
        index: u64,
        /// The frame.
        pfn: u32,
    },
    /// A tag of a slot does not agree with what is below it.
    BadTag {
        /// The file.
        file: u64,
        /// The first page of the slot.
        index: u64,
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
            Self::BadList { file } => write!(f, "the list of files is broken at {file:#x}"),
            Self::BadNode { file, node } => {
                write!(f, "file {file:#x}: node {node:#x} does not fit in")
            }
            Self::TooHigh { file } => write!(f, "file {file:#x}: the root is not needed"),
            Self::BadSlot { file, index } => {
                write!(f, "file {file:#x}: page {index} is no page")
            }
            Self::BadPage { file, index, pfn } => {
                write!(
                    f,
                    "file {file:#x}: page {index} is pfn {pfn:#x}, which denies it"
                )
            }
            Self::BadTag { file, index } => {
                write!(f, "file {file:#x}: the tags of page {index} are wrong")
            }
            Self::BadCount {
                what,
                counted,
                found,
            } => write!(f, "{what} says {counted}, but there are {found}"),
        }
    }
}

impl core::error::Error for Violation {}

/// What the walk of one file carries along.
struct Walk<'a> {
    file: u64,
    pages: u64,
    swapped: u64,
    dirty: u64,
    found: &'a mut dyn FnMut(Violation),
}

impl<M: Machine + 'static> Mm<M> {
    /// Calls `found` with each thing that is wrong with the page cache.
    pub fn validate_page_cache(&self, found: &mut dyn FnMut(Violation)) {
        let state = &self.state.page_cache;
        let (mut files, mut pages, mut shmem, mut dirty) = (0, 0, 0, 0);
        let (mut prev, mut next) = (0, state.files.load(Relaxed));
        while let Some(file) = FileId::from_raw(next) {
            let space = self.space(file);
            let is_linked = space.prev.load(Relaxed) == prev && space.count.load(Relaxed) > 0;
            if !is_linked || files > state.nr_files.load(Relaxed).into() {
                found(Violation::BadList { file: next });
                return;
            }
            let (of_file, dirty_of_file) = self.validate_file(file, space, found);
            files += 1;
            dirty += dirty_of_file;
            pages += of_file;
            if space.flags.load(Relaxed) & AddressSpaceFlags::SHMEM.bits() != 0 {
                shmem += of_file;
            }
            (prev, next) = (next, space.next.load(Relaxed));
        }
        let amount = |stat| self.node_stat(stat) as u64;
        for (what, counted, there) in [
            ("nr_files", state.nr_files.load(Relaxed).into(), files),
            ("nr_file_pages", amount(NodeStat::FilePages), pages),
            ("nr_shmem", amount(NodeStat::Shmem), shmem),
            ("nr_dirty", amount(NodeStat::FileDirty), dirty),
            ("nr_writeback", amount(NodeStat::Writeback), 0),
        ] {
            check(what, counted, there, found);
        }
    }

    fn validate_file(
        &self,
        file: FileId,
        space: &AddressSpace,
        found: &mut dyn FnMut(Violation),
    ) -> (u64, u64) {
        let mut walk = Walk {
            file: file.get(),
            pages: 0,
            swapped: 0,
            dirty: 0,
            found,
        };
        let root = space.root.load(Relaxed);
        if root != 0 {
            let top = self.node(root);
            let shift = top.shift.load(Relaxed);
            let beyond_first = top.slots[1..].iter().any(|slot| slot.load(Relaxed) != 0);
            if shift > 0 && !beyond_first {
                (walk.found)(Violation::TooHigh { file: file.get() });
            }
            if !shift.is_multiple_of(MAP_SHIFT) || shift > 30 {
                (walk.found)(Violation::BadNode {
                    file: file.get(),
                    node: root,
                });
            } else {
                self.validate_node(&mut walk, root, (0, 0), shift, 0);
            }
        }
        let (pages, swapped, dirty) = (walk.pages, walk.swapped, walk.dirty);
        check("nrpages", space.nrpages.load(Relaxed), pages, found);
        check("nr_swapped", space.nr_swapped.load(Relaxed), swapped, found);
        check("nr_dirty", space.nr_dirty.load(Relaxed), dirty, found);
        (pages, dirty)
    }

    /// `above`: the parent and the slot in it.
    fn validate_node(
        &self,
        walk: &mut Walk<'_>,
        node: u64,
        above: (u64, u32),
        shift: u32,
        base: u64,
    ) {
        let inner = self.node(node);
        let place = inner.place.load(Relaxed);
        let used = inner.slots.iter().filter(|slot| slot.load(Relaxed) != 0);
        let used = used.count() as u32;
        let fits = inner.parent.load(Relaxed) == above.0
            && offset_of(place) == above.1
            && inner.shift.load(Relaxed) == shift
            && count_of(place) == used
            && used > 0;
        if !fits {
            let file = walk.file;
            (walk.found)(Violation::BadNode { file, node });
            return;
        }
        let tags = inner.tags.each_ref().map(|tag| tag.load(Relaxed));
        for slot in 0..MAP_SIZE {
            let value = inner.slots[slot].load(Relaxed);
            let index = base + ((slot as u64) << shift);
            let tagged = tags.map(|tag| tag & 1 << slot != 0);
            if tagged != self.tags_below(value, shift, tagged) {
                let file = walk.file;
                (walk.found)(Violation::BadTag { file, index });
            }
            if value == 0 {
                continue;
            }
            if shift > 0 {
                let above = (node, slot as u32);
                self.validate_node(walk, value, above, shift - MAP_SHIFT, index);
            } else {
                self.validate_page(walk, value, index);
            }
        }
    }

    /// The tags that a slot should have, if it has these. Whether writing a page failed is known from
    /// its tag alone, but then it is not dirty.
    fn tags_below(&self, value: u64, shift: u32, tagged: [bool; NR_TAGS]) -> [bool; NR_TAGS] {
        let mut tags = [false; NR_TAGS];
        if shift > 0 && value != 0 {
            let child = self.node(value);
            tags = child.tags.each_ref().map(|tag| tag.load(Relaxed) != 0);
        } else if let Some(word) = page_of_slot(value).and_then(|pfn| self.map.word(pfn)) {
            tags[TAG_DIRTY] = word & PageFlags::DIRTY.bits() != 0;
            tags[TAG_ERROR] = tagged[TAG_ERROR] && !tags[TAG_DIRTY];
        }
        tags
    }

    fn validate_page(&self, walk: &mut Walk<'_>, slot: u64, index: u64) {
        let file = walk.file;
        if let Some(slot) = swap_of_slot(slot) {
            walk.swapped += 1;
            if self.swap_count(SwapEntry::of_slot(slot)) == 0 {
                (walk.found)(Violation::BadSlot { file, index });
            }
            return;
        }
        if let Some(pfn) = hwpoison_of_slot(slot) {
            let flags = self.map.word(pfn).map_or(PageFlags::empty(), flags_of);
            if !flags.contains(PageFlags::HWPOISON) {
                (walk.found)(Violation::BadSlot { file, index });
            }
            return;
        }
        walk.pages += 1;
        let known = page_of_slot(slot).and_then(|pfn| Some((pfn, self.map.word(pfn)?)));
        let Some((pfn, word)) = known else {
            (walk.found)(Violation::BadSlot { file, index });
            return;
        };
        let page = self.map.page(pfn);
        walk.dirty += u64::from(word & PageFlags::DIRTY.bits() != 0);
        let fits = flags_of(word).contains(PageFlags::ALLOCATED | PageFlags::LRU)
            && order_of(word) == 0
            && file_of_mapping(page.mapping.load(Relaxed)) == file
            && self.page_index(Pfn(pfn)).map(u64::from) == Some(index)
            && page.refcount.load(Relaxed) > 0;
        if !fits {
            (walk.found)(Violation::BadPage { file, index, pfn });
        }
    }
}

fn check(what: &'static str, counted: u64, there: u64, found: &mut dyn FnMut(Violation)) {
    if counted != there {
        found(Violation::BadCount {
            what,
            counted,
            found: there,
        });
    }
}
