//! Each object is in one place, and the counts are right.

use std::collections::BTreeSet;

use pagelab_abi::{
    percpu::MAX_CPUS,
    slab::{MAGAZINE_CAPACITY, MagazineEntry, ObjectState},
};

use super::{Audit, Findings, Guest, Skip};
use crate::inspect::decode::{Cache, Slab, Snapshot};

pub(super) const AUDIT: Audit = Audit {
    name: "slab-objects",
    checks: "each object is either allocated, free in its slab, or once in a magazine, and the \
             counts of free objects are right",
    run,
};

/// Objects that the magazines of one cache have room for.
const MAX_WAITING: usize = MAX_CPUS * MAGAZINE_CAPACITY;

fn run(guest: &Guest<'_>, findings: &mut Findings) -> Result<(), Skip> {
    for cache in guest.caches()? {
        let mut waiting = BTreeSet::new();
        let mut free = 0;
        for slab in guest.snapshot.slabs(cache) {
            free += check_slab(guest.snapshot, cache, &slab, &mut waiting, findings)?;
        }
        findings.require(cache.free_objects == free, || {
            format!(
                "cache {}: counts {} free objects in slabs, but there are {free}",
                cache.name, cache.free_objects
            )
        });
        check_magazines(guest.snapshot, cache, &mut waiting, findings)?;
        for (pfn, index) in &waiting {
            findings.add(|| {
                format!(
                    "cache {}: object {index} of the slab at pfn {pfn:#x} is marked as in a \
                     magazine, but is in none",
                    cache.name
                )
            });
        }
    }
    Ok(())
}

/// Counts the free objects of a slab, and adds those in magazines to `waiting`.
fn check_slab(
    snapshot: &Snapshot<'_>,
    cache: &Cache,
    slab: &Slab,
    waiting: &mut BTreeSet<(u32, u32)>,
    findings: &mut Findings,
) -> Result<u64, Skip> {
    let states = snapshot
        .object_states(cache, slab)
        .map_err(|error| Skip(error.to_string()))?;
    let mut free = 0;
    for (index, state) in (0..).zip(states.iter()) {
        match state {
            Some(ObjectState::Free) => free += 1,
            // More than all magazines can hold need not be remembered one by one.
            Some(ObjectState::Magazine) if waiting.len() > MAX_WAITING => findings.add(|| {
                format!(
                    "cache {}: object {index} of the slab at pfn {:#x} is marked as in a \
                     magazine, for which there is no room",
                    cache.name, slab.pfn
                )
            }),
            Some(ObjectState::Magazine) => {
                waiting.insert((slab.pfn, index));
            }
            Some(ObjectState::Allocated) => {}
            None => findings.add(|| {
                format!(
                    "cache {}: object {index} of the slab at pfn {:#x} has the meaningless state \
                     {}",
                    cache.name,
                    slab.pfn,
                    states.byte(index).unwrap_or_default()
                )
            }),
        }
    }
    let counted = slab.word().free();
    findings.require(free == u64::from(counted), || {
        format!(
            "cache {}: the slab at pfn {:#x} counts {counted} free objects, but has {free}",
            cache.name, slab.pfn
        )
    });
    Ok(free)
}

/// Removes what the magazines hold from `waiting`.
fn check_magazines(
    snapshot: &Snapshot<'_>,
    cache: &Cache,
    waiting: &mut BTreeSet<(u32, u32)>,
    findings: &mut Findings,
) -> Result<(), Skip> {
    let magazines = snapshot
        .magazines(cache)
        .map_err(|error| Skip(error.to_string()))?;
    for magazine in magazines {
        let limit = cache.geometry.limit.min(MAGAZINE_CAPACITY as u32);
        findings.require(magazine.avail <= limit, || {
            format!(
                "cache {}: the magazine of CPU {} counts {} objects, more than {limit}",
                cache.name, magazine.cpu, magazine.avail
            )
        });
        for entry in magazine.entries {
            if let Some(what) = misplaced(snapshot, cache, entry, waiting) {
                findings.add(|| {
                    format!(
                        "cache {}: the magazine of CPU {} holds {:#x}, {what}",
                        cache.name,
                        magazine.cpu,
                        entry.gpa()
                    )
                });
            }
        }
    }
    Ok(())
}

/// What is wrong with an entry of a magazine.
fn misplaced(
    snapshot: &Snapshot<'_>,
    cache: &Cache,
    entry: MagazineEntry,
    waiting: &mut BTreeSet<(u32, u32)>,
) -> Option<&'static str> {
    let Some((pfn, index)) = snapshot.object_at(cache, entry.gpa()) else {
        return Some("which is no object of this cache");
    };
    if index != entry.index() {
        return Some("with the index of another object");
    }
    (!waiting.remove(&(pfn, index))).then_some("which is not marked so or is in two magazines")
}
