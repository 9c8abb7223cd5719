//! Address spaces as they stand in RAM (Linux include/linux/mm_types.h: `struct mm_struct`).
//!
//! All of them hang in a doubly linked list, newest first, from [`crate::mm::MmState::mm_list`].
//! Links are physical addresses of objects in the direct map, 0 for none.
//!
//! A frame of a program has as many references as page-table entries that hold it (present ones and
//! those with [`crate::pte::PTE_PROTNONE`]; those with [`crate::pte::PTE_SPECIAL`] hold none), and one
//! more if it is in the page cache or in the swap cache. A large entry is an entry for each of its 512
//! frames, which are single pages. Its descriptor's `mapcount` counts the entries alone, and its
//! `mapping` is that of [`crate::page::Page::mapping`]. While the memory manager works on a frame, it may
//! have one reference more; the event clock can stand still at such a moment.

use crate::vma::VmaRoot;
use core::sync::atomic::{AtomicU32, AtomicU64};
use zerocopy::{FromBytes, IntoBytes, KnownLayout};

/// First word of a live [`MmStruct`].
pub const MM_STRUCT_MAGIC: u64 = u64::from_le_bytes(*b"mmstruct");

/// Name of the cache of [`MmStruct`]s.
pub const MM_STRUCT: &str = "mm_struct";

/// Bit of [`MmStruct::flags`]: the process is to die for want of memory, and its pages have been
/// taken. No page comes any more (Linux: `MMF_OOM_SKIP`, `MMF_UNSTABLE`).
pub const MMF_OOM_VICTIM: u32 = 1 << 0;

/// Bit of [`MmStruct::flags`]: the kernel loads or stores there for a system call, perhaps of another
/// process.
pub const MMF_IN_ACCESS: u32 = 1 << 1;

/// Kinds of pages that are counted in [`MmStruct::rss`] (Linux include/linux/mm_types_task.h).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub enum RssStat {
    /// Pages of files.
    File = 0,
    /// Anonymous pages.
    Anon = 1,
    /// Entries that lead to swap.
    Swap = 2,
    /// Pages of shared memory.
    Shmem = 3,
}

/// Number of [`RssStat`]s.
pub const NR_RSS_STATS: usize = 4;

/// An address space. Counts are in pages unless they say otherwise.
#[derive(Debug, FromBytes, IntoBytes, KnownLayout)]
#[repr(C, align(64))]
pub struct MmStruct {
    /// [`MM_STRUCT_MAGIC`] while the address space lives.
    pub magic: AtomicU64,
    /// Physical address of the top-level page table.
    pub pgd: AtomicU64,
    /// The areas.
    pub vmas: VmaRoot,
    /// Number of the address space, never used twice.
    pub id: AtomicU64,
    /// Next in the list of all.
    pub next: AtomicU64,
    /// Previous in the list of all.
    pub prev: AtomicU64,
    /// Top of what mmap gives out (Linux: `mmap_base`).
    pub mmap_base: AtomicU64,
    /// Pages in all areas.
    pub total_vm: AtomicU64,
    /// Pages in areas with `LOCKED`.
    pub locked_vm: AtomicU64,
    /// Pages present, index [`RssStat`].
    pub rss: [AtomicU64; NR_RSS_STATS],
    /// Largest sum of resident pages that a change of it has seen.
    pub hiwater_rss: AtomicU64,
    /// Page-table nodes: the top-level one, and one for each large entry that is set aside for its
    /// split, included.
    pub pgtables: AtomicU64,
    /// First address of the heap.
    pub start_brk: AtomicU64,
    /// First address behind the heap, in bytes.
    pub brk: AtomicU64,
    /// First address above the stack.
    pub start_stack: AtomicU64,
    /// Bytes that the stack may have.
    pub stack_limit: AtomicU64,
    /// First address of the arguments' strings. The next three are those of
    /// /proc/PID/cmdline and /proc/PID/environ and are the exec's to fill in.
    pub arg_start: AtomicU64,
    /// First address behind them.
    pub arg_end: AtomicU64,
    /// First address of the environment's strings.
    pub env_start: AtomicU64,
    /// First address behind them.
    pub env_end: AtomicU64,
    /// [`crate::vma::VmFlags`] that new areas get (mlockall).
    pub def_flags: AtomicU64,
    /// Faults that needed no I/O.
    pub min_flt: AtomicU64,
    /// Faults that did.
    pub maj_flt: AtomicU64,
    /// Tasks that run in it, which their owner counts.
    pub mm_users: AtomicU32,
    /// [`MMF_OOM_VICTIM`], [`MMF_IN_ACCESS`].
    pub flags: AtomicU32,
    /// The [`AnonGroup`].
    pub anon_group: AtomicU64,
    /// Next in the group.
    pub group_next: AtomicU64,
    /// Previous in the group.
    pub group_prev: AtomicU64,
    /// Bytes that all areas may have together (Linux: `RLIMIT_AS`).
    pub as_limit: AtomicU64,
    /// Bytes that those of private memory that can be written may have (Linux: `RLIMIT_DATA`).
    pub data_limit: AtomicU64,
    /// Bytes that may be locked (Linux: `RLIMIT_MEMLOCK`); `u64::MAX` if nobody counts them.
    pub memlock_limit: AtomicU64,
    /// Zero.
    pub reserved: u64,
}

