//! /proc/meminfo (Linux: fs/proc/meminfo.c, and `si_mem_available` of mm/show_mem.c).

use crate::{Mm, machine::Machine};
use core::{
    fmt::{self, Write},
    sync::atomic::Ordering::Relaxed,
};
use pagelab_abi::{
    PAGE_SIZE,
    lru::LruList,
    page::PAGEBLOCK_ORDER,
    vmstat::NodeStat,
    zone::{WMARK_HIGH, WMARK_LOW, Zone, ZoneKind},
};

pub(super) fn write<M: Machine>(mm: &Mm<M>, out: &mut dyn Write) -> fmt::Result {
    let pages = |stat| mm.node_stat(stat).max(0).unsigned_abs();
    let reclaimable = pages(NodeStat::SlabReclaimable);
    let unreclaimable = pages(NodeStat::SlabUnreclaimable);
    let total = sum(mm, managed);
    let free = mm.free_pages_total();
    let mut line = |name: &str, pages: u64| write_kib(out, name, pages * (PAGE_SIZE >> 10));
    line("MemTotal:", total)?;
    line("MemFree:", free)?;
    line("MemAvailable:", available(mm, reclaimable))?;
    line("Buffers:", 0)?;
    line("Cached:", pages(NodeStat::FilePages))?;
    line("SwapCached:", mm.swap_cached())?;
    let [
        inactive_anon,
        active_anon,
        inactive_file,
        active_file,
        unevictable,
    ] = LruList::ALL.map(|list| mm.lru_pages(list));
    line("Active:", active_anon + active_file)?;
    line("Inactive:", inactive_anon + inactive_file)?;
    line("Active(anon):", active_anon)?;
    line("Inactive(anon):", inactive_anon)?;
    line("Active(file):", active_file)?;
    line("Inactive(file):", inactive_file)?;
    line("Unevictable:", unevictable)?;
    if mm.zones().iter().any(is_highmem) {
        let high_total = sum(mm, |zone| if is_highmem(zone) { managed(zone) } else { 0 });
        let high_free = sum(mm, |zone| if is_highmem(zone) { is_free(zone) } else { 0 });
        line("HighTotal:", high_total)?;
        line("HighFree:", high_free)?;
        line("LowTotal:", total - high_total)?;
        line("LowFree:", free - high_free)?;
    }
    let (swap_total, swap_free) = mm.swap_slots();
    line("SwapTotal:", swap_total)?;
    line("SwapFree:", swap_free)?;
    line("Dirty:", pages(NodeStat::FileDirty))?;
    line("Writeback:", pages(NodeStat::Writeback))?;
    line("AnonPages:", pages(NodeStat::AnonMapped))?;
    line("Mapped:", pages(NodeStat::FileMapped))?;
    line("Shmem:", pages(NodeStat::Shmem))?;
    line("KReclaimable:", reclaimable)?;
    line("Slab:", reclaimable + unreclaimable)?;
    line("SReclaimable:", reclaimable)?;
    line("SUnreclaim:", unreclaimable)?;
    write_kib(out, "KernelStack:", pages(NodeStat::KernelStack))?;
    let mut line = |name: &str, pages: u64| write_kib(out, name, pages * (PAGE_SIZE >> 10));
    line("PageTables:", pages(NodeStat::PageTablePages))?;
    line("HardwareCorrupted:", mm.hwpoison_pages())?;
    line(
        "AnonHugePages:",
        pages(NodeStat::AnonThps) << PAGEBLOCK_ORDER,
    )?;
    line("Balloon:", mm.balloon_pages())
}

/// Characters of a line before the unit.
const LINE: usize = 24;

fn write_kib(out: &mut dyn Write, name: &str, kib: u64) -> fmt::Result {
    let width = LINE - name.len().min(LINE);
    writeln!(out, "{name}{kib:>width$} kB")
}

/// Pages that can be had without swapping: what is free above the reserves, and half of what is in
/// the lists of files or reclaimable, or all but the low watermarks of each.
fn available<M: Machine>(mm: &Mm<M>, reclaimable: u64) -> u64 {
    let reserve = sum(mm, |zone| {
        let lowmem = zone.lowmem_reserve[..mm.zones().len()]
            .iter()
            .map(|reserve| u64::from(reserve.load(Relaxed)))
            .max()
            .unwrap_or(0);
        (lowmem + u64::from(zone.watermark[WMARK_HIGH].load(Relaxed))).min(managed(zone))
    });
    let low = sum(mm, |zone| {
        u64::from(zone.watermark[WMARK_LOW].load(Relaxed))
    });
    let files = mm.lru_pages(LruList::ActiveFile) + mm.lru_pages(LruList::InactiveFile);
    let can_go = |pages: u64| pages - (pages / 2).min(low);
    (mm.free_pages_total() + can_go(files) + can_go(reclaimable)).saturating_sub(reserve)
}

fn sum<M: Machine>(mm: &Mm<M>, of: impl Fn(&Zone) -> u64) -> u64 {
    mm.zones().iter().map(of).sum()
}

fn managed(zone: &Zone) -> u64 {
    zone.managed.load(Relaxed).into()
}

fn is_free(zone: &Zone) -> u64 {
    zone.free_pages.load(Relaxed).into()
}

fn is_highmem(zone: &Zone) -> bool {
    zone.kind == ZoneKind::HighMem as u32
}
