//! Programs have no way to the kernel's memory, and all share the kernel's half.

use std::collections::BTreeSet;

use pagelab_abi::{
    PAGE_SHIFT,
    page::{PageFlags, is_anon},
};

use super::{Audit, Findings, Guest, Skip};
use crate::inspect::{decode::UserPage, image::PhysMem, users::Users};

pub(super) const AUDIT: Audit = Audit {
    name: "user-kernel-apart",
    checks: "programs map their own frames alone, and all have the same upper half as the kernel",
    run,
};

/// First entry of a top-level table that is the kernel's.
const KERNEL_ENTRIES: usize = 256;

fn run(guest: &Guest<'_>, findings: &mut Findings) -> Result<(), Skip> {
    let users = guest.users()?;
    let mut tables = BTreeSet::new();
    for space in &users.spaces {
        for table in &space.pages.tables {
            let pfn = table.gpa >> PAGE_SHIFT;
            let (name, level) = (&space.name, table.level);
            findings.require(tables.insert(pfn), || {
                format!("{name}: the page table of level {level} in frame {pfn:#x} stands twice")
            });
            let state = u32::try_from(pfn).ok().and_then(|pfn| owned(guest, pfn));
            findings.require(state == Some(PageFlags::ALLOCATED), || {
                format!("{name}: frame {pfn:#x} is a page table of level {level}, but not allocated as one")
            });
        }
        check_upper_half(guest, space.mm.pgd(), &space.name, findings);
    }
    for space in &users.spaces {
        for (page, _) in space.held() {
            if page.pfn().is_none() {
                let (name, va) = (&space.name, page.va());
                findings.add(|| format!("{name}: the frame at {va:#x} is none of this machine"));
            }
            for pfn in page.pfns() {
                if let Some(what) = what_else(guest, users, &tables, page, pfn) {
                    let va = page.va();
                    findings.add(|| format!("{}: frame {pfn:#x} at {va:#x} is {what}", space.name));
                }
            }
        }
    }
    users.incomplete().map_or(Ok(()), |why| Err(Skip(why)))
}

/// The flags of an allocated frame that say what it is for; none unless it is allocated.
fn owned(guest: &Guest<'_>, pfn: u32) -> Option<PageFlags> {
    let flags = guest.snapshot.descriptor(pfn)?.flags();
    let of_interest = PageFlags::ALLOCATED | PageFlags::SLAB | PageFlags::LARGE_KMALLOC;
    Some(flags & of_interest).filter(|flags| flags.contains(PageFlags::ALLOCATED))
}

/// What a frame of a program's page is, if it is not a program's.
fn what_else(
    guest: &Guest<'_>,
    users: &Users,
    tables: &BTreeSet<u64>,
    page: &UserPage,
    pfn: u32,
) -> Option<&'static str> {
    if Some(pfn) == guest.snapshot.zero_pfn() {
        return (!page.is_special()).then_some("the page of zeros, and not marked so");
    }
    if tables.contains(&u64::from(pfn)) {
        return Some("a page table");
    }
    match owned(guest, pfn) {
        None => Some("not allocated"),
        Some(flags) if flags.contains(PageFlags::SLAB) => Some("a slab"),
        Some(flags) if flags.contains(PageFlags::LARGE_KMALLOC) => Some("kernel memory"),
        Some(_) => {
            let mapping = guest.snapshot.descriptor(pfn)?.mapping;
            let is_users = is_anon(mapping) || users.file(mapping).is_some();
            (!is_users).then_some("neither anonymous nor in the page cache")
        }
    }
}

fn check_upper_half(guest: &Guest<'_>, pgd: u64, name: &str, findings: &mut Findings) {
    let mem: &dyn PhysMem = guest.snapshot.mem();
    let kernel = guest.snapshot.root.kernel.cr3;
    let (Some(own), Some(kernels)) = (mem.page(pgd), mem.page(kernel)) else {
        // Without a table of its own there is nothing to compare; the walk has said so.
        return;
    };
    for index in KERNEL_ENTRIES..own.len() {
        // The CPU sets the accessed bit in whichever table it walks.
        let [own, kernels] = [own[index].get(), kernels[index].get()].map(|entry| entry & !0x20);
        findings.require(own == kernels, || {
            format!("{name}: entry {index} of the top-level table is {own:#x}, the kernel's is {kernels:#x}")
        });
    }
}
