//! The map of the swap slots is sound.

use pagelab_abi::{page::PageFlags, swap::SLOT_BAD};

use super::{Audit, Findings, Guest, Skip};
use crate::inspect::decode::{Cluster, DecodeError, FrameSet, Slot, Swap};

pub(super) const AUDIT: Audit = Audit {
    name: "swap-slots",
    checks: "swap slots are free, in use or bad as the counters say, and each page of the swap \
             cache is allocated, in one slot, and names it",
    run,
};

/// What was found, to compare with the counters.
#[derive(Default)]
struct Census {
    inuse: u64,
    bad: u64,
    cached: u64,
    entries: u64,
}

fn run(guest: &Guest<'_>, findings: &mut Findings) -> Result<(), Skip> {
    match guest.snapshot.swap() {
        Ok(None) => {}
        Ok(Some(swap)) => check(guest, &swap, findings),
        Err(error) => findings.add(|| error.to_string()),
    }
    Ok(())
}

fn check(guest: &Guest<'_>, swap: &Swap<'_>, findings: &mut Findings) {
    let mut census = Census::default();
    let mut frames = FrameSet::new(guest.snapshot.pfns());
    for cluster in &swap.clusters {
        let counted = count_cluster(guest, swap, cluster, &mut census, &mut frames, findings);
        // Without all clusters the sums mean nothing.
        if let Err(error) = counted {
            findings.add(|| error.to_string());
            return;
        }
    }
    for (what, counter, found) in [
        ("slots are in use", swap.inuse, census.inuse),
        ("slots are bad", swap.bad, census.bad),
        (
            "slots have a page in the swap cache",
            swap.cached,
            census.cached,
        ),
        ("entries lead to slots", swap.entries, census.entries),
    ] {
        findings.require(counter == found, || {
            format!("the guest counts {counter}, but {found} {what}")
        });
    }
}

fn count_cluster(
    guest: &Guest<'_>,
    swap: &Swap<'_>,
    cluster: &Cluster,
    census: &mut Census,
    frames: &mut FrameSet,
    findings: &mut Findings,
) -> Result<(), DecodeError> {
    let mut free = 0;
    for slot in swap.slots(cluster)? {
        findings.require(slot.number != 0 || slot.is_bad(), || {
            "slot 0, which is none, can be used".to_owned()
        });
        if slot.is_bad() {
            census.bad += 1;
            findings.require(slot.map == SLOT_BAD && slot.cache.is_none(), || {
                format!("slot {} is bad and in use", slot.number)
            });
            continue;
        }
        free += u64::from(slot.is_free());
        census.inuse += u64::from(!slot.is_free());
        census.entries += u64::from(slot.map);
        if let Some(pfn) = slot.cache {
            census.cached += 1;
            check_page(guest, &slot, pfn, frames, findings);
        }
    }
    findings.require(cluster.free == free, || {
        format!(
            "cluster {}: the guest counts {} free slots, but there are {free}",
            cluster.number, cluster.free
        )
    });
    Ok(())
}

fn check_page(
    guest: &Guest<'_>,
    slot: &Slot,
    pfn: u32,
    frames: &mut FrameSet,
    findings: &mut Findings,
) {
    let page = guest.snapshot.descriptor(pfn);
    let fits = page.is_some_and(|page| {
        page.flags()
            .contains(PageFlags::ALLOCATED | PageFlags::SWAPCACHE)
            && page.refcount > 0
            && u64::from(page.private) == slot.number
    });
    findings.require(fits, || {
        format!(
            "slot {} has its page in pfn {pfn:#x}, which is not allocated or denies it",
            slot.number
        )
    });
    findings.require(page.is_none() || frames.insert(pfn), || {
        format!(
            "slot {} has its page in pfn {pfn:#x}, as another one",
            slot.number
        )
    });
}
