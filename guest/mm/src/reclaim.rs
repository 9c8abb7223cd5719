//! Getting memory back: by an allocation that needs it (direct), and ahead of time (kswapd)
//! (Linux: mm/vmscan.c, `try_to_free_pages`, `balance_pgdat`).
//!
//! What can be reclaimed are pages of programs and files (`vmscan`) and the objects that shrinkers
//! know. For a memory group at its limit it is pages of its processes and files alone. The pages that per-CPU lists hold are given back before.

use crate::{
    Mm, Order,
    machine::Machine,
    memcg::GroupId,
    vmscan::{Reclaimer, ScanControl},
    zone::watermark::{SWAP_CLUSTER_MAX, is_above},
};
use core::sync::atomic::Ordering::Relaxed;
use pagelab_abi::{
    event::EventKind,
    gfp::Gfp,
    vmstat::VmEvent,
    zone::{WMARK_HIGH, WMARK_LOW, Zone},
};

/// Share of all pages and objects that is looked at first: one in 2^12 (Linux: `DEF_PRIORITY`).
const DEF_PRIORITY: u32 = 12;

/// Runs in a row without success after which background reclaim is not woken any more, until
/// direct reclaim has success (Linux: `pgdat_balanced`, `kswapd_failures`).
pub(crate) const MAX_FAILURES: u32 = 16;

/// First argument of the [`EventKind::Reclaim`] events of one who waits for others to free memory.
pub const RECLAIM_WAIT: u64 = u32::MAX as u64;

/// What a run of reclaim is for.
struct Wanted {
    /// How the memory is asked for.
    gfp: Gfp,
    /// Index of the highest zone whose pages are of use.
    highest_zone: usize,
    /// Who asks.
    who: Reclaimer,
    /// The memory group at its limit; none if all memory is short.
    target: Option<GroupId>,
}

