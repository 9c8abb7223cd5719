//! Every frame is in exactly one place.

use std::ops::Range;

use pagelab_abi::page::{MigrateType, PageFlags};

use super::{Audit, Findings, Guest, Skip};
use crate::inspect::decode::{Block, BlockState, FrameSet, Frames, Snapshot, pcp_lists};

pub(super) const AUDIT: Audit = Audit {
    name: "no-overlap",
    checks: "every frame of RAM is in exactly one place: a free list, a per-CPU list, a slab, an \
             allocation, the balloon, reserved, or out of service",
    run,
};

/// Where a frame can be.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    FreeList,
    Pcp,
    Slab,
    Allocation,
    Balloon,
    Isolated,
    Hwpoison,
    Reserved,
}

impl Place {
    const ALL: [(Self, &'static str); 8] = [
        (Self::FreeList, "a free list"),
        (Self::Pcp, "a per-CPU list"),
        (Self::Slab, "a slab"),
        (Self::Allocation, "an allocation"),
        (Self::Balloon, "the balloon"),
        (Self::Isolated, "the reported blocks"),
        (Self::Hwpoison, "the broken frames"),
        (Self::Reserved, "reserved memory"),
    ];

    fn name(self) -> &'static str {
        Self::ALL[self as usize].1
    }
}

/// Who claims which frames.
struct Claims<'f> {
    all: FrameSet,
    clashes: u64,
    /// For a second pass, that names both sides of each clash: the frames of each place.
    named: Option<(Vec<FrameSet>, &'f mut Findings)>,
}

impl Claims<'_> {
    fn claim(&mut self, place: Place, pfn: u32, pages: u32) {
        let clash = self.all.insert_all(pfn, pages);
        self.clashes += u64::from(clash.is_some());
        let Some((by_place, findings)) = &mut self.named else {
            return;
        };
        if let Some(frame) = clash {
            findings.add(|| {
                let other = Place::ALL
                    .iter()
                    .find(|(place, _)| by_place[*place as usize].contains(frame));
                let other = other.map_or("beyond the end of memory", |(_, name)| name);
                let place = place.name();
                format!(
                    "pfn {frame:#x} is in {place} (block at pfn {pfn:#x}, {pages} frames) and in \
                     {other}"
                )
            });
        }
        by_place[place as usize].insert_all(pfn, pages);
    }
}

fn run(guest: &Guest<'_>, findings: &mut Findings) -> Result<(), Skip> {
    let snapshot = guest.snapshot;
    for zone in &snapshot.zones {
        for block in snapshot.blocks(zone) {
            match block {
                Ok(block) => check_inside(snapshot, &block, findings),
                Err(fault) => findings.add(|| format!("zone {}: {fault}", zone.name())),
            }
        }
    }
    let none = FrameSet::new(snapshot.pfns());
    let mut claims = Claims {
        all: none.clone(),
        clashes: 0,
        named: None,
    };
    claim_all(guest, &mut claims)?;
    let (ram, _) = snapshot.ram();
    for range in clipped(&ram, snapshot.pfns()) {
        for (pfn, pages) in claims.all.missing(range) {
            findings.add(|| format!("{pages} frames from pfn {pfn:#x} on are nowhere"));
        }
    }
    if claims.clashes > 0 {
        claims = Claims {
            all: none.clone(),
            clashes: 0,
            named: Some((vec![none; Place::ALL.len()], findings)),
        };
        claim_all(guest, &mut claims)?;
    }
    Ok(())
}

/// Claims every frame for the place where it is.
fn claim_all(guest: &Guest<'_>, claims: &mut Claims<'_>) -> Result<(), Skip> {
    let snapshot = guest.snapshot;
    claim_free(snapshot, claims);
    for cache in guest.caches()? {
        for slab in snapshot.slabs(cache) {
            claims.claim(Place::Slab, slab.pfn, 1 << cache.geometry.order);
        }
    }
    claim_held(snapshot, claims);
    let (_, reserved) = snapshot.ram();
    for range in clipped(&reserved, snapshot.pfns()) {
        claims.claim(Place::Reserved, range.start, range.end - range.start);
    }
    Ok(())
}

/// What the free lists and the per-CPU lists hold.
fn claim_free(snapshot: &Snapshot<'_>, claims: &mut Claims<'_>) {
    let mut seen = FrameSet::new(snapshot.pfns());
    for zone in &snapshot.zones {
        for order in 0..zone.lists.len() as u32 {
            for migrate in MigrateType::ALL {
                let claim = |pfn, _: &_| claims.claim(Place::FreeList, pfn, 1 << order);
                // Broken links are the matter of other audits.
                snapshot.walk_free_list(zone, order, migrate, claim, |_| {});
            }
        }
        for cpu in &snapshot.cpus {
            for (order, migrate) in pcp_lists() {
                let claim = |pfn, _: &_| claims.claim(Place::Pcp, pfn, 1 << order);
                let _ = snapshot.walk_pcp_list(cpu, zone, (order, migrate), &mut seen, claim);
            }
        }
    }
}

/// What is on no list, and known from the descriptors alone.
fn claim_held(snapshot: &Snapshot<'_>, claims: &mut Claims<'_>) {
    for zone in &snapshot.zones {
        for block in snapshot.blocks(zone).flatten() {
            let place = match block.state {
                BlockState::Allocated if block.is_slab() => continue,
                BlockState::Allocated => Place::Allocation,
                BlockState::Offline => Place::Balloon,
                BlockState::Isolated => Place::Isolated,
                BlockState::Hwpoison => Place::Hwpoison,
                BlockState::Free | BlockState::Pcp | BlockState::Reserved => continue,
            };
            claims.claim(place, block.pfn, block.pages());
        }
    }
}

/// Inside a block there are no heads: flags are zero, or TAIL in a compound page.
fn check_inside(snapshot: &Snapshot<'_>, block: &Block, findings: &mut Findings) {
    let inside = if block.head.flags().contains(PageFlags::HEAD) {
        PageFlags::TAIL
    } else {
        PageFlags::empty()
    };
    for pageblock in snapshot.pageblocks.within(block.pfns()) {
        let described = pageblock.described();
        let first = described.start.max(block.pfn + 1);
        for pfn in first..described.end.min(block.pfns().end) {
            let Some(flags) = snapshot.mem_map.flags(pfn) else {
                return;
            };
            findings.require(flags == inside, || {
                format!(
                    "pfn {pfn:#x} lies inside the block of order {} at pfn {:#x}, but is marked \
                     {:#x}",
                    block.order(),
                    block.pfn,
                    flags.bits()
                )
            });
        }
    }
}

/// The frames of RAM that the map has room for.
fn clipped(frames: &Frames, pfns: Range<u32>) -> Vec<Range<u32>> {
    let clip = |range: &Range<u64>| {
        let start = range.start.max(pfns.start.into()).min(pfns.end.into());
        let end = range.end.min(pfns.end.into()).max(start);
        start as u32..end as u32
    };
    frames.ranges().iter().map(clip).collect()
}
