//! Virtual memory areas as they stand in RAM.
//!
//! An address space has a [`VmaRoot`], from which its areas ([`Vma`]) hang in two ways: as a
//! red-black tree ordered by address, and as a doubly linked list in the same order. All links are
//! physical addresses of objects in the direct map, 0 for none, as in [`crate::slab`].
//!
//! Each area's *gap* is the free room below it: from the end of the area before it, or from the
//! start of the address space, to [`Vma::start`], less [`STACK_GUARD_GAP`] for an area that grows
//! down. [`Vma::subtree_gap`] is the largest gap of the area and all below it in the tree.

use bitflags::bitflags;
use core::sync::atomic::AtomicU64;
use zerocopy::{FromBytes, IntoBytes, KnownLayout};

bitflags! {
    /// What may be done with an area, with Linux's names and numbers (include/linux/mm.h, 6.1)
    /// without `VM_`.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct VmFlags: u64 {
        /// Loads are allowed.
        const READ = 0x1;
        /// Stores are allowed.
        const WRITE = 0x2;
        /// Instruction fetches are allowed.
        const EXEC = 0x4;
        /// Stores are seen by everybody who maps the same.
        const SHARED = 0x8;
        /// mprotect may set `READ`.
        const MAYREAD = 0x10;
        /// mprotect may set `WRITE`.
        const MAYWRITE = 0x20;
        /// mprotect may set `EXEC`.
        const MAYEXEC = 0x40;
        /// The file could be mapped `SHARED`.
        const MAYSHARE = 0x80;
        /// A stack: a fault just below the area extends it.
        const GROWSDOWN = 0x100;
        /// Frames without descriptors that are in use.
        const PFNMAP = 0x400;
        /// Pages stay in memory.
        const LOCKED = 0x2000;
        /// Memory of a device.
        const IO = 0x4000;
        /// Advised to be read from the start to the end.
        const SEQ_READ = 0x8000;
        /// Advised to be read at random.
        const RAND_READ = 0x1_0000;
        /// fork leaves it out.
        const DONTCOPY = 0x2_0000;
        /// mremap must not extend it.
        const DONTEXPAND = 0x4_0000;
        /// Pages are locked only once they are there.
        const LOCKONFAULT = 0x8_0000;
        /// Counted as committed memory.
        const ACCOUNT = 0x10_0000;
        /// Not to be counted as committed memory.
        const NORESERVE = 0x20_0000;
        /// fork gives the child zeros.
        const WIPEONFORK = 0x200_0000;
        /// Not in a core dump.
        const DONTDUMP = 0x400_0000;
        /// Changed since the mark was last cleared. Areas that differ in it alone can be merged.
        const SOFTDIRTY = 0x800_0000;
        /// Frames with and without descriptors.
        const MIXEDMAP = 0x1000_0000;
        /// Large pages wanted.
        const HUGEPAGE = 0x2000_0000;
        /// Large pages not wanted.
        const NOHUGEPAGE = 0x4000_0000;

        /// Never merged (Linux: `VM_SPECIAL`).
        const SPECIAL = Self::IO.bits()
            | Self::DONTEXPAND.bits()
            | Self::PFNMAP.bits()
            | Self::MIXEDMAP.bits();
    }
}

/// [`Vma::file`] of an anonymous area.
pub const NO_FILE: u64 = 0;

/// Bytes below an area with [`VmFlags::GROWSDOWN`] that no gap search gives away (Linux mm/mmap.c:
/// `stack_guard_gap`, 256 pages).
pub const STACK_GUARD_GAP: u64 = 256 * crate::PAGE_SIZE;

/// Bit of [`Vma::parent`]: the node is black (Linux lib/rbtree.c).
pub const BLACK: u64 = 1;

/// An area: pages with equal rights and contiguous backing. What a search reads is in the first
/// 32 bytes, and the alignment keeps these in one cache line.
#[derive(Debug, FromBytes, IntoBytes, KnownLayout)]
#[repr(C, align(32))]
pub struct Vma {
    /// First address, a multiple of the page size.
    pub start: AtomicU64,
    /// First address behind it, a multiple of the page size above `start`.
    pub end: AtomicU64,
    /// Child with lower addresses.
    pub left: AtomicU64,
    /// Child with higher addresses.
    pub right: AtomicU64,
    /// Parent, and [`BLACK`] in bit 0.
    pub parent: AtomicU64,
    /// Largest gap in bytes of this area and those below it in the tree.
    pub subtree_gap: AtomicU64,
    /// Area with the next lower address.
    pub prev: AtomicU64,
    /// Area with the next higher address.
    pub next: AtomicU64,
    /// Bits of [`VmFlags`].
    pub flags: AtomicU64,
    /// Number of the file, or [`NO_FILE`].
    pub file: AtomicU64,
    /// Page of the file at `start`. Without a file: page number of the address at which `start` was
    /// when it was mapped, so that areas that were moved apart do not merge by chance.
    pub pgoff: AtomicU64,
    /// The [`crate::mm_struct::MmStruct`] that it is part of (Linux: `vm_mm`).
    pub mm: AtomicU64,
    /// Next area of the same file, 0 for none (Linux: `shared.rb`).
    pub file_next: AtomicU64,
    /// Previous area of the same file.
    pub file_prev: AtomicU64,
    /// Zero.
    pub reserved: [u64; 2],
}

impl Vma {
    /// All zeros: an area that is in no tree.
    pub const fn new() -> Self {
        Self {
            start: AtomicU64::new(0),
            end: AtomicU64::new(0),
            left: AtomicU64::new(0),
            right: AtomicU64::new(0),
            parent: AtomicU64::new(0),
            subtree_gap: AtomicU64::new(0),
            prev: AtomicU64::new(0),
            next: AtomicU64::new(0),
            flags: AtomicU64::new(0),
            file: AtomicU64::new(0),
            pgoff: AtomicU64::new(0),
            mm: AtomicU64::new(0),
            file_next: AtomicU64::new(0),
            file_prev: AtomicU64::new(0),
            reserved: [0; 2],
        }
    }
}

impl Default for Vma {
    fn default() -> Self {
        Self::new()
    }
}

/// The areas of one address space.
#[derive(Debug, FromBytes, IntoBytes, KnownLayout)]
#[repr(C)]
pub struct VmaRoot {
    /// Root of the tree.
    pub root: AtomicU64,
    /// Area with the lowest address.
    pub first: AtomicU64,
    /// Area with the highest address.
    pub last: AtomicU64,
    /// Areas.
    pub count: AtomicU64,
    /// Lowest address that an area may have.
    pub start: AtomicU64,
    /// First address that is too high for an area.
    pub end: AtomicU64,
    /// The area in which a fault was last found, or 0 (Linux until 3.15: `mm->mmap_cache`).
    pub cache: AtomicU64,
}

impl VmaRoot {
    /// No areas and no room for any.
    pub const fn new() -> Self {
        Self {
            root: AtomicU64::new(0),
            first: AtomicU64::new(0),
            last: AtomicU64::new(0),
            count: AtomicU64::new(0),
            start: AtomicU64::new(0),
            end: AtomicU64::new(0),
            cache: AtomicU64::new(0),
        }
    }
}

impl Default for VmaRoot {
    fn default() -> Self {
        Self::new()
    }
}

const _: () = assert!(size_of::<Vma>() == 128);
