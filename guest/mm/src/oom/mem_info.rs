//! The state of memory in a report (Linux mm/show_mem.c: `show_free_areas`, `__show_mem`). Amounts
//! that pagelab does not have are left out.

use crate::{
    Mm,
    machine::Machine,
    proc::{blocks, name, populated},
    reclaim::MAX_FAILURES,
};
use core::{
    fmt::{self, Write},
    sync::atomic::Ordering::Relaxed,
};
use pagelab_abi::{
    PAGE_SIZE,
    page::MigrateType,
    vmstat::NodeStat,
    zone::{FreeArea, WMARK_HIGH, WMARK_LOW, WMARK_MIN, Zone, ZoneKind},
};

/// KiB of a page.
const PAGE_KIB: u64 = PAGE_SIZE >> 10;

impl<M: Machine + 'static> Mm<M> {
    /// Writes the block that starts with `Mem-Info:`.
    pub(super) fn mem_info(&self, out: &mut dyn Write) -> fmt::Result {
        let stat = |stat| self.node_stat(stat).max(0).unsigned_abs();
        writeln!(
            out,
            "Mem-Info:\nslab_reclaimable:{} slab_unreclaimable:{}\n shmem:{} pagetables:{}\n free:{} free_pcp:{}",
            stat(NodeStat::SlabReclaimable),
            stat(NodeStat::SlabUnreclaimable),
            stat(NodeStat::Shmem),
            stat(NodeStat::PageTablePages),
            self.free_pages_total(),
            (0..self.nr_zones())
                .map(|zone| self.pcp_pages(zone))
                .sum::<u64>()
        )?;
        let hopeless = self.state.kswapd_failures.load(Relaxed) >= MAX_FAILURES;
        writeln!(
            out,
            "Node 0 shmem:{}kB kernel_stack:{}kB pagetables:{}kB all_unreclaimable? {}",
            stat(NodeStat::Shmem) * PAGE_KIB,
            stat(NodeStat::KernelStack),
            stat(NodeStat::PageTablePages) * PAGE_KIB,
            if hopeless { "yes" } else { "no" }
        )?;
        for (index, zone) in populated(self.zones()) {
            self.zone_info(index, zone, out)?;
        }
        for (_, zone) in populated(self.zones()) {
            free_blocks(zone, out)?;
        }
        self.totals(out)
    }

    fn zone_info(&self, index: usize, zone: &Zone, out: &mut dyn Write) -> fmt::Result {
        let mark = |mark: usize| u64::from(zone.watermark[mark].load(Relaxed)) * PAGE_KIB;
        writeln!(
            out,
            "Node 0 {} free:{}kB min:{}kB low:{}kB high:{}kB present:{}kB managed:{}kB free_pcp:{}kB",
            name(zone),
            u64::from(zone.free_pages.load(Relaxed)) * PAGE_KIB,
            mark(WMARK_MIN),
            mark(WMARK_LOW),
            mark(WMARK_HIGH),
            u64::from(zone.present) * PAGE_KIB,
            u64::from(zone.managed.load(Relaxed)) * PAGE_KIB,
            self.pcp_pages(index) * PAGE_KIB
        )?;
        write!(out, "lowmem_reserve[]:")?;
        for reserve in &zone.lowmem_reserve[..self.nr_zones()] {
            write!(out, " {}", reserve.load(Relaxed))?;
        }
        writeln!(out)
    }

    /// Pages of a zone in per-CPU lists.
    fn pcp_pages(&self, zone: usize) -> u64 {
        let online = self
            .percpu
            .iter()
            .filter(|cpu| cpu.online.load(Relaxed) != 0);
        online
            .map(|cpu| u64::from(cpu.pcp[zone].count.load(Relaxed)))
            .sum()
    }

    fn totals(&self, out: &mut dyn Write) -> fmt::Result {
        let (total_swap, free_swap) = self.swap_slots();
        let high = |zone: &&Zone| zone.kind == ZoneKind::HighMem as u32;
        let high: u64 = self
            .zones()
            .iter()
            .filter(high)
            .map(|zone| u64::from(zone.present))
            .sum();
        let present = self.state.present_pages;
        writeln!(
            out,
            "{} total pagecache pages\n{} pages in swap cache\nFree swap  = {}kB\n\
             Total swap = {}kB\n{present} pages RAM\n{high} pages HighMem/MovableOnly\n\
             {} pages reserved",
            self.node_stat(NodeStat::FilePages).max(0),
            self.swap_cached(),
            free_swap * PAGE_KIB,
            total_swap * PAGE_KIB,
            present.saturating_sub(self.total_ram())
        )
    }
}

/// One line: free blocks of each order, and the letters of the types that have some.
fn free_blocks(zone: &Zone, out: &mut dyn Write) -> fmt::Result {
    write!(out, "Node 0 {}: ", name(zone))?;
    let mut total = 0;
    for (order, area) in zone.free_area.iter().enumerate() {
        let (count, kib) = (blocks(area), PAGE_KIB << order);
        write!(out, "{count}*{kib}kB ")?;
        if count > 0 {
            types(area, out)?;
        }
        total += count * kib;
    }
    writeln!(out, "= {total}kB")
}

/// Linux: `show_migration_types`.
fn types(area: &FreeArea, out: &mut dyn Write) -> fmt::Result {
    out.write_char('(')?;
    for (list, kind) in area.free_list.iter().zip(MigrateType::ALL) {
        if list.count.load(Relaxed) > 0 {
            out.write_str(match kind {
                MigrateType::Unmovable => "U",
                MigrateType::Movable => "M",
                MigrateType::Reclaimable => "E",
                MigrateType::HighAtomic => "H",
            })?;
        }
    }
    out.write_str(") ")
}
