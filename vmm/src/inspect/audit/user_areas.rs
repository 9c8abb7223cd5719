//! The physical view of an address space is inside the logical one.

use pagelab_abi::vma::VmFlags;

use super::{Audit, Findings, Guest, Skip};

pub(super) const AUDIT: Audit = Audit {
    name: "user-pages-in-areas",
    checks: "every page of a program, here or in swap, lies in an area and allows no more than it",
    run,
};

fn run(guest: &Guest<'_>, findings: &mut Findings) -> Result<(), Skip> {
    let users = guest.users()?;
    for space in &users.spaces {
        let name = &space.name;
        for (va, level, value) in &space.pages.broken {
            findings.add(|| {
                format!("{name}: the entry {value:#x} of level {level} at {va:#x} leads nowhere")
            });
        }
        for (page, area) in space.held() {
            let va = page.va();
            let last = va + (page.frames() * pagelab_abi::PAGE_SIZE - 1);
            let Some(area) = area.filter(|area| area.contains(last)) else {
                findings.add(|| format!("{name}: the page at {va:#x} lies in no area"));
                continue;
            };
            let [user, write, execute] = page.rights();
            let is_open = area
                .flags
                .intersects(VmFlags::READ | VmFlags::WRITE | VmFlags::EXEC);
            let what = if page.is_present() && !user {
                "is not the program's"
            } else if page.is_present() && !is_open {
                "can be read"
            } else if write && !area.flags.contains(VmFlags::WRITE) {
                "can be written"
            } else if execute && !area.flags.contains(VmFlags::EXEC) {
                "can be executed"
            } else {
                continue;
            };
            findings.add(|| {
                format!(
                    "{name}: the page at {va:#x} {what}, its area {:#x}-{:#x} does not allow that",
                    area.start, area.end
                )
            });
        }
        for (page, area) in space.swapped() {
            let va = page.va();
            let fits = area.is_some_and(|area| !area.flags.contains(VmFlags::SHARED));
            findings.require(fits, || {
                format!("{name}: the page in swap at {va:#x} lies in no private area")
            });
        }
    }
    users.incomplete().map_or(Ok(()), |why| Err(Skip(why)))
}
