//! Page frame numbers as ranges, so that one call to the host's kernel serves many pages.

use std::ops::Range;

/// Sorted ranges with a gap between each two, from pfns in any order.
pub(super) fn from_pfns(mut pfns: Vec<u32>) -> Vec<Range<u64>> {
    pfns.sort_unstable();
    let mut ranges: Vec<Range<u64>> = Vec::new();
    for pfn in pfns.into_iter().map(u64::from) {
        match ranges.last_mut() {
            Some(last) if pfn < last.end => {}
            Some(last) if pfn == last.end => last.end = pfn + 1,
            _ => ranges.push(pfn..pfn + 1),
        }
    }
    ranges
}

/// Sorted ranges with a gap between each two, from ranges in any order, which may overlap.
pub(super) fn merge(mut ranges: Vec<Range<u64>>) -> Vec<Range<u64>> {
    ranges.retain(|range| !range.is_empty());
    ranges.sort_unstable_by_key(|range| range.start);
    ranges.dedup_by(|next, last| {
        let touches = next.start <= last.end;
        if touches {
            last.end = last.end.max(next.end);
        }
        touches
    });
    ranges
}

/// Number of pages in ranges that do not overlap.
pub(super) fn pages(ranges: &[Range<u64>]) -> u64 {
    ranges.iter().map(|range| range.end - range.start).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    fn check(ranges: &[Range<u64>], expected: &BTreeSet<u64>) {
        let found: BTreeSet<u64> = ranges.iter().cloned().flatten().collect();
        assert_eq!(&found, expected);
        assert_eq!(pages(ranges), expected.len() as u64);
        for pair in ranges.windows(2) {
            assert!(pair[0].end < pair[1].start, "{pair:?} should be one range");
        }
    }

    #[test]
    fn the_last_pfn_does_not_overflow() {
        let ranges = from_pfns(vec![u32::MAX, u32::MAX - 1]);
        assert_eq!(ranges.first(), Some(&(0xffff_fffe..0x1_0000_0000)));
        assert_eq!(ranges.len(), 1);
    }

    proptest! {
        #[test]
        fn pfns_become_the_same_set(pfns in prop::collection::vec(0u32..60, 0..60)) {
            let expected = pfns.iter().copied().map(u64::from).collect();
            check(&from_pfns(pfns), &expected);
        }

        #[test]
        fn merged_ranges_are_the_same_set(parts in prop::collection::vec((0u64..60, 0u64..9), 0..20)) {
            let ranges: Vec<_> = parts.iter().map(|&(start, len)| start..start + len).collect();
            let expected = ranges.iter().cloned().flatten().collect();
            check(&merge(ranges), &expected);
        }
    }
}
