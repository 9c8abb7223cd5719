//! /proc/vmstat (Linux mm/vmstat.c, `vmstat_show`).

use pagelab_abi::{
    lru::LruList,
    vmstat::{NodeStat, VmEvent},
};

use crate::inspect::decode::Snapshot;

pub(super) fn text(snapshot: &Snapshot<'_>) -> String {
    let vmstat = &snapshot.vmstat;
    let mut text = format!("nr_free_pages {}\n", snapshot.free_pages());
    for kind in ["zone_", ""] {
        for list in LruList::ALL {
            text += &format!("nr_{kind}{} {}\n", list.name(), snapshot.lru_pages(list));
        }
    }
    for stat in NodeStat::ALL {
        text += &format!("{} {}\n", stat.name(), vmstat.node(stat));
    }
    text += &format!("nr_balloon_pages {}\n", snapshot.balloon_pages());
    text += &format!("nr_memmap_boot_pages {}\n", snapshot.memmap_pages());
    for event in VmEvent::ALL {
        text += &format!("{} {}\n", event.name(), vmstat.event(event));
    }
    text
}
