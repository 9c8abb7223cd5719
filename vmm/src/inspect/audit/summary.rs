//! Numbers that a report shows beside the audits.

use pagelab_abi::{
    vmstat::VmEvent,
    zone::{WMARK_HIGH, WMARK_LOW, WMARK_MIN},
};

use schemars::JsonSchema;
use serde::Serialize;

use crate::inspect::decode::{Snapshot, VmStat};

/// One zone in numbers of frames.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct ZoneSummary {
    /// Linux's name.
    pub name: &'static str,
    /// First frame.
    pub start_pfn: u64,
    /// From the first to the last frame, holes included.
    pub spanned: u64,
    /// Frames that are RAM.
    pub present: u64,
    /// Frames that the page allocator was given.
    pub managed: u64,
    /// Frames on the free lists.
    pub free: u64,
    /// Watermark below which only the privileged allocate.
    pub min: u64,
    /// Watermark below which background reclaim is woken.
    pub low: u64,
    /// Watermark at which background reclaim rests.
    pub high: u64,
}

/// The zones that have RAM, lowest first.
pub fn zones(snapshot: &Snapshot<'_>) -> Vec<ZoneSummary> {
    let populated = snapshot.zones.iter().filter(|zone| zone.is_populated());
    populated
        .map(|zone| ZoneSummary {
            name: zone.name(),
            start_pfn: zone.start_pfn.into(),
            spanned: zone.spanned.into(),
            present: zone.present,
            managed: zone.managed,
            free: zone.free,
            min: zone.watermark[WMARK_MIN],
            low: zone.watermark[WMARK_LOW],
            high: zone.watermark[WMARK_HIGH],
        })
        .collect()
}

/// How often the guest had to do something for memory, since its boot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Relief {
    /// Direct reclaim was entered.
    pub allocstall: u64,
    /// Background reclaim ran.
    pub pageoutrun: u64,
    /// Per-CPU lists were drained.
    pub pcp_drain: u64,
    /// Objects that shrinkers looked at.
    pub slabs_scanned: u64,
    /// Allocations served by a lower zone than the preferred one.
    pub zone_fallback: u64,
    /// Allocations that took memory of another migrate type.
    pub extfrag: u64,
    /// Pages that came back from the balloon.
    pub balloon_deflate: u64,
    /// Page allocations that failed.
    pub refused: u64,
}

/// The counters of [`Relief`]; the differences of two moments are what happened between them.
pub fn relief(vmstat: &VmStat) -> Relief {
    let stalls = [
        VmEvent::AllocstallDma,
        VmEvent::AllocstallDma32,
        VmEvent::AllocstallNormal,
        VmEvent::AllocstallHigh,
        VmEvent::AllocstallMovable,
    ];
    Relief {
        allocstall: vmstat.events(&stalls),
        pageoutrun: vmstat.event(VmEvent::Pageoutrun),
        pcp_drain: vmstat.event(VmEvent::PcpDrain),
        slabs_scanned: vmstat.event(VmEvent::SlabsScanned),
        zone_fallback: vmstat.event(VmEvent::PgallocFallback),
        extfrag: vmstat.event(VmEvent::PgallocExtfrag),
        balloon_deflate: vmstat.event(VmEvent::BalloonDeflate),
        refused: vmstat.event(VmEvent::PgallocFail),
    }
}
