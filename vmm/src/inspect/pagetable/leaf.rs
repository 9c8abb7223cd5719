//! The hot loop: runs of equal entries in one leaf table.

use std::ops::Range;

use super::bits::P;
use crate::inspect::image::Page;

/// How far the address of an entry is above that of its predecessor, in a run.
const STEP: u64 = 1 << 12;

/// Entries that are compared at once. The compiler turns the comparison into vector instructions;
/// half a cache line more or less makes no difference, one entry at a time is four times slower.
const CHUNK: usize = 16;

/// Calls `emit(index, count, key)` for each run of present entries within `range`. In a run all
/// bits in `mask` are equal but for the address, which goes up by a page from entry to entry;
/// `key` is the first entry's. `mask` has P and the whole address field.
#[inline(always)]
pub(super) fn scan(
    page: &Page,
    range: Range<usize>,
    mask: u64,
    mut emit: impl FnMut(usize, usize, u64),
) {
    let entries = &page[range.clone()];
    let mut at = 0;
    while at < entries.len() {
        let key = entries[at].get() & mask;
        if key & P == 0 {
            at += absent(&entries[at..]);
            continue;
        }
        let count = run(&entries[at..], mask, key);
        emit(range.start + at, count, key);
        at += count;
    }
}

/// Length of the run that `key` starts, at least 1.
#[inline(always)]
fn run(entries: &[zerocopy::little_endian::U64], mask: u64, key: u64) -> usize {
    let mut count = 1;
    let mut expected = key.wrapping_add(STEP);
    // Scattered frames end a run at once: look at one entry before a whole chunk.
    if entries
        .get(1)
        .is_none_or(|entry| entry.get() & mask != expected)
    {
        return count;
    }
    for chunk in entries[1..].chunks_exact(CHUNK) {
        let mut different = 0;
        for (i, entry) in chunk.iter().enumerate() {
            different |= (entry.get() & mask) ^ expected.wrapping_add(i as u64 * STEP);
        }
        if different != 0 {
            break;
        }
        count += CHUNK;
        expected = expected.wrapping_add(CHUNK as u64 * STEP);
    }
    for entry in &entries[count..] {
        if entry.get() & mask != expected {
            break;
        }
        count += 1;
        expected = expected.wrapping_add(STEP);
    }
    count
}

/// Number of entries at the start that are not present.
#[inline]
fn absent(entries: &[zerocopy::little_endian::U64]) -> usize {
    let mut count = 0;
    for chunk in entries.chunks_exact(CHUNK) {
        if chunk.iter().fold(0, |any, entry| any | entry.get()) & P != 0 {
            break;
        }
        count += CHUNK;
    }
    count
        + entries[count..]
            .iter()
            .take_while(|entry| entry.get() & P == 0)
            .count()
}

#[cfg(test)]
mod tests {
    use super::super::bits::{A, ADDRESS, NX, W};
    use super::super::entry::ENTRIES;
    use super::*;
    use proptest::prelude::*;

    const MASK: u64 = ADDRESS | P | W | NX;

    /// One entry at a time.
    fn naive(page: &Page, range: Range<usize>) -> Vec<(usize, usize, u64)> {
        let mut runs: Vec<(usize, usize, u64)> = Vec::new();
        for index in range {
            let key = page[index].get() & MASK;
            if key & P == 0 {
                continue;
            }
            match runs.last_mut() {
                Some((start, count, first))
                    if *start + *count == index && *first + *count as u64 * STEP == key =>
                {
                    *count += 1;
                }
                _ => runs.push((index, 1, key)),
            }
        }
        runs
    }

    proptest! {
        #[test]
        fn runs_are_those_of_a_naive_scan(
            pieces in prop::collection::vec((0u64..40, any::<bool>(), 0usize..70, 0u64..8), 1..60),
            bounds in (0usize..=ENTRIES, 0usize..=ENTRIES),
        ) {
            let mut page = [zerocopy::little_endian::U64::ZERO; ENTRIES];
            let mut entries = page.iter_mut();
            for (frame, present, len, flags) in pieces {
                for i in 0..len as u64 {
                    let Some(entry) = entries.next() else { break };
                    let flags = ((flags & 1) << 1) | ((flags & 2) << 62) | ((i % 2) * A);
                    entry.set(((frame + i) * STEP) | flags | u64::from(present));
                }
            }
            let range = bounds.0.min(bounds.1)..bounds.0.max(bounds.1);
            let mut runs = Vec::new();
            scan(&page, range.clone(), MASK, |index, count, key| runs.push((index, count, key)));
            prop_assert_eq!(runs, naive(&page, range));
        }
    }
}
