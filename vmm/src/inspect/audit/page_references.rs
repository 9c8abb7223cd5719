//! References are page-table entries, the page cache, the swap cache, and nothing else for long.

use pagelab_abi::page::{PageFlags, is_anon};

use super::{Audit, Findings, Guest, Moment, Skip};
use crate::inspect::{decode::BlockState, users::Holders};

pub(super) const AUDIT: Audit = Audit {
    name: "page-references",
    checks: "a program's frame has a reference for each entry, for the page cache and for the swap cache, and within an operation at most one more",
    run,
};

/// References that the kernel may have to a frame while it works on it.
const PINS: u32 = 1;

/// Frames that were taken out of the tables and wait for the CPU to forget them.
const GATHERED: u64 = 64;

fn run(guest: &Guest<'_>, findings: &mut Findings) -> Result<(), Skip> {
    let users = guest.users()?;
    if let Some(why) = users.incomplete() {
        return Err(Skip(why));
    }
    let (pins, mut gathered) = match guest.moment {
        Moment::Between => (0, 0),
        Moment::Anywhere => (PINS, GATHERED),
    };
    for (
        &pfn,
        &Holders {
            entries,
            slots,
            swap,
        },
    ) in &users.frames
    {
        let Some(page) = guest.snapshot.descriptor(pfn) else {
            findings.add(|| format!("frame {pfn:#x} is held, and has no descriptor"));
            continue;
        };
        let held = entries + slots + swap;
        let found = page.refcount;
        findings.require((held..=held + pins).contains(&found), || {
            format!("frame {pfn:#x} has {found} references: {entries} entries, {slots} slots of the page cache and {swap} of swap hold it")
        });
        findings.require(i64::from(page.mapcount) == i64::from(entries), || {
            format!(
                "frame {pfn:#x} counts {} entries, and {entries} hold it",
                page.mapcount
            )
        });
    }
    for zone in &guest.snapshot.zones {
        for block in guest.snapshot.blocks(zone).flatten() {
            let is_anon = block.state == BlockState::Allocated
                && block.head.flags().contains(PageFlags::LRU)
                && is_anon(block.head.mapping);
            if !is_anon || users.frames.contains_key(&block.pfn) {
                continue;
            }
            let is_on_its_way = (block.head.refcount, block.head.mapcount) == (1, 0);
            if is_on_its_way && gathered > 0 {
                gathered -= 1;
                continue;
            }
            findings.add(|| {
                format!(
                    "frame {:#x} is a program's, and no entry holds it",
                    block.pfn
                )
            });
        }
    }
    Ok(())
}
