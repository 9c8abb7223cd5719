//! Zones: ranges of physical memory with their free lists and watermarks.

use crate::page::{MIGRATE_TYPES, NONE, NR_ORDERS};
use core::sync::atomic::{AtomicU32, AtomicU64};
use zerocopy::{FromBytes, IntoBytes, KnownLayout};

/// Zones that a model can have.
pub const MAX_ZONES: usize = 4;

/// What a zone is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u32)]
pub enum ZoneKind {
    /// What the oldest devices can reach.
    Dma = 0,
    /// What 32-bit devices can reach.
    Dma32 = 1,
    /// In the direct map.
    Normal = 2,
    /// Not in the direct map: reached through kmap windows.
    HighMem = 3,
    /// Only for pages that can move.
    Movable = 4,
}

impl ZoneKind {
    /// All, in the order of their numbers.
    pub const ALL: [Self; 5] = [
        Self::Dma,
        Self::Dma32,
        Self::Normal,
        Self::HighMem,
        Self::Movable,
    ];

    /// The kind with this number, if there is one.
    pub const fn from_u32(value: u32) -> Option<Self> {
        Some(match value {
            0 => Self::Dma,
            1 => Self::Dma32,
            2 => Self::Normal,
            3 => Self::HighMem,
            4 => Self::Movable,
            _ => return None,
        })
    }

    /// Linux's name, as in /proc/buddyinfo.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Dma => "DMA",
            Self::Dma32 => "DMA32",
            Self::Normal => "Normal",
            Self::HighMem => "HighMem",
            Self::Movable => "Movable",
        }
    }
}

/// Which zones there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum ZoneModel {
    /// DMA, NORMAL and HIGHMEM, as on 32-bit x86.
    Classic = 0,
    /// DMA, DMA32, NORMAL and MOVABLE, as on x86-64.
    X86_64 = 1,
}

impl ZoneModel {
    /// The model with this number, if there is one.
    pub const fn from_u32(value: u32) -> Option<Self> {
        Some(match value {
            0 => Self::Classic,
            1 => Self::X86_64,
            _ => return None,
        })
    }

    /// The name on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Classic => "classic",
            Self::X86_64 => "x86_64",
        }
    }

    /// Its zones, lowest addresses first; their places are the zone indices.
    pub const fn zones(self) -> &'static [ZoneKind] {
        match self {
            Self::Classic => &[ZoneKind::Dma, ZoneKind::Normal, ZoneKind::HighMem],
            Self::X86_64 => &[
                ZoneKind::Dma,
                ZoneKind::Dma32,
                ZoneKind::Normal,
                ZoneKind::Movable,
            ],
        }
    }
}

/// A zone. `start_pfn`, `spanned` and `present` do not change; all that the lock protects is
/// consistent whenever the lock is 0.
#[derive(Debug, FromBytes, IntoBytes, KnownLayout)]
#[repr(C, align(64))]
pub struct Zone {
    /// 1 while a CPU changes the free lists.
    pub lock: AtomicU32,
    /// Number of the [`ZoneKind`].
    pub kind: u32,
    /// First pfn.
    pub start_pfn: u32,
    /// Frames from the first to the last, holes included; 0 for an empty zone.
    pub spanned: u32,
    /// Frames that are RAM.
    pub present: u32,
    /// Frames that the page allocator was given: present without reserved ones.
    pub managed: AtomicU32,
    /// Frames in the free lists. Per-CPU lists are not in it.
    pub free_pages: AtomicU32,
    /// Frames in the balloon.
    pub balloon_pages: AtomicU32,
    /// Free frames that are being reported to the host.
    pub isolated_pages: AtomicU32,
    /// Frames in pageblocks of type HighAtomic.
    pub highatomic_pages: AtomicU32,
    /// Watermarks in frames: min, low, high, promo.
    pub watermark: [AtomicU32; 4],
    /// Frames kept back from requests whose highest zone is the index.
    pub lowmem_reserve: [AtomicU32; MAX_ZONES],
    /// Frames moved at once between a per-CPU list and the free lists.
    pub pcp_batch: AtomicU32,
    /// Frames that a per-CPU list set may hold.
    pub pcp_high: AtomicU32,
    /// Blocks taken from another migrate type's lists.
    pub nr_fallbacks: AtomicU64,
    /// Frames out of service because their memory is broken.
    pub hwpoison_pages: AtomicU32,
    /// Zero.
    pub reserved: [u32; 9],
    /// Free blocks by order.
    pub free_area: [FreeArea; NR_ORDERS],
}

/// Index of the min watermark: below it only reserves are left.
pub const WMARK_MIN: usize = 0;
/// Index of the low watermark: below it background reclaim is woken.
pub const WMARK_LOW: usize = 1;
/// Index of the high watermark: background reclaim goes on until here.
pub const WMARK_HIGH: usize = 2;
/// Index of the promo watermark, which Linux prints; not used.
pub const WMARK_PROMO: usize = 3;

/// The free blocks of one order.
#[derive(Debug, FromBytes, IntoBytes, KnownLayout)]
#[repr(C)]
pub struct FreeArea {
    /// One list for each migrate type.
    pub free_list: [FreeList; MIGRATE_TYPES],
}

/// A doubly linked list of free blocks through [`crate::page::Page::next`] and `prev`.
#[derive(Debug, FromBytes, IntoBytes, KnownLayout)]
#[repr(C)]
pub struct FreeList {
    /// First pfn, or [`NONE`].
    pub head: AtomicU32,
    /// Last pfn, or [`NONE`].
    pub tail: AtomicU32,
    /// Blocks in the list.
    pub count: AtomicU32,
    /// Zero.
    pub reserved: u32,
}

impl FreeList {
    /// An empty list.
    pub const fn new() -> Self {
        Self {
            head: AtomicU32::new(NONE),
            tail: AtomicU32::new(NONE),
            count: AtomicU32::new(0),
            reserved: 0,
        }
    }
}

impl Default for FreeList {
    fn default() -> Self {
        Self::new()
    }
}
