//! Counters agree with what can be counted.

use std::sync::atomic::Ordering::Relaxed;

use pagelab_abi::{
    event::EventKind,
    slab::CacheFlags,
    vmstat::{
        NodeStat,
        VmEvent::{self, *},
    },
};

use super::{Audit, Findings, Guest, Skip};
use crate::inspect::decode::BlockState;

pub(super) const AUDIT: Audit = Audit {
    name: "vmstat-consistent",
    checks: "counters agree with the frames, the slabs and the event clock",
    run,
};

fn run(guest: &Guest<'_>, findings: &mut Findings) -> Result<(), Skip> {
    let vmstat = &guest.snapshot.vmstat;
    let census = &guest.census;
    let allocs = [
        PgallocDma,
        PgallocDma32,
        PgallocNormal,
        PgallocHigh,
        PgallocMovable,
    ];
    let allocated = vmstat.events(&allocs);
    let in_use = allocated.wrapping_sub(vmstat.event(Pgfree));
    let found = census.frames(BlockState::Allocated) + census.frames(BlockState::Offline);
    findings.require(in_use == found, || {
        format!(
            "pgalloc_* less pgfree is {allocated} - {} frames, but {found} are in use",
            vmstat.event(Pgfree)
        )
    });
    let inflated = vmstat
        .event(BalloonInflate)
        .wrapping_sub(vmstat.event(BalloonDeflate));
    let offline = census.frames(BlockState::Offline);
    findings.require(inflated == offline, || {
        format!(
            "balloon_inflate less balloon_deflate is {} - {}, but the balloon has {offline} frames",
            vmstat.event(BalloonInflate),
            vmstat.event(BalloonDeflate)
        )
    });
    check_clock(guest, findings, &[PgallocFail], EventKind::PageAllocFail);
    check_clock(guest, findings, &[PcpRefill, PcpDrain], EventKind::PcpMove);
    check_slabs(guest, findings)
}

/// Checks counters that count the same as the event clock does.
fn check_clock(guest: &Guest<'_>, findings: &mut Findings, events: &[VmEvent], kind: EventKind) {
    let clock = &guest.snapshot.root.clock;
    let ticks = clock.by_kind[kind as usize - 1].load(Relaxed);
    let counted = guest.snapshot.vmstat.events(events);
    findings.require(counted == ticks, || {
        let names: Vec<_> = events.iter().map(|event| event.name()).collect();
        format!(
            "{} is {counted}, but the clock had {ticks} events {}",
            names.join(" + "),
            kind.name()
        )
    });
}

/// Checks the amounts of slab memory.
fn check_slabs(guest: &Guest<'_>, findings: &mut Findings) -> Result<(), Skip> {
    let caches = guest.caches()?;
    for (stat, reclaimable) in [
        (NodeStat::SlabReclaimable, true),
        (NodeStat::SlabUnreclaimable, false),
    ] {
        let counted = guest.snapshot.vmstat.node_raw(stat);
        let of_kind = caches
            .iter()
            .filter(|it| it.has(CacheFlags::RECLAIM_ACCOUNT) == reclaimable);
        let mut frames: u64 = of_kind
            .map(|cache| cache.slabs() << cache.geometry.order)
            .sum();
        if !reclaimable {
            // As Linux counts them (mm/slab_common.c, `kmalloc_order`).
            frames += guest.census.large_kmalloc();
        }
        findings.require(u64::try_from(counted) == Ok(frames), || {
            format!(
                "{} is {counted}, but these slabs and large allocations have {frames} frames",
                stat.name()
            )
        });
    }
    let marked = guest.census.slab();
    let frames: u64 = caches
        .iter()
        .map(|cache| cache.slabs() << cache.geometry.order)
        .sum();
    findings.require(marked == frames, || {
        format!("{marked} frames are marked as slabs, but the caches have {frames}")
    });
    Ok(())
}
