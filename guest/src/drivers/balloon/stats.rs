//! The statistics queue: what the host is told of the guest's memory (section 5.5.6.3).

use super::{Balloon, device::Stat};
use crate::memory::Memory;
use core::sync::atomic::Ordering::Relaxed;
use pagelab_abi::{
    PAGE_SIZE,
    vmstat::{NodeStat, VmEvent},
    zone::WMARK_LOW,
};

/// Tags (`VIRTIO_BALLOON_S_*`).
mod tag {
    pub(super) const SWAP_IN: u16 = 0;
    pub(super) const SWAP_OUT: u16 = 1;
    pub(super) const MAJFLT: u16 = 2;
    pub(super) const MINFLT: u16 = 3;
    pub(super) const MEMFREE: u16 = 4;
    pub(super) const MEMTOT: u16 = 5;
    pub(super) const AVAIL: u16 = 6;
    pub(super) const CACHES: u16 = 7;
    pub(super) const OOM_KILL: u16 = 10;
    pub(super) const ALLOC_STALL: u16 = 11;
}

impl Balloon {
    /// Sends statistics if the host waits for them.
    pub(super) fn update_stats(&mut self, mm: &Memory) {
        if self.device.has_stats() && self.device.is_usable() {
            // A device that broke the protocol is noted, and no longer usable.
            let _ = self.device.send_stats(collect(mm).into_iter());
        }
    }
}

/// There is no swap, fault, page cache or OOM killer yet, so those are 0.
fn collect(mm: &Memory) -> [Stat; 10] {
    let state = mm.state();
    let zones = &state.zones[..state.nr_zones as usize];
    let sum = |of: fn(&pagelab_abi::zone::Zone) -> u32| -> u64 {
        zones.iter().map(|zone| u64::from(of(zone))).sum()
    };
    let free = sum(|zone| zone.free_pages.load(Relaxed));
    let managed = sum(|zone| zone.managed.load(Relaxed));
    let low = sum(|zone| zone.watermark[WMARK_LOW].load(Relaxed));
    let reclaimable = mm.node_stat(NodeStat::SlabReclaimable).max(0);
    // Linux's si_mem_available: free pages above the low watermarks, and half of what slabs can
    // give.
    let available = free.saturating_sub(low) + reclaimable as u64 / 2;
    let stall = [
        VmEvent::AllocstallDma,
        VmEvent::AllocstallDma32,
        VmEvent::AllocstallNormal,
        VmEvent::AllocstallHigh,
        VmEvent::AllocstallMovable,
    ];
    let stalls = stall.into_iter().map(|event| mm.event_count(event)).sum();
    [
        stat(tag::SWAP_IN, 0),
        stat(tag::SWAP_OUT, 0),
        stat(tag::MAJFLT, 0),
        stat(tag::MINFLT, 0),
        stat(tag::MEMFREE, free * PAGE_SIZE),
        stat(tag::MEMTOT, managed * PAGE_SIZE),
        stat(tag::AVAIL, available * PAGE_SIZE),
        stat(tag::CACHES, 0),
        stat(tag::OOM_KILL, 0),
        stat(tag::ALLOC_STALL, stalls),
    ]
}

fn stat(tag: u16, value: u64) -> Stat {
    Stat {
        tag: tag.to_le(),
        value: value.to_le_bytes(),
    }
}
