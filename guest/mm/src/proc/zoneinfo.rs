//! /proc/zoneinfo (Linux: mm/vmstat.c, `zoneinfo_show_print`).

use super::{name, populated};
use crate::{Mm, machine::Machine, reclaim::MAX_FAILURES};
use core::{
    fmt::{self, Write},
    sync::atomic::Ordering::Relaxed,
};
use pagelab_abi::{
    lru::LruList,
    vmstat::NodeStat,
    zone::{WMARK_HIGH, WMARK_LOW, WMARK_MIN, Zone},
};

pub(super) fn write<M: Machine>(mm: &Mm<M>, out: &mut dyn Write) -> fmt::Result {
    let first = populated(mm.zones()).next().map(|(index, _)| index);
    for (index, zone) in mm.zones().iter().enumerate() {
        write!(out, "Node 0, zone {:>8}", name(zone))?;
        if first == Some(index) {
            write_node(mm, out)?;
        }
        write_zone(mm, zone, out)?;
        if zone.present > 0 {
            for list in LruList::ALL {
                let pages = mm.zone_lru_pages(index, list);
                write!(out, "\n      nr_zone_{:<12} {pages}", list.name())?;
            }
            write_pagesets(mm, index, out)?;
            let failures = mm.state().kswapd_failures.load(Relaxed);
            write!(
                out,
                "\n  node_unreclaimable:  {}\n  start_pfn:           {}",
                u32::from(failures >= MAX_FAILURES),
                zone.start_pfn
            )?;
        }
        writeln!(out)?;
    }
    Ok(())
}

fn write_node<M: Machine>(mm: &Mm<M>, out: &mut dyn Write) -> fmt::Result {
    write!(out, "\n  per-node stats")?;
    for list in LruList::ALL {
        write!(out, "\n      nr_{:<12} {}", list.name(), mm.lru_pages(list))?;
    }
    for stat in NodeStat::ALL {
        write!(
            out,
            "\n      {:<12} {}",
            stat.name(),
            mm.node_stat(stat).max(0)
        )?;
    }
    write!(
        out,
        "\n      {:<12} {}",
        "nr_balloon_pages",
        mm.balloon_pages()
    )
}

fn write_zone<M: Machine>(mm: &Mm<M>, zone: &Zone, out: &mut dyn Write) -> fmt::Result {
    let free = zone.free_pages.load(Relaxed);
    for (label, value) in [
        ("\n  pages free     ", free),
        ("\n        boost    ", 0),
        (
            "\n        min      ",
            zone.watermark[WMARK_MIN].load(Relaxed),
        ),
        (
            "\n        low      ",
            zone.watermark[WMARK_LOW].load(Relaxed),
        ),
        (
            "\n        high     ",
            zone.watermark[WMARK_HIGH].load(Relaxed),
        ),
        ("\n        spanned  ", zone.spanned),
        ("\n        present  ", zone.present),
        ("\n        managed  ", zone.managed.load(Relaxed)),
        ("\n        cma      ", 0),
    ] {
        write!(out, "{label}{value}")?;
    }
    let mut opening = "\n        protection: (";
    for reserve in &zone.lowmem_reserve[..mm.zones().len()] {
        write!(out, "{opening}{}", reserve.load(Relaxed))?;
        opening = ", ";
    }
    write!(out, ")")?;
    if zone.present > 0 {
        write!(out, "\n      {:<12} {free}", "nr_free_pages")?;
    }
    Ok(())
}

fn write_pagesets<M: Machine>(mm: &Mm<M>, zone: usize, out: &mut dyn Write) -> fmt::Result {
    write!(out, "\n  pagesets")?;
    for (number, cpu) in mm.percpu.iter().enumerate() {
        if cpu.online.load(Relaxed) != 0 {
            let pcp = &cpu.pcp[zone];
            write!(
                out,
                "\n    cpu: {number}\n              count: {}\n              high:  {}\n              \
                 batch: {}",
                pcp.count.load(Relaxed),
                pcp.high_config.load(Relaxed),
                pcp.batch.load(Relaxed)
            )?;
        }
    }
    Ok(())
}
