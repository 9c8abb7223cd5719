//! The processes that were killed for want of memory (Linux mm/oom_kill.c).

use crate::task::COMM_LEN;
use core::sync::atomic::{AtomicU8, AtomicU32, AtomicU64};
use zerocopy::{FromBytes, IntoBytes, KnownLayout};

/// `oom_score_adj` of a process that is never chosen.
pub const OOM_SCORE_ADJ_MIN: i32 = -1000;

/// The largest `oom_score_adj`: as bad as if the process had all memory.
pub const OOM_SCORE_ADJ_MAX: i32 = 1000;

/// Kills that are kept: the first ones of a run.
pub const OOM_KILLS: usize = 8;

/// Why a process was killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum OomConstraint {
    /// No memory was left, and it was the worst.
    None = 0,
    /// Its memory group was at its limit, and it was the worst of the group.
    Memcg = 1,
    /// It needed a page itself, none was to be had, and nobody could be killed for it.
    Fault = 2,
}

impl OomConstraint {
    /// The constraint with this number, if there is one.
    pub const fn from_u32(value: u32) -> Option<Self> {
        Some(match value {
            0 => Self::None,
            1 => Self::Memcg,
            2 => Self::Fault,
            _ => return None,
        })
    }
}

/// One kill. Amounts are in pages, as they were before it.
#[derive(Debug, FromBytes, IntoBytes, KnownLayout)]
#[repr(C)]
pub struct OomKill {
    /// Count of the event clock.
    pub event: AtomicU64,
    /// The process.
    pub pid: AtomicU32,
    /// Number of its memory group, 0 for the root.
    pub group: AtomicU32,
    /// Name of its program, NUL-padded.
    pub comm: [AtomicU8; COMM_LEN],
    /// The process whose allocation asked for it.
    pub invoker: AtomicU32,
    /// Number of the [`OomConstraint`].
    pub constraint: AtomicU32,
    /// Order of that allocation.
    pub order: AtomicU32,
    /// Its [`crate::gfp::Gfp`] flags.
    pub gfp: AtomicU32,
    /// Pages in all areas.
    pub total_vm: AtomicU64,
    /// Resident pages of each kind, and entries that lead to swap; index
    /// [`crate::mm_struct::RssStat`].
    pub rss: [AtomicU64; crate::mm_struct::NR_RSS_STATS],
    /// Page-table nodes.
    pub pgtables: AtomicU64,
    /// Pages that became free at once.
    pub freed: AtomicU64,
    /// Its `oom_score_adj`, as two's complement.
    pub oom_score_adj: AtomicU32,
    /// Zero.
    pub reserved: u32,
}

impl OomKill {
    /// None.
    pub const fn new() -> Self {
        Self {
            event: AtomicU64::new(0),
            pid: AtomicU32::new(0),
            group: AtomicU32::new(0),
            comm: [const { AtomicU8::new(0) }; COMM_LEN],
            invoker: AtomicU32::new(0),
            constraint: AtomicU32::new(0),
            order: AtomicU32::new(0),
            gfp: AtomicU32::new(0),
            total_vm: AtomicU64::new(0),
            rss: [const { AtomicU64::new(0) }; crate::mm_struct::NR_RSS_STATS],
            pgtables: AtomicU64::new(0),
            freed: AtomicU64::new(0),
            oom_score_adj: AtomicU32::new(0),
            reserved: 0,
        }
    }
}

impl Default for OomKill {
    fn default() -> Self {
        Self::new()
    }
}

/// All kills of a run.
#[derive(Debug, FromBytes, IntoBytes, KnownLayout)]
#[repr(C)]
pub struct OomKills {
    /// How many there were.
    pub count: AtomicU64,
    /// The first [`OOM_KILLS`] of them.
    pub kills: [OomKill; OOM_KILLS],
}

impl OomKills {
    /// None yet.
    pub const fn new() -> Self {
        Self {
            count: AtomicU64::new(0),
            kills: [const { OomKill::new() }; OOM_KILLS],
        }
    }
}

impl Default for OomKills {
    fn default() -> Self {
        Self::new()
    }
}

const _: () = assert!(size_of::<OomKill>() == 112);
