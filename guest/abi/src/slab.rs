//! Slab caches as they stand in RAM.
//!
//! A *cache* ([`Cache`]) holds objects of one size. Its objects lie in *slabs*: naturally aligned
//! blocks of `1 << order` frames from the direct map. A slab needs no header:
//!
//! ```text
//! slab   +0        colour             colour + objects * size          states_offset   end
//!        | unused  | object 0 | 1 | … | unused                       | state bytes     |
//! object +0                   object_offset             + object_size                size
//!        | padding, red zone  | what the caller gets    | red zone, tracking, padding |
//! ```
//!
//! A slab is a compound page (from order 1 on) whose first descriptor ([`crate::page::Page`]) has
//! the SLAB flag. There `mapping` is the physical address of the cache, `next` and `prev` link the
//! slab into one of the cache's lists, and `private` is a [`SlabWord`].
//!
//! The caches are in a list of their own, from [`SlabState::caches`] through
//! [`Cache::next`]. A kmalloc allocation larger than the largest kmalloc cache is not in a slab:
//! it is a compound page with the LARGE_KMALLOC flag.
//!
//! Each object has one *state byte* ([`ObjectState`]). They stand at the slab's end, or, if the
//! cache has [`CacheFlags::DESCRIPTOR_STATES`], in the four bytes of the first frame descriptor's
//! `mapcount`, so that an object of half a page costs no page more; without that flag `mapcount`
//! is the lowest index at which an object may be free. A byte and not a bit, because
//! two CPUs may write those of neighbours at once without a locked operation. A free object's own
//! bytes are never used for bookkeeping: what a constructor or the poison left there survives.
//!
//! A free object is `Free` in its slab or waits in the [`Magazine`] of one CPU.

use crate::percpu::MAX_CPUS;
use bitflags::bitflags;
use core::sync::atomic::{AtomicU32, AtomicU64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Objects that fit into a magazine (Linux mm/slab.c, `enable_cpucache`: the limit of small ones).
pub const MAGAZINE_CAPACITY: usize = 120;

/// Bytes of a cache's name, of which at least one is NUL.
pub const NAME_LEN: usize = 24;

/// Objects of a slab whose states fit into its first frame descriptor.
pub const DESCRIPTOR_OBJECTS: u32 = 4;

/// Largest order of a slab (Linux mm/slab.h: `PAGE_ALLOC_COSTLY_ORDER` bounds it there).
pub const MAX_SLAB_ORDER: u32 = 3;

/// Object sizes of the kmalloc caches in bytes, in the order of [`SlabState::kmalloc`].
pub const KMALLOC_SIZES: [u32; 13] = [
    8, 16, 32, 64, 96, 128, 192, 256, 512, 1024, 2048, 4096, 8192,
];

bitflags! {
    /// Properties of a cache, with Linux's names (include/linux/slab.h) without `SLAB_`.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct CacheFlags: u32 {
        /// Slabs come from ZONE_DMA.
        const CACHE_DMA = 1 << 0;
        /// Objects start on cache lines.
        const HWCACHE_ALIGN = 1 << 1;
        /// Objects can be freed by a shrinker; counted as `nr_slab_reclaimable`.
        const RECLAIM_ACCOUNT = 1 << 2;
        /// `slab_debug` letter F: state bytes of a whole slab are checked at each refill and flush.
        const CONSISTENCY_CHECKS = 1 << 3;
        /// `slab_debug` letter Z: [`RED_ACTIVE`] or [`RED_INACTIVE`] on both sides of an object:
        /// the 8 bytes before it, and from its last byte to 8 bytes after the next multiple of 8,
        /// where the eight bytes of the number repeat.
        const RED_ZONE = 1 << 4;
        /// `slab_debug` letter P: free objects are filled with [`POISON_FREE`], new ones with
        /// [`POISON_INUSE`]; not in a cache with a constructor.
        const POISON = 1 << 5;
        /// `slab_debug` letter U: a [`Track`] behind each object.
        const STORE_USER = 1 << 6;
        /// The states of a slab's objects stand in its first frame descriptor.
        const DESCRIPTOR_STATES = 1 << 7;
        /// The allocator's own cache: failures are not injected and it cannot be destroyed.
        const INTERNAL = 1 << 8;
        /// One of the kmalloc caches: its objects can be given to kfree.
        const KMALLOC = 1 << 9;

        /// Everything that `slab_debug` can switch on.
        const DEBUG = Self::CONSISTENCY_CHECKS.bits()
            | Self::RED_ZONE.bits()
            | Self::POISON.bits()
            | Self::STORE_USER.bits();
    }
}

/// Byte of a free object (Linux include/linux/poison.h).
pub const POISON_FREE: u8 = 0x6b;

