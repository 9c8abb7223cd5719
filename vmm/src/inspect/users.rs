//! Processes, their address spaces and the page cache, worked out once for audits and views of them.

use std::collections::BTreeMap;

use pagelab_abi::{page::file_of_mapping, page_cache::AddressSpaceFlags};

use super::decode::{
    Area, AreasFault, Budget, CachedFile, CachedPages, DecodeError, Snapshot, Task, UserMm,
    UserPage, UserPages,
};

/// An address space with its areas and what its page tables hold.
pub(in crate::inspect) struct Space {
    pub(in crate::inspect) mm: UserMm,
    /// Areas in the order of their list.
    pub(in crate::inspect) areas: Vec<Area>,
    /// Where that list breaks off.
    pub(in crate::inspect) fault: Option<AreasFault>,
    pub(in crate::inspect) pages: UserPages,
    /// Whose it is, for findings.
    pub(in crate::inspect) name: String,
}

/// A file with its pages.
pub(in crate::inspect) struct File {
    pub(in crate::inspect) file: CachedFile,
    pub(in crate::inspect) cached: CachedPages,
}

/// Who holds a frame.
#[derive(Clone, Copy, Default)]
pub(in crate::inspect) struct Holders {
    /// Page-table entries.
    pub(in crate::inspect) entries: u32,
    /// Slots of the page cache.
    pub(in crate::inspect) slots: u32,
    /// Slots of swap, whose page it is in the swap cache.
    pub(in crate::inspect) swap: u32,
}

/// All of it.
pub(in crate::inspect) struct Users {
    pub(in crate::inspect) tasks: Vec<Task>,
    pub(in crate::inspect) spaces: Vec<Space>,
    pub(in crate::inspect) files: Vec<File>,
    /// Frames that an entry, the page cache or the swap cache holds.
    pub(in crate::inspect) frames: BTreeMap<u32, Holders>,
    /// Swap slots whose page is in the swap cache, and the frame.
    pub(in crate::inspect) swap_cache: BTreeMap<u64, u32>,
    /// Page-table entries, and slots of the page cache, that lead to each swap slot.
    pub(in crate::inspect) swapped: BTreeMap<u64, u32>,
}

impl Users {
    /// Reads it.
    pub(in crate::inspect) fn read(snapshot: &Snapshot<'_>) -> Result<Self, DecodeError> {
        let tasks = snapshot.tasks()?;
        let mut budget = Budget::new(snapshot);
        let spaces: Vec<_> = snapshot
            .user_mms()?
            .into_iter()
            .map(|mm| {
                let (areas, fault) = snapshot.areas(&mm);
                Space {
                    pages: snapshot.user_pages(&mm, &mut budget),
                    name: name(&mm, &tasks),
                    areas,
                    fault,
                    mm,
                }
            })
            .collect();
        let files: Vec<_> = snapshot
            .cached_files()?
            .into_iter()
            .map(|file| File {
                cached: snapshot.cached_pages(&file),
                file,
            })
            .collect();
        let mut frames: BTreeMap<u32, Holders> = BTreeMap::new();
        for page in spaces.iter().flat_map(|space| &space.pages.pages) {
            if page.holds_page() && !page.is_special() {
                for pfn in page.pfns() {
                    frames.entry(pfn).or_default().entries += 1;
                }
            }
        }
        for (_, pfn) in files.iter().flat_map(|file| &file.cached.pages) {
            frames.entry(*pfn).or_default().slots += 1;
        }
        let swap_cache = swap_cache(snapshot);
        for pfn in swap_cache.values() {
            frames.entry(*pfn).or_default().swap += 1;
        }
        let mut swapped: BTreeMap<u64, u32> = BTreeMap::new();
        for (page, _) in spaces.iter().flat_map(Space::swapped) {
            if let Some((_, slot)) = page.swap_slot() {
                *swapped.entry(slot).or_default() += 1;
            }
        }
        for (_, slot) in files.iter().flat_map(|file| &file.cached.swapped) {
            *swapped.entry(*slot).or_default() += 1;
        }
        Ok(Self {
            tasks,
            spaces,
            files,
            frames,
            swap_cache,
            swapped,
        })
    }

    /// Whether there is nothing to audit.
    pub(in crate::inspect) fn is_empty(&self) -> bool {
        self.tasks.is_empty() && self.spaces.is_empty() && self.files.is_empty()
    }

    /// The file that an area names, or the mapping of a page.
    pub(in crate::inspect) fn file(&self, mapping: u64) -> Option<&File> {
        let gpa = file_of_mapping(mapping);
        self.files.iter().find(|file| file.file.gpa == gpa)
    }

    /// Why not everything could be looked at, if so.
    pub(in crate::inspect) fn incomplete(&self) -> Option<String> {
        let space = self.spaces.iter().find(|space| space.pages.is_cut)?;
        Some(format!(
            "{} has too many pages or tables to read",
            space.name
        ))
    }
}

impl Space {
    /// The area of an address.
    pub(in crate::inspect) fn area(&self, va: u64) -> Option<&Area> {
        let above = self.areas.partition_point(|area| area.end <= va);
        self.areas.get(above).filter(|area| area.contains(va))
    }

    /// Large entries.
    pub(in crate::inspect) fn large(&self) -> u64 {
        let pages = self.pages.pages.iter();
        pages
            .filter(|page| page.holds_page() && page.frames() > 1)
            .count() as u64
    }

    /// Entries that hold a page, with their areas.
    pub(in crate::inspect) fn held(&self) -> impl Iterator<Item = (&UserPage, Option<&Area>)> {
        let held = self.pages.pages.iter().filter(|page| page.holds_page());
        held.map(|page| (page, self.area(page.va())))
    }

    /// Entries that lead to swap, with their areas.
    pub(in crate::inspect) fn swapped(&self) -> impl Iterator<Item = (&UserPage, Option<&Area>)> {
        let pages = self.pages.pages.iter();
        let swapped = pages.filter(|page| page.swap_slot().is_some());
        swapped.map(|page| (page, self.area(page.va())))
    }
}

impl File {
    /// Whether it is shared memory.
    pub(in crate::inspect) fn is_shmem(&self) -> bool {
        self.file.flags.contains(AddressSpaceFlags::SHMEM)
    }
}

/// The swap cache. What of the map of the slots cannot be decoded is told by the audit of it.
fn swap_cache(snapshot: &Snapshot<'_>) -> BTreeMap<u64, u32> {
    let Ok(Some(swap)) = snapshot.swap() else {
        return BTreeMap::new();
    };
    let slots = swap.clusters.iter().filter_map(|it| swap.slots(it).ok());
    slots
        .flatten()
        .filter(|slot| !slot.is_bad())
        .filter_map(|slot| Some((slot.number, slot.cache?)))
        .collect()
}

/// "pid 7 (sh)" for the first task that has the address space.
fn name(mm: &UserMm, tasks: &[Task]) -> String {
    match tasks.iter().find(|task| task.mm == mm.gpa) {
        Some(task) => format!("pid {} ({})", task.pid, task.comm),
        None => format!("address space {}", mm.id()),
    }
}
