//! Pages are charged to their memory groups, and to nobody else.

use std::sync::atomic::Ordering::Relaxed;

use pagelab_abi::{lru::MAX_MEMORY_GROUPS, memcg::MemoryGroup, page::memory_group_of};

use super::{Audit, Findings, Guest, Moment, Skip};
use crate::inspect::decode::BlockState;

pub(super) const AUDIT: Audit = Audit {
    name: "memory-groups",
    checks: "what is charged to a memory group are the pages and swap slots with its number, or that of a \
             group in it, and no more than its limits; each process is in a group that exists",
    run,
};

fn run(guest: &Guest<'_>, findings: &mut Findings) -> Result<(), Skip> {
    let snapshot = guest.snapshot;
    let mut pages = [0_u64; MAX_MEMORY_GROUPS];
    for zone in &snapshot.zones {
        for block in snapshot.blocks(zone).flatten() {
            let group = memory_group_of(block.head.word);
            if block.state == BlockState::Allocated {
                pages[group as usize] += 1 << block.head.order();
            }
        }
    }
    let groups = snapshot.memory_group_states();
    let slots = charged_slots(guest);
    for (number, group) in groups.iter().enumerate().skip(1) {
        let found = sum_below(groups, &pages, number);
        if let Some(slots) = &slots {
            check_swap(
                guest,
                number,
                group,
                sum_below(groups, slots, number),
                findings,
            );
        }
        let usage = group.usage.load(Relaxed);
        // In the middle of an allocation its page is charged and has no number yet.
        let coming = u64::from(guest.moment == Moment::Anywhere);
        findings.require((found..=found + coming).contains(&usage), || {
            format!("group {number} is charged {usage} pages, and {found} have its number")
        });
        let max = group.max.load(Relaxed);
        let is_online = group.online.load(Relaxed) != 0;
        let most = max.max(group.excess.load(Relaxed));
        findings.require(!is_online || usage <= most, || {
            format!("group {number} is charged {usage} pages, and its limit is {max}")
        });
    }
    for task in &guest.users()?.tasks {
        let number = task.memory_group;
        let exists = match groups.get(number as usize) {
            Some(group) => number == 0 || group.online.load(Relaxed) != 0,
            None => false,
        };
        findings.require(exists, || {
            format!(
                "pid {} ({}) is in memory group {number}, which does not exist",
                task.pid, task.comm
            )
        });
    }
    Ok(())
}

/// Swap slots in use by the group that they are charged to; none without swap, or if that cannot be
/// decoded, which the audit of the slots tells.
fn charged_slots(guest: &Guest<'_>) -> Option<[u64; MAX_MEMORY_GROUPS]> {
    let swap = guest.snapshot.swap().ok()??;
    let mut charged = [0; MAX_MEMORY_GROUPS];
    for cluster in &swap.clusters {
        for slot in swap.slots(cluster).ok()? {
            if !slot.is_free()
                && !slot.is_bad()
                && let Some(count) = charged.get_mut(slot.group as usize)
            {
                *count += 1;
            }
        }
    }
    Some(charged)
}

/// What a group and all groups that are part of it have together. A chain of parents that does not end
/// at the root counts for those that it meets first.
fn sum_below(
    groups: &[MemoryGroup; MAX_MEMORY_GROUPS],
    own: &[u64; MAX_MEMORY_GROUPS],
    number: usize,
) -> u64 {
    let is_below = |at: usize| {
        let above = |at: &usize| {
            let parent = groups.get(*at)?.parent.load(Relaxed);
            Some(parent as usize).filter(|parent| *parent != 0)
        };
        let mut chain = std::iter::successors(Some(at), above).take(MAX_MEMORY_GROUPS);
        chain.any(|at| at == number)
    };
    let below = (1..MAX_MEMORY_GROUPS).filter(|at| own[*at] > 0 && is_below(*at));
    below.map(|at| own[at]).sum()
}

fn check_swap(
    guest: &Guest<'_>,
    number: usize,
    group: &MemoryGroup,
    found: u64,
    findings: &mut Findings,
) {
    let usage = group.swap_usage.load(Relaxed);
    // In the middle of an operation a slot is charged and not in use yet.
    let coming = u64::from(guest.moment == Moment::Anywhere);
    findings.require((found..=found + coming).contains(&usage), || {
        format!("group {number} is charged {usage} swap slots, and {found} have its number")
    });
    let max = group.swap_max.load(Relaxed);
    let most = max.max(group.swap_excess.load(Relaxed));
    let is_online = group.online.load(Relaxed) != 0;
    findings.require(!is_online || usage <= most, || {
        format!("group {number} is charged {usage} swap slots, and its limit is {max}")
    });
}
