//! Walking all mappings of a range.

use std::{
    collections::{HashMap, hash_map::Entry},
    ops::{ControlFlow, RangeInclusive},
};

use super::{
    bits::{ADDRESS, P},
    entry::{ENTRIES, is_leaf, level_shift},
    leaf,
    rights::Gathered,
    run::{self, Run},
    tables::PageTables,
    visit::{MalformedEntry, SharedTable, Visitor, WalkLimits, WalkSummary, WhyMalformed},
};
use crate::inspect::image::PhysMem;

impl<M: PhysMem + ?Sized> PageTables<'_, M> {
    /// Visits all that is mapped in `range` (inclusive, so that it can end with the address space).
    pub fn walk(
        &self,
        range: RangeInclusive<u64>,
        limits: WalkLimits,
        visitor: &mut impl Visitor,
    ) -> WalkSummary {
        let mut walk = Walk {
            tables: self,
            visitor,
            first: *range.start(),
            last: *range.end(),
            limits,
            pending: None,
            seen: HashMap::new(),
            summary: WalkSummary::default(),
        };
        if !range.is_empty() {
            // A stop is recorded in the summary.
            let _ = walk.table(self.root(), self.levels, 0, Gathered::ALL);
        }
        walk.flush();
        walk.summary
    }
}

/// A walk under way.
struct Walk<'w, 'a, M: ?Sized, V> {
    tables: &'w PageTables<'a, M>,
    visitor: &'w mut V,
    first: u64,
    last: u64,
    limits: WalkLimits,
    /// The last run, which the next may extend.
    pending: Option<Run>,
    /// Tables that lay wholly in the range when they were walked (frame, level and rights above),
    /// and where. Only looked up, never iterated.
    seen: HashMap<u64, u64>,
    summary: WalkSummary,
}

impl<M: PhysMem + ?Sized, V: Visitor> Walk<'_, '_, M, V> {
    /// Walks the table at `gpa`, whose first entry maps `base`. Its parent has seen that it is RAM
    /// or leaves it to this function to find out.
    fn table(&mut self, gpa: u64, level: u8, base: u64, gathered: Gathered) -> ControlFlow<()> {
        let Some(page) = self.tables.mem.page(gpa) else {
            return ControlFlow::Continue(());
        };
        if self.summary.tables == self.limits.max_tables {
            self.summary.stopped_at = Some(base.max(self.first));
            return ControlFlow::Break(());
        }
        self.summary.tables += 1;
        if level == 1 {
            let index = |va: u64| ((va - base) >> level_shift(1)) as usize;
            let start = index(self.first.max(base));
            let end = index(self.last.min(base + (level_span(1) - 1))) + 1;
            let mask = run::LEAF_MASK | self.tables.key_mask;
            let reserved = self.tables.reserved.mask(0, 1);
            let phys_end = self.tables.phys_mask() + 1;
            // The pending run is kept in registers here: this is the hot loop.
            let mut pending = self.pending.take();
            let mut sound = 0;
            leaf::scan(page, start..end, mask, |index, count, key| {
                let va = base + ((index as u64) << level_shift(1));
                let run = Run::new(va, 1, count as u64, key, gathered);
                if key & reserved != 0 || run.gpa + run.len > phys_end {
                    self.pending = pending.take();
                    self.leaves(va, 1, count as u64, key, gathered);
                    pending = self.pending.take();
                    return;
                }
                sound += count as u64;
                match &mut pending {
                    Some(last) if last.joins(&run) => last.len += run.len,
                    _ => {
                        if let Some(done) = pending.replace(run) {
                            self.visitor.mapping(&done.mapping());
                        }
                    }
                }
            });
            self.pending = pending;
            self.summary.leaves += sound;
            return ControlFlow::Continue(());
        }
        for (index, entry) in page.iter().enumerate() {
            let entry = entry.get();
            if entry & P != 0 {
                let va = self.entry_va(base, index, level);
                let last = va + ((1 << level_shift(level)) - 1);
                if last >= self.first && va <= self.last {
                    self.upper(va, last, level, entry, gathered)?;
                }
            }
        }
        ControlFlow::Continue(())
    }

