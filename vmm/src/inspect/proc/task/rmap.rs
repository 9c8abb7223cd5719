//! The reverse map: for each frame that a process holds, everybody who does.

use std::{collections::BTreeMap, fmt};

use pagelab_abi::PAGE_SIZE;

use super::Processes;
use crate::inspect::users::Space;

impl Processes<'_> {
    /// A line for each frame: its references, and where it is mapped in which address space.
    pub(super) fn rmap(&self, out: &mut impl fmt::Write, space: &Space) -> fmt::Result {
        let mut places: BTreeMap<u32, Vec<String>> = BTreeMap::new();
        for (page, _) in space.held() {
            if !page.is_special() {
                places.extend(page.pfns().map(|pfn| (pfn, Vec::new())));
            }
        }
        for holder in &self.users.spaces {
            for (page, _) in holder.held() {
                for (frame, pfn) in (0..).zip(page.pfns()) {
                    if let Some(places) = places.get_mut(&pfn) {
                        let va = page.va() + frame * PAGE_SIZE;
                        places.push(format!("{} {va:#x}", holder.name));
                    }
                }
            }
        }
        for file in &self.users.files {
            for (index, pfn) in &file.cached.pages {
                if let Some(places) = places.get_mut(pfn) {
                    places.push(format!("file {} page {index:#x}", file.file.ino));
                }
            }
        }
        for (slot, pfn) in &self.users.swap_cache {
            if let Some(places) = places.get_mut(pfn) {
                places.push(format!("swap slot {slot:#x}"));
            }
        }
        for (pfn, places) in places {
            let refcount = self
                .snapshot
                .descriptor(pfn)
                .map_or(0, |page| page.refcount);
            writeln!(out, "{pfn:08x} refs {refcount}: {}", places.join(", "))?;
        }
        Ok(())
    }
}
