//! Tests of translation and walk on synthetic tables. What the CPU makes of the same bits is the
//! subject of the access test, which runs one.

use std::ops::RangeInclusive;

use proptest::prelude::*;

use super::{
    bits::{ADDRESS, NX, P, PCD, PKEY_SHIFT, PS, U, W},
    synthetic::SyntheticTables,
    *,
};
use crate::inspect::image::PhysMem;

const ALL: RangeInclusive<u64> = 0..=u64::MAX;

/// Keeps all that a walk says.
#[derive(Default)]
struct Seen {
    mappings: Vec<Mapping>,
    shared: Vec<SharedTable>,
    malformed: Vec<MalformedEntry>,
}

impl Visitor for Seen {
    fn mapping(&mut self, mapping: &Mapping) {
        self.mappings.push(*mapping);
    }
    fn shared(&mut self, shared: &SharedTable) {
        self.shared.push(*shared);
    }
    fn malformed(&mut self, entry: &MalformedEntry) {
        self.malformed.push(*entry);
    }
}

fn walk(tables: &SyntheticTables, range: RangeInclusive<u64>) -> (Seen, WalkSummary) {
    walk_as(tables, tables.state(), range)
}

fn walk_as(
    tables: &SyntheticTables,
    state: PagingState,
    range: RangeInclusive<u64>,
) -> (Seen, WalkSummary) {
    let mut seen = Seen::default();
    let page_tables = PageTables::new(&tables.memory, state).unwrap();
    let summary = page_tables.walk(range, WalkLimits::default(), &mut seen);
    (seen, summary)
}

#[test]
fn every_page_size_at_four_and_five_levels() {
    for levels in [4, 5] {
        let top = if levels == 5 {
            0xff00_0000_0000_0000
        } else {
            0xffff_8000_0000_0000
        };
        for level in 1..=3 {
            let mut tables = SyntheticTables::new(64, levels);
            let size = PageSize::of_level(level).bytes();
            tables.map(top, 4 * size, level, 3, P | W);
            let pages = PageTables::new(&tables.memory, tables.state()).unwrap();
            let found = pages.translate(top + size + 0x123).unwrap();
            assert_eq!(found.gpa, 5 * size + 0x123);
            assert_eq!(found.page_size.bytes(), size);
            assert_eq!(found.entries().count(), usize::from(levels + 1 - level));
            assert!(!found.rights.user && found.rights.write && found.rights.execute);
            let (seen, summary) = walk(&tables, ALL);
            assert_eq!(seen.mappings.len(), 1, "contiguous pages are one run");
            let run = seen.mappings[0];
            assert_eq!((run.va, run.len, run.gpa), (top, 3 * size, 4 * size));
            assert_eq!((summary.leaves, summary.stopped_at), (3, None));
        }
    }
}

#[test]
fn a_run_crosses_tables_and_ends_with_the_address_space() {
    let mut tables = SyntheticTables::new(64, 4);
    let va = 0u64.wrapping_sub(700 << 12);
    tables.map(va, 0, 1, 700, P);
    let (seen, summary) = walk(&tables, ALL);
    assert_eq!(seen.mappings.len(), 1);
    assert_eq!(seen.mappings[0].last(), u64::MAX);
    assert_eq!((summary.leaves, summary.tables), (700, 5));
}

#[test]
fn upper_levels_narrow_rights_and_split_runs() {
    let mut tables = SyntheticTables::new(64, 4);
    tables.map(0, 0, 1, 1024, P | W | U);
    let upper = tables.entry_for(0x20_0000, 2);
    tables.set_entry(upper, (tables.entry(upper) | NX) & !W & !U);
    let (seen, _) = walk(&tables, ALL);
    let [low, high] = seen.mappings[..] else {
        panic!("two runs: {:?}", seen.mappings)
    };
    assert!(low.rights.user && low.rights.write && low.rights.execute);
    assert!(!high.rights.user && !high.rights.write && !high.rights.execute);
    assert_eq!(high.va, 0x20_0000);
}

#[test]
fn cache_bits_and_keys_are_told() {
    let mut tables = SyntheticTables::new(64, 4);
    tables.map(0, 0, 1, 1, P | U | 5 << PKEY_SHIFT);
    tables.map(0x1000, 0x1000, 1, 1, P | U | PCD);
    tables.map(0x20_0000, 0x20_0000, 2, 1, P | bits::PAT_LARGE | bits::G);
    let state = PagingState {
        cr4: tables.state().cr4 | bits::CR4_PKE,
        ..tables.state()
    };
    let (seen, _) = walk_as(&tables, state, ALL);
    let told: Vec<_> = seen
        .mappings
        .iter()
        .map(|mapping| (mapping.rights.pkey, mapping.pat_index, mapping.global))
        .collect();
    assert_eq!(told, [(5, 0, false), (0, 2, false), (0, 4, true)]);
    // Without keys their bits mean nothing, and the first two differ in the cache only.
    assert_eq!(walk(&tables, ALL).0.mappings[0].rights.pkey, 0);
}

