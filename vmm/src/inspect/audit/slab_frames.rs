//! The frames of slabs are marked as such, and nothing else is.

use pagelab_abi::page::PageFlags;

use super::{Audit, Findings, Guest, Skip};
use crate::inspect::decode::FrameSet;

pub(super) const AUDIT: Audit = Audit {
    name: "slab-frames",
    checks: "every frame marked as a slab is on a list of the cache that it names",
    run,
};

fn run(guest: &Guest<'_>, findings: &mut Findings) -> Result<(), Skip> {
    let snapshot = guest.snapshot;
    let caches = guest.caches()?;
    let mut listed = FrameSet::new(snapshot.pfns());
    for cache in caches {
        for slab in snapshot.slabs(cache) {
            findings.require(listed.insert(slab.pfn), || {
                format!(
                    "cache {}: the slab at pfn {:#x} is on two lists",
                    cache.name, slab.pfn
                )
            });
        }
    }
    for zone in &snapshot.zones {
        for block in snapshot
            .blocks(zone)
            .flatten()
            .filter(|block| block.is_slab())
        {
            findings.require(listed.contains(block.pfn), || {
                let owner = caches.iter().find(|cache| cache.gpa == block.head.mapping);
                let owner = owner.map_or("no cache", |cache| cache.name.as_str());
                format!(
                    "pfn {:#x} is marked as a slab of {owner} ({:#x}), but is on none of its lists",
                    block.pfn, block.head.mapping
                )
            });
            findings.require(
                !block.head.flags().contains(PageFlags::LARGE_KMALLOC),
                || {
                    format!(
                        "pfn {:#x} is marked both as a slab and as kmalloc memory",
                        block.pfn
                    )
                },
            );
        }
    }
    Ok(())
}
