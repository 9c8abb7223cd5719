//! The boot allocator's tables.

use std::ops::Range;

use pagelab_abi::{
    PAGE_SIZE,
    memblock::{MAX_REGIONS, RegionTable},
};

use super::DecodeError;

/// Ascending ranges of bytes that do not overlap.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Regions(Vec<Range<u64>>);

impl Regions {
    /// Checks and copies a table that stands at `gpa`.
    pub(super) fn decode(
        table: &RegionTable,
        what: &'static str,
        gpa: u64,
    ) -> Result<Self, DecodeError> {
        let field = |field, found, expected| DecodeError::Field {
            what,
            gpa,
            field,
            found,
            expected,
        };
        if table.count > MAX_REGIONS as u64 {
            return Err(field(
                "count",
                table.count,
                format!("at most {MAX_REGIONS}"),
            ));
        }
        let mut regions = Vec::new();
        let mut last = 0;
        for region in table.as_slice() {
            if region.base < last {
                let expected = format!("at least {last:#x}, the end of the region before");
                return Err(field("base", region.base, expected));
            }
            let Some(end) = region.base.checked_add(region.size) else {
                let expected = "within 64 bits together with base".into();
                return Err(field("size", region.size, expected));
            };
            regions.push(region.base..end);
            last = end;
        }
        Ok(Self(regions))
    }

    /// The ranges, in bytes.
    pub fn bytes(&self) -> &[Range<u64>] {
        &self.0
    }

    /// The frames that lie wholly inside: what RAM offers.
    pub fn whole_frames(&self) -> Frames {
        let frames = |range: &Range<u64>| {
            let start = range.start.div_ceil(PAGE_SIZE);
            start..(range.end / PAGE_SIZE).max(start)
        };
        Frames(self.0.iter().map(frames).collect())
    }

    /// The frames that have a byte inside: what a reservation takes.
    pub fn touched_frames(&self) -> Frames {
        let mut frames: Vec<Range<u64>> = Vec::new();
        for range in self.0.iter().filter(|range| !range.is_empty()) {
            let start = range.start / PAGE_SIZE;
            let end = range.end.div_ceil(PAGE_SIZE);
            match frames.last_mut() {
                Some(last) if start <= last.end => last.end = last.end.max(end),
                _ => frames.push(start..end),
            }
        }
        Frames(frames)
    }
}

/// Ascending ranges of frames that do not overlap.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Frames(Vec<Range<u64>>);

impl Frames {
    /// The ranges.
    pub fn ranges(&self) -> &[Range<u64>] {
        &self.0
    }

    /// How many of these frames are in `pfns`.
    pub fn count_in(&self, pfns: &Range<u64>) -> u64 {
        let part = |range: &Range<u64>| {
            (range.end.min(pfns.end)).saturating_sub(range.start.max(pfns.start))
        };
        self.0.iter().map(part).sum()
    }

    /// The frames that are in both.
    pub fn intersection(&self, other: &Self) -> Self {
        let mut both = Vec::new();
        for a in &self.0 {
            for b in &other.0 {
                let range = a.start.max(b.start)..a.end.min(b.end);
                if !range.is_empty() {
                    both.push(range);
                }
            }
        }
        Self(both)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pagelab_abi::memblock::Region;

    fn table(regions: &[(u64, u64)]) -> RegionTable {
        let mut table = RegionTable::new();
        table.count = regions.len() as u64;
        for (to, &(base, size)) in table.regions.iter_mut().zip(regions) {
            *to = Region { base, size };
        }
        table
    }

    #[test]
    fn ram_shrinks_to_whole_frames_and_reservations_grow() {
        let regions =
            Regions::decode(&table(&[(0x800, 0x2000), (0x2900, 0x100)]), "memory", 0).unwrap();
        assert_eq!(regions.whole_frames().ranges(), [1..2, 3..3]);
        assert_eq!(
            regions.touched_frames().ranges(),
            std::slice::from_ref(&(0..3))
        );
        assert_eq!(regions.touched_frames().count_in(&(1..10)), 2);
    }

    #[test]
    fn impossible_tables_are_refused() {
        for regions in [&[(0x2000, 0x1000), (0x1000, 1)][..], &[(0x1000, u64::MAX)]] {
            let error = Regions::decode(&table(regions), "memory", 0x42).unwrap_err();
            assert!(matches!(error, DecodeError::Field { gpa: 0x42, .. }));
        }
        let mut many = RegionTable::new();
        many.count = 65;
        assert!(Regions::decode(&many, "memory", 0).is_err());
    }

    #[test]
    fn intersections_keep_what_is_in_both() {
        let a = Frames(vec![0..10, 20..30]);
        let b = Frames(vec![5..22, 22..25]);
        assert_eq!(a.intersection(&b).ranges(), [5..10, 20..22, 22..25]);
    }
}
