//! Files and their pages in the page cache.

use std::{collections::BTreeSet, sync::atomic::Ordering::Relaxed};

use pagelab_abi::swap::MAX_SLOTS;

use pagelab_abi::page_cache::{
    ADDRESS_SPACE_MAGIC, AddressSpace, AddressSpaceFlags, MAP_SHIFT, MAP_SIZE, MAX_HEIGHT, NR_TAGS,
    RadixTreeNode, count_of, hwpoison_of_slot, offset_of, page_of_slot, swap_of_slot,
};

use super::{DecodeError, Snapshot, linked::Linked};
use crate::inspect::image::read_object;

/// Files that are read at most.
const MAX_FILES: usize = 1 << 20;

/// A copy of a file's numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CachedFile {
    /// Physical address, which is the file's number in an area.
    pub gpa: u64,
    /// Number of the file, never used twice.
    pub ino: u64,
    /// Bytes of the file.
    pub size: u64,
    /// Pages in the cache, as the guest counts them.
    pub nrpages: u64,
    /// Pages in swap, as the guest counts them.
    pub nr_swapped: u64,
    /// Dirty pages, as the guest counts them.
    pub nr_dirty: u64,
    /// Number of the table of operations on its store, or 0.
    pub a_ops: u32,
    /// Its number in the store.
    pub host: u64,
    /// References: open files, areas, names.
    pub count: u32,
    /// Properties.
    pub flags: AddressSpaceFlags,
    /// The root node, or 0.
    pub root: u64,
}

/// The pages of a file, and what is wrong with its tree.
#[derive(Clone, Debug, Default)]
pub struct CachedPages {
    /// Number in the file and frame, ascending by number.
    pub pages: Vec<(u64, u32)>,
    /// Number in the file and slot of the swap device of each page that is in swap, ascending by number.
    pub swapped: Vec<(u64, u64)>,
    /// Number in the file and broken frame of each page that is lost, ascending by number.
    pub lost: Vec<(u64, u32)>,
    /// Numbers of the pages that have a tag.
    pub tagged: [BTreeSet<u64>; NR_TAGS],
    /// Nodes of the tree.
    pub nodes: u64,
    /// What is wrong.
    pub faults: Vec<String>,
}

impl Snapshot<'_> {
    /// All files, newest first.
    ///
    /// # Errors
    /// If one cannot be read or is none, or the list does not end or has another length than is
    /// counted.
    pub fn cached_files(&self) -> Result<Vec<CachedFile>, DecodeError> {
        let state = &self.mm_state().page_cache;
        let list = Linked {
            list: "the list of files",
            object: ["address_space", "the address_space"],
            first: state.files.load(Relaxed),
            counted: (state.nr_files.load(Relaxed).into(), "nr_files"),
            magic: ADDRESS_SPACE_MAGIC,
            most: MAX_FILES,
        };
        let members = self.linked(&list, |raw: &AddressSpace| {
            (raw.magic.load(Relaxed), raw.next.load(Relaxed))
        })?;
        let file = |(gpa, raw): (u64, AddressSpace)| CachedFile {
            gpa,
            ino: raw.ino.load(Relaxed),
            size: raw.size.load(Relaxed),
            nrpages: raw.nrpages.load(Relaxed),
            nr_swapped: raw.nr_swapped.load(Relaxed),
            nr_dirty: raw.nr_dirty.load(Relaxed),
            a_ops: raw.a_ops.load(Relaxed),
            host: raw.host.load(Relaxed),
            count: raw.count.load(Relaxed),
            flags: AddressSpaceFlags::from_bits_retain(raw.flags.load(Relaxed)),
            root: raw.root.load(Relaxed),
        };
        Ok(members.into_iter().map(file).collect())
    }

    /// The pages of a file. Each frame of RAM is met at most once in a sound tree, so that more
    /// pages than frames end the walk.
    pub fn cached_pages(&self, file: &CachedFile) -> CachedPages {
        let mut found = CachedPages::default();
        if file.root != 0 {
            let limit = self.pfns().len();
            let _ = self.cached_below(file.root, None, 0, limit, &mut found);
        }
        found
    }

    /// The subtree at `gpa`. `above` is its parent, its slot there, and the shift it must have. Returns
    /// which tags it has anywhere, unless it cannot be read.
    fn cached_below(
        &self,
        gpa: u64,
        above: Option<(u64, u32, u32)>,
        base: u64,
        limit: usize,
        found: &mut CachedPages,
    ) -> Option<[bool; NR_TAGS]> {
        let node: RadixTreeNode = match read_object(self.mem(), gpa) {
            Ok(node) => node,
            Err(error) => {
                found.faults.push(format!("a node cannot be read: {error}"));
                return None;
            }
        };
        found.nodes += 1;
        let (shift, place) = (node.shift.load(Relaxed), node.place.load(Relaxed));
        let mut fault = |text: String| found.faults.push(format!("node {gpa:#x} {text}"));
        let (parent, offset) = match above {
            Some((parent, offset, expected)) if shift == expected => (parent, offset),
            Some((_, _, expected)) => {
                fault(format!("has shift {shift} and should have {expected}"));
                return None;
            }
            None if shift % MAP_SHIFT == 0 && shift / MAP_SHIFT < MAX_HEIGHT => (0, 0),
            None => {
                fault(format!("is a root with the impossible shift {shift}"));
                return None;
            }
        };
        if (node.parent.load(Relaxed), offset_of(place)) != (parent, offset) {
            fault(format!(
                "does not name its parent {parent:#x} and slot {offset}"
            ));
        }
        let slots = node.slots.each_ref().map(|slot| slot.load(Relaxed));
        let taken = slots.iter().filter(|slot| **slot != 0).count() as u32;
        if taken != count_of(place) || taken == 0 {
            fault(format!("counts {} slots and has {taken}", count_of(place)));
        }
        let tags = node.tags.each_ref().map(|tag| tag.load(Relaxed));
        for (slot, value) in (0..MAP_SIZE as u32).zip(slots) {
            let index = base + (u64::from(slot) << shift);
            let tagged = tags.map(|tag| tag & 1 << slot != 0);
            // A tree that shares or repeats its nodes has more of them than frames.
            if found.pages.len() + found.nodes as usize > limit
                || found.swapped.len() as u64 > MAX_SLOTS
                || found.lost.len() > limit
            {
                found.faults.push("the tree does not end".to_owned());
                return None;
            }
            let below = match (value, shift) {
                (0, _) => Some([false; NR_TAGS]),
                (value, 0) => {
                    match (page_of_slot(value), swap_of_slot(value)) {
                        (Some(pfn), _) => found.pages.push((index, pfn)),
                        (None, Some(slot)) => found.swapped.push((index, slot)),
                        (None, None) => match hwpoison_of_slot(value) {
                            Some(pfn) => found.lost.push((index, pfn)),
                            None => found
                                .faults
                                .push(format!("slot {index:#x} holds {value:#x}")),
                        },
                    }
                    for (pages, _) in found.tagged.iter_mut().zip(tagged).filter(|it| it.1) {
                        pages.insert(index);
                    }
                    Some(tagged)
                }
                (value, _) => {
                    let above = (gpa, slot, shift - MAP_SHIFT);
                    self.cached_below(value, Some(above), index, limit, found)
                }
            };
            if below.is_some_and(|below| below != tagged) {
                found.faults.push(format!(
                    "node {gpa:#x} has other tags in slot {slot} than there are below it"
                ));
            }
        }
        Some(tags.map(|tag| tag != 0))
    }
}
