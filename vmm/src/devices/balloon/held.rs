//! Which pages are in the balloon, by the host's own account.

use std::ops::Range;

use serde::{Deserialize, Serialize};

/// A set of pfns, one bit each. It grows to the highest pfn that is put in, so the caller puts in
/// only pfns that exist in RAM.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(from = "Vec<u64>", into = "Vec<u64>")]
pub(super) struct HeldPages {
    words: Vec<u64>,
    count: u64,
}

impl HeldPages {
    /// Number of pages in the set.
    pub(super) fn count(&self) -> u64 {
        self.count
    }

    pub(super) fn contains(&self, pfn: u64) -> bool {
        let word = usize::try_from(pfn / 64)
            .ok()
            .and_then(|at| self.words.get(at));
        word.is_some_and(|word| word >> (pfn % 64) & 1 != 0)
    }

    /// Puts a range in; returns how many pages were not in the set before.
    pub(super) fn insert(&mut self, pfns: &Range<u64>) -> u64 {
        let words = pfns.end.div_ceil(64) as usize;
        if words > self.words.len() {
            self.words.resize(words, 0);
        }
        let mut added = 0;
        for (at, mask) in masks(pfns) {
            let word = &mut self.words[at];
            added += u64::from((mask & !*word).count_ones());
            *word |= mask;
        }
        self.count += added;
        added
    }

    /// Takes a range out; returns how many pages were in the set before.
    pub(super) fn remove(&mut self, pfns: &Range<u64>) -> u64 {
        let mut removed = 0;
        for (at, mask) in masks(pfns) {
            let Some(word) = self.words.get_mut(at) else {
                break;
            };
            removed += u64::from((mask & *word).count_ones());
            *word &= !mask;
        }
        self.count -= removed;
        removed
    }

    pub(super) fn clear(&mut self) {
        self.words.clear();
        self.count = 0;
    }
}

impl From<Vec<u64>> for HeldPages {
    fn from(words: Vec<u64>) -> Self {
        let count = words.iter().map(|word| u64::from(word.count_ones())).sum();
        Self { words, count }
    }
}

impl From<HeldPages> for Vec<u64> {
    fn from(held: HeldPages) -> Self {
        held.words
    }
}

/// The words of the set that a range touches, and its bits in each.
fn masks(pfns: &Range<u64>) -> impl Iterator<Item = (usize, u64)> {
    let Range { start, end } = *pfns;
    let words = if start < end {
        start / 64..end.div_ceil(64)
    } else {
        0..0
    };
    words.map(move |word| {
        let first = start.saturating_sub(word * 64);
        let after = (end - word * 64).min(64);
        let mask = (u64::MAX << first) & (u64::MAX >> (64 - after));
        (word as usize, mask)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    proptest! {
        #[test]
        fn behaves_as_a_set(
            steps in prop::collection::vec((any::<bool>(), 0u64..300, 0u64..150), 0..40)
        ) {
            let mut held = HeldPages::default();
            let mut model = BTreeSet::new();
            for (insert, start, len) in steps {
                let range = start..start + len;
                let before = model.len();
                if insert {
                    model.extend(range.clone());
                    prop_assert_eq!(held.insert(&range), (model.len() - before) as u64);
                } else {
                    model.retain(|pfn| !range.contains(pfn));
                    prop_assert_eq!(held.remove(&range), (before - model.len()) as u64);
                }
                prop_assert_eq!(held.count(), model.len() as u64);
            }
            for pfn in 0..500 {
                prop_assert_eq!(held.contains(pfn), model.contains(&pfn));
            }
        }
    }
}
