//! The lists that reclaim works on have every page once.

use pagelab_abi::{
    lru::{LruList, NR_LRU_LISTS},
    page::PageFlags,
    vmstat::NodeStat,
    zone::MAX_ZONES,
};

use super::{Audit, Findings, Guest, Moment, Skip};
use crate::inspect::decode::{BlockState, FrameSet};

pub(super) const AUDIT: Audit = Audit {
    name: "lru-lists",
    checks: "each page of a program or a file is in one list of reclaim, which its flags name, or isolated; \
             links and counters agree",
    run,
};

fn run(guest: &Guest<'_>, findings: &mut Findings) -> Result<(), Skip> {
    let snapshot = guest.snapshot;
    let mut seen = FrameSet::new(snapshot.pfns());
    for group in snapshot.memory_groups() {
        check_group(guest, group, &mut seen, findings);
    }
    for zone in &snapshot.zones {
        for block in snapshot.blocks(zone).flatten() {
            let says =
                block.state == BlockState::Allocated && block.head.flags().contains(PageFlags::LRU);
            findings.require(!says || seen.contains(block.pfn), || {
                format!(
                    "frame {:#x} says it is in a list, and is in none",
                    block.pfn
                )
            });
        }
    }
    check_isolated(guest, findings)
}

/// Walks the lists of a memory group and compares the counters.
fn check_group(guest: &Guest<'_>, group: usize, seen: &mut FrameSet, findings: &mut Findings) {
    let snapshot = guest.snapshot;
    let mut found = [[0u32; NR_LRU_LISTS]; MAX_ZONES];
    for list in LruList::ALL {
        let walk = snapshot.walk_lru(group, list, seen, |_, page| {
            if let Some(zone) = found.get_mut(page.zone() as usize) {
                zone[list as usize] += 1;
            }
        });
        if let Err(fault) = walk {
            findings.add(|| format!("group {group}, {}: {fault}", list.name()));
        }
    }
    for (zone, counted) in snapshot.lru_counts(group).into_iter().flatten().enumerate() {
        for list in LruList::ALL {
            let (counted, found) = (counted[list as usize], found[zone][list as usize]);
            findings.require(counted == found, || {
                format!(
                    "group {group}, zone {zone}: {} counts {counted} pages, and has {found}",
                    list.name()
                )
            });
        }
    }
}

/// Pages that should be in a list and are not are those that the guest says it has isolated.
fn check_isolated(guest: &Guest<'_>, findings: &mut Findings) -> Result<(), Skip> {
    let users = guest.users()?;
    let isolated: i64 = [NodeStat::IsolatedAnon, NodeStat::IsolatedFile]
        .iter()
        .map(|stat| guest.snapshot.vmstat.node_raw(*stat))
        .fold(0, i64::saturating_add);
    let is_listed = |pfn: &&u32| {
        let page = guest.snapshot.descriptor(**pfn);
        page.is_none_or(|page| page.flags().contains(PageFlags::LRU))
    };
    let mut missing = users.frames.keys().filter(|pfn| !is_listed(pfn));
    let count = missing.clone().count() as i64;
    // Who swaps out a page of its own, as a workload does, has it in no list, and in the swap cache
    // until that is done.
    let is_swapping = |pfn: &&u32| {
        let page = guest.snapshot.descriptor(**pfn);
        page.is_some_and(|page| page.flags().contains(PageFlags::SWAPCACHE))
    };
    let swapping = missing.clone().filter(is_swapping).take(1).count() as i64;
    let allowed = match guest.moment {
        Moment::Between => 0,
        Moment::Anywhere => isolated + swapping,
    };
    findings.require(isolated >= 0 && count <= allowed, || {
        format!(
            "{count} pages of programs and files are in no list, {:#x} the first of them, and {isolated} are isolated",
            missing.next().unwrap_or(&0)
        )
    });
    Ok(())
}
