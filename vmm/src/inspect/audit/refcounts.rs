//! References are counted where there can be any.

use super::{Audit, Findings, Guest, Skip};
use crate::inspect::decode::BlockState;

pub(super) const AUDIT: Audit = Audit {
    name: "refcounts",
    checks: "free blocks have no references, allocated ones and those in the balloon at least one",
    run,
};

fn run(guest: &Guest<'_>, findings: &mut Findings) -> Result<(), Skip> {
    for zone in &guest.snapshot.zones {
        for block in guest.snapshot.blocks(zone).flatten() {
            let refcount = block.head.refcount;
            let (holds, what) = match block.state {
                BlockState::Free => (refcount == 0, "free"),
                BlockState::Pcp => (refcount == 0, "on a per-CPU list"),
                BlockState::Isolated => (refcount == 0, "free and being reported"),
                BlockState::Allocated => (refcount >= 1, "allocated"),
                BlockState::Hwpoison => (refcount == 0, "out of service"),
                BlockState::Offline => (refcount >= 1, "in the balloon"),
                BlockState::Reserved => continue,
            };
            findings.require(holds, || {
                format!(
                    "zone {}: pfn {:#x} is {what} and has {refcount} references",
                    zone.name(),
                    block.pfn
                )
            });
        }
    }
    Ok(())
}