impl<M: Machine + 'static> Mm<M> {
    /// Whether this CPU is inside reclaim, so that an allocation must not start it again.
    pub(crate) fn is_reclaiming(&self) -> bool {
        self.this_cpu().reclaim_depth.load(Relaxed) != 0
    }

    /// Counts an allocation that has to reclaim by itself.
    pub(crate) fn count_stall(&self, kind: u8) {
        const STALLS: [VmEvent; 5] = [
            VmEvent::AllocstallDma,
            VmEvent::AllocstallDma32,
            VmEvent::AllocstallNormal,
            VmEvent::AllocstallHigh,
            VmEvent::AllocstallMovable,
        ];
        if let Some(&event) = STALLS.get(usize::from(kind)) {
            self.count_event(event, 1);
        }
    }

    /// Looks for pages that the request can use, ever harder, until a cluster of them is free. Returns
    /// the pages that were freed.
    pub(crate) fn direct_reclaim(&self, gfp: Gfp) -> u32 {
        let highest_zone = self.request(gfp).zone.into();
        let wanted = Wanted {
            gfp,
            highest_zone,
            who: Reclaimer::Direct,
            target: None,
        };
        self.reclaim(&wanted, |freed| freed >= u64::from(SWAP_CLUSTER_MAX))
    }

    /// Looks for pages of a memory group and of those in it, ever harder, until so many of them are free.
    /// Returns the pages that were freed (Linux: `try_to_free_mem_cgroup_pages`).
    pub(crate) fn reclaim_memory_group(&self, group: GroupId, gfp: Gfp, pages: u64) -> u64 {
        let wanted = Wanted {
            gfp,
            highest_zone: self.nr_zones() - 1,
            who: Reclaimer::Direct,
            target: Some(group),
        };
        self.reclaim(&wanted, |freed| freed >= pages).into()
    }

    /// Shrinks lists of pages and asks the shrinkers, at rising priority, until `enough` says so of the
    /// pages freed. What memory groups keep for hard times is touched only if there was nothing else.
    fn reclaim(&self, wanted: &Wanted, enough: impl Fn(u64) -> bool) -> u32 {
        let cpu = self.this_cpu();
        cpu.reclaim_depth.store(1, Relaxed);
        let (mut freed, skipped) = self.reclaim_round(wanted, false, &enough);
        if freed == 0 && skipped {
            (freed, _) = self.reclaim_round(wanted, true, &enough);
        }
        cpu.reclaim_depth.store(0, Relaxed);
        if freed > 0 && wanted.target.is_none() {
            self.state.kswapd_failures.store(0, Relaxed);
        }
        freed as u32
    }

    /// All priorities. Returns the pages freed, and whether a group was passed over for its `low`.
    fn reclaim_round(
        &self,
        wanted: &Wanted,
        even_low: bool,
        enough: &impl Fn(u64) -> bool,
    ) -> (u64, bool) {
        let cpu = self.this_cpu();
        let before = cpu.event(VmEvent::Pgfree).load(Relaxed);
        let (mut freed, mut skipped) = (0, false);
        for priority in (0..=DEF_PRIORITY).rev() {
            let mut sc = ScanControl {
                highest_zone: wanted.highest_zone,
                priority,
                nr_to_reclaim: self.nr_to_reclaim(wanted.who, wanted.highest_zone),
                who: wanted.who,
                target: wanted.target,
                even_low,
                low_skipped: false,
                reclaimed: 0,
            };
            self.shrink_lruvecs(&mut sc);
            skipped |= sc.low_skipped;
            // Slabs are no group's.
            if wanted.target.is_none() {
                self.shrink_slab(wanted.gfp, priority);
            }
            // What was freed went into this CPU's lists.
            self.drain_local_pages();
            freed = cpu.event(VmEvent::Pgfree).load(Relaxed) - before;
            if enough(freed) {
                break;
            }
        }
        (freed, skipped)
    }

    /// Pages after which a run at one priority ends (Linux: `kswapd_shrink_node`).
    fn nr_to_reclaim(&self, who: Reclaimer, highest_zone: usize) -> u64 {
        let high = |zone: &Zone| u64::from(zone.watermark[WMARK_HIGH].load(Relaxed));
        let zones = self.zones().iter().take(highest_zone + 1);
        match who {
            Reclaimer::Direct => SWAP_CLUSTER_MAX.into(),
            Reclaimer::Kswapd => zones
                .map(|zone| high(zone).max(SWAP_CLUSTER_MAX.into()))
                .sum(),
        }
    }

    /// One round of waiting for memory that others may free: an event, at which a device can give
    /// memory back.
    pub(crate) fn wait_for_memory(&self) {
        self.machine.relax();
        self.machine.event(EventKind::Reclaim, RECLAIM_WAIT, 0);
    }

    /// Asks for background reclaim.
    pub(crate) fn wake_kswapd(&self, order: Order) {
        let state = self.state;
        if state.kswapd_failures.load(Relaxed) < MAX_FAILURES {
            let wanted = state.kswapd_wake.load(Relaxed).max(1 + order.get());
            state.kswapd_wake.store(wanted, Relaxed);
        }
    }

    /// Whether background reclaim was asked for and not done yet.
    #[inline]
    pub fn kswapd_is_awake(&self) -> bool {
        self.state.kswapd_wake.load(Relaxed) != 0
    }

    /// Background reclaim: if it was asked for, reclaims until all zones are above their high
    /// watermark or nothing more is to be had. The kernel calls it where it could also wait, with
    /// no lock held. True if it did something.
    pub fn background_step(&self) -> bool {
        let state = self.state;
        if state.kswapd_wake.load(Relaxed) == 0 || self.is_reclaiming() {
            return false;
        }
        state.kswapd_wake.store(0, Relaxed);
        if self.is_balanced(WMARK_LOW) {
            return false;
        }
        self.count_event(VmEvent::Pageoutrun, 1);
        self.drain_all_pages();
        if self.is_balanced(WMARK_HIGH) {
            return true;
        }
        let wanted = Wanted {
            gfp: Gfp::KERNEL,
            highest_zone: self.highest_unbalanced(),
            who: Reclaimer::Kswapd,
            target: None,
        };
        let freed = self.reclaim(&wanted, |_| self.is_balanced(WMARK_HIGH));
        if freed == 0 {
            let failures = state.kswapd_failures.load(Relaxed);
            state.kswapd_failures.store(failures + 1, Relaxed);
        }
        true
    }

    /// Whether all zones that have memory are above a watermark.
    fn is_balanced(&self, mark: usize) -> bool {
        self.zones().iter().all(|zone| is_zone_balanced(zone, mark))
    }

    /// Index of the highest zone that has not enough memory: pages of higher ones do not help it
    /// (Linux: `kswapd_highest_zoneidx`).
    fn highest_unbalanced(&self) -> usize {
        let lacks = |zone: &Zone| !is_zone_balanced(zone, WMARK_HIGH);
        self.zones().iter().rposition(lacks).unwrap_or(0)
    }
}

/// Whether a zone has no memory, or is above a watermark.
fn is_zone_balanced(zone: &Zone, mark: usize) -> bool {
    let wanted = zone.watermark[mark].load(Relaxed).into();
    zone.managed.load(Relaxed) == 0 || is_above(zone, 0, 0, wanted)
}
