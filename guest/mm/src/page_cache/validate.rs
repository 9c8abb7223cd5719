//! The oracle: walks all files and their trees and says what does not fit together.
//!
//! Meant for tests. Nothing may run beside it.

use super::FileId;
use crate::{Mm, machine::Machine};
use core::{fmt, sync::atomic::Ordering::Relaxed};
use pagelab_abi::{
    page::{PageFlags, flags_of, order_of},
    page_cache::{
        AddressSpace, AddressSpaceFlags, MAP_SHIFT, MAP_SIZE, count_of, offset_of, page_of_slot,
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
    /// A slot leads to no page.
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
    found: &'a mut dyn FnMut(Violation),
}

impl<M: Machine + 'static> Mm<M> {
    /// Calls `found` with each thing that is wrong with the page cache.
    pub fn validate_page_cache(&self, found: &mut dyn FnMut(Violation)) {
        let state = &self.state.page_cache;
        let (mut files, mut pages, mut shmem) = (0, 0, 0);
        let (mut prev, mut next) = (0, state.files.load(Relaxed));
        while let Some(file) = FileId::from_raw(next) {
            let space = self.space(file);
            let is_linked = space.prev.load(Relaxed) == prev && space.count.load(Relaxed) > 0;
            if !is_linked || files > state.nr_files.load(Relaxed).into() {
                found(Violation::BadList { file: next });
                return;
            }
            let of_file = self.validate_file(file, space, found);
            files += 1;
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
        ] {
            check(what, counted, there, found);
        }
    }

    fn validate_file(
        &self,
        file: FileId,
        space: &AddressSpace,
        found: &mut dyn FnMut(Violation),
    ) -> u64 {
        let mut walk = Walk {
            file: file.get(),
            pages: 0,
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
        let pages = walk.pages;
        check("nrpages", space.nrpages.load(Relaxed), pages, found);
        pages
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
        for slot in 0..MAP_SIZE {
            let value = inner.slots[slot].load(Relaxed);
            let index = base + ((slot as u64) << shift);
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

    fn validate_page(&self, walk: &mut Walk<'_>, slot: u64, index: u64) {
        walk.pages += 1;
        let file = walk.file;
        let known = page_of_slot(slot).and_then(|pfn| Some((pfn, self.map.word(pfn)?)));
        let Some((pfn, word)) = known else {
            (walk.found)(Violation::BadSlot { file, index });
            return;
        };
        let page = self.map.page(pfn);
        let fits = flags_of(word).contains(PageFlags::ALLOCATED | PageFlags::LRU)
            && order_of(word) == 0
            && page.mapping.load(Relaxed) == file
            && u64::from(page.private.load(Relaxed)) == index
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
