//! Frames whose memory is broken: what became of each (Linux mm/memory-failure.c).

use core::sync::atomic::{AtomicU32, AtomicU64};
use zerocopy::{FromBytes, IntoBytes, KnownLayout};

/// Failures that are kept: the first ones of a run.
pub const MEMORY_FAILURES: usize = 16;

/// Broken frames that the balloon, or the host's report of free pages, can have at once.
pub const MAX_DEFERRED: usize = 19;

/// What a frame was when its memory broke (Linux: `enum mf_action_page_type`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u32)]
pub enum MfType {
    /// The kernel's image, a hole, or what boot took.
    Kernel = 0,
    /// Allocated by the kernel for itself: page tables, its own workload.
    KernelHighOrder = 1,
    /// A slab, or kmalloc memory.
    Slab = 2,
    /// Free.
    Buddy = 3,
    /// Anonymous memory of programs, which is nowhere else.
    DirtyLru = 4,
    /// A page of a file that its store has as well.
    CleanLru = 5,
    /// A page of the swap cache, which its slot has as well.
    CleanSwapcache = 6,
    /// A page of a file that is newer than what its store has.
    DirtyFile = 7,
    /// A page of shared memory or of a file without a store.
    DirtyUnevictable = 8,
    /// In the balloon, or being reported to the host.
    Offline = 9,
    /// It was known to be broken.
    AlreadyPoisoned = 10,
    /// Of no zone.
    Unknown = 11,
}

impl MfType {
    /// All, in the order of their numbers.
    pub const ALL: [Self; 12] = [
        Self::Kernel,
        Self::KernelHighOrder,
        Self::Slab,
        Self::Buddy,
        Self::DirtyLru,
        Self::CleanLru,
        Self::CleanSwapcache,
        Self::DirtyFile,
        Self::DirtyUnevictable,
        Self::Offline,
        Self::AlreadyPoisoned,
        Self::Unknown,
    ];

    /// The type with this number, if there is one.
    pub fn from_u32(value: u32) -> Option<Self> {
        Self::ALL.get(value as usize).copied()
    }

    /// The name in output, which is Linux's where Linux has the type.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Kernel => "reserved kernel page",
            Self::KernelHighOrder => "kernel page",
            Self::Slab => "kernel slab page",
            Self::Buddy => "free buddy page",
            Self::DirtyLru => "dirty LRU page",
            Self::CleanLru => "clean LRU page",
            Self::CleanSwapcache => "clean swapcache page",
            Self::DirtyFile => "dirty page-cache page",
            Self::DirtyUnevictable => "dirty page without a store",
            Self::Offline => "balloon page",
            Self::AlreadyPoisoned => "already poisoned page",
            Self::Unknown => "unknown page",
        }
    }
}

/// What could be done (Linux: `enum mf_result`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u32)]
pub enum MfResult {
    /// Nothing had to be done.
    Ignored = 0,
    /// Nothing can be done: the kernel ends.
    Failed = 1,
    /// The frame goes out of service when who has it gives it back.
    Delayed = 2,
    /// It is out of service.
    Recovered = 3,
}

impl MfResult {
    /// The result with this number, if there is one.
    pub const fn from_u32(value: u32) -> Option<Self> {
        Some(match value {
            0 => Self::Ignored,
            1 => Self::Failed,
            2 => Self::Delayed,
            3 => Self::Recovered,
            _ => return None,
        })
    }

    /// Linux's name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ignored => "Ignored",
            Self::Failed => "Failed",
            Self::Delayed => "Delayed",
            Self::Recovered => "Recovered",
        }
    }
}

/// What became of one frame.
#[derive(Debug, FromBytes, IntoBytes, KnownLayout)]
#[repr(C)]
pub struct MemoryFailure {
    /// The frame.
    pub pfn: AtomicU32,
    /// Number of its [`MfType`].
    pub kind: AtomicU32,
    /// Number of the [`MfResult`].
    pub result: AtomicU32,
    /// Page-table entries that name the frame now instead of mapping it.
    pub entries: AtomicU32,
}

/// The memory manager's account (Linux: `struct memory_failure_stats`).
#[derive(Debug, FromBytes, IntoBytes, KnownLayout)]
#[repr(C)]
pub struct MemoryFailureState {
    /// Failures in all.
    pub total: AtomicU64,
    /// How many had each [`MfResult`].
    pub results: [AtomicU64; 4],
    /// Accesses of programs that were answered with a signal or an error because the page was lost.
    pub reported: AtomicU64,
    /// The first of them.
    pub failures: [MemoryFailure; MEMORY_FAILURES],
    /// Broken frames in the balloon, or being reported to the host.
    pub deferred: [AtomicU32; MAX_DEFERRED],
    /// How many there are.
    pub nr_deferred: AtomicU32,
}

const _: () = assert!(size_of::<MemoryFailureState>().is_multiple_of(64));
