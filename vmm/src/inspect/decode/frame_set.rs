//! A set of frames.

use std::ops::Range;

use serde::{Deserialize, Serialize};

/// A set of frames, one bit each.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(from = "(Range<u32>, Vec<u64>)", into = "(Range<u32>, Vec<u64>)")]
pub struct FrameSet {
    pfns: Range<u32>,
    words: Vec<u64>,
}

impl From<(Range<u32>, Vec<u64>)> for FrameSet {
    /// Words that are missing are empty, and those that are too many are dropped.
    fn from((pfns, mut words): (Range<u32>, Vec<u64>)) -> Self {
        words.resize(pfns.len().div_ceil(64), 0);
        Self { pfns, words }
    }
}

impl From<FrameSet> for (Range<u32>, Vec<u64>) {
    fn from(set: FrameSet) -> Self {
        (set.pfns, set.words)
    }
}

impl FrameSet {
    /// The empty set, with room for `pfns`.
    pub fn new(pfns: Range<u32>) -> Self {
        let words = vec![0; pfns.len().div_ceil(64)];
        Self { pfns, words }
    }

    /// Adds a frame. False if it was there already, or if there is no room for it.
    pub fn insert(&mut self, pfn: u32) -> bool {
        let Some((word, bit)) = self.place(pfn) else {
            return false;
        };
        let is_new = self.words[word] & bit == 0;
        self.words[word] |= bit;
        is_new
    }

    /// Adds the `count` frames from `pfn` on. Answers the first that was there already or has no
    /// room; the others are added all the same.
    pub fn insert_all(&mut self, pfn: u32, count: u32) -> Option<u32> {
        let end = pfn.saturating_add(count);
        let mut clash = None;
        let mut at = pfn;
        while at < end {
            let Some((word, _)) = self.place(at) else {
                return clash.or(Some(at));
            };
            let first = (at - self.pfns.start) % 64;
            let here = (64 - first).min(end - at).min(self.pfns.end - at);
            let mask = (u64::MAX >> (64 - here)) << first;
            let taken = self.words[word] & mask;
            if taken != 0 && clash.is_none() {
                clash = Some(at + taken.trailing_zeros() - first);
            }
            self.words[word] |= mask;
            at += here;
        }
        clash
    }

    /// Whether a frame is in the set.
    pub fn contains(&self, pfn: u32) -> bool {
        self.place(pfn)
            .is_some_and(|(word, bit)| self.words[word] & bit != 0)
    }

    /// The runs of frames of `pfns` that are not in the set: first frame and number.
    pub fn missing(&self, pfns: Range<u32>) -> Vec<(u32, u32)> {
        let mut runs: Vec<(u32, u32)> = Vec::new();
        let mut pfn = pfns.start;
        while pfn < pfns.end {
            // Whole words that are full or empty are the rule.
            let word = self.place(pfn).map_or(0, |(word, _)| self.words[word]);
            let first = pfn.wrapping_sub(self.pfns.start) % 64;
            let here = (64 - first).min(pfns.end - pfn);
            if word != u64::MAX {
                for pfn in (pfn..pfn + here).filter(|pfn| !self.contains(*pfn)) {
                    match runs.last_mut() {
                        Some((start, count)) if *start + *count == pfn => *count += 1,
                        _ => runs.push((pfn, 1)),
                    }
                }
            }
            pfn += here;
        }
        runs
    }

    fn place(&self, pfn: u32) -> Option<(usize, u64)> {
        if !self.pfns.contains(&pfn) {
            return None;
        }
        let index = pfn - self.pfns.start;
        Some((index as usize / 64, 1 << (index % 64)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    #[test]
    fn a_frame_is_new_once_and_outside_never() {
        let mut set = FrameSet::new(100..200);
        assert!(set.insert(100) && !set.insert(100) && set.insert(199));
        assert!(!set.insert(99) && !set.insert(200) && !set.contains(200));
        assert!(set.contains(100) && !set.contains(101));
    }

    proptest! {
        #[test]
        fn ranges_are_as_single_frames(
            ranges in prop::collection::vec((0u32..400, 0u32..150), 0..12),
        ) {
            let mut set = FrameSet::new(50..350);
            let mut model = BTreeSet::new();
            for (pfn, count) in ranges {
                let clash = (pfn..pfn + count)
                    .find(|frame| !(50..350).contains(frame) || model.contains(frame));
                let found = set.insert_all(pfn, count);
                if pfn >= 50 {
                    prop_assert_eq!(found, clash);
                    model.extend((pfn..pfn + count).filter(|frame| *frame < 350));
                } else {
                    prop_assert_eq!(found, clash);
                }
            }
            for pfn in 0..400 {
                prop_assert_eq!(set.contains(pfn), model.contains(&pfn));
            }
            let missing: BTreeSet<u32> = set
                .missing(50..350)
                .into_iter()
                .flat_map(|(pfn, count)| pfn..pfn + count)
                .collect();
            prop_assert!((50..350).all(|pfn| missing.contains(&pfn) != model.contains(&pfn)));
        }
    }
}
