//! The reverse map: from a physical address to every virtual one.

use super::{map::AddressMap, visit::Mapping};

/// Virtual addresses that one lookup follows; a table that stands at thousands of places would
/// otherwise multiply with the next.
const MAX_FOUND: usize = 1 << 16;

/// All mappings, ordered by physical address.
#[derive(Debug)]
pub struct ReverseMap<'a> {
    map: &'a AddressMap,
    /// Indices of lines, by the physical address of their first byte.
    order: Vec<u32>,
    /// For each place in `order`, the highest physical end so far: below it, no earlier line
    /// reaches.
    reach: Vec<u64>,
}

/// One virtual address of a physical one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Alias {
    /// The virtual address.
    pub va: u64,
    /// Index into [`AddressMap::lines`] of the line whose rights it has. For an address in a
    /// shared table this is a line of the table's first place.
    pub line: usize,
}

impl<'a> ReverseMap<'a> {
    /// Sorts the lines of a map.
    pub fn new(map: &'a AddressMap) -> Self {
        let mut order: Vec<u32> = (0..map.lines.len() as u32).collect();
        order.sort_by_key(|&index| map.lines[index as usize].mapping.gpa);
        let mut highest = 0;
        let reach = order
            .iter()
            .map(|&index| {
                highest = map.lines[index as usize].mapping.gpa_end().max(highest);
                highest
            })
            .collect();
        Self { map, order, reach }
    }

    /// Every virtual address of `gpa`, ascending; at most 65,536 of them.
    pub fn lookup(&self, gpa: u64) -> Vec<Alias> {
        let mut found = Vec::new();
        let above = self
            .order
            .partition_point(|&index| self.mapping(index).gpa <= gpa);
        for place in (0..above).rev() {
            if self.reach[place] <= gpa {
                break;
            }
            let mapping = self.mapping(self.order[place]);
            if gpa < mapping.gpa_end() {
                let va = mapping.va + (gpa - mapping.gpa);
                found.push(Alias {
                    va,
                    line: self.order[place] as usize,
                });
            }
        }
        self.follow_shared(&mut found);
        found.sort_unstable();
        found.dedup();
        found
    }

    fn mapping(&self, index: u32) -> &Mapping {
        &self.map.lines[index as usize].mapping
    }

    /// Adds, for each address below a table that stands elsewhere as well, the address there.
    fn follow_shared(&self, found: &mut Vec<Alias>) {
        let mut at = 0;
        while let Some(&Alias { va, line }) = found.get(at) {
            at += 1;
            for shared in &self.map.shared {
                if found.len() >= MAX_FOUND {
                    return;
                }
                if let Some(offset) = va.checked_sub(shared.first_va)
                    && offset < shared.len
                {
                    found.push(Alias {
                        va: shared.va + offset,
                        line,
                    });
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{
        bits::{P, U, W},
        region::Regions,
        synthetic::SyntheticTables,
        tables::PageTables,
    };
    use super::*;

    fn map(tables: &SyntheticTables) -> AddressMap {
        let tables = PageTables::new(&tables.memory, tables.state()).unwrap();
        AddressMap::read(&tables, &Regions::default())
    }

    fn addresses(map: &AddressMap, gpa: u64) -> Vec<u64> {
        ReverseMap::new(map)
            .lookup(gpa)
            .iter()
            .map(|alias| alias.va)
            .collect()
    }

    #[test]
    fn every_alias_is_found() {
        let mut tables = SyntheticTables::new(64, 4);
        tables.map(0x40_0000, 0x20_0000, 2, 1, P | W);
        tables.map(0x1000, 0x20_3000, 1, 2, P);
        tables.map(0x9000, 0x20_4000, 1, 1, P | U);
        tables.map(0xffff_8000_0000_0000, 0, 3, 1, P | W);
        let map = map(&tables);
        assert_eq!(
            addresses(&map, 0x20_4567),
            [0x2567, 0x9567, 0x40_4567, 0xffff_8000_0020_4567]
        );
        assert_eq!(
            addresses(&map, 0x20_2000),
            [0x40_2000, 0xffff_8000_0020_2000]
        );
        assert!(addresses(&map, 1 << 40).is_empty());
        let lookup = ReverseMap::new(&map).lookup(0x20_4567);
        assert!(map.lines[lookup[1].line].mapping.rights.user);
    }

    #[test]
    fn addresses_below_shared_tables_are_found() {
        let mut tables = SyntheticTables::new(64, 4);
        tables.map(0x1000, 0x5000, 1, 1, P | W | U);
        let first = tables.entry_for(0, 2);
        let table = tables.entry(first);
        let second = tables.entry_for(0x40_0000, 2);
        tables.set_entry(second, table);
        let upper = tables.entry_for(0, 3);
        let upper_table = tables.entry(upper);
        let other = tables.entry_for(0x40_0000_0000, 3);
        tables.set_entry(other, upper_table);
        assert_eq!(
            addresses(&map(&tables), 0x5008),
            [0x1008, 0x40_1008, 0x40_0000_1008, 0x40_0040_1008]
        );
    }

    #[test]
    fn a_table_of_itself_is_not_followed_forever() {
        let mut tables = SyntheticTables::new(8, 4);
        for index in 0..512 {
            tables.set_entry(tables.root + 8 * index, tables.root | P | W | U);
        }
        let map = map(&tables);
        assert!(addresses(&map, tables.root).len() <= MAX_FOUND);
    }
}
