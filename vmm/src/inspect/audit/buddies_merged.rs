//! Free buddies have been merged.

use pagelab_abi::page::{MAX_ORDER, MIGRATE_PCPTYPES, PAGEBLOCK_ORDER};

use super::{Audit, Findings, Guest, Skip};
use crate::inspect::decode::{Block, BlockState, Snapshot, Zone};

pub(super) const AUDIT: Audit = Audit {
    name: "buddies-merged",
    checks: "no two buddies of one order and zone are both free",
    run,
};

fn run(guest: &Guest<'_>, findings: &mut Findings) -> Result<(), Skip> {
    for zone in &guest.snapshot.zones {
        // Where the tiling is broken another audit says so.
        let blocks = guest.snapshot.blocks(zone).flatten();
        for block in blocks.filter(|block| block.state == BlockState::Free) {
            let is_lower = block.pfn & block.pages() == 0;
            if is_lower && block.order() < MAX_ORDER && unmerged(guest.snapshot, zone, &block) {
                findings.add(|| {
                    format!(
                        "zone {}: pfn {:#x} and its buddy {:#x} are both free with order {}",
                        zone.name(),
                        block.pfn,
                        block.pfn ^ block.pages(),
                        block.order()
                    )
                });
            }
        }
    }
    Ok(())
}

/// Whether the buddy of a free block is free too and should have been merged with it.
fn unmerged(snapshot: &Snapshot<'_>, zone: &Zone, block: &Block) -> bool {
    let Some(buddy) = snapshot.descriptor(block.pfn ^ block.pages()) else {
        return false;
    };
    let is_free = BlockState::of(buddy.flags()) == Some(BlockState::Free)
        && buddy.order() == block.order()
        && buddy.zone() as usize == zone.index;
    // From a pageblock on, reserves stay apart (Linux: `migratetype_is_mergeable`).
    let (a, b) = (buddy.migrate() as usize, block.head.migrate() as usize);
    let kept_apart = block.order() >= PAGEBLOCK_ORDER && a != b && a.max(b) >= MIGRATE_PCPTYPES;
    is_free && !kept_apart
}
