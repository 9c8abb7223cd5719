//! The page cache as it stands in RAM: for each file its pages, in a radix tree.
//!
//! A file's content is an [`AddressSpace`] (Linux include/linux/fs.h: `struct address_space`, with
//! the parts of `struct inode` that belong to the content). All of them are in one list, from
//! [`PageCacheState::files`] through [`AddressSpace::next`]. Links are physical addresses of objects
//! in the direct map, 0 for none, as in [`crate::slab`].
//!
//! A tree consists of [`RadixTreeNode`]s of 64 slots (Linux lib/xarray.c). An empty tree has no
//! node; the root of another one is the lowest node that covers all of its pages. A slot of a node
//! with `shift` 0 is empty (0), holds a page ([`slot_of_page`]), or, in shared memory, leads to a slot of the
//! swap device in which the page is ([`slot_of_swap`]), or says that the page is lost ([`slot_of_hwpoison`]). One of any other node is empty or leads to a node whose `shift` is smaller by [`MAP_SHIFT`]. No node is empty.
//!
//! A file may have a store, from which pages that are not in the cache are read and to which those are
//! written that were changed. A page of such a file is [`PageFlags::DIRTY`](crate::page::PageFlags::DIRTY)
//! from its first change until it is written, and then its slot and all slots above it have
//! [`TAG_DIRTY`]. A page in the cache is always up to date: one that could not be read is not there.
//!
//! A page in a cache is an allocated block of order 0. Its descriptor's `mapping` is the physical
//! address of the file's [`AddressSpace`], and `private` is its page number in the file, so that a
//! file has at most [`MAX_PAGES`] pages. The cache holds one of its references.

use bitflags::bitflags;
use core::sync::atomic::{AtomicU16, AtomicU32, AtomicU64};
use zerocopy::{FromBytes, IntoBytes, KnownLayout};

/// Binary logarithm of a node's slots (Linux include/linux/xarray.h: `XA_CHUNK_SHIFT`).
pub const MAP_SHIFT: u32 = 6;

/// Slots of a node.
pub const MAP_SIZE: usize = 1 << MAP_SHIFT;

/// Pages that a file may have: their numbers fit into a descriptor's `private`.
pub const MAX_PAGES: u64 = 1 << 32;

/// Nodes on the longest way from a root to a page.
pub const MAX_HEIGHT: u32 = 32_u32.div_ceil(MAP_SHIFT);

/// Tags that the slots of a node may have.
pub const NR_TAGS: usize = 2;

/// Tag: a page in or below the slot is dirty (Linux: `PAGECACHE_TAG_DIRTY`).
pub const TAG_DIRTY: usize = 0;

/// Tag: the last attempt to write a page in or below the slot failed, and the page has not been
/// dirty since. What the store has of it is not known (what `PG_error` was in Linux).
pub const TAG_ERROR: usize = 1;

/// First word of a live [`AddressSpace`].
pub const ADDRESS_SPACE_MAGIC: u64 = u64::from_le_bytes(*b"addrspac");

/// Name of the cache of [`AddressSpace`]s.
pub const INODE_CACHE: &str = "inode_cache";

/// Name of the cache of [`RadixTreeNode`]s, which is Linux's.
pub const RADIX_TREE_NODE: &str = "radix_tree_node";

bitflags! {
    /// Properties of an [`AddressSpace`].
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct AddressSpaceFlags: u32 {
        /// Memory that is shared by name or by inheritance (Linux mm/shmem.c): its pages count as
        /// `nr_shmem` as well, and go to swap.
        const SHMEM = 1 << 0;
        /// The pages are all there is of the content, so they stay in memory (Linux: ramfs,
        /// `AS_UNEVICTABLE`).
        const UNEVICTABLE = 1 << 1;
    }
}

/// The content of a file. `root` and what hangs from it change under `lock` only.
#[derive(Debug, FromBytes, IntoBytes, KnownLayout)]
#[repr(C, align(64))]
pub struct AddressSpace {
    /// [`ADDRESS_SPACE_MAGIC`] while the file lives.
    pub magic: AtomicU64,
    /// The root node.
    pub root: AtomicU64,
    /// Bytes of the file (Linux: `i_size`).
    pub size: AtomicU64,
    /// Pages in the cache.
    pub nrpages: AtomicU64,
    /// References: open files, areas, names (Linux: `i_count`).
    pub count: AtomicU32,
    /// Not zero while a CPU changes the tree.
    pub lock: AtomicU32,
    /// Bits of [`AddressSpaceFlags`].
    pub flags: AtomicU32,
    /// Areas that map it: those in the list from `i_mmap`.
    pub mapped: AtomicU32,
    /// Number of the file, never used twice (Linux: `i_ino`).
    pub ino: AtomicU64,
    /// Next file in the list of all.
    pub next: AtomicU64,
    /// Previous file in the list of all.
    pub prev: AtomicU64,
    /// The areas that map it: the newest [`crate::vma::Vma`] (Linux: `i_mmap`).
    pub i_mmap: AtomicU64,
    /// Its number in the store: the inode, or the device.
    pub host: AtomicU64,
    /// Pages with [`TAG_DIRTY`].
    pub nr_dirty: AtomicU64,
    /// Number of the table of operations on the store, from 1; 0 if there is no store
    /// (Linux: `a_ops`).
    pub a_ops: AtomicU32,
    /// The latest error of writing a page to the store, and who has seen it (Linux lib/errseq.c:
    /// `errseq_t`).
    pub wb_err: AtomicU32,
    /// Pages that are in swap (Linux: `swapped` of `struct shmem_inode_info`).
    pub nr_swapped: AtomicU64,
    /// How its mappings are read (in Linux each open file that is mapped has its own).
    pub ra: FileRa,
}

