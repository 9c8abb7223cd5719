//! Which addresses are tried: each entry of each table with permissive entries at all other levels,
//! then random combinations.

use super::tables::{ENTRIES, FIRST_SLOT, PERMISSIVE, TOP_ENTRIES, Tables};
use crate::workload::rng::Rng;

/// Random addresses after the systematic ones, under all settings together.
const RANDOM: u32 = 9_600;

/// Entries that are tried one by one: all levels, top level first.
const SYSTEMATIC: u32 = (TOP_ENTRIES - FIRST_SLOT) + 3 * ENTRIES;

/// The addresses, in an order that the seed settles.
pub(super) struct Cases<'a> {
    tables: &'a Tables,
    rng: Rng,
    next: u32,
    end: u32,
}

impl<'a> Cases<'a> {
    /// The addresses for one of `settings` settings, which is not 0.
    pub(super) fn new(tables: &'a Tables, seed: u64, settings: u32) -> Self {
        Self {
            tables,
            rng: Rng::new(seed),
            next: 0,
            end: SYSTEMATIC + RANDOM / settings,
        }
    }

    /// One index, half of the time a permissive one, so that the levels below matter.
    fn random_index(&mut self, first: u32, end: u32) -> u32 {
        if self.rng.below(2) == 0 {
            PERMISSIVE
        } else {
            first + self.rng.below(end - first)
        }
    }
}

impl Iterator for Cases<'_> {
    type Item = u64;

    fn next(&mut self) -> Option<u64> {
        let number = self.next;
        self.next += 1;
        let mut indices = [PERMISSIVE; 4];
        if number < TOP_ENTRIES - FIRST_SLOT {
            indices[0] = FIRST_SLOT + number;
        } else if number < SYSTEMATIC {
            let number = number - (TOP_ENTRIES - FIRST_SLOT);
            indices[1 + (number / ENTRIES) as usize] = number % ENTRIES;
        } else if number < self.end {
            indices[0] = self.random_index(FIRST_SLOT, TOP_ENTRIES);
            for index in &mut indices[1..] {
                *index = self.random_index(0, ENTRIES);
            }
        } else {
            return None;
        }
        Some(self.tables.address(indices))
    }
}
