//! Walking entry by entry, where the entries' own bits matter: accessed and dirty, and what the
//! guest keeps in those that the CPU ignores.

use std::ops::{ControlFlow, Range};

use super::{
    bits::{ADDRESS, P},
    entry::{PageSize, is_leaf, level_shift},
    rights::{Gathered, LeafRights},
    tables::PageTables,
};
use crate::inspect::image::PhysMem;

/// An entry that maps a page, or could: every one that is not zero at the end of its chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeafEntry {
    /// First virtual address.
    pub va: u64,
    /// The entry as it stands there.
    pub value: u64,
    /// Its page.
    pub size: PageSize,
    /// Rights, ANDed over all levels.
    pub rights: LeafRights,
}

impl LeafEntry {
    /// Whether the CPU can use it.
    pub const fn is_present(&self) -> bool {
        self.value & P != 0
    }

    /// Physical address of the page.
    pub const fn gpa(&self) -> u64 {
        self.value & ADDRESS & !(self.size.bytes() - 1)
    }
}

/// Told what a walk by entries finds, in ascending order.
pub trait EntryVisitor {
    /// A table of `level` whose first entry is for `va`. The top one comes first.
    fn table(&mut self, gpa: u64, level: u8, va: u64);

    /// An entry that is not zero and leads to no table. `Break` ends the walk.
    fn leaf(&mut self, entry: &LeafEntry) -> ControlFlow<()>;

    /// A present entry of `level` that leads to a table outside RAM.
    fn broken(&mut self, va: u64, level: u8, value: u64);
}

impl<M: PhysMem + ?Sized> PageTables<'_, M> {
    /// Visits every entry for addresses in `range` of the lower half that is not zero. `budget`
    /// counts the tables down that may still be visited; a walk that runs out of it, or that the
    /// visitor ends, is broken off.
    pub fn entries(
        &self,
        range: Range<u64>,
        budget: &mut u64,
        visitor: &mut impl EntryVisitor,
    ) -> ControlFlow<()> {
        self.entries_of(
            (self.root(), self.levels, 0),
            Gathered::ALL,
            &range,
            budget,
            visitor,
        )
    }

    fn entries_of(
        &self,
        (gpa, level, base): (u64, u8, u64),
        above: Gathered,
        range: &Range<u64>,
        budget: &mut u64,
        visitor: &mut impl EntryVisitor,
    ) -> ControlFlow<()> {
        let Some(page) = self.memory().page(gpa) else {
            return ControlFlow::Continue(());
        };
        let Some(left) = budget.checked_sub(1) else {
            return ControlFlow::Break(());
        };
        *budget = left;
        visitor.table(gpa, level, base);
        for (index, entry) in (0..).zip(page.iter()) {
            let value = entry.get();
            let va = base + (index << level_shift(level));
            if value == 0 || va >= range.end || va + ((1 << level_shift(level)) - 1) < range.start {
                continue;
            }
            let gathered = above.and(value);
            if is_leaf(value, level) || value & P == 0 {
                visitor.leaf(&LeafEntry {
                    va,
                    value,
                    size: PageSize::of_level(level),
                    rights: gathered.rights(value),
                })?;
                continue;
            }
            let table = value & ADDRESS & self.phys_mask();
            if self.memory().page(table).is_none() {
                visitor.broken(va, level, value);
                continue;
            }
            self.entries_of((table, level - 1, va), gathered, range, budget, visitor)?;
        }
        ControlFlow::Continue(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::{
        bits::{A, NX, U, W},
        synthetic::SyntheticTables,
    };
    use super::*;

    #[derive(Default)]
    struct Seen {
        tables: Vec<u8>,
        leaves: Vec<LeafEntry>,
        broken: Vec<(u64, u8)>,
    }

    impl EntryVisitor for Seen {
        fn table(&mut self, _gpa: u64, level: u8, _va: u64) {
            self.tables.push(level);
        }

        fn leaf(&mut self, entry: &LeafEntry) -> ControlFlow<()> {
            self.leaves.push(*entry);
            ControlFlow::Continue(())
        }

        fn broken(&mut self, va: u64, level: u8, _value: u64) {
            self.broken.push((va, level));
        }
    }

    fn walk(
        tables: &SyntheticTables,
        range: Range<u64>,
        mut budget: u64,
    ) -> (Seen, ControlFlow<()>) {
        let mut seen = Seen::default();
        let tables = PageTables::new(&tables.memory, tables.state()).unwrap();
        let flow = tables.entries(range, &mut budget, &mut seen);
        (seen, flow)
    }

    #[test]
    fn entries_keep_their_own_bits() {
        let mut tables = SyntheticTables::new(64, 4);
        tables.map(0x1000, 0x5000, 1, 1, P | W | U | A | NX);
        tables.map(0x40_0000, 0x20_0000, 2, 1, P | U);
        let absent = tables.entry_for(0x3000, 1);
        tables.set_entry(absent, 0x7100);
        let broken = tables.entry_for(0x8000_0000, 3);
        tables.set_entry(broken, (1 << 40) | P | U);
        let (seen, flow) = walk(&tables, 0..1 << 47, 100);
        assert!(flow.is_continue());
        let found: Vec<_> = seen
            .leaves
            .iter()
            .map(|leaf| (leaf.va, leaf.gpa(), leaf.is_present(), leaf.rights.write))
            .collect();
        assert_eq!(
            found,
            [
                (0x1000, 0x5000, true, true),
                (0x3000, 0x7000, false, false),
                (0x40_0000, 0x20_0000, true, false)
            ]
        );
        assert_eq!(seen.leaves[0].value & A, A);
        assert!(!seen.leaves[0].rights.execute && seen.leaves[2].rights.execute);
        assert_eq!(seen.tables, [4, 3, 2, 1]);
        assert_eq!(seen.broken, [(0x8000_0000, 3)]);
        assert_eq!(walk(&tables, 0x2000..0x40_0000, 100).0.leaves.len(), 1);
    }

    #[test]
    fn the_budget_ends_tables_that_lead_to_themselves() {
        let mut tables = SyntheticTables::new(8, 4);
        for index in 0..512 {
            tables.set_entry(tables.root + 8 * index, tables.root | P | W | U);
        }
        let (seen, flow) = walk(&tables, 0..1 << 47, 1000);
        assert!(flow.is_break() && seen.tables.len() == 1000);
    }
}
