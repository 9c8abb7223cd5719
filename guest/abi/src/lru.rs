//! Lists of the pages that reclaim may take, in the order of their use (Linux
//! include/linux/mmzone.h: `struct lruvec`).
//!
//! Each memory group has an [`Lruvec`]; the number in bits 28 to 31 of [`crate::page::Page::flags`] says
//! whose page it is. A list is doubly linked by pfn through [`crate::page::Page::next`] and `prev`,
//! newest first.
//!
//! A page with [`PageFlags::LRU`] is in exactly one list, which its flags name ([`LruList::of`]).
//! All pages of programs and files are in one, but for those that reclaim has taken out to look at:
//! these [`crate::vmstat::NodeStat::IsolatedAnon`] and `IsolatedFile` count.

use crate::{
    page::{MAPPING_ANON, MAPPING_LAZYFREE, MAPPING_SHMEM, NONE, PageFlags},
    zone::MAX_ZONES,
};
use core::sync::atomic::{AtomicU32, AtomicU64};
use zerocopy::{FromBytes, IntoBytes, KnownLayout};

/// Memory groups that there can be, the root group included.
pub const MAX_MEMORY_GROUPS: usize = 16;

/// The lists (Linux: `enum lru_list`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(usize)]
pub enum LruList {
    /// Pages that swap is for, and that have not been used of late.
    InactiveAnon = 0,
    /// Pages that swap is for, in use.
    ActiveAnon = 1,
    /// Pages that are dropped or written to their file, and that have not been used of late.
    InactiveFile = 2,
    /// Pages of files, in use.
    ActiveFile = 3,
    /// Pages that cannot be reclaimed: locked, or without a place to go.
    Unevictable = 4,
}

/// Number of [`LruList`]s.
pub const NR_LRU_LISTS: usize = 5;

impl LruList {
    /// All, in the order of their numbers.
    pub const ALL: [Self; NR_LRU_LISTS] = [
        Self::InactiveAnon,
        Self::ActiveAnon,
        Self::InactiveFile,
        Self::ActiveFile,
        Self::Unevictable,
    ];

    /// The name in /proc/vmstat, behind `nr_`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::InactiveAnon => "inactive_anon",
            Self::ActiveAnon => "active_anon",
            Self::InactiveFile => "inactive_file",
            Self::ActiveFile => "active_file",
            Self::Unevictable => "unevictable",
        }
    }

    /// The list for a page with these flags and this mapping (Linux: `folio_lru_list`).
    #[inline(always)]
    pub const fn of(flags: PageFlags, mapping: u64) -> Self {
        if flags.contains(PageFlags::UNEVICTABLE) {
            return Self::Unevictable;
        }
        match (is_swap_backed(mapping), flags.contains(PageFlags::ACTIVE)) {
            (true, false) => Self::InactiveAnon,
            (true, true) => Self::ActiveAnon,
            (false, false) => Self::InactiveFile,
            (false, true) => Self::ActiveFile,
        }
    }
}

/// Whether a page with this [`crate::page::Page::mapping`] goes to swap if it must be kept (Linux:
/// `folio_test_swapbacked`); if not, it is dropped.
#[inline(always)]
pub const fn is_swap_backed(mapping: u64) -> bool {
    matches!(
        mapping & (MAPPING_ANON | MAPPING_LAZYFREE | MAPPING_SHMEM),
        MAPPING_ANON | MAPPING_SHMEM
    )
}

/// Ends of a list.
#[derive(Debug, FromBytes, IntoBytes, KnownLayout)]
#[repr(C)]
pub struct LruHead {
    /// The pfn that came last, or [`NONE`].
    pub head: AtomicU32,
    /// The pfn that has been there longest, or [`NONE`].
    pub tail: AtomicU32,
}

/// The lists of one memory group. They change under `lock` only.
#[derive(Debug, FromBytes, IntoBytes, KnownLayout)]
#[repr(C, align(64))]
pub struct Lruvec {
    /// 1 while a CPU changes the lists.
    pub lock: AtomicU32,
    /// Zero.
    pub reserved: u32,
    /// Ends of the lists; index [`LruList`].
    pub lists: [LruHead; NR_LRU_LISTS],
    /// Pages in the lists, by the index of their zone and by [`LruList`] (Linux: `lru_zone_size`).
    pub nr: [[AtomicU32; NR_LRU_LISTS]; MAX_ZONES],
    /// What scanning anonymous pages and pages of files has cost of late, in pages that had to be kept
    /// or read again (Linux: `anon_cost`, `file_cost`).
    pub cost: [AtomicU64; 2],
    /// Zero.
    pub tail: [u64; 6],
}

impl LruHead {
    /// An empty list.
    pub const fn new() -> Self {
        Self {
            head: AtomicU32::new(NONE),
            tail: AtomicU32::new(NONE),
        }
    }
}

impl Default for LruHead {
    fn default() -> Self {
        Self::new()
    }
}

const _: () = assert!(size_of::<Lruvec>() == 192);
