//! The lists that reclaim works on, each from the page that came last to the one that goes next, with
//! who has each page.

use std::{collections::BTreeMap, fmt};

use pagelab_abi::{PAGE_SIZE, lru::LruList, page::PageFlags};
use schemars::JsonSchema;
use serde::Serialize;

use super::{
    decode::{DecodeError, FrameSet, Snapshot},
    users::Users,
};

/// Name of the view on the command line and in output.
pub const NAME: &str = "lru";

/// A page in a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct LruPage {
    /// Its frame.
    pub pfn: u32,
    /// Name of its zone.
    pub zone: &'static str,
    /// Flags that matter to reclaim, as Linux names them.
    pub flags: Vec<&'static str>,
    /// References to it.
    pub refcount: u32,
    /// Page-table entries that map it.
    pub mapcount: i32,
    /// Who has it: a process and an address, a file and a page of it, a swap slot. Empty of a page that
    /// nobody has.
    pub owner: String,
}

/// Pages of a list that are in one zone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct LruZone {
    /// Name of the zone.
    pub zone: &'static str,
    /// Pages, as the guest counts them.
    pub pages: u64,
}

/// A list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct LruOrder {
    /// Number of the memory group; 0 for the root.
    pub group: usize,
    /// Linux's name of the list.
    pub list: &'static str,
    /// Zones with pages in it, lowest first.
    pub zones: Vec<LruZone>,
    /// The pages, newest first: reclaim looks at the last one next.
    pub pages: Vec<LruPage>,
    /// Why the list breaks off, if it does.
    pub fault: Option<String>,
}

/// All lists that have pages.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct LruLists {
    /// By group, and then in the order of Linux's numbers.
    pub lists: Vec<LruOrder>,
}

/// Flags and their names.
const FLAGS: [(PageFlags, &str); 6] = [
    (PageFlags::REFERENCED, "referenced"),
    (PageFlags::ACTIVE, "active"),
    (PageFlags::UNEVICTABLE, "unevictable"),
    (PageFlags::DIRTY, "dirty"),
    (PageFlags::WRITEBACK, "writeback"),
    (PageFlags::SWAPCACHE, "swapcache"),
];

impl LruLists {
    /// Those of a moment.
    ///
    /// # Errors
    /// If processes and files cannot be decoded.
    pub fn of(snapshot: &Snapshot<'_>) -> Result<Self, DecodeError> {
        let owners = owners(&Users::read(snapshot)?);
        let mut seen = FrameSet::new(snapshot.pfns());
        let mut lists = Vec::new();
        for group in snapshot.memory_groups() {
            for list in LruList::ALL {
                let found = LruOrder::of(snapshot, group, list, &owners, &mut seen);
                if !found.pages.is_empty() || !found.zones.is_empty() || found.fault.is_some() {
                    lists.push(found);
                }
            }
        }
        Ok(Self { lists })
    }
}

impl LruOrder {
    fn of(
        snapshot: &Snapshot<'_>,
        group: usize,
        list: LruList,
        owners: &BTreeMap<u32, String>,
        seen: &mut FrameSet,
    ) -> Self {
        let zone_name = |index: usize| {
            let zone = snapshot.zones.get(index);
            zone.map_or("?", |zone| zone.kind.name())
        };
        let mut pages = Vec::new();
        let walked = snapshot.walk_lru(group, list, seen, |pfn, page| {
            let flags = page.flags();
            let names = FLAGS.iter().filter(|(flag, _)| flags.contains(*flag));
            pages.push(LruPage {
                pfn,
                zone: zone_name(page.zone() as usize),
                flags: names.map(|(_, name)| *name).collect(),
                refcount: page.refcount,
                mapcount: page.mapcount,
                owner: owners.get(&pfn).cloned().unwrap_or_default(),
            });
        });
        let counts = snapshot.lru_counts(group).into_iter().flatten();
        let zones = counts
            .enumerate()
            .map(|(zone, counts)| LruZone {
                zone: zone_name(zone),
                pages: counts[list as usize].into(),
            })
            .filter(|zone| zone.pages > 0);
        Self {
            group,
            list: list.name(),
            zones: zones.collect(),
            pages,
            fault: walked.err().map(|fault| fault.to_string()),
        }
    }
}

