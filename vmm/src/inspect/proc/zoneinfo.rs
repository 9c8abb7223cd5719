//! /proc/zoneinfo (Linux mm/vmstat.c, `zoneinfo_show_print`).

use pagelab_abi::{lru::LruList, vmstat::NodeStat};

use crate::inspect::decode::{Snapshot, Zone};

/// Runs of background reclaim without a page after which Linux gives a node up
/// (mm/internal.h, `MAX_RECLAIM_RETRIES`).
const MAX_RECLAIM_RETRIES: u32 = 16;

pub(super) fn text(snapshot: &Snapshot<'_>) -> String {
    let first = snapshot.zones.iter().position(Zone::is_populated);
    let mut text = String::new();
    for zone in &snapshot.zones {
        text += &format!("Node 0, zone {:>8}", zone.name());
        if Some(zone.index) == first {
            text += &per_node(snapshot);
        }
        text += &amounts(zone, snapshot.zones.len());
        if zone.is_populated() {
            text += &populated(snapshot, zone);
        }
        text += "\n";
    }
    text
}

fn per_node(snapshot: &Snapshot<'_>) -> String {
    let mut text = String::from("\n  per-node stats");
    for list in LruList::ALL {
        let pages = snapshot.lru_pages(list);
        text += &format!("\n      nr_{:<12} {pages}", list.name());
    }
    for stat in NodeStat::ALL {
        text += &format!("\n      {:<12} {}", stat.name(), snapshot.vmstat.node(stat));
    }
    text += &format!(
        "\n      {:<12} {}",
        "nr_balloon_pages",
        snapshot.balloon_pages()
    );
    text
}

fn amounts(zone: &Zone, nr_zones: usize) -> String {
    let [min, low, high, _] = zone.watermark;
    let mut text = format!("\n  pages free     {}", zone.free);
    for (name, amount) in [
        ("boost", 0),
        ("min", min),
        ("low", low),
        ("high", high),
        ("spanned", zone.spanned.into()),
        ("present", zone.present),
        ("managed", zone.managed),
        ("cma", 0),
    ] {
        text += &format!("\n        {name:<8} {amount}");
    }
    let protection: Vec<_> = zone.lowmem_reserve[..nr_zones]
        .iter()
        .map(u64::to_string)
        .collect();
    text += &format!("\n        protection: ({})", protection.join(", "));
    text
}

fn populated(snapshot: &Snapshot<'_>, zone: &Zone) -> String {
    let mut text = format!("\n      {:<12} {}", "nr_free_pages", zone.free);
    for list in LruList::ALL {
        let pages = snapshot.zone_lru_pages(zone.index, list);
        text += &format!("\n      nr_zone_{:<12} {pages}", list.name());
    }
    text += "\n  pagesets";
    for cpu in snapshot.cpus.iter().filter(|cpu| cpu.online) {
        // Not `high`, which another CPU overwrites to ask for a drain.
        let pcp = &cpu.pcp[zone.index];
        text += &format!("\n    cpu: {}", cpu.number);
        text += &format!("\n              count: {}", pcp.count);
        text += &format!("\n              high:  {}", pcp.high_config);
        text += &format!("\n              batch: {}", pcp.batch);
    }
    let gave_up = snapshot.kswapd_failures() >= MAX_RECLAIM_RETRIES;
    text += &format!("\n  node_unreclaimable:  {}", u32::from(gave_up));
    text += &format!("\n  start_pfn:           {}", zone.start_pfn);
    text
}
