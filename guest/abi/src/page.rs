//! Frame descriptors and pageblocks: the state of every page frame.
//!
//! `mem_map` is one array of [`Page`], indexed by `pfn - start_pfn` (see [`crate::mm::MmState`]).
//! Boot does not write all of it. What may be read is settled by this invariant:
//!
//! 1. Memory is cut into pageblocks of [`PAGEBLOCK_PAGES`] frames, and each has one byte in the
//!    pageblock table: a [`MigrateType`] and a [`PageblockState`].
//! 2. In a `Ready` pageblock every descriptor is valid.
//! 3. In an `Untouched` pageblock only the first descriptor is valid; the others hold whatever was
//!    in RAM. Such a pageblock is one block of order 9, or half of one of order 10, and is made
//!    `Ready` before it is split further.
//! 4. In a `Reserved` or `Hole` pageblock no descriptor is valid, and none is needed.
//! 5. Valid descriptors tile memory: from the first frame of a pageblock, the head of each block
//!    says how long it is ([`block_pages`]), and the next head follows. Inside a block the
//!    descriptors' flags are 0, or [`PageFlags::TAIL`] in a compound page.

use bitflags::bitflags;
use core::sync::atomic::{AtomicI32, AtomicU32, AtomicU64};
use zerocopy::{FromBytes, IntoBytes, KnownLayout};

/// No pfn: the end of a list.
pub const NONE: u32 = u32::MAX;

/// The largest order of a block: 2^10 pages, 4 MiB.
pub const MAX_ORDER: u32 = 10;

/// Number of orders.
pub const NR_ORDERS: usize = MAX_ORDER as usize + 1;

/// Order of a pageblock: 2 MiB, what one large page-table entry maps, as on x86 Linux.
pub const PAGEBLOCK_ORDER: u32 = 9;

/// Frames in a pageblock.
pub const PAGEBLOCK_PAGES: u32 = 1 << PAGEBLOCK_ORDER;

/// A frame's descriptor. While [`PageFlags::SLAB`] is set in a head, all fields but `flags` and
/// `refcount` belong to the slab allocator.
#[derive(Debug, FromBytes, IntoBytes, KnownLayout)]
#[repr(C)]
pub struct Page {
    /// [`PageFlags`] in bits 0 to 15, 23, 26 and 27, order in 16 to 19, zone index in 20 to 22, migrate
    /// type in 24 and 25, number of the memory group in 28 to 31.
    pub flags: AtomicU32,
    /// References to an allocated page: 1 after its allocation, 0 while it is free.
    pub refcount: AtomicU32,
    /// Page-table entries that map it.
    pub mapcount: AtomicI32,
    /// The owner's word. In the page cache: the page's number in the file. For an anonymous page that
    /// is mapped: the low 32 bits of its place, as [`crate::vma::Vma::pgoff`] counts (Linux: `index`).
    /// With [`PageFlags::SWAPCACHE`]: its swap slot, which keeps what stood here before.
    pub private: AtomicU32,
    /// Next pfn in the list this page is in, or [`NONE`].
    pub next: AtomicU32,
    /// Previous pfn in a doubly linked list, or [`NONE`].
    pub prev: AtomicU32,
    /// What the page is part of; the owner's. In the page cache: physical address of the file's
    /// address space, and [`MAPPING_SHMEM`]. For an anonymous page of a program: [`MAPPING_ANON`] and
    /// what goes with it.
    pub mapping: AtomicU64,
}

/// Set in [`Page::mapping`] of an anonymous page (Linux: `PAGE_MAPPING_ANON`). Its other bits are then
/// [`MAPPING_LAZYFREE`], and the family whose members may map it ([`group_of_mapping`]).
pub const MAPPING_ANON: u64 = 1 << 0;

/// Set in [`Page::mapping`] of an anonymous page whose content its program has given up, unless it
/// stores to it again (madvise `MADV_FREE`; Linux: no `PG_swapbacked`).
pub const MAPPING_LAZYFREE: u64 = 1 << 1;

/// Set in [`Page::mapping`] of a page of shared memory, which has no store and goes to swap (Linux:
/// `PG_swapbacked` in a page of a file).
pub const MAPPING_SHMEM: u64 = 1 << 2;

/// The bits of [`Page::mapping`] that are the address of the [`crate::mm_struct::AnonGroup`] or of the
/// [`crate::page_cache::AddressSpace`].
const MAPPING_OBJECT: u64 = !63;

