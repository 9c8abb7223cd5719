//! Files and their pages in the page cache.

use std::{collections::BTreeSet, sync::atomic::Ordering::Relaxed};

use pagelab_abi::page_cache::{
    ADDRESS_SPACE_MAGIC, AddressSpace, AddressSpaceFlags, MAP_SHIFT, MAP_SIZE, MAX_HEIGHT,
    RadixTreeNode, count_of, offset_of, page_of_slot,
};

use super::{DecodeError, Snapshot};
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
        let field = |what, gpa, field, found: u64, expected: String| DecodeError::Field {
            what,
            gpa,
            field,
            found,
            expected,
        };
        let list = "the list of files";
        let mut files = Vec::new();
        let mut seen = BTreeSet::new();
        let mut gpa = state.files.load(Relaxed);
        while gpa != 0 {
            if !seen.insert(gpa) || files.len() == MAX_FILES {
                let expected = format!("0 after at most {MAX_FILES} different ones");
                return Err(field(list, self.state_gpa, "next", gpa, expected));
            }
            let raw: AddressSpace =
                read_object(self.mem(), gpa).map_err(DecodeError::unreadable("address_space"))?;
            let magic = raw.magic.load(Relaxed);
            if magic != ADDRESS_SPACE_MAGIC {
                let expected = format!("{ADDRESS_SPACE_MAGIC:#x}");
                return Err(field("the address_space", gpa, "magic", magic, expected));
            }
            files.push(CachedFile {
                gpa,
                ino: raw.ino.load(Relaxed),
                size: raw.size.load(Relaxed),
                nrpages: raw.nrpages.load(Relaxed),
                count: raw.count.load(Relaxed),
                flags: AddressSpaceFlags::from_bits_retain(raw.flags.load(Relaxed)),
                root: raw.root.load(Relaxed),
            });
            gpa = raw.next.load(Relaxed);
        }
        let count = u64::from(state.nr_files.load(Relaxed));
        if count != files.len() as u64 {
            let expected = format!("{}, as the list has", files.len());
            return Err(field(list, self.state_gpa, "nr_files", count, expected));
        }
        Ok(files)
    }

    /// The pages of a file. Each frame of RAM is met at most once in a sound tree, so that more
    /// pages than frames end the walk.
    pub fn cached_pages(&self, file: &CachedFile) -> CachedPages {
        let mut found = CachedPages::default();
        if file.root != 0 {
            let limit = self.pfns().len();
            self.cached_below(file.root, None, 0, limit, &mut found);
        }
        found
    }

    /// The subtree at `gpa`. `above` is its parent, its slot there, and the shift it must have.
    fn cached_below(
        &self,
        gpa: u64,
        above: Option<(u64, u32, u32)>,
        base: u64,
        limit: usize,
        found: &mut CachedPages,
    ) {
        let node: RadixTreeNode = match read_object(self.mem(), gpa) {
            Ok(node) => node,
            Err(error) => return found.faults.push(format!("a node cannot be read: {error}")),
        };
        found.nodes += 1;
        let (shift, place) = (node.shift.load(Relaxed), node.place.load(Relaxed));
        let mut fault = |text: String| found.faults.push(format!("node {gpa:#x} {text}"));
        let (parent, offset) = match above {
            Some((parent, offset, expected)) if shift == expected => (parent, offset),
            Some((_, _, expected)) => {
                return fault(format!("has shift {shift} and should have {expected}"));
            }
            None if shift % MAP_SHIFT == 0 && shift / MAP_SHIFT < MAX_HEIGHT => (0, 0),
            None => return fault(format!("is a root with the impossible shift {shift}")),
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
        for (slot, value) in (0..MAP_SIZE as u32).zip(slots) {
            let index = base + (u64::from(slot) << shift);
            // A tree that shares or repeats its nodes has more of them than frames.
            if found.pages.len() + found.nodes as usize > limit {
                found.faults.push("the tree does not end".to_owned());
                return;
            }
            match (value, shift) {
                (0, _) => {}
                (value, 0) => match page_of_slot(value) {
                    Some(pfn) => found.pages.push((index, pfn)),
                    None => found
                        .faults
                        .push(format!("slot {index:#x} holds {value:#x}")),
                },
                (value, _) => {
                    let above = (gpa, slot, shift - MAP_SHIFT);
                    self.cached_below(value, Some(above), index, limit, found);
                }
            }
        }
    }
}
