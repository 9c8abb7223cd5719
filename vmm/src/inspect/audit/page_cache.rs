//! The page cache: each file's tree, that its pages know where they belong, and what is dirty.

use pagelab_abi::{
    PAGE_SIZE,
    page::{MAPPING_SHMEM, PageFlags},
    page_cache::{INODE_CACHE, TAG_DIRTY, TAG_ERROR},
    vmstat::NodeStat,
};

use super::{Audit, Findings, Guest, Moment, Skip};
use crate::inspect::users::{File, Users};

pub(super) const AUDIT: Audit = Audit {
    name: "page-cache",
    checks: "files have sound trees with as many pages as they count, each page in one place, only shared \
             memory in swap, and dirty pages are tagged and counted",
    run,
};

fn run(guest: &Guest<'_>, findings: &mut Findings) -> Result<(), Skip> {
    let users = guest.users()?;
    let inodes = guest.caches()?.iter().find(|it| it.name == INODE_CACHE);
    for file in &users.files {
        let ino = file.file.ino;
        for fault in &file.cached.faults {
            findings.add(|| format!("file {ino}: {fault}"));
        }
        let object = inodes.and_then(|cache| guest.snapshot.object_at(cache, file.file.gpa));
        findings.require(object.is_some(), || {
            format!("file {ino} is no object of {INODE_CACHE}")
        });
        count(
            findings,
            &format!("file {ino}"),
            "pages",
            file.file.nrpages,
            file.cached.pages.len(),
        );
        count(
            findings,
            &format!("file {ino}"),
            "pages in swap",
            file.file.nr_swapped,
            file.cached.swapped.len(),
        );
        let dirty = &file.cached.tagged[TAG_DIRTY];
        count(
            findings,
            &format!("file {ino}"),
            "dirty pages",
            file.file.nr_dirty,
            dirty.len(),
        );
        findings.require(dirty.is_empty() || file.file.a_ops != 0, || {
            format!("file {ino} has dirty pages and no store")
        });
        check_pages(guest, users, file, findings);
        // One that nobody holds any more has pages until the last of them is given back.
        let is_ending = guest.moment == Moment::Anywhere;
        findings.require(file.file.count > 0 || is_ending, || {
            format!("file {ino} has no reference")
        });
    }
    check_amounts(guest, users, findings);
    Ok(())
}

/// Checks a file's pages one by one.
fn check_pages(guest: &Guest<'_>, users: &Users, file: &File, findings: &mut Findings) {
    let ino = file.file.ino;
    let end = file.file.size.div_ceil(PAGE_SIZE);
    let is_shmem = file.is_shmem();
    let mapping = file.file.gpa | if is_shmem { MAPPING_SHMEM } else { 0 };
    for &(index, slot) in &file.cached.swapped {
        findings.require(is_shmem && index < end, || {
            format!(
                "file {ino} has page {index:#x} in swap slot {slot}, where no page of it can be"
            )
        });
    }
    for &(index, pfn) in &file.cached.lost {
        let flags = guest.snapshot.mem_map.flags(pfn);
        let broken = flags.is_some_and(|flags| flags.contains(PageFlags::HWPOISON));
        findings.require(broken && file.file.a_ops == 0, || {
            format!(
                "file {ino} says that page {index:#x} was lost with frame {pfn:#x}, which is not so"
            )
        });
    }
    for &(index, pfn) in &file.cached.pages {
        findings.require(index < end, || {
            format!(
                "file {ino} has page {index:#x}, behind its {} bytes",
                file.file.size
            )
        });
        let Some(page) = guest.snapshot.descriptor(pfn) else {
            findings.add(|| format!("file {ino}: frame {pfn:#x} has no descriptor"));
            continue;
        };
        // On its way to swap a page names its slot instead of its number.
        let fits = match page.flags().contains(PageFlags::SWAPCACHE) {
            true => users.swap_cache.get(&page.private.into()) == Some(&pfn),
            false => u64::from(page.private) == index,
        };
        findings.require(fits && page.mapping == mapping, || {
            format!(
                "file {ino}: frame {pfn:#x} is page {index:#x}, but its descriptor names page {:#x} of {:#x}",
                page.private, page.mapping
            )
        });
        let slots = users.frames.get(&pfn).map_or(0, |holders| holders.slots);
        findings.require(slots == 1, || {
            format!("file {ino}: frame {pfn:#x} stands in {slots} places")
        });
        let [dirty, failed] =
            [TAG_DIRTY, TAG_ERROR].map(|tag| file.cached.tagged[tag].contains(&index));
        findings.require(page.flags().contains(PageFlags::DIRTY) == dirty, || {
            format!("file {ino}: frame {pfn:#x} and the tag of page {index:#x} do not agree on whether it is dirty")
        });
        findings.require(!(dirty && failed), || {
            format!("file {ino}: page {index:#x} is dirty, and tagged as one that was not written")
        });
    }
}

/// Checks what is counted for all files together. Within an operation a page may be in its tree and
/// not counted yet.
fn check_amounts(guest: &Guest<'_>, users: &Users, findings: &mut Findings) {
    if guest.moment == Moment::Anywhere {
        return;
    }
    let sum = |of: fn(&File) -> usize| users.files.iter().map(of).sum::<usize>();
    let pages = |file: &File| file.cached.pages.len();
    let shmem = |file: &File| {
        if file.is_shmem() {
            file.cached.pages.len()
        } else {
            0
        }
    };
    let dirty = |file: &File| file.cached.tagged[TAG_DIRTY].len();
    for (stat, found) in [
        (NodeStat::FilePages, sum(pages)),
        (NodeStat::Shmem, sum(shmem)),
        (NodeStat::FileDirty, sum(dirty)),
        (NodeStat::Writeback, 0),
    ] {
        let counted = guest.snapshot.vmstat.node_raw(stat);
        findings.require(u64::try_from(counted) == Ok(found as u64), || {
            format!(
                "{} is {counted}, but the files have {found} such pages",
                stat.name()
            )
        });
    }
}

fn count(findings: &mut Findings, whose: &str, what: &str, counted: u64, found: usize) {
    findings.require(counted == found as u64, || {
        format!("{whose} counts {counted} {what}, and has {found}")
    });
}
