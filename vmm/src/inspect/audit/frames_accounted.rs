//! Every frame is accounted for.

use super::{Audit, Findings, Guest, Skip};
use crate::inspect::decode::BlockState::{Allocated, Free, Hwpoison, Isolated, Offline, Pcp};

pub(super) const AUDIT: Audit = Audit {
    name: "frames-accounted",
    checks: "free + per-CPU + allocated + slab + balloon + broken + reserved = present in every zone",
    run,
};

fn run(guest: &Guest<'_>, findings: &mut Findings) -> Result<(), Skip> {
    let (ram, reserved) = guest.snapshot.ram();
    let mut in_zones = 0;
    for (zone, census) in guest.snapshot.zones.iter().zip(&guest.census.zones) {
        let name = zone.name();
        let pfns = zone.pfns();
        let pfns = u64::from(pfns.start)..u64::from(pfns.end);
        let present = ram.count_in(&pfns);
        let reserved = reserved.count_in(&pfns);
        in_zones += present;
        findings.require(zone.present == present, || {
            format!(
                "zone {name}: present is {}, but its RAM has {present} frames",
                zone.present
            )
        });
        findings.require(zone.managed + reserved == zone.present, || {
            format!(
                "zone {name}: managed is {} and {reserved} frames are reserved, but present is {}",
                zone.managed, zone.present
            )
        });
        findings.require(census.managed() == zone.managed, || {
            format!(
                "zone {name}: {} free + {} per-CPU + {} allocated + {} slab + {} balloon + \
                 {} isolated + {} broken = {}, but managed is {}",
                census.frames(Free),
                census.frames(Pcp),
                census.frames(Allocated) - census.slab,
                census.slab,
                census.frames(Offline),
                census.frames(Isolated),
                census.frames(Hwpoison),
                census.managed(),
                zone.managed
            )
        });
        for (what, counted, found) in [
            ("balloon", zone.balloon, census.frames(Offline)),
            ("isolated", zone.isolated, census.frames(Isolated)),
            ("broken", zone.hwpoison, census.frames(Hwpoison)),
        ] {
            findings.require(counted == found, || {
                format!("zone {name}: counts {counted} {what} frames, but there are {found}")
            });
        }
    }
    let all = ram.count_in(&(0..u64::MAX));
    findings.require(in_zones == all, || {
        format!(
            "{} frames of RAM are in no zone",
            all.saturating_sub(in_zones)
        )
    });
    Ok(())
}