/// Whether a value of [`Page::mapping`] is an anonymous page's.
#[inline(always)]
pub const fn is_anon(mapping: u64) -> bool {
    mapping & MAPPING_ANON != 0
}

/// Physical address of the [`crate::mm_struct::AnonGroup`] in the [`Page::mapping`] of an anonymous
/// page. It leads to a group as long as the page is mapped.
#[inline(always)]
pub const fn group_of_mapping(mapping: u64) -> u64 {
    mapping & MAPPING_OBJECT
}

/// Physical address of the [`crate::page_cache::AddressSpace`] in the [`Page::mapping`] of a page of a
/// file; 0 for any other page of a program.
#[inline(always)]
pub const fn file_of_mapping(mapping: u64) -> u64 {
    if is_anon(mapping) {
        0
    } else {
        mapping & MAPPING_OBJECT
    }
}

bitflags! {
    /// State of a frame. A head has exactly one of `BUDDY`, `PCP`, `ALLOCATED`, `OFFLINE`,
    /// `ISOLATED` and `RESERVED`, or `HWPOISON` alone, and the order field says how many frames share
    /// that state.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct PageFlags: u32 {
        /// Head of a free block, in the free list of its zone, order and migrate type.
        const BUDDY = 1 << 0;
        /// Head of a free block in a per-CPU list.
        const PCP = 1 << 1;
        /// Head of an allocated block.
        const ALLOCATED = 1 << 2;
        /// With `ALLOCATED`: the block is a slab.
        const SLAB = 1 << 3;
        /// With `ALLOCATED`: a compound page; its other frames are `TAIL`.
        const HEAD = 1 << 4;
        /// Inside a compound page; the order field is the compound page's, so the head is the
        /// pfn rounded down.
        const TAIL = 1 << 5;
        /// One frame that the page allocator never had: firmware, kernel image, hole.
        const RESERVED = 1 << 6;
        /// Head of a block that is in the balloon: allocated, and lent to the host.
        const OFFLINE = 1 << 7;
        /// With `ALLOCATED` and `HEAD`: a kmalloc object of its own.
        const LARGE_KMALLOC = 1 << 8;
        /// With `BUDDY`: the host has been told that the block is free.
        const REPORTED = 1 << 9;
        /// Head of a free block that was taken off its list while the host is being told.
        const ISOLATED = 1 << 10;
        /// With `ALLOCATED`, as all that follow: the page is in a list of its [`crate::lru::Lruvec`].
        const LRU = 1 << 11;
        /// The list is an active one, or will be when the page is put back.
        const ACTIVE = 1 << 12;
        /// Used once since it came to its list.
        const REFERENCED = 1 << 13;
        /// The list is that of pages that cannot be reclaimed, or will be.
        const UNEVICTABLE = 1 << 14;
        /// With `ALLOCATED`: the content is newer than what the store has of it
        /// (Linux: `PG_dirty`).
        const DIRTY = 1 << 15;
        /// With `ALLOCATED`: the content is on its way to the store (Linux: `PG_writeback`).
        const WRITEBACK = 1 << 23;
        /// The memory of the frame is broken (Linux: `PG_hwpoison`). Alone, with order 0: it is out of
        /// service for good. With `ALLOCATED`: somebody still has it, and when he gives it back it does
        /// not become free.
        const HWPOISON = 1 << 26;
        /// With `ALLOCATED`: in the swap cache.
        const SWAPCACHE = 1 << 27;
    }
}

/// The bits of [`Page::flags`] that are [`PageFlags`].
pub const FLAGS_MASK: u32 =
    0xffff | PageFlags::WRITEBACK.bits() | PageFlags::HWPOISON.bits() | PageFlags::SWAPCACHE.bits();
/// First bit of the order.
pub const ORDER_SHIFT: u32 = 16;
/// The order's bits.
pub const ORDER_MASK: u32 = 0xf << ORDER_SHIFT;
/// First bit of the zone index.
pub const ZONE_SHIFT: u32 = 20;
/// The zone index's bits.
pub const ZONE_MASK: u32 = 0x7 << ZONE_SHIFT;
/// First bit of the migrate type: of the free list, of the per-CPU list, or of the request that
/// the block was allocated for.
pub const MIGRATE_SHIFT: u32 = 24;
/// The migrate type's bits.
pub const MIGRATE_MASK: u32 = 0x3 << MIGRATE_SHIFT;
/// First bit of the number of the memory group.
pub const GROUP_SHIFT: u32 = 28;
/// The bits of the number of the memory group.
pub const GROUP_MASK: u32 = 0xf << GROUP_SHIFT;

