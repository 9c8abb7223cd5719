//! /proc/meminfo (Linux fs/proc/meminfo.c, `meminfo_proc_show`).

use pagelab_abi::{
    PAGE_SIZE,
    lru::LruList,
    page::PAGEBLOCK_PAGES,
    vmstat::NodeStat,
    zone::{WMARK_HIGH, WMARK_LOW, ZoneKind},
};

use crate::inspect::decode::{Snapshot, Zone};

/// Characters of a line before the unit.
const LINE: usize = 24;

pub(super) fn text(snapshot: &Snapshot<'_>) -> String {
    let reclaimable = snapshot.vmstat.node(NodeStat::SlabReclaimable);
    let unreclaimable = snapshot.vmstat.node(NodeStat::SlabUnreclaimable);
    let is_high = |zone: &&Zone| zone.kind == ZoneKind::HighMem;
    let managed: u64 = snapshot.zones.iter().map(|zone| zone.managed).sum();
    let free = snapshot.free_pages();

    // What cannot be decoded is told by an audit.
    let swap = snapshot.swap().ok().flatten();
    let swap = swap.map_or([0; 3], |swap| {
        let total = swap.pages.saturating_sub(swap.bad);
        [swap.cached, total, total.saturating_sub(swap.inuse)]
    });
    let lru = LruList::ALL.map(|list| snapshot.lru_pages(list));
    let mut lines = vec![
        ("MemTotal:", pages(managed)),
        ("MemFree:", pages(free)),
        ("MemAvailable:", pages(available(snapshot))),
        ("Buffers:", 0),
        ("Cached:", pages(snapshot.vmstat.node(NodeStat::FilePages))),
        ("SwapCached:", pages(swap[0])),
        ("Active:", pages(lru[1].saturating_add(lru[3]))),
        ("Inactive:", pages(lru[0].saturating_add(lru[2]))),
        ("Active(anon):", pages(lru[1])),
        ("Inactive(anon):", pages(lru[0])),
        ("Active(file):", pages(lru[3])),
        ("Inactive(file):", pages(lru[2])),
        ("Unevictable:", pages(lru[4])),
    ];
    if snapshot.zones.iter().any(|zone| is_high(&zone)) {
        let high = || snapshot.zones.iter().filter(is_high);
        let high_managed: u64 = high().map(|zone| zone.managed).sum();
        let high_free: u64 = high().map(|zone| zone.free).sum();
        lines.extend([
            ("HighTotal:", pages(high_managed)),
            ("HighFree:", pages(high_free)),
            ("LowTotal:", pages(managed - high_managed)),
            ("LowFree:", pages(free - high_free)),
        ]);
    }
    lines.extend([
        ("SwapTotal:", pages(swap[1])),
        ("SwapFree:", pages(swap[2])),
        ("Dirty:", pages(snapshot.vmstat.node(NodeStat::FileDirty))),
        (
            "Writeback:",
            pages(snapshot.vmstat.node(NodeStat::Writeback)),
        ),
        (
            "AnonPages:",
            pages(snapshot.vmstat.node(NodeStat::AnonMapped)),
        ),
        ("Mapped:", pages(snapshot.vmstat.node(NodeStat::FileMapped))),
        ("Shmem:", pages(snapshot.vmstat.node(NodeStat::Shmem))),
        ("KReclaimable:", pages(reclaimable)),
        ("Slab:", pages(reclaimable.saturating_add(unreclaimable))),
        ("SReclaimable:", pages(reclaimable)),
        ("SUnreclaim:", pages(unreclaimable)),
        ("KernelStack:", snapshot.vmstat.node(NodeStat::KernelStack)),
        (
            "PageTables:",
            pages(snapshot.vmstat.node(NodeStat::PageTablePages)),
        ),
        ("HardwareCorrupted:", pages(snapshot.hwpoison_pages())),
        (
            "AnonHugePages:",
            pages(
                snapshot
                    .vmstat
                    .node(NodeStat::AnonThps)
                    .saturating_mul(u64::from(PAGEBLOCK_PAGES)),
            ),
        ),
        ("Balloon:", pages(snapshot.balloon_pages())),
    ]);
    lines
        .into_iter()
        .map(|(name, kib)| format!("{name}{kib:>width$} kB\n", width = LINE - name.len()))
        .collect()
}

/// Pages in KiB.
fn pages(count: u64) -> u64 {
    count.saturating_mul(PAGE_SIZE >> 10)
}

/// Pages that could be had without swapping (Linux mm/show_mem.c, `si_mem_available`).
fn available(snapshot: &Snapshot<'_>) -> u64 {
    // `calculate_totalreserve_pages`
    let reserved: u64 = snapshot
        .zones
        .iter()
        .map(|zone| {
            let reserve = zone.lowmem_reserve.into_iter().max().unwrap_or(0);
            (reserve + zone.watermark[WMARK_HIGH]).min(zone.managed)
        })
        .sum();
    let low: u64 = snapshot
        .zones
        .iter()
        .map(|zone| zone.watermark[WMARK_LOW])
        .sum();
    let reclaimable = snapshot.vmstat.node(NodeStat::SlabReclaimable);
    let files = [LruList::ActiveFile, LruList::InactiveFile].map(|list| snapshot.lru_pages(list));
    let files = files[0].saturating_add(files[1]);
    // Half of it, or up to the low watermark, is assumed to stay in use.
    let can_go = |pages: u64| i128::from(pages - (pages / 2).min(low));
    let available = i128::from(snapshot.free_pages()) - i128::from(reserved)
        + can_go(files)
        + can_go(reclaimable);
    available.clamp(0, i128::from(u64::MAX)) as u64
}
