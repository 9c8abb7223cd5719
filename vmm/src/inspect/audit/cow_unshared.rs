//! Who may write a private page has it alone.

use pagelab_abi::vma::VmFlags;

use super::{Audit, Findings, Guest, Skip};

pub(super) const AUDIT: Audit = Audit {
    name: "cow-unshared",
    checks: "a private page that can be written has one entry, and is in no file, not in the swap cache and not the page of zeros",
    run,
};

fn run(guest: &Guest<'_>, findings: &mut Findings) -> Result<(), Skip> {
    let users = guest.users()?;
    for space in &users.spaces {
        for (page, area) in space.held() {
            let [_, write, _] = page.rights();
            if !write || area.is_none_or(|area| area.flags.contains(VmFlags::SHARED)) {
                continue;
            }
            for pfn in page.pfns() {
                let holders = users.frames.get(&pfn).copied().unwrap_or_default();
                let shared = if page.is_special() || Some(pfn) == guest.snapshot.zero_pfn() {
                    "the page of zeros".to_owned()
                } else if holders.slots > 0 {
                    "in the page cache".to_owned()
                } else if holders.swap > 0 {
                    "in the swap cache".to_owned()
                } else if holders.entries > 1 {
                    format!("held by {} entries", holders.entries)
                } else {
                    continue;
                };
                findings.add(|| {
                    format!(
                        "{}: the private page at {:#x} can be written, and its frame {pfn:#x} is {shared}",
                        space.name,
                        page.va(),
                    )
                });
            }
        }
    }
    users.incomplete().map_or(Ok(()), |why| Err(Skip(why)))
}
