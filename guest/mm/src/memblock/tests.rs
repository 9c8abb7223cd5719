use super::{Memblock, MemblockError};
use pagelab_abi::memblock::{MAX_REGIONS, Region, RegionTable};
use proptest::prelude::*;
use std::{collections::BTreeSet, vec::Vec};

fn ranges(table: &RegionTable) -> Vec<(u64, u64)> {
    table.as_slice().iter().map(|r| (r.base, r.end())).collect()
}

#[test]
fn regions_join_when_they_touch() {
    let mut memblock = Memblock::new();
    memblock.add(0x1000, 0x1000).unwrap();
    memblock.add(0x4000, 0x1000).unwrap();
    memblock.add(0x2000, 0x1000).unwrap();
    assert_eq!(
        ranges(memblock.memory()),
        [(0x1000, 0x3000), (0x4000, 0x5000)]
    );
    memblock.add(0x2800, 0x2000).unwrap();
    assert_eq!(ranges(memblock.memory()), [(0x1000, 0x5000)]);
    memblock.add(0, 0).unwrap();
    assert_eq!(ranges(memblock.memory()), [(0x1000, 0x5000)]);
}

#[test]
fn the_highest_place_that_fits_is_taken() {
    let mut memblock = Memblock::new();
    memblock.add(0, 0x10000).unwrap();
    memblock.add(0x20000, 0x4000).unwrap();
    memblock.reserve(0x23000, 0x1000).unwrap();
    assert_eq!(memblock.alloc(0x1000, 0x1000, u64::MAX), Ok(0x22000));
    assert_eq!(memblock.alloc(0x1000, 0x2000, u64::MAX), Ok(0x20000));
    assert_eq!(memblock.alloc(0x2000, 0x1000, u64::MAX), Ok(0xe000));
    assert_eq!(memblock.alloc(0x1000, 0x1000, 0x8000), Ok(0x7000));
    assert_eq!(memblock.alloc(0x100, 0x40, 0x7000), Ok(0x6f00));
}

#[test]
fn errors_name_what_was_asked_for() {
    let mut memblock = Memblock::new();
    memblock.add(0, 0x10000).unwrap();
    let error = memblock.alloc(0x20000, 0x1000, u64::MAX).unwrap_err();
    assert_eq!(
        error,
        MemblockError::NoMemory {
            size: 0x20000,
            align: 0x1000,
            limit: u64::MAX
        }
    );
    assert!(memblock.alloc(0, 1, 0x1000).is_err() && memblock.alloc(1, 3, 0x1000).is_err());
    let region = Region {
        base: u64::MAX - 5,
        size: 10,
    };
    assert_eq!(
        memblock.add(region.base, region.size),
        Err(MemblockError::Overflow(region))
    );
    for i in 0..MAX_REGIONS as u64 {
        memblock.reserve(i * 0x100, 1).unwrap();
    }
    let error = memblock.reserve(0x100_0000, 1).unwrap_err();
    assert!(matches!(error, MemblockError::TableFull(r) if r.base == 0x100_0000));
    // What joins others still fits.
    memblock.reserve(0x101, 0x50).unwrap();
}

proptest! {
    /// Against a set of bytes.
    #[test]
    fn agrees_with_a_set(
        memory in prop::collection::vec((0u64..200, 1u64..60), 1..6),
        reserved in prop::collection::vec((0u64..260, 1u64..20), 0..8),
        requests in prop::collection::vec((1u64..30, 0u32..4, 1u64..260), 0..8),
    ) {
        let mut memblock = Memblock::new();
        let mut free = BTreeSet::new();
        for &(base, size) in &memory {
            memblock.add(base, size).unwrap();
            free.extend(base..base + size);
        }
        for &(base, size) in &reserved {
            memblock.reserve(base, size).unwrap();
            free.retain(|byte| !(base..base + size).contains(byte));
        }
        for &(size, align, limit) in &requests {
            let align = 1 << align;
            let fits = |base: &u64| {
                base.is_multiple_of(align)
                    && base + size <= limit
                    && (*base..base + size).all(|byte| free.contains(&byte))
            };
            let highest = (0..260u64).rev().find(fits);
            let got = memblock.alloc(size, align, limit).ok();
            prop_assert_eq!(got, highest);
            if let Some(base) = got {
                free.retain(|byte| !(base..base + size).contains(byte));
            }
        }
        for table in [memblock.memory(), memblock.reserved()] {
            let ranges = ranges(table);
            prop_assert!(ranges.windows(2).all(|pair| pair[0].1 < pair[1].0), "{ranges:?}");
        }
    }
}