    /// First address of an entry; the top table's upper half is sign-extended.
    fn entry_va(&self, base: u64, index: usize, level: u8) -> u64 {
        let va = base + ((index as u64) << level_shift(level));
        if level == self.tables.levels {
            let unused = 64 - (12 + 9 * u32::from(level));
            ((va << unused) as i64 >> unused) as u64
        } else {
            va
        }
    }

    /// A present entry of a level above 1, which maps `va..=last`.
    fn upper(
        &mut self,
        va: u64,
        last: u64,
        level: u8,
        entry: u64,
        gathered: Gathered,
    ) -> ControlFlow<()> {
        let bits = entry & self.tables.reserved.mask(entry, level);
        if bits != 0 {
            self.malformed(va, level, entry, 1, WhyMalformed::Reserved { bits });
            return ControlFlow::Continue(());
        }
        if is_leaf(entry, level) {
            self.leaves(va, level, 1, entry, gathered);
            return ControlFlow::Continue(());
        }
        let table = entry & ADDRESS;
        if self.tables.mem.page(table).is_none() {
            self.malformed(
                va,
                level,
                entry,
                1,
                WhyMalformed::TableOutside { gpa: table },
            );
            return ControlFlow::Continue(());
        }
        let gathered = gathered.and(entry);
        if va >= self.first && last <= self.last {
            // Address, level and rights in one word: the address leaves its low 12 bits free.
            match self
                .seen
                .entry(table | u64::from(level) << 4 | gathered.code())
            {
                Entry::Occupied(first) => {
                    let first_va = *first.get();
                    self.flush();
                    self.summary.shared += 1;
                    let len = last - va + 1;
                    self.visitor.shared(&SharedTable {
                        va,
                        len,
                        first_va,
                        level: level - 1,
                        table,
                    });
                    return ControlFlow::Continue(());
                }
                Entry::Vacant(vacant) => {
                    vacant.insert(va);
                }
            }
        }
        self.table(table, level - 1, va, gathered)
    }

    /// `count` present leaves from `va` on. `key` is the first entry; the others differ in the
    /// address only.
    fn leaves(&mut self, va: u64, level: u8, count: u64, key: u64, gathered: Gathered) {
        let page = 1u64 << level_shift(level);
        let bits = key & self.tables.reserved.mask(key, level);
        if bits != 0 {
            self.summary.leaves += count;
            self.malformed(va, level, key, count, WhyMalformed::Reserved { bits });
            return;
        }
        let gpa = key & ADDRESS & !(page - 1);
        let room = (self.tables.phys_mask() + 1 - gpa) >> level_shift(level);
        if count > room {
            // Only the first pages of the run have addresses that this CPU can have.
            self.leaves(va, level, room, key, gathered);
            let beyond = key + (room << level_shift(level));
            self.leaves(
                va + (room << level_shift(level)),
                level,
                count - room,
                beyond,
                gathered,
            );
            return;
        }
        let mask = run::leaf_mask(level) | self.tables.key_mask;
        self.push(Run::new(va, level, count, key & mask, gathered));
    }

    /// Adds sound pages.
    #[inline]
    fn push(&mut self, run: Run) {
        self.summary.leaves += run.pages();
        match &mut self.pending {
            Some(last) if last.joins(&run) => last.len += run.len,
            _ => {
                self.flush();
                self.pending = Some(run);
            }
        }
    }

    /// Hands the pending run to the visitor.
    #[inline]
    fn flush(&mut self) {
        let Some(run) = self.pending.take() else {
            return;
        };
        self.visitor.mapping(&run.mapping());
    }

    fn malformed(&mut self, va: u64, level: u8, value: u64, count: u64, why: WhyMalformed) {
        self.flush();
        self.summary.malformed += count;
        self.visitor.malformed(&MalformedEntry {
            va,
            level,
            value,
            count,
            why,
        });
    }
}

/// Bytes of virtual addresses that a table of `level` maps.
const fn level_span(level: u8) -> u64 {
    (ENTRIES as u64) << level_shift(level)
}
