//! The free lists are sound.

use pagelab_abi::page::MigrateType;

use super::{Audit, Findings, Guest, Skip};
use crate::inspect::decode::ListId;

pub(super) const AUDIT: Audit = Audit {
    name: "free-list-links",
    checks: "free lists are linked both ways, and their members are free blocks of that zone, \
             order and migrate type",
    run,
};

fn run(guest: &Guest<'_>, findings: &mut Findings) -> Result<(), Skip> {
    for zone in &guest.snapshot.zones {
        findings.require(zone.lock == 0, || {
            format!(
                "zone {} is locked: its lists were being changed",
                zone.name()
            )
        });
        for order in 0..zone.lists.len() as u32 {
            for migrate in MigrateType::ALL {
                let list = ListId {
                    zone: zone.name(),
                    order,
                    migrate,
                };
                guest.snapshot.walk_free_list(
                    zone,
                    order,
                    migrate,
                    |_, _| {},
                    |fault| findings.add(|| format!("{list}: {fault}")),
                );
            }
        }
    }
    Ok(())
}
