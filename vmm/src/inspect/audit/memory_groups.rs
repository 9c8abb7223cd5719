//! Pages are charged to their memory groups, and to nobody else.

use std::sync::atomic::Ordering::Relaxed;

use pagelab_abi::{lru::MAX_MEMORY_GROUPS, memcg::NO_LIMIT, page::memory_group_of};

use super::{Audit, Findings, Guest, Moment, Skip};
use crate::inspect::decode::BlockState;

pub(super) const AUDIT: Audit = Audit {
    name: "memory-groups",
    checks: "what is charged to a memory group are the pages with its number, and no more than its \
             limit; each process is in a group that exists",
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
    for (number, (group, found)) in groups.iter().zip(pages).enumerate().skip(1) {
        let usage = group.usage.load(Relaxed);
        // In the middle of an allocation its page is charged and has no number yet.
        let coming = u64::from(guest.moment == Moment::Anywhere);
        findings.require((found..=found + coming).contains(&usage), || {
            format!("group {number} is charged {usage} pages, and {found} have its number")
        });
        let max = group.max.load(Relaxed);
        let is_online = group.online.load(Relaxed) != 0;
        findings.require(!is_online || max == NO_LIMIT || usage <= max, || {
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