/// What was read ahead of somebody who reads a file (Linux: `struct file_ra_state`).
#[derive(Debug, FromBytes, IntoBytes, KnownLayout)]
#[repr(C)]
pub struct FileRa {
    /// First page of the window that was read last.
    pub start: AtomicU32,
    /// Pages of the window; 0 if there was none yet.
    pub size: AtomicU16,
    /// Pages at its end before the first of which the next window is read; 0 for none.
    pub async_size: AtomicU16,
    /// The page that was read last, or [`u32::MAX`] (Linux: `prev_pos`).
    pub prev_index: AtomicU32,
    /// Faults on pages that were not in the cache, less those that found one.
    pub mmap_miss: AtomicU32,
}

impl FileRa {
    /// Nothing was read yet.
    pub const fn new() -> Self {
        Self {
            start: AtomicU32::new(0),
            size: AtomicU16::new(0),
            async_size: AtomicU16::new(0),
            prev_index: AtomicU32::new(u32::MAX),
            mmap_miss: AtomicU32::new(0),
        }
    }
}

impl Default for FileRa {
    fn default() -> Self {
        Self::new()
    }
}

/// A node of a file's tree.
#[derive(Debug, FromBytes, IntoBytes, KnownLayout)]
#[repr(C)]
pub struct RadixTreeNode {
    /// The node above.
    pub parent: AtomicU64,
    /// Bits of a page number that the nodes below this one use.
    pub shift: AtomicU32,
    /// This node's slot in its parent (bits 0 to 15), and slots that are not empty (from bit 16).
    pub place: AtomicU32,
    /// Children or pages.
    pub slots: [AtomicU64; MAP_SIZE],
    /// For each tag, the slots that have it, as bits.
    pub tags: [AtomicU64; NR_TAGS],
}

/// The page cache's part of the memory manager's root structure.
#[derive(Debug, FromBytes, IntoBytes, KnownLayout)]
#[repr(C)]
pub struct PageCacheState {
    /// The newest [`AddressSpace`].
    pub files: AtomicU64,
    /// Number of the next one.
    pub next_ino: AtomicU64,
    /// [`AddressSpace`]s in the list.
    pub nr_files: AtomicU32,
    /// Not zero while a CPU changes the list.
    pub lock: AtomicU32,
}

/// What a slot says about a page: bit 0 is set, as in Linux's value entries.
#[inline]
pub const fn slot_of_page(pfn: u32) -> u64 {
    (pfn as u64) << 1 | 1
}

/// The page in a slot; none if the slot is empty, leads to a node or is broken.
#[inline]
pub const fn page_of_slot(slot: u64) -> Option<u32> {
    if slot & 1 == 1 && slot >> 33 == 0 {
        Some((slot >> 1) as u32)
    } else {
        None
    }
}

/// Set in a slot that leads to swap. The number of the slot of the swap device follows bit 0.
const SWAP_SLOT: u64 = 1 << 63;

/// What a slot says about a page that is in a slot of the swap device (Linux:
/// `swp_to_radix_entry`).
#[inline]
pub const fn slot_of_swap(swap: u64) -> u64 {
    SWAP_SLOT | swap << 1 | 1
}

/// The slot of the swap device that a slot leads to; none if it does not. The number is unchecked.
#[inline]
pub const fn swap_of_slot(slot: u64) -> Option<u64> {
    if slot & (SWAP_SLOT | 1) == SWAP_SLOT | 1 {
        Some((slot & !SWAP_SLOT) >> 1)
    } else {
        None
    }
}

/// Set in a slot whose page is lost, as the memory of its frame broke, and which no store can bring
/// back. The frame follows bit 0.
const HWPOISON_SLOT: u64 = 1 << 62;

/// What a slot says about a page that is lost with its frame (Linux mm/shmem.c leaves such a mark for a
/// page that does not come back from swap: `make_poisoned_swp_entry`).
#[inline]
pub const fn slot_of_hwpoison(pfn: u32) -> u64 {
    HWPOISON_SLOT | (pfn as u64) << 1 | 1
}

/// The broken frame that a slot names; none if it does not.
#[inline]
pub const fn hwpoison_of_slot(slot: u64) -> Option<u32> {
    let mark = HWPOISON_SLOT | 1;
    if slot & mark == mark && slot & !mark <= (u32::MAX as u64) << 1 {
        Some(((slot & !mark) >> 1) as u32)
    } else {
        None
    }
}

/// A value for [`RadixTreeNode::place`].
#[inline]
pub const fn pack_place(offset: u32, count: u32) -> u32 {
    offset | count << 16
}

/// The node's slot in its parent.
#[inline]
pub const fn offset_of(place: u32) -> u32 {
    place & 0xffff
}

/// Slots of the node that are not empty.
#[inline]
pub const fn count_of(place: u32) -> u32 {
    place >> 16
}

const _: () = assert!(size_of::<AddressSpace>() == 128);
const _: () = assert!(size_of::<RadixTreeNode>() == 544);
