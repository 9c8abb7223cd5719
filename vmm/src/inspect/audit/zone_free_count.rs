//! The zone's count of free frames is that of its lists.

use pagelab_abi::page::MigrateType;

use super::{Audit, Findings, Guest, Skip};
use crate::inspect::decode::{BlockState, Snapshot, Zone};

pub(super) const AUDIT: Audit = Audit {
    name: "zone-free-count",
    checks: "nr_free_pages of every zone equals its free lists and its free frames",
    run,
};

fn run(guest: &Guest<'_>, findings: &mut Findings) -> Result<(), Skip> {
    for (zone, census) in guest.snapshot.zones.iter().zip(&guest.census.zones) {
        let name = zone.name();
        let listed = listed(guest.snapshot, zone);
        findings.require(zone.free == listed, || {
            format!(
                "zone {name}: nr_free_pages is {}, but its lists hold {listed}",
                zone.free
            )
        });
        let free = census.frames(BlockState::Free);
        findings.require(free == listed, || {
            format!("zone {name}: {free} frames are marked free, but its lists hold {listed}")
        });
    }
    Ok(())
}

/// Frames on a zone's free lists, as far as these can be walked.
fn listed(snapshot: &Snapshot<'_>, zone: &Zone) -> u64 {
    let mut frames = 0;
    for order in 0..zone.lists.len() as u32 {
        for migrate in MigrateType::ALL {
            snapshot.walk_free_list(zone, order, migrate, |_, _| frames += 1 << order, |_| {});
        }
    }
    frames
}
