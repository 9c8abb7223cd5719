//! /proc/vmstat (Linux mm/vmstat.c, `vmstat_show`).

use std::fmt::Write;

use pagelab_abi::{
    lru::LruList,
    vmstat::{NodeStat, VmEvent},
};

use crate::inspect::decode::Snapshot;

pub(super) fn text(snapshot: &Snapshot<'_>) -> String {
    let mut text = String::new();
    for (name, value) in fields(Some(snapshot)) {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{name} {value}");
    }
    text
}

/// The fields in their order; all are 0 without a guest.
pub(super) fn fields(guest: Option<&Snapshot<'_>>) -> Vec<(String, u64)> {
    let of = |value: &dyn Fn(&Snapshot<'_>) -> u64| guest.map_or(0, value);
    let mut fields = vec![("nr_free_pages".to_owned(), of(&|guest| guest.free_pages()))];
    for kind in ["zone_", ""] {
        for list in LruList::ALL {
            let name = format!("nr_{kind}{}", list.name());
            fields.push((name, of(&|guest| guest.lru_pages(list))));
        }
    }
    for stat in NodeStat::ALL {
        let value = of(&|guest| guest.vmstat.node(stat));
        fields.push((stat.name().to_owned(), value));
    }
    let balloon = of(&|guest| guest.balloon_pages());
    fields.push(("nr_balloon_pages".to_owned(), balloon));
    let memmap = of(&|guest| guest.memmap_pages());
    fields.push(("nr_memmap_boot_pages".to_owned(), memmap));
    for event in VmEvent::ALL {
        let value = of(&|guest| guest.vmstat.event(event));
        fields.push((event.name().to_owned(), value));
    }
    fields
}