#[test]
fn a_range_clips_the_walk() {
    let mut tables = SyntheticTables::new(64, 4);
    tables.map(0, 0, 1, 1024, P);
    let (seen, summary) = walk(&tables, 0x5000..=0x20_2fff);
    assert_eq!(seen.mappings.len(), 1);
    assert_eq!(
        (seen.mappings[0].va, seen.mappings[0].last()),
        (0x5000, 0x20_2fff)
    );
    assert_eq!(summary.leaves, 512 - 5 + 3);
    assert_eq!(
        walk(&tables, RangeInclusive::new(1, 0)).1,
        WalkSummary::default()
    );
}

#[test]
fn reserved_bits_and_tables_outside_ram_are_malformed() {
    let mut tables = SyntheticTables::new(64, 4);
    tables.map(0, 0, 1, 4, P);
    let second = tables.entry_for(0x1000, 1);
    tables.set_entry(second, 0x1000 | P | NX);
    let far = tables.entry_for(0x4000_0000, 3);
    tables.set_entry(far, 0x7_0000_0000 | P);
    let large = tables.entry_for(0x8000_0000, 2);
    tables.set_entry(large, 0x20_2000 | P | PS);
    let state = PagingState {
        efer: bits::EFER_LMA,
        ..tables.state()
    };
    let (seen, summary) = walk_as(&tables, state, ALL);
    let why: Vec<_> = seen
        .malformed
        .iter()
        .map(|entry| (entry.va, entry.why))
        .collect();
    assert_eq!(
        why,
        [
            (0x1000, WhyMalformed::Reserved { bits: NX }),
            (
                0x4000_0000,
                WhyMalformed::TableOutside { gpa: 0x7_0000_0000 }
            ),
            (0x8000_0000, WhyMalformed::Reserved { bits: 0x2000 }),
        ]
    );
    assert_eq!((summary.malformed, seen.mappings.len()), (3, 2));
}

#[test]
fn a_run_that_leaves_the_physical_space_is_split() {
    let mut tables = SyntheticTables::new(64, 4);
    let end = 1u64 << 40;
    tables.map(0, end - 0x2000, 1, 4, P);
    let mut state = tables.state();
    state.model.phys_bits = 40;
    let (seen, _) = walk_as(&tables, state, ALL);
    assert_eq!(seen.mappings.len(), 1);
    assert_eq!(
        (seen.mappings[0].len, seen.mappings[0].gpa_end()),
        (0x2000, end)
    );
    assert_eq!((seen.malformed[0].va, seen.malformed[0].count), (0x2000, 2));
}

#[test]
fn a_table_of_itself_is_walked_once_per_level() {
    for levels in [4, 5] {
        let mut tables = SyntheticTables::new(16, levels);
        for index in 0..512 {
            tables.set_entry(tables.root + 8 * index, tables.root | P | W | U);
        }
        let (seen, summary) = walk(&tables, ALL);
        assert_eq!(summary.tables, u64::from(levels));
        assert_eq!(summary.shared, 511 * u64::from(levels - 1));
        assert_eq!(seen.shared.len() as u64, summary.shared);
        assert_eq!(summary.leaves, 512);
        assert_eq!(summary.stopped_at, None);
    }
}

#[test]
fn the_limit_stops_a_walk_and_says_where() {
    let mut tables = SyntheticTables::new(64, 4);
    tables.map(0, 0, 1, 2048, P);
    let pages = PageTables::new(&tables.memory, tables.state()).unwrap();
    let mut seen = Seen::default();
    let summary = pages.walk(ALL, WalkLimits { max_tables: 5 }, &mut seen);
    assert_eq!(summary.stopped_at, Some(0x40_0000));
    assert_eq!((summary.leaves, summary.tables), (1024, 5));
}

#[test]
fn no_tables_without_long_mode_or_memory() {
    let tables = SyntheticTables::new(8, 4);
    let off = PagingState {
        cr0: bits::CR0_PE,
        ..tables.state()
    };
    assert!(matches!(
        PageTables::new(&tables.memory, off),
        Err(PagingError::NotLongMode {
            cr0: bits::CR0_PE,
            ..
        })
    ));
    let outside = PagingState {
        cr3: 0x9000,
        ..tables.state()
    };
    let error = PageTables::new(&tables.memory, outside).unwrap_err();
    assert_eq!(
        error,
        PagingError::Cr3Outside {
            cr3: 0x9000,
            end: 0x8000
        }
    );
}

