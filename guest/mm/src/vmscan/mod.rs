//! Reclaim of pages of programs and files (Linux mm/vmscan.c).
//!
//! * this file: what a run wants, and what it got. `shrink`: all lists of a memory group; which of them,
//!   and how far, `balance` decides.
//! * `active`: from active lists to inactive ones. `inactive`: from inactive lists to free memory.
//! * `pageout`: one page: to swap, or dropped. How it was used and who must let go of it is told by
//!   `user_mm::rmap`.
//!
//! Pages of a zone that is of no use to the one who needs memory stay where they are.
//!
//! # What may change meanwhile
//!
//! Reclaim runs inside allocations, so it changes page-table entries of any address space, the one that
//! is being worked on among them: whoever allocates reads its entries again. Nodes and areas
//! do not change. While a page is written to swap it stays mapped, read-only; if the device fails,
//! nothing has happened but that. All pages of a batch that go to swap are written in one call of the device,
//! and let go of afterwards. Reclaim allocates nothing, and events pass.

mod active;
mod balance;
mod inactive;
mod pageout;
mod shrink;

use crate::memcg::GroupId;
use pagelab_abi::{lru::LruList, vmstat::VmEvent};

/// A run at one priority (Linux: `struct scan_control`).
#[derive(Debug)]
pub(crate) struct ScanControl {
    /// Index of the highest zone whose pages are of use.
    pub(crate) highest_zone: usize,
    /// One in 2^priority pages is looked at.
    pub(crate) priority: u32,
    /// Pages after which it is enough.
    pub(crate) nr_to_reclaim: u64,
    /// Who asks.
    pub(crate) who: Reclaimer,
    /// The memory group whose pages are of use; none if all are (Linux: `target_mem_cgroup`).
    pub(crate) target: Option<GroupId>,
    /// Groups with no more than their `low` are looked at as well (Linux: `memcg_low_reclaim`).
    pub(crate) even_low: bool,
    /// One was passed over for that (Linux: `memcg_low_skipped`).
    pub(crate) low_skipped: bool,
    /// Pages that were freed.
    pub(crate) reclaimed: u64,
}

/// Who reclaims.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reclaimer {
    /// An allocation.
    Direct,
    /// Background reclaim.
    Kswapd,
}

impl Reclaimer {
    /// The counter of pages looked at.
    const fn scanned(self) -> VmEvent {
        match self {
            Self::Direct => VmEvent::PgscanDirect,
            Self::Kswapd => VmEvent::PgscanKswapd,
        }
    }

    /// The counter of pages freed.
    const fn stolen(self) -> VmEvent {
        match self {
            Self::Direct => VmEvent::PgstealDirect,
            Self::Kswapd => VmEvent::PgstealKswapd,
        }
    }
}

/// First argument of the [`Reclaim`](pagelab_abi::event::EventKind::Reclaim) events of a list: shrinkers have the lower numbers.
const RECLAIM_LIST: u64 = 1 << 8;

/// Whether a list has pages that go to swap.
const fn is_anon_list(list: LruList) -> bool {
    matches!(list, LruList::InactiveAnon | LruList::ActiveAnon)
}