/// A value for [`Page::flags`].
#[inline]
pub const fn pack(flags: PageFlags, order: u32, zone: u32, migrate: MigrateType) -> u32 {
    flags.bits() | order << ORDER_SHIFT | zone << ZONE_SHIFT | (migrate as u32) << MIGRATE_SHIFT
}

/// The [`PageFlags`] in a value of [`Page::flags`].
#[inline]
pub const fn flags_of(word: u32) -> PageFlags {
    PageFlags::from_bits_retain(word & FLAGS_MASK)
}

/// The order in a value of [`Page::flags`]; 0 to 15.
#[inline]
pub const fn order_of(word: u32) -> u32 {
    (word & ORDER_MASK) >> ORDER_SHIFT
}

/// The zone index in a value of [`Page::flags`]; 0 to 7.
#[inline]
pub const fn zone_of(word: u32) -> u32 {
    (word & ZONE_MASK) >> ZONE_SHIFT
}

/// The number of the [`MigrateType`] in a value of [`Page::flags`]; 0 to 3.
#[inline]
pub const fn migrate_of(word: u32) -> u32 {
    (word & MIGRATE_MASK) >> MIGRATE_SHIFT
}

/// The number of the memory group in a value of [`Page::flags`] of a page in a
/// [`crate::lru::Lruvec`]; 0 to 15.
#[inline]
pub const fn memory_group_of(word: u32) -> u32 {
    (word & GROUP_MASK) >> GROUP_SHIFT
}

/// Frames that the block with this head has.
#[inline]
pub const fn block_pages(word: u32) -> u32 {
    1 << order_of(word)
}

/// Kinds of allocations that are kept apart, so that what can move does not get mixed with what
/// cannot (Linux: `enum migratetype`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum MigrateType {
    /// Stays where it is until its owner frees it.
    Unmovable = 0,
    /// Its content can move to another frame.
    Movable = 1,
    /// A shrinker can free it.
    Reclaimable = 2,
    /// Pageblocks kept for atomic requests of more than one page.
    HighAtomic = 3,
}

/// Number of migrate types.
pub const MIGRATE_TYPES: usize = 4;

/// Number of migrate types that have per-CPU lists: the first three.
pub const MIGRATE_PCPTYPES: usize = 3;

impl MigrateType {
    /// All, in the order of their numbers.
    pub const ALL: [Self; MIGRATE_TYPES] = [
        Self::Unmovable,
        Self::Movable,
        Self::Reclaimable,
        Self::HighAtomic,
    ];

    /// The type with this number, if there is one.
    #[inline]
    pub const fn from_u32(value: u32) -> Option<Self> {
        Some(match value {
            0 => Self::Unmovable,
            1 => Self::Movable,
            2 => Self::Reclaimable,
            3 => Self::HighAtomic,
            _ => return None,
        })
    }

    /// The name in /proc/pagetypeinfo.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Unmovable => "Unmovable",
            Self::Movable => "Movable",
            Self::Reclaimable => "Reclaimable",
            Self::HighAtomic => "HighAtomic",
        }
    }
}

/// Which descriptors of a pageblock are valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum PageblockState {
    /// All.
    Ready = 0,
    /// The first one.
    Untouched = 1,
    /// None: all its RAM was reserved before the page allocator began.
    Reserved = 2,
    /// None: there is no RAM.
    Hole = 3,
}

/// The bits of a pageblock byte that are the [`MigrateType`].
pub const PAGEBLOCK_MIGRATE_MASK: u8 = 0x7;
/// First bit of the [`PageblockState`] in a pageblock byte.
pub const PAGEBLOCK_STATE_SHIFT: u32 = 4;

/// A pageblock's byte.
#[inline]
pub const fn pageblock_byte(state: PageblockState, migrate: MigrateType) -> u8 {
    (state as u8) << PAGEBLOCK_STATE_SHIFT | migrate as u8
}

/// The state in a pageblock's byte.
#[inline]
pub const fn pageblock_state(byte: u8) -> PageblockState {
    match (byte >> PAGEBLOCK_STATE_SHIFT) & 3 {
        0 => PageblockState::Ready,
        1 => PageblockState::Untouched,
        2 => PageblockState::Reserved,
        _ => PageblockState::Hole,
    }
}

const _: () = assert!(size_of::<Page>() == 32);