/// First word of a live [`AnonGroup`].
pub const ANON_GROUP_MAGIC: u64 = u64::from_le_bytes(*b"anongrup");

/// Name of the cache of [`AnonGroup`]s. Linux has `anon_vma` for what it does.
pub const ANON_GROUP: &str = "anon_group";

/// The address spaces that can have an anonymous page in common: one that exec made, and all that
/// descend from it by fork. It lives as long as one of them.
#[derive(Debug, FromBytes, IntoBytes, KnownLayout)]
#[repr(C, align(64))]
pub struct AnonGroup {
    /// [`ANON_GROUP_MAGIC`].
    pub magic: AtomicU64,
    /// The newest member.
    pub members: AtomicU64,
    /// Members.
    pub count: AtomicU64,
    /// Zero.
    pub reserved: [u64; 5],
}

impl MmStruct {
    /// An address space without anything.
    pub const fn new() -> Self {
        Self {
            magic: AtomicU64::new(0),
            pgd: AtomicU64::new(0),
            vmas: VmaRoot::new(),
            id: AtomicU64::new(0),
            next: AtomicU64::new(0),
            prev: AtomicU64::new(0),
            mmap_base: AtomicU64::new(0),
            total_vm: AtomicU64::new(0),
            locked_vm: AtomicU64::new(0),
            rss: [const { AtomicU64::new(0) }; NR_RSS_STATS],
            hiwater_rss: AtomicU64::new(0),
            pgtables: AtomicU64::new(0),
            start_brk: AtomicU64::new(0),
            brk: AtomicU64::new(0),
            start_stack: AtomicU64::new(0),
            stack_limit: AtomicU64::new(0),
            arg_start: AtomicU64::new(0),
            arg_end: AtomicU64::new(0),
            env_start: AtomicU64::new(0),
            env_end: AtomicU64::new(0),
            def_flags: AtomicU64::new(0),
            min_flt: AtomicU64::new(0),
            maj_flt: AtomicU64::new(0),
            mm_users: AtomicU32::new(0),
            flags: AtomicU32::new(0),
            anon_group: AtomicU64::new(0),
            group_next: AtomicU64::new(0),
            group_prev: AtomicU64::new(0),
            as_limit: AtomicU64::new(u64::MAX),
            data_limit: AtomicU64::new(u64::MAX),
            memlock_limit: AtomicU64::new(u64::MAX),
            reserved: 0,
        }
    }
}

impl Default for MmStruct {
    fn default() -> Self {
        Self::new()
    }
}

const _: () = assert!(size_of::<MmStruct>() == 320);
const _: () = assert!(size_of::<AnonGroup>() == 64);
