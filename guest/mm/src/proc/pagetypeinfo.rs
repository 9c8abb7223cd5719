//! /proc/pagetypeinfo (Linux: mm/vmstat.c, `pagetypeinfo_show`).

use super::{name, populated};
use crate::memmap::MemMap;
use core::{
    fmt::{self, Write},
    sync::atomic::Ordering::Relaxed,
};
use pagelab_abi::{
    page::{
        MIGRATE_TYPES, MigrateType, NR_ORDERS, PAGEBLOCK_ORDER, PAGEBLOCK_PAGES, PageblockState,
    },
    zone::Zone,
};

/// Counts from here on are shown as "more than".
const MANY: u32 = 100_000;

pub(super) fn write(zones: &[Zone], map: &MemMap, out: &mut dyn Write) -> fmt::Result {
    writeln!(out, "Page block order: {PAGEBLOCK_ORDER}")?;
    writeln!(out, "Pages per block:  {PAGEBLOCK_PAGES}\n")?;
    write!(out, "{:<43} ", "Free pages count per migrate type at order")?;
    for order in 0..NR_ORDERS {
        write!(out, "{order:6} ")?;
    }
    writeln!(out)?;
    for (_, zone) in populated(zones) {
        for migrate in MigrateType::ALL {
            write!(
                out,
                "Node    0, zone {:>8}, type {:>12} ",
                name(zone),
                migrate.name()
            )?;
            for area in &zone.free_area {
                let count = area.free_list[migrate as usize].count.load(Relaxed);
                let more = if count >= MANY { ">" } else { "" };
                write!(out, "{more}{:6} ", count.min(MANY))?;
            }
            writeln!(out)?;
        }
    }
    write!(out, "\n{:<23}", "Number of blocks type ")?;
    for migrate in MigrateType::ALL {
        write!(out, "{:>12} ", migrate.name())?;
    }
    writeln!(out)?;
    for (_, zone) in populated(zones) {
        write!(out, "Node 0, zone {:>8} ", name(zone))?;
        for count in pageblocks(zone, map) {
            write!(out, "{count:12} ")?;
        }
        writeln!(out)?;
    }
    Ok(())
}

/// Pageblocks of a zone that have RAM, by type.
fn pageblocks(zone: &Zone, map: &MemMap) -> [u32; MIGRATE_TYPES] {
    let mut counts = [0; MIGRATE_TYPES];
    let first = zone.start_pfn & !(PAGEBLOCK_PAGES - 1);
    for pfn in (first..zone.start_pfn + zone.spanned).step_by(PAGEBLOCK_PAGES as usize) {
        if map.state(pfn) != PageblockState::Hole {
            counts[map.migrate_type(pfn) as usize] += 1;
        }
    }
    counts
}
