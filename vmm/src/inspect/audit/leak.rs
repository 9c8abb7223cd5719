//! Nothing is left of a workload that has given everything back.

use pagelab_abi::{
    page::{MigrateType, PageFlags},
    slab::ObjectState,
};

use super::{AuditResult, Baseline, Findings, Guest, Moment, Skip};
use crate::inspect::decode::{Block, BlockState, Cache, Snapshot};

pub(super) const NAME: &str = "leak";
const CHECKS: &str = "as many frames and objects are in use as before the workload";

/// Allocations or objects that are named for each zone or cache that leaks.
const NAMED: usize = 4;

/// Compares what is in use now, after the workload has given everything back, with `baseline`.
/// Empty slabs, per-CPU lists and magazines may stay; they are in nobody's hands.
pub fn leak(snapshot: &Snapshot<'_>, baseline: &Baseline) -> AuditResult {
    let guest = Guest::new(snapshot, Moment::Between);
    let mut findings = Findings::new();
    check_frames(&guest, baseline, &mut findings);
    match check_objects(&guest, baseline, &mut findings) {
        Err(Skip(why)) if findings.total() == 0 => AuditResult::skipped(NAME, CHECKS, why),
        _ => findings.into_result(NAME, CHECKS),
    }
}

fn check_frames(guest: &Guest<'_>, baseline: &Baseline, findings: &mut Findings) {
    let now = Baseline::of(guest.snapshot, &guest.census, &[]);
    for zone in &guest.snapshot.zones {
        let before = baseline
            .allocated
            .get(zone.index)
            .copied()
            .unwrap_or_default();
        let after = now.allocated[zone.index];
        // What broke since may have come back elsewhere, or not.
        let lost = lost_since(guest.snapshot, zone.index, baseline);
        let expected = before.saturating_sub(lost)..=before;
        findings.require(expected.contains(&after), || {
            let new = new_allocations(guest.snapshot, zone.index, baseline);
            format!(
                "zone {}: {after} frames are allocated outside slabs, {before} were before{new}",
                zone.name()
            )
        });
    }
}

/// Frames of a zone that were allocated, and are broken now.
fn lost_since(snapshot: &Snapshot<'_>, zone: usize, baseline: &Baseline) -> u64 {
    if snapshot.zones[zone].hwpoison == 0 {
        return 0;
    }
    let blocks = snapshot.blocks(&snapshot.zones[zone]).flatten();
    let is_lost =
        |block: &Block| block.state == BlockState::Hwpoison && baseline.heads.contains(block.pfn);
    blocks.filter(is_lost).count() as u64
}

/// Names some allocations of a zone that were not there before.
fn new_allocations(snapshot: &Snapshot<'_>, zone: usize, baseline: &Baseline) -> String {
    let blocks = snapshot.blocks(&snapshot.zones[zone]).flatten();
    let is_new = |block: &Block| {
        block.state == BlockState::Allocated
            && !block.is_slab()
            && !baseline.heads.contains(block.pfn)
    };
    let names: Vec<_> = blocks
        .filter(is_new)
        .take(NAMED)
        .map(|block| name(&block))
        .collect();
    if names.is_empty() {
        String::new()
    } else {
        format!("; new: {}", names.join(", "))
    }
}

fn name(block: &Block) -> String {
    let what = if block.head.flags().contains(PageFlags::LARGE_KMALLOC) {
        "kmalloc"
    } else {
        MigrateType::from_u32(block.head.migrate()).map_or("?", MigrateType::name)
    };
    format!("pfn {:#x} order {} ({what})", block.pfn, block.order())
}

fn check_objects(
    guest: &Guest<'_>,
    baseline: &Baseline,
    findings: &mut Findings,
) -> Result<(), Skip> {
    let caches = guest.caches()?;
    for cache in caches.iter().filter(|cache| !cache.is_internal()) {
        let after = guest.snapshot.allocated_objects(cache);
        match baseline.objects.get(&cache.name) {
            Some(&before) => findings.require(before == after, || {
                let objects = some_objects(guest.snapshot, cache);
                format!(
                    "cache {}: {after} objects are in use, {before} were before{objects}",
                    cache.name
                )
            }),
            None => findings.add(|| {
                let objects = some_objects(guest.snapshot, cache);
                format!(
                    "cache {} was created and not destroyed, with {after} objects in use{objects}",
                    cache.name
                )
            }),
        }
    }
    for name in baseline.objects.keys() {
        findings.require(caches.iter().any(|cache| cache.name == *name), || {
            format!("cache {name} is gone, it was there before")
        });
    }
    check_internal(guest.snapshot, caches, findings);
    Ok(())
}

/// The allocator's own objects follow from its caches: a descriptor for each, and its magazines.
fn check_internal(snapshot: &Snapshot<'_>, caches: &[Cache], findings: &mut Findings) {
    let magazines = caches
        .iter()
        .flat_map(|cache| cache.magazines)
        .filter(|gpa| *gpa != 0);
    let (magazines, descriptors) = (magazines.count() as u64, caches.len() as u64);
    for (name, expected) in [("kmem_cache", descriptors), ("array_cache", magazines)] {
        let Some(cache) = caches.iter().find(|cache| cache.name == name) else {
            continue;
        };
        let found = snapshot.allocated_objects(cache);
        findings.require(found == expected, || {
            format!("cache {name}: {found} objects are in use, but {expected} are known")
        });
    }
}

/// Names some objects in use, with their allocators if the cache tracks them.
fn some_objects(snapshot: &Snapshot<'_>, cache: &Cache) -> String {
    let mut names = Vec::new();
    for slab in snapshot.slabs(cache) {
        let Ok(states) = snapshot.object_states(cache, &slab) else {
            continue;
        };
        for (index, state) in (0..).zip(states.iter()) {
            if names.len() == NAMED {
                break;
            }
            if state == Some(ObjectState::Allocated) {
                let gpa = snapshot.object_gpa(cache, &slab, index);
                let owner = snapshot
                    .object_track(cache, gpa)
                    .and_then(|track| track.alloc);
                names.push(owner.map_or_else(
                    || format!("{gpa:#x}"),
                    |place| format!("{gpa:#x} (allocated at {place})"),
                ));
            }
        }
    }
    if names.is_empty() {
        String::new()
    } else {
        format!(": {}", names.join(", "))
    }
}
