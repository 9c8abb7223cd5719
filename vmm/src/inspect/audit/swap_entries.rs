//! Swap slots and the entries that lead to them.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering::Relaxed;

use pagelab_abi::{
    page::PageFlags,
    swap::{MAX_SWAPFILES, swap_of_pte},
};

use super::{Audit, Findings, Guest, Skip};
use crate::inspect::{decode::Swap, users::Users};

pub(super) const AUDIT: Audit = Audit {
    name: "swap-entries",
    checks: "every page-table entry, and place in a file of shared memory, that leads to swap leads to a \
             slot, and each slot counts as many as there are; one that names a broken frame names one that is",
    run,
};

fn run(guest: &Guest<'_>, findings: &mut Findings) -> Result<(), Skip> {
    let users = guest.users()?;
    if let Some(why) = users.incomplete() {
        return Err(Skip(why));
    }
    // That it cannot be decoded is told by the audit of the slots.
    let swap = guest
        .snapshot
        .swap()
        .map_err(|error| Skip(error.to_string()))?;
    let flags_of = |pfn| guest.snapshot.mem_map.flags(pfn);
    let entries = count_entries(users, swap.as_ref(), flags_of, findings);
    let Some(swap) = swap else { return Ok(()) };
    let held = guest.snapshot.root.swap_io.held.load(Relaxed);
    for cluster in &swap.clusters {
        let slots = swap
            .slots(cluster)
            .map_err(|error| Skip(error.to_string()))?;
        for slot in slots {
            let leading = entries.get(&slot.number).copied().unwrap_or(0);
            let counted = match slot.is_bad() {
                true => 0,
                false => u64::from(slot.map),
            };
            // What the kernel's own workload holds may be anywhere.
            let fits = leading == counted || leading < counted && held > 0;
            findings.require(fits, || {
                format!(
                    "swap slot {} counts {counted} entries, but {leading} lead to it",
                    slot.number
                )
            });
        }
    }
    let leading = entries.values().sum::<u64>().saturating_add(held);
    findings.require(leading == swap.entries, || {
        format!(
            "the guest counts {} entries that lead to swap, but there are {leading}",
            swap.entries
        )
    });
    Ok(())
}

/// How many entries lead to each slot.
fn count_entries(
    users: &Users,
    swap: Option<&Swap<'_>>,
    flags_of: impl Fn(u32) -> Option<PageFlags>,
    findings: &mut Findings,
) -> BTreeMap<u64, u64> {
    let slots = swap.map_or(0, |swap| swap.pages);
    let mut entries = BTreeMap::new();
    for space in &users.spaces {
        for page in space.pages.pages.iter().filter(|page| !page.holds_page()) {
            if let Some(pfn) = page.hwpoison() {
                let flags = u32::try_from(pfn).ok().and_then(&flags_of);
                let broken = flags.is_some_and(|flags| flags.contains(PageFlags::HWPOISON));
                findings.require(broken, || {
                    format!(
                        "{}: the entry {:#x} at {:#x} says that frame {pfn:#x} is broken, which is not so",
                        space.name,
                        page.value(),
                        page.va()
                    )
                });
                continue;
            }
            let Some((kind, slot)) = swap_of_pte(page.value()) else {
                continue;
            };
            findings.require(kind < MAX_SWAPFILES && slot > 0 && slot < slots, || {
                format!(
                    "{}: the entry {:#x} at {:#x} leads to slot {slot} of swap device {kind}, which \
                     does not exist",
                    space.name,
                    page.value(),
                    page.va()
                )
            });
            *entries.entry(slot).or_default() += 1;
        }
    }
    for file in &users.files {
        for &(index, slot) in &file.cached.swapped {
            findings.require(slot > 0 && slot < slots, || {
                format!(
                    "file {}: page {index:#x} leads to slot {slot} of swap, which does not exist",
                    file.file.ino
                )
            });
            *entries.entry(slot).or_default() += 1;
        }
    }
    entries
}
