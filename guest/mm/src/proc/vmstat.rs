//! /proc/vmstat (Linux: mm/vmstat.c, `vmstat_show`).

use crate::{Mm, machine::Machine};
use core::fmt::{self, Write};
use pagelab_abi::{
    lru::LruList,
    vmstat::{NodeStat, VmEvent},
};

pub(super) fn write<M: Machine>(mm: &Mm<M>, out: &mut dyn Write) -> fmt::Result {
    writeln!(out, "nr_free_pages {}", mm.free_pages_total())?;
    for (kind, list) in ["zone_", ""]
        .into_iter()
        .flat_map(|kind| LruList::ALL.map(|list| (kind, list)))
    {
        writeln!(out, "nr_{kind}{} {}", list.name(), mm.lru_pages(list))?;
    }
    for stat in NodeStat::ALL {
        writeln!(out, "{} {}", stat.name(), mm.node_stat(stat).max(0))?;
    }
    writeln!(out, "nr_balloon_pages {}", mm.balloon_pages())?;
    writeln!(out, "nr_memmap_boot_pages {}", mm.state().memmap_pages)?;
    for event in VmEvent::ALL {
        writeln!(out, "{} {}", event.name(), mm.event_count(event))?;
    }
    Ok(())
}