/// Who has each frame: of several the first, and how many more there are.
fn owners(users: &Users) -> BTreeMap<u32, String> {
    let mut places: BTreeMap<u32, (String, u32)> = BTreeMap::new();
    let mut note = |pfn: u32, place: &dyn Fn() -> String| {
        let (_, count) = places.entry(pfn).or_insert_with(|| (place(), 0));
        *count += 1;
    };
    for space in &users.spaces {
        for (page, _) in space.held().filter(|(page, _)| !page.is_special()) {
            for (frame, pfn) in (0..).zip(page.pfns()) {
                let va = page.va() + frame * PAGE_SIZE;
                note(pfn, &|| format!("{} {va:#x}", space.name));
            }
        }
    }
    for file in &users.files {
        for &(index, pfn) in &file.cached.pages {
            note(pfn, &|| format!("file {} page {index:#x}", file.file.ino));
        }
    }
    for (slot, &pfn) in &users.swap_cache {
        note(pfn, &|| format!("swap slot {slot:#x}"));
    }
    let text = |(place, count): (String, u32)| match count {
        0 | 1 => place,
        more => format!("{place}, {} more", more - 1),
    };
    places
        .into_iter()
        .map(|(pfn, place)| (pfn, text(place)))
        .collect()
}

impl fmt::Display for LruLists {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for list in &self.lists {
            write!(f, "group {} {}:", list.group, list.list)?;
            for zone in &list.zones {
                write!(f, " {} {}", zone.zone, zone.pages)?;
            }
            writeln!(f)?;
            for page in &list.pages {
                writeln!(
                    f,
                    "  {:08x} {:<8} refs {} {} {}",
                    page.pfn,
                    page.zone,
                    page.refcount,
                    Flags(&page.flags),
                    page.owner
                )?;
            }
            if let Some(fault) = &list.fault {
                writeln!(f, "  breaks off: {fault}")?;
            }
        }
        Ok(())
    }
}

/// Flags as letters, `-` for one that is not set: as the list of names, in its order.
struct Flags<'a>(&'a [&'static str]);

impl fmt::Display for Flags<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (_, name) in FLAGS {
            let letter = if self.0.contains(&name) {
                &name[..1]
            } else {
                "-"
            };
            f.write_str(letter)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::LruLists;
    use crate::inspect::test_programs::Programs;
    use pagelab_abi::PAGE_SIZE;

    #[test]
    fn pages_stand_in_the_order_in_which_they_came() {
        let programs = Programs::new();
        let at = programs.at;
        let image = programs.image();
        let snapshot = image.snapshot();
        let found = LruLists::of(&snapshot).unwrap();
        let anon = found.lists.iter().find(|list| list.list == "inactive_anon");
        let anon = anon.unwrap();
        let counted: u64 = anon.zones.iter().map(|zone| zone.pages).sum();
        assert_eq!((anon.group, counted), (0, anon.pages.len() as u64));
        let place = |page: u64| {
            let owner = format!("pid 1 (a) {:#x}", at + page * PAGE_SIZE);
            let is_there = |known: &str| known == owner || known.starts_with(&format!("{owner},"));
            anon.pages.iter().position(|page| is_there(&page.owner))
        };
        // The first page was written first, so it is nearer to the end.
        let (first, last) = (place(0).unwrap(), place(8).unwrap());
        assert!(first > last, "{anon:#?}");
        let text = found.to_string();
        let title = format!(
            "group 0 inactive_anon: {} {}\n",
            anon.zones[0].zone, anon.zones[0].pages
        );
        assert!(text.contains(&title), "{text}");
        assert!(text.lines().all(|line| line.len() <= 80), "{text}");
    }

    #[test]
    fn a_list_that_breaks_off_says_where() {
        let programs = Programs::new();
        let mut image = programs.image();
        let pfn = {
            let snapshot = image.snapshot();
            LruLists::of(&snapshot).unwrap().lists[0].pages[0].pfn
        };
        image.change_page(pfn, crate::inspect::test_guest::FLAGS, |_| 0);
        let snapshot = image.snapshot();
        let found = LruLists::of(&snapshot).unwrap();
        assert!(found.to_string().contains("breaks off: frame"), "{found}");
    }
}