/// Byte of an allocated object that its owner has not written yet.
pub const POISON_INUSE: u8 = 0x5a;

/// Last byte of a poisoned object.
pub const POISON_END: u8 = 0xa5;

/// Red zone around a free object.
pub const RED_INACTIVE: u64 = 0x09f9_1102_9d74_e35b;

/// Red zone around an allocated object.
pub const RED_ACTIVE: u64 = 0xd841_56c5_6356_88c0;

/// Value of an object's state byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum ObjectState {
    /// Free, in its slab.
    Free = 0,
    /// Free, in a CPU's magazine.
    Magazine = 1,
    /// In the hands of a caller.
    Allocated = 2,
}

impl ObjectState {
    /// The state with this number, if there is one.
    pub const fn from_u8(value: u8) -> Option<Self> {
        Some(match value {
            0 => Self::Free,
            1 => Self::Magazine,
            2 => Self::Allocated,
            _ => return None,
        })
    }
}

/// `private` of a slab's first frame descriptor: how many of its objects are
/// [`ObjectState::Free`] (bits 0 to 15), and its colour, the offset of object 0 in units of
/// 8 bytes (bits 16 to 31).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SlabWord(pub u32);

impl SlabWord {
    /// A slab with `free` free objects of which the first is `colour` bytes, a multiple of 8, from
    /// the slab's start.
    pub const fn new(free: u32, colour: u32) -> Self {
        Self(free | (colour / 8) << 16)
    }

    /// Objects in state [`ObjectState::Free`].
    pub const fn free(self) -> u32 {
        self.0 & 0xffff
    }

    /// Offset of object 0 in bytes.
    pub const fn colour(self) -> u32 {
        (self.0 >> 16) * 8
    }
}

/// Which list a slab is on; index into [`Cache::lists`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum ListKind {
    /// No object is free in the slab.
    Full = 0,
    /// Some are.
    Partial = 1,
    /// All are.
    Empty = 2,
}

impl ListKind {
    /// All lists, in the order of [`Cache::lists`].
    pub const ALL: [Self; 3] = [Self::Full, Self::Partial, Self::Empty];
}

/// A list of slabs, linked through the `next` and `prev` of their first frame descriptors.
#[derive(Debug, FromBytes, IntoBytes, KnownLayout)]
#[repr(C)]
pub struct SlabList {
    /// Pfn of the first slab, or [`crate::page::NONE`].
    pub head: AtomicU32,
    /// Slabs in the list.
    pub count: AtomicU32,
}

/// How objects lie in the slabs of a cache. Never changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct Geometry {
    /// Bytes that the caller asked for and gets.
    pub object_size: u32,
    /// Bytes from one object to the next, debugging aids included.
    pub size: u32,
    /// `2^32 / size`, rounded up: `offset * reciprocal >> 32` is the index of an object.
    pub reciprocal: u32,
    /// Bytes from the start of an object's place to what the caller gets.
    pub object_offset: u32,
    /// Alignment of what the caller gets, a power of two of at least 8.
    pub align: u32,
    /// Objects in a slab.
    pub objects: u32,
    /// Binary logarithm of a slab's frames, at most [`MAX_SLAB_ORDER`].
    pub order: u32,
    /// Offset of the state bytes in a slab; the slab's size if they are in the descriptor.
    pub states_offset: u32,
    /// Colours that successive slabs go through, at least 1.
    pub colours: u32,
    /// Bytes from one colour to the next.
    pub colour_step: u32,
    /// Bits of [`CacheFlags`].
    pub flags: u32,
    /// Most objects in a magazine, at most [`MAGAZINE_CAPACITY`].
    pub limit: u32,
    /// Objects that move between a magazine and the slabs at once.
    pub batch: u32,
    /// Zero.
    pub reserved: u32,
}

/// A cache. Lists, counts and the next colour change under `lock` only.
#[derive(Debug, FromBytes, IntoBytes, KnownLayout)]
#[repr(C, align(64))]
pub struct Cache {
    /// Physical addresses of the CPUs' [`Magazine`]s; 0 where there is none (yet), and the CPU
    /// works on the slabs directly.
    pub magazines: [AtomicU64; MAX_CPUS],
    /// How objects lie in slabs.
    pub geometry: Geometry,
    /// Number of the cache in events; never used twice.
    pub index: u32,
    /// Not zero while a CPU holds the cache's lock.
    pub lock: AtomicU32,
    /// Kernel virtual address of the constructor; 0 if there is none.
    pub ctor: u64,
    /// Slabs by [`ListKind`].
    pub lists: [SlabList; 3],
    /// Objects in state [`ObjectState::Free`], over all slabs.
    pub free_objects: AtomicU64,
    /// Allocations served without a magazine; those served by one are counted there. Frees are
    /// not counted: they are the allocations less the objects in state
    /// [`ObjectState::Allocated`].
    pub allocs: AtomicU64,
    /// Allocations that failed, injected ones included.
    pub alloc_failures: AtomicU64,
    /// Slabs added so far.
    pub grown: AtomicU64,
    /// Slabs given back so far.
    pub reaped: AtomicU64,
    /// Colour of the next slab, below `geometry.colours`.
    pub next_colour: AtomicU32,
    /// Empty slabs that are kept when objects come back, even if memory is short.
    pub max_empty: u32,
    /// Physical address of the cache created before this one, or 0.
    pub next: AtomicU64,
    /// UTF-8, NUL-padded, at least one NUL.
    pub name: [u8; NAME_LEN],
    /// Zero.
    pub reserved: [u64; 2],
}

