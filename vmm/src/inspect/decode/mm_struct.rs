//! Address spaces and their areas.

use std::sync::atomic::Ordering::Relaxed;

use pagelab_abi::{
    mm_struct::{MM_STRUCT_MAGIC, MmStruct, NR_RSS_STATS, RssStat},
    task::PID_MAX,
    vma::{BLACK, VmFlags, Vma},
};

use super::{DecodeError, Snapshot, linked::Linked};
use crate::inspect::image::{OutsideRam, read_object};

/// Areas of an address space that are read: more than Linux allows (vm.max_map_count is 65530).
pub const MAX_AREAS: usize = 1 << 17;

/// An address space, as it stood.
#[derive(Debug)]
pub struct UserMm {
    /// Physical address.
    pub gpa: u64,
    raw: Box<MmStruct>,
}

/// A copy of an area.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Area {
    /// Physical address.
    pub gpa: u64,
    /// First address.
    pub start: u64,
    /// First address behind it.
    pub end: u64,
    /// What may be done with it.
    pub flags: VmFlags,
    /// The file, or 0.
    pub file: u64,
    /// Page of the file at `start`.
    pub pgoff: u64,
    /// The tree's links: left, right, parent.
    pub links: [u64; 3],
    /// Whether the node is black.
    pub black: bool,
    /// Largest gap of the area and all below it in the tree.
    pub subtree_gap: u64,
    /// The neighbours in the list: previous, next.
    pub neighbours: [u64; 2],
}

impl Area {
    /// Its number of pages.
    pub fn pages(&self) -> u64 {
        self.end.saturating_sub(self.start) / pagelab_abi::PAGE_SIZE
    }

    /// Whether an address is in it.
    pub fn contains(&self, va: u64) -> bool {
        (self.start..self.end).contains(&va)
    }
}

/// Why the list of areas breaks off, with the areas before that.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AreasFault {
    /// A link leads out of RAM.
    #[error("a link of the list of areas cannot be followed: {0}")]
    Outside(OutsideRam),
    /// The list does not end.
    #[error("the list of areas does not end")]
    Endless,
}

impl UserMm {
    /// Physical address of the top-level page table.
    pub fn pgd(&self) -> u64 {
        self.raw.pgd.load(Relaxed)
    }

    /// Number of the address space, never used twice.
    pub fn id(&self) -> u64 {
        self.raw.id.load(Relaxed)
    }

    /// Pages present of a kind, as the guest counts them.
    pub fn rss(&self, kind: RssStat) -> u64 {
        self.raw.rss[kind as usize].load(Relaxed)
    }

    /// All of [`Self::rss`].
    pub fn all_rss(&self) -> [u64; NR_RSS_STATS] {
        self.raw.rss.each_ref().map(|count| count.load(Relaxed))
    }

    /// The guest's other counts: pages in all areas, in locked ones, and nodes of page tables.
    pub fn counts(&self) -> [u64; 3] {
        let raw = &self.raw;
        [&raw.total_vm, &raw.locked_vm, &raw.pgtables].map(|count| count.load(Relaxed))
    }

    /// Tasks that run in it, as the guest counts them.
    pub fn users(&self) -> u32 {
        self.raw.mm_users.load(Relaxed)
    }

    /// The heap.
    pub fn heap(&self) -> std::ops::Range<u64> {
        self.raw.start_brk.load(Relaxed)..self.raw.brk.load(Relaxed)
    }

    /// First address above the stack's content at the start of the program.
    pub fn start_stack(&self) -> u64 {
        self.raw.start_stack.load(Relaxed)
    }

    /// The tree: root, first and last area, number of areas.
    pub fn tree(&self) -> [u64; 4] {
        let vmas = &self.raw.vmas;
        [&vmas.root, &vmas.first, &vmas.last, &vmas.count].map(|word| word.load(Relaxed))
    }

    /// Addresses that an area may have.
    pub fn bounds(&self) -> std::ops::Range<u64> {
        self.raw.vmas.start.load(Relaxed)..self.raw.vmas.end.load(Relaxed)
    }
}

impl Snapshot<'_> {
    /// All address spaces, newest first.
    ///
    /// # Errors
    /// If one cannot be read or is none, or the list does not end or has another length than is
    /// counted.
    pub fn user_mms(&self) -> Result<Vec<UserMm>, DecodeError> {
        let state = self.mm_state();
        let list = Linked {
            list: "the list of address spaces",
            object: ["mm_struct", "the mm_struct"],
            first: state.mm_list.load(Relaxed),
            counted: (state.nr_mms.load(Relaxed).into(), "nr_mms"),
            magic: MM_STRUCT_MAGIC,
            most: PID_MAX as usize,
        };
        let members = self.linked(&list, |raw: &MmStruct| {
            (raw.magic.load(Relaxed), raw.next.load(Relaxed))
        })?;
        let mm = |(gpa, raw)| UserMm {
            gpa,
            raw: Box::new(raw),
        };
        Ok(members.into_iter().map(mm).collect())
    }

    /// The areas of an address space in the order of its list, and where that breaks off.
    pub fn areas(&self, mm: &UserMm) -> (Vec<Area>, Option<AreasFault>) {
        let mut areas = Vec::new();
        let [_, mut gpa, ..] = mm.tree();
        while gpa != 0 {
            if areas.len() == MAX_AREAS {
                return (areas, Some(AreasFault::Endless));
            }
            match self.area(gpa) {
                Ok(area) => {
                    gpa = area.neighbours[1];
                    areas.push(area);
                }
                Err(outside) => return (areas, Some(AreasFault::Outside(outside))),
            }
        }
        (areas, None)
    }

    /// One area.
    ///
    /// # Errors
    /// If it is outside RAM.
    pub fn area(&self, gpa: u64) -> Result<Area, OutsideRam> {
        let vma: Vma = read_object(self.mem(), gpa)?;
        let parent = vma.parent.load(Relaxed);
        Ok(Area {
            gpa,
            start: vma.start.load(Relaxed),
            end: vma.end.load(Relaxed),
            flags: VmFlags::from_bits_retain(vma.flags.load(Relaxed)),
            file: vma.file.load(Relaxed),
            pgoff: vma.pgoff.load(Relaxed),
            links: [
                vma.left.load(Relaxed),
                vma.right.load(Relaxed),
                parent & !BLACK,
            ],
            black: parent & BLACK != 0,
            subtree_gap: vma.subtree_gap.load(Relaxed),
            neighbours: [vma.prev.load(Relaxed), vma.next.load(Relaxed)],
        })
    }

    /// The page of zeros that all programs share, if there is one.
    pub fn zero_pfn(&self) -> Option<u32> {
        Some(self.mm_state().zero_pfn.load(Relaxed)).filter(|pfn| *pfn != 0)
    }
}
