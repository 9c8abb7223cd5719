//! Page tables built on the host: for tests and benchmarks of the walker, with entries as sound or
//! as broken as the caller wants them.

use super::{
    bits::{ADDRESS, CR0_TYPICAL, CR4_LA57, CR4_PAE, EFER_TYPICAL, P, PS, U, W},
    entry::{level_index, level_shift},
    state::{CpuModel, PagingState},
};
use crate::inspect::image::{PAGE_BYTES, PhysMem, SegmentedMemory};

/// Memory with page tables in it. Tables are taken from the top of memory downwards, so that the
/// lower part is free for what the tables map.
#[derive(Debug)]
pub struct SyntheticTables {
    /// The memory, flat from address 0.
    pub memory: SegmentedMemory<Vec<u8>>,
    /// Levels, 4 or 5.
    pub levels: u8,
    /// Physical address of the top table.
    pub root: u64,
    next_table: u64,
}

impl SyntheticTables {
    /// An empty address space in `pages` pages of memory.
    ///
    /// # Panics
    /// `levels` is neither 4 nor 5, or `pages` is 0.
    pub fn new(pages: usize, levels: u8) -> Self {
        assert!(
            levels == 4 || levels == 5,
            "there are no tables of {levels} levels"
        );
        let memory = SegmentedMemory::flat(vec![0; pages * PAGE_BYTES], None)
            .unwrap_or_else(|error| panic!("{error}"));
        let end = memory.end();
        let mut tables = Self {
            memory,
            levels,
            root: 0,
            next_table: end,
        };
        tables.root = tables.new_table();
        tables
    }

    /// The registers of a CPU that uses these tables: write protection and NX on, nothing else.
    pub fn state(&self) -> PagingState {
        PagingState {
            cr0: CR0_TYPICAL,
            cr3: self.root,
            cr4: CR4_PAE | if self.levels == 5 { CR4_LA57 } else { 0 },
            efer: EFER_TYPICAL,
            pkru: 0,
            model: CpuModel::default(),
        }
    }

    /// Takes the next page for a table; it is zero.
    ///
    /// # Panics
    /// Memory is used up.
    pub fn new_table(&mut self) -> u64 {
        assert!(self.next_table > 0, "no memory is left for page tables");
        self.next_table -= PAGE_BYTES as u64;
        self.next_table
    }

    /// The value of the 8 bytes at `gpa`.
    ///
    /// # Panics
    /// `gpa` is outside memory.
    pub fn entry(&self, gpa: u64) -> u64 {
        let bytes = self.memory.slice(gpa, 8).expect("entry in memory");
        u64::from_le_bytes(bytes.try_into().expect("eight bytes"))
    }

    /// Writes an entry.
    ///
    /// # Panics
    /// `gpa` is outside memory.
    pub fn set_entry(&mut self, gpa: u64, value: u64) {
        let bytes = self.memory.slice_mut(gpa, 8).expect("entry in memory");
        bytes.copy_from_slice(&value.to_le_bytes());
    }

    /// The physical address of the entry of `level` for `va`. Tables above it that are missing are
    /// made, with entries that give every right.
    pub fn entry_for(&mut self, va: u64, level: u8) -> u64 {
        let mut table = self.root;
        for upper in (level + 1..=self.levels).rev() {
            let at = table + 8 * level_index(va, upper) as u64;
            if self.entry(at) & P == 0 {
                let new = self.new_table();
                self.set_entry(at, new | P | W | U);
            }
            table = self.entry(at) & ADDRESS;
        }
        table + 8 * level_index(va, level) as u64
    }

    /// Maps `count` pages of `level` (1: 4 KiB, 2: 2 MiB, 3: 1 GiB) from `va` on to `gpa` on, with
    /// the entry bits `flags`.
    pub fn map(&mut self, va: u64, gpa: u64, level: u8, count: u64, flags: u64) {
        let size = if level > 1 { PS } else { 0 };
        for page in 0..count {
            let offset = page << level_shift(level);
            let at = self.entry_for(va.wrapping_add(offset), level);
            self.set_entry(at, (gpa + offset) | flags | size);
        }
    }
}
