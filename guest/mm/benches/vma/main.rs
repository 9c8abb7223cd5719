//! Areas beside the standard library's `BTreeMap` and the `rangemap` crate, in one run on one
//! machine: `cargo bench -p pagelab-mm --bench vma`. After criterion's own lines comes a table with
//! ratios.
//!
//! A lookup asks which area contains an address, at random addresses of which all hit; a churn
//! step removes an area at random and puts it back. Each row is measured for all in turn, and the
//! table has each one's fastest sample, so that other work on the machine disturbs it little.

mod maps;
mod table;

use criterion::{Criterion, Throughput};
use maps::{BTree, Map, Ours, Ranges};
use std::{hint::black_box, path::PathBuf, time::Duration};

/// Operations in one iteration.
pub(crate) const OPERATIONS: usize = 4096;

/// Numbers of areas.
pub(crate) const AREAS: [u64; 2] = [1024, 16_384];

/// Places to go to: equal for all, and spread by a xorshift generator (Marsaglia, 2003).
fn places(areas: u64) -> Vec<u64> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    (0..OPERATIONS)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state % areas
        })
        .collect()
}

fn measure<M: Map>(criterion: &mut Criterion, areas: u64) {
    let places = places(areas);
    let mut map = M::new(areas);
    let throughput = Throughput::Elements(OPERATIONS as u64);
    let mut group = criterion.benchmark_group(format!("lookup-{areas}"));
    group.throughput(throughput.clone());
    group.bench_function(M::NAME, |bencher| {
        bencher.iter(|| {
            // Each address depends on the last result, as that of a fault on the program's progress.
            let mut carry = 0;
            for &place in &places {
                carry = map.lookup(place, black_box(carry & 1));
            }
            carry
        });
    });
    group.finish();
    let mut group = criterion.benchmark_group(format!("churn-{areas}"));
    group.throughput(throughput);
    group.bench_function(M::NAME, |bencher| {
        bencher.iter(|| places.iter().for_each(|&place| map.churn(place)));
    });
    group.finish();
}

fn main() {
    let output = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("vma");
    let mut criterion = Criterion::default()
        .warm_up_time(Duration::from_millis(100))
        .measurement_time(Duration::from_millis(500))
        .sample_size(50)
        .output_directory(&output)
        .configure_from_args();
    for areas in AREAS {
        measure::<Ours>(&mut criterion, areas);
        measure::<BTree>(&mut criterion, areas);
        measure::<Ranges>(&mut criterion, areas);
    }
    criterion.final_summary();
    table::print(&output, Ours::NAME, &[BTree::NAME, Ranges::NAME]);
}
