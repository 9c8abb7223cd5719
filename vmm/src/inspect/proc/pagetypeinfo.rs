//! /proc/pagetypeinfo (Linux mm/vmstat.c, `pagetypeinfo_show`).

use pagelab_abi::page::{MigrateType, NR_ORDERS, PAGEBLOCK_ORDER, PAGEBLOCK_PAGES, PageblockState};

use crate::inspect::decode::{Snapshot, Zone};

/// Linux stops counting a list here (mm/vmstat.c, `pagetypeinfo_showfree_print`).
const COUNT_LIMIT: u32 = 100_000;

pub(super) fn text(snapshot: &Snapshot<'_>) -> String {
    let populated = || snapshot.zones.iter().filter(|zone| zone.is_populated());
    let mut text =
        format!("Page block order: {PAGEBLOCK_ORDER}\nPages per block:  {PAGEBLOCK_PAGES}\n\n");
    text += &format!("{:<43} ", "Free pages count per migrate type at order");
    for order in 0..NR_ORDERS {
        text += &format!("{order:>6} ");
    }
    text += "\n";
    for zone in populated() {
        for migrate in MigrateType::ALL {
            let name = migrate.name();
            text += &format!("Node {:>4}, zone {:>8}, type {name:>12} ", 0, zone.name());
            for lists in &zone.lists {
                let count = lists[migrate as usize].count;
                let over = if count >= COUNT_LIMIT { ">" } else { "" };
                text += &format!("{over}{:>6} ", count.min(COUNT_LIMIT));
            }
            text += "\n";
        }
    }
    text += &format!("\n{:<23}", "Number of blocks type ");
    for migrate in MigrateType::ALL {
        text += &format!("{:>12} ", migrate.name());
    }
    text += "\n";
    for zone in populated() {
        text += &format!("Node {}, zone {:>8} ", 0, zone.name());
        for count in blocks_by_type(snapshot, zone) {
            text += &format!("{count:>12} ");
        }
        text += "\n";
    }
    text
}

/// Pageblocks of a zone that have RAM, by migrate type.
fn blocks_by_type(snapshot: &Snapshot<'_>, zone: &Zone) -> [u64; MigrateType::ALL.len()] {
    let mut counts = [0; MigrateType::ALL.len()];
    for pageblock in snapshot.pageblocks.within(zone.pfns()) {
        if pageblock.state() != PageblockState::Hole
            && let Some(migrate) = pageblock.migrate()
        {
            counts[migrate as usize] += 1;
        }
    }
    counts
}
