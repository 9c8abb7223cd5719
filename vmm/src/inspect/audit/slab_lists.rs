//! Slabs are on the lists on which they belong.

use pagelab_abi::slab::ListKind;

use super::{Audit, Findings, Guest, Skip};
use crate::inspect::decode::{Cache, Slab};

pub(super) const AUDIT: Audit = Audit {
    name: "slab-lists",
    checks: "full, partial and empty slabs are on the lists of these names, which are linked both \
             ways and count right",
    run,
};

fn run(guest: &Guest<'_>, findings: &mut Findings) -> Result<(), Skip> {
    for cache in guest.caches()? {
        findings.require(cache.lock == 0, || {
            format!(
                "cache {} is locked: its lists were being changed",
                cache.name
            )
        });
        let mut slabs = Vec::new();
        for list in ListKind::ALL {
            guest.snapshot.walk_slabs(
                cache,
                list,
                |slab| slabs.push(slab),
                |fault| {
                    findings.add(|| format!("cache {}, {} list: {fault}", cache.name, name(list)))
                },
            );
        }
        for slab in slabs {
            check(cache, &slab, findings);
        }
        let slabs = cache.slabs();
        findings.require(cache.grown.checked_sub(cache.reaped) == Some(slabs), || {
            format!(
                "cache {}: grew by {} slabs and gave back {}, but has {slabs}",
                cache.name, cache.grown, cache.reaped
            )
        });
    }
    Ok(())
}

fn check(cache: &Cache, slab: &Slab, findings: &mut Findings) {
    let free = slab.word().free();
    let objects = cache.geometry.objects;
    let belongs = match free {
        0 => ListKind::Full,
        free if free == objects => ListKind::Empty,
        _ => ListKind::Partial,
    };
    findings.require(slab.list == belongs && free <= objects, || {
        format!(
            "cache {}: the slab at pfn {:#x} has {free} of {objects} objects free and is on the \
             {} list",
            cache.name,
            slab.pfn,
            name(slab.list)
        )
    });
    let colour = slab.word().colour();
    let end = colour + objects * cache.geometry.size;
    findings.require(end <= cache.geometry.states_offset, || {
        format!(
            "cache {}: with colour {colour} the objects of the slab at pfn {:#x} end at {end}, \
             beyond {}",
            cache.name, slab.pfn, cache.geometry.states_offset
        )
    });
}

fn name(list: ListKind) -> &'static str {
    match list {
        ListKind::Full => "full",
        ListKind::Partial => "partial",
        ListKind::Empty => "empty",
    }
}
