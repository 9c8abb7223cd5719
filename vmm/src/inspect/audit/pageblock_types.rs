//! The pageblock table agrees with memory and with the free blocks.

use pagelab_abi::page::{
    MAX_ORDER, MigrateType, PAGEBLOCK_MIGRATE_MASK, PAGEBLOCK_PAGES, PAGEBLOCK_STATE_SHIFT,
    PageblockState,
};

use super::{Audit, Findings, Guest, Skip};
use crate::inspect::decode::{Block, BlockState, Frames, Pageblock};

pub(super) const AUDIT: Audit = Audit {
    name: "pageblock-types",
    checks: "pageblocks are holes, reserved or described as their RAM is, and free blocks have \
             their pageblock's migrate type",
    run,
};

/// The bits of a pageblock byte that mean something.
const BITS: u8 = PAGEBLOCK_MIGRATE_MASK | 3 << PAGEBLOCK_STATE_SHIFT;

fn run(guest: &Guest<'_>, findings: &mut Findings) -> Result<(), Skip> {
    let (ram, reserved) = guest.snapshot.ram();
    for pageblock in guest.snapshot.pageblocks.within(guest.snapshot.pfns()) {
        check(guest, pageblock, &ram, &reserved, findings);
    }
    for zone in &guest.snapshot.zones {
        let mut highatomic = 0;
        for pageblock in guest.snapshot.pageblocks.within(zone.pfns()) {
            if pageblock.migrate() == Some(MigrateType::HighAtomic) {
                highatomic += u64::from(PAGEBLOCK_PAGES);
            }
        }
        findings.require(highatomic == zone.highatomic, || {
            format!(
                "zone {}: counts {} frames in HighAtomic pageblocks, but there are {highatomic}",
                zone.name(),
                zone.highatomic
            )
        });
        let blocks = guest.snapshot.blocks(zone).flatten();
        for block in blocks.filter(|block| block.state == BlockState::Free) {
            check_free(guest, &block, findings);
        }
    }
    Ok(())
}

/// Checks a pageblock against the RAM that is there.
fn check(
    guest: &Guest<'_>,
    pageblock: Pageblock,
    ram: &Frames,
    reserved: &Frames,
    findings: &mut Findings,
) {
    let pfn = pageblock.pfn;
    let pfns = u64::from(pfn)..u64::from(pfn) + u64::from(PAGEBLOCK_PAGES);
    let (ram, reserved) = (ram.count_in(&pfns), reserved.count_in(&pfns));
    let is_legal = pageblock.byte & !BITS == 0 && pageblock.migrate().is_some();
    findings.require(is_legal, || {
        format!(
            "the pageblock at pfn {pfn:#x} has the meaningless byte {:#04x}",
            pageblock.byte
        )
    });
    let (holds, what) = match pageblock.state() {
        PageblockState::Hole => (ram == 0, "a hole"),
        PageblockState::Reserved => (ram > 0 && ram == reserved, "reserved"),
        PageblockState::Untouched => {
            let whole = ram == u64::from(PAGEBLOCK_PAGES) && reserved == 0;
            (whole && is_one_block(guest, pfn), "untouched")
        }
        PageblockState::Ready => (ram > reserved, "ready"),
    };
    findings.require(holds, || {
        format!(
            "the pageblock at pfn {pfn:#x} is {what}, but {ram} of its frames are RAM and \
             {reserved} of these are reserved"
        )
    });
}

/// Whether a pageblock is one block, or half of one.
fn is_one_block(guest: &Guest<'_>, pfn: u32) -> bool {
    let head = |pfn| {
        let head = guest.snapshot.descriptor(pfn)?;
        BlockState::of(head.flags()).map(|_| 1 << head.order())
    };
    let lower = pfn & !((1 << MAX_ORDER) - 1);
    head(pfn).is_some_and(|pages: u32| pages >= PAGEBLOCK_PAGES)
        || head(lower).is_some_and(|pages: u32| pages > PAGEBLOCK_PAGES)
}

/// Checks the migrate type of a free block.
fn check_free(guest: &Guest<'_>, block: &Block, findings: &mut Findings) {
    for pageblock in guest.snapshot.pageblocks.within(block.pfns()) {
        let found = block.head.migrate();
        let expected = u32::from(pageblock.byte & PAGEBLOCK_MIGRATE_MASK);
        findings.require(found == expected, || {
            format!(
                "pfn {:#x} is free with migrate type {found} in a pageblock of type {expected}",
                block.pfn
            )
        });
    }
}
