//! The map of an address space: what is mapped where, with which effective rights.

use std::fmt;

use schemars::JsonSchema;
use serde::Serialize;

use super::{
    region::Regions,
    rights::Rwx,
    state::PagingState,
    tables::PageTables,
    visit::{MalformedEntry, Mapping, SharedTable, Visitor, WalkLimits, WalkSummary},
};
use crate::{inspect::image::PhysMem, size::ByteSize};

/// Lines that a map keeps; an address space with more is told to be cut.
const MAX_LINES: usize = 1 << 20;

/// Shared tables and malformed entries that a map keeps, each.
const MAX_ODDITIES: usize = 1 << 12;

/// One line of a map.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct MapLine {
    /// What is mapped.
    #[serde(flatten)]
    pub mapping: Mapping,
    /// What ring 0 may do with it while EFLAGS.AC is clear.
    #[schemars(with = "String")]
    pub kernel: Rwx,
    /// What ring 3 may do with it.
    #[schemars(with = "String")]
    pub user: Rwx,
    /// The region it lies in; a mapping that crosses from one into another has a line for each.
    pub region: Option<&'static str>,
}

/// All that is mapped, in ascending order.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct AddressMap {
    /// Levels of the tables, 4 or 5.
    pub levels: u8,
    /// The registers.
    pub state: PagingState,
    /// The mappings.
    pub lines: Vec<MapLine>,
    /// Tables that stand at more than one place, beyond their first.
    pub shared: Vec<SharedTable>,
    /// Present entries that translate nothing.
    pub malformed: Vec<MalformedEntry>,
    /// What the walk did.
    pub summary: WalkSummary,
    /// Lines, shared tables and malformed entries that were left out because they are too many.
    pub left_out: u64,
}

/// Builds a map from a walk.
struct Builder<'a> {
    map: AddressMap,
    regions: &'a Regions,
}

impl Visitor for Builder<'_> {
    fn mapping(&mut self, mapping: &Mapping) {
        let mut rest = *mapping;
        loop {
            let until = self.regions.same_name_until(rest.va);
            // A page belongs to the region of its first byte.
            let page = rest.page_size.bytes();
            let len = ((until - rest.va) / page + 1)
                .saturating_mul(page)
                .min(rest.len);
            self.push(Mapping { len, ..rest });
            if len == rest.len {
                return;
            }
            rest.va += len;
            rest.gpa += len;
            rest.len -= len;
        }
    }

    fn shared(&mut self, shared: &SharedTable) {
        push_capped(
            &mut self.map.shared,
            *shared,
            MAX_ODDITIES,
            &mut self.map.left_out,
        );
    }

    fn malformed(&mut self, entry: &MalformedEntry) {
        push_capped(
            &mut self.map.malformed,
            *entry,
            MAX_ODDITIES,
            &mut self.map.left_out,
        );
    }
}

impl Builder<'_> {
    fn push(&mut self, mapping: Mapping) {
        let line = MapLine {
            mapping,
            kernel: self.map.state.kernel_rwx(mapping.rights, false),
            user: self.map.state.user_rwx(mapping.rights),
            region: self.regions.find(mapping.va).map(|region| region.name),
        };
        push_capped(&mut self.map.lines, line, MAX_LINES, &mut self.map.left_out);
    }
}

fn push_capped<T>(list: &mut Vec<T>, item: T, max: usize, left_out: &mut u64) {
    if list.len() < max {
        list.push(item);
    } else {
        *left_out += 1;
    }
}

impl AddressMap {
    /// Walks the whole address space.
    pub fn read<M: PhysMem + ?Sized>(tables: &PageTables<'_, M>, regions: &Regions) -> Self {
        let map = Self {
            levels: tables.levels(),
            state: *tables.state(),
            lines: Vec::new(),
            shared: Vec::new(),
            malformed: Vec::new(),
            summary: WalkSummary::default(),
            left_out: 0,
        };
        let mut builder = Builder { map, regions };
        let summary = tables.walk(0..=u64::MAX, WalkLimits::default(), &mut builder);
        Self {
            summary,
            ..builder.map
        }
    }

    /// Why the map does not show everything, if it does not.
    pub fn incomplete(&self) -> Option<String> {
        if let Some(va) = self.summary.stopped_at {
            return Some(format!(
                "the walk was stopped at {va:#x}: too many page tables"
            ));
        }
        (self.left_out > 0).then(|| format!("{} runs of pages were left out", self.left_out))
    }

    /// The map as text of at most 80 columns and about `max_lines` lines.
    pub fn display(&self, max_lines: usize) -> impl fmt::Display {
        MapDisplay {
            map: self,
            max_lines,
        }
    }
}

struct MapDisplay<'a> {
    map: &'a AddressMap,
    max_lines: usize,
}

impl fmt::Display for MapDisplay<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let map = self.map;
        let state = &map.state;
        write!(
            f,
            "page tables: {} levels, cr3 {:#x}",
            map.levels, state.cr3
        )?;
        let modes = [
            (state.write_protect(), "WP"),
            (state.nx_enabled(), "NX"),
            (state.smep(), "SMEP"),
            (state.smap(), "SMAP"),
            (state.protection_keys(), "PKU"),
        ];
        for (is_on, name) in modes {
            write!(f, ", {}{name}", if is_on { "" } else { "no " })?;
        }
        writeln!(f)?;
        writeln!(
            f,
            "{:<16} {:<16} {:>8} {:>2} {:>12} {:<3} {:<3} region",
            "first", "last", "size", "pg", "physical", "krn", "usr"
        )?;
        for line in map.lines.iter().take(self.max_lines) {
            writeln!(f, "{line}")?;
        }
        more(f, map.lines.len(), self.max_lines, "mappings")?;
        for shared in map.shared.iter().take(self.max_lines) {
            let SharedTable {
                va,
                level,
                first_va,
                ..
            } = shared;
            writeln!(
                f,
                "{va:016x}-{:016x} as at {first_va:016x} (one table of level {level})",
                va + (shared.len - 1)
            )?;
        }
        more(f, map.shared.len(), self.max_lines, "shared tables")?;
        for entry in map.malformed.iter().take(self.max_lines) {
            writeln!(f, "{entry}")?;
        }
        more(f, map.malformed.len(), self.max_lines, "malformed entries")?;
        if let Some(why) = map.incomplete() {
            writeln!(f, "incomplete: {why}")?;
        }
        let WalkSummary { leaves, tables, .. } = map.summary;
        writeln!(
            f,
            "{leaves} pages in {} runs, {tables} tables",
            map.lines.len()
        )
    }
}

/// Says how many were not shown.
fn more(f: &mut fmt::Formatter<'_>, all: usize, shown: usize, what: &str) -> fmt::Result {
    match all.checked_sub(shown) {
        None | Some(0) => Ok(()),
        Some(more) => writeln!(f, "… and {more} more {what}"),
    }
}

impl fmt::Display for MapLine {
    /// One line of at most 80 columns.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Mapping {
            va,
            len,
            gpa,
            page_size,
            ..
        } = self.mapping;
        let (size, last) = (ByteSize(len), self.mapping.last());
        let (kernel, user) = (self.kernel, self.user);
        write!(
            f,
            "{va:016x} {last:016x} {size:>8} {page_size:>2} {gpa:012x} {kernel} {user}"
        )?;
        match self.region {
            Some(region) => write!(f, " {region}"),
            None => Ok(()),
        }
    }
}
