//! /proc/buddyinfo (Linux mm/vmstat.c, `frag_show_print`).

use pagelab_abi::page::NR_ORDERS;

use crate::inspect::decode::Snapshot;

pub(super) fn text(snapshot: &Snapshot<'_>) -> String {
    let mut text = String::new();
    for zone in snapshot.zones.iter().filter(|zone| zone.is_populated()) {
        text += &format!("Node 0, zone {:>8} ", zone.name());
        for order in 0..NR_ORDERS {
            text += &format!("{:>6} ", zone.nr_free(order));
        }
        text += "\n";
    }
    text
}