/// Free objects of one CPU (Linux mm/slab.c: `struct array_cache`): last in, first out. Only its
/// CPU touches it.
#[derive(Debug, FromBytes, IntoBytes, KnownLayout)]
#[repr(C)]
pub struct Magazine {
    /// Objects in it: `entries[..avail]`.
    pub avail: AtomicU32,
    /// Not zero if another CPU wants it emptied at its owner's next occasion.
    pub drain_wanted: AtomicU32,
    /// Allocations it has served.
    pub allocs: AtomicU64,
    /// The objects, as [`MagazineEntry`].
    pub entries: [AtomicU64; MAGAZINE_CAPACITY],
}

/// An object in a magazine: the physical address of what the caller will get (bits 0 to 47) and
/// the object's index in its slab (bits 48 to 63), which saves the division.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MagazineEntry(pub u64);

impl MagazineEntry {
    /// The object with this physical address and index.
    pub const fn new(gpa: u64, index: u32) -> Self {
        Self(gpa | (index as u64) << 48)
    }

    /// Physical address of the object.
    pub const fn gpa(self) -> u64 {
        self.0 & ((1 << 48) - 1)
    }

    /// Index of the object in its slab.
    pub const fn index(self) -> u32 {
        (self.0 >> 48) as u32
    }
}

/// A place in the guest's source, in its own kernel image.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct Place {
    /// Kernel virtual address of the file's name, UTF-8; 0 if there is none.
    pub file: u64,
    /// Bytes of the name.
    pub file_len: u32,
    /// Line, from 1.
    pub line: u32,
}

/// Who allocated and who freed an object last: behind the object's red zone, at the next multiple
/// of 8 from the start of the object's place.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct Track {
    /// Caller of the last allocation.
    pub alloc: Place,
    /// Caller of the last free.
    pub free: Place,
}

/// The slab allocator's part of the memory manager's root structure.
#[derive(Debug, FromBytes, IntoBytes, KnownLayout)]
#[repr(C)]
pub struct SlabState {
    /// Physical address of the newest cache, 0 if there is none; [`Cache::next`] leads to the
    /// older ones.
    pub caches: AtomicU64,
    /// The kmalloc caches by [`KMALLOC_SIZES`].
    pub kmalloc: [AtomicU64; KMALLOC_SIZES.len()],
    /// Their twins in ZONE_DMA; 0 before the first use.
    pub dma_kmalloc: [AtomicU64; KMALLOC_SIZES.len()],
    /// The cache of caches. Its own descriptor is object 0 of its first slab.
    pub kmem_cache: AtomicU64,
    /// The cache of magazines.
    pub array_cache: AtomicU64,
    /// Caches in the list.
    pub nr_caches: AtomicU32,
    /// Number of the next cache.
    pub next_index: AtomicU32,
    /// Not zero while a CPU holds the lock of the list of caches.
    pub lock: AtomicU32,
    /// Bits of [`CacheFlags::DEBUG`] that new caches get.
    pub debug: AtomicU32,
    /// Bytes of a [`Cache`].
    pub cache_size: u32,
    /// Zero.
    pub reserved: u32,
}

impl SlabState {
    /// No caches.
    pub const fn new() -> Self {
        Self {
            caches: AtomicU64::new(0),
            kmalloc: [const { AtomicU64::new(0) }; KMALLOC_SIZES.len()],
            dma_kmalloc: [const { AtomicU64::new(0) }; KMALLOC_SIZES.len()],
            kmem_cache: AtomicU64::new(0),
            array_cache: AtomicU64::new(0),
            nr_caches: AtomicU32::new(0),
            next_index: AtomicU32::new(0),
            lock: AtomicU32::new(0),
            debug: AtomicU32::new(0),
            cache_size: size_of::<Cache>() as u32,
            reserved: 0,
        }
    }
}

impl Default for SlabState {
    fn default() -> Self {
        Self::new()
    }
}

const _: () = assert!(size_of::<SlabState>() == 256);
