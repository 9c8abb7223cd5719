//! The page cache: each file's tree, and that its pages know where they belong.

use pagelab_abi::PAGE_SIZE;

use super::{Audit, Findings, Guest, Moment, Skip};

pub(super) const AUDIT: Audit = Audit {
    name: "page-cache",
    checks: "files have sound trees with as many pages as they count, each page in one place",
    run,
};

fn run(guest: &Guest<'_>, findings: &mut Findings) -> Result<(), Skip> {
    let users = guest.users()?;
    for file in &users.files {
        let ino = file.file.ino;
        for fault in &file.cached.faults {
            findings.add(|| format!("file {ino}: {fault}"));
        }
        let pages = file.cached.pages.len() as u64;
        findings.require(pages == file.file.nrpages, || {
            format!(
                "file {ino} counts {} pages, and has {pages}",
                file.file.nrpages
            )
        });
        let end = file.file.size.div_ceil(PAGE_SIZE);
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
            let place = (page.mapping, u64::from(page.private));
            findings.require(place == (file.file.gpa, index), || {
                format!(
                    "file {ino}: frame {pfn:#x} is page {index:#x}, but its descriptor names page {:#x} of {:#x}",
                    page.private, page.mapping
                )
            });
            let slots = users.frames.get(&pfn).map_or(0, |holders| holders.slots);
            findings.require(slots == 1, || {
                format!("file {ino}: frame {pfn:#x} stands in {slots} places")
            });
        }
        // One that nobody holds any more has pages until the last of them is given back.
        let is_ending = guest.moment == Moment::Anywhere;
        findings.require(file.file.count > 0 || is_ending, || {
            format!("file {ino} has no reference")
        });
    }
    Ok(())
}