#[test]
fn addresses_between_the_halves_are_not_canonical() {
    for (levels, first_bad) in [(4, 1u64 << 47), (5, 1 << 56)] {
        let tables = SyntheticTables::new(8, levels);
        let pages = PageTables::new(&tables.memory, tables.state()).unwrap();
        let is_canonical = |va| !matches!(pages.translate(va), Err(Fault::NonCanonical { .. }));
        assert!(is_canonical(first_bad - 1) && is_canonical(first_bad.wrapping_neg()));
        assert!(!is_canonical(first_bad) && !is_canonical(first_bad.wrapping_neg() - 1));
    }
}

/// An entry that is often sound, so that walks get deep, and sometimes anything.
fn garbage_entry(pages: u64) -> impl Strategy<Value = u64> {
    prop_oneof![
        6 => (0..pages, any::<u16>(), any::<bool>()).prop_map(|(frame, flags, nx)| {
            (frame << 12) | u64::from(flags) & 0x17f | P | if nx { NX } else { 0 }
        }),
        1 => any::<u64>(),
        1 => Just(0),
        1 => (0..pages, 0..2u64).prop_map(|(frame, w)| frame << 12 | PS | P | w << 1),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Memory full of garbage: the walk ends, changes nothing, and what it says of an address is
    /// what translating that address says.
    #[test]
    fn garbage_is_walked_like_it_is_translated(
        entries in prop::collection::vec((0u64..16 * 512, garbage_entry(20)), 200..3000),
        levels in 4u8..=5,
        phys_bits in prop_oneof![Just(52u8), Just(36)],
        probes in prop::collection::vec((any::<u64>(), any::<prop::sample::Index>()), 50),
    ) {
        let mut tables = SyntheticTables::new(16, levels);
        for (index, value) in entries {
            tables.set_entry(index * 8, value);
        }
        let before = tables.memory.data().to_vec();
        let mut state = tables.state();
        state.model.phys_bits = phys_bits;
        let (seen, summary) = walk_as(&tables, state, ALL);
        prop_assert_eq!(tables.memory.data(), &before[..]);
        prop_assert!(summary.tables <= 16 * 5 * 8, "{} tables", summary.tables);

        let pages = PageTables::new(&tables.memory, state).unwrap();
        for pair in seen.mappings.windows(2) {
            prop_assert!(pair[0].last() < pair[1].va, "ascending, without overlap");
        }
        for mapping in &seen.mappings {
            for va in [mapping.va, mapping.last()] {
                let found = pages.translate(va).unwrap();
                prop_assert_eq!(found.gpa, mapping.gpa + (va - mapping.va));
                prop_assert_eq!(found.page_size, mapping.page_size);
                prop_assert_eq!(found.rights, mapping.rights);
            }
        }
        for entry in &seen.malformed {
            prop_assert!(pages.translate(entry.va).is_err());
        }
        // Random addresses, half of them at something that is mapped or shared.
        let places: Vec<u64> = seen.mappings.iter().map(|mapping| mapping.va)
            .chain(seen.shared.iter().map(|shared| shared.va)).collect();
        for (random, index) in probes {
            let va = match places.get(index.index(places.len().max(1))) {
                Some(place) if random & 1 == 0 => place ^ (random >> 1 & 0xfff_ffff),
                _ => (random as i64 >> (64 - (12 + 9 * levels as u32))) as u64,
            };
            let found = pages.translate(va).ok().map(|found| (found.gpa, found.rights));
            prop_assert_eq!(found, lookup(&seen, va), "at {:#x}", va);
        }
    }
}

/// What a walk said of an address, through the tables that it did not walk again.
fn lookup(seen: &Seen, mut va: u64) -> Option<(u64, LeafRights)> {
    while let Some(shared) = seen
        .shared
        .iter()
        .find(|shared| shared.va <= va && va - shared.va < shared.len)
    {
        va = shared.first_va + (va - shared.va);
    }
    let mapping = seen
        .mappings
        .iter()
        .find(|mapping| mapping.va <= va && va <= mapping.last())?;
    Some((mapping.gpa + (va - mapping.va), mapping.rights))
}

#[test]
fn a_chain_names_each_entry() {
    let mut tables = SyntheticTables::new(64, 4);
    tables.map(0x1234_5000, 0x5000, 1, 1, P | W);
    let pages = PageTables::new(&tables.memory, tables.state()).unwrap();
    let chain: Vec<_> = pages.translate(0x1234_5678).unwrap().entries().collect();
    assert_eq!(
        chain.iter().map(|entry| entry.level).collect::<Vec<_>>(),
        [4, 3, 2, 1]
    );
    assert_eq!(chain[0].gpa, tables.root);
    for entry in &chain {
        let bytes = tables.memory.slice(entry.gpa, 8).unwrap();
        assert_eq!(u64::from_le_bytes(bytes.try_into().unwrap()), entry.value);
    }
    assert_eq!(chain[3].value & ADDRESS, 0x5000);
}
